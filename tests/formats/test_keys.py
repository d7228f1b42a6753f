"""Keys of R's data.tables: files in their order, and what is noted of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fusionpy
from fusionpy.errors import ArgumentError, SchemaError
from fusionpy.formats.fst import open_fst, write_fst
from fusionpy.formats.stored import holds_fst, open_stored
from fusionpy.fusion import Key, fuse_keyed

HOW = {"M": 3, "retain": ["urban", "hid"], "kblock": 10, "margin": -7, "cores": 2, "seed": 5, "quiet": True}


@pytest.fixture(scope="module")
def model():
    donor = fusionpy.datasets.load_donor().head(400)
    return fusionpy.train(
        donor,
        ["electricity", "solar"],
        ["region", "rooms"],
        refits=0,
        nfolds=0.8,
        hyper={"num_iterations": 20},
        seed=1,
        quiet=True,
    )


@pytest.fixture(scope="module")
def recipient():
    recipient = fusionpy.datasets.load_recipient().head(250)
    return recipient.iloc[np.random.default_rng(1).permutation(250)].reset_index(drop=True)


@pytest.mark.parametrize("ending", [".fsd", ".parquet"])
def test_rows_of_a_file_are_in_the_order_of_its_key(tmp_path, model, recipient, ending):
    order = np.lexsort((recipient["hid"], recipient["urban"]))
    data, path = pa.Table.from_pandas(recipient), tmp_path / f"fused{ending}"
    written = fuse_keyed(data, model, path, Key(("urban", "hid"), order), **HOW)
    assert open_stored(written).keys == ("M", "urban", "hid")
    found = fusionpy.read_fsd(path, M=None)
    assert found.equals(found.sort_values(["M", "urban", "hid"], ignore_index=True))
    # Draws belong to records: they are those of the same seed without a key.
    plain = fusionpy.fuse(recipient, model, **{**HOW, "cores": 1, "margin": 2})
    expected = pd.concat([plain[plain["M"] == m].iloc[order] for m in (1, 2, 3)], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert not fusionpy.read_fsd(path).equals(plain[plain["M"] == 1])


def test_static_columns_in_the_recipients_order_are_refused_beside_sorted_rows(tmp_path, model, recipient):
    order = np.argsort(recipient["hid"].to_numpy(), kind="stable")
    path = tmp_path / "fused.fsd"
    fuse_keyed(pa.Table.from_pandas(recipient), model, path, Key(("hid",), order), **HOW)
    how = {"by": "urban", "weight": "weight", "quiet": True}
    with pytest.raises(SchemaError, match="in another order"):
        fusionpy.analyze("mean(electricity)", path, static=recipient, **how)
    moved = recipient.iloc[order].reset_index(drop=True)
    found = fusionpy.analyze("mean(electricity)", path, static=moved, **how)
    plain = fusionpy.fuse(recipient, model, **HOW)
    expected = fusionpy.analyze("mean(electricity)", plain, static=recipient, **how)
    pd.testing.assert_frame_equal(found, expected)


def test_without_a_key_files_are_what_they_were(tmp_path, model, recipient):
    path = fusionpy.fuse(recipient, model, tmp_path / "a.fsd", **HOW)
    assert open_fst(path).keys == ("M",)
    fuse_keyed(recipient, model, tmp_path / "b.fsd", Key(), **HOW)
    assert (tmp_path / "a.fsd").read_bytes() == (tmp_path / "b.fsd").read_bytes()
    parquet = fusionpy.fuse(recipient, model, tmp_path / "a.parquet", **HOW)
    assert open_stored(parquet).keys == ()
    assert b"keys" not in pq.read_schema(parquet).metadata[b"fusionpy"]


def test_notes_of_keys_that_are_none_are_passed_over(tmp_path):
    table = pa.table({"M": pa.array([1, 1], pa.int32())})
    for note, keys in ((b'{"keys": ["M", 3]}', ("M",)), (b'{"keys": 7}', ()), (b"[]", ())):
        path = tmp_path / "a.parquet"
        pq.write_table(table.replace_schema_metadata({b"fusionpy": note}), path)
        assert open_stored(path).keys == keys


def test_fst_files_are_known_by_how_they_begin(tmp_path):
    table = pa.table({"M": pa.array([1, 2], pa.int32()), "a": [0.5, 1.5]})
    write_fst([table], tmp_path / "a.fst", table.schema, keys=["M"])
    (tmp_path / "a.fst").rename(tmp_path / "a.dat")
    (tmp_path / "b.dat").write_bytes(b"PAAP" * 20)
    (tmp_path / "c.dat").write_bytes(b"")
    assert holds_fst(tmp_path / "a.dat")
    assert not holds_fst(tmp_path / "c.dat")
    assert not holds_fst(tmp_path / "none.dat")
    assert not holds_fst(tmp_path)
    assert fusionpy.read_fsd(tmp_path / "a.dat", M=None)["a"].to_list() == [0.5, 1.5]
    with pytest.raises(fusionpy.FusionError, match="cannot be read"):
        fusionpy.read_fsd(tmp_path / "b.dat")
    with pytest.raises(fusionpy.FusionError, match="`path` must end with"):
        fusionpy.read_fsd(tmp_path / "c.dat")


def test_absent_folders_of_a_file_are_made_and_go_again(tmp_path, model, recipient):
    path = tmp_path / "a" / "b" / "fused.fsd"
    with pytest.raises(SchemaError):
        fusionpy.fuse(recipient.drop(columns="rooms"), model, path, **HOW)
    assert not [*tmp_path.iterdir()]
    assert fusionpy.fuse(recipient, model, path, memory=10**8, **HOW) == str(path)
    assert [each.name for each in path.parent.iterdir()] == ["fused.fsd"]


def test_neighbours_are_whole(model, recipient):
    for wrong in (7.5, 4, 31):
        with pytest.raises(ArgumentError, match="`kblock` must be a whole number from 5 to 30"):
            fusionpy.fuse(recipient, model, **{**HOW, "kblock": wrong})
