"""A smooth curve through the medians of a scatter of points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["fit_spline", "median_curve"]

Array = NDArray[np.float64]
STIFFNESS = tuple(10.0 ** (2 - 0.5 * i) for i in range(15))  # 100 to 1e-5: nearly a line to hardly smoothed
ROUNDS = 200
FEWEST = 4  # distinct places through which a curve, not a level, is drawn


class Basis(NamedTuple):
    """A natural cubic spline, by its heights at its knots."""

    knots: Array
    lengths: Array
    bends: Array  # (k, k): second derivatives at the knots, of heights
    roughness: Array  # (k, k): integral of the squared second derivative, as a quadratic form of heights


def median_curve(x: Array, y: Array, at: Array, *, n_knots: int = 10, n_folds: int = 5) -> Array:
    r"""Draw a smooth curve through the conditional medians of points.

    Parameters
    ----------
    x, y : (n,) float64
        Points, none missing, in any order.
    at : (m,) float64
        Where the curve is wanted. Beyond the points it goes on straight.
    n_knots : int
        At most so many, at least 3: distinct values of `x` at equally spaced ranks.
    n_folds : int
        Parts for cross-validation, at least 2.

    Returns
    -------
    (m,) float64
        Nowhere beyond the range of `y`. The median of `y` if `x` has fewer than four distinct values; NaN
        without points.

    Notes
    -----
    A quantile smoothing spline: minimises :math:`\sum |y_i - f(x_i)| + \lambda \int f''^2` over natural cubic
    splines (Koenker, Ng and Portnoy 1994, *Biometrika* 81:673; Bosch, Ye and Woodworth 1995). Smoothness by
    aggregated hold-out (Maillard, Arlot and Lerasle 2021, *Journal of Machine Learning Research* 22:20): each
    part of the points is left out in turn, all that share an `x` together; of 15 values of :math:`\lambda`
    that is taken by which the part is foreseen with the least absolute error; the curve is the mean of
    the parts' curves. Outliers of `y` count no more than any other point.

    Examples
    --------
    >>> x = np.linspace(0, 1, 41)
    >>> y = 2 * x + np.where(np.arange(41) % 4 == 2, 50.0, 0.0)
    >>> median_curve(x, y, np.array([0.25, 0.5])).round(2)
    array([0.5, 1. ])
    """
    if not len(x):
        return np.full(len(at), np.nan)
    distinct, place = np.unique(x, return_inverse=True)
    middle = float(np.median(y))
    far = np.abs(y - middle)
    typical = float(np.median(far))
    # Far points would make it large, and then differences that matter would count as squares.
    scale = float(np.minimum(far, 10 * typical).mean()) if typical > 0 else float(far.mean())
    if len(distinct) < FEWEST or scale == 0:
        return np.full(len(at), middle)
    low, span = distinct[0], distinct[-1] - distinct[0]
    ranks = np.linspace(0, len(distinct) - 1, min(n_knots, len(distinct)))
    basis = _basis((np.interp(ranks, np.arange(len(distinct)), distinct) - low) / span)
    design = _design(basis, (x - low) / span)
    fold = place.ravel() % min(n_folds, len(distinct))
    heights = _held_out(design, (y - middle) / scale, fold, basis.roughness, np.array(STIFFNESS))
    curve = middle + scale * (_design(basis, (at - low) / span) @ heights)
    return np.asarray(np.clip(curve, y.min(), y.max()))


def _basis(knots: Array) -> Basis:
    """Natural cubic splines on [0, 1] (Green and Silverman 1994, section 2.1)."""
    k, h = len(knots), np.diff(knots)
    second, gram = np.zeros((k - 2, k)), np.zeros((k - 2, k - 2))
    for i in range(k - 2):
        second[i, i : i + 3] = 1 / h[i], -1 / h[i] - 1 / h[i + 1], 1 / h[i + 1]
        gram[i, i] = (h[i] + h[i + 1]) / 3
        if i < k - 3:
            gram[i, i + 1] = gram[i + 1, i] = h[i + 1] / 6
    inner = np.linalg.solve(gram, second)
    bends = np.vstack([np.zeros(k), inner, np.zeros(k)])
    return Basis(knots, h, bends, second.T @ inner)


def _design(basis: Basis, x: Array) -> Array:
    """(n, k) What each knot's height adds to the curve at `x`."""
    knots, h, bends, _ = basis
    inside = np.clip(x, knots[0], knots[-1])
    j = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(h) - 1)
    left, right, length = knots[j + 1] - inside, inside - knots[j], h[j]
    row = np.arange(len(x))
    out = (((left**3 / length - length * left) / 6)[:, None] * bends[j]) + (
        ((right**3 / length - length * right) / 6)[:, None] * bends[j + 1]
    )
    out[row, j] += left / length
    out[row, j + 1] += right / length
    beyond = x - inside
    if beyond.any():  # straight on
        first, last = np.zeros(len(knots)), np.zeros(len(knots))
        first[:2], last[-2:] = (-1 / h[0], 1 / h[0]), (-1 / h[-1], 1 / h[-1])
        first -= h[0] / 6 * bends[1]
        last += h[-1] / 6 * bends[-2]
        out += np.where(beyond < 0, beyond, 0.0)[:, None] * first
        out += np.where(beyond > 0, beyond, 0.0)[:, None] * last
    return np.asarray(out)


@njit(cache=True, nogil=True)
def fit_spline(design, y, roughness, stiffness, start):  # type: ignore[no-untyped-def]
    """Fit a quantile smoothing spline of the median.

    Parameters
    ----------
    design : (n, k) float64
    y : (n,) float64
        Typically of size 1.
    roughness : (k, k) float64
    stiffness : float
        What a unit of roughness costs, beside a unit of absolute error.
    start : (k,) float64

    Returns
    -------
    (k,) float64
        Coefficients.

    Notes
    -----
    Iteratively reweighted least squares on a smoothed absolute value, which never goes uphill (Hunter and
    Lange 2000, *Journal of Computational and Graphical Statistics* 9:60).

    Examples
    --------
    >>> line = np.stack([1 - np.arange(5) / 4, np.arange(5) / 4], axis=1)
    >>> y = np.array([0.0, 0.5, 9.0, 1.5, 2.0])
    >>> fit_spline(line, y, np.zeros((2, 2)), 1.0, np.zeros(2)).round(2)
    array([0., 2.])
    """
    n, k = design.shape
    near = 1e-3  # differences below it count as squares
    found = start.copy()
    normal = np.empty((k, k))
    right = np.empty(k)
    for _ in range(ROUNDS):
        normal[:] = 2 * stiffness * roughness
        right[:] = 0.0
        for i in range(n):
            row = design[i]
            r = y[i]
            for a in range(k):
                r -= row[a] * found[a]
            w = 1 / np.sqrt(r * r + near * near)
            for a in range(k):
                wa = w * row[a]
                right[a] += wa * y[i]
                for b in range(a + 1):
                    normal[a, b] += wa * row[b]
        trace = 0.0
        for a in range(k):
            trace += normal[a, a]
            for b in range(a):
                normal[b, a] = normal[a, b]
        for a in range(k):
            normal[a, a] += 1e-12 * trace
        moved = np.linalg.solve(normal, right)
        step = np.abs(moved - found).max()
        found = moved
        if step < near:
            break
    return found


@njit(cache=True, nogil=True)
def _held_out(design, y, fold, roughness, stiffness):  # type: ignore[no-untyped-def]
    """(k,) Mean of the coefficients that foresee each part best; stiffest first in `stiffness`."""
    n_folds = fold.max() + 1
    total = np.zeros(design.shape[1])
    for f in range(n_folds):
        out = fold == f
        seen, seen_y, left, left_y = design[~out], y[~out], design[out], y[out]
        best, least = np.zeros(design.shape[1]), np.inf
        found = np.zeros(design.shape[1])
        for s in range(len(stiffness)):  # each from where the stiffer one ended
            found = fit_spline(seen, seen_y, roughness, stiffness[s], found)
            error = np.abs(left_y - left @ found).sum()
            if error < least:
                best, least = found, error
        total += best
    return total / n_folds
