"""Draws: a class from probabilities, a donor from a pool. Pure functions of their uniforms."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

__all__ = ["draw_classes", "draw_donors", "fit_temperature", "temper"]


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
    reached = np.empty(len(member))
    for c in range(len(start) - 1):
        total = 0.0
        for i in range(start[c], start[c + 1]):
            total += weight[member[i]]
            reached[i] = total
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


def temper(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Flatten (temperature above 1) or sharpen (below 1) class probabilities.

    Parameters
    ----------
    probability : (n, k) float64
    temperature : float
        Positive; 1 changes nothing.

    Returns
    -------
    (n, k) float64
        Rows sum to one.

    Notes
    -----
    ``p^(1/T)``, normalised (Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks").

    Examples
    --------
    >>> temper(np.array([[0.2, 0.8]]), 2.0).round(4).tolist()
    [[0.3333, 0.6667]]
    """
    if temperature == 1:
        return probability
    powered = np.asarray(np.maximum(probability, 1e-300) ** (1 / temperature))
    return powered / powered.sum(axis=1, keepdims=True)


def fit_temperature(
    probability: NDArray[np.float64], label: NDArray[np.intp], weight: NDArray[np.float64]
) -> float:
    """Find the temperature at which left-out donors' classes are most likely.

    Parameters
    ----------
    probability : (n, k) float64
        Predicted by models that did not see the donor.
    label : (n,) intp
        The donors' classes.
    weight : (n,) float64

    Returns
    -------
    float
        In [0.5, 3].

    Examples
    --------
    >>> half = np.tile([[0.9, 0.1]], (100, 1))
    >>> round(fit_temperature(half, (np.arange(100) % 4 == 0).astype(np.intp), np.ones(100)), 2)
    2.0
    """
    log_p = np.log(np.maximum(probability, 1e-300))
    rows = np.arange(len(label))

    def loss(temperature: float) -> float:
        z = log_p / temperature
        top = z.max(axis=1)
        likely = z[rows, label] - top - np.log(np.exp(z - top[:, None]).sum(axis=1))
        return float(-(weight * likely).sum())

    return float(minimize_scalar(loss, bounds=(0.5, 3.0), method="bounded").x)
