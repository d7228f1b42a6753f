"""How far the drawn distribution of a number is from the true one, over all records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["marginal_errors", "spread_of", "top_share", "weighted_quantiles"]

Array = NDArray[np.float64]
GRID = (np.arange(2000) + 0.5) / 2000
"""Probabilities at which quantiles are compared: their mean difference is the Wasserstein-1 distance."""

TOP = 0.01  # of all weight: the records with the largest values


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
        standard deviation. `q90`, `q99`: 90th and 99th percentile, drawn over true. `mean`: mean, likewise.
        `top1`: share of the total that the highest hundredth of the records holds, likewise. NaN where the
        divisor is 0, or a total is not positive.

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
    every, each = drawn.ravel(), np.repeat(drawn_weight / M, M)
    drawn_at = weighted_quantiles(every, each, at)
    zeros = np.average(truth == 0, weights=weight)
    drawn_zeros = np.average((drawn == 0).mean(axis=1), weights=drawn_weight)
    distance = np.abs(drawn_at - true_at)[: len(GRID)].mean()
    return {
        "zero_err": float(abs(zeros - drawn_zeros)),
        "w1": _ratio(distance, spread_of(truth, weight)),
        "q90": _ratio(drawn_at[-2], true_at[-2]),
        "q99": _ratio(drawn_at[-1], true_at[-1]),
        "mean": _ratio(np.average(every, weights=each), np.average(truth, weights=weight)),
        "top1": _ratio(top_share(every, each), top_share(truth, weight)),
    }


def top_share(values: Array, weight: Array) -> float:
    """Share of the weighted total that the highest hundredth of all weight holds; NaN if it is not positive.

    Examples
    --------
    >>> top_share(np.append(np.ones(99), 101.0), np.ones(100))
    0.505
    """
    order = np.argsort(-values, kind="stable")
    reached, held = np.cumsum(weight[order]), np.cumsum((weight * values)[order])
    if held[-1] <= 0:
        return float("nan")
    return float(np.interp(TOP * reached[-1], np.append(0, reached), np.append(0, held)) / held[-1])


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
