"""Variables of which many donors share a value: counts, ratings, rounded and top-coded amounts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_tied", "spread_ties"]

FEW = 400  # equally frequent values, or fewer: percentiles then stall on ties


def is_tied(values: NDArray[np.float64]) -> bool:
    """Tell whether equal values are so frequent that percentiles cannot be boosted on them.

    Parameters
    ----------
    values : (n,) float64
        No missing values.

    Returns
    -------
    bool
        Whether two donors picked at random agree in at least one of 400 cases, as they do where 400 values
        are equally frequent, or where one donor in twenty has the same value.

    Examples
    --------
    >>> is_tied(np.arange(1000.0)), is_tied(np.arange(1000.0) % 10), is_tied(np.minimum(np.arange(100.0), 80))
    (False, True, True)
    """
    n = len(values)
    count = np.unique(values, return_counts=True)[1].astype(np.float64)
    return n > 1 and bool((count * (count - 1)).sum() * FEW >= n * (n - 1.0))


def spread_ties(values: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread equal values over the room between them and their neighbours, at random.

    Parameters
    ----------
    values : (n,) float64
        No missing values.
    u : (n,) float64
        Uniforms in ``[0, 1)``.

    Returns
    -------
    (n,) float64
        Uniform from halfway to the next lower value to halfway to the next higher one; the least and the
        largest value have as much room outside as inside. What one donor alone has stays as it is. The order
        of different values stays.

    Notes
    -----
    For counts this is the jittering of Machado and Santos Silva (2005), "Quantiles for counts", *JASA*
    100:1226-1237: the percentiles of what is spread are continuous in the probabilities of the values, so
    that they can be learned where those of the values themselves are constant, and jump.

    Examples
    --------
    >>> spread_ties(np.array([0.0, 0.0, 1.0, 1.0, 4.0]), np.array([0.0, 0.5, 0.0, 0.75, 0.9])).tolist()
    [-0.5, 0.0, 0.5, 2.0, 4.0]
    """
    distinct, place, count = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) == 1:
        return values
    middle = distinct[:-1] / 2 + distinct[1:] / 2
    low = np.r_[2 * distinct[0] - middle[0], middle][place]
    high = np.r_[middle, 2 * distinct[-1] - middle[-1]][place]
    return np.where(count[place] > 1, low + u * (high - low), values)
