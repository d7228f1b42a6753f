"""What R reads of our archives, and archives without what is ours: they open as R's do, or not at all."""

# ruff: noqa: PD011 (values of an RValue)

from __future__ import annotations

import random
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from archived import FAST, METHODS, SURVEY, X, Y, read_members
from pacing import quick, slow
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy.errors import ArchiveError, FusionError
from fusionpy.formats.fst import pack_fst, read_fst
from fusionpy.formats.rds import read_rds
from fusionpy.formats.rds.values import NA_INTEGER, RValue, character, double, integer, logical, r_list
from fusionpy.formats.rds.writer import write_rds
from fusionpy.kernels.integer_weights import integerize_weights
from fusionpy.model.archive.r_writing import obstacles, r_members
from fusionpy.model.rules import parse_rule


@pytest.fixture(scope="module", params=quick(METHODS, ["refits", "2024", "final"]))
def model(request):
    return fusionpy.train(SURVEY, Y, X, weight="w", **{**FAST, **METHODS[request.param]})


@pytest.fixture(scope="module")
def one():
    return fusionpy.train(SURVEY, Y, X, weight="w", **FAST, method="fusionModel")


def members_of(model, folder):
    path = folder / "whole.fsn"
    fusionpy.write_fsn(model, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_r(members, **edited):
    """Leave out what R would not have written."""
    left = {k: v for k, v in members.items() if not k.startswith(("fusionpy~", "manifest"))} | edited
    return {name: content for name, content in left.items() if content is not None}


def as_r_draws(model):
    """The model without what R passes over."""
    steps = tuple(replace(step, stand_ins=(), calibrations={}, effects=None) for step in model.steps)
    options = replace(model.options, refits=0, redraw=False, sort_quantiles=False)
    weight = model.weight if model.options.integer_weights else integerize_weights(model.weight).astype(float)
    return replace(model, steps=steps, options=options, counts=np.empty((0, model.n_donors)), weight=weight)


def plain(frame):
    """Levels as text, as R has them."""
    text = {True: "TRUE", False: "FALSE"}
    out = frame.copy()
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            levels = [
                text.get(v, str(v)) if isinstance(v, bool) else str(v).removesuffix(".0")
                for v in frame[name].cat.categories
            ]
            out[name] = frame[name].cat.rename_categories(levels)
    return out.astype(dict.fromkeys(frame.select_dtypes("number"), float))


def recipient():
    x = plain(SURVEY[["region", "size"]])
    return SURVEY.assign(**{name: x[name] for name in x}).head(80)


def test_without_what_is_ours_it_fuses_as_r_would(model, tmp_path):
    again = read_members(as_r(members_of(model, tmp_path)), tmp_path / "r.fsn")
    assert again.options.method == "fusionModel"
    assert again.versions["fusionModel"] == "2.4.0"
    assert again.summary()[0]["rounds"] == model.summary()[0]["rounds"]
    theirs = fusionpy.fuse(recipient(), again, M=3, seed=5, quiet=True)
    mine = fusionpy.fuse(SURVEY.head(80), as_r_draws(model), M=3, seed=5, quiet=True)
    assert_frame_equal(plain(theirs), plain(mine))
    assert theirs["rooms"].dtype == np.int32
    assert theirs["grade"].cat.ordered
    assert theirs["owns.car"].dtype == bool
    assert "FusionModel: 5 steps" in repr(again)
    assert not fusionpy.importance(again).empty


def test_metadata(model):
    about = read_rds(r_members(model)["metadata.rds"]()).entries()
    classes = {name: each.values for name, each in about["xclass"].entries().items()}
    assert classes == {
        "age": ("numeric",),  # pandas made floats of it for its missing values
        "region": ("factor",),
        "size": ("ordered", "factor"),
        "owner": ("logical",),
        "é.1": ("numeric",),
    }
    assert about["yclass"].entries()["rooms"].values == ("integer",)
    levels = {name: each.values for name, each in about["xlevels"].entries().items()}
    assert levels == {"region": ("10", "20", "30", "40"), "size": ("0.5", "1.5", "2.5")}
    assert about["ylevels"].entries()["heat"].values == ("wood", "oil", "gas", "sun")
    assert about["ytype"].names == ("kind", "owns.car", "income", "rent", "heat", "rooms", "grade")
    assert about["ytype"].values[:3] == ("multiclass", "binary", "continuous")
    for step, near, centres in zip(
        model.steps, about["kneighbors"].values, about["kcenters"].values, strict=True
    ):
        if step.pools is None:
            assert near is None
            assert centres is None
            continue
        found = near.values.reshape(near.dim, order="F")
        for pool, row in zip(np.split(step.pools.member, step.pools.start[1:-1]), found, strict=True):
            assert (row[: len(pool)] == pool + 1).all()
            assert (row[len(pool) :] == NA_INTEGER).all()
        np.testing.assert_array_equal(centres.values.reshape(centres.dim, order="F"), step.pools.centres)


def test_donors(model):
    donors = read_fst(r_members(model)["donor.fst"]()).to_pandas()
    assert list(donors) == ["income", "rent", "heat", "rooms", "W"]
    assert donors.dtypes.astype(str).to_list() == ["float64"] * 4 + ["int32"]
    np.testing.assert_array_equal(donors.drop(columns="W"), model.donors)
    expected = model.weight if model.options.integer_weights else integerize_weights(model.weight)
    np.testing.assert_array_equal(donors["W"], expected)


def test_donors_of_a_model_of_levels_are_weights_alone():
    model = fusionpy.train(SURVEY, ["kind"], X, **FAST, refits=0)
    donors = read_fst(r_members(model)["donor.fst"]())
    assert donors.column_names == ["W"]
    assert set(donors["W"].to_pylist()) == {1}


def test_whole_numbers_beyond_those_of_r():
    frame = SURVEY.assign(rooms=SURVEY["rooms"].astype("int64") * 2**30)
    model = fusionpy.train(frame, ["rooms"], X, **FAST, refits=0)
    about = read_rds(r_members(model)["metadata.rds"]()).entries()
    assert about["yclass"].entries()["rooms"].values == ("numeric",)


def test_levels_of_other_types():
    sizes = pd.Categorical(SURVEY["size"].astype(float) * 2, ordered=True)
    model = fusionpy.train(SURVEY.assign(size=sizes), ["kind"], ["size"], **FAST, refits=0)
    about = read_rds(r_members(model)["metadata.rds"]()).entries()
    assert about["xlevels"].entries()["size"].values == ("1", "3", "5")
    owner = SURVEY["owner"].astype("category")
    model = fusionpy.train(SURVEY.assign(owner=owner), ["kind"], ["owner"], **FAST, refits=0)
    about = read_rds(r_members(model)["metadata.rds"]()).entries()
    assert about["xlevels"].entries()["owner"].values == ("FALSE", "TRUE")


# What R cannot do


def test_models_for_r(model):
    assert obstacles(model) == []


RULED = {
    "a sum": ({"identities": "total = rent + income"}, "`total`"),
    "a bound": ({"bounds": "rent <= income"}, "rent <= income"),
    "zeros": ({"bounds": "rent = 0 unless owns.car"}, "rent = 0"),
}


@pytest.mark.parametrize("case", RULED)
def test_rules_that_r_would_break(case, tmp_path):
    arguments, word = RULED[case]
    frame = SURVEY.assign(rent=np.where(SURVEY["owns.car"], SURVEY["rent"].clip(upper=SURVEY["income"]), 0))
    frame["total"] = frame["rent"] + frame["income"]
    y = ["owns.car", "income", "rent", *(["total"] if case == "a sum" else [])]
    model = fusionpy.train(frame, y, ["age", "region"], **FAST, refits=0, **arguments)
    assert any(word in each for each in obstacles(model))
    members = members_of(model, tmp_path)
    assert {"metadata.rds", "donor.fst"}.isdisjoint(members)
    assert word in members["manifest.json"].decode()
    again = fusionpy.read_fsn(tmp_path / "whole.fsn")
    assert again.describe() == model.describe()


def test_rules_that_need_nothing_of_r():
    """Bounds within a block, which its donors obey, and directions, which are the boosters' own."""
    frame = SURVEY.assign(rent=SURVEY["rent"].clip(upper=SURVEY["income"]))
    arguments = {"bounds": "rent <= income", "monotone": {"income": {"age": 1}}}
    model = fusionpy.train(frame, [["rent", "income"]], ["age", "region"], **FAST, refits=0, **arguments)
    assert len(model.rules) == 2
    assert obstacles(model) == []


def test_names_and_levels_that_r_could_not_tell_apart(one):
    schema = replace(
        one.schema, x=(*one.schema.x, replace(one.schema["region"], name="two", levels=(1, "1")))
    )
    assert any("`two`" in each for each in obstacles(replace(one, schema=schema)))
    assert any("`W`" in each for each in obstacles(replace(one, donor_columns=("W", *one.donor_columns[1:]))))
    rule = parse_rule("rent <= income")
    assert any("rent <= income" in each for each in obstacles(replace(one, rules=(rule,))))


# No harm


@pytest.fixture(scope="module")
def members(one, tmp_path_factory):
    return as_r(members_of(one, tmp_path_factory.mktemp("members")))


STRANGE = [
    None,
    integer([]),
    integer([NA_INTEGER]),
    integer([10**9]),
    double([np.nan]),
    double([1e300, 1]),
    double([-0.5]),
    logical([None]),
    character([]),
    character([None]),
    character(["income", "x"]),
    r_list([]),
    r_list({"a": None}),
    RValue("integer", np.ones(6, np.int32), {"dim": integer([2, 3])}),
    RValue("integer", np.ones(6, np.int32), {"dim": integer([-2, 9])}),
    RValue("double", np.ones(6), {"dim": character(["a"]), "dimnames": integer([1])}),
    RValue("symbol", ("a",)),
    RValue("call", (RValue("symbol", ("f",)), None)),
]


def places_in(value, place=()):
    """Every part of a value, with the way there: elements by number, attributes by name."""
    if isinstance(value, RValue):
        inner = list(value.attributes.items())
        if value.kind in ("list", "call"):
            inner += list(enumerate(value.values))
        for key, each in inner:
            yield (*place, key)
            yield from places_in(each, (*place, key))


def changed_at(value, place, new):
    if not place:
        return new
    key, *rest = place
    if isinstance(key, str):
        return replace(
            value, attributes={**value.attributes, key: changed_at(value.attributes[key], rest, new)}
        )
    values = list(value.values)
    values[key] = changed_at(values[key], rest, new)
    return replace(value, values=tuple(values))


@pytest.mark.parametrize("n", [15, pytest.param(110, marks=pytest.mark.slow)])
def test_no_metadata_makes_fuse_fail(members, tmp_path, n):
    """Whatever one part is changed to: it is refused as such, or the model still fuses."""
    about = read_rds(members["metadata.rds"])
    places = [place for place in places_in(about) if place[0] != 18 or len(place) < 4]
    rng = random.Random(6)
    refused = 0
    recipients = recipient().head(7)
    for _ in range(n):
        changed = changed_at(about, rng.choice(places), rng.choice(STRANGE))
        content = members | {"metadata.rds": write_rds(changed)}
        try:
            model = read_members(content, tmp_path / "given.fsn")
            fusionpy.fuse(recipients, model, seed=1, quiet=True)
            repr(model)
        except FusionError:
            refused += 1
    assert refused > 0.45 * n


@pytest.mark.parametrize("n", [8, pytest.param(70, marks=pytest.mark.slow)])
def test_no_numbers_make_fuse_fail(members, tmp_path, n):
    """Single numbers of matrices and vectors changed."""
    about = read_rds(members["metadata.rds"])
    places = [
        place
        for place in places_in(about)
        if isinstance(part := at(about, place), RValue) and part.kind in ("integer", "double") and len(part)
    ]
    rng = random.Random(9)
    refused = 0
    for _ in range(n):
        place = rng.choice(places)
        part = at(about, place)
        values = part.values.copy()
        strange = [NA_INTEGER, 0, -1, 10**9] if part.kind == "integer" else [np.nan, np.inf, -1e300, 0.0]
        values[rng.randrange(len(values))] = rng.choice(strange)
        changed = changed_at(about, place, replace(part, values=values))
        try:
            model = read_members(members | {"metadata.rds": write_rds(changed)}, tmp_path / "given.fsn")
            fusionpy.fuse(recipient().head(7), model, seed=1, quiet=True)
            repr(model)
        except FusionError:
            refused += 1
    assert refused > 0.17 * n


def at(value, place):
    for key in place:
        value = value.attributes[key] if isinstance(key, str) else value.values[key]
    return value


def test_no_donors_make_fuse_fail(members, tmp_path):
    table = read_fst(members["donor.fst"])
    rows = np.arange(table.num_rows)
    wrong = {
        "fewer": table.slice(1),
        "without weights": table.drop_columns(["W"]),
        "without a variable": table.drop_columns(["rent"]),
        "text": table.set_column(0, "income", [["a"] * table.num_rows]),
        "gaps": table.set_column(0, "income", [[None, *map(float, rows[1:])]]),
        "infinite": table.set_column(0, "income", [[float("inf"), *map(float, rows[1:])]]),
        "classes": table.set_column(2, "heat", [(rows + 0.5).tolist()]),
        "weights": table.set_column(4, "W", [np.zeros(table.num_rows, np.int32)]),
    }
    for name, each in wrong.items():
        content = members | {"donor.fst": pack_fst(each)}
        with pytest.raises(ArchiveError):
            read_members(content, tmp_path / "given.fsn")
        assert name


def test_what_r_passes_over_does_no_harm(one, members, tmp_path):
    """Columns that are no fusion variables, more donors than were trained on, files of no step."""
    table = read_fst(members["donor.fst"])
    more = pa.concat_tables(
        [table.append_column("age", [["a"] * len(table)]), table.slice(0, 2)], promote_options="default"
    )
    edited = {
        "donor.fst": pack_fst(more),
        "zzz.rds": b"x",
        "manifest.json": b'{"name": "theirs"}',
        "1/a.json": b"",
    }
    again = read_members(members | edited, tmp_path / "given.fsn")
    arguments = {"M": 2, "seed": 5, "quiet": True}
    expected = fusionpy.fuse(recipient(), read_members(members, tmp_path / "r.fsn"), **arguments)
    assert_frame_equal(fusionpy.fuse(recipient(), again, **arguments), expected)


@pytest.mark.parametrize("n", [25, slow(120)])
def test_garbled_members(members, tmp_path, n):
    rng = random.Random(11)
    refused = 0
    for number in range(n):
        name = ("metadata.rds", "donor.fst")[number % 2]
        data = bytearray(members[name])
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        content = members | {name: bytes(data[: rng.randrange(len(data))] if number % 3 == 0 else data)}
        try:
            fusionpy.fuse(
                recipient().head(5), read_members(content, tmp_path / "given.fsn"), seed=1, quiet=True
            )
        except FusionError:
            refused += 1
    assert refused > n * 2 / 3


def test_half_of_ours_is_not_taken_for_one_of_r(one, tmp_path):
    content = members_of(one, tmp_path)
    del content["manifest.json"]
    with pytest.raises(ArchiveError, match=r"'manifest.json' is missing"):
        read_members(content, tmp_path / "given.fsn")
