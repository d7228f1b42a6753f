"""Golden curves of `monotonic()` of fusionModel, and its answers on 47 small vectors."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from fusionpy.errors import ArgumentError, FusionWarning
from fusionpy.preparation.monotone import monotonic

# What it warns of, and how we say it. That an observation is deleted is said wherever no `x` is 0; nothing is
# lost. "other" is of missing weights, and of points that are drawn.
TOLD = {
    "zero y at x > 0 raised to the smallest positive y": "`y` is 0 at some `x` above 0",
    "non-zero y at x = 0 set to zero": "`y` is not 0 at some `x` of 0",
    "the smoother deleted non-finite observations": None,
    "integer overflow gave NA": None,  # a fault: the mean is right here
    "other": None,
}
DRAWN = ["n8_nmax4"]  # points are chosen at random
SPLINES = ["n8_zigzag_slow"]  # package scam was absent, so `fast = FALSE` gave the fast answer


@pytest.fixture(scope="module")
def golden(shared):
    return pd.read_csv(shared / "reference/monotonic.csv.gz")


@pytest.mark.parametrize(("column", "preserve"), [("expend", True), ("nopreserve", False)])
def test_expenditure(golden, column, preserve):
    """573 of 5,686 households use propane; the first of the others stands for all of them."""
    fitted = monotonic(golden["x"], golden["y"], w=golden["w"], preserve=preserve)
    assert fitted.to_numpy() == pytest.approx(golden[column].to_numpy(), rel=1e-12)
    means = [np.average(each, weights=golden["w"]) for each in (fitted, golden["y"])]
    assert (abs(means[0] / means[1] - 1) < 1e-9) == preserve


def test_any_numbers(golden):
    """Theirs are all points, weighted, with the smooth's own mean."""
    y = golden["y2"].rename("electricity")
    fitted = monotonic(golden["x2"], y, w=golden["w"], preserve=False, expend=False, nmax=np.inf)
    assert fitted.dtype == y.dtype == np.int64
    assert fitted.name == "electricity"
    assert fitted.tolist() == golden["m2"].to_list()


@pytest.fixture(scope="module")
def small(shared):
    return json.loads((shared / "reference/original/monotonic_small.json").read_text())


def given(case):
    """Arguments as the reference had them: missing values are null in JSON."""
    arguments = dict(case["args"])
    for name in {"x", "y", "w"} & set(arguments):
        whole = case.get(f"integer_{name}", False)
        arguments[name] = np.array(arguments[name], dtype=np.int64 if whole else np.float64)
    return arguments | ({"nmax": arguments["nmax"][0]} if "nmax" in arguments else {})


def test_small_vectors(small):
    assert len(small) == 47
    for name, case in small.items():
        print(name)  # pytest shows it where one fails
        arguments = given(case)
        if "error" in case:
            with pytest.raises(ArgumentError):
                monotonic(**arguments)
            continue
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            fitted = monotonic(**arguments, seed=1)
        wanted = [text for each in case["warnings"] if (text := TOLD[each])]
        said = [str(each.message) for each in told if "w` has 1 missing" not in str(each.message)]
        assert all(issubclass(each.category, FusionWarning) for each in told)
        assert [text.split(":")[0] for text in said] == wanted
        assert (fitted.dtype == np.int64) == (case["class"] == "integer")
        assert len(fitted) == len(case["value"])
        if name in DRAWN:
            assert (np.diff(fitted) >= 0).all()
            assert fitted.mean() == pytest.approx(np.mean(case["value"]), rel=1e-9) == 4.5
        elif name not in SPLINES:
            assert fitted == pytest.approx(np.array(case["value"]), rel=1e-12, abs=1e-12)


def test_integer_overflow_does_not_lose_the_mean(small):
    case = small["int_big_mean"]
    arguments = given(case)
    fitted = monotonic(**arguments)
    means = [np.average(each, weights=arguments["w"]) for each in (fitted, arguments["y"])]
    assert means[0] == pytest.approx(means[1], abs=1)


def test_a_spline_where_scam_was_absent(small):
    for name in SPLINES:
        arguments = given(small[name])
        fitted = monotonic(**arguments)
        sorted_smooth = monotonic(**(arguments | {"fast": True}))
        assert sorted_smooth == pytest.approx(np.array(small[name]["value"]), rel=1e-12)
        assert (np.diff(fitted) >= 0).all()
        assert not np.allclose(fitted, sorted_smooth)
