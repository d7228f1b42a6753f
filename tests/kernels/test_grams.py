"""Weighted means, deviations and correlations, by brute force and in blocks of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels import grams
from fusionpy.kernels.grams import glmnet_gram, weighted_gram


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_gram_equals_brute_force(seed, n):
    rng = np.random.default_rng(seed)
    matrix, weight = rng.normal(size=(n + 1, 4)) * 10.0 ** rng.integers(-3, 4, 4), rng.random(n + 1) + 0.01
    rows = np.sort(rng.choice(n + 1, rng.integers(2, n + 2), replace=False))
    gram = weighted_gram(matrix, weight, rows)
    assert gram.n == len(rows)
    assert gram.mean == pytest.approx(np.average(matrix[rows], axis=0, weights=weight[rows]), rel=1e-9)
    covariance = np.cov(matrix[rows].T, aweights=weight[rows], ddof=0)
    assert gram.sd == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-9)
    assert gram.correlation == pytest.approx(covariance / gram.sd / gram.sd[:, None], abs=1e-9)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_the_gram_by_fours_is_the_same_but_for_its_last_bits(seed, n):
    rng = np.random.default_rng(seed)
    matrix, weight = rng.normal(size=(n + 1, 4)) * 10.0 ** rng.integers(-3, 4, 4), rng.random(n + 1) + 0.01
    matrix[:, 3] = 7.1
    rows = np.sort(rng.choice(n + 1, rng.integers(2, n + 2), replace=False))
    for mine, theirs in zip(
        glmnet_gram(matrix, weight, rows), weighted_gram(matrix, weight, rows), strict=True
    ):
        assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert np.isfinite(glmnet_gram(matrix[:1], weight[:1]).correlation).all()


def test_gram_over_several_blocks_of_rows(monkeypatch):
    rng = np.random.default_rng(1)
    X, w = (
        rng.normal(size=(400, 12)) * rng.uniform(0.01, 100, 12) + 1000 * rng.random(12),
        rng.gamma(2, 1, 400),
    )
    whole = weighted_gram(X, w)
    monkeypatch.setattr(grams, "ROWS", 64)
    for mine, theirs in zip(weighted_gram(X, w), whole, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12, abs=1e-12)


def test_a_large_mean_costs_no_digits_and_a_constant_has_no_correlation():
    rng = np.random.default_rng(2)
    small = rng.normal(size=(500, 2))
    matrix = np.column_stack([small[:, 0] + 1e9, small[:, 1], np.full(500, 0.1), np.zeros(500)])
    gram = weighted_gram(matrix, np.ones(500))
    assert gram.correlation[0, 1] == pytest.approx(np.corrcoef(small.T)[0, 1], abs=1e-7)
    assert gram.sd[2:].tolist() == [0, 0]
    assert not gram.correlation[2:].any()
    assert not gram.correlation[:, 2:].any()
