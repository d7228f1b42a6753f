"""Smoothed medians, and numbers cut into classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved
from scipy.interpolate import CubicSpline
from scipy.optimize import linprog, minimize

from fusionpy.kernels import smoothing
from fusionpy.kernels.smoothing import fit_spline, median_curve


def random_points(rng, n=80):
    x = rng.uniform(-3, 2, n)
    return x, np.sin(x) + 0.3 * rng.standard_t(2, n)


def least_absolute_line(x, y):
    """Least absolute deviations, as a linear programme."""
    n = len(x)
    line = np.stack([np.ones(n), x], axis=1)
    cost = np.concatenate([np.zeros(2), np.ones(2 * n)])
    equal = np.hstack([line, np.eye(n), -np.eye(n)])
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * n)
    return linprog(cost, A_eq=equal, b_eq=y, bounds=bounds).fun


@given(st.integers(0, 2**32))
def test_splines_are_natural_cubic_ones(seed):
    rng = np.random.default_rng(seed)
    knots = np.concatenate([[0.0], np.sort(rng.uniform(0.05, 0.95, 6)), [1.0]]) + np.arange(8) * 0.01
    knots = (knots - knots[0]) / (knots[-1] - knots[0])
    heights = rng.normal(size=8)
    basis = smoothing._basis(knots)
    spline = CubicSpline(knots, heights, bc_type="natural")
    x = np.linspace(0, 1, 101)
    assert smoothing._design(basis, x) @ heights == pytest.approx(spline(x), abs=1e-9)
    bend = spline.derivative(2)
    # Linear between knots: Simpson's rule is exact for its square.
    a, b = bend(knots[:-1]), bend(knots[1:])
    exact = (np.diff(knots) * (a**2 + a * b + b**2) / 3).sum()
    assert heights @ basis.roughness @ heights == pytest.approx(exact, rel=1e-9)
    beyond = np.array([-0.5, 1.7])
    slopes = spline.derivative()([0.0, 1.0])
    straight = [heights[0] - 0.5 * slopes[0], heights[-1] + 0.7 * slopes[1]]
    assert smoothing._design(basis, beyond) @ heights == pytest.approx(straight, abs=1e-8)


@given(st.integers(0, 2**32), st.sampled_from([0.0, 1e-3, 0.1, 10.0]))
def test_fit_is_the_optimum(seed, stiffness):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.random(50))
    x = (x - x[0]) / (x[-1] - x[0])
    y = np.cos(5 * x) + 0.3 * rng.standard_t(2, 50)
    y /= np.abs(y).mean()
    basis = smoothing._basis(np.linspace(0, 1, 6))
    design = smoothing._design(basis, x)

    def loss(b):
        return np.abs(y - design @ b).sum() + stiffness * b @ basis.roughness @ b

    found = fit_spline(design, y, basis.roughness, stiffness, np.zeros(6))
    best = min(minimize(loss, found + rng.normal(size=6) * s, method="Powell").fun for s in (0, 0.1))
    assert loss(found) <= best + 0.05
    assert loss(found) <= min(loss(found + 0.05 * rng.normal(size=6)) for _ in range(50)) + 0.02


@given(st.integers(0, 2**32))
def test_stiffest_fit_is_the_least_absolute_line(seed):
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 40)
    y = 2 * x - 1 + rng.standard_t(2, 40)
    basis = smoothing._basis(np.linspace(0, 1, 5))
    design = smoothing._design(basis, x)
    found = fit_spline(design, y, basis.roughness, 1e7, np.zeros(5))
    fitted = design @ found
    assert np.diff(fitted, 2) == pytest.approx(np.zeros(38), abs=1e-5)
    assert np.abs(y - fitted).sum() == pytest.approx(least_absolute_line(x, y), rel=5e-3)


@pytest.mark.compiled
@halved
@given(st.integers(0, 2**32), st.floats(-100, 100), st.floats(0.01, 100))
def test_curve_moves_with_its_points(seed, shift, scale):
    rng = np.random.default_rng(seed)
    x, y = random_points(rng)
    at = np.linspace(-3, 2, 30)
    order = rng.permutation(len(x))
    curve = median_curve(x, y, at)
    moved = median_curve(10 * x[order] + 3, shift + scale * y[order], 10 * at + 3)
    # Fits end within a thousandth of the points' spread of the optimum.
    assert (moved - shift) / scale == pytest.approx(curve, abs=0.02 * np.abs(y).mean() + 1e-9)
    assert curve.min() >= y.min()
    assert curve.max() <= y.max()


@pytest.mark.compiled
def test_far_points_do_not_bend_the_curve():
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 300)
    y = 1 + x + 0.1 * rng.normal(size=300)
    y[rng.choice(300, 60, replace=False)] = 1e6
    curve = median_curve(x, y, x)
    # A fifth of points above: the median is the 62nd percentile of the others.
    assert curve == pytest.approx(1 + x + 0.03, abs=0.06)


def scattered(kind, rng):
    """Points like those of a validation: few large subsets, noise that is skewed and shrinks with size."""
    share = np.clip(np.exp(rng.normal(-3.2, 0.9, 130)), 0.01, 0.7)
    if kind == "error":
        truth = lambda q: 0.02 * (q / 0.1) ** -0.5  # noqa: E731
        return share, truth, truth(share) / 0.6745 * np.abs(rng.normal(size=130))
    if kind == "value":
        truth = lambda q: 0.85 - 0.5 * np.exp(-q / 0.04)  # noqa: E731
        return share, truth, np.maximum(0, 1 - (1 - truth(share)) * np.exp(rng.normal(size=130)))
    truth = lambda q: 1.2 + 0.15 * np.exp(-q / 0.1)  # noqa: E731
    return share, truth, truth(share) * np.exp(0.1 * (share / 0.05) ** -0.3 * rng.standard_t(4, 130))


def running_median(x, y, at, k=49):
    order = np.argsort(x)
    starts = np.clip(np.searchsorted(x[order], at) - k // 2, 0, len(x) - k)
    return np.array([np.median(y[order][s : s + k]) for s in starts])


@pytest.mark.compiled
def test_known_curves_are_found():
    """Root mean squared errors, relative to its mean, beside a running median and a level."""
    mine, running, level = {}, {}, {}
    for kind in ("error", "value", "ratio"):
        off = []
        for seed in range(12):
            share, truth, y = scattered(kind, np.random.default_rng(seed))
            true = truth(share)
            fits = (
                median_curve(np.log(share), y, np.log(share)),
                running_median(share, y, share),
                np.median(y),
            )
            off.append([np.mean((fit - true) ** 2) / true.mean() ** 2 for fit in fits])
        mine[kind], running[kind], level[kind] = np.sqrt(np.mean(off, axis=0))
    assert mine["error"] < 0.21
    assert mine["value"] < 0.12
    assert mine["ratio"] < 0.03
    assert mine["error"] < 0.9 * running["error"]
    assert all(mine[kind] < level[kind] for kind in mine)
    assert sum(mine.values()) < sum(running.values())


def test_curve_with_little_to_go_on():
    at = np.array([0.0, 1.0, 5.0])
    assert np.isnan(median_curve(np.zeros(0), np.zeros(0), at)).all()
    assert median_curve(np.array([1.0]), np.array([7.0]), at).tolist() == [7, 7, 7]
    assert median_curve(np.array([1.0, 1, 2, 3]), np.array([1.0, 9, 2, 5]), at).tolist() == [3.5] * 3
    assert median_curve(np.arange(9.0), np.full(9, 0.1), at).tolist() == [0.1] * 3
    four = median_curve(np.arange(4.0), np.arange(4.0), np.array([-1.0, 1.5, 9.0]))
    assert four == pytest.approx([0, 1.5, 3], abs=0.01)
    mostly_zero = median_curve(np.arange(50.0), (np.arange(50) % 5 == 0).astype(float), np.arange(50.0))
    assert mostly_zero == pytest.approx(np.zeros(50), abs=0.01)
