"""Equations with a factor of many levels apart, against the same ones dense, and levels nested in levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from fusionpy.kernels.equations import Equations, find_firsts
from fusionpy.kernels.mixed import fit_logits, fit_normal, project

SIZES = [4, 3, 25]


def survey(seed, n=600, spreads=(0.5, 0.4, 0.6)):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n) for size in SIZES])
    effects = [rng.normal(0, 1, size) * spread for size, spread in zip(SIZES, spreads, strict=True)]
    total = 0.2 + sum(effect[code] for effect, code in zip(effects, codes, strict=True))
    return codes, total, rng.lognormal(0, 0.5, n), rng


def one_hot(codes):
    parts = [code[:, None] == np.arange(size) for code, size in zip(codes, SIZES, strict=True)]
    return np.hstack([*parts, np.ones((codes.shape[1], 1))]).astype(float)


def whole_covariance(mixed):
    """The covariance of all effects, from that of some and of how the others follow them."""
    q, r = len(mixed.alone), len(mixed.covariance)
    follow = np.vstack([np.eye(r)[:-1], -mixed.ties, np.eye(r)[-1:]]) if q else np.eye(r)
    own = np.concatenate([np.zeros(r - 1), mixed.alone, [0]]) if q else np.zeros(r)
    return follow @ mixed.covariance @ follow.T + np.diag(own)


def same(one, other):
    assert np.allclose(one.variances, other.variances, rtol=1e-6)
    assert np.array_equal(one.columns, other.columns)
    assert np.allclose(one.mean, other.mean, atol=1e-8)
    assert np.allclose(whole_covariance(one), other.covariance, atol=1e-9)


@given(st.integers(0, 2**32), st.integers(0, 60), st.booleans())
def test_equations_are_products_of_columns(seed, n, apart):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n) for size in SIZES])
    weight, value = rng.lognormal(size=n), rng.normal(size=n)
    found = Equations.of(codes, find_firsts(SIZES), weight, value, apart)
    design = one_hot(codes)
    gram, moment = (design * weight[:, None]).T @ design, (design * weight[:, None]).T @ value
    rest = np.r_[0:7, 32] if apart else np.arange(33)
    assert np.allclose(found.gram, gram[np.ix_(rest, rest)])
    assert np.allclose(found.moment, moment[rest])
    mine = np.arange(7, 32) if apart else np.arange(0)
    assert np.allclose(found.cross, gram[np.ix_(mine, rest)])
    assert np.allclose(found.own, np.diag(gram)[mine])
    assert np.allclose(found.moment_apart, moment[mine])


@pytest.mark.parametrize("spreads", [(0.5, 0.4, 0.6), (0.0, 0.4, 0.6), (0.5, 0.4, 0.0), (0.0, 0.0, 0.0)])
def test_a_mean_is_the_same_whether_or_not_a_factor_is_apart(spreads):
    for seed in range(4):
        codes, total, weight, rng = survey(seed, spreads=spreads)
        value = total + rng.normal(0, 1, len(total))
        one, other = (fit_normal(codes, SIZES, value, weight, apart) for apart in (True, False))
        same(one, other)
        shift = rng.normal(size=len(total))
        projected = [
            project(codes, SIZES, shift, weight, found, apart)
            for found, apart in ((one, True), (other, False))
        ]
        assert np.allclose(*projected, atol=1e-8)


@pytest.mark.parametrize("spreads", [(0.5, 0.4, 0.6), (0.5, 0.0, 0.0)])
def test_a_chance_is_the_same_whether_or_not_a_factor_is_apart(spreads):
    codes, total, weight, rng = survey(7, 1_500, spreads)
    chance = rng.uniform(0.1, 0.9, len(total))
    happened = rng.random(len(total)) < expit(logit(chance) + total)
    one, other = (fit_logits(codes, SIZES, happened, chance, weight, apart) for apart in (True, False))
    same(one, other)


def test_a_level_without_records_has_the_distribution_of_all():
    codes, total, _, rng = survey(3)
    codes[2][codes[2] == 24] = 0
    found = fit_normal(codes, SIZES, total + rng.normal(size=600), np.ones(600), apart=True)
    assert found.mean[-2] == 0
    assert found.alone[-1] == pytest.approx(found.variances[2], rel=0.02)
    assert not found.ties[-1].any()


def test_spreads_of_levels_that_are_nested_are_found():
    """States, and places within them: 40 surveys, whose mean estimates are near the truth."""
    sizes, found = [30, 300], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        place = rng.integers(0, 300, 3_000)
        state, places = rng.normal(0, 0.5, 30), rng.normal(0, 0.3, 300)
        value = state[place // 10] + places[place] + rng.normal(0, 1, 3_000)
        codes = np.stack([place // 10, place])
        found.append(fit_normal(codes, sizes, value, np.ones(3_000), apart=True).variances)
    mean = np.mean(found, axis=0)
    assert mean[0] == pytest.approx(0.25, rel=0.1)
    assert mean[1] == pytest.approx(0.09, rel=0.1)


@pytest.mark.slow
def test_thousands_of_levels_take_seconds():
    rng = np.random.default_rng(1)
    sizes = [*[9] * 10, 52, 3_000]
    codes = np.stack([rng.integers(0, size, 20_000) for size in sizes])
    codes[-2] = codes[-1] // 60
    truth = rng.normal(0, 0.4, 3_000)
    value = truth[codes[-1]] + rng.normal(0, 1, 20_000)
    found = fit_normal(codes, sizes, value, np.ones(20_000), apart=True)
    assert found.covariance.shape[0] <= 143
    assert found.variances[-1] == pytest.approx(0.16, rel=0.15)
