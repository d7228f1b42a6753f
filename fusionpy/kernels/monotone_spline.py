"""A smoothing spline that never falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import lsq_linear

__all__ = ["rising_spline"]

Array = NDArray[np.float64]
PIECES = 20  # at most, between knots at quantiles
STIFFNESS = np.geomspace(1e-9, 1e3, 25)  # that are tried, of roughness against closeness on equal terms


def rising_spline(x: Array, y: Array, w: Array) -> tuple[Array, Array]:
    r"""Fit the smoothing spline that never falls, as stiff as generalised cross-validation says.

    Parameters
    ----------
    x, y : (n,) float64
        In any order; at least two different x.
    w : (n,) float64
        Positive weights.

    Returns
    -------
    distinct : (k,) float64
        The values of x, ascending.
    fitted : (k,) float64
        The spline at each; never falls.

    Notes
    -----
    A cubic spline is the integral of a quadratic one. If the coefficients of that one's B-splines are not
    negative, it never falls (I-splines: Ramsay 1988, *Statistical Science* 3:425). They minimise
    :math:`\sum w_i (y_i - f(x_i))^2 + \lambda \int f''^2`; λ has the least
    :math:`n \sum w_i r_i^2 / (n - d)^2`, where d is the trace of the smoother of the coefficients that are
    not 0 (Wood 1994, *SIAM Journal on Scientific Computing* 15:1126).

    Examples
    --------
    >>> x = np.arange(8.0)
    >>> (rising_spline(x, 3 * x, np.ones(8))[1].round(3) + 0).tolist()
    [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0]
    >>> rising_spline(x, -x, np.ones(8))[1].round(3).tolist()
    [-3.5, -3.5, -3.5, -3.5, -3.5, -3.5, -3.5, -3.5]
    """
    distinct, place = np.unique(x, return_inverse=True)
    at = (distinct - distinct[0]) / (distinct[-1] - distinct[0])
    rising, bends = _basis(at)
    w = w / w.mean()
    means, mean = np.average(rising[place], axis=0, weights=w), float(np.average(y, weights=w))
    # Fewer rows, the same least squares: those of the triangle, and one number that no coefficient moves.
    root = np.sqrt(w)[:, None]
    turn, triangle = np.linalg.qr(root * (rising[place] - means))
    target = root[:, 0] * (y - mean)
    seen = turn.T @ target
    beyond = max(float(target @ target - seen @ seen), 0.0)
    equal = np.sqrt((triangle**2).sum() / (bends**2).sum())
    best, least = np.zeros(rising.shape[1]), float("inf")
    for stiffness in STIFFNESS[::-1]:  # of equals the stiffest
        rough = np.sqrt(stiffness) * equal * bends
        slopes = _non_negative(np.vstack([triangle, rough]), np.r_[seen, np.zeros(len(rough))])
        residual = seen - triangle @ slopes
        freedom = len(y) - 1 - _trace(triangle, rough, slopes > 0)
        loss = float(residual @ residual + beyond) / freedom**2 if freedom > 0 else float("inf")
        if loss < least * (1 - 1e-9):
            best, least = slopes, loss
    # Rounding could let it fall by a bit where it is flat.
    return distinct, np.maximum.accumulate(mean + (rising - means) @ best)


def _basis(at: Array) -> tuple[Array, Array]:
    """(k, p) Integrals of quadratic B-splines at places in [0, 1], and (q, p) roots of their roughness."""
    shares = np.linspace(0, 1, min(PIECES, len(at) - 1) + 1)
    knots = np.unique(np.quantile(at, shares))
    padded = np.r_[0.0, 0.0, knots, 1.0, 1.0]
    slopes = BSpline(padded, np.eye(len(padded) - 3), 2)
    # Second derivatives are lines between knots: of their squares two points of Gauss integrate all.
    middle, width = (knots[1:] + knots[:-1]) / 2, np.diff(knots)
    points = np.concatenate([middle - width / np.sqrt(12), middle + width / np.sqrt(12)])
    bends = slopes.derivative()(points) * np.sqrt(np.r_[width, width] / 2)[:, None]
    return np.asarray(slopes.antiderivative()(at)), np.asarray(bends)


def _non_negative(matrix: Array, target: Array) -> Array:
    """(p,) Least squares without negative coefficients."""
    rounds = 50 * matrix.shape[1]
    found = lsq_linear(matrix, target, (0, np.inf), method="bvls", tol=1e-12, max_iter=rounds)
    return np.where(found.x > 1e-12 * max(found.x.max(), 1e-300), found.x, 0.0)


def _trace(triangle: Array, rough: Array, free: NDArray[np.bool_]) -> float:
    """Degrees of freedom of the coefficients that are not held at 0."""
    if not free.any():
        return 0.0
    own = triangle[:, free].T @ triangle[:, free]
    return float(np.trace(np.linalg.solve(own + rough[:, free].T @ rough[:, free], own)))
