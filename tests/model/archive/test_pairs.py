"""Effects of pairs of predictors in archives: back to the bit, and nothing damaged is believed."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from archived import read_members

import fusionpy
from fusionpy import ArchiveError

SMALL = {"hyper": {"num_iterations": 10}, "refits": 2, "nclusters": 40, "quiet": True}


@pytest.fixture(scope="module")
def donor():
    rng = np.random.default_rng(3)
    one, other, place = rng.integers(0, 4, 600), rng.integers(0, 3, 600), rng.integers(0, 9, 600)
    frame = pd.DataFrame({"one": one, "other": pd.Categorical(other.astype(str)), "place": place})
    frame["y"] = 2.0 * (one == other) + rng.normal(0, 0.3, 9)[place] + rng.normal(0, 1, 600)
    frame["k"] = pd.Categorical(rng.choice(["a", "b", "c"], 600))
    return frame


@pytest.fixture(scope="module")
def model(donor):
    return fusionpy.train(donor, ["y", "k"], ["one", "other"], areas=["place"], seed=1, **SMALL)


@pytest.fixture(scope="module")
def members(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "m.fsn"
    fusionpy.write_fsn(model, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_pairs_come_back_to_the_bit(model, donor, members, tmp_path):
    again = read_members(members, tmp_path / "again.fsn")
    assert [pair.names for pair in model.steps[0].effects.pairs] == [("one", "other")]
    assert model.steps[1].effects.pairs == ()
    assert repr(again) == repr(model)
    for one, other in zip(model.steps, again.steps, strict=True):
        for a, b in zip(one.effects.pairs, other.effects.pairs, strict=True):
            assert a.names == b.names
            for factor, same in ((a.one, b.one), (a.other, b.other)):
                assert np.array_equal(factor.edges, same.edges)
        for a, b in zip(one.effects.each, other.effects.each, strict=True):
            assert a.share == b.share
            for name in ("mean", "root", "ties", "alone", "refits", "sds", "columns"):
                assert np.array_equal(getattr(a, name), getattr(b, name)), name
    fused = [fusionpy.fuse(donor, each, M=3, seed=1, quiet=True) for each in (model, again)]
    pd.testing.assert_frame_equal(*fused)


def changed(members, change):
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def pair_of(manifest):
    return manifest["steps"][0]["effects"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e["pairs"][0].pop(), "is not a pair"),
        (lambda e: e["pairs"][0][1].update(name="one"), "is not a pair"),
        (lambda e: e["pairs"].append(e["pairs"][0][::-1]), "names a pair twice"),
        (lambda e: e["pairs"][0][0].update(name="y"), "must be one of"),
        (lambda e: e["pairs"][0][0].update(edges=[2, 1]), "do not ascend"),
        (lambda e: e["pairs"][0][0].update(edges=list(range(100))), "levels"),
        (lambda e: e.pop("pairs"), "does not fit its factors"),
        (lambda e: e["each"][0]["sds"].pop(), "does not fit its factors"),
        (lambda e: e["each"][0].update(share=0.5), "is not of a class"),
        (lambda e: e["pairs"][0][0]["edges"].pop(), "not of its factors"),  # whose levels the tables have
    ],
)
def test_damaged_pairs_are_told(members, tmp_path, change, words):
    with pytest.raises(ArchiveError, match=words):
        read_members(changed(members, lambda m: change(pair_of(m))), tmp_path / "damaged.fsn")
