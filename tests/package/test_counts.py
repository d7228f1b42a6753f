"""Counts: whole floats are taken everywhere, as R hands them over; absurd ones are refused at once."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy.errors import ArgumentError, FusionWarning

X = ["region", "rooms", "income"]
FAST = {"seed": 1, "quiet": True, "nfolds": 2, "nclusters": 10, "hyper": {"num_iterations": 3}}


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A small survey, a model of it, and implicates, in memory and on disk."""
    donor = fusionpy.datasets.load_donor().head(250)
    model = fusionpy.train(donor, ["insulation", "electricity"], X, refits=2, **FAST)
    fused = fusionpy.fuse(donor, model, M=4, seed=1, quiet=True)
    path = tmp_path_factory.mktemp("counts") / "fused.parquet"
    fused.to_parquet(path)
    holes = donor[[*X, "electricity"]].assign(income=donor["income"].where(np.arange(250) % 3 > 0))
    return {"donor": donor, "model": model, "fused": fused, "path": path, "holes": holes}


def less(options, *names):
    return {name: value for name, value in options.items() if name not in names}


def trained(t, **given):
    model = fusionpy.train(t["donor"], ["electricity"], X, **{**FAST, "refits": 1, **given})
    return fusionpy.fuse(t["donor"], model, M=2, seed=1, quiet=True)


def scored(t, **given):
    given = {"seed": 1, "quiet": True, "classifier": False, **given}
    return fusionpy.score(t["donor"], t["fused"], ["electricity"], **given).table


VERBS = {
    "train": trained,
    "fuse": lambda t, **given: fusionpy.fuse(t["donor"], t["model"], seed=1, quiet=True, **given),
    "analyze": lambda t, **given: fusionpy.analyze("mean(electricity)", t["fused"], quiet=True, **given),
    "validate": lambda t, **given: (
        fusionpy.validate(t["donor"], t["fused"], "region", quiet=True, **given).table
    ),
    "read_fsd": lambda t, **given: fusionpy.read_fsd(t["path"], **given),
    "impute": lambda t, **given: fusionpy.impute(t["holes"], seed=1, quiet=True, **given),
    "importance": lambda t, **given: fusionpy.importance(t["model"], data=t["donor"], seed=1, **given),
    "prep_xy": lambda t, **given: (
        fusionpy.prep_xy(t["donor"], ["electricity"], X, seed=1, quiet=True, **given).scores
    ),
    "score": lambda t, **given: scored(t, **given),
    "cross_score": lambda t, **given: (
        fusionpy.cross_score(
            t["donor"],
            ["electricity"],
            X,
            refits=0,
            classifier=False,
            **{**less(FAST, "nclusters"), "M": 2, **given},
        ).table
    ),
}
COUNTS = [  # verb, argument, one that is fine, one below, and whether there is one above
    *(
        ("train", *rest)
        for rest in (("cores", 2, 0), ("nfolds", 3, 1), ("nquantiles", 2, 0), ("refits", 2, -1))
    ),
    *(("train", *rest) for rest in (("nclusters", 9, -1), ("patience", 3, 0))),
    *(("fuse", *rest) for rest in (("M", 2, 0), ("cores", 2, 0), ("chunk", 50, 0), ("kblock", 7, 4))),
    ("fuse", "offset", 3, -1),
    ("analyze", "cores", 2, 0),
    *(("validate", *rest) for rest in (("min_size", 20, 1), ("cores", 2, 0))),
    *(("read_fsd", *rest) for rest in (("M", 2, 0), ("cores", 2, 0))),
    *(("impute", *rest) for rest in (("M", 2, 0), ("cores", 2, 0))),
    *(("importance", *rest) for rest in (("n_repeats", 2, 0), ("cores", 2, 0))),
    *(("prep_xy", *rest) for rest in (("xmax", 2, 0), ("cores", 2, 0))),
    *(("score", *rest) for rest in (("draws", 2, 1), ("min_size", 20, 0), ("cores", 2, 0))),
    *(("cross_score", *rest) for rest in (("M", 2, 0), ("nfolds", 2, 1), ("cores", 2, 0))),
]
BOUNDED = {
    "cores",
    "M",
    "nfolds",
    "nquantiles",
    "refits",
    "nclusters",
    "patience",
    "n_repeats",
    "xmax",
    "kblock",
}


def same(a, b):
    pd.testing.assert_frame_equal(pd.DataFrame(a), pd.DataFrame(b))


@pytest.mark.filterwarnings("ignore::fusionpy.errors.FusionWarning")
@pytest.mark.parametrize(("verb", "name", "fine", "low"), COUNTS)
def test_whole_floats_are_counts(things, verb, name, fine, low):
    expected = VERBS[verb](things, **{name: fine})
    for kind in (float, np.float32)[: 1 if verb in ("cross_score", "score", "validate", "impute") else 2]:
        same(VERBS[verb](things, **{name: kind(fine)}), expected)


@pytest.mark.parametrize(("verb", "name", "fine", "low"), COUNTS)
def test_other_counts_are_refused(things, verb, name, fine, low):
    wrong = [low, float(low), "2", True, fine + 0.5, float("nan"), [2]]
    if name == "nclusters":  # as in R, where the original takes them
        wrong.remove(fine + 0.5)
    wrong += [2**31, 1e18, 10**30] if name in BOUNDED - {"M"} or (name == "M" and verb != "read_fsd") else []
    for value in wrong:
        with pytest.raises(ArgumentError, match=rf"`{name}` must be"):
            VERBS[verb](things, **{name: value})


@pytest.mark.parametrize("pair", [(2.0, 9.0), np.array([2, 9]), [np.float64(2), 9]])
def test_pool_sizes_may_be_whole_floats(things, pair):
    same(trained(things, krange=pair), trained(things, krange=(2, 9)))


def test_fractions_that_the_original_takes_are_told(things):
    with pytest.warns(FusionWarning, match="`krange` is taken as"):
        same(trained(things, krange=(9.9, 1.5)), trained(things, krange=(2, 9)))
    with pytest.warns(FusionWarning, match="`nclusters` is taken as 9: "):
        same(trained(things, nclusters=8.5), trained(things, nclusters=9))


@pytest.mark.parametrize("pair", [(2, 10**10), (0, 9), (0.5, 9), (2, 9, 10), 5, "29", (True, 5)])
def test_other_pool_sizes_are_refused(things, pair):
    with pytest.raises(ArgumentError, match="`krange` must be two whole numbers"):
        trained(things, krange=pair)


def test_every_count_of_the_verbs_is_tested():
    counts = {
        "cores",
        "M",
        "nfolds",
        "nquantiles",
        "refits",
        "nclusters",
        "patience",
        "chunk",
        "kblock",
        "offset",
    }
    counts |= {"n_repeats", "xmax", "draws", "min_size"}
    tested = {(verb, name) for verb, name, *_ in COUNTS}
    for verb in VERBS:
        for name in inspect.signature(getattr(fusionpy, verb)).parameters:
            assert name not in counts or (verb, name) in tested, (verb, name)
