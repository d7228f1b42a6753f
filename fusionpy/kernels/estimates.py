"""Weighted estimates by group, and their sampling variances, in one pass over the records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "Moments",
    "Shares",
    "between_groups",
    "cochran_variance",
    "group_moments",
    "group_shares",
    "share_variance",
]

Array = NDArray[np.float64]


class Moments(NamedTuple):
    """Weighted moments of a variable in each group; every field is (k,) float64 unless said.

    Only records of positive weight that have a value count.

    Attributes
    ----------
    n : number of records.
    total : sum of weights.
    squares : sum of squared weights.
    mean : weighted mean; NaN in a group of no records.
    spread, spread2 : sums of ``w (x - mean)²`` and ``w² (x - mean)²``.
    zero_one : (k,) bool, whether every value is 0 or 1.
    """

    n: Array
    total: Array
    squares: Array
    mean: Array
    spread: Array
    spread2: Array
    zero_one: NDArray[np.bool_]

    @property
    def n_eff(self) -> Array:
        """Effective sample size (Kish): squared sum of weights over sum of squares; 0 in an empty group."""
        return np.divide(self.total**2, self.squares, out=np.zeros_like(self.total), where=self.squares > 0)


class Shares(NamedTuple):
    """Weights of a categorical variable's levels in each group.

    Attributes
    ----------
    n, total, squares : (k,) float64
        As in `Moments`.
    weight, weight2 : (k, levels) float64
        Sums of weights, and of squared weights, of the records of each level.
    """

    n: Array
    total: Array
    squares: Array
    weight: Array
    weight2: Array

    @property
    def n_eff(self) -> Array:
        """Effective sample size (Kish)."""
        return np.divide(self.total**2, self.squares, out=np.zeros_like(self.total), where=self.squares > 0)

    @property
    def share(self) -> Array:
        """(k, levels) Weighted share of each level; NaN in a group of no records."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weight / np.where(self.total != 0, self.total, np.nan)[:, None])


def group_moments(cell: NDArray[np.intp], n_cells: int, w: Array, x: Array) -> Moments:
    """Weighted moments of a variable in every group.

    Parameters
    ----------
    cell : (n,) integer
        Group of each record, in ``[0, n_cells)``; -1: in none.
    n_cells : int
    w : (n,) float64
        Weights. Negative ones, which only replicate weights may be, enter the sums as they are.
    x : (n,) float64
        Values; NaN: missing.

    Returns
    -------
    Moments

    Notes
    -----
    Sums are taken of differences from the group's first value, which is at most sqrt(n) standard deviations
    from the mean: their rounding error stays below n times machine precision, and a constant has a spread
    of exactly 0.

    Examples
    --------
    >>> moments = group_moments(np.array([0, 0, 1]), 2, np.array([1.0, 3.0, 2.0]), np.array([0.0, 4.0, 5.0]))
    >>> moments.mean, moments.spread
    (array([3., 5.]), array([12.,  0.]))
    """
    sums, pivot, zero_one = _sums(cell, n_cells, w, x)
    n, total, squares, wd, wd2, w2d, w2d2 = sums.T
    with np.errstate(invalid="ignore"):
        shift = wd / np.where(total != 0, total, np.nan)
        spread = np.maximum(wd2 - shift * wd, 0.0)
        spread2 = np.maximum(w2d2 - 2 * shift * w2d + shift**2 * squares, 0.0)
    return Moments(n, total, squares, pivot + shift, spread, spread2, zero_one)


@njit(cache=True, nogil=True)
def _sums(cell, n_cells, w, x):  # type: ignore[no-untyped-def]
    """Sum, around each group's first value: n, w, w², wd, wd², w²d, w²d²."""
    sums = np.zeros((n_cells, 7))
    pivot = np.full(n_cells, np.nan)
    zero_one = np.ones(n_cells, dtype=np.bool_)
    for i in range(len(cell)):
        c = cell[i]
        if c < 0 or w[i] == 0 or np.isnan(x[i]):
            continue
        if np.isnan(pivot[c]):
            pivot[c] = x[i]
        d = x[i] - pivot[c]
        zero_one[c] &= x[i] == 0 or x[i] == 1
        wd = w[i] * d
        row = sums[c]
        row[0] += 1
        row[1] += w[i]
        row[2] += w[i] * w[i]
        row[3] += wd
        row[4] += wd * d
        row[5] += wd * w[i]
        row[6] += wd * wd
    return sums, pivot, zero_one


def group_shares(
    cell: NDArray[np.intp], n_cells: int, w: Array, code: NDArray[np.intp], n_levels: int
) -> Shares:
    """Weights of every level of a categorical variable in every group.

    Parameters
    ----------
    cell : (n,) integer
        Group of each record; -1: in none.
    n_cells : int
    w : (n,) float64
        Weights. Negative ones, which only replicate weights may be, enter the sums as they are.
    code : (n,) integer
        Level of each record, in ``[0, n_levels)``; -1: missing.
    n_levels : int

    Returns
    -------
    Shares

    Examples
    --------
    >>> group_shares(np.array([0, 0, 1]), 2, np.array([1.0, 3.0, 2.0]), np.array([0, 1, 1]), 2).share
    array([[0.25, 0.75],
           [0.  , 1.  ]])
    """
    n, weight, weight2 = _level_sums(cell, n_cells, w, code, n_levels)
    return Shares(n, weight.sum(axis=1), weight2.sum(axis=1), weight, weight2)


@njit(cache=True, nogil=True)
def _level_sums(cell, n_cells, w, code, n_levels):  # type: ignore[no-untyped-def]
    n = np.zeros(n_cells)
    weight = np.zeros((n_cells, n_levels))
    weight2 = np.zeros((n_cells, n_levels))
    for i in range(len(cell)):
        c = cell[i]
        if c < 0 or code[i] < 0 or w[i] == 0:
            continue
        n[c] += 1
        weight[c, code[i]] += w[i]
        weight2[c, code[i]] += w[i] * w[i]
    return n, weight, weight2


def between_groups(mean: Array, variance: Array) -> float:
    r"""Estimate the variance of groups' true means about 0, by Paule and Mandel's estimator.

    Parameters
    ----------
    mean : (k,) float64
        Of the groups.
    variance : (k,) float64
        By which they are known, positive.

    Returns
    -------
    float
        :math:`\tau^2` with :math:`\sum \bar e^2 / (\tau^2 + v) = k`; 0 if the means are no further from 0
        than their variances put them (Paule and Mandel 1982, *Journal of Research of the National Bureau of
        Standards* 87:377).

    Examples
    --------
    >>> round(between_groups(np.array([2.0, -2.0]), np.array([1.0, 1.0])), 12)
    3.0
    >>> between_groups(np.array([0.5, -0.5]), np.array([1.0, 1.0]))
    0.0
    """
    if not (mean**2 / variance).sum() > len(mean):
        return 0.0
    low, high = 0.0, float((mean**2).sum())
    while low < (middle := (low + high) / 2) < high:  # until no number is between
        low, high = (middle, high) if (mean**2 / (middle + variance)).sum() > len(mean) else (low, middle)
    return high


def cochran_variance(moments: Moments, zero_one: bool = False) -> Array:
    r"""Estimate the sampling variance of weighted means.

    Parameters
    ----------
    moments : Moments
    zero_one : bool
        Where all values are 0 or 1, use :math:`\bar x (1 - \bar x) \sum w^2 / (\sum w)^2`, as the
        reference does.

    Returns
    -------
    (k,) float64
        NaN in groups of fewer than two records.

    Notes
    -----
    :math:`n / ((n - 1) (\sum w)^2) \sum w^2 (x - \bar x)^2`: Cochran's ratio approximation (reference,
    section 5, whose three sums add up to this one), which is also the linearisation of a mean for a sample
    drawn with replacement (Särndal, Swensson and Wretman 1992, section 5.7).

    Examples
    --------
    >>> cochran_variance(group_moments(np.zeros(4, int), 1, np.ones(4), np.array([1.0, 2.0, 3.0, 4.0])))
    array([0.41666667])
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = moments.n / (moments.n - 1) * moments.spread2 / moments.total**2
        if zero_one:
            simple = moments.mean * (1 - moments.mean) * moments.squares / moments.total**2
            variance = np.where(moments.zero_one, simple, variance)
    return np.where(moments.n > 1, variance, np.nan)


def share_variance(shares: Shares) -> Array:
    r"""Estimate the sampling variance of weighted shares, as the reference does.

    Parameters
    ----------
    shares : Shares

    Returns
    -------
    (k, levels) float64
        0 in a group of one record, as in the reference; NaN in one of none.

    Notes
    -----
    :math:`p (1 - p) \sum w^2 / (\sum w)^2` (reference, section 5).

    Examples
    --------
    >>> share_variance(group_shares(np.zeros(4, int), 1, np.ones(4), np.array([0, 0, 0, 1]), 2))
    array([[0.046875, 0.046875]])
    """
    p = shares.share
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = p * (1 - p) * (shares.squares / shares.total**2)[:, None]
    return np.asarray(variance)
