"""Values that many share, and how they are spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusionpy.kernels.ties import FEW, is_tied, spread_ties

COUNTS = arrays(np.float64, st.integers(2, 60), elements=st.integers(-6, 6).map(float))


@given(COUNTS)
def test_pairs_that_agree_by_hand(values):
    pairs = [a == b for i, a in enumerate(values) for b in values[:i]]
    assert is_tied(values) == (np.mean(pairs) >= 1 / FEW)


@given(COUNTS, st.integers(0, 2**32), st.floats(1e-6, 1e6))
def test_spread_by_hand(values, seed, unit):
    values = values * unit
    u = np.random.default_rng(seed).random(len(values))
    found = spread_ties(values, u)
    distinct = sorted(set(values))
    for value, share, mine in zip(values, u, found, strict=True):
        place = distinct.index(value)
        if len(distinct) == 1 or (values == value).sum() == 1:
            assert mine == value
            continue
        inner = np.diff(distinct)
        low = inner[place - 1] if place else inner[0]
        high = inner[place] if place < len(inner) else inner[-1]
        assert mine == pytest.approx(value - low / 2 + share * (low + high) / 2, rel=1e-9, abs=1e-9 * unit)


@given(COUNTS, st.integers(0, 2**32))
def test_spreading_keeps_the_order_of_different_values(values, seed):
    found = spread_ties(values, np.random.default_rng(seed).random(len(values)))
    order = np.argsort(values, kind="stable")
    gap = np.diff(values[order]) > 0
    lower, upper = (
        np.maximum.accumulate(found[order])[:-1],
        np.minimum.accumulate(found[order][::-1])[::-1][1:],
    )
    assert (lower[gap] <= upper[gap]).all()
