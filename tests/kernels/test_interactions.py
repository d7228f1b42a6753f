"""Pairs of factors: the analysis of variance against least squares, and its chances against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from fusionpy.kernels.interactions import chance_of_none, left_of_normal
from fusionpy.kernels.mixed import fit_normal


def squares_left(design, value, weight):
    """Weighted sum of squares that least squares leaves, and how many columns are independent."""
    root = np.sqrt(weight)
    solved, *_ = np.linalg.lstsq(design * root[:, None], value * root, rcond=None)
    return weight @ (value - design @ solved) ** 2, np.linalg.matrix_rank(design * root[:, None])


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6))
def test_chance_is_that_of_two_models_fitted_by_least_squares(seed, levels, others):
    rng = np.random.default_rng(seed)
    n = 200
    one, other = rng.integers(0, levels, n), rng.integers(0, others, n) ** 2 // max(others - 1, 1)
    value, weight = rng.normal(size=n) + one * other, rng.uniform(0.2, 3, n)
    found = chance_of_none(
        one, other, (levels + 1, others + 1), value, weight, 1.5
    )  # the last ones are empty
    cell = one * others + other
    worth = np.array([weight[cell == c].sum() ** 2 / (weight[cell == c] ** 2).sum() for c in cell])
    one, other, value, weight = (each[worth > 4] for each in (one, other, value, weight))
    first, second = one[:, None] == np.arange(levels), other[:, None] == np.arange(others)
    cells = (first[:, :, None] & second[:, None, :]).reshape(len(one), -1)
    of_sums, n_sums = squares_left(np.hstack([first, second]).astype(float), value, weight)
    of_cells, n_cells = squares_left(cells.astype(float), value, weight)
    wanted = chi2.sf((of_sums - of_cells) / 1.5, n_cells - n_sums) if n_cells > n_sums else 1.0
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_where_there_is_none_chances_are_uniform():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        one, other = rng.integers(0, 4, 300), rng.choice(5, 300, p=[0.5, 0.3, 0.1, 0.07, 0.03])
        value = 0.7 * one - 0.4 * other + rng.normal(size=300)
        found.append(chance_of_none(one, other, (4, 5), value, np.ones(300), 1.0))
    assert kstest(found, "uniform").pvalue > 0.01


def test_what_is_left_is_what_the_effects_do_not_explain():
    rng = np.random.default_rng(3)
    codes = np.stack([rng.integers(0, 4, 500), rng.integers(0, 3, 500)])
    value, weight = 2.0 + codes[0] + rng.normal(size=500), rng.uniform(1, 5, 500)
    found = fit_normal(codes, [4, 3], value, weight)
    left, precision, noise = left_of_normal(codes, [4, 3], value, weight, found)
    every = np.zeros(8)
    every[found.columns] = found.mean
    for i in (0, 7, 499):
        assert left[i] == pytest.approx(value[i] - every[codes[0, i]] - every[4 + codes[1, i]] - every[7])
    assert precision.sum() == pytest.approx(weight.sum() ** 2 / (weight @ weight))  # effective records
    assert noise == pytest.approx(np.average(left**2, weights=weight))
    assert 0.8 < noise < 1.2


def test_without_noise_nothing_is_told():
    code = np.arange(4) % 2
    assert chance_of_none(code, code, (2, 2), np.zeros(4), np.ones(4), 0.0) == 1


def test_cells_of_a_few_records_tell_nothing():
    one, other = np.repeat([0, 0, 1, 1], [50, 50, 50, 4]), np.repeat([0, 1, 0, 1], [50, 50, 50, 4])
    value = np.where((one == 1) & (other == 1), 9.0, 0.0)
    assert chance_of_none(one, other, (2, 2), value, np.ones(154), 1.0) == 1
    assert chance_of_none(one[:3], other[:3], (2, 2), value[:3], np.ones(3), 1.0) == 1
