"""Files of one survey whose columns differ in width alone are one; others are told apart by name and type."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusionpy
from fusionpy import ArgumentError, SchemaError
from fusionpy.formats.widths import Different, brought, common_schema, common_type, joined

N = 120
FUSE: dict[str, Any] = {"M": 2, "seed": 1, "quiet": True}
NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float32(), pa.float64()]
TEXTS = [pa.string(), pa.large_string()]
CODES = [pa.dictionary(kind, text) for kind in (pa.int8(), pa.int16(), pa.int32()) for text in TEXTS]
TIMES = [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")]


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(1)
    x = rng.normal(size=N)
    return pd.DataFrame({"x": x, "y": x + rng.normal(size=N)})


@pytest.fixture(scope="module")
def model(numbers):
    how: dict[str, Any] = {"refits": 0, "hyper": {"num_iterations": 5}, "seed": 1, "quiet": True}
    return fusionpy.train(numbers, y=["y"], x=["x"], **how)


@given(one=st.sampled_from(NUMBERS), other=st.sampled_from(NUMBERS), data=st.data())
def test_whole_numbers_stay_what_they_are(one, other, data):
    def ends(kind: pa.DataType) -> tuple[int, int]:
        bits = kind.bit_width
        return (
            (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            if pa.types.is_signed_integer(kind)
            else (0, 2**bits - 1)
        )

    kind = common_type(one, other)
    assert kind == common_type(other, one)
    low, high = (min(ends(one)[0], ends(other)[0]), max(ends(one)[1], ends(other)[1]))
    fits = [k for k in NUMBERS if ends(k)[0] <= low and high <= ends(k)[1]]
    assert kind == (min(fits, key=lambda k: (k.bit_width, k not in (one, other))) if fits else None)
    if kind is not None:
        values = [data.draw(st.integers(*ends(each))) for each in (one, other)]
        tables = [
            pa.table({"a": pa.array([value], each)}) for value, each in zip(values, (one, other), strict=True)
        ]
        assert joined(tables, "ab")["a"].to_pylist() == values


@pytest.mark.parametrize("family", [[*NUMBERS[:7], *FLOATS], TEXTS, CODES, TIMES])
def test_families_have_a_common_type(family):
    for one in family:
        for other in [*family, pa.null()]:
            kind = common_type(one, other)
            assert kind is not None
            assert kind == common_type(other, one)
            assert kind == one or other != one
    strangers = [
        pa.bool_(),
        pa.date32(),
        pa.list_(pa.int8()),
        pa.string(),
        pa.int8(),
        pa.timestamp("us", "UTC"),
    ]
    for stranger in strangers:
        if type(stranger) is not type(family[0]) and stranger not in family:
            assert common_type(family[-1], stranger) is None


def parts(column: list[pa.Array]) -> list[pa.Table]:
    rng = np.random.default_rng(3)
    return [pa.table({"x": rng.normal(size=len(each)), "c": each}) for each in column]


def half(values: list[Any], kind: pa.DataType) -> pa.Array:
    array = pa.array(np.resize(np.array(values, dtype=object), N // 2).tolist())
    return (
        array.cast(kind)
        if not pa.types.is_dictionary(kind)
        else array.cast(kind.value_type).dictionary_encode()
    )


CASES = {
    "whole numbers": (half([1, 2], pa.int32()), half([3, 2**40], pa.int64())),
    "a gap that made floats": (half([1, 2], pa.int64()), half([3.0, None], pa.float64())),
    "short floats": (half([0.5, 2], pa.float32()), half([0.1, None], pa.float64())),
    "text": (half(["a", "b"], pa.string()), half(["c"], pa.large_string())),
    "nothing at all": (half(["a", "b"], pa.string()), pa.nulls(N // 2)),
    "levels": (half(["a", "b"], CODES[0]), half(["b", "c"], CODES[-1])),
    "times": (half([pd.Timestamp("2020-01-01")], TIMES[0]), half([pd.Timestamp("2021-01-01")], TIMES[2])),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("turned", [False, True])
def test_a_folder_of_parts_of_other_widths(model, tmp_path, case, turned):
    columns = CASES[case][::-1] if turned else CASES[case]
    (tmp_path / "r").mkdir()
    for number, table in enumerate(parts(list(columns))):
        pq.write_table(table, tmp_path / "r" / f"part.{number}.parquet")
    found = fusionpy.fuse(tmp_path / "r", model, retain="c", **FUSE)
    values = [value for column in columns for value in column.to_pylist()]
    back = found["c"].astype(object).where(found["c"].notna(), None).to_list()
    assert back == 2 * values
    path = fusionpy.fuse(tmp_path / "r", model, tmp_path / "f.parquet", retain="c", **FUSE)
    assert len(fusionpy.read_fsd(path, M=None)) == 2 * N


@pytest.mark.slow
def test_on_a_cluster_too(model, tmp_path):
    pytest.importorskip("distributed", reason='Dask is absent: pip install "fusionpy[dask]"')
    from dask.distributed import Client

    from fusionpy import distributed

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        for number, case in enumerate(CASES):
            place = tmp_path / str(number)
            place.mkdir()
            for part, table in enumerate(parts(list(CASES[case]))):
                pq.write_table(table, place / f"part.{part}.parquet")
            here = fusionpy.fuse(place, model, tmp_path / "alone.fsd", retain="c", **FUSE)
            wanted = fusionpy.read_fsd(here, M=None)
            for most in (N // 2, N):  # a file for each partition, and both in one
                out = distributed.fuse(
                    place, model, 2, tmp_path / f"out{number}_{most}", retain="c", seed=1,
                    partition_rows=most, client=client, quiet=True,
                )  # fmt: skip
                found = fusionpy.read_fsd(out, M=None)
                assert found["c"].astype(str).to_list() == wanted["c"].astype(str).to_list()
        for part, table in enumerate(parts([half([1], pa.int64()), half(["a"], pa.string())])):
            pq.write_table(table, place / f"part.{part}.parquet")
        said = re.escape("the same columns as 'part.0.parquet': `c` (string, there int64) differ")
        with pytest.raises(ArgumentError, match=said):
            distributed.fuse(place, model, 2, tmp_path / "no", retain="c", client=client, quiet=True)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"c": pa.array(["a"] * 60)}, "`c` (string, there int64) differ"),
        ({"c": pa.array([True] * 60)}, "`c` (bool, there int64) differ"),
        ({}, "it lacks `c`"),
        ({"c": pa.array([1] * 60), "d": pa.array([1] * 60)}, "it has `d` besides"),
        ({"d": pa.array([1] * 60)}, "it lacks `c` and has `d` besides"),
    ],
)
def test_what_differs_is_named(model, tmp_path, second, said):
    first = parts([half([1, 2], pa.int64())])[0]
    pq.write_table(first, tmp_path / "part.0.parquet")
    pq.write_table(pa.table({"x": first["x"], **second}), tmp_path / "part.1.parquet")
    with pytest.raises(ArgumentError, match=re.escape(f"columns as 'part.0.parquet': {said}")):
        fusionpy.fuse(tmp_path, model, **FUSE)


def test_order_of_columns_does_not_matter(model, tmp_path):
    one, other = parts([half([1, 2], pa.int64()), half([3], pa.int64())])
    pq.write_table(one, tmp_path / "part.0.parquet")
    pq.write_table(other.select(["c", "x"]), tmp_path / "part.1.parquet")
    assert fusionpy.fuse(tmp_path, model, retain="c", **FUSE)["c"].to_list()[59:61] == [2, 3]


def test_long_numbers_are_not_made_floats(model, tmp_path):
    for number, table in enumerate(parts([half([1.5], pa.float64()), half([2**53 + 1], pa.int64())])):
        pq.write_table(table, tmp_path / f"part.{number}.parquet")
    with pytest.raises(
        (ArgumentError, SchemaError), match="values of int64 that double, which others have, cannot hold"
    ):
        fusionpy.fuse(tmp_path, model, retain="c", **FUSE)
    schema = common_schema([pa.schema({"a": "double"}), pa.schema({"a": "int64"})], "ab")
    with pytest.raises(Different, match="`a`"):
        brought(pa.table({"a": [2**60 + 1]}), schema)
