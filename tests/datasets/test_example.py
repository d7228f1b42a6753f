"""fetch_recs_example(): R's example survey, from a file of the user's or a server, read without R."""

from __future__ import annotations

import bz2
import hashlib
import struct
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from agency import Agency

from fusionpy import datasets
from fusionpy.datasets import example
from fusionpy.datasets.caching import DownloadError, read_cache_record
from fusionpy.errors import ArgumentError, FusionError
from fusionpy.formats.r_frames import read_r_frame
from fusionpy.formats.rds import Damaged, read_rda, read_rds
from fusionpy.formats.rds.reader import NotPlain
from fusionpy.formats.rds.values import RValue, character, data_frame, double, integer
from fusionpy.formats.rds.writer import write_rds

PATH = f"/{example.FILE}"
FACTOR = {"levels": character(["lo", "hi"]), "class": character(["ordered", "factor"])}


def symbol(name: str) -> bytes:
    return struct.pack(">iii", 1, 0x40009, len(name)) + name.encode()


def as_rda(value: RValue, name: str = "recs", magic: bytes = b"RDX2\n") -> bytes:
    """What `save` writes of one object: a pairlist, tagged by its name."""
    packed = write_rds(RValue("pairlist", (value,), {"names": character([name])}))
    return bz2.compress(magic + zlib.decompress(packed, wbits=31))


def survey(n: int = example.N_ROWS) -> RValue:
    codes = RValue("integer", np.resize(np.array([1, 2, -(2**31)], np.int32), n), FACTOR)
    columns = {"weight": integer(np.arange(n)), "income": codes, "electricity": double(np.arange(n) / 2)}
    return data_frame(columns, n)


def test_it_is_downloaded_once_and_checked(agency: Agency, monkeypatch, tmp_path):
    monkeypatch.setenv("FUSIONPY_GITHUB_URL", agency.url)
    agency.files[PATH] = as_rda(survey())
    for _ in range(2):
        found = datasets.fetch_recs_example(quiet=True)
    assert len(agency.asked) == 1
    assert found.shape == (example.N_ROWS, 3)
    assert found["income"].dtype == pd.CategoricalDtype(["lo", "hi"], ordered=True)
    assert found["income"][:3].to_list()[:2] == ["lo", "hi"]
    assert found["income"].isna()[2]
    kept = example.kept_example()
    assert kept is not None
    assert read_cache_record(kept).sha256 == hashlib.sha256(agency.files[PATH]).hexdigest()
    kept.write_bytes(as_rda(survey(), "other"))
    with pytest.raises(DownloadError, match="not the file that it should be"):
        datasets.fetch_recs_example(quiet=True)


def test_what_is_not_the_survey_is_refused(agency: Agency, monkeypatch, tmp_path):
    monkeypatch.setenv("FUSIONPY_GITHUB_URL", agency.url)
    agency.files[PATH] = as_rda(survey(9))
    with pytest.raises(DownloadError, match="It has 9 rows"):
        datasets.fetch_recs_example(quiet=True)
    agency.files[PATH] = b"<html>"
    with pytest.raises(DownloadError, match="not a file that R's"):
        datasets.fetch_recs_example(quiet=True)
    assert example.kept_example() is None
    with pytest.raises(ArgumentError, match=r"`path`.*\n.*`url`.*\n.*`checksum`"):
        datasets.fetch_recs_example(3, url="ftp://a", checksum="b")


def test_a_file_of_the_users_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("FUSIONPY_CACHE", str(tmp_path / "cache"))
    mine = tmp_path / "mine.rds"
    mine.write_bytes(write_rds(survey()))
    first = datasets.fetch_recs_example(mine, quiet=True)
    mine.unlink()
    pd.testing.assert_frame_equal(datasets.fetch_recs_example(quiet=True), first)
    table = pa.Table.from_pandas(first).set_column(0, "weight", pa.array(np.arange(example.N_ROWS)[::-1]))
    pq.write_table(table, tmp_path / "mine.parquet")
    with pytest.raises(DownloadError, match="is not fusionModel's example"):
        datasets.fetch_recs_example(tmp_path / "none.rda", quiet=True)
    assert datasets.fetch_recs_example(quiet=True)["weight"][0] == 0


def test_tables_of_any_kind_are_read(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    assert example.read_example(tmp_path / "a.parquet")["a"].to_pylist() == [1]
    (tmp_path / "a.rds").write_bytes(write_rds(data_frame({"a": double([1.5])}, 1)))
    assert example.read_example(tmp_path / "a.rds")["a"].to_pylist() == [1.5]
    for name, content in (("none.rda", None), ("b.rda", b"x"), ("c.rds", write_rds(character(["a"])))):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(FusionError, match="cannot be read"):
            example.read_example(tmp_path / name)


def test_objects_have_their_names():
    assert list(read_rda(as_rda(survey(3)))) == ["recs"]
    assert list(read_rda(as_rda(survey(3), "other", b"RDX3\n"))) == ["other"]
    with pytest.raises(Damaged, match="not a file that R's `save` wrote"):
        read_rda(b"RDX2\n" + write_rds(character(["a"])))


def test_pointers_are_nothing_where_they_are_allowed_and_refused_elsewhere():
    head = b"X\n" + struct.pack(">iii", 2, 0x40200, 0x20300)
    # A number with an attribute that is a pointer, and another that refers to it.
    number = struct.pack(">iid", 0x20E, 1, 2.5)
    pointer = struct.pack(">i", 0x402) + symbol("p") + struct.pack(">iii", 22, 254, 254)
    again = (
        struct.pack(">i", 0x402) + symbol("q") + struct.pack(">i", (2 << 8) | 255) + struct.pack(">i", 254)
    )
    found = read_rds(head + number + pointer + again, pointers=True)
    assert found is not None
    assert list(found.values) == [2.5]
    assert found.attributes["p"] is None
    with pytest.raises(NotPlain, match="pointer"):
        read_rds(head + number + pointer + again)


@pytest.mark.parametrize("codes", [[0], [3], [-5]])
def test_broken_factors_and_strange_columns_are_refused(codes):
    bad = data_frame({"f": RValue("integer", np.array(codes, np.int32), FACTOR)}, 1)
    with pytest.raises(Damaged, match="no levels"):
        read_r_frame(write_rds(bad))
    with pytest.raises(Damaged, match="neither numbers"):
        read_r_frame(write_rds(data_frame({"f": RValue("list", (None,))}, 1)))
    with pytest.raises(Damaged, match="differ in length"):
        read_r_frame(write_rds(data_frame({"a": double([1]), "b": double([1, 2])}, 1)))
