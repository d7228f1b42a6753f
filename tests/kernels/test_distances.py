"""Distances of two weighted samples: against SciPy, by brute force, and under transformations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from fusionpy.kernels.distances import kolmogorov, total_variation

numbers = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SciPy's p-value, which is not used
@given(x=numbers, y=numbers)
def test_kolmogorov_without_weights_is_scipys(x, y):
    x, y = np.array(x, float), np.array(y, float)
    found = kolmogorov(x, np.ones(len(x)), y, np.ones(len(y)))
    assert found == pytest.approx(ks_2samp(x, y, method="asymp").statistic)
    assert found == pytest.approx(kolmogorov(np.exp(x), np.ones(len(x)), np.exp(y), np.ones(len(y))))


@given(x=numbers, y=numbers, seed=st.integers(0, 99))
def test_weights_are_copies(x, y, seed):
    r = np.random.default_rng(seed)
    x, y = np.array(x, float), np.array(y, float)
    v, w = r.integers(1, 4, len(x)), r.integers(1, 4, len(y))
    copies = kolmogorov(np.repeat(x, v), np.ones(v.sum()), np.repeat(y, w), np.ones(w.sum()))
    assert kolmogorov(x, v.astype(float), y, w.astype(float)) == pytest.approx(copies)


def test_total_variation_of_two_levels_is_the_difference():
    assert total_variation(np.array([0.3, 0.7]), np.array([0.45, 0.55])) == pytest.approx(0.15)
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1
