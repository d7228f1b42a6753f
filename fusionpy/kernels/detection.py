"""Whether drawn records can be told from true ones: folds of pairs, and the area under the curve."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["paired_folds", "weighted_auc"]

Array = NDArray[np.float64]


def weighted_auc(label: NDArray[np.bool_], value: Array, weight: Array) -> float:
    """Area under the receiver operating characteristic: how well a value tells the labels apart.

    Parameters
    ----------
    label : (n,) bool
    value : (n,) float64
    weight : (n,) float64

    Returns
    -------
    float
        Weighted share of pairs of a true and a false record in which the true one has the higher value, ties
        counted half. NaN if either label has no weight.

    Examples
    --------
    >>> weighted_auc(np.array([True, False, True]), np.array([0.9, 0.5, 0.5]), np.ones(3))
    0.75
    """
    place = np.unique(value, return_inverse=True)[1]
    true, false = np.bincount(place, weight * label), np.bincount(place, weight * ~label)
    pairs = true.sum() * false.sum()
    return float(true @ (np.cumsum(false) - false / 2) / pairs) if pairs > 0 else float("nan")


@njit(cache=True)
def paired_folds(n, n_folds):  # type: ignore[no-untyped-def]
    """Deal pairs to folds: each pair is one record of either label, and stays together.

    Parameters
    ----------
    n : int
        Pairs.
    n_folds : int
        At most n.

    Returns
    -------
    (n,) intp
        In ``[0, n_folds)``; sizes differ by at most one.

    Notes
    -----
    The folds of scikit-learn's ``StratifiedGroupKFold`` (1.9), for pairs in shuffled order: each goes to the
    fold that leaves the folds' sizes most alike. Which of equally small folds that is depends on rounding
    errors, so these are made in the same way.

    Examples
    --------
    >>> np.bincount(paired_folds(12, 5)).tolist()
    [3, 3, 2, 2, 2]
    """
    out = np.empty(n, dtype=np.intp)
    size = np.zeros(n_folds)
    for i in range(n):
        best, least, fewest = -1, np.inf, np.inf
        for f in range(n_folds):
            size[f] += 1.0
            mean = 0.0
            for g in range(n_folds):
                mean += size[g] / n
            mean /= n_folds
            square = 0.0
            for g in range(n_folds):
                square += (size[g] / n - mean) * (size[g] / n - mean)
            spread = np.sqrt(square / n_folds)
            size[f] -= 1.0
            alike = abs(spread - least) <= 1e-8 + 1e-5 * abs(least)
            if spread < least or (alike and size[f] < fewest):
                best, least, fewest = f, spread, size[f]
        out[i] = best
        size[best] += 1.0
    return out
