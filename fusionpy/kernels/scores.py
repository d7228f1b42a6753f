"""How near drawn values come to true ones that were held out: the arithmetic of the scorecard.

Drawn values are (n, M): one row a record, one column an implicate. Classes are codes from 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from fusionpy.kernels.clusters import nearest

__all__ = [
    "fair_brier",
    "fair_crps",
    "fair_energy",
    "group_errors",
    "marginal_errors",
    "means_by_group",
    "nearest_others",
    "normal_scores",
    "own_range",
    "paired_folds",
    "quantile_cells",
    "rank_correlations",
    "shares_by_group",
    "spread_of",
    "weighted_auc",
    "weighted_quantiles",
]

Array = NDArray[np.float64]

GRID = (np.arange(2000) + 0.5) / 2000
"""Probabilities at which quantiles are compared: their mean difference is the Wasserstein-1 distance."""

_JITTER = 1e-5  # standard deviations; squared, it is well above the rounding error of a squared distance


def fair_crps(draws: Array, truth: Array) -> Array:
    r"""Continuous ranked probability score of M draws, unbiased for the distribution they come from.

    Parameters
    ----------
    draws : (n, M) float64
        At least two draws.
    truth : (n,) float64

    Returns
    -------
    (n,) float64
        In the variable's unit; lower is better. A single record's can be negative.

    Notes
    -----
    :math:`\frac{1}{M}\sum_i |x_i - y| - \frac{1}{2 M (M - 1)} \sum_{ij} |x_i - x_j|` (Ferro 2014, "Fair
    scores for ensemble forecasts", *Quarterly Journal of the Royal Meteorological Society* 140:1917). The
    second sum is taken over sorted draws.

    Examples
    --------
    >>> fair_crps(np.array([[1.0, 3.0]]), np.array([2.0]))
    array([0.])
    """
    M = draws.shape[1]
    ascending = np.sort(draws, axis=1)
    spread = ascending @ (2.0 * np.arange(1, M + 1) - M - 1) / (M * (M - 1))
    return np.asarray(np.abs(draws - truth[:, None]).mean(axis=1) - spread)


@njit(cache=True, nogil=True)
def fair_brier(draws, truth, n_classes):  # type: ignore[no-untyped-def]
    r"""Brier score of M drawn classes, unbiased for the probabilities they come from.

    Parameters
    ----------
    draws : (n, M) integer
        At least two draws, in ``[0, n_classes)``.
    truth : (n,) integer
    n_classes : int

    Returns
    -------
    (n,) float64
        Lower is better.

    Notes
    -----
    :math:`\sum_k (p_k - t_k)^2 - \frac{1}{M - 1} \sum_k p_k (1 - p_k)` with p the shares of the draws and t
    the indicator of the true class (Ferro 2014).

    Examples
    --------
    >>> fair_brier(np.array([[0, 1], [1, 1]]), np.array([0, 1]), 2)
    array([0., 0.])
    """
    n, M = draws.shape
    out = np.empty(n)
    count = np.zeros(n_classes)
    for i in range(n):
        for m in range(M):
            count[draws[i, m]] += 1.0
        same = 0.0  # sum of squared counts
        for m in range(M):
            same += count[draws[i, m]]
        square = same / (M * M)
        out[i] = square - 2.0 * count[truth[i]] / M + 1.0 - (1.0 - square) / (M - 1)
        for m in range(M):
            count[draws[i, m]] = 0.0
    return out


@njit(cache=True, nogil=True)
def fair_energy(draws, truth, is_class):  # type: ignore[no-untyped-def]
    r"""Energy score of M draws of several variables at once, unbiased for the distribution they come from.

    Parameters
    ----------
    draws : (n, M, d) float64
        At least two draws: numbers on comparable scales, and codes of classes.
    truth : (n, d) float64
    is_class : (d,) bool
        Whether a column holds classes: different ones are at distance 1.

    Returns
    -------
    (n,) float64
        Lower is better.

    Notes
    -----
    :math:`\frac{1}{M}\sum_i \|x_i - y\| - \frac{1}{2 M (M - 1)} \sum_{ij} \|x_i - x_j\|` (Gneiting and
    Raftery 2007, *Journal of the American Statistical Association* 102:359, section 4.3; fair as in Ferro
    2014). Dummy variables divided by the square root of 2 give the same distances between classes.

    Examples
    --------
    >>> draws = np.array([[[0.0, 1.0], [3.0, 1.0]]])
    >>> fair_energy(draws, np.array([[0.0, 1.0]]), np.array([False, True]))
    array([0.])
    """
    n, M, d = draws.shape
    out = np.empty(n)
    for i in range(n):
        apart = between = 0.0
        for a in range(M):
            square = 0.0
            for j in range(d):
                gap = draws[i, a, j] - truth[i, j]
                square += (1.0 if gap != 0.0 else 0.0) if is_class[j] else gap * gap
            apart += np.sqrt(square)
            for b in range(a):
                square = 0.0
                for j in range(d):
                    gap = draws[i, a, j] - draws[i, b, j]
                    square += (1.0 if gap != 0.0 else 0.0) if is_class[j] else gap * gap
                between += np.sqrt(square)
        out[i] = apart / M - between / (M * (M - 1))
    return out


def own_range(draws: Array, level: float = 0.9) -> tuple[Array, Array]:
    """Find the central range of every record's own draws.

    Parameters
    ----------
    draws : (n, M) float64
    level : float
        What the range is to hold of the distribution that the draws come from.

    Returns
    -------
    (n,) float64, (n,) float64
        Its ends: order statistics, interpolated.

    Notes
    -----
    Order statistic k of M has on average k / (M + 1) of the distribution below it (Hyndman and Fan 1996,
    definition 6). With fewer than 19 draws no range of theirs holds 90 %: all of them hold
    (M - 1) / (M + 1).

    Examples
    --------
    >>> low, high = own_range(np.arange(1.0, 20.0)[None])
    >>> low.round(9), high.round(9)
    (array([1.]), array([19.]))
    """
    side = (1 - level) / 2
    low, high = np.quantile(draws, [round(side, 12), round(1 - side, 12)], axis=1, method="weibull")
    return low, high


def weighted_quantiles(values: Array, weight: Array, probability: Array) -> Array:
    """Quantiles of a weighted sample.

    Parameters
    ----------
    values, weight : (n,) float64
        Weights are not negative, and not all 0.
    probability : (k,) float64

    Returns
    -------
    (k,) float64

    Notes
    -----
    A record stands in the middle of its own weight, equal ones share theirs equally; between records the
    quantile is interpolated: `fusionpy.kernels.quantiles.group_quantiles` of one group.

    Examples
    --------
    >>> weighted_quantiles(np.array([3.0, 1.0]), np.array([1.0, 1.0]), np.array([0.25, 0.5, 0.75]))
    array([1., 2., 3.])
    """
    if not weight.all():  # a record without weight would stand between others, or beyond them
        values, weight = values[weight > 0], weight[weight > 0]
    order = np.argsort(values)
    ascending = values[order]
    first = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    w, size = np.add.reduceat(weight[order], first), np.diff(first, append=len(order))
    reached, half = np.cumsum(w), w / size / 2
    last = reached - half
    places = np.stack([np.where(size > 1, reached - w + half, last), last], axis=1)  # from first to last
    return np.asarray(np.interp(probability * reached[-1], places.ravel(), np.repeat(ascending[first], 2)))


def spread_of(values: Array, weight: Array) -> float:
    """Weighted standard deviation; exactly 0 if all values are equal.

    Examples
    --------
    >>> spread_of(np.array([1.0, 3.0, 9.0]), np.array([0.5, 0.5, 0.0]))
    1.0
    """
    apart = values - values[0]
    mean = np.average(apart, weights=weight)
    return float(np.sqrt(np.average((apart - mean) ** 2, weights=weight)))


def marginal_errors(truth: Array, weight: Array, drawn: Array, drawn_weight: Array) -> dict[str, float]:
    """Compare the distribution of a number over all records, drawn and true.

    Parameters
    ----------
    truth, weight : (n,) float64
    drawn : (m, M) float64
    drawn_weight : (m,) float64

    Returns
    -------
    dict
        `zero_err`: absolute difference of the shares of zeros. `w1`: Wasserstein-1 distance over the true
        standard deviation. `q90`, `q99`: 90th and 99th percentile, drawn over true. NaN where the divisor
        is 0.

    Examples
    --------
    >>> truth, weight = np.array([0.0, 1.0, 2.0]), np.ones(3)
    >>> found = marginal_errors(truth, weight, 2 * truth[:, None], weight)
    >>> found["zero_err"], round(found["w1"] / 1.5**0.5, 3), found["q90"]
    (0.0, 1.0, 2.0)
    """
    at = np.concatenate([GRID, [0.9, 0.99]])
    M = drawn.shape[1]
    true_at = weighted_quantiles(truth, weight, at)
    drawn_at = weighted_quantiles(drawn.ravel(), np.repeat(drawn_weight / M, M), at)
    zeros = np.average(truth == 0, weights=weight)
    drawn_zeros = np.average((drawn == 0).mean(axis=1), weights=drawn_weight)
    distance = np.abs(drawn_at - true_at)[: len(GRID)].mean()
    return {
        "zero_err": float(abs(zeros - drawn_zeros)),
        "w1": _ratio(distance, spread_of(truth, weight)),
        "q90": _ratio(drawn_at[-2], true_at[-2]),
        "q99": _ratio(drawn_at[-1], true_at[-1]),
    }


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")


def normal_scores(ascending: Array, values: NDArray[np.float64]) -> NDArray[np.float64]:
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
    >>> normal_scores(np.array([1.0, 2.0, 3.0]), np.array([2.0, 99.0])).round(3)
    array([0.   , 0.967])
    """
    n = len(ascending)
    below = np.searchsorted(ascending, values, "left") + np.searchsorted(ascending, values, "right")
    return np.asarray(ndtri(np.clip(below / 2 / n, 0.5 / n, 1 - 0.5 / n)))


def rank_correlations(matrix: Array) -> Array:
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
    >>> rank_correlations(np.array([[1.0, 9.0, 1.0], [2.0, 5.0, np.nan], [3.0, 1.0, 5.0]]))[0]
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


def quantile_cells(values: Array, n_cells: int = 5) -> NDArray[np.intp]:
    """Group numbers by their quantiles.

    Parameters
    ----------
    values : (n,) float64
        NaN: missing.
    n_cells : int
        Fewer result if quantiles coincide.

    Returns
    -------
    (n,) intp
        From 0; -1 where missing.

    Examples
    --------
    >>> quantile_cells(np.array([1.0, 2.0, 3.0, np.nan, 4.0]), 2).tolist()
    [0, 0, 1, -1, 1]
    """
    has = ~np.isnan(values)
    out = np.full(len(values), -1, dtype=np.intp)
    if has.any():
        cuts = np.unique(np.percentile(values[has], np.linspace(0, 1, n_cells + 1) * 100))
        out[has] = np.maximum(np.searchsorted(cuts, values[has], side="left") - 1, 0)
    return out


def shares_by_group(
    cell: NDArray[np.intp], n_cells: int, codes: NDArray[np.integer], n_classes: int, weight: Array
) -> Array:
    """Weighted shares of classes in groups, averaged over implicates.

    Parameters
    ----------
    cell : (n,) intp
        Group of each record; -1: in none.
    n_cells : int
    codes : (n, M) integer
    n_classes : int
    weight : (n,) float64

    Returns
    -------
    (n_cells, n_classes) float64
        NaN without weight.

    Examples
    --------
    >>> shares_by_group(np.array([0, -1]), 1, np.array([[0, 1], [1, 1]]), 2, np.array([3.0, 1.0]))
    array([[0.5, 0.5]])
    """
    inside = np.flatnonzero(cell >= 0)
    first, w = cell[inside] * n_classes, weight[inside]
    amount = np.zeros(n_cells * n_classes)
    for column in codes.T:
        amount += np.bincount(first + column[inside], w, len(amount))
    total = codes.shape[1] * np.bincount(cell[inside], w, n_cells)[:, None]
    shares = np.full((n_cells, n_classes), np.nan)
    return np.asarray(np.divide(amount.reshape(shares.shape), total, out=shares, where=total > 0))


def means_by_group(cell: NDArray[np.intp], n_cells: int, values: Array, weight: Array) -> Array:
    """Weighted means of groups.

    Parameters
    ----------
    cell : (n,) intp
        Group of each record; -1: in none.
    n_cells : int
    values, weight : (n,) float64

    Returns
    -------
    (n_cells,) float64
        NaN without weight.

    Examples
    --------
    >>> means_by_group(np.array([0, 0, -1]), 2, np.array([1.0, 4.0, 9.0]), np.array([2.0, 1.0, 1.0]))
    array([ 2., nan])
    """
    inside = cell >= 0
    total = np.bincount(cell[inside], weight[inside], n_cells)
    amount = np.bincount(cell[inside], (weight * values)[inside], n_cells)
    return np.asarray(np.divide(amount, total, out=np.full(n_cells, np.nan), where=total > 0))


def group_errors(drawn: Array, true: Array, least: float) -> Array:
    """Relative errors of groups' means or shares.

    Parameters
    ----------
    drawn, true : float64, of one shape
        Means or shares; NaN: of no records.
    least : float
        Only true ones above it count.

    Returns
    -------
    (k,) float64

    Examples
    --------
    >>> group_errors(np.array([1.1, 0.5]), np.array([1.0, 0.01]), 0.02).round(3)
    array([0.1])
    """
    counts = (true > least) & ~np.isnan(drawn)
    return np.asarray(np.abs(drawn[counts] - true[counts]) / true[counts])


def nearest_others(
    points: Array, k: int, candidates: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Find the k nearest other records of each record.

    Parameters
    ----------
    points : (n, d) float64
        On comparable scales.
    k : int
    candidates : (m,) intp
        Rows that can be found.
    rng : numpy.random.Generator
        Decides between records that are equally near.

    Returns
    -------
    (n, k) intp
        Rows of `points`, never the record's own; fewer columns if there are fewer candidates.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [5.0], [6.5]])
    >>> nearest_others(points, 1, np.arange(4), np.random.default_rng(1)).ravel().tolist()
    [1, 0, 3, 2]
    """
    n = len(points)
    points = points + _JITTER * rng.standard_normal(points.shape)
    found = candidates[nearest(points, points[candidates], min(k + 1, len(candidates)))]
    is_own = found == np.arange(n)[:, None]
    others = np.argsort(is_own, axis=1, kind="stable")[:, : min(k, len(candidates) - 1)]
    return np.take_along_axis(found, others, axis=1)
