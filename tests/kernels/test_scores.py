"""Scores of drawn values, against all pairs, closed forms and their expectations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fusionpy.kernels.scores import fair_brier, fair_crps, fair_energy, own_range

seeds = st.integers(0, 2**32)


@given(seeds)
def test_crps_equals_all_pairs(seed):
    rng = np.random.default_rng(seed)
    draws, truth = rng.integers(0, 5, (4, 6)) * 0.5, rng.normal(size=4)
    pairs = np.abs(draws[:, :, None] - draws[:, None, :]).sum((1, 2)) / (2 * 6 * 5)
    assert fair_crps(draws, truth) == pytest.approx(np.abs(draws - truth[:, None]).mean(1) - pairs)


def test_crps_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    z = np.array([-2.0, 0.0, 0.7])
    exact = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    assert fair_crps(rng.normal(size=(3, 200_000)), z) == pytest.approx(exact, abs=0.01)


def test_crps_is_fair_with_two_draws():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(400_000, 2)), rng.normal(size=400_000)
    assert fair_crps(draws, truth).mean() == pytest.approx(1 / np.sqrt(np.pi), abs=0.005)


@given(seeds)
def test_brier_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    draws, truth = rng.integers(0, 4, (5, 7)), rng.integers(0, 4, 5)
    share = np.eye(4)[draws].mean(1)
    found = ((share - np.eye(4)[truth]) ** 2).sum(1) - (share * (1 - share)).sum(1) / 6
    assert fair_brier(draws, truth, 4) == pytest.approx(found)


@given(seeds)
def test_energy_equals_all_pairs_of_dummies(seed):
    rng = np.random.default_rng(seed)
    numbers, codes = rng.normal(size=(3, 6, 2)), rng.integers(0, 3, (3, 6, 1))
    both = np.concatenate([numbers, np.eye(3)[codes[:, :, 0]] / np.sqrt(2)], axis=2)
    # The last column of draws is taken as the truth.
    draws, truth = both[:, :5], both[:, 5]
    apart = np.sqrt(((draws - truth[:, None]) ** 2).sum(2)).mean(1)
    between = np.sqrt(((draws[:, :, None] - draws[:, None]) ** 2).sum(3)).sum((1, 2)) / (2 * 5 * 4)
    mixed = np.concatenate([numbers, codes], axis=2)
    found = fair_energy(mixed[:, :5], mixed[:, 5], np.array([False, False, True]))
    assert found == pytest.approx(apart - between)


@given(seeds)
def test_energy_of_one_number_is_its_crps(seed):
    rng = np.random.default_rng(seed)
    draws, truth = rng.normal(size=(5, 8)), rng.normal(size=5)
    found = fair_energy(draws[:, :, None], truth[:, None], np.array([False]))
    assert found == pytest.approx(fair_crps(draws, truth))


def test_own_range_covers_what_it_says():
    rng = np.random.default_rng(0)
    for M, level in ((19, 0.9), (20, 0.9), (40, 0.9), (9, 0.8)):
        draws, truth = rng.random((100_000, M)), rng.random(100_000)
        low, high = own_range(draws)
        assert ((truth >= low) & (truth <= high)).mean() == pytest.approx(level, abs=0.004), M
