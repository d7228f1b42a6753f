"""Areas in archives: they come back to the bit, R takes the rest, and damage is told."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archived import read_members
from stripped import strip

import fusionpy
from fusionpy import ArchiveError
from fusionpy.model.archive.effects import apart_table

SMALL = {"hyper": {"num_iterations": 10}, "refits": 2, "nclusters": 40, "quiet": True}


@pytest.fixture(scope="module")
def donor():
    rng = np.random.default_rng(3)
    place = rng.integers(0, 30, 500)
    frame = pd.DataFrame({"z": rng.normal(size=500), "place": place, "state": (place // 5).astype(str)})
    frame["y"] = rng.normal(0, 1, 30)[place] + rng.normal(0, 1, 500)
    frame["k"] = rng.random(500) < 0.2 + 0.6 * (place % 2)
    return frame


@pytest.fixture(scope="module")
def model(donor):
    return fusionpy.train(donor, ["y", "k"], ["z"], areas=["state", "place"], seed=1, **SMALL)


@pytest.fixture(scope="module")
def members(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("areas") / "m.fsn"
    fusionpy.write_fsn(model, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_areas_come_back_to_the_bit(model, donor, members, tmp_path):
    again = read_members(members, tmp_path / "again.fsn")
    assert again.areas == model.areas
    assert repr(again) == repr(model)
    for one, other in zip(model.steps, again.steps, strict=True):
        for a, b in zip(one.effects.each, other.effects.each, strict=True):
            for name in ("mean", "root", "ties", "alone", "refits", "sds", "columns"):
                assert np.array_equal(getattr(a, name), getattr(b, name)), name
    recipient = donor.assign(place=donor["place"] + 20)
    fused = [fusionpy.fuse(recipient, each, M=3, seed=1, quiet=True) for each in (model, again)]
    pd.testing.assert_frame_equal(*fused)


def test_a_model_without_areas_says_nothing_of_them(donor, tmp_path):
    fusionpy.train(donor, ["y"], ["z"], effects=True, seed=1, fsn=tmp_path / "m.fsn", **SMALL)
    with zipfile.ZipFile(tmp_path / "m.fsn") as archive:
        assert "areas" not in json.loads(archive.read("manifest.json"))
        assert not [name for name in archive.namelist() if name.endswith("apart.parquet")]
    assert fusionpy.read_fsn(tmp_path / "m.fsn").areas == ()


def test_what_r_reads_draws_without_areas(model, donor, tmp_path):
    assert not json.loads(fusionpy_manifest(model, tmp_path))["not_for_r"]
    stripped = fusionpy.read_fsn(strip(tmp_path / "m.fsn", tmp_path / "r.fsn"))
    assert stripped.areas == ()
    assert len(fusionpy.fuse(donor[["z"]], stripped, seed=1, quiet=True)) == 500


def fusionpy_manifest(model, folder):
    fusionpy.write_fsn(model, folder / "m.fsn")
    with zipfile.ZipFile(folder / "m.fsn") as archive:
        return archive.read("manifest.json")


def step_with_ties(model):
    return next(n for n, step in enumerate(model.steps) if apart_table(step.effects) is not None)


def changed(members, change):
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    return {**members, "manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["areas"].pop(), "does not fit its factors"),
        (lambda m: m.pop("areas"), "does not fit its factors"),
        (lambda m: m["areas"][1]["levels"].pop(), "must be smaller|not of as many levels"),
        (lambda m: m["areas"][1]["levels"].append("x"), "levels of .* do not fit its kind"),
        (lambda m: m["areas"][1].update(kind="date"), "must be one of"),
        (lambda m: m["areas"][1].update(levels=[]), "do not fit its kind"),
        (lambda m: m["areas"][1].update(levels=["1", "1"]), "none of them twice"),
        (lambda m: m["areas"][1].update(name="y"), "impossible names"),
        (lambda m: m["areas"][1].update(name="state"), "impossible names"),
        (lambda m: [step.update(effects=None) for step in m["steps"]], "lacks the effects of its areas"),
    ],
)
def test_damaged_areas_are_told(members, tmp_path, change, words):
    with pytest.raises(ArchiveError, match=words):
        read_members(changed(members, change), tmp_path / "damaged.fsn")


def test_damaged_sizes_are_told(model, members, tmp_path):
    number = step_with_ties(model)

    def entry(manifest):
        return next(each for each in manifest["steps"][number]["effects"]["each"] if "apart" in each)

    for change in (
        lambda m: entry(m).update(apart=3),
        lambda m: entry(m).pop("apart"),
        lambda m: entry(m).update(apart=-1),
        lambda m: entry(m).update(size=entry(m)["size"] + 1),
    ):
        with pytest.raises(ArchiveError):
            read_members(changed(members, change), tmp_path / "damaged.fsn")


def test_damaged_tables_are_told(model, members, tmp_path):
    number = step_with_ties(model)
    place = f"fusionpy~{number + 1}~apart.parquet"
    table = pq.read_table(pa.BufferReader(members[place])).column(0).to_numpy()

    def written(values):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"apart": values}), sink, compression="zstd")
        return sink.getvalue().to_pybytes()

    for values, words in (
        (table[:-1], "not as many"),
        (np.where(np.arange(len(table)) == 0, 2.0, table), "impossible"),
        (np.where(np.arange(len(table)) == len(table) - 1, -1.0, table), "impossible"),
        (np.where(np.arange(len(table)) == 0, np.nan, table), "missing or infinite"),
    ):
        with pytest.raises(ArchiveError, match=words):
            read_members({**members, place: written(values)}, tmp_path / "damaged.fsn")
    with pytest.raises(ArchiveError, match="missing from it"):
        read_members({k: v for k, v in members.items() if k != place}, tmp_path / "damaged.fsn")
