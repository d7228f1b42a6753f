"""Weighted moments and shares of groups, and the variances of means and shares."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels.estimates import cochran_variance, group_moments, group_shares, share_variance

SEEDS = st.integers(0, 2**32)


def records(seed, n=60, n_cells=5, offset=0.0):
    """Groups (the last one empty), weights some of which are 0, values some of which are missing."""
    rng = np.random.default_rng(seed)
    cell = rng.integers(-1, n_cells - 1, n)
    w = rng.gamma(2, 1, n) * rng.integers(0, 4, n)
    x = rng.normal(size=n) + offset
    x[rng.random(n) < 0.1] = np.nan
    return cell, n_cells, w, x


def assert_are(moments, cell, n_cells, w, x, rel=1e-9):
    for c in range(n_cells):
        mine = reference.moments(w[cell == c], x[cell == c])
        for name in ("n", "total", "squares", "mean"):
            assert getattr(moments, name)[c] == pytest.approx(mine[name], rel=1e-12, nan_ok=True), name
        for name in ("spread", "spread2"):
            size = mine["squares"] if name == "spread2" else mine["total"]
            assert getattr(moments, name)[c] == pytest.approx(
                mine[name], rel=rel, abs=rel * size, nan_ok=True
            )


@given(SEEDS)
def test_moments_equal_brute_force(seed):
    cell, n_cells, w, x = records(seed)
    assert_are(group_moments(cell, n_cells, w, x), cell, n_cells, w, x)


@given(SEEDS, st.sampled_from([1e6, -1e9, 1e12]))
def test_moments_of_values_far_from_zero(seed, offset):
    """The textbook's mean of squares minus squared mean would lose every digit here."""
    cell, n_cells, w, x = records(seed, offset=offset)
    assert_are(group_moments(cell, n_cells, w, x), cell, n_cells, w, x)


def test_one_value_far_away_costs_no_more_than_its_rounding():
    x = np.r_[1e8, np.random.default_rng(0).normal(size=999)]
    w = np.ones(1000)
    one = np.zeros(1000, np.intp)
    for order in (np.arange(1000), np.arange(1000)[::-1]):
        moments = group_moments(one, 1, w, x[order])
        assert moments.spread[0] == pytest.approx(reference.moments(w, x)["spread"], rel=1e-12)


@given(st.floats(-1e300, 1e300), st.integers(2, 50))
def test_a_constant_has_a_variance_of_exactly_zero(value, n):
    w = np.random.default_rng(n).gamma(1, 1, n)
    moments = group_moments(np.zeros(n, np.intp), 1, w, np.full(n, value))
    assert moments.spread.tolist() == moments.spread2.tolist() == cochran_variance(moments).tolist() == [0.0]
    assert moments.mean.tolist() == [value]


def test_groups_without_records():
    cell = np.array([0, 1, 1, 2, 2, -1])
    w = np.array([2.0, 0.0, 3.0, 0.0, 0.0, 9.0])
    x = np.array([7.0, 5.0, np.nan, 1.0, 2.0, 100.0])
    moments = group_moments(cell, 4, w, x)
    assert moments.n.tolist() == [1, 0, 0, 0]
    assert moments.n_eff.tolist() == [1, 0, 0, 0]
    assert moments.mean == pytest.approx([7, np.nan, np.nan, np.nan], nan_ok=True)
    assert np.isnan(cochran_variance(moments)).all()  # one record tells no variance
    shares = group_shares(cell, 4, w, np.array([0, 1, -1, 0, 0, 1]), 2)
    assert shares.n.tolist() == [1, 0, 0, 0]
    assert shares.share[0].tolist() == [1.0, 0.0]
    assert np.isnan(shares.share[1:]).all()
    assert share_variance(shares)[0].tolist() == [0.0, 0.0]  # as the reference has it
    nothing = group_moments(np.zeros(0, np.intp), 0, np.zeros(0), np.zeros(0))
    assert [len(each) for each in nothing] == [0] * 7


@given(SEEDS)
def test_order_of_rows_and_scale_of_weights_do_not_matter(seed):
    cell, n_cells, w, x = records(seed)
    order = np.random.default_rng(seed).permutation(len(w))
    one = group_moments(cell, n_cells, w, x)
    other = group_moments(cell[order], n_cells, 7.5 * w[order], x[order])
    for name in ("n", "n_eff", "mean"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-12, nan_ok=True)
    assert cochran_variance(other) == pytest.approx(cochran_variance(one), rel=1e-9, abs=1e-15, nan_ok=True)
    shifted = group_moments(cell, n_cells, w, 3 * x - 2)
    assert shifted.mean == pytest.approx(3 * one.mean - 2, nan_ok=True)
    assert shifted.spread2 == pytest.approx(9 * one.spread2, nan_ok=True)


def reference_variance(w, x):
    """Cochran's approximation with its three sums, as section 5 of the reference has it."""
    n, total = len(w), w.sum()
    mean, mean_w = (w * x).sum() / total, w.mean()
    first = ((w * x - mean_w * mean) ** 2).sum()
    second = ((w - mean_w) * (w * x - mean_w * mean)).sum()
    third = ((w - mean_w) ** 2).sum()
    return n / ((n - 1) * total**2) * (first - 2 * mean * second + mean**2 * third)


@given(SEEDS, st.integers(2, 40))
def test_cochran_variance_has_the_three_sums_of_the_reference(seed, n):
    rng = np.random.default_rng(seed)
    w, x = rng.gamma(2, 1, n) + 0.01, rng.normal(5, 3, n)
    found = cochran_variance(group_moments(np.zeros(n, np.intp), 1, w, x))
    assert found[0] == pytest.approx(reference_variance(w, x), rel=1e-9, abs=1e-12)
    mean = reference.linearised(lambda v: (v * x).sum() / v.sum(), w)
    assert found[0] == pytest.approx(mean, rel=1e-6, abs=1e-12)


@given(SEEDS, st.integers(2, 40))
def test_equal_weights_give_the_textbook_variance(seed, n):
    x = np.random.default_rng(seed).normal(size=n)
    moments = group_moments(np.zeros(n, np.intp), 1, np.full(n, 4.0), x)
    assert cochran_variance(moments)[0] == pytest.approx(x.var(ddof=1) / n)
    assert moments.n_eff[0] == pytest.approx(n)


def test_zeros_and_ones():
    cell = np.repeat([0, 1], 4)
    w = np.array([1.0, 2, 3, 4, 1, 1, 1, 1])
    x = np.array([0.0, 1, 1, 0, 0, 1, 2, 0])
    moments = group_moments(cell, 2, w, x)
    assert moments.zero_one.tolist() == [True, False]
    simple = 0.5 * 0.5 * 30 / 100
    found = cochran_variance(moments, zero_one=True)
    assert found[0] == pytest.approx(simple)
    assert found[1] == cochran_variance(moments)[1]
    assert cochran_variance(moments)[0] != pytest.approx(simple)


@given(SEEDS)
def test_shares_equal_the_moments_of_indicators(seed):
    cell, n_cells, w, _ = records(seed)
    rng = np.random.default_rng(seed + 1)
    code = rng.integers(-1, 3, len(cell))
    shares = group_shares(cell, n_cells, w, code, 4)
    for level in range(4):
        moments = group_moments(cell, n_cells, w, np.where(code < 0, np.nan, code == level))
        assert shares.n.tolist() == moments.n.tolist()
        assert shares.share[:, level] == pytest.approx(moments.mean, rel=1e-12, abs=1e-15, nan_ok=True)
        assert shares.n_eff == pytest.approx(moments.n_eff)
        simple = cochran_variance(moments, zero_one=True)
        several = shares.n > 1
        assert share_variance(shares)[several, level] == pytest.approx(simple[several], rel=1e-9, abs=1e-15)
    filled = shares.n > 0
    assert shares.share[filled].sum(axis=1) == pytest.approx(1)
