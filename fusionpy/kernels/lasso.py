"""LASSO paths from one weighted Gram matrix, and weighted rank correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "Gram",
    "Path",
    "glmnet_gram",
    "lasso_path",
    "rank_correlations",
    "rank_scores",
    "weighted_gram",
    "weighted_ranks",
]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

ROWS = 8192  # centred at once, so that the matrix is never copied whole
CONSTANT = 1e-10  # standard deviation, relative to the largest value, below which a column does not vary
N_PENALTIES = 100
LEAST_GAIN, MOST_DEVIANCE, FEWEST_PENALTIES = 1e-5, 0.999, 5  # when a path ends early: glmnet's rules
MOST_PASSES = 100_000


class Gram(NamedTuple):
    """Weighted moments of the columns of a matrix.

    Attributes
    ----------
    mean, sd : (q,) float64
        `sd` divides by the sum of weights; it is 0 for a column that does not vary.
    correlation : (q, q) float64
        The row and column of one that does not vary are 0.
    n : int
        Number of rows.
    """

    mean: Array
    sd: Array
    correlation: Array
    n: int


class Path(NamedTuple):
    """A LASSO path, from the largest penalty on.

    Attributes
    ----------
    penalty : (m,) float64
        Of a target with standard deviation 1.
    deviance : (m,) float64
        Share of the target's weighted variance that is explained.
    coefficient : (m, p) float64
        Of predictors and target with standard deviation 1.
    full : bool
        The path ended because one more predictor would have been too many.
    """

    penalty: Array
    deviance: Array
    coefficient: Array
    full: bool


def weighted_gram(matrix: Array, weight: Array, rows: Index | None = None) -> Gram:
    """Take weighted means, standard deviations and correlations of columns.

    Parameters
    ----------
    matrix : (n, q) float64
        No missing values.
    weight : (n,) float64
        Non-negative, with a positive sum over the rows.
    rows : (k,) intp, optional
        Those to use; all if missing.

    Returns
    -------
    Gram

    Notes
    -----
    Columns are centred before they are multiplied, block of rows by block of rows, so that a large mean costs
    no digits. Correlations are all that a LASSO path of standardised variables needs of the data.

    Examples
    --------
    >>> gram = weighted_gram(np.array([[1.0, 3.0], [2.0, 1.0], [9.0, 9.0]]), np.array([1.0, 1.0, 0.0]))
    >>> gram.mean.tolist(), gram.sd.tolist(), gram.correlation.round(12).tolist()
    ([1.5, 2.0], [0.5, 1.0], [[1.0, -1.0], [-1.0, 1.0]])
    """
    n = len(matrix) if rows is None else len(rows)
    q = matrix.shape[1]
    parts = [
        slice(start, start + ROWS) if rows is None else rows[start : start + ROWS]
        for start in range(0, n, ROWS)
    ]
    total = sum(float(weight[part].sum()) for part in parts)
    mean, largest = np.zeros(q), np.zeros(q)
    for part in parts:
        mean += weight[part] @ matrix[part] / total
        np.maximum(largest, np.abs(matrix[part]).max(axis=0), out=largest)
    covariance = np.zeros((q, q))
    for part in parts:
        centred = (matrix[part] - mean) * np.sqrt(weight[part] / total)[:, None]
        covariance += centred.T @ centred
    sd = np.sqrt(np.diag(covariance))
    sd[sd <= CONSTANT * largest] = 0.0
    scale = np.divide(1.0, sd, out=np.zeros(q), where=sd > 0)
    correlation = covariance * scale[:, None] * scale
    np.fill_diagonal(correlation, sd > 0)
    return Gram(mean, sd, correlation, n)


def glmnet_gram(matrix: Array, weight: Array, rows: Index | None = None) -> Gram:
    """Take the moments that `weighted_gram` does, rounded as glmnet's own are.

    Parameters
    ----------
    matrix : (n, q) float64
        No missing values.
    weight : (n,) float64
        Non-negative, with a positive sum over the rows.
    rows : (k,) intp, optional
        Those to use; all if missing.

    Returns
    -------
    Gram

    Notes
    -----
    Of two columns that say the same, as two dummies for two levels do, glmnet takes the second one too if the
    last bits of their correlation happen to be so. These bits follow from the order of its sums: those of
    glmnet 4.1, as compiled for x86-64, go by fours.

    Examples
    --------
    >>> x, w = np.array([[1.0, 3.0], [2.0, 1.0], [9.0, 9.0]]), np.array([1.0, 1.0, 0.0])
    >>> glmnet_gram(x, w).correlation.round(12).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    part, mass = (matrix, weight) if rows is None else (matrix[rows], weight[rows])
    mean, sd, correlation = _sums_by_fours(np.asfortranarray(part), mass)
    return Gram(mean, sd, correlation, len(part))


@njit(cache=True, nogil=True)
def _sums_by_fours(matrix, weight):  # type: ignore[no-untyped-def]
    """Take weighted means, standard deviations and correlations; those of constant columns are 0."""
    n, q = matrix.shape
    share = weight / _dot(weight, np.ones(n))
    root = np.sqrt(share)
    mean, sd, scaled = np.zeros(q), np.zeros(q), np.zeros((q, n))
    for j in range(q):
        mean[j] = _dot(share, matrix[:, j])
        centred = root * (matrix[:, j] - mean[j])
        sd[j] = np.sqrt(_dot(centred, centred))
        if sd[j] <= CONSTANT * np.abs(matrix[:, j]).max():
            sd[j] = 0.0
        else:
            scaled[j] = centred / sd[j]
    correlation = np.zeros((q, q))
    for j in range(q):
        for k in range(j):
            correlation[j, k] = correlation[k, j] = _dot(scaled[j], scaled[k])
        correlation[j, j] = sd[j] > 0
    return mean, sd, correlation


@njit(cache=True, nogil=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    """Sum products in four strands, which are put together two by two, then what is left over."""
    n = len(a)
    even, fours = n // 2 * 2, n // 4 * 4
    s0 = s1 = s2 = s3 = 0.0
    for i in range(0, fours, 4):
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
    first, second = s0 + s2, s1 + s3
    if even > fours:
        first += a[fours] * b[fours]
        second += a[fours + 1] * b[fours + 1]
    total = first + second
    for i in range(even, n):
        total += a[i] * b[i]
    return total


def lasso_path(
    gram: Gram, target: int, predictors: Index, *, most: int | None = None, tolerance: float = 1e-7
) -> Path:
    """Fit a weighted Gaussian LASSO for a sequence of penalties.

    Parameters
    ----------
    gram : Gram
    target : int
        Column to explain.
    predictors : (p,) intp
        Columns to explain it by.
    most : int, optional
        The path ends before the penalty at which more predictors than this would have come in.
    tolerance : float
        Coordinate descent ends when no squared change of a coefficient exceeds it: glmnet's `thresh`.

    Returns
    -------
    Path

    Notes
    -----
    Coordinate descent with covariance updates (Friedman, Hastie and Tibshirani 2010, *Journal of Statistical
    Software* 33(1), section 2.2), on correlations instead of rows. The penalties are glmnet's: 100, evenly
    spaced on the log scale from the least that keeps all coefficients 0 down to 0.0001 of it (0.01 with fewer
    rows than predictors). So are the rules by which a path ends early: once a step adds less than 1e-5 of the
    deviance explained, or that exceeds 0.999. With the same tolerance its numbers are glmnet's to rounding.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [2.0, 1.0, 3.1], [3.0, 0.0, 4.0]])
    >>> path = lasso_path(weighted_gram(x, np.ones(4)), 2, np.array([0, 1]), most=1)
    >>> path.full, (path.coefficient[-1] != 0).tolist(), bool(path.deviance[-1] > 0.99)
    (True, [True, False], True)
    """
    inner = np.ascontiguousarray(gram.correlation[np.ix_(predictors, predictors)])
    outer = np.ascontiguousarray(gram.correlation[predictors, target])
    ratio = 1e-4 if gram.n >= len(predictors) else 1e-2
    limit = len(predictors) if most is None else most
    found = _descend(inner, outer, ratio, N_PENALTIES, limit, tolerance)
    penalty, deviance, coefficient, full = found
    return Path(penalty, deviance, coefficient, bool(full))


@njit(cache=True, nogil=True)
def _shrink(value, penalty):  # type: ignore[no-untyped-def]
    if value > penalty:
        return value - penalty
    if value < -penalty:
        return value + penalty
    return 0.0


@njit(cache=True, nogil=True)
def _descend(inner, outer, ratio, n_penalties, most, tolerance):  # type: ignore[no-untyped-def]
    """Descend along the path; `gradient` is that of the explained deviance, halved."""
    p = len(outer)
    gradient, beta = outer.copy(), np.zeros(p)
    entered, is_in, n_in = np.empty(p, dtype=np.intp), np.zeros(p, dtype=np.bool_), 0
    coefficient, deviance = np.zeros((n_penalties, p)), np.zeros(n_penalties)
    top = np.abs(outer).max() if p else 0.0
    penalty = np.full(n_penalties, ratio ** (1.0 / (n_penalties - 1)))
    penalty[0] = top
    for m in range(1, n_penalties):  # one by one, so that they are glmnet's to the last bit
        penalty[m] *= penalty[m - 1]
    if top == 0.0:
        return penalty[:1], deviance[:1], coefficient[:1], False
    explained, passes = 0.0, 0
    for m in range(n_penalties):
        before = explained
        while True:
            # Those that have entered come first, as in glmnet: fewer others then come in by mistake.
            explained, n_passes = _settle(
                inner, gradient, beta, entered[:n_in], penalty[m], tolerance, explained
            )
            passes += n_passes + 1
            widest = 0.0
            for k in range(p):
                old = beta[k]
                new = _shrink(gradient[k] + old * inner[k, k], penalty[m])
                if new == old:
                    continue
                if not is_in[k]:
                    if n_in == most:
                        return penalty[:m], deviance[:m], coefficient[:m], True
                    is_in[k] = True
                    entered[n_in] = k
                    n_in += 1
                change = new - old
                beta[k] = new
                explained += change * (2.0 * gradient[k] - change)
                widest = max(widest, change * change)
                for j in range(p):
                    gradient[j] -= change * inner[k, j]
            if widest < tolerance or passes > MOST_PASSES:
                break
        coefficient[m], deviance[m] = beta, explained
        if passes > MOST_PASSES:
            return penalty[: m + 1], deviance[: m + 1], coefficient[: m + 1], False
        slow = explained - before < LEAST_GAIN * explained or explained > MOST_DEVIANCE
        if m + 1 >= FEWEST_PENALTIES and slow:
            return penalty[: m + 1], deviance[: m + 1], coefficient[: m + 1], False
    return penalty, deviance, coefficient, False


@njit(cache=True, nogil=True)
def _settle(inner, gradient, beta, entered, penalty, tolerance, explained):  # type: ignore[no-untyped-def]
    """Coordinate descent over the predictors that have entered; the others' gradients follow at the end."""
    start = beta.copy()
    passes = 0
    while passes <= MOST_PASSES:
        widest = 0.0
        for k in entered:
            old = beta[k]
            new = _shrink(gradient[k] + old * inner[k, k], penalty)
            if new == old:
                continue
            change = new - old
            beta[k] = new
            explained += change * (2.0 * gradient[k] - change)
            widest = max(widest, change * change)
            for j in entered:
                gradient[j] -= change * inner[k, j]
        passes += 1
        if widest < tolerance:
            break
    held = np.zeros(len(beta), dtype=np.bool_)
    for k in entered:
        held[k] = True
    for j in range(len(beta)):
        if not held[j]:
            total = 0.0
            for k in entered:
                total += (beta[k] - start[k]) * inner[k, j]
            gradient[j] -= total
    return explained, passes


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
