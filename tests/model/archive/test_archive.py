"""The `.fsn` archive: it comes back bit for bit, whole or not at all, and nothing in it can do harm."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archived import FAST, METHODS, SURVEY, N, X, Y, read_members
from pacing import quick
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy.errors import ArchiveError, FusionError, OutputError
from fusionpy.formats.atomic import written_aside
from fusionpy.formats.rds import read_rds
from fusionpy.formats.rds.values import r_list
from fusionpy.formats.rds.writer import write_rds
from fusionpy.formats.stored import write_stored
from fusionpy.model import archive as archive_module
from fusionpy.model.archive import files as files_module
from fusionpy.model.archive.manifest import write_manifest
from fusionpy.model.archive.manifest_reading import read_manifest


@pytest.fixture(scope="module", params=quick(METHODS, ["refits", "split", "final"]))
def model(request):
    return fusionpy.train(SURVEY, Y, X, weight="w", **{**FAST, **METHODS[request.param]})


@pytest.fixture(scope="module")
def one():
    return fusionpy.train(SURVEY, ["kind", ["rent", "heat"]], X, weight="w", **FAST, refits=0)


def test_a_model_read_again_is_the_same(model, tmp_path):
    path = tmp_path / "model.fsn"
    fusionpy.write_fsn(model, path)
    again = fusionpy.read_fsn(path)
    assert again.schema == model.schema
    assert again.options == model.options
    assert again.summary() == model.summary()
    assert again.describe() == model.describe()
    assert repr(again) == repr(model)
    assert again.assignment == model.assignment
    for name in ("donors", "weight", "counts"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    for mine, theirs in zip(again.steps, model.steps, strict=True):
        assert mine.calibrations == theirs.calibrations
        assert mine.tuning == theirs.tuning
        assert (mine.pools is None) == (theirs.pools is None)
    arguments = {"M": 3, "seed": 8, "quiet": True}
    assert_frame_equal(fusionpy.fuse(SURVEY, path, **arguments), fusionpy.fuse(SURVEY, model, **arguments))


def test_the_same_model_gives_the_same_bytes(model, tmp_path):
    fusionpy.write_fsn(model, tmp_path / "a.fsn")
    fusionpy.write_fsn(fusionpy.read_fsn(tmp_path / "a.fsn"), tmp_path / "b.FSN")
    assert (tmp_path / "a.fsn").read_bytes() == (tmp_path / "b.FSN").read_bytes()


def test_training_again_gives_the_same_model(tmp_path):
    for name in ("a", "b"):
        fusionpy.train(SURVEY, "kind", X, **FAST, refits=1, fsn=tmp_path / f"{name}.fsn")
    mine, theirs = ((tmp_path / f"{name}.fsn").read_bytes() for name in ("a", "b"))
    seconds = re.compile(rb'"seconds": [\d.]+')
    contents = []
    for content in (mine, theirs):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {name: seconds.sub(b"", archive.read(name)) for name in archive.namelist()}
            about = read_rds(found.pop("metadata.rds")).entries()
            contents.append(found | {"metadata.rds": write_rds(r_list({**about, "timing": None}))})
    assert contents[0] == contents[1]


def test_members_stand_where_r_expects_them(one, tmp_path):
    fusionpy.write_fsn(one, tmp_path / "model.fsn")
    with zipfile.ZipFile(tmp_path / "model.fsn") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.testzip() is None
    for step in one.steps:
        for target in step.targets:
            assert f"{one.steps.index(step) + 1}/{target.name}.txt" in names
    assert manifest["format_version"] == 2
    assert not [name for name in names if name.endswith((".pkl", ".npy", ".py"))]


def test_a_manifest_read_again_is_the_same(model):
    text = write_manifest(model)
    found = read_manifest(text.encode(), 10_000)
    assert found.schema == model.schema
    assert found.options == model.options
    assert [step.targets for step in found.steps] == [step.targets for step in model.steps]


# Whole or not at all


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, b"an older model"])
def test_interrupted_writing_leaves_what_was_there(one, tmp_path, monkeypatch, error, before):
    path = tmp_path / "model.fsn"
    if before:
        path.write_bytes(before)
    written = archive_module._add
    calls = iter(range(100))

    def fail_later(*arguments):
        if next(calls) == 3:
            raise error
        written(*arguments)

    monkeypatch.setattr(archive_module, "_add", fail_later)
    with pytest.raises(OutputError if isinstance(error, OSError) else error) as caught:
        fusionpy.write_fsn(one, path)
    assert [file.name for file in tmp_path.iterdir()] == (["model.fsn"] if before else [])
    if before:
        assert path.read_bytes() == before
    if isinstance(error, OSError):
        assert "No space left on device." in str(caught.value)


def test_interrupted_implicates_leave_nothing(tmp_path):
    table = pa.table({"M": pa.array([1], pa.int32())})

    def write_some():
        with write_stored(tmp_path / "out.parquet", table.schema) as write:
            write(table)
            write(None)

    with pytest.raises(AttributeError):
        write_some()
    assert list(tmp_path.iterdir()) == []


def test_files_of_many_writers_do_not_meet(tmp_path):
    target = tmp_path / ("long" * 60 + ".fsn")
    with written_aside(target) as first, written_aside(target) as second:
        assert first != second
        assert first.suffix == second.suffix == ".part"
        first.write_text("a")
        second.write_text("b")
    assert target.read_text() == "a"
    assert list(tmp_path.iterdir()) == [target]


def test_a_model_may_replace_a_model(one, tmp_path):
    path = tmp_path / "model.fsn"
    path.write_bytes(b"old")
    fusionpy.write_fsn(one, str(path))
    assert fusionpy.read_fsn(path).n_donors == N


def test_a_home_folder_may_be_meant(one, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fusionpy.write_fsn(one, "~/model.fsn")
    assert fusionpy.read_fsn("~/model.fsn").seed == one.seed
    assert (tmp_path / "model.fsn").exists()


# No harm


@pytest.fixture(scope="module")
def members(one, tmp_path_factory):
    path = tmp_path_factory.mktemp("members") / "model.fsn"
    fusionpy.write_fsn(one, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def values_of(value, place=()):
    """Every value in nested JSON, with the way there."""
    yield place, value
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from values_of(inner, (*place, key))


STRANGE = [None, True, -1, 0, 3, 10**12, 0.5, -1e308, "", "x", "income", [], [1], ["x"], {}, {"a": 1}]


@pytest.mark.parametrize("n", [25, pytest.param(150, marks=pytest.mark.slow)])
def test_no_manifest_makes_fuse_fail(members, tmp_path, n):
    """Whatever one entry is changed to: it is refused as such, or the model still fuses."""
    manifest = json.loads(members["manifest.json"])
    places = [place for place, _ in values_of(manifest) if place and "grid" not in place]
    rng = random.Random(2)
    refused = 0
    for _ in range(n):
        changed = json.loads(members["manifest.json"])
        *keys, last = rng.choice(places)
        entry = changed
        for key in keys:
            entry = entry[key]
        if rng.random() < 0.2:
            del entry[last]
        else:
            entry[last] = rng.choice(STRANGE)
        content = {**members, "manifest.json": json.dumps(changed).encode()}
        try:
            model = read_members(content, tmp_path / "given.fsn")
            fusionpy.fuse(SURVEY.head(7), model, seed=1, quiet=True)
            repr(model)
        except FusionError:
            refused += 1
    assert refused > 0.4 * n


@pytest.mark.parametrize("n", [15, pytest.param(90, marks=pytest.mark.slow)])
def test_no_bytes_make_reading_fail_otherwise(members, tmp_path, n):
    """Random damage to any member, or to the ZIP itself, is an ArchiveError or does not matter."""
    rng = random.Random(4)
    path = tmp_path / "given.fsn"
    refused = 0
    tables = [name for name in members if name.endswith(".parquet")]
    for number in range(n):
        content = dict(members)
        name = rng.choice(tables)
        data = bytearray(content[name])
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        content[name] = bytes(data[: rng.randrange(len(data))] if number % 3 == 0 else data)
        try:
            fusionpy.fuse(SURVEY.head(7), read_members(content, path), seed=1, quiet=True)
        except FusionError:
            refused += 1
    whole = zip_bytes(members, path)
    for _ in range(n):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 5])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            fusionpy.read_fsn(path)
        except ArchiveError:
            refused += 1
    assert refused > 0.9 * n


def zip_bytes(members: dict[str, bytes], path: Path) -> bytes:
    read_members(members, path)
    return path.read_bytes()


def test_a_table_cannot_claim_more_rows_than_memory_holds(members, tmp_path):
    """Parquet keeps a billion equal numbers in a few bytes: what a table declares is looked at first."""
    buffer = io.BytesIO()
    small = pa.table({"donor": pa.array(np.zeros(2**20, np.int32))})
    with pq.ParquetWriter(buffer, small.schema, compression="zstd") as writer:
        for _ in range(8):
            writer.write_table(small)
    assert len(buffer.getvalue()) < 100_000
    content = {**members, "fusionpy~2~pools.parquet": buffer.getvalue()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "MOST_CELLS", 2**12)
        with pytest.raises(ArchiveError, match="claims to hold 8,388,608 rows"):
            read_members(content, tmp_path / "given.fsn")


def test_what_is_not_needed_is_not_read(members, tmp_path):
    """Members of later versions, or of others' making, do no harm."""
    content = {**members, "notes.txt": b"x" * 100, "fusionpy~later.bin": b"\x80\x04"}
    assert read_members(content, tmp_path / "given.fsn").n_donors == N


def test_nothing_in_the_package_unpickles():
    package = Path(fusionpy.__file__).parent
    dangerous = re.compile(
        r"\b(import|from)\s+(pickle|cloudpickle|joblib|dill|shelve|marshal)\b|\b(eval|exec)\(|allow_pickle=True"
    )
    found = [
        path.name for path in package.rglob("*.py") if dangerous.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
