"""Draws: a class from probabilities, a donor from a pool. Pure functions of their uniforms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = [
    "calibrate",
    "draw_by_totals",
    "draw_classes",
    "draw_donors",
    "fit_calibration",
    "nearest_within",
    "running_totals",
]

_PAIRWISE = 8  # columns from which numpy adds them up in another order


@njit(cache=True, nogil=True)
def draw_classes(probability, u):  # type: ignore[no-untyped-def]
    """Draw one class per row from its probabilities.

    Parameters
    ----------
    probability : (n, k) float64
        Non-negative; rows need not sum to one exactly.
    u : (n,) float64
        Uniforms in ``[0, 1)``.

    Returns
    -------
    (n,) intp
        Class in ``[0, k)``, never one of zero probability.

    Notes
    -----
    Inverts each row's distribution function. Reference, section 3.

    Examples
    --------
    >>> draw_classes(np.array([[0.2, 0.8], [0.0, 1.0]]), np.array([0.1999, 0.0]))
    array([0, 1])
    """
    n, n_classes = probability.shape
    out = np.empty(n, dtype=np.intp)
    for i in range(n):
        total = 0.0
        for c in range(n_classes):
            total += probability[i, c]
        target = u[i] * total
        reached = 0.0
        chosen = 0
        for c in range(n_classes):
            if probability[i, c] > 0:
                chosen = c
                reached += probability[i, c]
                if reached > target:
                    break
        out[i] = chosen
    return out


@njit(cache=True, nogil=True)
def running_totals(start, member, weight):  # type: ignore[no-untyped-def]
    """Add up the weights of each pool: what `draw_by_totals` needs, once for all of its calls.

    Parameters
    ----------
    start, member, weight
        As for `draw_donors`.

    Returns
    -------
    (m,) float64
        Weight of a pool's donors up to and including each.

    Examples
    --------
    >>> running_totals(np.array([0, 2, 3]), np.array([1, 0, 1]), np.array([0.5, 2.0])).tolist()
    [2.0, 2.5, 2.0]
    """
    reached = np.empty(len(member))
    for c in range(len(start) - 1):
        total = 0.0
        for i in range(start[c], start[c + 1]):
            total += weight[member[i]]
            reached[i] = total
    return reached


@njit(cache=True, nogil=True)
def draw_by_totals(centre, start, member, weight, reached, u):  # type: ignore[no-untyped-def]
    """Draw donors as `draw_donors` does, from weights that are added up already.

    Parameters
    ----------
    centre, start, member, weight, u
        As for `draw_donors`.
    reached : (m,) float64
        From `running_totals`.

    Returns
    -------
    (n,) intp

    Examples
    --------
    >>> start, member, weight = np.array([0, 2]), np.array([1, 0]), np.array([0.5, 2.0])
    >>> totals = running_totals(start, member, weight)
    >>> draw_by_totals(np.zeros(2, np.intp), start, member, weight, totals, np.array([0.79, 0.81]))
    array([1, 0])
    """
    out = np.empty(len(centre), dtype=np.intp)
    for r in range(len(centre)):
        low, high = start[centre[r]], start[centre[r] + 1] - 1
        target = u[r] * reached[high]
        # First place whose running total exceeds the target: its own weight is then positive.
        while low < high:
            middle = (low + high) // 2
            if reached[middle] > target:
                high = middle
            else:
                low = middle + 1
        while weight[member[low]] == 0:  # only if rounding carried the target to the pool's total
            low -= 1
        out[r] = member[low]
    return out


@njit(cache=True, nogil=True)
def draw_donors(centre, start, member, weight, u):  # type: ignore[no-untyped-def]
    r"""Draw one donor row per recipient with probability proportional to weight.

    Parameters
    ----------
    centre : (n,) intp
        Nearest centre of each recipient, in ``[0, k)``.
    start : (k + 1,) intp
        Pool boundaries in `member`; no pool is empty.
    member : (m,) intp
        Donor rows, pool after pool.
    weight : (d,) float64
        Non-negative donor weights; every pool holds a positive one.
    u : (n,) float64
        Uniforms in ``[0, 1)``.

    Returns
    -------
    (n,) intp
        Donor row of each recipient; never one of zero weight.

    Notes
    -----
    Inverts the pool's weighted empirical distribution. Ummel et al. (2024), "General strategy".

    Examples
    --------
    >>> pools = np.array([0, 2, 3]), np.array([4, 7, 2])
    >>> weight = np.array([0, 0, 5, 0, 1, 0, 0, 3.0])
    >>> draw_donors(np.array([0, 0, 1]), *pools, weight, np.array([0.24, 0.25, 0.9]))
    array([4, 7, 2])
    """
    return draw_by_totals(centre, start, member, weight, running_totals(start, member, weight), u)


@njit(cache=True, nogil=True)
def nearest_within(centre, start, member, weight, drawn, value, low, high):  # type: ignore[no-untyped-def]
    """Find, for draws that are out of bounds, the donor of the pool nearest to the draw that is within them.

    Parameters
    ----------
    centre, start, member, weight
        As for `draw_donors`.
    drawn : (n,) intp
        Donor row that was drawn for each recipient.
    value : (d, q) float64
        The donors' values of a step's variables.
    low, high : (n, q) float64
        Bounds of each recipient.

    Returns
    -------
    (n,) intp
        Donor row, of equally near ones the first of the pool; -1 where no donor of the pool is within bounds.

    Notes
    -----
    The nearest, because drawing again among those within an upper bound would lower the mean by what is cut
    off twice.

    Examples
    --------
    >>> pool = np.array([0, 3]), np.array([0, 1, 2]), np.ones(3)
    >>> value, bounds = np.array([[5.0], [9.0], [6.0]]), (np.full((2, 1), -np.inf), np.array([[7.0], [1.0]]))
    >>> nearest_within(np.zeros(2, np.intp), *pool, np.array([1, 1]), value, *bounds)
    array([ 2, -1])
    """
    out = np.full(len(centre), -1, dtype=np.intp)
    for r in range(len(centre)):
        least = np.inf
        for p in range(start[centre[r]], start[centre[r] + 1]):
            i = member[p]
            inside = weight[i] > 0
            away = 0.0
            for j in range(value.shape[1]):
                inside &= low[r, j] <= value[i, j] <= high[r, j]
                away += abs(value[i, j] - value[drawn[r], j])
            if inside and away < least:
                least = away
                out[r] = i
    return out


def calibrate(probability: NDArray[np.float64], calibration: Sequence[float]) -> NDArray[np.float64]:
    """Flatten or sharpen class probabilities, and shift them towards classes.

    Parameters
    ----------
    probability : (n, k) float64
    calibration : sequence of float
        A temperature (above 1 flattens, below 1 sharpens) and an offset per class, or nothing.

    Returns
    -------
    (n, k) float64
        Rows sum to one. A class that training never saw stays impossible.

    Notes
    -----
    ``p^(1/T) exp(b)``, normalised: temperature scaling with bias correction (Guo, Pleiss, Sun and Weinberger
    2017; Alexandari, Kundaje and Shrikumar 2020).

    Examples
    --------
    >>> calibrate(np.array([[0.2, 0.8]]), [2.0, 0.0, 0.0]).round(4).tolist()
    [[0.3333, 0.6667]]
    """
    if not len(calibration):
        return probability
    # LightGBM gives a class without rows about 1e-15: no temperature may bring it to life.
    powered = np.where(probability > 1e-12, probability, 0.0)
    powered **= 1 / calibration[0]
    powered *= np.exp(np.asarray(calibration[1:]))
    if powered.shape[1] < _PAIRWISE:
        _normalise(powered)
    else:
        powered /= powered.sum(axis=1, keepdims=True)
    return powered


@njit(cache=True, nogil=True, error_model="numpy")
def _normalise(values):  # type: ignore[no-untyped-def]
    """Divide few columns by their sum, added up from the left, as numpy does."""
    for i in range(values.shape[0]):
        total = 0.0
        for c in range(values.shape[1]):
            total += values[i, c]
        for c in range(values.shape[1]):
            values[i, c] /= total


def fit_calibration(
    probability: NDArray[np.float64], label: NDArray[np.intp], weight: NDArray[np.float64]
) -> tuple[float, ...]:
    """Find the calibration under which left-out donors' classes are most likely.

    Parameters
    ----------
    probability : (n, k) float64
        Predicted by models that did not see the donor.
    label : (n,) intp
        The donors' classes.
    weight : (n,) float64

    Returns
    -------
    tuple of float
        Temperature, in [0.5, 3], and an offset per class, the most frequent one's 0.

    Notes
    -----
    At the maximum the calibrated probabilities' weighted means are the classes' weighted shares.

    Examples
    --------
    >>> rising = np.linspace(0.05, 0.95, 400)
    >>> label = (np.arange(400) * 0.618 % 1 < rising).astype(np.intp)
    >>> fit_calibration(np.stack([1 - rising, rising], axis=1), label, np.ones(400))[0] < 1.2
    True
    """
    share = np.bincount(label, weights=weight, minlength=probability.shape[1]) / weight.sum()
    base = int(share.argmax())
    free = [k for k in range(len(share)) if share[k] > 0 and k != base]
    log_p = np.log(np.maximum(probability, 1e-15))
    rows = np.arange(len(label))
    w = weight / weight.sum()

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = log_p * theta[0]
        z[:, free] += theta[1:]
        z -= z.max(axis=1, keepdims=True)
        q = np.exp(z)
        total = q.sum(axis=1, keepdims=True)
        q /= total
        value = -(w * (z[rows, label] - np.log(total[:, 0]))).sum()
        slope = (w * ((q * log_p).sum(axis=1) - log_p[rows, label])).sum()
        shift = (w[:, None] * q[:, free]).sum(axis=0) - share[free]
        return float(value), np.concatenate([[slope], shift])

    bounds = [(1 / 3, 2.0)] + [(-3.0, 3.0)] * len(free)
    start = np.concatenate([[1.0], np.zeros(len(free))])
    found = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}
    ).x
    offset = np.zeros(len(share))
    offset[free] = found[1:]
    return (float(1 / found[0]), *offset.tolist())
