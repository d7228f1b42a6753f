"""Recipients unlike the donors: other units, codes of no answer, levels that no donor has; no false alarm."""

from __future__ import annotations

import json
import warnings
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app
from fusionpy.errors import ArchiveError, FusionWarning
from fusionpy.formats.fst.writer import write_fst
from fusionpy.frames.tables import as_table
from fusionpy.model.archive import write_fsn
from fusionpy.model.ranges import Range, Tally, learn_ranges, strangers, tally
from fusionpy.model.schema import Schema

X = ["income", "age", "share", "tenure"]
FAST: dict[str, Any] = {
    "refits": 0,
    "nclusters": 20,
    "hyper": {"num_iterations": 5},
    "seed": 1,
    "quiet": True,
}
WRONG = {  # what is done to recipients, and what is then said
    "thousands": (
        lambda f: f.assign(income=f["income"] / 1000),
        "`income`: values are about 1,000 times smaller",
    ),
    "cents": (lambda f: f.assign(income=f["income"] * 100), "about 100 times larger than the donors' (other"),
    "year of birth": (
        lambda f: f.assign(age=2020 - f["age"]),
        "`age`: 100 % are outside the donors' range, 18 to",
    ),
    "no answer": (lambda f: f.assign(age=-9), "`age`: 100 % are outside"),
    "one in ten has no answer": (
        lambda f: f.assign(income=f["income"].where(f.index % 10 > 0, -9)),
        "`income`: 11 % are outside the donors' range, 0 to 600,000, 10 % below it",
    ),
    "percent": (lambda f: f.assign(share=f["share"] * 100), "`share`: "),
    "level": (
        lambda f: f.assign(tenure=f["tenure"].where(f.index % 10 > 0, "other")),
        "`tenure`: 10 % have levels",
    ),
}


def survey(n: int, seed: int) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    tenure = pd.Categorical(r.choice(["own", "rent"], n), categories=["own", "rent", "other"])
    frame = pd.DataFrame(
        {
            "income": np.round(np.exp(r.normal(10.8, 1, n))) * (r.random(n) > 0.1),
            "age": r.integers(18, 90, n),
            "share": r.beta(2, 3, n),
            "tenure": tenure,
        }
    )
    frame["y"] = frame["income"] / 100 + frame["age"] + r.normal(0, 1, n)
    return frame


@pytest.fixture(scope="module")
def donor() -> pd.DataFrame:
    return survey(800, 1)


@pytest.fixture(scope="module")
def model(donor: pd.DataFrame) -> fusionpy.FusionModel:
    return fusionpy.train(donor, ["y"], X, **FAST)


@pytest.fixture(scope="module")
def recipient() -> pd.DataFrame:
    return survey(500, 2)[X]


def said(data: Any, model: Any, fsd: Any = None) -> str:
    """What fuse() warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fusionpy.fuse(data, model, fsd, seed=1, quiet=True)
    assert len(caught) <= 1
    assert all(each.category is FusionWarning for each in caught)
    return "".join(str(each.message) for each in caught)


def test_infinite_recipients_are_out_of_range_unless_donors_are_infinite_too(model, recipient):
    changed = recipient.assign(income=recipient["income"].where(recipient.index % 5 > 0, np.inf))
    assert "`income`: 2" in said(changed, model)
    matrix = model.schema.encode(as_table(recipient), X)
    place = X.index("income")
    assert "income" in learn_ranges(model.schema, matrix)
    matrix[::7, place] = np.inf
    assert "income" not in learn_ranges(model.schema, matrix)
    counts = tally(Range(0, 9), np.array([1.0, np.inf, -np.inf, np.nan]))
    assert (counts.n, counts.above, counts.below) == (3.0, 1.0, 1.0)


@pytest.mark.parametrize("wrong", WRONG)
def test_fuse_says_what_recipients_have_that_donors_have_not(wrong, model, recipient):
    change, words = WRONG[wrong]
    message = said(change(recipient), model)
    assert message.startswith("Recipients are unlike the donors. ")
    assert words in message
    assert message.count("`") == 2, "no other predictor is named"


@pytest.mark.parametrize(
    "route",
    ["pandas", "polars", "pyarrow", "parquet", "folder", "fst", "fsn", "lean fsn", "to file", "chunks"],
)
def test_every_route_warns(route, donor, model, recipient, tmp_path, monkeypatch):
    monkeypatch.setattr("fusionpy.fusion.recipients.WINDOW", 120)
    frame = WRONG["thousands"][0](recipient)
    table = pa.Table.from_pandas(frame)
    data, fsd = frame, None
    if route == "polars":
        data = pl.from_arrow(table).with_columns(pl.col("tenure").cast(pl.String))
    elif route == "pyarrow":
        data = table
    elif route == "fst":
        write_fst([table], tmp_path / "r.fst", table.schema)
        data = tmp_path / "r.fst"
    elif route == "folder":
        (tmp_path / "r").mkdir()
        for k in range(5):
            frame[100 * k : 100 * k + 100].to_parquet(tmp_path / "r" / f"part.{k}.parquet")
        data = tmp_path / "r"
    elif route == "parquet":
        frame.to_parquet(tmp_path / "r.parquet")
        data = tmp_path / "r.parquet"
    elif route == "fsn":
        write_fsn(model, tmp_path / "m.fsn")
        model = tmp_path / "m.fsn"
    elif route == "lean fsn":
        model = fusionpy.train(
            donor, ["y"], X, **FAST | {"refits": 2}, keep_donors=False, fsn=tmp_path / "m.fsn"
        )
        model = tmp_path / "m.fsn"
    elif route == "to file":
        fsd = tmp_path / "out.parquet"
    elif route == "chunks":
        with pytest.warns(FusionWarning, match="about 1,000 times smaller"):
            fusionpy.fuse(frame, model, M=2, chunk=50, cores=2, seed=1, quiet=True)
    assert "`income`: values are about 1,000 times smaller than the donors' (other units?)" in said(
        data, model, fsd
    )


def test_the_command_line_warns(model, recipient, tmp_path):
    write_fsn(model, tmp_path / "m.fsn")
    WRONG["year of birth"][0](recipient).to_csv(tmp_path / "r.csv", index=False)
    result = CliRunner().invoke(
        app,
        [
            "fuse",
            str(tmp_path / "r.csv"),
            str(tmp_path / "m.fsn"),
            "--fsd",
            str(tmp_path / "o.parquet"),
            "-q",
        ],
    )
    assert result.exit_code == 0, result.output
    assert "Warning: Recipients are unlike the donors. `age`: 100 % are outside" in result.stderr


@pytest.mark.slow
def test_a_cluster_counts_all_partitions_together(model, recipient, tmp_path):
    dask = pytest.importorskip("dask.dataframe")
    from fusionpy import distributed

    frame = recipient.assign(
        age=recipient["age"].where(recipient.index >= 60, -9)
    )  # all in the first partition
    with pytest.warns(FusionWarning, match="`age`: 12 % are outside the donors' range, 18 to 8"):
        distributed.fuse(
            dask.from_pandas(frame, npartitions=4),
            model,
            1,
            tmp_path / "out",
            seed=1,
            n_workers=1,
            quiet=True,
        )


@pytest.mark.parametrize("n", [1, 3, 10, 500])
def test_recipients_like_the_donors_raise_no_alarm(n, model):
    for seed in range(2, 8):
        assert said(survey(n, seed)[X], model) == ""


def test_a_few_out_of_range_are_not_told(model, recipient):
    assert said(recipient.assign(age=recipient["age"].where(recipient.index >= 20, -9)), model) == ""  # 4 %


def test_one_place_may_lie_anywhere_in_the_range():
    """A state's climate is constant, and may be a thousandth of the nation's."""
    r = np.random.default_rng(1)
    donors = pd.DataFrame(
        {"cdd": r.choice([2.0, 900, 1300, 2000, 4400], 1000, p=[0.02, 0.28, 0.3, 0.3, 0.1])}
    )
    known, rows = ranges_of(donors)
    place = pd.DataFrame({"cdd": np.full(400, 2.0)})
    assert found_in(known, place, rows) == {}


def test_bands_end_in_the_middle_of_their_last_one():
    """Donors' incomes are in bands, recipients' are not: many lie beyond the last band's middle."""
    r = np.random.default_rng(1)
    rank = r.uniform(0, 100, 3000)
    known, rows = ranges_of(pd.DataFrame({"rank": 10 * np.floor(rank / 10) + 5}))
    assert known["rank"].high == 95
    assert found_in(known, pd.DataFrame({"rank": r.uniform(0, 100, 3000)}), rows) == {}


def ranges_of(frame: pd.DataFrame) -> tuple[dict[str, Range], int]:
    table = as_table(frame)
    schema = Schema.learn(table, list(frame), [])
    return learn_ranges(schema, schema.encode(table, list(frame))), len(frame)


def found_in(known: dict[str, Range], frame: pd.DataFrame, n_donors: int) -> dict[str, str]:
    counts = {name: tally(known[name], frame[name].to_numpy(dtype=float)) for name in frame}
    return strangers(known, counts, n_donors)


@given(
    values=st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=2, max_size=60),
    cut=st.integers(0, 60),
    weighted=st.booleans(),
)
def test_tallies_of_parts_add_up(values, cut, weighted):
    x = np.array(values)
    weight = np.arange(len(x)) % 3.0 if weighted else None
    known = Range(-5, 1e6, 3, (1, 2, 3))
    parts = [
        tally(known, x[s], None if weight is None else weight[s]) for s in (slice(cut), slice(cut, None))
    ]
    whole, added = tally(known, x, weight), parts[0] + parts[1]
    w = np.ones(len(x)) if weight is None else weight
    low, high = known.bounds
    assert added.outside * added.n == pytest.approx(w[(x < low) | (x > high)].sum())
    for counts in (whole, added):
        assert counts.n_records == (w > 0).sum()
        assert counts.n == pytest.approx(w.sum())
        np.testing.assert_array_equal(counts.places, whole.places)
        np.testing.assert_array_equal(counts.records, whole.records)
    size = np.sort(np.abs(x[(x != 0) & (w > 0)]))
    if len(size) >= 8:
        exact = np.quantile(size, [0.25, 0.5, 0.75], method="inverted_cdf")
        np.testing.assert_allclose(whole.sizes(), exact, rtol=0.07)


@given(
    values=st.lists(
        st.floats(-1e200, 1e200).filter(lambda v: v == 0 or abs(v) > 1e-200), min_size=2, max_size=400
    )
)
def test_a_range_is_coarse_and_holds_nearly_all_donors(values):
    frame = pd.DataFrame({"x": values})
    known, n = ranges_of(frame)
    if (frame["x"] == values[0]).all():
        assert known == {}
        return
    of, x = known["x"], np.sort(frame["x"])
    for number in (of.low, of.high, of.median, *of.sizes):
        assert float(f"{number:.3g}") == number
    assert of.low <= of.median <= of.high
    rank = min(max(int(np.ceil(0.005 * n)), 5), (n + 1) // 2)
    assert of.low <= x[rank - 1]
    assert of.high >= x[-rank]
    assert found_in(known, frame, n) == {}, "donors are like themselves"


def test_weights_count_where_they_are_known():
    known, n = ranges_of(pd.DataFrame({"x": np.arange(1000.0)}))
    x, weight = np.append(np.arange(990.0), np.full(10, -50.0)), np.append(np.ones(990), np.full(10, 99.0))
    assert strangers(known, {"x": tally(known["x"], x)}, n) == {}
    assert "50 % are outside" in strangers(known, {"x": tally(known["x"], x, weight)}, n)["x"]


# --- In the archive


def manifest_of(path: Any) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("manifest.json"))


def rewritten(path: Any, target: Any, change: Any) -> Any:
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as out:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "manifest.json":
                content = json.dumps(change(json.loads(content))).encode()
            out.writestr(name, content)
    return target


def test_ranges_are_kept_in_the_archive(model, tmp_path):
    write_fsn(model, tmp_path / "m.fsn")
    assert fusionpy.read_fsn(tmp_path / "m.fsn").ranges == model.ranges
    assert set(model.ranges) == set(X)
    assert model.ranges["tenure"] == Range(absent=(2,))


def test_an_archive_without_ranges_opens_and_checks_nothing(model, recipient, tmp_path):
    write_fsn(replace(model, known=None), tmp_path / "m.fsn")
    old = rewritten(
        tmp_path / "m.fsn", tmp_path / "old.fsn", lambda m: {k: v for k, v in m.items() if k != "ranges"}
    )
    assert fusionpy.read_fsn(old).ranges == {}
    assert said(WRONG["thousands"][0](recipient), old) == ""


@pytest.mark.parametrize(
    "ranges",
    [
        5,
        {"nobody": {"absent": []}},
        {"age": {"low": 9, "high": 1, "median": 5, "sizes": []}},
        {"age": {"low": 1, "high": 9, "median": 5, "sizes": [1]}},
        {"age": {"low": 1, "high": 9, "median": 5, "sizes": [3, 2, 1]}},
        {"age": {"low": 1, "high": 9, "median": 5, "sizes": [0, 2, 3]}},
        {"age": {"low": "a", "high": 9, "median": 5, "sizes": []}},
        {"tenure": {"absent": [3]}},
        {"tenure": {"absent": [-1]}},
    ],
)
def test_a_damaged_entry_is_refused(ranges, model, tmp_path):
    write_fsn(model, tmp_path / "m.fsn")
    bad = rewritten(tmp_path / "m.fsn", tmp_path / "bad.fsn", lambda m: m | {"ranges": ranges})
    with pytest.raises(ArchiveError, match="It is damaged"):
        fusionpy.read_fsn(bad)


def test_a_lean_archive_tells_no_extreme_of_the_donors(tmp_path):
    """Ends are those of the middle 99 percent, and of three digits."""
    frame = survey(2000, 3)
    frame.loc[7, "income"] = 98_765_432.0
    model = fusionpy.train(frame, ["y"], X, **FAST, keep_donors=False, fsn=tmp_path / "lean.fsn")
    assert model.ranges["income"].high < 2e6
    assert "98765432" not in json.dumps(manifest_of(tmp_path / "lean.fsn"))


# --- Real surveys


@pytest.mark.slow
def test_real_surveys_raise_no_false_alarm(shared):
    donors = pd.read_parquet(shared / "data/recs2020_donor.parquet")
    homes = pd.read_parquet(shared / "data/acs2024_recipient.parquet")
    x = [name for name in donors if name in homes and name not in ("hid", "weight")]
    schema = Schema.learn(as_table(donors), x, [])
    known = learn_ranges(schema, schema.encode(as_table(donors), x))
    matrix = schema.encode(as_table(homes), x)
    for rows in [slice(None), *homes.groupby(["state", "puma"], observed=True).indices.values()]:
        counts = {name: tally(known[name], matrix[rows, j]) for j, name in enumerate(x)}
        assert strangers(known, counts, len(donors)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["liq", "retirement", "debt", "houses", "vehicles", "equity"])
def test_amounts_in_other_units_are_seen_in_the_scf(name, shared):
    frame = pd.read_parquet(shared / "data/scf2019.parquet")[[name]]
    known, n = ranges_of(frame[::2])
    assert found_in(known, frame[1::2], n) == {}
    for factor in (1000, 100, 10, 0.1, 0.01, 0.001):
        assert found_in(known, frame[1::2] * factor, n), factor


def test_a_tally_of_nothing_says_nothing():
    assert strangers({"x": Range(0, 1, 0.5)}, {"x": Tally()}, 100) == {}
    assert tally(Range(0, 1, 0.5), np.array([np.nan])).outside == 0


@pytest.mark.parametrize("scale", [1e-323, 1e-310, 1e-100, 1e100, 1.7e308])
def test_extreme_numbers_come_back_from_the_archive(scale, tmp_path):
    frame = survey(200, 1)
    frame["age"] = frame["age"] / frame["age"].max() * scale
    model = fusionpy.train(frame, ["y"], X, **FAST, fsn=tmp_path / "m.fsn")
    assert fusionpy.read_fsn(tmp_path / "m.fsn").ranges == model.ranges
    assert all(
        np.isfinite([known.low, known.high]).all() for name, known in model.ranges.items() if name == "age"
    )
    assert said(frame[X], tmp_path / "m.fsn") == ""
