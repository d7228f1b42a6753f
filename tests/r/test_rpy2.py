"""Frames between R and Python within one process, and R's fusionModel beside fusionpy.

`pytest -m r` runs these; they need rpy2, and R with the packages bit64, data.table, jsonlite and tibble. The
fusionModel that is run here is a stand-in of our own (``fusionModel_mock.R``), which draws donors at random.
"""

import datetime
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE

from fusionpy import datasets, fuse, train
from fusionpy.errors import ArgumentError, FusionError, FusionWarning, SchemaError
from fusionpy.r import compare_with_r, from_r, marginals, read_rda, read_rds, session, to_r

HAS_RPY2 = any(distributions(name="rpy2-rinterface"))
pytestmark = [
    pytest.mark.r,
    pytest.mark.skipif(not HAS_RPY2 or shutil.which("R") is None, reason="needs R and rpy2"),
]
HERE = Path(__file__).parent
NA_BITS = 0x7FF00000000007A2
MICRO = datetime.timedelta(microseconds=1)


def run_r(script, *arguments):
    command = ["Rscript", "--vanilla", str(HERE / script), *map(str, arguments)]
    environment = {**os.environ, "TZ": "UTC"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment
    )
    if done.returncode and "there is no package called" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    run_r("frames.R", folder)
    return folder


@pytest.fixture(scope="module")
def r():
    """Evaluate R in this process."""
    return session.rinterface().evalr


# What R says of a frame, and what we read.


def text_of(value, name, facts):
    """Write a value as frames.R does."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if name == "byte":
        return f"{value:02x}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime.datetime):
        since = (value - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // MICRO
        return f"{value:%Y-%m-%d %H:%M:%S} {since}"
    if isinstance(value, datetime.timedelta):
        return (value / MICRO / 1e6).hex()
    return str(value)


def same_number(text, value):
    if text in ("NaN", "Inf", "-Inf"):
        return math.isnan(value) if text == "NaN" else value == float(text)
    return struct.pack("d", float.fromhex(text)) == struct.pack("d", value)


@pytest.mark.parametrize("n", [0, 1, 2, 40])
def test_read_rds_has_what_r_says(frames, n):
    table = read_rds(frames / f"frame_{n}.rds", kind="pyarrow")
    told = json.loads((frames / f"frame_{n}.json").read_text())
    assert table.column_names == told["names"]
    assert table.num_rows == told["n"]
    for name, facts in zip(told["names"], told["columns"], strict=True):
        column = table.column(name).combine_chunks()
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if facts["levels"]:
            assert column.dictionary.to_pylist() == facts["levels"], name
            assert column.type.ordered == ("ordered" in facts["class"]), name
        if pa.types.is_timestamp(column.type) and column.type.tz == "UTC":
            column = column.cast(pa.timestamp("us", "UTC"))
        values = column.to_pylist()
        assert [value is None for value in values] == facts["missing"], name
        for value, text in zip(values, facts["values"], strict=True):
            if value is None:
                continue
            if isinstance(value, float | datetime.timedelta):
                value = value / MICRO / 1e6 if isinstance(value, datetime.timedelta) else value
                assert same_number(text, value), (name, text, value)
            else:
                assert text_of(value, name, facts) == text, name


@pytest.mark.parametrize("n", [0, 1, 2, 40])
@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_there_and_back_is_identical_to_r(frames, r, n, kind):
    path = str(frames / f"frame_{n}.rds")
    original = r("readRDS")(path)
    returned = to_r(read_rds(path, kind=kind))
    differ = r("""function(a, b) {
      attr(a, "row.names") <- .set_row_names(nrow(a))
      same <- mapply(identical, a, b, MoreArgs = list(num.eq = FALSE, single.NA = TRUE))
      c(names(a)[!same], if (!identical(names(a), names(b))) "names", if (!identical(dim(a), dim(b))) "dim")
    }""")(original, returned)
    assert list(differ) == []


def test_pandas_types(frames):
    full, short = read_rds(frames / "frame_40.rds"), read_rds(frames / "frame_1.rds")
    expected = {
        "flag": ("boolean", "bool"),
        "all_there": ("bool", "bool"),
        "whole": ("Int32", "int32"),
        "count": ("int32", "int32"),
        "amount": ("float64", "float64"),
        "kind": ("category", "category"),
        "day": ("date32[day][pyarrow]", "date32[day][pyarrow]"),
        "moment": ("datetime64[us, America/New_York]", "datetime64[us, America/New_York]"),
        "moment_here": ("datetime64[us, UTC]", "datetime64[us, UTC]"),
        "lasts_mins": ("timedelta64[us]", "timedelta64[us]"),
        "large": ("Int64", "int64"),
        "byte": ("uint8", "uint8"),
    }
    found = {name: (str(full[name].dtype), str(short[name].dtype)) for name in expected}
    assert found == expected
    assert full["size"].cat.ordered
    assert not full["kind"].cat.ordered
    assert full["size"].cat.categories.to_list() == ["small", "middle", "large"]
    assert isinstance(full.index, pd.RangeIndex)
    with np.errstate(all="raise"):  # R's own NA would signal
        assert (full["amount_plain"].to_numpy() * 2).shape == (40,)


def test_polars(frames):
    frame = read_rds(frames / "frame_40.rds", kind="polars")
    assert frame.schema["size"] == pl.Enum(["small", "middle", "large"])
    assert frame["whole"].null_count() == 1


def test_read_rda(frames):
    one = read_rda(frames / "one.rda")
    assert list(one) == ["frame"]
    assert len(one["frame"]) == 3
    with pytest.warns(FusionWarning, match="left out: `model` \\('lm'\\)"):
        several = read_rda(frames / "several.rda")
    assert list(several) == ["third", "frame", "other"]
    assert several["other"]["a"].to_list() == [1, 2]
    assert several["third"]["b"].isna().to_list() == [False, True]
    pd.testing.assert_frame_equal(several["frame"], one["frame"])


def test_row_names(frames):
    assert "name" not in read_rds(frames / "cars.rds")
    cars = read_rds(frames / "cars.rds", row_names="name")
    assert cars["name"].iloc[0] == "Mazda RX4"
    assert cars["mpg"].iloc[0] == 21.0
    assert cars.columns[0] == "name"
    with pytest.raises(SchemaError, match="same name: `mpg`"):
        read_rds(frames / "cars.rds", row_names="mpg")


def test_agrees_with_the_reader_without_r(frames):
    from fusionpy.formats import rds

    for n in (0, 1, 2, 40):
        path = frames / f"frame_{n}.rds"
        table, value = read_rds(path, kind="pyarrow"), rds.read_rds(path.read_bytes())
        assert value.names == tuple(table.column_names)
        for name, vector in value.entries().items():
            column, held = table.column(name), vector.values  # noqa: PD011
            if vector.kind == "character":
                assert list(held) == column.to_pylist(), name
            elif "factor" in vector.classes:
                codes = column.combine_chunks()
                codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
                theirs = [None if code < 0 else code - 1 for code in held.tolist()]
                assert theirs == codes.indices.to_pylist(), name
                assert list(vector.attributes["levels"].values) == codes.dictionary.to_pylist()
            elif not vector.classes and vector.kind in ("logical", "integer"):
                theirs = [None if value == -(2**31) else value for value in held.tolist()]
                assert theirs == column.to_pylist(), name
            elif not vector.classes and vector.kind == "double":
                bits = np.asarray(column.is_null()) | (
                    held.view(np.uint64) == column.fill_null(0).to_numpy().view(np.uint64)
                )
                assert bits.all(), name


# What we hand over, and what R says.


def test_what_r_sees(r):
    frame = pd.DataFrame(
        {
            "flag": pd.array([True, None, False], "boolean"),
            "plain": [True, False, True],
            "i8": np.array([1, 2, 3], np.int8),
            "i64": [1, -2, 2**31 - 1],
            "wide": [1, -2, 2**31],
            "nullable": pd.array([1, None, 3], "Int64"),
            "f": [1.5, np.nan, np.inf],
            "f32": np.array([0.5, 2, 3], np.float32),
            "text": ["a", None, "é\nNA"],
            "kind": pd.Categorical(["b", None, "a"], ["z", "b", "a"]),
            "number": pd.Categorical([3, 1, 3], [1, 2, 3], ordered=True),
            "naive": pd.to_datetime(["2024-03-10 12:00:00.5", None, "1960-01-01 00:00:00.0"]),
            "aware": pd.to_datetime(["2024-03-10 12:00", None, "1960-01-01 00:00"]).tz_localize(
                "Europe/Paris"
            ),
            "offset": pd.to_datetime(["2024-03-10 12:00", None, "1960-01-01 00:00"]).tz_localize("+05:30"),
            "lasts": pd.to_timedelta([1.5, None, -2], unit="s"),
        },
        index=[5, 6, 7],
    )
    frame.insert(
        0, "date", pd.Series([datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)], index=frame.index)
    )
    told = r("""function(x) {
      expected <- data.frame(date = as.Date(c("2024-02-29", NA, "0001-01-01")))
      expected$flag <- c(TRUE, NA, FALSE)
      expected$plain <- c(TRUE, FALSE, TRUE)
      expected$i8 <- 1:3
      expected$i64 <- c(1L, -2L, .Machine$integer.max)
      expected$wide <- bit64::as.integer64(c("1", "-2", "2147483648"))
      expected$nullable <- c(1L, NA, 3L)
      expected$f <- c(1.5, NA, Inf)
      expected$f32 <- c(0.5, 2, 3)
      expected$text <- c("a", NA, "\\u00e9\\nNA")
      expected$kind <- factor(c("b", NA, "a"), c("z", "b", "a"))
      expected$number <- factor(c("3", "1", "3"), c("1", "2", "3"), ordered = TRUE)
      expected$naive <- as.POSIXct(c("2024-03-10 12:00:00.5", NA, "1960-01-01 00:00:00"), tz = "UTC")
      expected$aware <- as.POSIXct(c("2024-03-10 12:00", NA, "1960-01-01 00:00"), tz = "Europe/Paris")
      expected$offset <- as.POSIXct(c("2024-03-10 06:30", NA, "1959-12-31 18:30"), tz = "UTC")
      expected$lasts <- as.difftime(c(1.5, NA, -2), units = "secs")
      differ <- !mapply(identical, expected, x, MoreArgs = list(num.eq = FALSE))
      wrong <- c(names = !identical(names(x), names(expected)), rows = !identical(.row_names_info(x), -3L))
      c(names(x)[differ], names(which(wrong)))
    }""")(to_r(frame))
    assert list(told) == []


def test_missing_numbers_are_na_unless_they_came_as_nan(r):
    is_nan = r("function(x) is.nan(x$a)")
    assert list(is_nan(to_r(pd.DataFrame({"a": [np.nan, 1.0]})))) == [False, False]
    came = from_r(r("data.frame(a = c(NA, NaN, 1))"))
    assert came["a"].isna().to_list() == [True, True, False]
    assert list(is_nan(to_r(came))) == [False, True, False]
    assert list(is_nan(to_r(pl.DataFrame({"a": [None, float("nan"), 1.0]})))) == [False, True, False]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@st.composite
def arrow_tables(draw):
    n = draw(st.integers(0, 12))

    def column(values, kind):
        return pa.array(draw(st.lists(st.none() | values, min_size=n, max_size=n)), kind)

    def levels_of(ordered):
        levels = draw(st.lists(TEXT, min_size=1, max_size=5, unique=True))
        codes = column(st.integers(0, len(levels) - 1), pa.int32())
        return pa.DictionaryArray.from_arrays(codes, pa.array(levels, pa.string()), ordered=ordered)

    instant = st.integers(-(2**52), 2**52)  # microseconds that a double has
    makers = [
        lambda: column(st.booleans(), pa.bool_()),
        lambda: column(st.integers(-(2**31) + 1, 2**31 - 1), pa.int32()),
        lambda: column(st.floats(), pa.float64()),
        lambda: column(TEXT, pa.string()),
        lambda: levels_of(False),
        lambda: levels_of(True),
        lambda: column(st.integers(-700_000, 2_900_000), pa.int32()).cast(pa.date32()),
        lambda: column(instant, pa.int64()).cast(pa.timestamp("us", "Asia/Kolkata")),
        lambda: column(instant, pa.int64()).cast(pa.duration("us")),
        lambda: pa.array(
            [2**40, *column(st.integers(-(2**63) + 1, 2**63 - 1), pa.int64()).to_pylist()][1:], pa.int64()
        ),
    ]
    chosen = draw(st.lists(st.sampled_from(makers), min_size=1, max_size=6))
    names = draw(st.lists(TEXT, min_size=len(chosen), max_size=len(chosen), unique=True))
    arrays = [make() for make in chosen]
    fields = [
        pa.field(name, array.type, metadata={"fst": "integer64"} if array.type == pa.int64() else None)
        for name, array in zip(names, arrays, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


@given(arrow_tables())
def test_arrow_there_and_back(table):
    returned = from_r(to_r(table), kind="pyarrow")
    assert returned.schema.equals(table.schema, check_metadata=False)
    for name in table.column_names:
        mine, theirs = (each.column(name).to_pylist() for each in (table, returned))
        same = [
            a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))
            for a, b in zip(mine, theirs, strict=True)
        ]
        assert all(same), (mine, theirs)
        if pa.types.is_dictionary(table.schema.field(name).type):
            assert returned.column(name).chunk(0).dictionary.equals(table.column(name).chunk(0).dictionary)


@given(arrow_tables())
def test_pandas_there_and_back(table):
    frame = from_r(to_r(table))
    again = from_r(to_r(frame))
    pd.testing.assert_frame_equal(again, frame)
    assert again.attrs == frame.attrs


def test_frames_without_rows_or_columns(r):
    bare = from_r(r("data.frame(row.names = 1:3)"))
    assert bare.shape == (3, 0)
    assert list(r("dim")(to_r(bare))) == [3, 0]
    assert from_r(r("data.frame()"), kind="pyarrow").shape == (0, 0)
    assert from_r(r("data.frame()"), kind="polars").shape == (0, 0)


def test_a_million_rows(r):
    frame = from_r(r("data.frame(a = as.double(1:1e6), b = sample(letters, 1e6, TRUE), c = rev(1:1e6))"))
    assert frame["a"].sum() == 500000500000
    assert frame["c"].iloc[0] == 10**6
    assert frame["b"].nunique() == 26
    assert r("function(x) sum(x$a * x$c)")(to_r(frame))[0] == pytest.approx((frame["a"] * frame["c"]).sum())


# What cannot be.


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("list(1, 2)", "is of class 'list'"),
        ("1:3", "is of class 'integer'"),
        ("matrix(1:4, 2)", "is of class 'matrix', 'array'"),
        (
            "structure(list(1, 2), names = c('a', 'a'), row.names = 1L, class = 'data.frame')",
            "same name: `a`",
        ),
        ("structure(list(1, 2:3), names = c('a', 'b'), row.names = 1L, class = 'data.frame')", "damaged"),
        ("structure(list(1), row.names = 1L, class = 'data.frame')", "damaged"),
        ("data.frame(a = I(list(1, 2)), b = 1:2, c = I(list('x', 1:5)))", "`a`, `c`: lists."),
        ("data.frame(a = I(matrix(1:4, 2)))", "`a`: a matrix."),
        ("data.frame(a = complex(2))", "`a`: complex numbers."),
        ("local({x <- data.frame(a = 1); x$b <- data.frame(z = 1); x})", "`b`: a data frame."),
        ("local({x <- 'f\\xe7'; Encoding(x) <- 'bytes'; data.frame(a = x)})", "`a`: text in an encoding"),
        ("data.frame(a = structure(3L, levels = 'x', class = 'factor'))", "`a`: a factor with codes"),
        ("data.frame(a = structure(0L, levels = 'x', class = 'factor'))", "`a`: a factor with codes"),
        ("data.frame(a = structure(1L, class = 'factor'))", "`a`: a factor without levels"),
    ],
)
def test_what_cannot_be_taken(r, source, words):
    with pytest.raises(SchemaError) as caught:
        from_r(r(source))
    assert words in str(caught.value)


def test_what_is_lost_is_told(r):
    taken = r("""local({
      x <- data.frame(a = 1:2, b = structure(c(1, Inf), class = "Date"), c = 1:2)
      class(x$a) <- "labelled"
      x
    })""")
    with pytest.warns(FusionWarning) as caught:
        frame = from_r(taken)
    (warning,) = caught
    assert str(warning.message) == (
        "`frame`: `a`: class 'labelled' dropped. `b`: 1 infinite, or too far from 1970, made missing."
    )
    assert warning.filename == __file__
    assert frame["a"].to_list() == [1, 2]
    assert frame["b"].isna().to_list() == [False, True]
    assert not from_r(r("data.frame(a = addNA(factor(c('x', NA))))"))["a"].cat.categories.hasnans
    assert from_r(r("local({x <- data.frame(b = 1); x$a <- as.POSIXlt('2024-01-01', tz = 'UTC'); x})"))[
        "a"
    ].iloc[0] == pd.Timestamp("2024-01-01", tz="UTC")
    weeks = from_r(r("data.frame(a = as.difftime(c(2, NA), units = 'weeks'))"))["a"]
    assert weeks.iloc[0] == pd.Timedelta(days=14)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([[1], [2]]), "`a`: values of type list"),
        (pa.array(["x\0y", "z"]), "`a`: text with a zero byte."),
        (pa.array([2**63, 1], pa.uint64()), "`a`: numbers that are too large."),
        (pa.array([-(2**63), 1], pa.int64()), "`a`: -9223372036854775808, which is NA to R."),
    ],
)
def test_what_cannot_be_handed_over(column, words):
    with pytest.raises(SchemaError) as caught:
        to_r(pa.table({"a": column, "b": [1, 2]}))
    assert words in str(caught.value)
    with pytest.raises(SchemaError, match="must be a data frame"):
        to_r([1, 2])


def test_files_that_cannot_be_read(frames, tmp_path):
    junk, other = tmp_path / "junk é.rds", tmp_path / "text.rda"
    junk.write_bytes(b"\x1f\x8bnot a file of R")
    other.write_text("a,b\n1,2\n")
    cut = tmp_path / "cut.rds"
    cut.write_bytes((frames / "frame_40.rds").read_bytes()[:600])
    for path in (junk, cut):
        with pytest.raises(ArgumentError, match="cannot be read") as caught:
            read_rds(path)
        assert "R says: " in str(caught.value)
    with pytest.raises(ArgumentError, match="R says: "):
        read_rda(other)
    with pytest.raises(ArgumentError, match="no such file"):
        read_rds(tmp_path / "absent.rds")
    with pytest.raises(ArgumentError, match="is a folder"):
        read_rda(tmp_path)
    with pytest.raises(SchemaError, match=r"'model\.rds' holds is not a data frame"):
        read_rds(frames / "model.rds")
    with pytest.raises(SchemaError, match="has no data frame"):
        read_rda(frames / "none.rda")
    with pytest.raises(ArgumentError, match="`kind` must be one of"):
        read_rds(junk, kind="R")
    with pytest.raises(ArgumentError, match="`row_names` must be"):
        read_rda(junk, row_names=3)
    with pytest.raises(SchemaError, match="one of rpy2's objects"):
        from_r(pd.DataFrame({"a": [1]}))


# How R starts.


def in_python(code):
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_importing_starts_nothing():
    said = in_python("import sys, fusionpy.r\nprint([m for m in sys.modules if m.startswith('rpy2')])")
    assert said.stdout.strip() == "[]"


def test_starting_is_quiet_and_leaves_the_process_as_it_was(r, frames):
    code = f"""if True:
        import locale, os, signal
        import fusionpy.r
        signal.signal(signal.SIGINT, handler := lambda *_: None)
        before = locale.setlocale(locale.LC_ALL), dict(os.environ)
        assert len(fusionpy.r.read_rds({str(frames / "frame_40.rds")!r})) == 40
        assert signal.getsignal(signal.SIGINT) is handler
        assert locale.setlocale(locale.LC_ALL) == before[0]
        new = {{name for name in os.environ if os.environ[name] != before[1].get(name)}}
        assert all(name.startswith(("R_", "PYTHON_SESSION")) for name in new), new
        assert set(before[1]) <= set(os.environ)
    """
    said = in_python(code)
    assert said.stdout == ""
    assert said.stderr == ""


def test_r_started_by_others_is_used(r):
    code = """if True:
        import warnings
        warnings.simplefilter("ignore")
        import rpy2.robjects
        mine = rpy2.robjects.r("data.frame(a = c(1.5, NA))")
        import fusionpy.r
        assert fusionpy.r.from_r(mine)["a"].isna().tolist() == [False, True]
        assert list(rpy2.robjects.r["dim"](fusionpy.r.to_r(fusionpy.r.from_r(mine)))) == [2, 1]
    """
    in_python(code)


def test_without_rpy2(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(session, "distribution", absent)
    with pytest.raises(ImportError, match=r'needs rpy2, which is not installed: pip install "fusionpy\[r\]"'):
        session.rinterface.__wrapped__()


def test_without_r(monkeypatch, tmp_path):
    monkeypatch.delenv("R_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FusionError, match="no R on the path"):
        session.find_r()
    monkeypatch.setenv("R_HOME", str(tmp_path / "absent"))
    with pytest.raises(FusionError, match="which is no folder"):
        session.find_r()


def test_rpy2_that_does_not_go_with_r(monkeypatch):
    def fail(name):
        raise ImportError("undefined symbol: R_getVar")

    monkeypatch.setattr(session.importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"undefined symbol.*\n.*rpy2-rinterface<3.6.6"):
        session.rinterface.__wrapped__()


# R's fusionModel beside fusionpy.


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    run_r("fusionModel_mock.R", folder, tmp_path_factory.mktemp("sources"))
    return folder


@pytest.fixture(scope="module")
def surveys():
    donor, recipient = datasets.load_donor().head(600), datasets.load_recipient().head(300)
    donor = donor.assign(region=donor["region"].astype(str))
    return donor, recipient.assign(region=recipient["region"].astype(str))


ARGUMENTS = {"x": ["region", "rooms"], "refits": 0, "quiet": True}


def test_side_by_side(r, library, surveys):
    donor, recipient = surveys
    y = ["electricity", ["tenure", "vehicles"]]
    asked = dict(weight="weight", by=["urban", "region"], M=12, seed=3, library=library, **ARGUMENTS)
    found = compare_with_r(donor, recipient, y, **asked)
    assert found.columns.to_list() == [
        "by", "group", "n", "y", "level", "statistic", "python", "r", "difference", "se", "z",
    ]  # fmt: skip
    overall = found[found["by"].isna()].set_index(["y", "statistic", "level"])
    assert (overall["n"] == 300).all()
    assert found.loc[found["by"] == "urban"].groupby("group")["n"].first().sum() == 300
    assert set(found.loc[found["by"] == "region", "group"]) == set(recipient["region"])
    # The stand-in draws from all donors by weight.
    w = donor["weight"] / donor["weight"].sum()
    real = {
        ("electricity", "mean"): ((w * donor["electricity"]).sum(), donor["electricity"].std()),
        ("tenure", "share"): (w[donor["tenure"] == "owner"].sum(), 0.5),
        ("vehicles", "zero"): (w[donor["vehicles"] == 0].sum(), 0.5),
    }
    for (name, statistic), (expected, spread) in real.items():
        rows = overall.loc[(name, statistic)]
        value = rows["r"].iloc[0] if name != "tenure" else rows.loc["owner", "r"]
        assert abs(value - expected) < 4 * spread / np.sqrt(12 * 300), name
    assert overall.loc[("tenure", "share"), ["python", "r"]].sum().tolist() == pytest.approx([1, 1])
    assert found.attrs["fusionpy"]["fusionModel"] == "0.0.1"
    assert found.attrs["fusionpy"]["seconds"].keys() == {"python", "r"}
    again = compare_with_r(donor, recipient, y, **asked)
    pd.testing.assert_frame_equal(again, found)


def test_pythons_side_is_what_fuse_makes(r, library, surveys):
    donor, recipient = surveys
    found = compare_with_r(donor, recipient, "electricity", M=5, seed=3, library=library, **ARGUMENTS)
    train_seed, fuse_seed, _ = np.random.default_rng(3).integers(0, 2**31, (1, 3)).tolist()[0]
    levels = sorted({*donor["region"], *recipient["region"]})
    given, taken = (each.assign(region=pd.Categorical(each["region"], levels)) for each in surveys)
    model = train(given, "electricity", method="fusionModel", seed=train_seed, **ARGUMENTS)
    fused = fuse(taken, model, M=5, seed=fuse_seed, quiet=True)
    each = fused.groupby("M")["electricity"]
    mean = found.loc[found["statistic"] == "mean"].iloc[0]
    assert mean["python"] == pytest.approx(each.mean().mean())
    median = found.loc[found["statistic"] == "q50"].iloc[0]
    assert median["python"] == pytest.approx(each.median().mean())
    assert mean["z"] == pytest.approx(mean["difference"] / mean["se"])
    assert mean["se"] ** 2 > each.mean().var() / 5


def test_what_r_is_given(r, library, surveys, tmp_path, monkeypatch):
    donor, recipient = surveys
    monkeypatch.setenv("MOCK_SEEN", str(tmp_path / "seen.R"))
    compare_with_r(
        donor, recipient, ["electricity", ["tenure", "vehicles"]], x=[["region"], ["rooms", "electricity"]],
        M=2, seed=1, library=library, krange=(10, 50), hyper={"num_leaves": [8, 16], "boosting": "gbdt"},
        refits=0, quiet=True,
    )  # fmt: skip
    seen = r(f"""identical(eval(parse("{tmp_path / "seen.R"}")), list(
      y = list("electricity", c("tenure", "vehicles")), x = list("region", c("rooms", "electricity")),
      krange = c(10, 50), hyper = list(num_leaves = c(8, 16), boosting = "gbdt")))""")
    assert seen[0], (tmp_path / "seen.R").read_text()


def test_repeats(r, library, surveys):
    found = compare_with_r(*surveys, "vehicles", M=3, repeats=2, seed=3, library=library, **ARGUMENTS)
    assert found.attrs["fusionpy"]["repeats"] == 2
    assert found["statistic"].to_list() == ["mean", *(f"q{d}0" for d in range(1, 10)), "zero"]
    assert (found["se"] >= 0).all()


def test_differences_by_hand():
    groups = [marginals.Group(None, None, np.arange(4)), marginals.Group("a", "b", np.arange(2))]
    statistics = [marginals.Statistic("y", None, "mean")]
    mine = np.array([1.0, 2, 3, 5, 5, 5]).reshape(2, 3).T[None, :, :, None]  # (1, 3, 2, 1)
    theirs = np.array([2.0, 2, 2, 4, 5, 6]).reshape(2, 3).T[None, :, :, None]
    once = marginals.tabulate(mine, theirs, statistics, groups)
    assert once["python"].to_list() == [2, 5]
    assert once["se"].to_list() == pytest.approx([np.sqrt(1 / 3), np.sqrt(1 / 3)])
    assert once["z"].to_list() == [0, 0]
    assert once["n"].to_list() == [4, 2]
    later = marginals.tabulate(
        np.concatenate([mine, mine + 2]), np.concatenate([theirs, theirs]), statistics, groups
    )
    assert later["difference"].to_list() == [1, 1]
    assert later["se"].to_list() == pytest.approx([1, 1])  # means of 2 and 4, and no spread in R
    same = marginals.tabulate(theirs[:, :, :1] * 0 + 1, theirs[:, :, :1] * 0 + 2, statistics, groups[:1])
    assert same["z"].to_list() == [-np.inf]


def test_comparisons_that_cannot_start(r, library, surveys, tmp_path, tmp_path_factory, monkeypatch):
    donor, recipient = surveys
    with pytest.raises(ArgumentError) as caught:
        compare_with_r(
            donor, recipient, "electricity", x="rooms", M=1, repeats=0, cores=0, seed=-1, nfold=3,
            fsn="a.fsn", library=tmp_path / "absent",
        )  # fmt: skip
    for words in (
        "`M`",
        "`repeats`",
        "`cores`",
        "`seed`",
        "`nfold` is no",
        "`nfolds`",
        "`fsn` is no",
        "`library`",
    ):
        assert words in str(caught.value.problems)
    with pytest.raises(SchemaError) as caught:
        compare_with_r(
            donor.rename(columns={"rooms": "no. of rooms"}), recipient, "electricity",
            x=["no. of rooms", "incme"], by="urbn", quiet=True,
        )  # fmt: skip
    for words in ("a name that R does not take", "`incme`", "`urbn`"):
        assert words in str(caught.value.problems)
    monkeypatch.delenv("R_LIBS", raising=False)
    with pytest.raises(FusionError, match=r"fusionModel is not installed\.\n(.*\n)*.*ummel/fusionModel"):
        compare_with_r(donor, recipient, "electricity", library=tmp_path, **ARGUMENTS)
    with pytest.raises(FusionError, match=r"fusionModel failed\.\n(.*\n)*.*seven folds"):
        compare_with_r(donor, recipient, "electricity", M=2, library=library, nfolds=7, **ARGUMENTS)
    facade = tmp_path_factory.mktemp("facade")
    run_r("fusionModel_mock.R", facade, tmp_path_factory.mktemp("sources"), "fusionpy")
    with pytest.raises(FusionError, match="own stand-in"):
        compare_with_r(donor, recipient, "electricity", library=facade, **ARGUMENTS)
