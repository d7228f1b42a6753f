"""Digests by their definitions, in whole numbers that do not wrap around."""

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels.digests import (
    Digest,
    digest_codes,
    digest_hashes,
    digest_numbers,
    hash_numbers,
    hash_texts,
)

WORD = 2**64
MISSING = 0x7FF8DEADBEEF0001
NUMBERS = st.lists(st.floats(allow_nan=True) | st.sampled_from([0.0, -0.0]), max_size=12)


def mixed(word):
    """Splitmix64's finaliser, as published."""
    word = (word + 0x9E3779B97F4A7C15) % WORD
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % WORD
    return word ^ (word >> 31)


def hash_number(value):
    if value != value:
        return mixed(MISSING)
    return mixed(0 if value == 0 else struct.unpack("<Q", struct.pack("<d", value))[0])


def hash_text(text):
    """FNV-1a, mixed."""
    if text is None:
        return mixed(MISSING)
    word = 0xCBF29CE484222325
    for byte in text.encode():
        word = (word ^ byte) * 0x100000001B3 % WORD
    return mixed(word)


def digest(hashes):
    n, step = len(hashes), 0x5851F42D4C957F2D
    ordered = sum(h * pow(step, n - 1 - i, WORD) for i, h in enumerate(hashes)) % WORD
    return Digest(n, ordered, sum(hashes) % WORD)


@given(NUMBERS)
def test_numbers(values):
    array, hashes = np.array(values, dtype=np.float64), [hash_number(value) for value in values]
    assert hash_numbers(array).tolist() == hashes
    assert digest_numbers(array) == digest(hashes) == digest_hashes(np.array(hashes, dtype=np.uint64))


def test_numbers_that_do_not_lie_side_by_side():
    array = np.arange(12.0).reshape(4, 3)[:, 1]
    assert hash_numbers(array).tolist() == [hash_number(value) for value in array]
    assert digest_numbers(array) == digest_numbers(array.copy())


@given(st.lists(st.none() | st.text(max_size=5), max_size=12))
def test_texts(texts):
    raw = [(text or "").encode() for text in texts]
    start = np.cumsum([0, *map(len, raw)])
    content = np.frombuffer(b"".join(raw), dtype=np.uint8)
    valid = np.array([text is not None for text in texts], dtype=np.bool_)
    assert hash_texts(start, content, valid).tolist() == [hash_text(text) for text in texts]


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(0, 12))
def test_codes_and_parts(codes, cut):
    hashes = hash_numbers(np.arange(5.0))
    array = np.array(codes, dtype=np.int8)
    whole = digest_codes(hashes, array)
    assert whole == digest([int(hashes[code]) for code in codes])
    assert digest_codes(hashes, array[:cut]) + digest_codes(hashes, array[cut:]) == whole
