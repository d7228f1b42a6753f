"""Weighted quantiles and Gini coefficients of groups, and their variances."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fusionpy.kernels.marginals import weighted_quantiles
from fusionpy.kernels.quantiles import (
    density_at,
    gini_variance,
    group_gini,
    group_quantiles,
    sort_groups,
    woodruff_variance,
)

SEEDS = st.integers(0, 2**32)
SHARES = st.floats(0, 1)


def records(seed, n=60, n_cells=5, ties=False):
    rng = np.random.default_rng(seed)
    cell = rng.integers(-1, n_cells - 1, n)
    w = rng.gamma(2, 1, n) * rng.integers(0, 4, n)
    x = rng.integers(0, 6, n).astype(float) if ties else rng.gamma(2, 2, n)
    x[rng.random(n) < 0.1] = np.nan
    return cell, n_cells, w, x


def one_group(x):
    return sort_groups(np.zeros(len(x), np.intp), 1, np.asarray(x, float))


@given(SEEDS, st.booleans())
def test_sorted_by_group_then_value(seed, ties):
    cell, n_cells, _, x = records(seed, ties=ties)
    start, row = sort_groups(cell, n_cells, x)
    for c in range(n_cells):
        mine = [i for i in np.argsort(x, kind="stable") if cell[i] == c and not np.isnan(x[i])]
        assert row[start[c] : start[c + 1]].tolist() == mine


@given(SEEDS, SHARES, st.booleans())
def test_quantiles_equal_brute_force(seed, share, ties):
    cell, n_cells, w, x = records(seed, ties=ties)
    found = group_quantiles(*sort_groups(cell, n_cells, x), x, w, np.full(n_cells, share))
    for c in range(n_cells):
        mine = reference.quantile(w[cell == c], x[cell == c], share)
        assert found[c] == pytest.approx(mine, rel=1e-9, nan_ok=True)


@given(SEEDS, SHARES, st.integers(1, 50), st.booleans())
def test_equal_weights_give_the_fifth_definition_of_hyndman_and_fan(seed, share, n, ties):
    x = np.random.default_rng(seed).normal(size=n).round(0 if ties else 9)
    found = group_quantiles(*one_group(x), x, np.full(n, 3.0), np.array([share]))
    assert found[0] == pytest.approx(np.quantile(x, share, method="hazen"), rel=1e-9, abs=1e-12)


@given(SEEDS, SHARES)
def test_quantiles_do_not_depend_on_scale_or_order(seed, share):
    cell, n_cells, w, x = records(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    shares = np.full(n_cells, share)
    one = group_quantiles(*sort_groups(cell, n_cells, x), x, w, shares)
    other = group_quantiles(*sort_groups(cell[order], n_cells, x[order]), x[order], 0.01 * w[order], shares)
    assert other == pytest.approx(one, nan_ok=True)
    shifted = group_quantiles(*sort_groups(cell, n_cells, x), 2 * x + 1e9, w, shares)
    assert shifted == pytest.approx(2 * one + 1e9, rel=1e-14, nan_ok=True)
    mirrored = group_quantiles(*sort_groups(cell, n_cells, -x), -x, w, 1 - shares)
    assert -mirrored == pytest.approx(one, rel=1e-9, nan_ok=True)


@given(SEEDS, SHARES)
def test_the_order_of_records_of_equal_value_and_unequal_weight_does_not_matter(seed, share):
    cell, n_cells, w, x = records(seed, ties=True)
    order = np.random.default_rng(seed).permutation(len(x))
    shares = np.full(n_cells, share)
    one, other = (sort_groups(cell[each], n_cells, x[each]) for each in (slice(None), order))
    found = group_quantiles(*one, x, w, shares)
    assert group_quantiles(*other, x[order], w[order], shares) == pytest.approx(found, nan_ok=True)
    wide = woodruff_variance(one, x, w, 0.4)
    assert woodruff_variance(other, x[order], w[order], 0.4) == pytest.approx(wide, abs=1e-12, nan_ok=True)
    mine = (cell == 0) & (w > 0) & ~np.isnan(x)
    if mine.any():
        scored = weighted_quantiles(x[mine], w[mine], np.array([share]))
        assert scored == pytest.approx(found[:1], rel=1e-9)


def test_quantiles_of_equal_values_with_unequal_weights():
    """By hand: the twos share their weight of 4, and so stand at 2 to 4 of 6."""
    x = np.array([1.0, 2.0, 2.0, 3.0])
    for w in ([1.0, 1.0, 3.0, 1.0], [1.0, 3.0, 1.0, 1.0], [1.0, 2.0, 2.0, 1.0]):
        found = [group_quantiles(*one_group(x), x, np.array(w), np.array([p]))[0] for p in (0.25, 0.5, 0.75)]
        assert found == pytest.approx([1 + (1.5 - 0.5) / (2 - 0.5), 2, 2 + (4.5 - 4) / (5.5 - 4)])


@given(SEEDS, st.integers(2, 4))
def test_a_record_of_weight_k_is_not_k_records_but_stands_in_their_middle(seed, k):
    """With weights of whole numbers the quantile stays among the copies' quantiles."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.normal(size=9))
    w = rng.integers(1, k + 1, 9).astype(float)
    found = group_quantiles(*one_group(x), x, w, np.array([0.5]))[0]
    copies = np.repeat(x, w.astype(int))
    low, high = np.searchsorted(x, [copies[len(copies) // 2 - 1], copies[len(copies) // 2]])
    assert x[max(low - 1, 0)] <= found <= x[min(high + 1, 8)]


def test_quantiles_of_few_records():
    x = np.array([4.0, np.nan, 9.0, 1.0, 3.0])
    cell = np.array([0, 0, 1, 2, 2])
    w = np.array([1.0, 1.0, 0.0, 2.0, 2.0])
    found = group_quantiles(*sort_groups(cell, 4, x), x, w, np.full(4, 0.5))
    assert found == pytest.approx([4, np.nan, 2, np.nan], nan_ok=True)
    for share, value in ((0.0, 1.0), (0.25, 1.0), (0.75, 3.0), (1.0, 3.0)):
        ends = group_quantiles(*sort_groups(cell, 4, x), x, w, np.full(4, share))
        assert ends[2] == value
    assert np.isnan(woodruff_variance(sort_groups(cell, 4, x), x, w, 0.5)[[0, 1, 3]]).all()


def woodruff(w, x, share, z):
    """Invert the interval of a share, step by step."""
    n, total = (w > 0).sum(), w.sum()
    below = x <= reference.quantile(w, x, share)
    s = np.sqrt(n / (n - 1) * ((w * (below - share)) ** 2).sum()) / total
    ends = [reference.quantile(w, x, min(max(share + sign * z * s, 0), 1)) for sign in (-1, 1)]
    return ((ends[1] - ends[0]) / (2 * z)) ** 2


@given(SEEDS, st.floats(0.05, 0.95), st.booleans())
def test_woodruff_variance_equals_brute_force(seed, share, ties):
    cell, n_cells, w, x = records(seed, ties=ties)
    found = woodruff_variance(sort_groups(cell, n_cells, x), x, w, share, z=1.3)
    for c in range(n_cells):
        mine = (cell == c) & (w > 0) & ~np.isnan(x)
        wanted = woodruff(w[mine], x[mine], share, 1.3) if mine.sum() > 1 else np.nan
        assert found[c] == pytest.approx(wanted, rel=1e-9, abs=1e-15, nan_ok=True)


@pytest.mark.compiled
def test_woodruff_variance_of_a_large_sample_is_the_asymptotic_one():
    n, share = 400_000, 0.3
    x = stats.norm.ppf((np.arange(n) + 0.5) / n)
    found = woodruff_variance(one_group(x), x, np.ones(n), share)[0]
    density = stats.norm.pdf(stats.norm.ppf(share))
    assert found == pytest.approx(share * (1 - share) / n / density**2, rel=2e-3)


def test_a_constant_has_no_variance():
    x, w = np.full(30, 7.0), np.random.default_rng(2).gamma(1, 1, 30)
    assert group_quantiles(*one_group(x), x, w, np.array([0.37])).tolist() == [7.0]
    assert woodruff_variance(one_group(x), x, w, 0.37).tolist() == [0.0]
    assert group_gini(*one_group(x), x, w)[0] == pytest.approx(0, abs=1e-15)
    assert gini_variance(*one_group(x), x, w, np.zeros(1))[0] == pytest.approx(0, abs=1e-30)


@given(SEEDS, st.booleans())
def test_gini_equals_brute_force(seed, ties):
    cell, n_cells, w, x = records(seed, ties=ties)
    order = sort_groups(cell, n_cells, x)
    found = group_gini(*order, x, w)
    variance = gini_variance(*order, x, w, found)
    for c in range(n_cells):
        mine = (cell == c) & (w > 0) & ~np.isnan(x)
        known = mine.any() and (w[mine] * x[mine]).sum() > 0
        assert found[c] == pytest.approx(
            reference.gini(w[mine], x[mine]) if known else np.nan, abs=1e-12, nan_ok=True
        )
        if known and mine.sum() > 1:
            by_differences = reference.linearised(lambda v, m=mine: reference.gini(v, x[m]), w[mine])
            assert variance[c] == pytest.approx(by_differences, rel=1e-5, abs=1e-12)
        else:
            assert np.isnan(variance[c])


@given(SEEDS)
def test_gini_does_not_depend_on_scale_or_order(seed):
    cell, n_cells, w, x = records(seed)
    order = np.random.default_rng(seed).permutation(len(x))
    one = group_gini(*sort_groups(cell, n_cells, x), x, w)
    scaled = 50 * x[order]
    other = group_gini(*sort_groups(cell[order], n_cells, scaled), scaled, 0.1 * w[order])
    assert other == pytest.approx(one, nan_ok=True, abs=1e-12)


def test_gini_by_hand():
    """One of n has all: (n - 1) / n. Evenly spaced from 0: (n + 1) / 3 n. Exponential: a half."""
    for n in (2, 5, 40):
        x = np.r_[np.zeros(n - 1), 3.0]
        assert group_gini(*one_group(x), x, np.ones(n))[0] == pytest.approx((n - 1) / n)
        x = np.arange(n) + 0.0
        assert group_gini(*one_group(x), x, np.ones(n))[0] == pytest.approx((n + 1) / (3 * n))
    exponential = stats.expon.ppf((np.arange(100_000) + 0.5) / 100_000)
    assert group_gini(*one_group(exponential), exponential, np.ones(100_000))[0] == pytest.approx(
        0.5, abs=1e-4
    )
    negative = np.array([-5.0, 1.0])
    assert np.isnan(group_gini(*one_group(negative), negative, np.ones(2))[0])


def test_density_of_a_large_normal_sample():
    x = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    width = 0.9 * min(x.std(ddof=1), np.subtract(*np.quantile(x, [0.75, 0.25])) / 1.34) * 20_000**-0.2
    for point in (-1.0, 0.0, 0.4):
        smoothed = stats.norm.pdf(point, scale=np.hypot(1, width))
        assert density_at(x, np.ones(20_000), point) == pytest.approx(smoothed, rel=2e-3)


def test_weighted_density_is_that_of_copies():
    """To a tenth of the bandwidth's difference: copies narrow it, as they count as more values."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=3000)
    w = rng.integers(1, 4, 3000).astype(float)
    copies = np.repeat(x, w.astype(int))
    assert density_at(x, w, 0.2) == pytest.approx(density_at(copies, np.ones(len(copies)), 0.2), rel=0.05)
    assert density_at(x, 9 * w, 0.2) == pytest.approx(density_at(x, w, 0.2), rel=1e-12)
    kernel = stats.gaussian_kde(x, weights=w)
    assert density_at(x, w, 0.2) == pytest.approx(kernel(0.2)[0], rel=0.03)
