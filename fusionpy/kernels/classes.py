"""A numeric variable cut into a few classes: one-dimensional k-means."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["cut_classes"]

Array = NDArray[np.float64]
ROUNDS = 1000  # far more than are ever needed


def cut_classes(x: Array, n_classes: int = 5) -> NDArray[np.intp]:
    """Cut numbers into classes, each as much alike within itself as can be.

    Parameters
    ----------
    x : (n,) float64
        Values; NaN: missing.
    n_classes : int
        At least 1. With no more distinct values than that, every value is a class.

    Returns
    -------
    (n,) intp
        Class of each value, ascending from 0; -1 where missing.

    Notes
    -----
    k-means, starting from the sorted distinct values at equally spaced ranks (rounded half to even, counting
    from 1), by Hartigan's rule: one record after the other, in their order, goes over to another class if
    that lowers the sum of squares although both means move (Hartigan and Wong 1979, *Applied Statistics*
    28:100). A local optimum, the reference's: it depends on the order of the records.
    Reference, section 6.

    Examples
    --------
    >>> cut_classes(np.array([1.0, 2.0, 50.0, 51.0, np.nan, 7.0, 8.0]), 3)
    array([ 0,  0,  2,  2, -1,  1,  1])
    """
    codes = np.full(len(x), -1, dtype=np.intp)
    known = ~np.isnan(x)
    values, place = np.unique(x[known], return_inverse=True)
    place = place.ravel()
    if len(values) <= n_classes:
        codes[known] = place
        return codes
    ranks = np.round(np.linspace(1, len(values), n_classes)).astype(np.intp) - 1
    spread = values - values.mean()  # differences from the middle keep their digits
    start = spread[ranks]
    nearest = np.searchsorted((start[1:] + start[:-1]) / 2, spread)[place]
    improved = _improve(spread[place], nearest.astype(np.intp), n_classes)
    # Classes can have changed places; values that differ by rounding errors only can leave one empty.
    size = np.bincount(improved, minlength=n_classes)
    mean = np.bincount(improved, spread[place], n_classes) / np.maximum(size, 1)
    held = np.flatnonzero(size)
    rank = np.zeros(n_classes, dtype=np.intp)
    rank[held[np.argsort(mean[held])]] = np.arange(len(held))
    codes[known] = rank[improved]
    return codes


@njit(cache=True, nogil=True)
def _improve(x, code, n_classes):  # type: ignore[no-untyped-def]
    """Let records go over to better classes, until none would."""
    size = np.zeros(n_classes)
    mean = np.zeros(n_classes)
    for i in range(len(x)):
        size[code[i]] += 1
        mean[code[i]] += x[i]
    mean /= np.maximum(size, 1)
    for _ in range(ROUNDS):
        moved = False
        for i in range(len(x)):
            own = code[i]
            if size[own] == 1:
                continue
            best, least = own, size[own] / (size[own] - 1) * (x[i] - mean[own]) ** 2
            least *= 1 - 1e-12  # lest rounding makes a record go back and forth
            for c in range(n_classes):
                cost = size[c] / (size[c] + 1) * (x[i] - mean[c]) ** 2
                if c != own and cost < least:
                    best, least = c, cost
            if best != own:
                mean[own] = (size[own] * mean[own] - x[i]) / (size[own] - 1)
                mean[best] = (size[best] * mean[best] + x[i]) / (size[best] + 1)
                size[own] -= 1
                size[best] += 1
                code[i] = best
                moved = True
        if not moved:
            break
    return code
