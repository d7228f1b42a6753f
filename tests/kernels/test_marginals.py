"""Distributions over all records, drawn and true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fusionpy.kernels.marginals import GRID, marginal_errors, spread_of, weighted_quantiles

seeds = st.integers(0, 2**32)


@given(seeds)
def test_quantiles_interpolate_between_the_middles_of_weights(seed):
    rng = np.random.default_rng(seed)
    v, w = rng.permutation(9) * 1.0, rng.integers(1, 4, 9) * 1.0
    order = np.argsort(v)
    middles = [w[order[:k]].sum() + w[order[k]] / 2 for k in range(9)]
    for p in rng.random(5):
        found = weighted_quantiles(v, w, np.array([p]))[0]
        assert found == pytest.approx(np.interp(p * w.sum(), middles, v[order]))


def test_w1_is_the_wasserstein_distance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=4000), 2 + 3 * rng.normal(size=(4000, 5))
    w = rng.random(4000)
    found = marginal_errors(a, w, b, w)["w1"] * spread_of(a, w)
    exact = stats.wasserstein_distance(a, b.ravel(), w, np.repeat(w, 5))
    assert found == pytest.approx(exact, rel=2e-3)


@given(seeds)
def test_records_of_equal_values_share_their_weight(seed):
    rng = np.random.default_rng(seed)
    values, w = rng.integers(0, 4, 12) * 1.0, rng.integers(0, 3, 12) * 1.0
    w[0] = 1.0
    at = np.linspace(0, 1, 21)
    # Shared equally, and then one by one.
    kept = w > 0
    even = np.array([w[kept & (values == v)].mean() for v in values[kept]])
    order = np.argsort(values[kept], kind="stable")
    middle = np.cumsum(even[order]) - even[order] / 2
    slow = np.interp(at * even.sum(), middle, values[kept][order])
    assert weighted_quantiles(values, w, at) == pytest.approx(slow)


def test_errors_of_a_distribution_by_hand():
    rng = np.random.default_rng(3)
    truth, w = rng.exponential(size=2000) * (rng.random(2000) < 0.7), rng.random(2000) + 0.5
    found = marginal_errors(truth, w, np.column_stack([truth, 3 * truth]), w)
    assert found["zero_err"] == 0
    both, doubled = np.concatenate([truth, 3 * truth]), np.concatenate([w, w])
    for name, share in (("q90", 0.9), ("q99", 0.99)):
        ends = [weighted_quantiles(v, u, np.array([share]))[0] for v, u in ((both, doubled), (truth, w))]
        assert found[name] == pytest.approx(ends[0] / ends[1], rel=1e-3)
    assert found["mean"] == pytest.approx(2)
    heads = []
    for v, u in ((both, doubled), (truth, w)):
        order = np.argsort(v)[::-1]
        above = np.cumsum(u[order]) <= 0.01 * u.sum()
        heads.append((v * u)[order][above].sum() / (v * u).sum())
    assert found["top1"] == pytest.approx(heads[0] / heads[1], rel=0.03)
    assert found["top1"] > 1.2  # three times as much for every other draw
    shifted = marginal_errors(truth, w, truth[:, None] + 1.0, w)
    assert shifted["zero_err"] == pytest.approx(np.average(truth == 0, weights=w))
    assert shifted["w1"] == pytest.approx(1 / spread_of(truth, w))


def test_errors_relative_to_nothing_are_not_told():
    found = marginal_errors(np.zeros(3), np.ones(3), np.ones((3, 2)), np.ones(3))
    assert found["zero_err"] == 1
    assert all(np.isnan(found[name]) for name in ("w1", "q90", "q99", "mean", "top1"))


@given(seeds)
def test_spread_by_its_definition(seed):
    rng = np.random.default_rng(seed)
    values, w = 1e9 + rng.normal(size=8), rng.random(8)
    mean = (w * values).sum() / w.sum()
    assert spread_of(values, w) == pytest.approx(
        np.sqrt((w * (values - mean) ** 2).sum() / w.sum()), rel=1e-6
    )
    assert spread_of(np.full(3, 0.1), w[:3]) == 0


def test_the_grid_is_of_the_middles_of_equal_parts():
    assert np.diff(GRID) == pytest.approx(1 / len(GRID))
    assert GRID + GRID[::-1] == pytest.approx(1.0)
