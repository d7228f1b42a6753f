"""Weighted ranks and their correlations, against scipy and rows that are repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from fusionpy.kernels.ranks import rank_correlations, rank_scores, weighted_ranks


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_unweighted_ranks_are_scipys(values):
    distinct, code = np.unique(values, return_inverse=True)
    found = weighted_ranks(code.reshape(-1), len(distinct), np.ones(len(values)))
    assert found + 0.5 == pytest.approx(rankdata(values))


@given(st.integers(0, 2**32))
def test_rank_correlations_equal_those_of_repeated_rows(seed):
    rng = np.random.default_rng(seed)
    n = 40
    x, y = rng.integers(0, 6, n).astype(float), rng.normal(size=(n, 2)).round(1)
    times = rng.integers(0, 4, n)
    times[:2], x[:2], y[0], y[1] = 1, [0, 9], -9, 9  # none is constant
    subsets = [np.arange(n), np.concatenate([[0, 1], np.flatnonzero(rng.random(n - 2) < 0.5) + 2])]
    w = times.astype(float)
    scores = [np.stack([rank_scores(y[rows, k], w[rows]) for k in range(2)], axis=1) for rows in subsets]
    found = rank_correlations(x, w, subsets, scores)
    for rows, mine in zip(subsets, found, strict=True):
        each = np.repeat(rows, times[rows])
        theirs = [spearmanr(x[each], y[each, k]).statistic for k in range(2)]
        assert mine == pytest.approx(theirs, abs=1e-9)


def test_rank_correlations_of_constants_are_zero():
    w, rows = np.array([0.1, 0.7, 0.2]), [np.arange(3)]
    score = np.stack([rank_scores(np.arange(3.0), w), rank_scores(np.full(3, 0.3), w)], axis=1)
    assert rank_correlations(np.full(3, 0.7), w, rows, [score])[0].tolist() == [0.0, 0.0]
    assert rank_correlations(np.arange(3.0), w, rows, [score])[0] == pytest.approx([1.0, 0.0], abs=1e-12)
