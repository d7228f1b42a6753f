"""Whole numbers beside missing values: no digit is lost, whatever file or frame they go through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy.bridge.columns import Packed, read_frame
from fusionpy.formats.fst import pack_fst, read_fst

N = 120
TYPES = {
    "Int8": 100,
    "Int16": 30_000,
    "Int32": 2**31 - 1,
    "Int64": 2**60 + 1,
    "UInt8": 200,
    "UInt16": 60_000,
    "UInt32": 2**32 - 1,
    "UInt64": 2**62 + 3,
}


@pytest.fixture(scope="module")
def recipient():
    """Ids of every type, some of which are missing."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=N)})
    for name, top in TYPES.items():
        ids = [top - place % 6 for place in range(N)]
        ids[3::12] = [None] * len(ids[3::12])
        frame[name] = pd.array(ids, dtype=name)
    return frame


@pytest.fixture(scope="module")
def model(recipient):
    donor = recipient[["x"]].assign(y=recipient["x"] * 2)
    how: dict[str, Any] = {"refits": 0, "hyper": {"num_iterations": 5}, "seed": 1, "quiet": True}
    return fusionpy.train(donor, y=["y"], x=["x"], **how)


HOW: dict[str, Any] = {"retain": list(TYPES), "M": 2, "seed": 1, "quiet": True}


def assert_same_ids(found: pd.DataFrame, recipient: pd.DataFrame, wide: bool = False) -> None:
    assert len(found) == 2 * N
    for name in TYPES:
        assert str(found[name].dtype).lstrip("U").startswith("Int"), name  # nullable
        if not wide:
            assert str(found[name].dtype) == name
        for part in (found[name].iloc[:N], found[name].iloc[N:]):
            assert part.to_list() == recipient[name].to_list(), name


@pytest.mark.parametrize("ending", [".parquet", ".fsd"])
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_ids_go_through_files(recipient, model, tmp_path, ending, kind):
    data = {
        "pandas": lambda: recipient,
        "polars": lambda: pl.from_pandas(recipient),
        "pyarrow": lambda: pa.Table.from_pandas(recipient),
    }[kind]()
    path = fusionpy.fuse(data, model, tmp_path / f"f{ending}", **HOW)
    is_fst = ending == ".fsd"  # R has two widths of whole numbers
    assert_same_ids(fusionpy.read_fsd(path, M=None), recipient, wide=is_fst)
    for other in ("polars", "pyarrow"):
        back = fusionpy.read_fsd(path, M=1, kind=other)
        for name in TYPES:
            values = back[name].to_list() if other == "polars" else back[name].to_pylist()
            assert [pd.NA if v is None else v for v in values] == recipient[name].to_list()


def test_ids_of_a_survey_on_disk(recipient, model, tmp_path):
    recipient.to_parquet(tmp_path / "r.parquet")
    plain = pa.Table.from_pandas(recipient).replace_schema_metadata(None)
    pq.write_table(plain, tmp_path / "plain.parquet")
    for path in (tmp_path / "r.parquet", tmp_path / "plain.parquet"):
        assert_same_ids(fusionpy.fuse(path, model, **HOW), recipient)
    in_frames = fusionpy.fuse(recipient, model, **HOW)
    assert_same_ids(in_frames, recipient)


def test_ids_that_are_all_there_stay_ordinary_numbers(recipient, model, tmp_path):
    whole = recipient.dropna().astype({"Int64": "int64", "UInt64": "uint64"})
    path = fusionpy.fuse(whole, model, tmp_path / "f.parquet", retain=["Int64", "UInt64"], seed=1, quiet=True)
    back = fusionpy.read_fsd(path)
    assert back.dtypes[["Int64", "UInt64"]].to_list() == [np.int64, np.uint64]


@pytest.mark.filterwarnings("ignore:Margins that would rest:fusionpy.FusionWarning")
@pytest.mark.parametrize("name", ["Int64", "UInt64", "Int32"])
def test_groups_keep_their_digits(recipient, model, tmp_path, name):
    fused = fusionpy.fuse(recipient[["x"]], model, M=2, seed=1, quiet=True)
    path = fusionpy.fuse(recipient, model, tmp_path / "f.parquet", **HOW)
    for implicates, static in ((fused, recipient), (path, None), (path, pl.from_pandas(recipient))):
        found = fusionpy.analyze("mean(y)", implicates, static=static, by=name, quiet=True)
        groups = found[name].to_list()
        wanted = sorted(set(recipient[name].dropna()))
        assert groups[:-1] == wanted
        assert groups[-1] is None or groups[-1] is pd.NA


def test_rows_are_found_by_long_ids(tmp_path):
    ids = [2**63 + 1, 2**63 + 2, 2**63 + 3]
    for kind, top in (("uint64", 2**63), ("int64", 2**60)):
        table = pa.table({"M": [1, 1, 1], "id": pa.array([each - 2**63 + top for each in ids], kind)})
        pq.write_table(table, tmp_path / "f.parquet")
        for where in (
            {"id": top + 2},
            pd.DataFrame({"id": pd.array([top + 2, None], dtype="UInt64")}),
            pl.DataFrame({"id": pl.Series([top + 2], dtype=pl.UInt64)}),
            pa.table({"id": pa.array([top + 2], "uint64")}),
        ):
            found = fusionpy.read_fsd(tmp_path / "f.parquet", where=where)
            assert found["id"].to_list() == [top + 2]
        assert len(fusionpy.read_fsd(tmp_path / "f.parquet", where={"id": -1})) == 0


def test_another_order_is_seen_in_long_ids(recipient, model):
    """Ids that floating point would take for one another."""
    ids = pd.Series(2**60 + np.arange(N))
    data = recipient[["x"]].assign(id=ids)
    fused = fusionpy.fuse(data, model, M=2, retain="id", seed=1, quiet=True)
    with pytest.raises(fusionpy.SchemaError, match="another order"):
        fusionpy.analyze("mean(y)", fused, static=data.iloc[::-1].reset_index(drop=True), quiet=True)


def test_integers_of_a_user_function_and_of_the_command_line(recipient, model, tmp_path):
    fused = fusionpy.fuse(recipient[["x"]], model, M=2, seed=1, quiet=True)
    seen = []

    def fun(frame: pd.DataFrame) -> pd.DataFrame:
        seen.append(frame["Int64"])
        return frame.assign(same=(frame["Int64"] % 7 == 2).fillna(False).astype(bool))

    fusionpy.analyze("mean(same)", fused, static=recipient, fun=fun, quiet=True)
    assert seen[0].to_list() == recipient["Int64"].to_list()


def test_integers_come_to_and_from_r(recipient):
    table = pa.Table.from_pandas(recipient[["Int32", "Int64"]])
    buffers: list[bytearray] = []
    packed = Packed(table)
    told = [packed.pack(place, lambda buffer: buffers.append(buffer) or len(buffers) - 1) for place in (0, 1)]  # type: ignore[func-returns-value]
    back = read_frame({"rows": N, "columns": told}, buffers)
    assert back.to_pydict() == table.to_pydict()
    assert read_fst(pack_fst(table)).to_pydict() == table.to_pydict()


def test_fused_integers_of_files(tmp_path, recipient, model):
    """What is simulated is never missing, and stays an ordinary number."""
    path = fusionpy.fuse(recipient, model, tmp_path / "f.parquet", retain="Int64", M=2, seed=1, quiet=True)
    memory = fusionpy.fuse(recipient, model, retain="Int64", M=2, seed=1, quiet=True)
    assert_frame_equal(fusionpy.read_fsd(path, M=None), memory)
