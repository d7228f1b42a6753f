"""The counter-based generator, against numpy's Philox and Random123's published vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from fusionpy.kernels.uniforms import DRAW, REWEIGHT, philox, uniforms

WORD = st.integers(0, 2**64 - 1)


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_philox_equals_numpy(counter, key):
    generator = np.random.Philox(counter=np.array(counter, np.uint64), key=np.array(key, np.uint64))
    low = (counter[0] + 1) % 2**64  # numpy counts up before it generates
    words = [low, *counter[1:]]
    for i in range(3):  # and carries
        if words[i] != 0:
            break
        words[i + 1] = (words[i + 1] + 1) % 2**64
    mine = philox(*(np.uint64(word) for word in words), *(np.uint64(word) for word in key))
    assert [int(word) for word in mine] == [int(word) for word in generator.random_raw(4)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0, [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
        (2**64 - 1, [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]),
    ],
)
def test_philox_known_answers(word, expected):
    """kat_vectors of Random123, philox4x64 with 10 rounds."""
    assert [int(w) for w in philox(*[np.uint64(word)] * 6)] == expected


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9), st.integers(1, 50), st.integers(0, 40))
def test_rows_do_not_depend_on_the_call(seed, first, n, skip):
    whole = uniforms(seed, DRAW, n + skip, implicate=3, step=2, first=first)
    part = uniforms(seed, DRAW, n, implicate=3, step=2, first=first + skip)
    assert np.array_equal(whole[:, skip:], part)
    assert ((whole >= 0) & (whole < 1)).all()


def test_uniform_and_unrelated():
    base = uniforms(7, DRAW, 20_000)
    for lane in base:
        assert kstest(lane, "uniform").pvalue > 1e-3
    others = [
        uniforms(8, DRAW, 20_000)[0],
        uniforms(7, REWEIGHT, 20_000)[0],
        uniforms(7, DRAW, 20_000, implicate=1)[0],
        uniforms(7, DRAW, 20_000, step=1)[0],
        base[1],
        np.roll(base[0], 1),
    ]
    for other in others:
        assert abs(np.corrcoef(base[0], other)[0, 1]) < 4 / np.sqrt(20_000)
