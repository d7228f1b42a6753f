"""Digests of columns: one that depends on the order of rows, one that does not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Digest", "digest_codes", "digest_hashes", "digest_numbers", "hash_numbers", "hash_texts"]

Hashes = NDArray[np.uint64]
_STEP = np.uint64(0x5851F42D4C957F2D)  # Knuth's, 5 modulo 8: its powers do not repeat before 2**62
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE, _TWO = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MISSING = np.uint64(0x7FF8DEADBEEF0001)
_ZERO = np.uint64(0)


class Digest(NamedTuple):
    r"""Digest of some rows of a column; those of consecutive parts add up to that of the whole.

    Attributes
    ----------
    n : int
        Rows.
    ordered : int
        :math:`\sum_i h_i s^{n - i} \bmod 2^{64}` over the hashes of the values in their order.
    unordered : int
        :math:`\sum_i h_i \bmod 2^{64}`.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 2.0, np.nan])
    >>> whole = digest_hashes(hash_numbers(x))
    >>> whole == digest_hashes(hash_numbers(x[:1])) + digest_hashes(hash_numbers(x[1:]))
    True
    >>> moved = digest_hashes(hash_numbers(x[::-1].copy()))
    >>> moved.ordered == whole.ordered, moved.unordered == whole.unordered
    (False, True)
    """

    n: int
    ordered: int
    unordered: int

    def __add__(self, other: tuple[int, ...]) -> Digest:  # type: ignore[override]  # parts, not tuples
        n, ordered, unordered = other
        return Digest(
            self.n + n,
            (self.ordered * pow(int(_STEP), n, 2**64) + ordered) % 2**64,
            (self.unordered + unordered) % 2**64,
        )


@njit(cache=True, nogil=True)
def _mixed(word):  # type: ignore[no-untyped-def]
    """Spread a word's bits: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    word += _GOLDEN
    word = (word ^ (word >> _30)) * _ONE
    word = (word ^ (word >> _27)) * _TWO
    return word ^ (word >> _31)


@njit(cache=True, nogil=True)
def _hash_number(value, word):  # type: ignore[no-untyped-def]
    if value != value:
        word = _MISSING
    elif value == 0.0:  # of either sign
        word = _ZERO
    return _mixed(word)


@njit(cache=True, nogil=True)
def _hash_words(values, words, out):  # type: ignore[no-untyped-def]
    for i in range(len(words)):
        out[i] = _hash_number(values[i], words[i])


@njit(cache=True, nogil=True)
def _sum_words(values, words):  # type: ignore[no-untyped-def]
    ordered = unordered = _ZERO
    for i in range(len(words)):
        found = _hash_number(values[i], words[i])
        ordered = ordered * _STEP + found
        unordered += found
    return ordered, unordered


@njit(cache=True, nogil=True)
def _sum_codes(hashes, codes):  # type: ignore[no-untyped-def]
    ordered = unordered = _ZERO
    for i in range(len(codes)):
        found = hashes[codes[i]]
        ordered = ordered * _STEP + found
        unordered += found
    return ordered, unordered


@njit(cache=True, nogil=True)
def _hash_bytes(start, content, valid, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        if not valid[i]:
            out[i] = _mixed(_MISSING)
            continue
        word = _START  # FNV-1a
        for place in range(start[i], start[i + 1]):
            word = (word ^ np.uint64(content[place])) * _PRIME
        out[i] = _mixed(word)


@njit(cache=True, nogil=True)
def _sums(hashes):  # type: ignore[no-untyped-def]
    ordered = unordered = _ZERO
    for i in range(len(hashes)):
        ordered = ordered * _STEP + hashes[i]
        unordered += hashes[i]
    return ordered, unordered


def hash_numbers(values: NDArray[np.float64]) -> Hashes:
    """Hash numbers: (n,) uint64; missing ones have one hash, and so have zeros of either sign."""
    values, out = np.ascontiguousarray(values), np.empty(len(values), dtype=np.uint64)
    _hash_words(values, values.view(np.uint64), out)
    return out


def digest_numbers(values: NDArray[np.float64]) -> Digest:
    """Digest numbers: the hashes of `hash_numbers`, summed up at once."""
    values = np.ascontiguousarray(values)
    ordered, unordered = _sum_words(values, values.view(np.uint64))
    return Digest(len(values), int(ordered), int(unordered))


def digest_codes(hashes: Hashes, codes: NDArray[np.integer]) -> Digest:
    """Digest values of which the hashes are `hashes`, (k,) uint64, by their places in it: (n,) integer."""
    ordered, unordered = _sum_codes(hashes, codes)
    return Digest(len(codes), int(ordered), int(unordered))


def hash_texts(start: NDArray[np.integer], content: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Hashes:
    """Hash texts.

    Parameters
    ----------
    start : (n + 1,) integer
        Where each begins in `content`, and where the last ends.
    content : (m,) uint8
    valid : (n,) bool
        Whether each is there, rather than missing.

    Returns
    -------
    (n,) uint64

    Examples
    --------
    >>> found = hash_texts(
    ...     np.array([0, 1, 2, 2]), np.frombuffer(b"aa", np.uint8), np.array([True, True, False])
    ... )
    >>> bool(found[0] == found[1]), bool(found[2] == hash_numbers(np.array([np.nan]))[0])
    (True, True)
    """
    out = np.empty(len(valid), dtype=np.uint64)
    _hash_bytes(start, content, valid, out)
    return out


def digest_hashes(hashes: Hashes) -> Digest:
    """Sum up the hashes of a column's values."""
    ordered, unordered = _sums(hashes)
    return Digest(len(hashes), int(ordered), int(unordered))
