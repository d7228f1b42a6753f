"""Pool sizes, against a version that does every sum from scratch."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionpy.kernels.pools import choose_pool_sizes
from fusionpy.kernels.scaling import percentiles


@given(st.integers(0, 2**32), st.integers(2, 5), st.booleans(), st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=150)
def test_sizes_equal_brute_force(seed, p, tolerant, low, n_near):
    rng = np.random.default_rng(seed)
    n = n_near + int(rng.integers(0, 20))
    # Values with ties, weights of a survey, centres that sometimes have no spread at all.
    values = np.round(rng.lognormal(1, 1, n), int(rng.integers(0, 3)))
    weight = rng.integers(1, 200, n).astype(float)
    near = np.array([rng.permutation(n)[:n_near] for _ in range(4)])
    ptiles = percentiles(p)
    quantiles = np.sort(rng.choice(values, (4, p)), axis=1)
    mean = rng.choice(values, 4) + rng.integers(0, 2, 4) * rng.normal(size=4)
    if rng.random() < 0.5:  # no spread, and a mean that the nearest donors have exactly
        quantiles[:2] = quantiles[:2, :1]
        values[near[0, : n_near // 2]] = mean[0] = values[near[0, 0]]
    spread = [values + rng.normal(size=n), None][int(rng.integers(2))]
    arguments = (near, values, weight, mean, quantiles, ptiles, low, tolerant, spread)
    found = choose_pool_sizes(*arguments)
    assert found.tolist() == reference.choose_pool_sizes(*arguments).tolist()
    assert (found >= min(low, n_near)).all()
    assert (found <= n_near).all()


@pytest.mark.parametrize("tolerant", [True, False])
@given(st.integers(0, 2**32), st.integers(200, 260), st.integers(1, 60))
@settings(max_examples=5)
def test_sizes_of_pools_that_fit_ever_better_equal_brute_force(tolerant, seed, n_near, low):
    """Divergence falls as 1/k, to less than .005: any below .01 is as good as the best."""
    values = np.tile(np.random.default_rng(seed).permutation([1.0, 2.0, 3.0, 4.0]), n_near // 4 + 1)[:n_near]
    near, quantiles = np.arange(n_near)[None, :], np.array([[1.0, 3.0]])
    arguments = (near, values, np.ones(n_near), np.array([2.5]), quantiles, percentiles(2), low, tolerant)
    found = choose_pool_sizes(*arguments)
    assert found.tolist() == reference.choose_pool_sizes(*arguments).tolist()


def test_a_pool_that_fits_is_found():
    """Neighbours 1 to 40 have the centre's distribution; the rest do not."""
    rng = np.random.default_rng(5)
    inner = np.quantile(rng.normal(100, 10, 100_000), (np.arange(40) + 0.5) / 40)
    values = np.concatenate([rng.permutation(inner), np.full(60, 500.0)])
    quantiles = np.quantile(inner, [0.25, 0.75])[None, :]
    for tolerant in (True, False):
        size = choose_pool_sizes(
            np.arange(100)[None, :],
            values,
            np.ones(100),
            np.array([100.0]),
            quantiles,
            percentiles(2),
            5,
            tolerant,
        )[0]
        assert 5 <= size <= 44


@pytest.mark.parametrize("tolerant", [True, False])
def test_one_neighbour(tolerant):
    size = choose_pool_sizes(
        np.zeros((1, 1), np.intp),
        np.ones(1),
        np.ones(1),
        np.ones(1),
        np.ones((1, 2)),
        percentiles(2),
        10,
        tolerant,
    )
    assert size.tolist() == [1]
