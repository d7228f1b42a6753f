"""Normal equations of the levels of several factors, of which the last may have thousands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Equations", "find_firsts", "sum_levels"]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@njit(cache=True, nogil=True)
def _products(codes, first, weight, value, gram, moment):  # type: ignore[no-untyped-def]
    """Add up Z'WZ and Z'Wv, where Z has a column for every level, and a last one of ones."""
    n_factors, n = codes.shape
    last = len(moment) - 1
    for i in range(n):
        w = weight[i]
        for f in range(n_factors):
            a = first[f] + codes[f, i]
            moment[a] += w * value[i]
            gram[a, last] += w
            for g in range(f + 1):
                gram[a, first[g] + codes[g, i]] += w
        moment[last] += w * value[i]
        gram[last, last] += w
    for a in range(last + 1):
        for b in range(a):
            total = gram[a, b] + gram[b, a]
            gram[a, b] = total
            gram[b, a] = total


@njit(cache=True, nogil=True)
def _cross_products(codes, first, apart, weight, value, cross, own, moment):  # type: ignore[no-untyped-def]
    """Add up the products of one more factor's columns, which are apart, with all others and themselves."""
    n_factors, n = codes.shape
    last = cross.shape[1] - 1
    for i in range(n):
        a, w = apart[i], weight[i]
        own[a] += w
        moment[a] += w * value[i]
        cross[a, last] += w
        for f in range(n_factors):
            cross[a, first[f] + codes[f, i]] += w


def find_firsts(sizes: Sequence[int] | Codes) -> Codes:
    """Find where the levels of each factor begin among those of all, and where the last one's end.

    Examples
    --------
    >>> find_firsts([2, 3]).tolist()
    [0, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)


def sum_levels(every: Floats, first: Codes, codes: Codes) -> Floats:
    """Add up, of the effects of all levels and the constant behind them, those of each record.

    Examples
    --------
    >>> every, codes = np.array([0.5, 2.0, 10.0, 20.0, 100.0]), np.array([[0, 1], [1, 1]])
    >>> sum_levels(every, find_firsts([2, 2]), codes).tolist()
    [120.5, 122.0]
    """
    return np.asarray(every[first[:-1, None] + codes].sum(axis=0) + every[-1])


@dataclass(frozen=True)
class Equations:
    """Normal equations, those of a last factor with many levels apart: among these they are diagonal.

    Attributes
    ----------
    gram : (r, r) float64
    moment : (r,) float64
    cross : (q, r) float64
    own, moment_apart : (q,) float64
    """

    gram: Floats
    moment: Floats
    cross: Floats
    own: Floats
    moment_apart: Floats

    @classmethod
    def of(cls, codes: Codes, first: Codes, weight: Floats, value: Floats, apart: bool) -> Equations:
        """Add up the products of all levels."""
        n_apart = int(first[-1] - first[-2]) if apart else 0
        n_rest = int(first[-1]) - n_apart
        found = cls(
            np.zeros((n_rest + 1, n_rest + 1)),
            np.zeros(n_rest + 1),
            np.zeros((n_apart, n_rest + 1)),
            np.zeros(n_apart),
            np.zeros(n_apart),
        )
        rest = codes[:-1] if apart else codes
        _products(rest, first, weight, value, found.gram, found.moment)
        if apart:
            _cross_products(rest, first, codes[-1], weight, value, found.cross, found.own, found.moment_apart)
        return found

    def some(self, kept: Codes) -> Equations:
        """Take the equations of some effects; of those apart all, or none."""
        n_rest = len(self.moment) - 1
        rest = np.append(kept[kept < n_rest], n_rest)
        n_apart = len(kept) - len(rest)
        return Equations(
            self.gram[np.ix_(rest, rest)],
            self.moment[rest],
            self.cross[:n_apart, rest],
            self.own[:n_apart],
            self.moment_apart[:n_apart],
        )

    def reduced(self, precision: Floats, noise: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Eliminate the effects apart.

        Returns precision and right side (times `noise`) of the others' equations, `Mixed.ties`, and the
        diagonal of the effects apart.
        """
        n_apart = len(self.own)
        rest = np.append(precision[: len(self.moment) - 1], precision[-1])
        diagonal = self.own / noise + precision[len(rest) - 1 : len(rest) - 1 + n_apart]
        ties = self.cross / (noise * diagonal[:, None])
        matrix = self.gram / noise + np.diag(rest)
        right = self.moment
        if n_apart:
            matrix = matrix - self.cross.T @ ties / noise
            right = right - ties.T @ self.moment_apart
        return matrix, right, ties, diagonal

    def all_of(self, rest: Floats, ties: Floats, diagonal: Floats, noise: float) -> Floats:
        """Find the effects apart, and put them in their place before the constant."""
        apart = self.moment_apart / (noise * diagonal) - ties @ rest
        return np.concatenate([rest[:-1], apart, rest[-1:]])

    def left(self, b: Floats, square: float) -> float:
        """Sum the squares that are left of `square` of the values' own."""
        rest, apart = np.append(b[: len(self.moment) - 1], b[-1]), b[len(self.moment) - 1 : -1]
        found = square - 2 * float(rest @ self.moment) + float(rest @ self.gram @ rest)
        if len(apart):
            found += float(apart @ (2 * self.cross @ rest + self.own * apart - 2 * self.moment_apart))
        return found
