"""Writing fst: what is written is read again, and where R's file is known, byte for byte the same."""

from __future__ import annotations

import datetime as dt
import struct
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved

from fusionpy.errors import ArgumentError, OutputError, SchemaError
from fusionpy.formats.fst import FstWriter, open_fst, pack_fst, packing, read_fst, write_fst
from fusionpy.formats.fst.codecs import hashed
from fusionpy.formats.r_types import KINDS, kind_of_field

NA_REAL = struct.unpack("<d", struct.pack("<Q", 0x7FF00000000007A2))[0]
SHORT_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ANY_TEXT = SHORT_TEXT | st.sampled_from(["long é " * 4000, "NA", "中文"])
DAY = 86_400

# Arrow types that come back as they are, and values of them.
VALUES = {
    pa.int32(): st.integers(-(2**31) + 1, 2**31 - 1),
    pa.int64(): st.integers(-(2**63) + 1, 2**63 - 1),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.string(): ANY_TEXT,
    pa.dictionary(pa.int32(), pa.string()): ANY_TEXT,
    pa.dictionary(pa.int32(), pa.string(), ordered=True): st.sampled_from(["low", "middle", "hïgh"]),
    pa.date32(): st.dates(),
    pa.timestamp("us", "Europe/Berlin"): st.integers(-(2**51), 2**51),
    pa.timestamp("us", "UTC"): st.integers(-(2**51), 2**51),
    pa.duration("us"): st.integers(-(2**51), 2**51),
    pa.time32("s"): st.integers(0, DAY - 1),
    pa.time64("us"): st.integers(0, DAY * 10**6 - 1),
}


def identical(one: pa.Table, other: pa.Table) -> bool:
    """Equal, NaN and the signs of zeros included."""
    return one.schema.equals(other.schema, check_metadata=True) and all(
        [repr(v) for v in a.to_pylist()] == [repr(v) for v in b.to_pylist()]
        for a, b in zip(one.columns, other.columns, strict=True)
    )


def array_of(values: list, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        unused = ["", "unused"] if len(values) % 2 else []
        levels = pa.array(sorted({*unused, *(v for v in values if v is not None)}), pa.string())
        codes = [None if v is None else levels.to_pylist().index(v) for v in values]
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), levels, ordered=kind.ordered)
    return pa.array(values, kind)


@st.composite
def tables(draw):
    n = draw(st.integers(0, 40))
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), max_size=4))
    names = draw(st.lists(SHORT_TEXT, min_size=len(kinds), max_size=len(kinds), unique=True))
    columns = [
        array_of(draw(st.lists(st.none() | VALUES[kind], min_size=n, max_size=n)), kind) for kind in kinds
    ]
    return pa.table(columns, names=names)


@halved
@given(
    table=tables(),
    compress=st.sampled_from([0, 1, 30, 50, 51, 75, 90, 100]),
    cuts=st.lists(st.integers(0, 40)),
)
def test_tables_come_back(tmp_path_factory, table, compress, cuts):
    content = pack_fst(table, compress)
    again = read_fst(content)
    again.validate(full=True)
    assert identical(again, table)
    # In parts, the same bytes.
    target = tmp_path_factory.mktemp("fst") / "a.fst"
    edges = sorted({0, *(min(cut, table.num_rows) for cut in cuts), table.num_rows})
    parts = [table.slice(a, b - a) for a, b in pairwise(edges)] or [table]
    write_fst(iter(parts), target, table.schema, compress=compress)
    assert target.read_bytes() == content


@pytest.mark.parametrize("compress", [0, 20, 50, 80, 100])
@pytest.mark.parametrize("n_levels", [1, 127, 128, 300, 32_767, 32_768])
def test_factors_of_any_number_of_levels_come_back(n_levels, compress):
    levels = pa.array([f"level {i}" for i in range(n_levels)])
    codes = np.random.default_rng(n_levels).integers(-1, n_levels, 9000)
    codes[:2] = 0, n_levels - 1
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    array = pa.DictionaryArray.from_arrays(indices, levels)
    found = read_fst(pack_fst(pa.table({"f": array}), compress))["f"].combine_chunks()
    assert found.dictionary.equals(levels)
    assert found.indices.equals(indices)


@pytest.mark.parametrize("compress", [0, 50, 90])
def test_many_blocks_from_parts_of_any_size(compress, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "BUFFERED", 5000)
    rng = np.random.default_rng(3)
    sizes = [0, 1, 4095, 2, 20_000, 16_384, 7, 2047, 2048]
    words = pa.array(["", "a", "bé", None, "long " * 30])
    levels = pa.array(["x", "y", "z"])
    parts = [
        pa.table(
            {
                "M": pa.array(np.full(n, m), pa.int32()),
                "d": rng.normal(size=n),
                "b": rng.random(n) < 0.5,
                "q": rng.integers(-(2**62), 2**62, n),
                "s": words.take(pa.array(rng.integers(0, 5, n))),
                "f": pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 3, n), pa.int32()), levels),
            }
        )
        for m, n in enumerate(sizes)
    ]
    with FstWriter(tmp_path / "a.fsd", parts[0].schema, compress, keys=["M"]) as writer:
        for part in parts:
            writer.append(part)
        assert [path.name for path in tmp_path.iterdir() if path.suffix != ".part"] == []
    file = open_fst(tmp_path / "a.fsd")
    assert file.keys == ("M",)
    assert file.read().equals(pa.concat_tables(parts))
    assert file.read(first=24_000, n_rows=9000).equals(pa.concat_tables(parts).slice(24_000, 9000))
    assert [path.name for path in tmp_path.iterdir()] == ["a.fsd"]


def test_levels_that_come_later_are_added():
    parts = [["b", "a"], ["c", "b"], ["a", None], [f"{i}" for i in range(200)]]
    arrays = [pa.array(part).dictionary_encode() for part in parts]
    kind = pa.dictionary(pa.int32(), pa.string())
    table = pa.table({"f": pa.chunked_array(arrays, kind)})
    found = read_fst(pack_fst(table, 100))["f"].combine_chunks()
    assert found.to_pylist() == [value for part in parts for value in part]
    assert found.dictionary.to_pylist()[:5] == ["b", "a", "c", "0", "1"]


def test_levels_survive_without_rows_and_rows_without_levels():
    levels = pa.DictionaryArray.from_arrays(pa.array([], pa.int8()), ["x", "y"])
    found = read_fst(pack_fst(pa.table({"f": levels})))["f"].combine_chunks()
    assert found.dictionary.to_pylist() == ["x", "y"]
    nothing = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array([], pa.string()))
    assert read_fst(pack_fst(pa.table({"f": nothing, "a": [1.0, 2.0]}))).to_pydict() == {
        "f": [None, None],
        "a": [1.0, 2.0],
    }


@pytest.mark.parametrize(
    ("given_type", "values", "read_type", "read_values"),
    [
        (pa.int8(), [1, None], pa.int32(), [1, None]),
        (pa.uint16(), [65_535], pa.int32(), [65_535]),
        (pa.uint8(), [255], pa.int32(), [255]),
        (pa.uint32(), [2**32 - 1], pa.int64(), [2**32 - 1]),
        (pa.float32(), [0.5, None], pa.float64(), [0.5, None]),
        (pa.large_string(), ["a", None], pa.string(), ["a", None]),
        (pa.null(), [None, None], pa.bool_(), [None, None]),
        (pa.date64(), [dt.date(1960, 2, 3)], pa.date32(), [dt.date(1960, 2, 3)]),
        (pa.duration("ms"), [1500], pa.duration("us"), [dt.timedelta(seconds=1.5)]),
        (pa.time32("ms"), [1500], pa.time64("us"), [dt.time(0, 0, 1, 500_000)]),
        (
            pa.dictionary(pa.int8(), pa.int64()),
            [10, 5, 10],
            pa.dictionary(pa.int32(), pa.string()),
            ["10", "5", "10"],
        ),
    ],
)
def test_other_types_become_what_r_has(given_type, values, read_type, read_values):
    array = (
        pa.array(values, given_type.value_type).dictionary_encode()
        if isinstance(given_type, pa.DictionaryType)
        else pa.array(values, given_type)
    )
    found = read_fst(pack_fst(pa.table({"a": array})))["a"]
    assert found.type == read_type
    assert found.to_pylist() == read_values


def test_times_without_a_zone_are_taken_as_utc():
    when = dt.datetime(2020, 7, 1, 12, 0, 0, 250_000)
    for unit in ("ms", "us", "ns"):
        found = read_fst(pack_fst(pa.table({"t": pa.array([when, None], pa.timestamp(unit))})))["t"]
        assert found.type == pa.timestamp("us", "UTC")
        assert found.to_pylist() == [when.replace(tzinfo=dt.UTC), None]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.storage not in (6, 7)])
def test_every_type_of_r_is_kept_through_its_field(name):
    kind = KINDS[name]
    plain = kind.arrow or pa.timestamp("s" if kind.storage == 8 else "us", "America/New_York")
    field = pa.field("a", plain, metadata={"fst": name})
    assert kind_of_field(field) == kind
    n = 2 if name == "logical" else 100
    values = pa.array(range(n), pa.int64()).cast(pa.int32() if plain.bit_width == 32 else pa.int64())
    scale = {"mins": 60, "hours": 3600, "days": DAY}.get(name.split()[-1], 1)
    if "difftime" in name:
        values = pa.array(np.arange(n) * scale)
    table = pa.Table.from_arrays([values.cast(plain)], schema=pa.schema([field]))
    content = pack_fst(table, 60)
    assert struct.unpack_from("<HHHh", content, 48 + 80) == (
        kind.attribute,
        kind.storage,
        kind.base,
        kind.scale,
    )
    again = read_fst(content)
    assert again.equals(table)
    assert kind_of_field(again.schema.field(0)) == kind
    assert pack_fst(again, 60) == content


def test_what_arrow_cannot_hold_of_times_is_missing():
    field = pa.field("a", pa.float64())
    values = [1.5, np.nan, np.inf, -np.inf, 1e300, -0.25, NA_REAL]
    content = bytearray(pack_fst(pa.table([pa.array(values)], schema=pa.schema([field])), 0))
    for attribute, expected in [
        (10, ["1.5", "nan", "inf", "-inf", "1e+300", "-0.25", "nan"]),
        (11, [dt.date(1970, 1, 2), None, None, None, None, dt.date(1969, 12, 31), None]),
        (14, [dt.time(0, 0, 1, 500_000), None, None, None, None, None, None]),
    ]:
        found = read_fst(_with_attribute(content, attribute, 4 if attribute == 14 else 0))["a"].to_pylist()
        assert ([repr(v) for v in found] if attribute == 10 else found) == expected
    found = read_fst(_with_attribute(content, 13, 5))["a"].cast(pa.int64()).to_pylist()
    assert found == [90_000_000, None, None, None, None, -15_000_000, None]


def _with_attribute(content: bytearray, attribute: int, scale: int) -> bytes:
    out = bytearray(content)
    struct.pack_into("<H", out, 48 + 80, attribute)
    struct.pack_into("<H", out, 48 + 86, scale)
    struct.pack_into("<Q", out, 48, hashed(bytes(out[56 : 48 + 88])))
    return bytes(out)


def test_a_nan_is_not_taken_for_na_because_of_its_bits():
    column = read_fst(
        pack_fst(pa.table({"a": pa.array(np.array([NA_REAL, np.nan, 1.0])), "b": [1.0, None, 2.0]}))
    )
    assert column["a"].null_count == 0
    assert np.isnan(column["a"].to_numpy()[:2]).all()
    assert column["b"].to_pylist() == [1.0, None, 2.0]


def test_bytes_are_those_of_r(shared):
    folder = shared / "reference" / "fst"
    names = [
        *(f"{kind}_n4500_c{level}" for kind in ("lgl",) for level in (0, 30, 50, 75)),
        *(f"{kind}_n4500_c0" for kind in ("chr", "dbl", "fac", "i64", "int", "posixct")),
        *(f"chrdbl_n{n}_c0" for n in (2047, 2048)),
        *(f"intlgl_n{n}_c0" for n in (4095, 4096, 4097)),
        "raw_n16390_c0",
        "fac32768_n64_c0",
        "zerocols_c0",
    ]
    for name in names:
        told = (folder / f"{name}.fst").read_bytes()
        assert pack_fst(read_fst(told), int(name.rsplit("_c", 1)[1]), open_fst(told).keys) == told, name


def test_golden_files_written_again_read_the_same(shared):
    for path in sorted((shared / "reference" / "fst").glob("[a-z]*_n33_*.fst")):
        table = read_fst(path)
        for compress in (0, 50, 100):
            assert identical(read_fst(pack_fst(table, compress)), table), path.name


def test_the_algorithm_is_rs_choice():
    # At 30 three blocks of five are packed strongly; at 90 four of five, and never the first.
    values = pa.table({"a": pa.array(np.arange(10 * 4096), pa.int32())})
    for compress, weak, strong in [(30, 0, 2), (90, 2, 4)]:
        content = pack_fst(values, compress)
        at = 48 + 88 + 24 + 25 + 96 + 32 + 4 + 8
        index = np.frombuffer(content, "<u8", 10, at) >> np.uint64(48)
        share = compress % 50 / 50
        expected = [
            strong if int((i + 1) * share + 1e-9) > int(i * share + 1e-9) else weak for i in range(10)
        ]
        assert index.tolist() == expected


# What cannot be written


@pytest.mark.parametrize(
    ("table", "options", "problem"),
    [
        ({"a": [1.0]}, {"compress": 101}, "`compress` must be a whole number from 0 to 100, not 101"),
        ({"a": [1.0]}, {"compress": True}, "`compress` must be"),
        (
            {"age": [1.0]},
            {"keys": ["agee"]},
            r"`keys` names `agee`, which is not a column \(is `age` meant\?\)",
        ),
        ({"a": [1.0]}, {"keys": ["a", "a"]}, "`keys` names `a` more than once"),
    ],
)
def test_wrong_arguments_are_refused(table, options, problem):
    with pytest.raises(ArgumentError, match=problem):
        pack_fst(pa.table(table), **options)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (pa.array([[1]]), r"`a`: R has no columns of type list<.*>"),
        (pa.array([b"a"]), "`a`: R has no columns of type binary"),
        (pa.array([-(2**31)], pa.int32()), "`a`: has -2147483648, which is NA to R"),
        (pa.array([-(2**63)], pa.int64()), "`a`: has -9223372036854775808, which is NA to R"),
        (pa.array([2**63], pa.uint64()), "`a`: has numbers that are too large"),
        (pa.array(["a\0b"]), "`a`: has strings with a zero byte"),
        (pa.array(["a\0b"]).dictionary_encode(), "`a`: has strings with a zero byte"),
    ],
)
def test_what_r_cannot_hold_is_refused(array, problem):
    with pytest.raises(SchemaError, match=problem):
        pack_fst(pa.table({"a": array}))


def test_names_must_differ():
    with pytest.raises(SchemaError, match="Several columns have the same name: `a`"):
        pack_fst(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


def test_rows_must_have_the_columns(tmp_path):
    schema = pa.schema({"a": pa.int32(), "b": pa.float64()})
    for table, problem in [
        (pa.table({"a": [1]}), "The rows lack `b`"),
        (pa.table({"a": ["x"], "b": [1.0]}), "`a`: has values of another type"),
        (pa.table({"a": [2**40], "b": [1.0]}), "`a`: has values of another type"),
    ]:
        with pytest.raises(SchemaError, match=problem):
            write_fst([table], tmp_path / "a.fst", schema)
        assert list(tmp_path.iterdir()) == []
    write_fst([pa.table({"b": [1], "a": [2], "c": [3]})], tmp_path / "a.fst", schema)
    assert read_fst(tmp_path / "a.fst").to_pydict() == {"a": [2], "b": [1.0]}


def test_a_file_with_half_a_table_is_never_completed(tmp_path):
    schema = pa.schema({"a": pa.int32(), "b": pa.int32()})
    writer = FstWriter(tmp_path / "a.fst", schema)
    writer.__enter__()
    with pytest.raises(SchemaError, match="`b`: has values of another type"):
        writer.append(pa.table({"a": [1], "b": ["x"]}))
    writer.append(pa.table({"a": [1], "b": [2]}))
    with pytest.raises(SchemaError, match="Some of its rows could not be"):
        writer.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_file_that_was_not_completed(tmp_path):
    target = tmp_path / "a.fst"
    write_fst([], target, pa.schema({"a": pa.int32()}))
    before = target.read_bytes()

    def broken():
        yield pa.table({"a": [1]})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_fst(broken(), target, pa.schema({"a": pa.int32()}))
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(OutputError, match="Its name must end with"):
        write_fst([], tmp_path / "a.txt", pa.schema({"a": pa.int32()}))


def test_no_room_is_told(tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "a.fst"
    with (
        pytest.raises(OutputError, match="could not be written"),
        FstWriter(target, pa.schema({"a": pa.int32()})),
    ):
        pass
