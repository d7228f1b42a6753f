"""Rank correlations of all pairs, and the scale on which the truth is normal."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fusionpy.kernels.dependence import normal_places, pairwise_rank_correlations

seeds = st.integers(0, 2**32)


@given(seeds)
def test_rank_correlations_equal_pandas(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 4, (12, 6)).astype(float)
    matrix[:, 1] = rng.integers(0, 2, 12)
    matrix[:, 2] = 7.0
    for column in (3, 4):
        matrix[rng.random(12) < 0.3, column] = np.nan
    expected = pd.DataFrame(matrix).corr("spearman").to_numpy()
    np.testing.assert_allclose(pairwise_rank_correlations(matrix), expected, atol=1e-12)


@given(seeds)
def test_a_matrix_without_a_complete_row_for_a_pair(seed):
    matrix = np.random.default_rng(seed).normal(size=(8, 3))
    matrix[:4, 0] = matrix[4:, 1] = np.nan
    found = pairwise_rank_correlations(matrix)
    assert np.isnan(found[0, 1])
    np.testing.assert_allclose(found, pd.DataFrame(matrix).corr("spearman").to_numpy(), atol=1e-12)


@given(seeds)
def test_normal_places_one_by_one(seed):
    rng = np.random.default_rng(seed)
    truth, values = np.sort(rng.integers(0, 6, 15) * 1.0), rng.integers(-2, 9, (4, 3)) * 1.0
    found = normal_places(truth, values)
    for value, mine in zip(values.ravel(), found.ravel(), strict=True):
        share = ((truth < value).sum() + (truth == value).sum() / 2) / 15
        assert mine == pytest.approx(norm.ppf(min(max(share, 0.5 / 15), 1 - 0.5 / 15)))
    assert found.shape == values.shape
