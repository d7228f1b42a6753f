"""read_fsd(), and the fst files that fuse() writes: every part of a file is what slicing all of it gives."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved, quick, slow
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy import ArgumentError, FusionWarning, OutputError, SchemaError, read_fsd
from fusionpy.formats.fst import open_fst, read_fst, write_fst
from fusionpy.formats.fst.source import Source
from fusionpy.formats.row_filter import Matches
from fusionpy.formats.stored import write_stored

N, M = 500, 4
LEVELS = ["low", "middle", "high", "never"]


def implicates() -> pa.Table:
    rng = np.random.default_rng(2)
    n = N * M

    def some(values):
        return pa.array(values, mask=rng.random(n) < 0.1)

    return pa.table(
        {
            "M": pa.array(np.repeat(np.arange(1, M + 1), N), pa.int32()),
            "hid": pa.array(np.tile(np.arange(N), M), pa.int32()),
            "kwh": np.where(rng.random(n) < 0.1, np.nan, rng.integers(-2, 3, n) * 0.5),
            "level": pa.DictionaryArray.from_arrays(
                pa.array(rng.integers(0, 3, n), pa.int32()), LEVELS, ordered=True
            ),
            "solar": some(rng.random(n) < 0.3),
            "town": some(np.array(["Æ", "b", "", "dd"])[rng.integers(0, 4, n)]),
            "big": some(rng.integers(2**60, 2**60 + 5, n)),
            "day": some(rng.integers(0, 4, n).astype("datetime64[D]")),
        }
    )


IMPLICATES = implicates()


@pytest.fixture(scope="module", params=["fsd", "fst", "parquet"])
def path(request, tmp_path_factory):
    target = tmp_path_factory.mktemp("fused") / f"fused.{request.param}"
    with write_stored(target, IMPLICATES.schema) as write:
        for first in range(0, len(IMPLICATES), 250):
            write(IMPLICATES.slice(first, 250))
    return target


def rows(table: pa.Table) -> list[str]:
    return [repr(row) for row in table.to_pylist()]


def test_any_columns_of_the_first_implicates(path):
    for most in (1, 2, M, None, math.inf, 2.0, np.int64(3)):
        n = N * (M if most is None or most == math.inf else int(most))
        found = read_fsd(path, M=most, columns=["level", "M"], kind="pyarrow")
        assert found.column_names == ["level", "M"]
        assert rows(found) == rows(IMPLICATES.slice(0, n).select(["level", "M"]))
    assert rows(read_fsd(path, M=M, kind="pyarrow", cores=2)) == rows(IMPLICATES)
    assert read_fsd(path).columns.to_list() == IMPLICATES.column_names
    assert read_fsd(path, columns="hid")["hid"].to_list() == list(range(N))


def test_kinds_of_result(path):
    frame = read_fsd(path)
    assert isinstance(frame, pd.DataFrame)
    assert frame["level"].cat.ordered
    assert frame["level"].cat.categories.to_list() == LEVELS
    polars = read_fsd(path, kind="polars", columns=["level", "kwh"])
    assert isinstance(polars, pl.DataFrame)
    assert polars["level"].dtype == pl.Enum(LEVELS)
    arrow = read_fsd(path, kind="pyarrow")
    assert arrow.schema.field("level").type.ordered


VALUES = {
    "M": st.integers(0, M + 1),
    "hid": st.integers(-1, 9),
    "kwh": st.sampled_from([-1.0, -0.5, 0.0, -0.0, 0.5, 1.0, 7.0, None, math.nan]),
    "level": st.sampled_from([*LEVELS, None, "other"]),
    "solar": st.sampled_from([True, False, None]),
    "town": st.sampled_from(["Æ", "b", "", "dd", "d", None]),
    "big": st.integers(2**60 - 1, 2**60 + 5) | st.none(),
    "day": st.sampled_from([dt.date(1970, 1, 1), dt.date(1970, 1, 3), dt.date(2020, 1, 1), None]),
}


def canonical(value):
    return None if value is None or value != value else value


@halved
@given(data=st.data())
def test_a_semi_join_is_that_of_the_slow_twin(path, data):
    names = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4, unique=True))
    wanted = data.draw(st.lists(st.tuples(*(VALUES[name] for name in names)), max_size=30))
    types = {name: pa.string() if name == "level" else IMPLICATES.schema.field(name).type for name in names}
    where = pa.table(
        {name: pa.array([row[j] for row in wanted], types[name]) for j, name in enumerate(names)}
    )
    if data.draw(st.booleans()):
        where = where.to_pandas() if "big" not in names else pl.from_arrow(where)
    most = data.draw(st.integers(1, M))
    found = read_fsd(path, M=most, where=where, kind="pyarrow")
    keys = {tuple(map(canonical, row)) for row in wanted}
    columns = [IMPLICATES.column(name).to_pylist() for name in names]
    keep = [tuple(map(canonical, row)) in keys for row in zip(*columns, strict=True)]
    keep[most * N :] = [False] * ((M - most) * N)
    assert rows(found) == rows(IMPLICATES.filter(pa.array(keep)))


def test_a_mapping_of_values(path):
    found = read_fsd(path, M=2, where={"hid": [3, 4, 3], "M": 2})
    assert found[["M", "hid"]].to_numpy().tolist() == [[2, 3], [2, 4]]
    for value in (pd.Series([3, 4]), np.array([3, 4]), (3, 4), {3, 4}, pl.Series([3, 4]), [3.0, 4]):
        assert read_fsd(path, where={"hid": value})["hid"].to_list() == [3, 4]
    assert read_fsd(path, where={"town": None})["town"].isna().all()
    assert len(read_fsd(path, where={"town": []})) == 0
    assert len(read_fsd(path, where={})) == N
    levels = read_fsd(path, where={"level": pd.Categorical(["high"])})["level"]
    assert set(levels) == {"high"}
    assert levels.cat.categories.to_list() == LEVELS


def test_no_row_matches(path):
    found = read_fsd(path, where={"hid": -1}, kind="pyarrow")
    assert found.num_rows == 0
    assert found.schema == read_fsd(path, kind="pyarrow").schema
    assert read_fsd(path, where={"hid": -1})["level"].cat.categories.to_list() == LEVELS


def test_rows_in_several_windows(path, monkeypatch):
    monkeypatch.setattr("fusionpy.formats.reading.ROWS_AT_ONCE", 300)
    for module in ("parquet", "fst.stored"):
        monkeypatch.setattr(f"fusionpy.formats.{module}.ROWS_AT_ONCE", 70)
    where = {"town": ["Æ", "dd"], "solar": True}
    found = read_fsd(path, M=3, where=where, kind="pyarrow", columns=["kwh", "solar", "level"])
    part = IMPLICATES.slice(0, 3 * N)
    keep = [
        row["town"] in ("Æ", "dd") and row["solar"] is True
        for row in part.select(["town", "solar"]).to_pylist()
    ]
    assert rows(found) == rows(part.filter(pa.array(keep)).select(["kwh", "solar", "level"]))


def test_only_the_rows_of_the_first_implicates_are_read(tmp_path, monkeypatch):
    n, implicates_ = 60_000, 10
    rng = np.random.default_rng(1)
    schema = pa.schema({"M": pa.int32(), "hid": pa.int32(), "y": pa.float64()})
    with write_stored(tmp_path / "a.fsd", schema) as write:
        for m in range(1, implicates_ + 1):
            write(
                pa.table(
                    [np.full(n, m, np.int32), np.arange(n, dtype=np.int32), rng.normal(size=n)], schema=schema
                )
            )
    size = (tmp_path / "a.fsd").stat().st_size
    read = []
    original = Source.read
    monkeypatch.setattr(Source, "read", lambda self, at, size: read.append(size) or original(self, at, size))
    monkeypatch.setattr("fusionpy.formats.fst.stored.ROWS_AT_ONCE", n)
    assert len(read_fsd(tmp_path / "a.fsd")) == n
    assert sum(read) < 0.12 * size
    read.clear()
    assert read_fsd(tmp_path / "a.fsd", M=None, where={"hid": 7, "M": 3}, columns=["y"]).shape == (1, 1)
    assert sum(read) < 0.5 * size  # all of M and hid, one block of y


def test_memory_is_that_of_the_result(tmp_path, monkeypatch):
    n = 400_000
    schema = pa.schema({"hid": pa.int32(), "y": pa.float64()})
    parts = (pa.table([np.arange(n, dtype=np.int32), np.full(n, k + 0.5)], schema=schema) for k in range(5))
    write_fst(parts, tmp_path / "a.fst", schema, compress=60)
    monkeypatch.setattr("fusionpy.formats.reading.ROWS_AT_ONCE", 2**16)
    pool = pa.default_memory_pool()
    tracemalloc.start()
    try:
        found = read_fsd(tmp_path / "a.fst", where={"hid": [1, 2]})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["y"].to_list() == [k + 0.5 for k in range(5) for _ in range(2)]
    assert peak < 12 * 2**20 < 5 * n * 12
    assert pool.bytes_allocated() < 12 * 2**20


def test_unsorted_and_foreign_files(tmp_path):
    shuffled = IMPLICATES.take(pa.array(np.random.default_rng(1).permutation(len(IMPLICATES))))
    pq.write_table(shuffled, tmp_path / "a.parquet", row_group_size=300)
    write_fst([shuffled], tmp_path / "a.fst", shuffled.schema)
    for ending in ("parquet", "fst"):
        found = read_fsd(tmp_path / f"a.{ending}", M=2, kind="pyarrow")
        keep = pa.array([m <= 2 for m in shuffled["M"].to_pylist()])
        assert rows(found) == rows(shuffled.filter(keep))
    # One row group that holds all of them, and labels that do not start at 1.
    odd = IMPLICATES.set_column(0, "M", pa.array(np.repeat([5.0, 7.0, 8.0, 11.0], N)))
    pq.write_table(odd, tmp_path / "b.parquet")
    assert set(read_fsd(tmp_path / "b.parquet", M=2)["M"]) == {5.0, 7.0}


def test_a_file_without_implicates(tmp_path):
    table = IMPLICATES.drop_columns(["M"])
    write_fst([table], tmp_path / "a.fst", table.schema)
    assert rows(read_fsd(tmp_path / "a.fst", kind="pyarrow")) == rows(table)
    text = table.append_column("M", pa.array(["a"] * len(table)))
    for ending in ("fst", "parquet"):
        target = tmp_path / f"text.{ending}"
        pq.write_table(text, target) if ending == "parquet" else write_fst([text], target, text.schema)
        with pytest.raises(
            ArgumentError, match=r"Column `M` of 'text.*' must hold numbers.*\n  i Pass `M=None`"
        ):
            read_fsd(target)
        assert len(read_fsd(target, M=None)) == len(table)


def test_fewer_implicates_than_asked_for(path):
    with pytest.warns(FusionWarning, match=r"`M` is 9, but 'fused\..*' has 4 implicates\."):
        assert len(read_fsd(path, M=9)) == N * M


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"M": 0}, "`M` must be a whole number of at least 1, or None for all, not 0."),
        ({"M": -math.inf}, "`M` must be"),
        ({"M": "2"}, "`M` must be a whole number of at least 1, or None for all, not '2'."),
        ({"M": True}, "`M` must be"),
        ({"cores": 0}, "`cores` must be a whole number of at least 1, not 0."),
        ({"kind": "R"}, "`kind` must be one of 'pandas', 'polars', 'pyarrow', not 'R'."),
        ({"columns": []}, "`columns` names no column"),
        ({"columns": ["hid", "hid"]}, "`columns` names `hid` more than once."),
        ({"columns": [1]}, "`columns` must be a column name or a list of them"),
        (
            {"columns": "towm"},
            r"`columns` names `towm` \(is `town` meant\?\), not in 'fused\..*'.\n  i It has",
        ),
        ({"where": {"towm": 1, "x": 2}}, "`where` names `towm`, `x`, not in"),
        ({"where": {"town": 1}}, "`town`: `where` has numbers, the file text."),
        ({"where": {"hid": "a", "kwh": True}}, "`kwh`: `where` has logical values, the file numbers."),
        ({"where": {"day": 1}}, "`day`: `where` has numbers, the file dates or times."),
        ({"where": {"town": [["a"]]}}, "`town`: `where` has values of type list"),
        ({"where": {"town": ["a", 1]}}, "`where` has values for `town` that are not of one type"),
        ({"where": {1: 1}}, "`where` must map names of columns to values, not 1."),
        (
            {"where": pd.DataFrame({"hid": ["a", 1]})},
            "`where` has a column `hid` with values of different types",
        ),
    ],
)
def test_wrong_arguments_are_refused(path, arguments, problem):
    with pytest.raises(ArgumentError, match=problem) as raised:
        read_fsd(path, **arguments)
    assert raised.value.headline == "`read_fsd()` cannot start."


def test_all_problems_at_once(path):
    with pytest.raises(ArgumentError) as raised:
        read_fsd("a.csv", M=0, cores=1.5, kind=None, columns=5)
    assert len(raised.value.problems) == 5
    with pytest.raises(ArgumentError) as raised:
        read_fsd(path, columns="no", where={"nor": 1})
    assert len(raised.value.problems) == 2
    with pytest.raises(SchemaError, match=r"`where` cannot be used.\n  x It must be a data frame, not 5"):
        read_fsd(path, where=5)


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "a.fsd").write_bytes(b"no fst file")
    (tmp_path / "a.parquet").write_bytes(b"no Parquet file")
    (tmp_path / "d.fsd").mkdir()
    for name, problem in [
        ("none.fsd", "There is no such file"),
        ("none.parquet", "There is no such file"),
        ("d.fsd", "It is a folder"),
        (".", "Parquet"),
        ("a.fsd", "too short for an fst file"),
        ("a.parquet", "Parquet"),
    ]:
        with pytest.raises(ArgumentError, match=f"cannot be read.*\n  x .*{problem}"):
            read_fsd(tmp_path / name)
    with pytest.raises(ArgumentError, match="Its '~' leads nowhere"):
        read_fsd("~nobody-of-this-name/a.fsd")
    for path in (5, None, ""):
        with pytest.raises(ArgumentError, match="`path` must be the path of a file"):
            read_fsd(path)
    with pytest.raises(ArgumentError, match=r"`path` must end with '.parquet', '.fsd', '.fst', not '.csv'"):
        read_fsd(tmp_path / "a.csv")


@given(
    table=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=12),
    looked_up=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12),
)
def test_rows_of_several_columns_are_looked_up_as_tuples(table, looked_up):
    def columns(tuples):
        return pa.table(
            {name: pa.array([each[j] for each in tuples], pa.int64()) for j, name in enumerate("abc")}
        )

    found = Matches.of(columns(table), columns([]).schema).found(columns(looked_up))
    assert found.tolist() == [each in table for each in looked_up]


# What fuse() writes


@pytest.fixture(scope="module")
def donor():
    frame = fusionpy.datasets.load_donor().head(500).copy()
    frame["gadgets"] = (frame["electricity"] // 1000).astype("int64")
    frame["wealth"] = (frame["electricity"] * 1e7).astype("int64")
    return frame


@pytest.fixture(scope="module")
def model(donor):
    y = ["heating_fuel", "electricity", ["gadgets", "wealth"], "education", "solar"]
    how = {"hyper": {"num_iterations": 5}, "nclusters": 50, "refits": 2, "quiet": True}
    return fusionpy.train(donor, y, ["region", "rooms", "income"], weight="weight", seed=5, **how)


@pytest.fixture(scope="module")
def recipient():
    return fusionpy.datasets.load_recipient().head(701)


@pytest.mark.parametrize("ending", ["fsd", slow("fst"), "FSD"])
def test_fuse_writes_the_same_values_as_in_parquet(model, recipient, tmp_path, ending):
    how = {"M": 3, "retain": ["hid", "region"], "seed": 7, "quiet": True, "chunk": 200}
    target = fusionpy.fuse(recipient, model, tmp_path / f"fused.{ending}", cores=2, **how)
    assert target == str(tmp_path / f"fused.{ending}")
    parquet = fusionpy.fuse(recipient, model, tmp_path / "fused.parquet", **how)
    found, expected = read_fsd(target, M=3), read_fsd(parquet, M=3)
    assert found.attrs == expected.attrs
    assert found.attrs["fusionpy"]["seed"] == 7
    whole = ["hid", "gadgets"]  # they fit R's integer
    assert_frame_equal(found, expected.astype(dict.fromkeys(whole, "int32")))
    assert_frame_equal(expected, fusionpy.fuse(recipient, model, **how))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"fused.{ending}", "fused.parquet"])


def test_the_file_is_as_r_writes_it(model, recipient, tmp_path):
    how = {"M": 2, "retain": "hid", "seed": 7, "quiet": True}
    file = open_fst(fusionpy.fuse(recipient, model, tmp_path / "fused.fsd", **how))
    assert file.keys == ("M",)
    assert file.names == (
        *("M", "hid", "heating_fuel", "electricity", "gadgets", "wealth", "education", "solar"),
    )
    kinds = [column.kind.name for column in file.columns]
    assert kinds == ["integer", "integer", "factor", "double", "integer", "integer64", "ordered", "logical"]
    # The first block is packed weakly and others strongly, as at compress = 90.
    assert read_fst(tmp_path / "fused.fsd", "M")["M"].to_pylist() == [1] * 701 + [2] * 701


def test_retained_columns_keep_the_type_of_r_that_their_fields_name(model, recipient, tmp_path):
    """As R's frames come over the bridge: Arrow's types alone do not tell them apart."""
    head = pa.Table.from_pandas(recipient.head(3), preserve_index=False)
    columns = {
        "day": (pa.array([1, 2, None], pa.date32()), {b"fst": b"IDate"}),
        "small": (pa.array([1, None, 3], pa.int64()), {b"fst": b"integer64"}),
        "noon": (pa.array([0, 1, None], pa.timestamp("us", "UTC")), {b"fst.tzone": b"absent"}),
    }
    for name, (values, metadata) in columns.items():
        head = head.append_column(pa.field(name, values.type, metadata=metadata), values)
    file = open_fst(fusionpy.fuse(head, model, tmp_path / "fused.fsd", retain=[*columns], seed=7, quiet=True))
    assert [column.kind.name for column in file.columns][1:4] == ["IDate", "integer64", "POSIXct"]
    assert file.columns[3].zone is None
    assert [column.to_pylist() for column in file.read([*columns]).columns] == [
        values.to_pylist() for values, _ in columns.values()
    ]


def test_verbs_take_it(model, donor, recipient, tmp_path):
    how = {"M": 3, "seed": 7, "quiet": True}
    fsd = fusionpy.fuse(recipient, model, tmp_path / "fused.fsd", **how)
    held = fusionpy.fuse(recipient, model, **how)
    x = {"mean": ["electricity", "solar"], "sum": "gadgets"}
    found = fusionpy.analyze(x, fsd, static=recipient, by="region", weight="weight", quiet=True)
    assert_frame_equal(
        found, fusionpy.analyze(x, held, static=recipient, by="region", weight="weight", quiet=True)
    )
    back = fusionpy.fuse(donor, model, tmp_path / "back.fsd", **how)
    held = fusionpy.fuse(donor, model, **how)
    names = ["region", "rooms"]
    of = {"subset_vars": names, "weight": "weight", "quiet": True}
    assert fusionpy.validate(donor, back, **of).table.equals(fusionpy.validate(donor, held, **of).table)


def test_what_r_cannot_hold_is_told_before_any_work(model, recipient, tmp_path):
    odd = recipient.assign(both=[[1, 2]] * len(recipient))
    with pytest.raises(SchemaError, match="`retain` names `both`: R has no columns of type list"):
        fusionpy.fuse(odd, model, tmp_path / "a.fsd", retain="both", quiet=True)
    many = pd.concat([recipient] * 6, ignore_index=True)
    with pytest.raises(ArgumentError, match="makes 4,206,000,000 rows, more than R's data frames can have"):
        fusionpy.fuse(many, model, tmp_path / "a.fsd", M=1_000_000, quiet=True)
    with pytest.raises(OutputError, match=r"must end with '.parquet', '.fsd', '.fst', not '.csv'"):
        fusionpy.fuse(recipient, model, tmp_path / "a.csv", quiet=True)
    lowest = recipient.assign(low=np.int32(-(2**31)))
    with pytest.raises(SchemaError, match="`low`: has -2147483648, which is NA to R"):
        fusionpy.fuse(lowest, model, tmp_path / "a.fsd", retain="low", quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing(model, recipient, tmp_path, monkeypatch):
    calls = []
    original = fusionpy.fusion.chunks.draw

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr("fusionpy.fusion.chunks.draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fusionpy.fuse(recipient, model, tmp_path / "a.fsd", M=3, chunk=200, quiet=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_depend_on_m(model, recipient, tmp_path):
    def peak(implicates_: int) -> int:
        tracemalloc.start()
        try:
            fusionpy.fuse(recipient, model, tmp_path / "a.fsd", M=implicates_, seed=1, chunk=701, quiet=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    small, large = peak(8), peak(70)
    assert large < small + 2**20  # 49,070 rows of 45 bytes would be 2.5 MB


@pytest.mark.parametrize(
    ("zone", "unit"),
    quick(
        itertools.product((None, "UTC", "Europe/Paris"), ("s", "ms", "us", "ns")),
        [(None, "s"), (None, "us"), ("UTC", "ms"), ("Europe/Paris", "ns")],
    ),
)
def test_times_keep_their_zone_or_have_none(tmp_path, unit, zone):
    """Times without a zone are not of UTC, though R has them so."""
    times = pd.Series(pd.to_datetime(["2020-02-29 13:45:00", None, "1969-12-31 23:59:59"])).dt.as_unit(unit)
    recipient = pd.DataFrame(
        {"x": [0.5, 1.5, 2.5], "time": times if zone is None else times.dt.tz_localize(zone)}
    )
    donor = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) % 7})
    model = fusionpy.train(donor, ["y"], ["x"], refits=0, hyper={"num_iterations": 3}, seed=1, quiet=True)
    for ending in (".fsd", ".parquet"):
        path = fusionpy.fuse(recipient, model, tmp_path / f"f{ending}", retain="time", seed=1, quiet=True)
        back = fusionpy.read_fsd(path)["time"]
        assert str(back.dt.tz) == str(zone)
        assert (back.isna() == recipient["time"].isna()).all()
        assert (back.dropna() == recipient["time"].dropna()).all()
        for kind in ("polars", "pyarrow"):
            assert fusionpy.read_fsd(path, kind=kind).to_pandas()["time"].dt.tz == back.dt.tz
