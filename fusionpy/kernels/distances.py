"""How far two weighted samples of one variable are apart, whatever its units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["kolmogorov", "total_variation"]

Array = NDArray[np.float64]


def kolmogorov(x: Array, v: Array, y: Array, w: Array) -> float:
    r"""Largest difference between two weighted cumulative distributions.

    Parameters
    ----------
    x : (n,) float64
        Values of one sample; none is NaN.
    v : (n,) float64
        Their weights: not negative, one of them positive.
    y : (m,) float64
        Values of the other.
    w : (m,) float64
        Their weights.

    Returns
    -------
    float
        From 0 to 1; the same after any increasing transformation of both, as only ranks count.

    Notes
    -----
    :math:`\max_t |F(t) - G(t)|`, Kolmogorov's and Smirnov's distance.

    Examples
    --------
    >>> kolmogorov(np.array([1.0, 2, 3, 4]), np.ones(4), np.array([3.0, 4, 5, 6]), np.ones(4))
    0.5
    """
    both = np.concatenate([x, y])
    order = np.argsort(both, kind="stable")
    steps = np.concatenate([v / v.sum(), -w / w.sum()])[order]
    last = np.append(np.diff(both[order]) > 0, True)  # of each run of equal values
    return float(np.abs(np.cumsum(steps)[last]).max())


def total_variation(p: Array, q: Array) -> float:
    """Share that must move for one distribution over unordered levels to become the other.

    Parameters
    ----------
    p, q : (k,) float64
        Shares of the levels, each of sum 1.

    Returns
    -------
    float
        From 0 to 1: half the sum of the absolute differences.

    Examples
    --------
    >>> round(total_variation(np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.2, 0.4])), 6)
    0.2
    """
    return float(np.abs(p - q).sum() / 2)
