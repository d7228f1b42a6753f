"""Golden curves of `monotonic()` of fusionModel."""

import numpy as np
import pandas as pd
import pytest

from fusionpy.monotone import monotonic


@pytest.fixture(scope="module")
def golden(shared):
    return pd.read_csv(shared / "reference/monotonic.csv.gz")


@pytest.mark.parametrize(("column", "preserve"), [("expend", True), ("nopreserve", False)])
def test_expenditure(golden, column, preserve):
    """573 of 5,686 households use propane; the first of the others stands for all of them."""
    fitted = monotonic(golden["x"], golden["y"], w=golden["w"], preserve=preserve)
    assert fitted.to_numpy() == pytest.approx(golden[column].to_numpy(), rel=1e-9)
    means = [np.average(each, weights=golden["w"]) for each in (fitted, golden["y"])]
    assert (abs(means[0] / means[1] - 1) < 1e-9) == preserve


def test_any_numbers(golden):
    """Theirs are all points, weighted, with the smooth's own mean."""
    y = golden["y2"].rename("electricity")
    fitted = monotonic(golden["x2"], y, w=golden["w"], preserve=False, expend=False, nmax=np.inf)
    assert fitted.dtype == y.dtype == np.int64
    assert fitted.name == "electricity"
    assert (fitted - golden["m2"]).abs().max() <= 1
    # Theirs are rounded. Records of one x and y come by weight here, as they were there: a few differ by .02.
    exact = monotonic(golden["x2"], y * 1.0, w=golden["w"], preserve=False, expend=False, nmax=np.inf)
    assert (exact - golden["m2"]).abs().max() < 0.52
