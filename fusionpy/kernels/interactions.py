"""Which factors have effects together, beyond those that each has by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import chdtrc

from fusionpy.kernels.equations import find_firsts, sum_levels
from fusionpy.kernels.mixed import Mixed, effective_weights

__all__ = ["chance_of_none", "left_of_normal", "sums_of"]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

TINY = 1e-300
FEW_OF_CELL = 4.0  # effective records
NOTHING = 1e-9  # share of the largest eigenvalue at which a direction is rounding


@njit(cache=True, nogil=True)
def _add_up(one, other, weight, value, total, square, moment):  # type: ignore[no-untyped-def]
    """Add up weights, their squares, and weighted values, of cells."""
    for i in range(len(value)):
        total[one[i], other[i]] += weight[i]
        square[one[i], other[i]] += weight[i] ** 2
        moment[one[i], other[i]] += weight[i] * value[i]


def chance_of_none(
    one: Codes, other: Codes, sizes: Sequence[int], value: Floats, weight: Floats, noise: float
) -> float:
    r"""Tell how likely cells' means were as far from the sums of two factors' effects, were these all.

    Parameters
    ----------
    one, other : (n,) intp
        Levels of both factors.
    sizes : sequence of 2 int
        Numbers of levels.
    value : (n,) float64
    weight : (n,) float64
        Precisions, in units of 1 / `noise`.
    noise : float
        Variance of a value of weight 1.

    Returns
    -------
    float
        1 where there are too few cells to tell. Cells of which the weights are worth four records at most do
        not count: a far value or two would.

    Notes
    -----
    The analysis of variance with unequal cells: the sum of squares between cells less that of the two
    factors' fitted effects, in units of `noise`, is :math:`\chi^2` of as many degrees of freedom as there are
    cells more than independent effects (Searle 1971, *Linear Models*, ch. 7).

    Examples
    --------
    >>> one, other = np.repeat([0, 0, 1, 1], 50), np.repeat([0, 1, 0, 1], 50)
    >>> value = np.tile([1.0, -1.0], 100)
    >>> added, crossed = value + one + other, value + one * other
    >>> [round(chance_of_none(one, other, (2, 2), v, np.ones(200), 1.0), 4) for v in (added, crossed)]
    [1.0, 0.0004]
    """
    if not noise > 0:
        return 1.0
    total, square, moment = np.zeros((3, *sizes))
    _add_up(one, other, weight, value, total, square, moment)
    a, b = np.nonzero(total**2 > square * FEW_OF_CELL)
    if not len(a):
        return 1.0
    own, sums = total[a, b], moment[a, b]
    apart = float((sums**2 / own).sum()) / noise
    design = np.zeros((len(a), total.shape[0] + total.shape[1]))
    design[np.arange(len(a)), a] = design[np.arange(len(a)), total.shape[0] + b] = 1.0
    values, vectors = np.linalg.eigh((design * own[:, None]).T @ design)
    real = values > NOTHING * values[-1]
    left = len(a) - int(real.sum())
    if left < 1:
        return 1.0
    fitted = vectors[:, real].T @ (design.T @ sums)
    apart -= float((fitted**2 / values[real]).sum()) / noise
    return float(chdtrc(left, max(apart, 0.0)))


def left_of_normal(
    codes: Codes, sizes: Sequence[int], residual: Floats, weight: Floats, found: Mixed
) -> tuple[Floats, Floats, float]:
    """Find what effects on a mean leave to explain.

    Parameters
    ----------
    codes, sizes, residual, weight
        As for `fit_normal`.
    found : Mixed

    Returns
    -------
    (n,) float64, (n,) float64, float
        What is left, the precisions of its parts, and the variance of one of precision 1.
    """
    weight = effective_weights(weight)
    left = residual - sums_of(codes, sizes, found)
    return left, weight, float(weight @ left**2) / max(float(weight.sum()), TINY)


def sums_of(codes: Codes, sizes: Sequence[int], found: Mixed) -> Floats:
    """Add up each record's effects.

    Parameters
    ----------
    codes, sizes
        As for `fit_normal`.
    found : Mixed

    Returns
    -------
    (n,) float64
    """
    first = find_firsts(sizes)
    every = np.zeros(first[-1] + 1)
    every[found.columns] = found.mean
    return sum_levels(every, first, codes)
