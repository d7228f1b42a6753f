"""A lean archive: what it must not tell of the donors' predictors; it draws the same all the same."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import fusionpy
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.model_text import without_ranges
from fusionpy.formats.fst import read_fst

FAST = {"nfolds": 2, "nclusters": 20, "seed": 1, "quiet": True, "hyper": {"num_iterations": 8}}
LEAST, GREATEST = -98765.4321, 1234567.890123


@pytest.fixture(scope="module")
def survey():
    rng = np.random.default_rng(1)
    n = 400
    x = rng.normal(0, 1000, n)
    x[[17, 230]] = LEAST, GREATEST
    level = pd.Categorical(rng.choice(["a", "b", "c"], n, p=[0.1, 0.3, 0.6]))
    y = np.round(x / 100 + rng.normal(0, 5, n), 1)
    k = 123_456_789 + 7 * rng.integers(0, 9_000_000, n)
    return pd.DataFrame({"x": x, "k": k, "level": level, "y": y, "w": rng.uniform(1, 3, n)})


@pytest.fixture(scope="module", params=[0, 2], ids=["no refits", "refits"])
def model(request, survey):
    arguments = {**FAST, "refits": request.param}
    return fusionpy.train(survey, ["y", "level"], ["x", "k"], weight="w", keep_donors=False, **arguments)


@pytest.fixture
def members(model, tmp_path):
    fusionpy.write_fsn(model, tmp_path / "lean.fsn")
    with zipfile.ZipFile(tmp_path / "lean.fsn") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def numbers(name, content):
    """All numbers of a member."""
    if name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(content))
        return np.concatenate([np.ravel(c.to_numpy()).astype(float) for c in table.columns] or [np.empty(0)])
    if name.endswith(".fst"):
        return np.concatenate([c.to_numpy().astype(float) for c in read_fst(content).columns])
    if name.endswith(".rds"):
        data = zlib.decompress(content, 31)
        return np.concatenate(
            [np.frombuffer(data[at : at + len(data[at:]) // 8 * 8], ">f8") for at in range(8)]
        )
    return np.array([float(each) for each in re.findall(rb"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", content)])


def test_the_ends_of_predictors_are_nowhere(survey, members):
    ends = [end for name in ("x", "k") for end in (survey[name].min(), survey[name].max())]
    assert len(members) > 8
    for name, content in members.items():
        for end in ends:
            found = numbers(name, content)
            assert not np.isclose(found, end, rtol=1e-7, atol=0).any(), (name, end)


def test_no_model_tells_ranges_or_frequencies(members):
    texts = [content.decode() for name, content in members.items() if name.endswith(".txt")]
    infos = [re.search(r"^feature_infos=(.*)$", text, re.M)[1] for text in texts]
    assert len(infos) > 4
    assert all(set(each.split(" ")) == {"none"} for each in infos)


def test_it_draws_the_same(survey, model, tmp_path):
    fusionpy.write_fsn(model, tmp_path / "lean.fsn")
    arguments = {"M": 3, "seed": 2, "quiet": True}
    read = fusionpy.fuse(survey, tmp_path / "lean.fsn", **arguments)
    pd.testing.assert_frame_equal(read, fusionpy.fuse(survey, model, **arguments))


def test_predictions_are_the_same_bits(model):
    rng = np.random.default_rng(2)
    for step in model.steps:
        matrix = rng.normal(0, 1e4, (200, len(step.predictors)))
        matrix[::7] = np.nan
        for booster in step.final.values():
            text = boosting.text(booster)
            stripped = without_ranges(text)
            assert stripped != text
            assert without_ranges(stripped) == stripped
            again = boosting.predict(boosting.parse(stripped), matrix)
            np.testing.assert_array_equal(again, boosting.predict(booster, matrix))
            assert boosting.text(boosting.parse(stripped)) == stripped


def test_another_text_stays_as_it_is():
    assert without_ranges("feature_infos=[1:2]\n") == "feature_infos=[1:2]\n"
