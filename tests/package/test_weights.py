"""Negative survey weights count as 0 in every verb, with one warning; replicate weights are not touched."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

import fusionpy
from fusionpy import datasets
from fusionpy.cli import app

N = 160
X = ["region", "rooms", "income"]
HOW = {"weight": "weight", "seed": 1, "quiet": True}
TRAIN = {"nfolds": 2, "hyper": {"num_iterations": 4}, "refits": 0}
DONOR = datasets.load_donor().head(N)[[*X, "electricity", "solar", "weight"]]
SOME = np.arange(N) % 40 == 3
NEGATIVE = DONOR.assign(weight=DONOR["weight"].mask(SOME, -3.5))
ZERO = DONOR.assign(weight=DONOR["weight"].mask(SOME, 0.0))
IMPLICATES = pd.concat(
    [DONOR[["electricity"]].sample(frac=1, random_state=m).assign(M=m) for m in (1, 2, 3)], ignore_index=True
)
STATIC = ["region", "weight"]
GAPS = DONOR["electricity"].mask(np.arange(N) % 9 == 0)


@pytest.fixture(scope="module")
def model():
    return fusionpy.train(DONOR, ["electricity"], X, **HOW, **TRAIN)


def as_command(survey, model, folder):
    survey[STATIC].to_parquet(folder / "survey.parquet")
    IMPLICATES.to_parquet(folder / "fused.parquet")
    arguments = ["analyze", str(folder / "fused.parquet"), "mean(electricity)", "--weight", "weight"]
    given = [*arguments, "--static", str(folder / "survey.parquet"), "--out", str(folder / "out.csv")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    for line in result.stderr.splitlines():
        if line.startswith("Warning: "):
            warnings.warn(line.removeprefix("Warning: "), fusionpy.FusionWarning, stacklevel=1)
    return pd.read_csv(folder / "out.csv")


VERBS = {  # of a survey, a model and a folder: a table
    "train": lambda survey, model, folder: fusionpy.fuse(
        DONOR[X], fusionpy.train(survey, ["electricity"], X, **HOW, **TRAIN), seed=1, quiet=True
    ),
    "prep_xy": lambda survey, model, folder: pd.DataFrame(
        {"x": [fusionpy.prep_xy(survey, ["electricity", "solar"], X, **HOW).x]}
    ),
    "impute": lambda survey, model, folder: fusionpy.impute(survey.assign(electricity=GAPS), **HOW),
    "monotonic": lambda survey, model, folder: pd.DataFrame(
        {
            "y": fusionpy.monotonic(
                survey["electricity"] / 2 + 9, survey["electricity"], w=survey["weight"], seed=1
            )
        }
    ),
    "analyze": lambda survey, model, folder: fusionpy.analyze(
        "mean(electricity)", IMPLICATES, static=survey[STATIC], **HOW
    ),
    "analyze, of the implicates": lambda survey, model, folder: fusionpy.analyze(
        "mean(electricity)", IMPLICATES.assign(weight=np.tile(survey["weight"], 3)), **HOW
    ),
    "validate": lambda survey, model, folder: (
        fusionpy.validate(
            survey, IMPLICATES, "region", weight="weight", y="electricity", plot=False, quiet=True
        ).table
    ),
    "score": lambda survey, model, folder: (
        fusionpy.score(survey, IMPLICATES, y="electricity", classifier=False, **HOW).table
    ),
    "cross_score": lambda survey, model, folder: (
        fusionpy.cross_score(
            survey, ["electricity"], X, **HOW, nfolds=2, M=2, classifier=False, refits=0, hyper=TRAIN["hyper"]
        ).table
    ),
    "importance": lambda survey, model, folder: fusionpy.importance(
        model, data=survey, weight="weight", seed=1
    ),
    "command line": as_command,
}


def called(verb, survey, model, folder):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = VERBS[verb](survey, model, folder)
    return found, [str(each.message) for each in caught if "negative" in str(each.message)]


@pytest.mark.parametrize("verb", VERBS)
def test_negative_weights_count_as_zero(verb, model, tmp_path):
    found, told = called(verb, NEGATIVE, model, tmp_path)
    assert told == [f"4 negative weights in `{'w' if verb == 'monotonic' else 'weight'}`: taken as 0."]
    expected, told = called(verb, ZERO, model, tmp_path)
    assert not told
    if verb == "impute":  # which hands the weights back as they were
        found, expected = found.drop(columns="weight"), expected.drop(columns="weight")
    assert_frame_equal(found, expected)


def test_negative_replicate_weights_stay():
    moved = DONOR["weight"].to_numpy() * (1 + 0.1 * np.random.default_rng(1).standard_normal((9, N)))
    static = DONOR[STATIC].assign(**{f"r{j}": each for j, each in enumerate(moved)})
    static.loc[static.index[3], "r1"] = -5000.0
    how = {"rep_weights": [f"r{j}" for j in range(9)], **HOW}
    margins = [
        fusionpy.analyze("mean(electricity)", IMPLICATES, static=each, **how)["moe"].item()
        for each in (static, static.assign(r1=static["r1"].clip(lower=0)))
    ]
    assert margins[0] != margins[1]
