"""Reading fst: what R wrote comes back value for value, any window of it; what is damaged is refused."""

from __future__ import annotations

import json
import math
import os
import random
import re
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.errors import ArgumentError
from fusionpy.formats.fst import FstFile, open_fst, pack_fst, read_fst
from fusionpy.formats.fst_codecs import ALGORITHMS, Damaged, decode_blocks, encode_blocks, hashed, unpack
from fusionpy.formats.fst_columns import Source

NA = -(2**31)
SECONDS = {"secs": 1, "mins": 60, "hours": 3600, "days": 86_400}
FINE = {"s": 1, "us": 1_000_000, "ns": 1_000_000_000}


@pytest.fixture(scope="session")
def golden(shared: Path) -> dict[str, tuple[Path, dict]]:
    folder = shared / "reference" / "fst"
    each = {
        path.stem: (path, json.loads(path.with_suffix(".json").read_text())) for path in folder.glob("*.fst")
    }
    assert len(each) > 70
    return each


@pytest.fixture(scope="session")
def whole(golden) -> dict[str, tuple[Path, dict]]:
    return {name: (path, told) for name, (path, told) in golden.items() if "error" not in told}


def plain(array: pa.ChunkedArray) -> list:
    """Values as the golden files give them: bare numbers of R's unit, NaN and Inf as text."""
    kind = array.type
    if pa.types.is_temporal(kind):
        array = array.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    return [
        {math.inf: "Inf", -math.inf: "-Inf"}.get(v, "NaN" if math.isnan(v) else v)
        if isinstance(v, float)
        else v
        for v in array.to_pylist()
    ]


def expected(column: dict, kind: pa.DataType) -> list:
    values = column["values"]
    classes = column["r_class"]
    if "factor" in classes:
        levels = column["levels"]
        if isinstance(levels, dict):
            levels = [str(i) for i in range(levels["range"][0], levels["range"][1] + 1)]
        return [None if v is None else levels[v - 1] for v in values]
    if "Date" in classes:
        return [None if v is None else math.floor(v) for v in values]
    if not pa.types.is_temporal(kind):
        return [-0.0 if v == "-0" else v for v in values]
    if "nanotime" in classes:
        return values
    unit = FINE[kind.unit] * (SECONDS[column["units"]] if "difftime" in classes else 1)
    return [None if v is None else round(v * unit) for v in values]


ARROW = {
    "character": pa.string(),
    "factor": pa.dictionary(pa.int32(), pa.string()),
    "ordered": pa.dictionary(pa.int32(), pa.string(), ordered=True),
    "integer": pa.int32(),
    "numeric": pa.float64(),
    "logical": pa.bool_(),
    "integer64": pa.int64(),
    "Date": pa.date32(),
    "IDate": pa.date32(),
    "nanotime": pa.timestamp("ns", "UTC"),
    "raw": pa.uint8(),
}


def test_every_golden_file_holds_what_r_read_from_it(whole):
    for name, (path, told) in whole.items():
        file = open_fst(path)
        table = file.read()
        table.validate(full=True)
        assert list(file.names) == [column["name"] for column in told["columns"]], name
        assert (file.n_rows, list(file.keys)) == (told["nrow"], told["keys"]), name
        assert table.schema.equals(file.schema, check_metadata=True)
        for j, column in enumerate(told["columns"]):
            found = table.column(j)
            label = f"{name} {column['name']}"
            assert len(found) == told["nrow"]
            assert plain(found) == expected(column, found.type), label
            first = column["r_class"][0]
            if first in ARROW:
                assert found.type == ARROW[first], label
            if first == "POSIXct":
                assert found.type.tz == (column["tzone"] or "UTC"), label
            if "factor" in column["r_class"] and isinstance(column["levels"], list):
                levels = [level for level in column["levels"] if level is not None]
                assert found.combine_chunks().dictionary.to_pylist() == levels, label


def test_signs_of_zero_and_nan_survive(whole):
    path, told = whole["dbl_n4500_c75"]
    values = told["columns"][0]["values"]
    found = read_fst(path).column(0)
    assert {"NaN", "-0", None} <= set(values)
    for value, got in zip(values, found.to_pylist(), strict=True):
        if value == "-0":
            assert math.copysign(1, got) == -1
        assert (value is None) == (got is None)


def test_times_without_a_zone_remember_that(whole):
    schema = open_fst(whole["alltypes_n0_c0"][0]).schema
    told = {name: schema.field(name).metadata for name in ("pxu", "pxn", "pxe", "pxb")}
    assert told == {"pxu": None, "pxn": {b"fst.tzone": b"absent"}, "pxe": {b"fst.tzone": b""}, "pxb": None}
    assert schema.field("dt_mins").metadata == {b"fst": b"difftime mins"}


WINDOWED = [
    "alltypes_n33_c50",
    "chr_n4500_c75",
    "dbl_n4500_c30",
    "fac200_n4500_c50",
    "fac_n4500_c75",
    "i64_n4500_c75",
    "int_n4500_c0",
    "intlgl_n4097_c75",
    "posixct_n4500_c50",
    "py_fixedratio_n201",
    "raw_n16390_c50",
]


@pytest.fixture(scope="session")
def opened(whole) -> list[tuple[FstFile, pa.Table]]:
    return [(file, file.read()) for file in (open_fst(whole[name][0]) for name in WINDOWED)]


def same(one: pa.Table, other: pa.Table) -> bool:
    return one.schema == other.schema and [plain(column) for column in one.columns] == [
        plain(column) for column in other.columns
    ]


@given(data=st.data())
def test_a_window_is_a_slice(opened, data):
    file, table = data.draw(st.sampled_from(opened))
    edges = [0, 1, 31, 32, 33, 2047, 2048, 4094, 4096, file.n_rows - 1, file.n_rows]
    first = data.draw(
        st.one_of(st.sampled_from(edges), st.integers(0, file.n_rows)).map(lambda v: min(v, file.n_rows))
    )
    rows = data.draw(st.one_of(st.none(), st.integers(0, 40), st.integers(0, file.n_rows + 5)))
    names = data.draw(st.lists(st.sampled_from(file.names), max_size=3))
    part = file.read(names, first, rows)
    part.validate(full=True)
    assert same(part, table.select(names).slice(first, rows))


def test_columns_are_chosen_by_name_and_order(whole):
    path, _ = whole["alltypes_n33_c50"]
    assert read_fst(path, ["lgl", "int"]).column_names == ["lgl", "int"]
    assert read_fst(path, "lgl").column_names == ["lgl"]
    assert read_fst(path, []).num_columns == 0
    with pytest.raises(
        ArgumentError,
        match=r"`columns` cannot be read from '.*n33_c50.fst'.\n  x It has no `intt` \(is `int` meant\?\).",
    ):
        read_fst(path, ["intt"])


def test_of_columns_of_the_same_name_the_first_is_meant():
    content = bytearray(pack_fst(pa.table({"a": [1.0], "b": [2.0]}), 0))
    content[content.index(b"ab") + 1] = ord("a")
    file = open_fst(bytes(content))
    assert file.names == ("a", "a")
    assert file.read("a").to_pydict() == {"a": [1.0]}
    assert [column.to_pylist() for column in file.read().columns] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"first": -1}, "`first` must be a row number, from 0, not -1."),
        ({"first": 4}, "`first` is 4, but there are 3 rows."),
        ({"n_rows": 1.5}, "`n_rows` must be a number of rows, not 1.5."),
    ],
)
def test_impossible_windows_are_refused(arguments, problem):
    content = pack_fst(pa.table({"a": [1.0, 2.0, 3.0]}))
    with pytest.raises(ArgumentError, match=re.escape(problem)):
        read_fst(content, **arguments)
    assert read_fst(content, first=3).num_rows == 0
    assert read_fst(content, first=2, n_rows=9)["a"].to_pylist() == [3.0]


def test_only_the_blocks_of_a_window_are_read(monkeypatch, tmp_path):
    n = 500_000
    rng = np.random.default_rng(1)
    columns = {
        "d": rng.normal(size=n),
        "i": rng.integers(0, 9, n).astype(np.int32),
        "s": pa.array(["a", "bcd", "ef", None]).take(pa.array(rng.integers(0, 4, n))),
    }
    path = tmp_path / "large.fst"
    path.write_bytes(pack_fst(pa.table(columns), 60))
    file = open_fst(path)
    read = []
    original = Source.read
    monkeypatch.setattr(Source, "read", lambda self, at, size: read.append(size) or original(self, at, size))
    part = file.read(["d", "s"], 300_000, 100)
    assert part["d"].to_numpy().tolist() == columns["d"][300_000:300_100].tolist()
    assert sum(read) < 80_000 < path.stat().st_size / 50


def test_several_threads_may_read_at_once(opened):
    file, table = opened[0]
    with ThreadPoolExecutor(4) as pool:
        assert all(same(each, table) for each in pool.map(lambda _: file.read(), range(8)))


def test_recs2015(shared):
    folder = shared / "data"
    told = json.loads((folder / "recs2015_schema.json").read_text())
    frame = pd.read_csv(folder / "recs2015.csv.gz", dtype=str, keep_default_na=False)
    table = read_fst(folder / "recs2015.fst")
    assert table.column_names == list(frame.columns[:31])
    for name in table.column_names:
        column, text = table.column(name), frame[name]
        if told[name]["levels"] is not None:
            assert column.type == pa.dictionary(pa.int32(), pa.string(), told[name]["kind"] == "ordered")
            assert column.combine_chunks().dictionary.to_pylist() == told[name]["levels"]
            assert column.to_pylist() == text.tolist()
        elif told[name]["kind"] == "logical":
            assert column.to_pylist() == [{"TRUE": True, "FALSE": False}[each.upper()] for each in text]
        else:
            assert column.type == {"integer": pa.int32(), "double": pa.float64()}[told[name]["storage"]]
            # The text has fifteen digits.
            np.testing.assert_allclose(column.to_numpy(), text.astype(float), rtol=2e-15, atol=0)


def test_the_fsd_of_the_reference(shared):
    folder = shared / "reference" / "models"
    frame = pd.read_csv(folder / "readme_recipient_M3.csv.gz", dtype=str)
    file = open_fst(folder / "readme_recipient_M3.fsd")
    assert file.keys == ("M",)
    assert list(file.names) == list(frame.columns)
    n = file.n_rows // 3
    for m in range(3):
        part = file.read(first=m * n, n_rows=n)
        for name in file.names:
            text = frame[name].iloc[m * n : (m + 1) * n]
            is_text = pa.types.is_dictionary(part.schema.field(name).type)
            assert part[name].to_pylist() == (text if is_text else text.astype(float)).tolist()


# Damaged files


def test_damaged_golden_files_are_refused(golden):
    refused = {name: path for name, (path, told) in golden.items() if "error" in told}
    assert len(refused) == 4
    for path in refused.values():
        with pytest.raises(ArgumentError, match=r"'.*\.fst' cannot be read as an fst file\.\n  x .*\n  i "):
            read_fst(path)


# Where things lie in a file of one column, "a".
CHUNKSET, NAMES, COLUMN_INDEX, DATA, COLUMN = 48, 160, 185, 281, 313


def rehash(content: bytes) -> bytes:
    """Make the hashes of the head right again, as whoever damages a file on purpose would."""
    out = bytearray(content)
    try:
        n_columns, n_keys = struct.unpack_from("<i", out, 28)[0], struct.unpack_from("<i", out, 40)[0]
        if not (0 <= n_columns < 1000 and 0 <= n_keys < 1000):
            n_columns = n_keys = 0
        sizes = [48, *([8 + 4 * (n_keys + n_keys % 2)] if n_keys else []), 80 + 8 * n_columns, 24]
        at = 0
        for size in [*sizes, 0, 96, 24 + 8 * n_columns]:
            if size == 0:  # the names; they have no hash
                per_block = struct.unpack_from("<I", out, at + 4)[0]
                if per_block == 0:
                    break
                n_blocks = -(-n_columns // per_block)
                at += struct.unpack_from("<Q", out, at + 8 * n_blocks)[0] if n_blocks else 0
                continue
            if at + size <= len(out):
                struct.pack_into("<Q", out, at, hashed(bytes(out[at + 8 : at + size])))
            at += size
    except struct.error:
        pass
    return bytes(out)


def patched(table: pa.Table, at: int, form: str, *values: int, compress: int = 0, keys=()) -> bytes:
    out = bytearray(pack_fst(table, compress, keys))
    struct.pack_into(form, out, at, *values)
    return rehash(bytes(out))


INTEGERS = pa.table({"a": pa.array([1, 2, None], pa.int32())})
TEXT = pa.table({"a": ["x", "yy", None]})
FACTOR = pa.table({"a": pa.array(["x", "y", None]).dictionary_encode()})
MINUTES = pa.table({"a": pa.array([60], pa.duration("s"))})
TIMES = pa.table({"a": pa.array([60], pa.timestamp("us", "UTC"))})
MANY = 2**31 - 1


def test_where_the_patches_go():
    # The patches below hit what they mean to hit: without damage, the same bytes.
    assert patched(INTEGERS, 28, "<i", 1) == pack_fst(INTEGERS, 0)
    assert pack_fst(INTEGERS, 0)[COLUMN:] == struct.pack("<IIIiii", 0, 0, 0, 1, 2, NA)
    assert pack_fst(TEXT, 0)[COLUMN:][:8] == struct.pack("<II", 0, 2047)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "too short"),
        (b"PK\3\4" + bytes(100), "does not start as fst files do"),
        (patched(INTEGERS, 24, "<I", 2), "needs a reader of version 2"),
        (patched(INTEGERS, 28, "<i", MANY), "cut off"),
        (patched(INTEGERS, 28, "<i", -5), "cut off|damaged"),
        (patched(INTEGERS, 40, "<i", MANY), "head is damaged"),
        (patched(INTEGERS, 56, "<i", 7, keys=["a"]), "keys are columns that there are not"),
        (patched(INTEGERS, 56, "<i", -1, keys=["a"]), "keys are columns that there are not"),
        (patched(INTEGERS, CHUNKSET + 64, "<Q", 2**62), "two different numbers of rows"),
        (patched(INTEGERS, COLUMN_INDEX + 64, "<Q", 2), "two different numbers of rows"),
        (patched(INTEGERS, COLUMN_INDEX + 72, "<Q", 2), "two different numbers of rows"),
        (patched(INTEGERS, CHUNKSET + 82, "<H", 13), "storage type 13"),
        (patched(INTEGERS, CHUNKSET + 82, "<H", 65535), "storage type 65535"),
        (patched(MINUTES, CHUNKSET + 86, "<h", 8), "unit 8"),
        (patched(INTEGERS, NAMES + 4, "<I", 0), "hold no strings"),
        (patched(INTEGERS, NAMES + 8, "<Q", 2**63), "cut off"),
        (patched(INTEGERS, NAMES + 16, "<I", 2**32 - 1), "lengths of strings"),
        (patched(INTEGERS, NAMES + 20, "<I", 3), "column has no name"),
        (patched(INTEGERS, DATA + 24, "<Q", 2**64 - 1), "lies where it cannot"),
        (patched(INTEGERS, DATA + 24, "<Q", 40), "lies where it cannot"),
        (patched(INTEGERS, COLUMN, "<I", 2**31 - 1), "cut off"),
        (patched(INTEGERS, COLUMN + 4, "<II", 0, 5), "unknown way"),
        (patched(INTEGERS, COLUMN + 4, "<II", 1, 0), "0 elements"),
        (patched(INTEGERS, COLUMN + 4, "<II", 1, 4097), "4,097 elements"),
        (patched(INTEGERS, COLUMN + 4, "<II", 1, 1), "cut off"),
        (patched(INTEGERS, COLUMN + 12, "<Q", 0, compress=60), "index of a column's blocks"),
        (patched(INTEGERS, COLUMN + 12, "<Q", 24 | 9999 << 48, compress=60), "packed in a way"),
        (patched(INTEGERS, COLUMN + 12, "<Q", 24 | 5 << 48, compress=60), "packed in a way"),
        (patched(INTEGERS, COLUMN + 12, "<Q", 24 | 4 << 48, compress=60), "does not unpack"),
        (patched(INTEGERS, COLUMN + 20, "<Q", 2**48 - 1, compress=60), "index of a column's blocks"),
        (patched(TIMES, COLUMN, "<I", 2**31 | 2000), "cut off"),
        (patched(TIMES, COLUMN + 4, "<B", 255), "zone is not text"),
        (patched(TIMES, COLUMN + 4, "<B", 0), "zone is not text"),
        (patched(TEXT, COLUMN + 8, "<Q", 2**64 - 1), "cut off"),
        (patched(TEXT, COLUMN + 8, "<Q", 3), "index of a column's text"),
        (patched(TEXT, COLUMN + 16, "<III", 9, 5, 6), "lengths of strings"),
        (patched(TEXT, COLUMN + 16, "<III", 1, 3, 2000), "shorter than"),
        (patched(TEXT, COLUMN + 16, "<H", 1, compress=60), "Text is packed in an unknown way"),
        (patched(TEXT, COLUMN + 20, "<i", -1, compress=60), "cut off"),
        (patched(FACTOR, COLUMN, "<I", 2), "version 2"),
        (patched(FACTOR, COLUMN + 4, "<I", MANY), "cut off"),
        (patched(FACTOR, COLUMN + 4, "<I", 1), "cut off|lengths|none of its levels"),
        (patched(FACTOR, COLUMN + 8, "<Q", 0), "cut off"),
        (patched(FACTOR, COLUMN + 8, "<Q", 2**63), "cut off"),
    ],
)
def test_what_files_claim_is_checked(content, problem):
    tracemalloc.start()
    try:
        with pytest.raises(ArgumentError, match=problem) as raised:
            read_fst(content)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert raised.value.headline == "The content cannot be read as an fst file."
    assert raised.value.hint


def test_no_file_claims_more_rows_than_fit():
    content = bytearray(pack_fst(INTEGERS, 60))
    struct.pack_into("<Q", content, CHUNKSET + 64, 2**40)
    struct.pack_into("<Q", content, COLUMN_INDEX + 64, 2**40)
    with pytest.raises(ArgumentError, match="1,099,511,627,776 rows, more than"):
        read_fst(rehash(bytes(content)))


def test_two_columns_cannot_claim_the_same_bytes():
    content = bytearray(pack_fst(pa.table({"a": [1.0], "b": [2.0]}), 0))
    head = len(content) - 2 * 20
    struct.pack_into("<QQ", content, head - 16, head, head)
    with pytest.raises(ArgumentError, match="Two columns lie in the same place"):
        read_fst(rehash(bytes(content)))


def test_the_order_of_columns_and_gaps_between_them_are_free():
    content = bytearray(pack_fst(pa.table({"a": [1.0], "b": [2.0]}), 0))
    head = len(content) - 2 * 20
    struct.pack_into("<QQ", content, head - 16, head + 27, head)
    blobs = bytes(content[head + 20 :]) + bytes(7) + bytes(content[head : head + 20]) + b"behind"
    assert read_fst(rehash(bytes(content[:head]) + blobs)).to_pydict() == {"a": [1.0], "b": [2.0]}


@pytest.mark.parametrize(
    "stored",
    [
        zstandard.ZstdCompressor(write_content_size=True).compress(bytes(20)),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(20)),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(12)),
        b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**62) + bytes(9),
        b"\x50\x2a\x4d\x18" + struct.pack("<I", 1) + b"\0",  # a frame to be skipped
        b"\x28\xb5\x2f\xfd",
        b"",
    ],
)
def test_frames_of_another_size_do_not_unpack(stored):
    with pytest.raises(Damaged, match=r"unpack|too small"):
        unpack(3, [memoryview(stored)], 16, np.dtype("u1"))


def test_frames_need_not_tell_their_size():
    stored = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(range(16)))
    assert unpack(3, [memoryview(stored)], 16, np.dtype("u1"))[0].tolist() == list(range(16))


def everything(n: int) -> pa.Table:
    rng = np.random.default_rng(n)
    some = pa.array(rng.random(n) < 0.2)

    def missing(array):
        return pc.if_else(some, pa.scalar(None, array.type), array)

    words = pa.array(["", "a", "bcd", "été", "中文", "long " * 40]).take(pa.array(rng.integers(0, 6, n)))
    levels = pa.array([f"level {i}" for i in range(200)])
    return pa.table(
        {
            "int": missing(pa.array(rng.integers(-(2**31) + 1, 2**31, n), pa.int32())),
            "dbl": missing(pa.array(rng.normal(size=n))),
            "lgl": missing(pa.array(rng.random(n) < 0.5)),
            "chr": missing(words),
            "few": pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 9, n), pa.int32()), levels[:9]),
            "many": pa.DictionaryArray.from_arrays(
                pa.array(rng.integers(0, 200, n), pa.int32()), levels, ordered=True
            ),
            "i64": missing(pa.array(rng.integers(-(2**63) + 1, 2**63, n))),
            "day": missing(pa.array(rng.integers(0, 20_000, n), pa.int32()).cast(pa.date32())),
            "time": missing(pa.array(rng.integers(0, 2**41, n), pa.timestamp("us", "Europe/Berlin"))),
        }
    )


@pytest.mark.parametrize("compress", [0, 45, 100])
def test_damage_of_any_kind_is_refused_or_harmless(compress):
    whole = pack_fst(everything(70), compress, ["int"])
    rng = random.Random(compress)
    outcomes = {True: 0, False: 0}
    for _ in range(250):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(rng.choice([len(content) - 8, 700]))
            word = rng.choice([0, 1, 2**31, 2**32 - 1, 2**48, 2**64 - 1, rng.randrange(2**34)])
            size = rng.choice([1, 4, 8])
            content[at : at + size] = struct.pack("<Q", word)[:size]
        content = rehash(bytes(content)) if rng.random() < 0.9 else bytes(content)
        content = content[: rng.randrange(len(content))] if rng.random() < 0.2 else content
        outcomes[_is_read(content)] += 1
    assert min(outcomes.values()) > 10


def _is_read(content: bytes) -> bool:
    """Read what can be read; any exception but ours fails the test, as does a table that is not sound."""
    try:
        file = open_fst(content)
    except ArgumentError:
        return False
    fine = True
    for j in range(len(file.names)):
        try:
            file.read(file.names[j]).validate(full=True)
        except ArgumentError:
            fine = False
    return fine


@pytest.mark.parametrize("compress", [0, 100])
def test_a_file_cut_off_anywhere_is_refused(compress):
    whole = pack_fst(everything(5), compress)
    for size in range(0, len(whole), 7):
        assert not _is_read(whole[:size])


def test_a_damaged_block_spoils_only_its_own_rows():
    values = np.random.default_rng(1).normal(size=5000).round(1)
    content = bytearray(pack_fst(pa.table({"a": values}), 100))
    content[-40:] = bytes(40)
    file = open_fst(bytes(content))
    assert file.read(n_rows=4096)["a"].to_numpy().tolist() == values[:4096].tolist()
    with pytest.raises(ArgumentError, match="does not unpack"):
        file.read(first=4096)


def test_paths_that_lead_nowhere_are_told(tmp_path):
    for path, problem in [
        (tmp_path / "none.fst", "No such file"),
        (tmp_path, "It is a folder"),
        (tmp_path / "a\0b", "null|zero"),
    ]:
        with pytest.raises(ArgumentError, match=f"cannot be read as an fst file.\n  x .*{problem}"):
            open_fst(path)
    with pytest.raises(ArgumentError, match="`path` must be the path of an fst file, not 5"):
        open_fst(5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.fst")
    with pytest.raises(ArgumentError, match="not an ordinary file"):
        open_fst(tmp_path / "pipe.fst")


def test_a_file_that_changed_is_not_read_by_its_old_head(tmp_path):
    path = tmp_path / "a.fst"
    path.write_bytes(pack_fst(pa.table({"a": [1.0]})))
    file = open_fst(str(path))
    assert file.read().num_rows == 1
    path.write_bytes(pack_fst(pa.table({"a": [1.0, 2.0]})))
    with pytest.raises(ArgumentError, match="changed since it was opened"):
        file.read()


# How blocks are packed


VECTORS = {  # of the format's description: elements, bytes
    8: ([1, 0, NA, 1, NA], "0100006002000000"),
    12: ([1, 2, 3, 4, 5, 6, 7, NA, 127], "07050301800604020000007f00000000"),
    13: ([1, 2, 3, NA, 32767], "03000100008002000000ff7f00000000"),
}


@pytest.mark.parametrize("algorithm", VECTORS)
def test_transforms_give_the_bytes_of_the_description(algorithm):
    elements, told = VECTORS[algorithm]
    packed = encode_blocks(np.array([elements], np.int32), [algorithm])[0]
    assert packed.hex() == told
    assert unpack(algorithm, [memoryview(packed)], len(elements), np.dtype("<i4"))[0].tolist() == elements


def test_shuffles_give_the_bytes_of_the_description():
    short = ALGORITHMS[2].transform.encode(np.arange(9, dtype=np.int32)[None] + 0x0A0B0C00)
    assert short.tobytes().hex() == "0a" * 8 + "0b" * 8 + "0c" * 8 + "0604020007050301" + "080c0b0a"
    long = ALGORITHMS[5].transform.encode(np.arange(9, dtype=np.int64)[None] + 0x1011121314151600)
    ranks = "".join(f"{rank:x}" * 8 for rank in range(0x10, 0x17))
    assert long.tobytes().hex() == ranks + "0706050403020100" + "0816151413121110"


def test_hash_of_nothing():
    assert hashed(b"") == 0x9ABCBF5C4FD9892F


def slow_unpack(algorithm: int, packed: bytes, n: int) -> list[int]:
    """Section 4.5, element by element."""
    order = {4: [2, 0, 3, 1], 8: [6, 4, 2, 0, 7, 5, 3, 1]}
    out = [0] * (-(-n // 32) * 32)
    if algorithm == 8:
        for group in range(len(packed) // 8):
            word = int.from_bytes(packed[8 * group : 8 * group + 8], "little")
            for k in range(16):
                for odd in (0, 1):
                    value = word >> (32 * odd + k) & 1
                    out[32 * group + 2 * k + odd] = NA + value if word >> (31 + 32 * odd - k) & 1 else value
        return out[:n]
    width, size = (1, 8) if algorithm == 12 else (2, 4)
    sign = 1 << (8 * width - 1)
    for at in range(len(packed) // width):
        code = int.from_bytes(packed[at * width : (at + 1) * width], "little")
        place = at // size * size + order[size][at % size]
        out[place] = (code & (sign - 1)) + (NA if code & sign else 0)
    return out[:n]


@given(
    algorithm=st.sampled_from([8, 12, 13]),
    n=st.integers(1, 100),
    content=st.binary(min_size=240, max_size=240),
)
def test_transforms_are_those_of_the_slow_twin(algorithm, n, content):
    size = ALGORITHMS[algorithm].transform.size(n)
    packed = content[:size]
    found = unpack(algorithm, [memoryview(packed)], n, np.dtype("<i4"))[0]
    assert found.tolist() == slow_unpack(algorithm, packed, n)


@given(data=st.data())
def test_blocks_packed_in_different_ways_come_back(data):
    kind = data.draw(st.sampled_from(["<i4", "<i8", "<f8", "u1"]))
    width = np.dtype(kind).itemsize
    lossless = [i for i, how in enumerate(ALGORITHMS) if how.width in (0, width) and i < 7]
    allowed = lossless + ([7, 8, 9, 10, 11, 12, 13, 14, 15] if kind == "<i4" else [])
    per_block = data.draw(st.integers(1, 70))
    n = data.draw(st.integers(1, 3 * per_block))
    chosen = data.draw(
        st.lists(st.sampled_from(allowed), min_size=-(-n // per_block), max_size=-(-n // per_block))
    )
    small = any(i not in lossless for i in chosen)  # those hold 0, 1 and NA alike
    rng = np.random.default_rng(n)
    values = (
        rng.choice([0, 1, NA], n).astype(kind) if small else np.frombuffer(rng.bytes(n * width), kind).copy()
    )
    full = n // per_block
    packed = encode_blocks(values[: full * per_block].reshape(full, per_block), chosen[:full])
    if full < len(chosen):
        packed += encode_blocks(values[None, full * per_block :], chosen[full:])
    edges = np.cumsum([0, *map(len, packed)])
    found = decode_blocks(memoryview(b"".join(packed)), edges, np.array(chosen), per_block, n, np.dtype(kind))
    assert found.tobytes() == values.tobytes()
