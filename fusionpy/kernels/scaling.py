"""Conditional expectations on a common scale, integer weights, zero inflation, rank scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = [
    "binary_exponent",
    "columns_scale",
    "float32_unit",
    "integerize_weights",
    "is_inflated",
    "percentiles",
    "quantile_columns",
    "scale_columns",
    "scale_sorted",
    "sort_quantiles",
    "telling_exponent",
    "unscale_columns",
]

FAR = 1024.0  # standard deviations from 0 beyond which four-byte numbers blur a variable
SINGLE = 2.0**60  # standard deviations from 1 / SINGLE to SINGLE, and their squares, are safe in four bytes
TINY, VAST, HIGH = 1e-34, 1e290, 960  # of a column: what is small, what is large, and its exponent then
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


def integerize_weights(weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Small integers nearly proportional to the weights, for drawing donors as the reference does.

    Parameters
    ----------
    weight : (n,) float64
        Non-negative, at least one positive.

    Returns
    -------
    (n,) int64
        0 where the weight is 0, else at least 1.

    Notes
    -----
    ``z = 1 + round(mx (w - min w) / r)`` for weights of mean 1, with ``r = max w / min w`` and ``mx = max(r,
    10^i)``, the first i from 1 for which the correlation of w and z reaches 0.999. Reference, section 1.
    Zero weights, which stop the reference, stay zero.

    Examples
    --------
    >>> integerize_weights(np.array([2.0, 2.0, 0.0])).tolist()
    [1, 1, 0]
    """
    out = np.zeros(len(weight), dtype=np.int64)
    used = weight > 0
    w = weight[used] / weight[used].mean()
    low, high = w.min(), w.max()
    if low == high:
        out[used] = 1
        return out
    ratio = high / low
    for i in range(1, 16):
        top = max(ratio, 10.0**i)
        z = 1 + np.round(top * (w - low) / ratio)
        if z.max() > z.min() and np.corrcoef(w, z)[0, 1] >= 0.999:
            break
    out[used] = z.astype(np.int64)
    return out


def is_inflated(values: NDArray[np.float64]) -> bool:
    """Tell whether a continuous variable has a heap of zeros of its own.

    Parameters
    ----------
    values : (n,) float64
        No missing values. Weights play no part.

    Returns
    -------
    bool
        True if at least 1 % of the values are 0 and the density near 0 falls below 0.9 of itself when
        the zeros are left out.

    Notes
    -----
    Gaussian kernel density with Silverman's bandwidth ``0.9 min(sd, IQR / 1.34) n^(-1/5)`` of all values, at
    the point nearest 0 of 512 between min - 3 bw and max + 3 bw. Reference, section 2, "Zero inflation".

    Examples
    --------
    >>> is_inflated(np.r_[np.zeros(50), np.linspace(100, 200, 50)])
    True
    """
    zero = values == 0
    if zero.mean() < 0.01 or zero.all():
        return False
    values = np.ldexp(values, -binary_exponent(values))
    width = _silverman(values)
    grid = np.linspace(values.min() - 3 * width, values.max() + 3 * width, 512)
    point = grid[np.argmin(np.abs(grid))]
    height = np.exp(-0.5 * ((values - point) / width) ** 2)
    return bool(height[~zero].mean() < 0.9 * height.mean())


def _silverman(values: NDArray[np.float64]) -> float:
    spread = float(values.std(ddof=1))
    quartiles = np.quantile(values, [0.25, 0.75])
    narrow = min(spread, float(quartiles[1] - quartiles[0]) / 1.34)
    return float(0.9 * (narrow or spread or abs(float(values[0])) or 1.0) * len(values) ** -0.2)


def binary_exponent(values: NDArray[np.float64]) -> int:
    """Power of 2 next above the largest magnitude: divided by it, squares neither vanish nor overflow.

    Parameters
    ----------
    values : (n,) float64
        Finite.

    Returns
    -------
    int
        0 if all values are 0.

    Examples
    --------
    >>> binary_exponent(np.array([3.0, -5.0])), binary_exponent(np.zeros(2))
    (3, 0)
    """
    return int(np.frexp(np.abs(values).max(initial=0.0))[1])


def float32_unit(values: NDArray[np.float64]) -> tuple[float, float]:
    """Centre and scale with which a variable is as good in four bytes as it is in eight.

    Parameters
    ----------
    values : (n,) float64
        Finite.

    Returns
    -------
    centre, scale : float
        ``(values - centre) / scale`` is what LightGBM, which keeps labels in four bytes, is to be given:
        (0, 1) for nearly all variables. The centre is the mean where that is more than 1,024 standard
        deviations from 0; the scale, a power of 2, comes with a centre, and where the standard deviation is
        below 2^-60 or above 2^60.

    Examples
    --------
    >>> float32_unit(np.array([1.0, 2.0, 3.0])), float32_unit(np.array([1.0, 2.0, 3.0]) + 1e8)
    ((0.0, 1.0), (100000002.0, 1.0))
    """
    exponent = binary_exponent(values)
    small = np.ldexp(values, -exponent)
    mean = float(small.mean())
    spread = float((small - mean).std())
    is_far = abs(mean) > FAR * spread > 0
    deviation = float(np.ldexp(spread or 1.0, exponent))
    if not is_far and 1 / SINGLE <= deviation <= SINGLE:
        return 0.0, 1.0
    return float(np.ldexp(mean, exponent)) if is_far else 0.0, float(2.0 ** np.round(np.log2(deviation)))


def telling_exponent(values: NDArray[np.float64]) -> int:
    """Power of 2 that brings a column of extreme magnitude to where LightGBM tells its values apart.

    Parameters
    ----------
    values : (n,) float64
        NaN where missing; infinite ones are passed over.

    Returns
    -------
    int
        `numpy.ldexp` of the column and this is what LightGBM is to be given; 0 for nearly all columns.

    Notes
    -----
    LightGBM takes values nearer to 0 than 1e-35 for 0, and those beyond 1e300 for 1e300.

    Examples
    --------
    >>> telling_exponent(np.array([1.0, 3.0, np.nan])), telling_exponent(np.array([1e-40, 3.0]))
    (0, 958)
    """
    size = np.abs(values[np.isfinite(values)])
    largest = size.max(initial=0.0)
    if largest > VAST or size.min(initial=np.inf, where=size > 0) < TINY:
        return HIGH - int(np.frexp(largest)[1])
    return 0
