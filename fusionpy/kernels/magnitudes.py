"""Magnitudes of columns, and units in which LightGBM, which has four bytes for some, does them justice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["binary_exponent", "float32_unit", "telling_exponent"]

FAR = 1024.0  # standard deviations from 0 beyond which four-byte numbers blur a variable
SINGLE = 2.0**60  # standard deviations from 1 / SINGLE to SINGLE, and their squares, are safe in four bytes
TINY, VAST, HIGH = 1e-34, 1e290, 960  # of a column: what is small, what is large, and its exponent then


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
