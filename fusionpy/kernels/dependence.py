"""How variables hang together: rank correlations of all pairs, and a common scale for numbers."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["normal_places", "pairwise_rank_correlations"]

Array = NDArray[np.float64]


def normal_places(ascending: Array, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put values on the scale on which the truth is standard normal.

    Parameters
    ----------
    ascending : (n,) float64
        The true values, sorted.
    values : float64, any shape

    Returns
    -------
    float64, the same shape
        Normal quantile of the share of true values below, equal ones counted half; at most that of half a
        record from either end.

    Examples
    --------
    >>> normal_places(np.array([1.0, 2.0, 3.0]), np.array([2.0, 99.0])).round(3)
    array([0.   , 0.967])
    """
    n = len(ascending)
    below = np.searchsorted(ascending, values, "left") + np.searchsorted(ascending, values, "right")
    return np.asarray(ndtri(np.clip(below / 2 / n, 0.5 / n, 1 - 0.5 / n)))


def pairwise_rank_correlations(matrix: Array) -> Array:
    """Spearman's correlations of all pairs of columns.

    Parameters
    ----------
    matrix : (n, p) float64
        NaN: missing; a pair uses the rows that have both, ranked anew.

    Returns
    -------
    (p, p) float64
        NaN for columns without variation.

    Examples
    --------
    >>> pairwise_rank_correlations(np.array([[1.0, 9.0, 1.0], [2.0, 5.0, np.nan], [3.0, 1.0, 5.0]]))[0]
    array([ 1., -1.,  1.])
    """
    p = matrix.shape[1]
    missing = np.isnan(matrix)
    patterns = {column.tobytes(): column for column in missing.T}
    columns = [np.flatnonzero((missing == each[:, None]).all(axis=0)) for each in patterns.values()]
    gaps = list(patterns.values())
    out = np.full((p, p), np.nan)
    for g in range(len(gaps)):
        out[np.ix_(columns[g], columns[g])] = _correlations(matrix[np.ix_(~gaps[g], columns[g])])
        for h in range(g):
            both = np.concatenate([columns[g], columns[h]])
            found = _correlations(matrix[np.ix_(~(gaps[g] | gaps[h]), both)])[
                : len(columns[g]), len(columns[g]) :
            ]
            out[np.ix_(columns[g], columns[h])] = found
            out[np.ix_(columns[h], columns[g])] = found.T
    return out


def _correlations(matrix: Array) -> Array:
    """Correlations of the columns' ranks; no value is missing."""
    if not len(matrix):
        return np.full((matrix.shape[1],) * 2, np.nan)
    from scipy.stats import rankdata  # takes half a second to import, so only when it is used

    ranks = np.empty(matrix.shape)
    for j, column in enumerate(matrix.T):
        # Ranks of a dummy are a linear function of it.
        is_dummy = ((column == 0) | (column == 1)).all()
        ranks[:, j] = column if is_dummy else rankdata(column)
    ranks -= ranks.mean(axis=0)
    products = _cross_products(ranks)
    length = np.sqrt(np.diag(products))
    varies = np.ptp(matrix, axis=0) > 0
    return np.asarray(products / np.where(np.outer(varies, varies), np.outer(length, length), np.nan))


@njit(cache=True, nogil=True)
def _cross_products(matrix):  # type: ignore[no-untyped-def]
    """Products of all pairs of columns; a tall matrix is too little work for a threaded library."""
    n, p = matrix.shape
    out = np.zeros((p, p))
    for i in range(n):
        for a in range(p):
            value = matrix[i, a]
            for b in range(p):
                out[a, b] += value * matrix[i, b]
    return out
