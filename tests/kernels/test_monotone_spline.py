"""The smoothing spline that never falls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from fusionpy.kernels import monotone_spline
from fusionpy.kernels.monotone_spline import _basis, _non_negative, rising_spline


def sample(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, 1, n)
    return x, np.where(x < 1, x, np.maximum(1, x - 2)) + rng.normal(size=n) / 3, rng.exponential(size=n) + 0.1


@given(st.integers(0, 2**32), st.integers(2, 80), st.booleans())
def test_it_never_falls(seed, n, few):
    x, y, w = sample(seed, n)
    x = np.round(x) if few else x
    x[0], x[-1] = -1.0, 9.0
    distinct, fitted = rising_spline(x, y, w)
    assert distinct.tolist() == np.unique(x).tolist()
    assert (np.diff(fitted) >= 0).all()
    assert y.min() - 4 < fitted[0] <= fitted[-1] < y.max() + 4


@pytest.mark.slow
@given(st.integers(0, 2**32))
def test_scale_and_shift_go_through(seed):
    x, y, w = sample(seed, 60)
    fitted = rising_spline(x, y, w)[1]
    assert rising_spline(100 * x - 7, 30 * y + 5, 9 * w)[1] == pytest.approx(30 * fitted + 5, abs=1e-3)


def test_where_the_truth_rises_it_is_the_unconstrained_spline():
    """Without a coefficient at 0 the constraint plays no part, so the mean is kept and residuals sum to 0."""
    rng = np.random.default_rng(2)
    x = np.linspace(0, 1, 300)
    y = 3 * x + np.sin(4 * x) / 3 + rng.normal(size=300) / 50
    fitted = rising_spline(x, y, np.ones(300))[1]
    assert fitted == pytest.approx(3 * x + np.sin(4 * x) / 3, abs=0.02)
    assert fitted.mean() == pytest.approx(y.mean(), rel=1e-9)


def test_it_finds_a_step_between_plateaus():
    x, y, w = sample(5, 4000)
    distinct, fitted = rising_spline(x, y, w)
    truth = np.where(distinct < 1, distinct, np.maximum(1, distinct - 2))
    middle = distinct < 6
    assert np.abs(fitted - truth)[middle].mean() < 0.03


def test_a_falling_line_becomes_its_weighted_mean():
    x, w = np.arange(20.0), np.arange(1, 21.0)
    fitted = rising_spline(x, -x, w)[1]
    assert fitted == pytest.approx(np.full(20, -np.average(x, weights=w)))


@given(st.integers(0, 2**32))
def test_least_squares_equal_another_solver(seed):
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(12, 5)), rng.normal(size=12)
    found = _non_negative(matrix, target)
    loss = lambda b: ((matrix @ b - target) ** 2).sum()  # noqa: E731
    slope = lambda b: 2 * matrix.T @ (matrix @ b - target)  # noqa: E731
    other = minimize(
        loss, np.ones(5), jac=slope, bounds=[(0, None)] * 5, method="L-BFGS-B", options={"ftol": 1e-15}
    )
    assert (found >= 0).all()
    assert loss(found) <= other.fun * (1 + 1e-9) + 1e-12
    assert other.fun == pytest.approx(loss(found), rel=1e-4, abs=1e-8)


def test_the_basis_rises_and_knows_its_roughness():
    at = np.linspace(0, 1, 2001)
    rising, bends = _basis(at)
    assert (np.diff(rising, axis=0) >= -1e-12).all()
    assert rising[0] == pytest.approx(0)
    coefficients = np.random.default_rng(3).random(rising.shape[1])
    curve = rising @ coefficients
    second = np.diff(curve, 2) / (at[1] - at[0]) ** 2
    by_hand = (second**2).sum() * (at[1] - at[0])
    assert ((bends @ coefficients) ** 2).sum() == pytest.approx(by_hand, rel=0.01)


def test_of_several_stiffnesses_the_one_that_generalises_is_taken(monkeypatch):
    """Degrees of freedom are how much fitted values move with their own, by differences."""
    x, y, w = sample(5, 25)
    w, order = w / w.mean(), np.argsort(np.argsort(x))

    def fitted(y, stiffnesses):
        monkeypatch.setattr(monotone_spline, "STIFFNESS", np.array(stiffnesses))
        return rising_spline(x, y, w)[1][order]

    several = [1e-4, 1e-2, 1.0, 100.0]
    losses = []
    for stiffness in several:
        once = fitted(y, [stiffness])
        d = sum((fitted(y + 1e-6 * one, [stiffness]) - once) @ one / 1e-6 for one in np.eye(25))
        losses.append(w @ (y - once) ** 2 / (25 - d) ** 2)
    best = several[np.argmin(losses)]
    assert several[0] < best < several[-1]
    assert fitted(y, several) == pytest.approx(fitted(y, [best]), rel=1e-12)


def test_pieces_are_no_more_than_gaps_between_values():
    assert [_basis(np.linspace(0, 1, n))[0].shape for n in (2, 5, 100)] == [(2, 3), (5, 6), (100, 22)]
