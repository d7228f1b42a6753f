"""Archives that we write, opened as R's fusionModel opens one (`original.py`): of whatever kind of model."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import original
import pandas as pd
import pytest
from archived import FAST, METHODS, SURVEY, X, Y
from kept import ARCHIVES
from original import Fails
from pacing import quick, slow
from stripped import BLOCK, MANY, RECIPIENTS, TINY, as_text, strip

import fusionpy

KINDS = {
    "default": {},
    **METHODS,
    "without weights": {"weight": None, "refits": 0},
    "without donors": {"keep_donors": False, "refits": 1},
    "every kind of step": {"y": ["grade", "owns.car", BLOCK, "income", "rent", "kind"], "refits": 2},
    "solo": {"y": ["rent"], "refits": 0},
    "only levels": {"y": ["grade", "kind"], "refits": 1},
    "11 steps": {"y": [f"y{j}" for j in range(9)] + [BLOCK, "kind"], "refits": 1, **TINY},
    "101 steps": {"y": [f"y{j}" for j in range(101)], "refits": 0, "nfolds": 0.7, "nquantiles": 1, **TINY},
}


@pytest.fixture(
    scope="module",
    params=quick(KINDS, ["refits", "2024", "final", "without weights", "every kind of step", "solo"]),
)
def written(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "model.fsn"
    arguments = {"y": Y, "x": X, "weight": "w", **FAST, "refits": 3, **KINDS[request.param]}
    if request.param == "default":
        del arguments["refits"]
    return fusionpy.train(MANY, fsn=path, **arguments), path


@pytest.fixture(scope="module")
def found(written):
    return original.fuse(written[1], RECIPIENTS)


def test_it_opens(written, found):
    """Classes, levels, whole pools, donors' own values: as the spec says of archives mended by hand."""
    model, _ = written
    assert [name for name, *_ in found] == [name for step in model.steps for name in step.variables]
    donors = pd.DataFrame(model.donors, columns=list(model.donor_columns))
    classes = {"continuous": ("numeric",), "nominal": ("factor",), "ordered": ("ordered", "factor")}
    for name, kind, levels, *drawn in found:
        variable = model.schema[name]
        if name == "rooms":
            assert kind == ("integer",)
        else:
            assert kind == (classes | {"logical": ("logical",)})[variable.kind]
        assert len(levels) == len(variable.levels)
        if len(drawn) == 1:
            assert np.isfinite(drawn[0]).all()
            continue
        for pool in drawn[1]:
            values, shares = np.array(pool).T
            assert np.isin(values, donors[name]).all()
            assert (shares > 0).all()
            assert shares.sum() == pytest.approx(1)


def test_blocks_are_rows_of_donors(written, found):
    model, _ = written
    donors = {name: model.donors[:, j] for j, name in enumerate(model.donor_columns)}
    drawn = {name: each for name, _, _, *each in found}
    for step in model.steps:
        if step.is_block:
            pools = [[[value for value, _ in pool] for pool in drawn[name][1]] for name in step.variables]
            rows = set(zip(*(donors[name] for name in step.variables), strict=True))
            assert {row for each in zip(*pools, strict=True) for row in zip(*each, strict=True)} <= rows
            assert {len(pool) for pool in pools[0]} == {10}


def test_importance_lists_each_model_once(written):
    model, path = written
    found = original.importance(path)
    wanted = {(t.variable, t.kind) for step in model.steps for t in step.targets}
    assert {each[:2] for each in found} <= wanted
    assert len({each[:3] for each in found}) == len(found)
    ours = fusionpy.importance(path, detailed=True)
    assert set(zip(ours["y"], ours["model"], ours["x"], strict=True)) == {each[:3] for each in found}
    known = {variable.name for variable in (*model.schema.x, *model.schema.y)}
    assert {x for _, _, x, _ in found} <= known


def test_only_steps_have_folders(written):
    """Numbered with one width, so that no name begins with another and every collation sorts them alike."""
    model, path = written
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    names = [info.filename for info in infos]
    folders = original.folders_of(names)
    assert folders == [f"{n:0{len(str(len(model.steps)))}d}" for n in range(1, len(model.steps) + 1)]
    assert folders == sorted(folders)
    assert names == sorted(names)
    assert {info.compress_type for info in infos} == {zipfile.ZIP_DEFLATED}
    root = {name for name in names if "/" not in name} - {"manifest.json", "metadata.rds", "donor.fst"}
    assert all(re.fullmatch(r"fusionpy~[a-z0-9~_]+\.(txt|parquet)", name) for name in root)
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        if "/" in name:
            assert re.fullmatch(r"\d+/[^/]+_(m|z|q\d+)\.txt", name)


def test_without_what_is_ours_it_is_the_same_to_r(written, found, tmp_path):
    """What is ours matters to R in no way; and our reader finds the donors where the original does."""
    model, path = written
    stripped = strip(path, tmp_path / "r.fsn")
    assert original.fuse(stripped, RECIPIENTS) == found
    recipients = RECIPIENTS.assign(
        **{name: as_text(RECIPIENTS[name]) for name in ("region", "size")},
    )
    step = model.steps[0]
    fused = fusionpy.fuse(recipients, stripped, M=5, seed=1, quiet=True)
    pools = {name: drawn for name, _, _, *drawn in found}
    if step.pools is not None:
        for name in step.variables:
            zero, allowed = pools[name]
            for row, values in enumerate(fused[name].to_numpy().reshape(5, -1).T):
                least = [value for value, _ in allowed[row]]
                assert set(values) <= {*least, *([] if zero is None else [0.0])}


# What was wrong, and what must be told


def test_archives_of_format_1_did_not_open():
    """The words of the issue: subscript out of bounds; importance too long, in silence."""
    recipient = fusionpy.datasets.load_recipient().head(12)
    old, new = ARCHIVES[0], ARCHIVES[1]
    with pytest.raises(Fails, match="subscript out of bounds"):
        original.fuse(old, recipient)
    assert original.fuse(new, recipient)
    again = fusionpy.importance(old, detailed=True)
    assert len(original.importance(old)) > 2 * len(again)
    assert len(original.importance(new)) == len(fusionpy.importance(new, detailed=True))


RULED = {
    "a sum": {"y": ["income", "rent", "total"], "identities": "total = rent + income"},
    "a bound": {"y": ["income", "rent"], "bounds": "rent <= income"},
    "a name of W": {"y": ["W"]},
    "a name too long": {"y": ["rent" * 70]},
}


@pytest.mark.parametrize("case", RULED)
def test_what_is_not_for_r_fails_for_want_of_metadata(case, tmp_path):
    """Not otherwise, and not later: no folder is there that is no step's, and importance works."""
    frame = SURVEY.assign(rent=SURVEY["rent"].clip(upper=SURVEY["income"]), W=SURVEY["rent"])
    frame = frame.assign(total=frame["rent"] + frame["income"], **{"rent" * 70: frame["rent"]})
    path = tmp_path / "model.fsn"
    model = fusionpy.train(frame, x=["age", "region"], **{**FAST, "refits": 1}, **RULED[case], fsn=path)
    with pytest.raises(Fails, match=r"metadata\.rds"):
        original.fuse(path, RECIPIENTS)
    assert original.folders_of([*original.unpacked(path)]) == [str(n + 1) for n in range(len(model.steps))]
    assert original.summary(original.importance(path)) == set(
        fusionpy.importance(path)[["y", "x"]].itertuples(index=False, name=None)
    )
    assert fusionpy.read_fsn(path).describe() == model.describe()


@pytest.mark.parametrize("name", [slow("readme"), "block"])
def test_models_of_r_written_again(shared, name, tmp_path):
    """R's models go through us unchanged: the same members, in the same order, to draw the same from."""
    theirs = shared / f"reference/models/{name}.fsn"
    path = tmp_path / "again.fsn"
    fusionpy.write_fsn(fusionpy.read_fsn(theirs), path)
    with zipfile.ZipFile(path) as mine, zipfile.ZipFile(theirs) as old:
        assert [n for n in mine.namelist() if not n.startswith(("fusionpy~", "manifest"))] == old.namelist()
    recipients = recs(shared)
    assert original.fuse(path, recipients) == original.fuse(theirs, recipients)
    assert original.importance(path) == original.importance(theirs)


def recs(shared: Path) -> pd.DataFrame:
    import json

    kinds = json.loads((shared / "data/recs2015_schema.json").read_text())
    frame = pd.read_csv(shared / "data/recs2015.csv.gz", keep_default_na=False, na_values=[""], nrows=40)
    for name, entry in kinds.items():
        if entry["kind"] in ("ordered", "nominal"):
            frame[name] = pd.Categorical(frame[name], entry["levels"], ordered=entry["kind"] == "ordered")
    return frame.iloc[1::2].reset_index(drop=True)
