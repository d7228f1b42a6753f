"""Conditional expectations on a common scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = [
    "columns_scale",
    "percentiles",
    "quantile_columns",
    "scale_columns",
    "scale_sorted",
    "sort_quantiles",
    "unscale_columns",
]

SMALL = 0.01  # scale of amounts in [0, 1] below which distances would pass over them
_EDGE = float(ndtri(0.001))  # the scaled median's distance from 0 and 1, in standard deviations


def percentiles(n: int) -> NDArray[np.float64]:
    """Equally spaced percentiles, the first at half a step.

    Parameters
    ----------
    n : int
        How many.

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> percentiles(2).tolist()
    [0.25, 0.75]
    """
    return (2 * np.arange(n) + 1) / (2 * n)


def columns_scale(
    values: NDArray[np.float64], is_probability: Sequence[bool] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and scale of each column of conditional expectations.

    Parameters
    ----------
    values : (n, d) float64
        Donors' expectations.
    is_probability : (d,) sequence of bool, optional
        Which columns are; missing: perhaps all.

    Returns
    -------
    centre, scale : (d,) float64
        Median and 1.4826 × median absolute deviation (the standard deviation where that is 0, 1 where that
        is 0 too). NaN for a column that lies in [0, 1] already: it is left alone.

    Notes
    -----
    Reference, section 2, "Scaling". There, amounts in [0, 1] are left alone too, however small they are; here
    only if their scale is at least 0.01, as distances would pass over others.

    Examples
    --------
    >>> centre, scale = columns_scale(np.array([[0.2, 1.0], [0.4, 2.0], [0.9, 4.0]]))
    >>> centre.tolist(), scale.round(4).tolist()
    ([nan, 2.0], [nan, 1.4826])
    """
    centre = np.full(values.shape[1], np.nan)
    scale = np.full(values.shape[1], np.nan)
    for j, column in enumerate(values.T):
        middle = np.median(column)
        spread = 1.4826 * np.median(np.abs(column - middle))
        if spread == 0 and len(column) > 1:
            spread = column.std(ddof=1)
        is_small = is_probability is not None and not is_probability[j] and 0 < spread < SMALL
        if column.min() >= 0 and column.max() <= 1 and not is_small:
            continue
        centre[j], scale[j] = middle, spread or 1.0
    return centre, scale


def scale_columns(
    values: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Put expectations on the scale on which distances are taken: the median at 0.5.

    Parameters
    ----------
    values : (n, d) float64
    centre, scale : (d,) float64
        From `columns_scale`; NaN leaves a column alone.

    Returns
    -------
    (n, d) float64

    Notes
    -----
    ``z = ((v - centre) / scale - q) / (-2 q)`` with q the normal quantile at 0.001. Reference, section 2.

    Examples
    --------
    >>> scale_columns(np.array([[3.0, 0.7]]), np.array([3.0, np.nan]), np.array([2.0, np.nan])).tolist()
    [[0.5, 0.7]]
    """
    scaled = ((values - centre) / scale - _EDGE) / (-2 * _EDGE)
    return np.where(np.isnan(centre), values, scaled)


def unscale_columns(
    scaled: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Undo `scale_columns`.

    Parameters
    ----------
    scaled : (n, d) float64
    centre, scale : (d,) float64

    Returns
    -------
    (n, d) float64

    Examples
    --------
    >>> unscale_columns(np.array([[0.5, 0.7]]), np.array([3.0, np.nan]), np.array([2.0, np.nan])).tolist()
    [[3.0, 0.7]]
    """
    values = (scaled * (-2 * _EDGE) + _EDGE) * scale + centre
    return np.where(np.isnan(centre), scaled, values)


def sort_quantiles(values: NDArray[np.float64], columns: Sequence[str]) -> NDArray[np.float64]:
    """Put each variable's predicted quantiles in order, so that they do not cross.

    Parameters
    ----------
    values : (n, d) float64
        Expectations.
    columns : sequence of str
        Their names: those of a variable's quantiles are the variable, ``_q`` and a number.

    Returns
    -------
    (n, d) float64

    Notes
    -----
    Rearrangement (Chernozhukov, Fernández-Val and Galichon 2010).

    Examples
    --------
    >>> sort_quantiles(np.array([[7.0, 3.0, 2.0]]), ["kwh_m1", "kwh_q1", "kwh_q2"]).tolist()
    [[7.0, 2.0, 3.0]]
    """
    out = values.copy()
    for places in quantile_columns(columns):
        out[:, places] = np.sort(values[:, places], axis=1)
    return out


def quantile_columns(columns: Sequence[str]) -> list[list[int]]:
    """Find the places of each variable's quantiles among the expectations.

    Parameters
    ----------
    columns : sequence of str
        As for `sort_quantiles`.

    Returns
    -------
    list of list of int

    Examples
    --------
    >>> quantile_columns(["kwh_m1", "kwh_q1", "kwh_q2", "gas_m1"])
    [[1, 2]]
    """
    variables: dict[str, list[int]] = {}
    for j, name in enumerate(columns):
        variable, _, kind = name.rpartition("_")
        if kind.startswith("q"):
            variables.setdefault(variable, []).append(j)
    return list(variables.values())


def scale_sorted(
    values: NDArray[np.float64],
    centre: NDArray[np.float64],
    scale: NDArray[np.float64],
    together: Sequence[Sequence[int]] = (),
) -> None:
    """Do what `sort_quantiles` and then `scale_columns` do, in place and in one pass.

    Parameters
    ----------
    values : (n, d) float64
        C-contiguous; holds the result.
    centre, scale : (d,) float64
        From `columns_scale`.
    together : sequence of sequence of int
        From `quantile_columns`: columns to be sorted within a row.

    Examples
    --------
    >>> values = np.array([[7.0, 3.0, 2.0]])
    >>> scale_sorted(values, np.array([7.0, np.nan, np.nan]), np.ones(3), [[1, 2]])
    >>> values.tolist()
    [[0.5, 2.0, 3.0]]
    """
    place = np.array([j for places in together for j in places], dtype=np.intp)
    start = np.cumsum([0, *map(len, together)]).astype(np.intp)
    _scale_sorted(values, centre, scale, place, start, _EDGE)


@njit(cache=True, nogil=True, error_model="numpy")
def _scale_sorted(values, centre, scale, place, start, edge):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        for g in range(len(start) - 1):
            for a in range(start[g] + 1, start[g + 1]):  # by insertion: there are few
                moved = values[i, place[a]]
                b = a - 1
                while b >= start[g] and values[i, place[b]] > moved:
                    values[i, place[b + 1]] = values[i, place[b]]
                    b -= 1
                values[i, place[b + 1]] = moved
        for j in range(values.shape[1]):
            if not np.isnan(centre[j]):
                values[i, j] = ((values[i, j] - centre[j]) / scale[j] - edge) / (-2 * edge)
