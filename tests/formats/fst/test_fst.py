"""Reading fst: what R wrote comes back value for value, any window of it; what is damaged is refused."""

from __future__ import annotations

import json
import math
import os
import re
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import zstandard
from fuzzing import attempt, everything, rehash
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.errors import ArgumentError
from fusionpy.formats import Damaged
from fusionpy.formats.fst import FstFile, open_fst, pack_fst, read_fst
from fusionpy.formats.fst.codecs import ALGORITHMS, decode_blocks, encode_blocks, hashed, lz4_size, unpack
from fusionpy.formats.fst.codecs import compress as compress_block
from fusionpy.formats.fst.source import Source

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


@pytest.mark.parametrize("compress", [0, 100])
def test_a_file_cut_off_anywhere_is_refused(compress):
    whole = pack_fst(everything(5), compress)
    for size in range(0, len(whole), 7):
        assert attempt(whole[:size]) in ("refused", "refused, but for its head", "read in part")


def test_a_text_that_is_said_to_be_long_is_not_believed():
    """Claims of what a block unpacks to are only followed as far as it does."""
    words = pa.table({"a": ["word " * 5] * 2047})
    for compress, codec in ((50, "lz4"), (100, "zstd")):
        content = bytearray(pack_fst(words, compress))
        _, _, ends_id, text_id, ends_size = struct.unpack_from("<QQHHi", content, COLUMN)
        assert (ends_id, text_id) == {"lz4": (2, 1), "zstd": (4, 3)}[codec]
        # Other lengths, as they are before packing, and a text that has no size in its head.
        ends = np.arange(1, 2048, dtype="<u4") * 25
        ends[-1] = 10_000_000
        packed = encode_blocks(ends.view("<i4")[None], [0])[0]
        bits = content[COLUMN + 24 + ends_size :][: 4 * 64]
        text = bytes(content[COLUMN + 24 + ends_size + 4 * 64 :])
        if codec == "zstd":
            text = zstandard.ZstdCompressor(write_content_size=False).compress(b"word " * 5 * 2047)
        size = 24 + len(packed) + len(bits) + len(text)
        head = struct.pack("<IIQHHi", 1, 2047, size, 0, text_id, len(packed))
        lying = rehash(bytes(content[:COLUMN]) + head + packed + bytes(bits) + text + bytes(40_000))
        tracemalloc.start()
        try:
            with pytest.raises(ArgumentError, match=r"unpacks to another size|too small for what it is said"):
                read_fst(lying)
            assert tracemalloc.get_traced_memory()[1] < 500_000
        finally:
            tracemalloc.stop()


def test_packed_text_of_any_size_comes_back():
    for size in (0, 5, 5000, 20_000_000):
        for compress in (50, 100):
            for repeats in ("a" * size, "ab é " * (size // 5)):
                assert read_fst(pack_fst(pa.table({"a": [repeats, None]}), compress))["a"].to_pylist() == [
                    repeats,
                    None,
                ]


def test_a_few_bytes_do_not_become_gigabytes():
    """A text of zeros that ZSTD packs 30,000 times over; sound, but for its purpose."""
    content = bytearray(pack_fst(pa.table({"a": ["x"]}), 100))
    size = 400_000_000
    text = zstandard.ZstdCompressor().compress(bytes(size))
    parts = struct.pack("<I", size) + bytes(4) + text
    head = struct.pack("<IIQHHi", 1, 2047, 24 + len(parts), 0, 3, 4)
    tracemalloc.start()
    try:
        with pytest.raises(
            ArgumentError, match=f"{len(parts):,} bytes of text are said to unpack to more than"
        ):
            read_fst(rehash(bytes(content[:COLUMN]) + head + parts))
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@given(parts=st.lists(st.tuples(st.binary(max_size=9), st.integers(1, 700)), max_size=20))
def test_the_size_of_a_block_is_known_before_it_is_unpacked(parts):
    content = b"".join(part * times for part, times in parts)
    stored = compress_block("lz4", content)
    assert lz4_size(stored) == len(content)
    assert lz4_size(stored[:-1]) != len(content) or not content


def test_a_factor_without_levels_has_no_more_rows_than_other_columns():
    bare = pa.DictionaryArray.from_arrays(pa.array([None] * 3, pa.int32()), pa.array([], pa.string()))
    for table in (pa.table({"a": bare}), pa.table({"a": bare, "b": [1.0, 2.0, 3.0]})):
        content = bytearray(pack_fst(table, 60))
        at = 48 + 80 + 8 * table.num_columns + 24
        at += struct.unpack_from("<Q", content, at + 8)[0] + 64
        for n, is_refused in ((4, False), (16_384, False), (16_385, True), (600_000, True)):
            struct.pack_into("<Q", content, CHUNKSET + 64, n)
            struct.pack_into("<Q", content, at, n)
            file = open_fst(rehash(bytes(content)))
            if is_refused:
                with pytest.raises(
                    ArgumentError, match=f"said to have {n:,} rows, but no column holds so many"
                ):
                    file.read("a")
            else:
                assert file.read("a")["a"].null_count == n
    table = pa.table({"a": bare.take(pa.array([0] * 50_000)), "b": np.arange(50_000)})
    assert read_fst(pack_fst(table, 60), "a").num_rows == 50_000


def test_latin_1_is_read_as_such_however_much_it_is():
    words = [f"{i} é" for i in range(20_000)]
    content = bytearray(pack_fst(pa.table({"a": words}), 0))
    struct.pack_into("<I", content, COLUMN, 1 << 1)
    assert read_fst(bytes(content))["a"].to_pylist() == [f"{i} Ã©" for i in range(20_000)]


def test_what_is_noted_of_a_file_comes_back_and_r_would_not_see_it():
    table = pa.table({"a": [1.0, 2.0], "b": ["x", None]})
    noted = table.replace_schema_metadata({"fusionpy": '{"seed": 1}', "other": "not ours"})
    content = pack_fst(noted, 60)
    assert content.startswith(pack_fst(table, 60))
    assert open_fst(content).schema.metadata == {b"fusionpy": b'{"seed": 1}'}
    assert read_fst(content, "b").equals(table.select(["b"]))
    assert pack_fst(read_fst(content), 60) == content
    for at in range(len(pack_fst(table, 60)), len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1
        assert open_fst(bytes(damaged)).schema.metadata is None
        assert read_fst(bytes(damaged)).equals(table)


def test_threads_read_the_same(opened):
    for file, table in opened:
        assert same(file.read(cores=3), table)


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
