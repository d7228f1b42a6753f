"""Columns that no survey should have: unused they hurt no verb, used they are named, with what is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fusionpy
from fusionpy import analyze

pytestmark = [
    pytest.mark.filterwarnings("ignore:Margins that would rest:fusionpy.FusionWarning"),
    pytest.mark.filterwarnings("ignore:1 margin of 1 is 0:fusionpy.FusionWarning"),
]

N = 80
TINY: dict[str, Any] = {"refits": 0, "hyper": {"num_iterations": 5}, "seed": 1, "quiet": True}
FUSE: dict[str, Any] = {"M": 2, "seed": 1, "quiet": True}
ODD: dict[str, Any] = {
    "interval": pd.arrays.IntervalArray.from_breaks(range(N + 1)),
    "interval levels": pd.cut(np.arange(N), 3),
    "period": pd.PeriodIndex(["2020-01", "2021-01"] * (N // 2), freq="M"),
    "period levels": pd.Categorical(pd.PeriodIndex(["2020-01", "2021-01"] * (N // 2), freq="M")),
    "list": [[1, 2]] * N,
    "struct": [{"a": 1}] * N,
    "mixed": [1, "a"] * (N // 2),
    "complex": [1j] * N,
    "sparse": pd.arrays.SparseArray([0, 1] * (N // 2)),
    "bytes": [b"a", b"b"] * (N // 2),
    "decimal": [Decimal("1.5"), Decimal("2.5")] * (N // 2),
    "objects": [object() for _ in range(N)],
    "tuples": [("a", 1)] * N,
    "spans": pd.to_timedelta(np.arange(N), unit="h"),
    "times": [pd.Timestamp("2020-01-01 10:00").time()] * N,
    "fixed lists": pd.arrays.ArrowExtensionArray(pa.array([[1, 2]] * N, pa.list_(pa.int64(), 2))),
    "maps": pd.arrays.ArrowExtensionArray(pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64()))),
    "mixed levels": pd.Categorical([1, "a"] * (N // 2)),
    "tuple levels": pd.Categorical([(1, 2), (3, 4)] * (N // 2)),
    "half": np.arange(N, dtype=np.float16),
}
GROUPS = {"interval levels", "period levels", "bytes", "decimal", "spans", "times"}  # that make groups
LEFT_OUT = {
    "mixed",
    "complex",
    "sparse",
    "objects",
    "tuples",
    "mixed levels",
    "tuple levels",
}  # of functions
LEVELS = {"interval levels", "period levels", "bytes"}


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(1)
    x = rng.normal(size=N)
    return pd.DataFrame({"x": x, "y": x + rng.normal(size=N), "g": ["a", "b"] * (N // 2), "w": np.ones(N)})


@pytest.fixture(scope="module")
def model(numbers):
    return fusionpy.train(numbers, y=["y"], x=["x"], **TINY)


@pytest.fixture(params=ODD)
def kind(request):
    return request.param


def column_of(kind):
    return pd.Series(ODD[kind], dtype=object if kind in ("list", "tuples") else None)


@pytest.fixture
def odd(numbers, kind):
    return numbers.assign(c=column_of(kind))


def told(verb: Any, *arguments: Any, **options: Any) -> str | None:
    """Call a verb; what it has to say of column c, or None if it works."""
    try:
        verb(*arguments, **options)
    except fusionpy.FusionError as error:
        return str(error) if "`c`" in str(error) else f"silent on the column: {error}"
    return None


def refused(verb: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(fusionpy.FusionError, match="`c`") as caught:
        verb(*arguments, **options)
    return str(caught.value)


def test_unused_they_hurt_no_verb(numbers, model, tmp_path):
    odd = numbers.assign(**{name: column_of(name) for name in ODD})
    wanted = fusionpy.fuse(numbers, model, retain="g", **FUSE)
    pd.testing.assert_frame_equal(fusionpy.fuse(odd, model, retain="g", **FUSE), wanted)
    again = fusionpy.train(odd, y=["y"], x=["x"], **TINY)
    pd.testing.assert_frame_equal(fusionpy.fuse(odd, again, retain="g", **FUSE), wanted)
    both = fusionpy.fuse(odd, model, retain=["g", *ODD], **FUSE)
    path = fusionpy.fuse(odd, model, tmp_path / "f.fsd", retain="g", **FUSE)
    here = analyze("mean(y)", wanted, by="g", quiet=True)
    for implicates, static in ((wanted, odd), (both, None), (both, odd), (path, odd)):
        found = analyze("mean(y)", implicates, static=static, by="g", quiet=True)
        pd.testing.assert_frame_equal(found, here)
    donor = odd.assign(g=pd.Categorical(odd["g"]))
    fused = wanted.drop(columns="g")
    fusionpy.validate(donor, fused, ["g"], min_size=5, quiet=True)
    fusionpy.score(donor, fused, quiet=True, seed=0)
    fusionpy.prep_xy(donor, ["y"], ["x", "g"], quiet=True)
    fusionpy.cross_score(donor, ["y"], ["x"], M=2, **TINY)
    fusionpy.importance(model, data=odd, seed=0)
    fusionpy.report(tmp_path / "report.html", model=model, donor=odd, recipient=odd, quiet=True)
    holes = odd.assign(y=odd["y"].where(odd.index != 2))
    filled = fusionpy.impute(holes, ignore=["g", *ODD], seed=1, quiet=True)
    assert filled["y"].notna().all()


def test_functions_get_what_can_be_had(numbers, model, odd, kind):
    fused = fusionpy.fuse(numbers, model, **FUSE)
    both = fusionpy.fuse(odd, model, retain="c", **FUSE)
    beside: dict[str, Any] = {"static": odd, "quiet": True}
    plain = analyze("mean(y)", fused, quiet=True)["est"].to_list()
    for implicates, how in ((fused, beside), (both, {"quiet": True})):
        found = analyze("mean(z)", implicates, fun=lambda f: f.assign(z=f["y"]), **how)
        assert found["est"].to_list() == plain
    found = analyze({"custom": {"m": lambda f, w: f["y"].mean()}}, both, quiet=True)
    assert found["est"].to_list() == pytest.approx(plain)
    for said in (
        told(analyze, "mean(z)", fused, fun=lambda f: f.assign(z=f["c"].size), **beside),
        told(analyze, "mean(z)", both, fun=lambda f: f.assign(z=f.c.size), quiet=True),
        told(analyze, {"custom": {"m": lambda f, w: f["c"].size}}, fused, **beside),
    ):
        assert (said is None) == (kind not in LEFT_OUT)
        assert said is None or "`c`: holds " in said


def test_used_they_are_named(numbers, model, odd, kind, tmp_path):
    fused = fusionpy.fuse(numbers, model, **FUSE)
    both = fusionpy.fuse(odd, model, retain="c", **FUSE)
    assert both["c"].head(N).to_list() == odd["c"].to_list()
    for implicates, static in ((fused, odd), (both, None)):
        how = {"static": static, "quiet": True}
        if kind != "half":
            refused(analyze, "mean(y)", implicates, weight="c", **how)
        if kind in GROUPS:
            groups = analyze("mean(y)", implicates, by="c", **how)["c"]
            assert len(groups) == odd["c"].nunique()
            if kind.endswith("levels"):
                assert groups.to_list() == [str(level) for level in odd["c"].cat.categories]
        else:
            refused(analyze, "mean(y)", implicates, by="c", **how)
        if kind in LEVELS:
            assert len(analyze("mean(c)", implicates, **how)) == odd["c"].nunique()
        elif kind != "half":
            refused(analyze, "mean(c)", implicates, **how)
    if kind != "half":
        refused(fusionpy.train, odd, y=["y"], x=["x", "c"], **TINY)
        refused(fusionpy.train, odd, y=["c"], x=["x"], **TINY)
    for ending in (".parquet", ".fsd"):
        path = tmp_path / f"f{ending}"
        said = told(fusionpy.fuse, odd, model, path, retain="c", **FUSE)
        assert (said is None) == path.exists()
        if said is not None:
            assert said.startswith("`retain` cannot be carried along")
            assert "`c`" in said
            continue
        back = fusionpy.read_fsd(path, M=None)["c"]
        assert len(back) == 2 * N
        if kind in ("interval levels", "period levels"):
            assert back.head(N).to_list() == [str(level) for level in odd["c"]]


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table])
def test_of_other_frames_too(numbers, model, make):
    columns = {
        "list": [[1, 2]] * N,
        "struct": [{"a": 1}] * N,
        "decimal": [Decimal("1.5")] * N,
        "bytes": [b"a"] * N,
        "times": [pd.Timestamp("2020-01-01 10:00").time()] * N,
    }
    if make is pl.DataFrame:
        columns["objects"] = pl.Series([object() for _ in range(N)], dtype=pl.Object)
    plain = {name: numbers[name].to_list() for name in numbers}
    fused = fusionpy.fuse(make(plain), model, **FUSE)
    here = analyze("mean(y)", fused, static=make(plain), by="g", quiet=True)
    for name, values in columns.items():
        data = make({**plain, "c": values})
        assert fusionpy.fuse(data, model, **FUSE).equals(fused)
        assert analyze("mean(y)", fused, static=data, by="g", quiet=True).equals(here)
        found = analyze("mean(y)", fused, static=data, by="g", fun=lambda f: f, quiet=True)
        assert found.equals(here)
        if name not in ("decimal", "bytes", "times"):
            refused(analyze, "mean(y)", fused, static=data, by="c", quiet=True)


def test_in_files_too(numbers, model, tmp_path):
    columns = {
        "list": pa.array([[1, 2]] * N),
        "struct": pa.array([{"a": 1}] * N),
        "map": pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())),
        "decimal": pa.array([Decimal("1.5")] * N),
        "period": pa.array(pd.PeriodIndex(["2020-01"] * N, freq="M")),
        "bytes": pa.array([b"a"] * N),
        "nothing": pa.nulls(N),
    }
    table = pa.Table.from_pandas(numbers)
    pq.write_table(table, tmp_path / "plain.parquet")
    wanted = fusionpy.fuse(tmp_path / "plain.parquet", model, **FUSE)
    for name, column in columns.items():
        pq.write_table(table.append_column("c", column), tmp_path / "odd.parquet")
        pd.testing.assert_frame_equal(fusionpy.fuse(tmp_path / "odd.parquet", model, **FUSE), wanted)
        kept = fusionpy.fuse(tmp_path / "odd.parquet", model, tmp_path / "f.parquet", retain="c", **FUSE)
        assert len(analyze("mean(y)", kept, quiet=True)) == 1
        if name in ("list", "struct", "map", "period"):
            refused(analyze, "mean(y)", kept, by="c", quiet=True)


@pytest.mark.parametrize("values", [2**63 + np.arange(N, dtype=np.uint64), 2**62 + np.arange(N)])
def test_long_whole_numbers_are_not_said_to_be_one(numbers, values):
    donor = numbers.assign(c=values)
    for how in ({"y": ["c"], "x": ["x"]}, {"y": ["y"], "x": ["c"]}):
        message = refused(fusionpy.train, donor, **how, **TINY)
        assert "beyond 2**53" in message
        assert "the same value" not in message
    with pytest.warns(fusionpy.FusionWarning, match="`c`: all donors of positive weight have the same value"):
        fusionpy.train(numbers.assign(c=2**52), y=["c"], x=["x"], **TINY)


@pytest.mark.parametrize("kind", ["interval levels", "period levels"], indirect=True)
def test_subsets_by_intervals_and_periods(numbers, model, odd, kind):
    """Classes of `pd.cut` are what subsets are often made of."""
    fused = fusionpy.fuse(numbers, model, **FUSE)
    found = fusionpy.validate(odd, fused, ["c"], min_size=5, quiet=True)
    texts = odd.assign(c=odd["c"].cat.rename_categories(str))
    wanted = fusionpy.validate(texts, fused, ["c"], min_size=5, quiet=True)
    pd.testing.assert_frame_equal(found.summary, wanted.summary)
    assert str(fusionpy.score(odd, fused, x="c", seed=1, quiet=True)) == str(
        fusionpy.score(texts, fused, x="c", seed=1, quiet=True)
    )
