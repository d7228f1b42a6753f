"""Weighted quantiles and the Gini coefficient of groups, with their sampling variances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "Sorted",
    "density_at",
    "gini_variance",
    "group_gini",
    "group_quantiles",
    "sort_groups",
    "woodruff_variance",
]

Array = NDArray[np.float64]


class Sorted(NamedTuple):
    """Records in order of group, then value.

    Attributes
    ----------
    start : (k + 1,) intp
        Boundaries of the groups in `row`.
    row : (m,) intp
        Rows of the records that are in a group and have a value; of equal values in their own order.
    """

    start: NDArray[np.intp]
    row: NDArray[np.intp]


def sort_groups(cell: NDArray[np.intp], n_cells: int, x: Array) -> Sorted:
    """Sort records by group and value.

    Parameters
    ----------
    cell : (n,) integer
        Group of each record, in ``[0, n_cells)``; -1: in none.
    n_cells : int
    x : (n,) float64
        Values; NaN: missing.

    Returns
    -------
    Sorted

    Examples
    --------
    >>> sort_groups(np.array([1, 0, 1, -1]), 2, np.array([5.0, 4.0, 3.0, 2.0]))
    Sorted(start=array([0, 1, 3]), row=array([1, 2, 0]))
    """
    used = (cell >= 0) & ~np.isnan(x)
    start = np.concatenate([[0], np.cumsum(np.bincount(cell[used], minlength=n_cells))]).astype(np.intp)
    return Sorted(start, _by_group(np.argsort(x, kind="stable"), used, cell, start))


@njit(cache=True, nogil=True)
def _by_group(order, used, cell, start):  # type: ignore[no-untyped-def]
    place = start.copy()
    out = np.empty(start[-1], dtype=np.intp)
    for i in order:
        if used[i]:
            c = cell[i]
            out[place[c]] = i
            place[c] += 1
    return out


@njit(cache=True, nogil=True)
def group_quantiles(start, row, x, w, share):  # type: ignore[no-untyped-def]
    r"""Find a weighted quantile of every group.

    Parameters
    ----------
    start, row
        As in `Sorted`.
    x, w : (n,) float64
        Values and weights; one below 0, as a replicate weight may be, counts as 0.
    share : (k,) float64
        The quantile wanted in each group, in [0, 1].

    Returns
    -------
    (k,) float64
        NaN in groups without weight.

    Notes
    -----
    Record i of a group stands at :math:`(\sum_{j \le i} w_j - w_i / 2) / \sum w`; between records the
    quantile is interpolated, beyond the ends it is the extreme value. Records of equal value share their
    weight equally, so that their order does not matter: k of them with weight W reach from half of W / k
    within the lower end to as much within the upper, and all between is their value. The median is that of
    the reference (section 5); with equal weights all are Hyndman and Fan's (1996) fifth definition.

    Examples
    --------
    >>> values, weights = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0])
    >>> group_quantiles(np.array([0, 3]), np.arange(3), values, weights, np.array([0.5]))
    array([2.33333333])
    """
    out = np.full(len(start) - 1, np.nan)
    for c in range(len(start) - 1):
        total = 0.0
        for p in range(start[c], start[c + 1]):
            total += max(w[row[p]], 0.0)
        if not total > 0:
            continue
        target = share[c] * total
        reached = before = 0.0
        last = np.nan
        p = start[c]
        while p < start[c + 1]:
            value, weight, n = x[row[p]], 0.0, 0
            while p < start[c + 1] and x[row[p]] == value:
                if w[row[p]] > 0:
                    weight += w[row[p]]
                    n += 1
                p += 1
            if n == 0:
                continue
            middle = reached + weight / n / 2  # of the first of them
            if middle >= target:
                last = (
                    value if np.isnan(last) else last + (value - last) * (target - before) / (middle - before)
                )
                break
            last = value
            before = reached + weight - weight / n / 2  # of the last
            if before >= target:
                break
            reached += weight
        out[c] = last
    return out


def woodruff_variance(order: Sorted, x: Array, w: Array, share: float, z: float = 1.645) -> Array:
    r"""Estimate the sampling variance of weighted quantiles.

    Parameters
    ----------
    order : Sorted
    x, w : (n,) float64
    share : float
        The quantile, in (0, 1).
    z : float
        Normal deviate of the margin that the variance is to be right for.

    Returns
    -------
    (k,) float64
        NaN in groups of fewer than two records of positive weight.

    Notes
    -----
    Woodruff (1952): with s the standard error of the share of records up to the quantile,
    :math:`[Q(p + z s) - Q(p - z s)]^2 / (2 z)^2`.

    Examples
    --------
    >>> x = np.arange(101.0)
    >>> order = sort_groups(np.zeros(101, int), 1, x)
    >>> np.sqrt(woodruff_variance(order, x, np.ones(101), 0.5)).round(1)
    array([5.])
    """
    k = len(order.start) - 1
    centre = group_quantiles(*order, x, w, np.full(k, share))
    s = np.sqrt(_share_variance(*order, x, w, centre, share))
    high = group_quantiles(*order, x, w, np.minimum(share + z * s, 1.0))
    low = group_quantiles(*order, x, w, np.maximum(share - z * s, 0.0))
    return np.asarray(((high - low) / (2 * z)) ** 2 + 0 * s)


@njit(cache=True, nogil=True)
def _share_variance(start, row, x, w, limit, share):  # type: ignore[no-untyped-def]
    """Variance of the share of records up to a limit, around the share that it should be."""
    out = np.full(len(start) - 1, np.nan)
    for c in range(len(start) - 1):
        n = 0
        total = above = 0.0
        for p in range(start[c], start[c + 1]):
            i = row[p]
            if w[i] > 0:
                n += 1
                total += w[i]
                above += (w[i] * ((x[i] <= limit[c]) - share)) ** 2
        if n > 1:
            out[c] = n / (n - 1) * above / total**2
    return out


@njit(cache=True, nogil=True)
def group_gini(start, row, x, w):  # type: ignore[no-untyped-def]
    r"""Compute the Gini coefficient of every group.

    Parameters
    ----------
    start, row
        As in `Sorted`.
    x, w : (n,) float64
        Values and weights; one below 0 counts as 0.

    Returns
    -------
    (k,) float64
        NaN where there is no weight, or the mean is not positive.

    Notes
    -----
    Half the mean absolute difference of two records over the mean:
    :math:`\sum_{ij} w_i w_j |x_i - x_j| / (2 \bar x (\sum w)^2)`.

    Examples
    --------
    >>> group_gini(np.array([0, 4]), np.arange(4), np.array([0.0, 0.0, 0.0, 8.0]), np.ones(4))
    array([0.75])
    """
    out = np.full(len(start) - 1, np.nan)
    for c in range(len(start) - 1):
        total = amount = ranked = 0.0
        for p in range(start[c], start[c + 1]):
            i = row[p]
            if not w[i] > 0:
                continue
            ranked += w[i] * x[i] * (total + w[i] / 2)
            total += w[i]
            amount += w[i] * x[i]
        if total > 0 and amount > 0:
            out[c] = 2 * ranked / (total * amount) - 1
    return out


@njit(cache=True, nogil=True)
def gini_variance(start, row, x, w, gini):  # type: ignore[no-untyped-def]
    r"""Estimate the sampling variance of Gini coefficients by linearisation.

    Parameters
    ----------
    start, row
        As in `Sorted`.
    x, w : (n,) float64
    gini : (k,) float64
        From `group_gini`.

    Returns
    -------
    (k,) float64
        NaN in groups of fewer than two records of positive weight.

    Notes
    -----
    :math:`n / (n - 1) \sum (w z)^2` with the influence of a record
    :math:`z = \frac{2}{W \bar x} [x F + \frac{1}{W} \sum_{x_j > x} w_j x_j - \frac{1 + G}{2}(x + \bar x)]`
    (Deville 1999, *Survey Methodology* 25:193), F being the share of records below, of equal ones half.

    Examples
    --------
    >>> start, row = np.array([0, 4]), np.arange(4)
    >>> gini_variance(start, row, np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4), np.array([0.25])).round(4)
    array([0.0075])
    """
    out = np.full(len(start) - 1, np.nan)
    for c in range(len(start) - 1):
        n = 0
        total = amount = 0.0
        for p in range(start[c], start[c + 1]):
            i = row[p]
            n += w[i] > 0
            total += w[i]
            amount += w[i] * x[i]
        if n < 2 or np.isnan(gini[c]):
            continue
        mean = amount / total
        variance = below = below_amount = 0.0
        p = start[c]
        while p < start[c + 1]:
            # Records of equal value share their ranks.
            end, weight = p, 0.0
            value = x[row[p]]
            while end < start[c + 1] and x[row[end]] == value:
                weight += w[row[end]]
                end += 1
            rank = (below + weight / 2) / total
            above = (amount - below_amount - weight * value / 2) / total
            z = 2 / (total * mean) * (value * rank + above - (1 + gini[c]) / 2 * (value + mean))
            for q in range(p, end):
                variance += (w[row[q]] * z) ** 2
            below += weight
            below_amount += weight * value
            p = end
        out[c] = n / (n - 1) * variance
    return out


def density_at(x: Array, w: Array, point: float) -> float:
    """Estimate the weighted density of values at a point, as R before version 4.4 does.

    Parameters
    ----------
    x : (n,) float64
        At least two values, not all equal.
    w : (n,) float64
        Positive weights.
    point : float
        Within the values' range.

    Returns
    -------
    float

    Notes
    -----
    A Gaussian kernel of Silverman's bandwidth, 0.9 times the smaller of standard deviation and interquartile
    range / 1.34 times n to the power of -1/5, on values spread linearly over a grid of 512 points that
    reaches seven bandwidths beyond them, then interpolated: what R's ``density()`` documents, and so what the
    reference's margins of medians rest on (section 5). Before R 4.4 the kernel is taken at distances that are
    511 / 511.5 of the grid's (its NEWS: ``old.coords``), which makes the density 0.1 % too high.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 2001)
    >>> round(density_at(x, np.exp(-(x**2) / 2), 0.0), 2)
    0.38
    """
    n_grid = 512
    low, high = np.quantile(x, [0.25, 0.75])
    spread = float(np.std(x, ddof=1))
    narrow = min(spread, (high - low) / 1.34) or spread
    width = 0.9 * narrow * len(x) ** -0.2
    first, last = x.min() - 7 * width, x.max() + 7 * width
    step = (last - first) / (n_grid - 1)
    place = (x - first) / step
    left = np.floor(place).astype(np.intp)
    part = place - left
    share = w / w.sum()
    mass = np.bincount(left, share * (1 - part), n_grid) + np.bincount(left + 1, share * part, n_grid)
    apart = np.arange(n_grid) * (last - first) / (n_grid - 0.5) / width
    kernel = np.exp(-(apart**2) / 2) / (width * np.sqrt(2 * np.pi))
    density = np.array([kernel[np.abs(np.arange(n_grid) - i)] @ mass for i in range(n_grid)])
    # R interpolates twice: from this grid to one that ends three bandwidths beyond the values, and from that.
    inner = np.linspace(x.min() - 3 * width, x.max() + 3 * width, n_grid)
    return float(np.interp(point, inner, np.interp(inner, np.linspace(first, last, n_grid), density)))
