"""Weighted means, standard deviations and correlations: all that a LASSO path needs of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Gram", "glmnet_gram", "weighted_gram"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
ROWS = 8192  # centred at once, so that the matrix is never copied whole
CONSTANT = 1e-10  # standard deviation, relative to the largest value, below which a column does not vary


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
