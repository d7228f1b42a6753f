"""Equations with a factor of many levels apart, against the same ones dense, and levels nested in levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
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


@pytest.fixture
def both_ways(monkeypatch):
    """A function that does something with the last factor apart, and then with dense equations."""
    apart = Equations.of

    def dense(codes, first, weight, value, apart_too):
        return apart(codes, first, weight, value, False)

    def do(function):
        one = function()
        monkeypatch.setattr(Equations, "of", dense)
        other = function()
        monkeypatch.setattr(Equations, "of", apart)
        return one, other

    return do


@pytest.mark.parametrize("spreads", [(0.5, 0.4, 0.6), (0.0, 0.4, 0.6), (0.5, 0.4, 0.0), (0.0, 0.0, 0.0)])
def test_a_mean_is_the_same_whether_or_not_a_factor_is_apart(spreads, both_ways):
    for seed in range(4):
        codes, total, weight, rng = survey(seed, spreads=spreads)
        value = total + rng.normal(0, 1, len(total))
        one, other = both_ways(lambda c=codes, v=value, w=weight: fit_normal(c, SIZES, v, w, areas=1))
        assert len(one.alone) == 25
        assert len(other.alone) == 0
        same(one, other)
        shift = rng.normal(size=len(total))
        projected = [
            project(codes, SIZES, shift, weight, found, areas) for found, areas in ((one, 1), (other, 0))
        ]
        assert np.allclose(*projected, atol=1e-8)


@pytest.mark.parametrize("spreads", [(0.5, 0.4, 0.6), (0.5, 0.0, 0.0)])
def test_a_chance_is_the_same_whether_or_not_a_factor_is_apart(spreads, both_ways):
    codes, total, weight, rng = survey(7, 1_500, spreads)
    chance = rng.uniform(0.1, 0.9, len(total))
    happened = rng.random(len(total)) < expit(logit(chance) + total)
    same(*both_ways(lambda: fit_logits(codes, SIZES, happened, chance, weight, areas=1)))


@pytest.mark.parametrize("spreads", [(0.5, 0.4, 0.6), (0.5, 0.4, 0.1)])
def test_variances_of_areas_are_of_greatest_adjusted_likelihood(spreads):
    codes, total, _, rng = survey(5, 300, spreads)
    value = total + rng.normal(0, 1, 300)
    found = fit_normal(codes, SIZES, value, np.ones(300), areas=1)

    def height(logs):
        variances = np.exp(logs[:3])
        powers = np.append(0.5 * np.minimum(np.array(SIZES[:2]) / 8, 1), 2)  # of the likelihood's square
        return restricted_likelihood(one_hot(codes), value, variances, np.exp(logs[3])) - powers @ logs[:3]

    def restricted_likelihood(design, value, variances, noise):
        """Minus twice its logarithm, from the marginal covariance."""
        whole = design[:, :-1] * np.repeat(variances, SIZES) @ design[:, :-1].T + noise * np.eye(300)
        inverse, ones = np.linalg.inv(whole), np.ones(300)
        inside = ones @ inverse @ ones
        left = value - ones @ inverse @ value / inside
        return np.linalg.slogdet(whole)[1] + np.log(inside) + left @ inverse @ left

    best = minimize(height, np.log([0.3, 0.3, 0.3, 1.0]), method="Nelder-Mead", options={"xatol": 1e-4})
    assert np.allclose(found.variances, np.exp(best.x[:3]), rtol=0.05)


def test_variances_of_areas_are_not_zero_where_records_are_few():
    """A spread that is little beside the noise: plain likelihood says often that there is none."""
    plain, adjusted = [], []
    for seed in range(40):
        codes, total, _, rng = survey(seed, 250, (0.0, 0.0, 0.15))
        value = total + rng.normal(0, 1, 250)
        for found, areas in ((plain, 0), (adjusted, 1)):
            found.append(fit_normal(codes, SIZES, value, np.ones(250), areas=areas).variances[2])
    assert np.mean(np.array(plain) == 0) > 0.3
    assert min(adjusted) > 0
    assert np.mean(adjusted) < 5 * 0.15**2


def test_a_level_without_records_has_the_distribution_of_all():
    codes, total, _, rng = survey(3)
    codes[2][codes[2] == 24] = 0
    found = fit_normal(codes, SIZES, total + rng.normal(size=600), np.ones(600), areas=1)
    assert found.mean[-2] == 0
    assert found.alone[-1] == pytest.approx(found.variances[2], rel=0.02)
    assert not found.ties[-1].any()


def test_spreads_of_levels_that_are_nested_are_found():
    """States, and places within them: 40 surveys; those of areas are a little larger."""
    sizes, plain, adjusted = [30, 300], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        place = rng.integers(0, 300, 3_000)
        state, places = rng.normal(0, 0.5, 30), rng.normal(0, 0.3, 300)
        value = state[place // 10] + places[place] + rng.normal(0, 1, 3_000)
        codes = np.stack([place // 10, place])
        for found, areas in ((plain, 0), (adjusted, 2)):
            found.append(fit_normal(codes, sizes, value, np.ones(3_000), areas=areas).variances)
    assert np.allclose(np.mean(plain, axis=0), [0.25, 0.09], rtol=0.1)
    ratio = np.mean(adjusted, axis=0) / np.mean(plain, axis=0)
    assert (ratio > 1).all()
    assert (ratio < [1.12, 1.05]).all()


@pytest.mark.slow
def test_thousands_of_levels_take_seconds():
    rng = np.random.default_rng(1)
    sizes = [*[9] * 10, 52, 3_000]
    codes = np.stack([rng.integers(0, size, 20_000) for size in sizes])
    codes[-2] = codes[-1] // 60
    truth = rng.normal(0, 0.4, 3_000)
    value = truth[codes[-1]] + rng.normal(0, 1, 20_000)
    found = fit_normal(codes, sizes, value, np.ones(20_000), areas=1)
    assert found.covariance.shape[0] <= 143
    assert found.variances[-1] == pytest.approx(0.16, rel=0.15)
