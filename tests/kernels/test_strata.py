"""Folds, splits and bootstraps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, poisson

from fusionpy.kernels.strata import assign_folds, assign_split, bootstrap_counts, redraw_factors, strata_of


@given(st.integers(0, 2**32), st.integers(2, 10), st.integers(10, 300))
def test_folds_are_even_in_every_stratum(seed, n_folds, n):
    rng = np.random.default_rng(seed)
    stratum = rng.integers(0, 5, n)
    fold = assign_folds(stratum, n_folds, rng.random(n))
    assert np.ptp(np.bincount(fold, minlength=n_folds)) <= 1
    for s in np.unique(stratum):
        assert np.ptp(np.bincount(fold[stratum == s], minlength=n_folds)) <= 1


@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.75, 0.8, 0.9]), st.integers(2, 300))
def test_split_takes_the_share_of_every_stratum(seed, share, n):
    rng = np.random.default_rng(seed)
    stratum = rng.integers(0, 4, n)
    train = assign_split(stratum, share, rng.random(n))
    assert 0 < train.sum() < n
    assert abs(train.sum() - share * n) <= 1.001
    for s in np.unique(stratum):
        size = (stratum == s).sum()
        assert abs(train[stratum == s].sum() - share * size) <= 1.001


def test_strata_are_deciles_or_classes():
    values = np.random.default_rng(1).normal(size=1000)
    stratum = strata_of(values, categorical=False)
    assert np.bincount(stratum).tolist() == [100] * 10
    order = np.argsort(values)
    assert (np.diff(stratum[order]) >= 0).all()
    assert strata_of(np.array([5.0, 5, 2, 9]), categorical=True).tolist() == [1, 1, 0, 2]
    assert len(np.unique(strata_of(np.r_[np.zeros(50), np.arange(50.0)], categorical=False))) < 10


def test_bootstrap_counts_are_poisson():
    u = np.random.default_rng(2).random(50_000)
    count = bootstrap_counts(u)
    for k in range(5):
        assert (count == k).mean() == pytest.approx(poisson.pmf(k, 1), abs=0.007)


@given(st.floats(0, 1 - 2**-53))
def test_bootstrap_counts_are_poisson_quantiles(u):
    assert bootstrap_counts(np.array([u]))[0] == max(poisson.ppf(u, 1), 0)


def half_samples(n_strata, per_unit, rng):
    """Balanced half samples: two units a stratum, Fay's rho 0.5."""
    n_reps = 64
    sign = np.array([[(-1) ** bin(i & j).count("1") for j in range(n_strata)] for i in range(n_reps)])
    stratum = np.repeat(np.arange(n_strata), 2 * per_unit)
    unit = np.tile(np.repeat([1, -1], per_unit), n_strata)
    return 1 + 0.5 * (sign[:, stratum] * unit).T, stratum, unit


def test_bootstrap_follows_the_design():
    """One sampling unit's donors are resampled together, those of its stratum's other unit the other way."""
    ratio, stratum, unit = half_samples(20, 3, np.random.default_rng(0))
    draws = np.array([bootstrap_counts(np.random.default_rng(s).random(120), ratio) for s in range(3000)])
    assert draws.mean() == pytest.approx(1, abs=0.03)
    assert draws.var() == pytest.approx(1, abs=0.05)
    c = np.corrcoef(draws.T)
    same = (stratum[:, None] == stratum) & (unit[:, None] == unit) & ~np.eye(120, dtype=bool)
    other = (stratum[:, None] == stratum) & (unit[:, None] != unit)
    apart = stratum[:, None] != stratum
    assert c[same].min() > 0.99
    assert c[other].max() < -0.7
    assert abs(c[apart].mean()) < 0.01


def test_bootstrap_variance_is_that_of_the_replicates():
    """A total varies over bootstraps as the replicate formula says, clusters and all."""
    ratio, stratum, unit = half_samples(30, 4, np.random.default_rng(0))
    rng = np.random.default_rng(9)
    cluster = rng.normal(size=(30, 2))
    y = cluster[stratum, (unit < 0).astype(int)] + 0.5 * rng.normal(size=240)
    replicates = ratio.T @ y
    design = 4 / 64 * ((replicates - y.sum()) ** 2).sum()
    draws = [bootstrap_counts(np.random.default_rng(s).random(240), ratio) @ y for s in range(3000)]
    assert np.var(draws) == pytest.approx(design, rel=0.15)
    plain = np.var([bootstrap_counts(np.random.default_rng(s).random(240)) @ y for s in range(3000)])
    assert plain < 0.6 * design  # resampling households alone misses the clusters


def test_redrawn_weights_are_exponential_and_follow_the_refit():
    rng = np.random.default_rng(6)
    count = bootstrap_counts(rng.random(40_000))
    for counts in (None, count):
        factor = redraw_factors(rng.random(40_000), counts)
        assert kstest(factor, "expon").pvalue > 1e-3
    assert np.corrcoef(factor, count)[0, 1] > 0.9
    assert factor[count == 0].max() < factor[count == 1].min() < factor[count == 2].min()
    again = redraw_factors(rng.random(40_000), count)
    assert not np.array_equal(again, factor)


def test_uniform_share_of_first_fold():
    u = np.random.default_rng(3).random(5000)
    fold = assign_folds(np.zeros(5000, np.intp), 5, u)
    assert kstest(np.flatnonzero(fold == 0) / 5000, "uniform").pvalue > 1e-3


def test_one_row_at_least_is_held_out():
    train = assign_split(np.zeros(3, dtype=np.intp), 0.9, np.array([0.2, 0.9, 0.5]))
    assert train.tolist() == [True, False, True]  # that of the highest uniform


def test_replicate_weights_bear_uniforms_at_their_ends():
    u = np.array([0.0, 1.0, 0.3])
    ratio = np.array([[0.5, 1.5, 1.0], [1.5, 0.5, 1.2]])
    counts = bootstrap_counts(u, ratio)
    assert np.isfinite(counts).all()
    assert counts[0] > counts[1] == 0  # the second is favoured, and the first not


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_uniforms_at_one_end_give_counts_still(end):
    """Two infinite normals of one sign would cancel to nothing known where deviations are opposite."""
    ratio = np.array([[1.5, 0.5, 1.0], [0.5, 1.5, 1.2], [1.2, 0.8, 0.7]])
    u = np.array([end, end, 0.3])
    near = np.clip(u, 1e-12, 1 - 1e-12)
    counts = bootstrap_counts(u, ratio)
    assert np.isfinite(counts).all()
    assert counts.tolist() == bootstrap_counts(near, ratio).tolist()
