"""How many of a centre's nearest donors make its pool."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from fusionpy.kernels.marginals import weighted_quantiles

__all__ = ["TAIL_POOL", "are_far_out", "choose_pool_sizes", "pool_errors", "sizes_before_drift"]

FENCE = 1.5  # interquartile ranges beyond the quartiles (Tukey 1977)
TAIL_POOL = 30  # donors of a pool in the tails
WINDOW = 5  # values of k over which the tolerance rule averages the divergence


@njit(cache=True)
def pool_errors(values, ranked, weight, mean, quantiles, ptiles, spread, total):  # type: ignore[no-untyped-def]
    r"""Divergence of the first k neighbours from a centre's expectations, for every k.

    Parameters
    ----------
    values, ranked, weight : (K,) float64
        The neighbours, nearest first: values for the mean, values for the quantiles (the same, but for ties
        that are spread); weights positive.
    mean : float
        The centre's expected value.
    quantiles, ptiles : (p,) float64
        Its expected quantiles, and the percentiles that they stand for.
    spread : float
        Standard deviation that the outer quantiles imply.
    total : (K,) float64
        Filled with the divergences.

    Notes
    -----
    .. math:: 1 - \phi((m_k - u)/s)/\phi(0) + \sum_j |F_k(Q_j) - P_j| / \max(P_j, 1 - P_j)

    with m and F the weighted mean and distribution of the first k neighbours. Ummel et al. (2024),
    "Conditional expectations"; reference, section 2.
    """
    n_quantiles = len(quantiles)
    below = np.zeros(n_quantiles)
    sum_w = 0.0
    sum_wy = 0.0
    for k in range(len(values)):
        y, w = values[k], weight[k]
        sum_w += w
        sum_wy += w * y
        gap = sum_wy / sum_w - mean
        if spread > 0:
            gap /= spread
            error = 1.0 - np.exp(-0.5 * gap * gap)
        else:
            error = 0.0 if gap == 0 else 1.0
        for j in range(n_quantiles):
            if ranked[k] <= quantiles[j]:
                below[j] += w
            error += abs(below[j] / sum_w - ptiles[j]) / max(ptiles[j], 1.0 - ptiles[j])
        total[k] = error


@njit(cache=True)
def _tolerant(total, low):  # type: ignore[no-untyped-def]
    """Smallest k >= low whose divergence, averaged over a trailing window, is about the least."""
    n = len(total)
    first = min(max(low, WINDOW), n)
    smooth = np.empty(n)
    best = np.inf
    for k in range(first, n + 1):
        start = max(k - WINDOW, 0)
        s = 0.0
        for i in range(start, k):
            s += total[i]
        smooth[k - 1] = s / (k - start)
        best = min(best, smooth[k - 1])
    limit = max(best, 0.01, 1.05 * best, best + 0.005)
    for k in range(first, n + 1):
        if smooth[k - 1] <= limit:
            return k
    return n


@njit(cache=True)
def _least(total, low):  # type: ignore[no-untyped-def]
    """Take the number of neighbours, at least low, with the least divergence."""
    first = min(low, len(total))
    return first + np.argmin(total[first - 1 :])


@njit(cache=True, nogil=True)
def _sizes(  # type: ignore[no-untyped-def]
    neighbour, values, ranked, weight, mean, quantiles, ptiles, spread, low, tolerant
):
    n_centres, n_near = neighbour.shape
    size = np.empty(n_centres, dtype=np.intp)
    for c in range(n_centres):
        total, near = np.empty(n_near), neighbour[c]
        pool_errors(values[near], ranked[near], weight[near], mean[c], quantiles[c], ptiles, spread[c], total)
        size[c] = _tolerant(total, low) if tolerant else _least(total, low)
    return size


def choose_pool_sizes(
    neighbour: NDArray[np.intp],
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
    mean: NDArray[np.float64],
    quantiles: NDArray[np.float64],
    ptiles: NDArray[np.float64],
    low: int,
    tolerant: bool,
    ranked: NDArray[np.float64] | None = None,
) -> NDArray[np.intp]:
    """Choose how many of its nearest donors stand for each centre.

    Parameters
    ----------
    neighbour : (c, K) intp
        Nearest donors of each centre, nearest first.
    values, weight : (n,) float64
        The donors' values and positive weights.
    mean : (c,) float64
        The centres' expected values, in the units of `values`.
    quantiles : (c, p) float64
        Their expected quantiles.
    ptiles : (p,) float64
        The percentiles.
    low : int
        Smallest pool.
    tolerant : bool
        True: the smallest k that is about as good as the best, after averaging over 5 values of k
        (fusionModel 2.4.0). False: the k of least divergence (the paper).
    ranked : (n,) float64, optional
        The donors' values as `quantiles` were learned from them, if not as they are: with ties spread.

    Returns
    -------
    (c,) intp
        In ``[min(low, K), K]``.

    Notes
    -----
    The tolerance: a smoothed divergence of at most max(best, 0.01), or max(1.05 best, best + 0.005), counts
    as equally good. Reference, section 2, "Donor pools".

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0, 4.0, 50.0, 60.0])
    >>> near = np.arange(6)[None, :]
    >>> percent = np.array([0.25, 0.75])
    >>> choose_pool_sizes(near, y, np.ones(6), np.array([2.5]), np.array([[1.0, 3.0]]), percent, 1, False)
    array([4])
    """
    ordered = np.sort(quantiles, axis=1)
    width = float(ndtri(ptiles[-1]) - ndtri(ptiles[0])) if len(ptiles) > 1 else np.inf
    spread = np.abs(ordered[:, -1] - ordered[:, 0]) / width if np.isfinite(width) else np.zeros(len(mean))
    return np.asarray(
        _sizes(
            neighbour,
            values,
            values if ranked is None else ranked,
            weight,
            mean,
            np.ascontiguousarray(quantiles),
            ptiles,
            spread,
            low,
            tolerant,
        )
    )


def are_far_out(
    mean: NDArray[np.float64], values: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which centres expect a mean that is far out among the donors' values.

    Parameters
    ----------
    mean : (c,) float64
        The centres' expected values.
    values, weight : (n,) float64
        The donors' values and positive weights.

    Returns
    -------
    (c,) bool
        More than 1.5 interquartile ranges below the lower quartile or above the upper one (Tukey 1977);
        none where the quartiles are the same.

    Notes
    -----
    A pool whose size depends on the values in it ends where they fit the centre's percentiles. These are too
    low in a heavy upper tail, and so are the values that it ends with. `TAIL_POOL` donors are taken there,
    whatever they have: fewer would be drawn too often, and the mean drifts off with more.

    Examples
    --------
    >>> are_far_out(np.array([4.0, 12.0]), np.arange(1.0, 8.0), np.ones(7)).tolist()
    [False, True]
    """
    low, high = weighted_quantiles(values, weight, np.array([0.25, 0.75]))
    leeway = FENCE * (high - low)
    return np.asarray(((mean < low - leeway) | (mean > high + leeway)) & (leeway > 0))


def sizes_before_drift(
    neighbour: NDArray[np.intp],
    expected: NDArray[np.float64],
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
    mean: NDArray[np.float64],
    low: int,
) -> NDArray[np.intp]:
    r"""Count the nearest donors of whom no more is expected, or less, than of the centre, but for noise.

    Parameters
    ----------
    neighbour : (c, K) intp
        Nearest donors of each centre, nearest first.
    expected, values, weight : (n,) float64
        The donors' own expected means, their values and positive weights.
    mean : (c,) float64
        The centres' expected values.
    low : int
        Smallest pool.

    Returns
    -------
    (c,) intp
        The most before the weighted mean of `expected` is first off by more than the standard error of a
        mean of so many donors, :math:`s / \sqrt{n_{eff}}`, with s the standard deviation that the outer
        sixths of all values imply; K where it never is, or s is 0.

    Examples
    --------
    >>> y = np.arange(9.0)
    >>> sizes_before_drift(np.arange(9)[None, :], y, y, np.ones(9), np.zeros(1), 1).tolist()
    [4]
    """
    low_sixth, high_sixth = weighted_quantiles(values, weight, np.array([1 / 6, 5 / 6]))
    spread = (high_sixth - low_sixth) / float(ndtri(5 / 6) - ndtri(1 / 6))
    n_near = neighbour.shape[1]
    if spread == 0:
        return np.full(len(mean), n_near, dtype=np.intp)
    w = weight[neighbour]
    total = np.cumsum(w, axis=1)
    drift = np.cumsum(w * (expected[neighbour] - mean[:, None]), axis=1) / total
    off = np.abs(drift) > spread * np.sqrt(np.cumsum(w * w, axis=1)) / total
    off[:, : min(low, n_near)] = False
    return np.asarray(np.where(off.any(axis=1), off.argmax(axis=1), n_near), dtype=np.intp)
