"""Heaps of zeros, against the reference and at the edges."""

import json

import numpy as np
import pandas as pd
import pytest

from fusionpy.kernels.inflation import _silverman, is_inflated


@pytest.fixture(scope="module")
def recs(shared):
    return pd.read_csv(shared / "data/recs2015.csv.gz", keep_default_na=False, na_values=[""])


def test_inflation_flags_of_the_reference(shared, recs):
    golden = json.loads((shared / "reference/pieces.json").read_text())["inflated"]
    numeric = [name for name in golden if recs[name].dtype.kind in "if"]
    assert len(numeric) >= 12
    mine = {name: is_inflated(recs[name].to_numpy(float)) for name in numeric}
    assert mine == {name: golden[name] for name in numeric}


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        (np.r_[np.zeros(1), np.linspace(5, 9, 150)], False),  # fewer than 1 % zeros
        (np.zeros(20), False),
        (np.linspace(-1, 1, 201), False),  # zero is one value among others
        (np.r_[np.zeros(90), 1.0, 2.0, 3.0, *np.full(7, 4.0)], True),  # quartiles both 0
    ],
)
def test_inflation_edges(values, flag):
    assert is_inflated(values) is flag


def test_bandwidth_by_its_definition():
    """Silverman's, of the spread where the quartiles are equal, and of the values where all are."""
    values = np.random.default_rng(1).gamma(2, 1, 200)
    quartiles = np.quantile(values, [0.25, 0.75])
    assert _silverman(values) == pytest.approx(0.9 * (quartiles[1] - quartiles[0]) / 1.34 / 200**0.2)
    heap = np.r_[np.zeros(9), 1.0]
    assert _silverman(heap) == pytest.approx(0.9 * heap.std(ddof=1) / 10**0.2)
    assert _silverman(np.full(32, -3.0)) == pytest.approx(0.9 * 3 / 2)
