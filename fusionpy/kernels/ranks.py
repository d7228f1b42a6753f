"""Weighted ranks, their scores and correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusionpy.kernels.grams import CONSTANT

__all__ = ["rank_correlations", "rank_scores", "weighted_ranks"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@njit(cache=True, nogil=True)
def weighted_ranks(code, n_codes, weight):  # type: ignore[no-untyped-def]
    """Rank values by the weight of those below them; equal values share their ranks.

    Parameters
    ----------
    code : (n,) intp
        Place of each value among the distinct values, in ``[0, n_codes)``.
    n_codes : int
    weight : (n,) float64
        Non-negative.

    Returns
    -------
    (n,) float64
        Weight below, plus half the weight at, each value.

    Notes
    -----
    With equal weights this is the usual average rank, but for scale and origin.

    Examples
    --------
    >>> weighted_ranks(np.array([1, 0, 1]), 2, np.array([1.0, 4.0, 1.0]))
    array([5., 2., 5.])
    """
    mass = np.zeros(n_codes)
    for i in range(len(code)):
        mass[code[i]] += weight[i]
    rank = np.empty(n_codes)
    below = 0.0
    for c in range(n_codes):
        rank[c] = below + 0.5 * mass[c]
        below += mass[c]
    out = np.empty(len(code))
    for i in range(len(code)):
        out[i] = rank[code[i]]
    return out


def rank_scores(values: Array, weight: Array) -> Array:
    """Weighted ranks with weighted sum 0 and weighted sum of squares 1; zeros if all values are equal.

    Parameters
    ----------
    values : (n,) float64
    weight : (n,) float64
        Non-negative, with a positive sum.

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> rank_scores(np.array([3.0, 7.0]), np.ones(2)).round(4).tolist()
    [-0.7071, 0.7071]
    """
    distinct, code = np.unique(values, return_inverse=True)
    return _score(code.reshape(-1), len(distinct), weight)


def _score(code: Index, n_codes: int, weight: Array) -> Array:
    rank = weighted_ranks(code, n_codes, weight)
    rank -= weight @ rank / weight.sum()
    size = np.sqrt(weight @ rank**2)
    alike = size <= CONSTANT * weight.sum() * np.sqrt(weight.sum())
    return np.zeros(len(rank)) if alike else np.asarray(rank / size)


def rank_correlations(
    values: Array, weight: Array, subsets: Sequence[Index], scores: Sequence[Array]
) -> list[Array]:
    """Weighted Spearman correlations of one variable with others, in several subsets of the rows.

    Parameters
    ----------
    values : (n,) float64
    weight : (n,) float64
        Non-negative, with a positive sum in every subset.
    subsets : sequence of (k,) intp
        Rows.
    scores : sequence of (k, t) float64
        `rank_scores` of t other variables in each subset.

    Returns
    -------
    list of (t,) float64
        0 where either of the two does not vary.

    Notes
    -----
    Pearson's correlation of weighted ranks (see `weighted_ranks`). Values are sorted once for all subsets.

    Examples
    --------
    >>> x, w = np.array([1.0, 2.0, 3.0, 9.0]), np.array([1.0, 5.0, 2.0, 1.0])
    >>> rows = np.array([0, 1, 2])
    >>> score = rank_scores(np.exp(-x[rows]), w[rows])
    >>> rank_correlations(x, w, [rows], [score[:, None]])[0].round(12).tolist()
    [-1.0]
    """
    distinct, code = np.unique(values, return_inverse=True)
    code = code.reshape(-1)
    out = []
    for rows, score in zip(subsets, scores, strict=True):
        mine = _score(code[rows], len(distinct), weight[rows])
        out.append((weight[rows] * mine) @ score)
    return out
