"""Regressions: columns that depend on others, closed forms, weights that leave something undetermined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels.regression import find_basis, fit, sandwich

RNG = np.random.default_rng(3)


def made(n=60, p=4, seed=0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(1000, 1, (n, p - 1))])
    return x, x @ np.arange(1, p + 1) + rng.normal(0, 1, n), rng.gamma(2, 1, n)


@given(st.integers(0, 10**6), st.integers(1, 5), st.lists(st.integers(0, 4), max_size=2))
def test_coefficients_and_columns_that_follow_from_those_before(seed, p, repeated):
    x, y, w = made(p=p, seed=seed)
    columns, is_new = list(x.T), [True] * p
    for place in repeated:  # right after a column, a multiple of it, or the sum of those before
        at = min(place, len(columns) - 1) + 1
        columns.insert(at, 3 * columns[at - 1] - columns[0])
        is_new.insert(at, False)
    wide = np.column_stack(columns)
    basis = find_basis(wide, w)
    assert basis.kept.sum() == p == np.linalg.matrix_rank(wide, tol=1e-4)
    if not repeated:
        assert basis.kept.tolist() == is_new
    found = fit(basis, y, w)
    assert np.isnan(found.coefficients).tolist() == (~basis.kept).tolist()
    root = np.sqrt(w)
    theirs = np.linalg.lstsq(wide[:, basis.kept] * root[:, None], y * root, rcond=None)[0]
    assert found.coefficients[basis.kept] == pytest.approx(theirs, rel=1e-6, abs=1e-4)
    assert (wide[:, basis.kept] * w[:, None]).T @ found.residuals == pytest.approx(0, abs=1e-5)


def test_a_constant_alone_is_a_mean_with_its_variance():
    y, w = RNG.gamma(2, 3, 30), RNG.gamma(2, 1, 30)
    w[3] = 0
    basis = find_basis(np.ones((30, 1)), w)
    found = fit(basis, y, w)
    mean = np.average(y, weights=w)
    assert found.coefficients == pytest.approx([mean])
    by_hand = 29 / 28 * (w**2 * (y - mean) ** 2).sum() / w.sum() ** 2
    assert sandwich(basis, found, w) == pytest.approx([by_hand])


def test_a_straight_line_has_whites_variance():
    x, y = RNG.normal(5, 2, 40), RNG.normal(0, 1, 40)
    w = np.ones(40)
    basis = find_basis(np.column_stack([np.ones(40), x]), w)
    found = fit(basis, y, w)
    away = x - x.mean()
    slope = (away * y).sum() / (away**2).sum()
    residual = y - y.mean() - slope * away
    assert found.coefficients[1] == pytest.approx(slope)
    by_hand = 40 / 39 * (away**2 * residual**2).sum() / (away**2).sum() ** 2
    assert sandwich(basis, found, w)[1] == pytest.approx(by_hand)


def test_two_groups_odds_and_rates():
    x = np.repeat([0.0, 1.0], [50, 80])
    y = (np.arange(130) % 5 == 0).astype(float)
    w = RNG.gamma(2, 1, 130)
    basis = find_basis(np.column_stack([np.ones(130), x]), w)
    p = [np.average(y[x == g], weights=w[x == g]) for g in (0, 1)]
    odds = [np.log(q / (1 - q)) for q in p]
    binomial = fit(basis, y, w, "binomial")
    assert binomial.coefficients == pytest.approx([odds[0], odds[1] - odds[0]], rel=1e-8)
    poisson = fit(basis, 3 * y, w, "poisson")
    assert poisson.coefficients == pytest.approx([np.log(3 * p[0]), np.log(p[1] / p[0])], rel=1e-8)
    # A constant and a dummy are two means: the delta method.
    spread = [
        130 / 129 * ((w * (y - q))[x == g] ** 2).sum() / (w[x == g].sum() * q * (1 - q)) ** 2
        for g, q in enumerate(p)
    ]
    assert sandwich(basis, binomial, w) == pytest.approx([spread[0], sum(spread)], rel=1e-6)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_what_outcomes_do_not_bound_is_missing(family):
    """In the second group nothing ever happens: its log odds, or rate, have no end."""
    x = np.repeat([0.0, 1.0], [50, 30])
    y = np.where(x == 1, 0.0, np.arange(80) % 2)
    basis = find_basis(np.column_stack([np.ones(80), x]), np.ones(80))
    found = fit(basis, y, np.ones(80), family)
    assert found.coefficients[0] == pytest.approx(0.0 if family == "binomial" else np.log(0.5), abs=1e-6)
    assert np.isnan(found.coefficients[1])
    assert np.isnan(sandwich(basis, found, np.ones(80))).tolist() == [False, True]


def test_rare_outcomes_are_not_missing():
    x = np.repeat([0.0, 1.0], [50, 100_000])
    y = (np.arange(100_050) % 50_000 == 0).astype(float)
    basis = find_basis(np.column_stack([np.ones(100_050), x]), np.ones(100_050))
    found = fit(basis, y, np.ones(100_050), "binomial")
    rare = y[x == 1].mean()
    assert found.coefficients[1] == pytest.approx(np.log(rare / (1 - rare)) - np.log(1 / 49), rel=1e-6)


def test_other_weights_in_the_same_basis():
    x, y, w = made()
    basis = find_basis(x, w)
    other = w * RNG.uniform(-0.2, 2, len(w))  # as replicate weights may be
    found = fit(basis, y, other)
    by_hand = np.linalg.solve((x.T * other) @ x, x.T @ (other * y))
    assert found.coefficients == pytest.approx(by_hand, rel=1e-5)
    only = np.where(np.arange(len(w)) < 2, w, 0)  # two records, four coefficients
    assert np.isnan(fit(basis, y, only).coefficients).all()


def test_no_records_and_no_columns():
    nobody = find_basis(np.ones((0, 2)), np.zeros(0))
    found = fit(nobody, np.zeros(0), np.zeros(0))
    assert np.isnan(found.coefficients).tolist() == [True, True]
    assert np.isnan(sandwich(nobody, found, np.zeros(0))).all()
    one = find_basis(np.ones((1, 1)), np.ones(1))
    assert np.isnan(sandwich(one, fit(one, np.ones(1), np.ones(1)), np.ones(1))).all()


def test_two_records_and_a_column_around_nothing():
    one = find_basis(np.ones((2, 1)), np.ones(2))
    y = np.array([1.0, 3.0])
    assert sandwich(one, fit(one, y, np.ones(2)), np.ones(2)) == pytest.approx([1.0])  # 2 / 1 * 2 / 4
    assert find_basis(np.array([[1.0, -1.0], [1.0, 1.0], [1.0, 0.0]]), np.ones(3)).kept.tolist() == [
        True,
        True,
    ]
