"""Groups of records, and what is drawn and true in each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_errors", "means_by_group", "quantile_cells", "shares_by_group"]

Array = NDArray[np.float64]


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
