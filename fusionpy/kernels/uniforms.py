"""Counter-based uniforms: a number for every (seed, purpose, implicate, step, row), in any order.

The generator is Philox 4x64 with ten rounds (Salmon, Moraes, Dror and Shaw 2011, "Parallel random
numbers: as easy as 1, 2, 3"), the one behind ``numpy.random.Philox``: a pure function of key and counter,
so that no draw depends on cores, chunks or the order in which they are worked through.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "ANALYSIS",
    "AREA",
    "BOOSTER_SEED",
    "BOOTSTRAP",
    "DRAW",
    "EFFECT",
    "FILL",
    "FOLD",
    "MEMBER",
    "PERMUTE",
    "REWEIGHT",
    "SAMPLE",
    "THIN",
    "TIES",
    "philox",
    "uniforms",
    "uniforms_of",
]

# Purposes: the last word of the counter, so that no two uses ever share a number.
DRAW, REWEIGHT, FOLD, BOOTSTRAP, MEMBER, BOOSTER_SEED, ANALYSIS, TIES = range(8)
PERMUTE, THIN, SAMPLE, FILL, EFFECT, AREA = range(100, 106)

_KEY_TAG = np.uint64(0x667573696F6E7079)  # "fusionpy", the second word of every key
_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_11, _32, _LOW = np.uint64(11), np.uint64(32), np.uint64(2**32 - 1)


@njit(cache=True)
def _multiply(a, b):  # type: ignore[no-untyped-def]
    """High and low words of the product, of 128 bits: the high one from halves, as in long multiplication."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    first = a_high * b_low + (a_low * b_low >> _32)
    second = a_low * b_high + (first & _LOW)
    return a_high * b_high + (first >> _32) + (second >> _32), a * b


@njit(cache=True)
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four random words from a four-word counter and a two-word key.

    Parameters
    ----------
    c0, c1, c2, c3 : uint64
        Counter.
    k0, k1 : uint64
        Key.

    Returns
    -------
    tuple of 4 uint64

    Notes
    -----
    Philox4x64-10 of Salmon et al. (2011), section 5.3.

    Examples
    --------
    >>> zero = np.uint64(0)
    >>> hex(philox(zero, zero, zero, zero, zero, zero)[0])
    '0x16554d9eca36314c'
    """
    for _ in range(10):
        high0, low0 = _multiply(_M0, c0)
        high1, low1 = _multiply(_M1, c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _W0, k1 + _W1
    return c0, c1, c2, c3


@njit(cache=True, nogil=True)
def _fill(out, seed, tag, purpose, implicate, step, first):  # type: ignore[no-untyped-def]
    scale = 2.0**-53
    for i in range(out.shape[1]):
        words = philox(first + np.uint64(i), implicate, step, purpose, seed, tag)
        out[0, i] = (words[0] >> _11) * scale
        out[1, i] = (words[1] >> _11) * scale
        out[2, i] = (words[2] >> _11) * scale
        out[3, i] = (words[3] >> _11) * scale


def uniforms(
    seed: int, purpose: int, n: int, *, implicate: int = 0, step: int = 0, first: int = 0
) -> NDArray[np.float64]:
    """Four independent uniforms for each of n consecutive rows.

    Parameters
    ----------
    seed : int
        In ``[0, 2**64)``.
    purpose : int
        What they are for: one of this module's constants.
    n : int
        Number of rows.
    implicate, step : int
        Which implicate and step they are for.
    first : int
        Number of the first row.

    Returns
    -------
    (4, n) float64
        Multiples of 2**-53 in ``[0, 1)``.

    Examples
    --------
    A row's numbers do not depend on where the call began:

    >>> bool((uniforms(1, DRAW, 10)[:, 7:] == uniforms(1, DRAW, 3, first=7)).all())
    True
    """
    out = np.empty((4, n))
    words = (np.uint64(value) for value in (purpose, implicate, step, first))
    _fill(out, np.uint64(seed), _KEY_TAG, *words)
    return out


@njit(cache=True, nogil=True)
def _fill_of(out, keys, seed, tag, purpose, implicate, step):  # type: ignore[no-untyped-def]
    scale = 2.0**-53
    for i in range(len(keys)):
        out[i] = (philox(keys[i], implicate, step, purpose, seed, tag)[0] >> _11) * scale


def uniforms_of(
    seed: int, purpose: int, keys: NDArray[np.uint64], *, implicate: int = 0, step: int = 0
) -> NDArray[np.float64]:
    """Draw one uniform for each of some rows that have any numbers.

    Parameters
    ----------
    seed, purpose, implicate, step : int
        As for `uniforms`.
    keys : (n,) uint64
        Numbers of the rows.

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> keys = np.array([7, 3], dtype=np.uint64)
    >>> uniforms_of(1, AREA, keys).tolist() == uniforms(1, AREA, 8)[0][[7, 3]].tolist()
    True
    """
    out = np.empty(len(keys))
    words = (np.uint64(value) for value in (purpose, implicate, step))
    _fill_of(out, keys, np.uint64(seed), _KEY_TAG, *words)
    return out
