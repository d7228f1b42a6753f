"""Mixed models of factors' levels, against dense algebra, direct maximisation and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from fusionpy.kernels.mixed import (
    FAR,
    add_effects,
    fit_logits,
    fit_normal,
    lower_root,
    project,
    safe_logit,
)

SIZES = [4, 6, 3]


def survey(seed, n=800, spreads=(0.6, 0.0, 0.4), noise=1.0):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n) for size in SIZES])
    effects = [rng.normal(0, 1, size) * spread for size, spread in zip(SIZES, spreads, strict=True)]
    total = 0.3 + sum(effect[code] for effect, code in zip(effects, codes, strict=True))
    return codes, total, total + rng.normal(0, noise, n), rng


def one_hot(codes):
    parts = [code[:, None] == np.arange(size) for code, size in zip(codes, SIZES, strict=True)]
    return np.hstack([*parts, np.ones((codes.shape[1], 1))]).astype(float)


def posterior(design, weight, value, variances, noise):
    """Means and covariance, by the textbook."""
    prior = np.append(np.repeat(1 / np.asarray(variances), SIZES), 0)
    covariance = np.linalg.inv((design * weight[:, None]).T @ design / noise + np.diag(prior))
    return covariance @ (design * weight[:, None]).T @ value / noise, covariance


def restricted_likelihood(design, value, variances, noise):
    """Minus twice the logarithm of the restricted likelihood, from the marginal covariance."""
    total = design[:, :-1] * np.repeat(variances, SIZES) @ design[:, :-1].T + noise * np.eye(len(value))
    ones = np.ones(len(value))
    inverse = np.linalg.inv(total)
    inside = ones @ inverse @ ones
    mean = ones @ inverse @ value / inside
    left = value - mean
    return np.linalg.slogdet(total)[1] + np.log(inside) + left @ inverse @ left


def test_variances_are_of_greatest_restricted_likelihood_times_a_power_of_themselves():
    codes, _, value, _ = survey(3, 120, (0.8, 0.7, 0.9))  # few, as the matrices are of records
    found = fit_normal(codes, SIZES, value, np.ones(120))
    design = one_hot(codes)

    def height(logs):
        powers = 0.5 * np.minimum(np.array(SIZES) / 8, 1)  # of the square of the likelihood
        return restricted_likelihood(design, value, np.exp(logs[:3]), np.exp(logs[3])) - powers @ logs[:3]

    best = minimize(height, np.log([0.5, 0.5, 0.5, 1.0]), method="Nelder-Mead", options={"xatol": 1e-4})
    assert np.allclose(found.variances, np.exp(best.x[:3]), rtol=0.05)
    mean, covariance = posterior(design, np.ones(120), value, np.exp(best.x[:3]), np.exp(best.x[3]))
    assert np.allclose(found.mean, mean, atol=0.02)
    assert np.allclose(np.sqrt(np.diag(found.covariance)), np.sqrt(np.diag(covariance)), rtol=0.05)


def test_a_factor_without_effects_is_left_out():
    surveys = [survey(seed) for seed in range(20)]
    kept = np.array([fit_normal(codes, SIZES, y, np.ones(800)).variances for codes, _, y, _ in surveys]) > 0
    assert kept[:, 0].mean() == 1  # the spread of .6 is always seen, none is often not
    assert kept[:, 1].mean() < 0.7
    assert kept[:, 2].mean() > 0.8


def test_effects_are_those_that_there_are():
    within = []
    for seed in range(40):
        codes, total, value, _ = survey(seed, 400, (0.5, 0.3, 0.4))
        found = fit_normal(codes, SIZES, value, np.ones(400))
        design = one_hot(codes)[:, found.columns]
        sd = np.sqrt(np.einsum("ij,jk,ik->i", design, found.covariance, design))
        within.append(np.mean(np.abs(design @ found.mean - total) <= 1.645 * sd))
    assert 0.85 < np.mean(within) < 0.95


def test_weights_count_as_so_many_records_as_they_are_worth():
    codes, _, value, rng = survey(5)
    weight = rng.lognormal(0, 1, 800)
    found, times = (fit_normal(codes, SIZES, value, each) for each in (weight, weight * 1000))
    assert np.allclose(found.mean, times.mean)
    one_level = fit_normal(codes[:1] * 0, [1], value, weight)  # the constant alone: a weighted mean
    share = weight / weight.sum()
    spread = share @ (value - share @ value) ** 2
    assert one_level.mean[-1] == pytest.approx(share @ value)
    assert one_level.covariance[-1, -1] == pytest.approx(spread * (share @ share), rel=0.02)


@pytest.mark.parametrize("value", [np.zeros(50), np.full(50, 3.0)])
def test_nothing_left_to_explain(value):
    codes = np.random.default_rng(1).integers(0, 3, (3, 50))
    found = fit_normal(codes, SIZES, value, np.ones(50))
    assert found.mean.tolist() == pytest.approx([value[0]])
    assert found.columns.tolist() == [sum(SIZES)]
    assert np.isfinite(found.covariance).all()


def test_logits_shift_chances_to_what_happens():
    codes, total, _, rng = survey(8, 6000, (0.8, 0.0, 0.5))
    chance = rng.uniform(0.05, 0.6, 6000)
    truth = expit(logit(chance) + total)
    happened = rng.random(6000) < truth
    found = fit_logits(codes, SIZES, happened, chance, np.ones(6000))
    every = np.zeros(sum(SIZES) + 1)
    every[found.columns] = found.mean
    shifted = expit(logit(chance) + one_hot(codes) @ every)
    assert np.sqrt(np.mean((shifted - truth) ** 2)) < 0.15 * np.sqrt(np.mean((chance - truth) ** 2))
    for code in range(SIZES[0]):
        mine = codes[0] == code
        assert abs(shifted[mine].mean() - happened[mine].mean()) < 0.01


def test_logits_of_what_always_or_never_happens_are_finite():
    codes = np.random.default_rng(2).integers(0, 3, (3, 100))
    for happened in (np.zeros(100, dtype=bool), np.ones(100, dtype=bool)):
        found = fit_logits(codes, SIZES, happened, np.full(100, 0.5), np.ones(100))
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.covariance).all()
        assert (found.mean[-1] > 0) == happened[0]


def test_a_projection_finds_the_differences_of_levels():
    codes, _, value, _ = survey(9)
    found = fit_normal(codes, SIZES, value, np.ones(800))
    wanted = np.linspace(-0.1, 0.1, len(found.mean) - 1)
    shift = one_hot(codes)[:, found.columns[:-1]] @ wanted
    got = project(codes, SIZES, shift + 0.7, np.ones(800), found)
    assert np.allclose(one_hot(codes)[:, found.columns] @ got, shift + 0.7, atol=0.05)
    assert project(codes, SIZES, np.zeros(800), np.ones(800), found).tolist() == [0.0] * len(found.mean)


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 3))
def test_effects_are_added_up_as_a_plain_loop_does(seed, n, k):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, n) for size in SIZES]).astype(np.uint8)
    tables, start = rng.normal(size=(sum(SIZES), k)), np.array([[0, 0], [2, 4]])
    rows = rng.integers(0, n, 2 * n) if n else np.empty(0, dtype=np.intp)
    out = np.ones((len(rows), k))
    add_effects(codes, rows, tables, start, out)
    for i, row in enumerate(rows):
        assert np.allclose(out[i], 1 + tables[codes[0, row]] + tables[4 + codes[2, row]])


def test_logits_are_finite():
    assert safe_logit(np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([logit(FAR), 0, -logit(FAR)])


def test_factors_without_effects_change_nothing_of_the_others():
    """Screening leaves out what the analysis of variance sees nothing of, and no more."""
    codes, total, value, rng = survey(11, 2000, (0.5, 0.0, 0.4))
    noise = np.stack([rng.integers(0, 5, 2000) for _ in range(12)])
    happened = rng.random(2000) < expit(total)
    for fit, what in ((fit_normal, (value,)), (fit_logits, (happened, np.full(2000, 0.5)))):
        alone = fit(codes[[0, 2]], [SIZES[0], SIZES[2]], *what, np.ones(2000))
        every = fit(np.vstack([codes[[0, 2]], noise]), [SIZES[0], SIZES[2], *[5] * 12], *what, np.ones(2000))
        assert (every.variances[2:] > 0).sum() <= 6
        assert np.allclose(every.variances[:2], alone.variances, rtol=0.1)
        assert np.allclose(every.mean[:7], alone.mean[:7], atol=0.05)


@pytest.mark.parametrize("rank", [0, 2, 5])
def test_a_root_of_any_covariance(rank):
    factor = np.random.default_rng(rank).normal(size=(5, rank))
    covariance = factor @ factor.T
    root = lower_root(covariance)
    assert np.allclose(root @ root.T, covariance)
    assert np.allclose(np.triu(root, 1), 0, atol=1e-12)


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_record_tells_of_no_effects(n):
    codes, weight = np.zeros((3, n), dtype=np.intp), np.ones(n)
    for found in (
        fit_normal(codes, SIZES, np.ones(n), weight),
        fit_logits(codes, SIZES, np.ones(n, dtype=bool), np.full(n, 0.5), weight),
    ):
        assert not found.variances.any()
        assert found.mean.tolist() == [0.0]
        assert found.covariance.tolist() == [[0.0]]


def test_logits_of_chances_far_off_are_found():
    """Newton's steps alone would overshoot, ever further."""
    rng = np.random.default_rng(6)
    codes = np.stack([rng.integers(0, size, 700) for size in SIZES])
    truth = np.array([0.001, 0.5, 0.999, 0.5])[codes[0]]
    for chance in (np.full(700, 1e-6), 1 - truth, np.where(codes[1] == 1, 1.0, 0.0)):
        found = fit_logits(codes, SIZES, rng.random(700) < truth, chance, np.ones(700))
        assert np.abs(found.mean).max() < 20
        assert found.variances.max() <= 4


def test_no_weight_projects_to_nothing():
    codes, _, value, _ = survey(9)
    found = fit_normal(codes, SIZES, value, np.ones(800))
    assert project(codes, SIZES, value, np.zeros(800), found).tolist() == [0.0] * len(found.mean)


def test_a_class_that_never_happens_stays_rare():
    """Nothing is known of how rare: draws of the effects do not make it common."""
    codes = np.random.default_rng(3).integers(0, 3, (3, 300))
    found = fit_logits(codes, SIZES, np.zeros(300, dtype=bool), np.zeros(300), np.ones(300))
    assert np.sqrt(np.diag(found.covariance)).max() <= 1.5
    assert (expit(logit(FAR) + found.mean + 3 * np.sqrt(np.diag(found.covariance))) < 0.01).all()


@pytest.mark.parametrize("fit", [fit_normal, fit_logits])
def test_factors_that_tell_nothing_cost_little(fit, monkeypatch):
    """Of factors without effects half are left out before anything is solved."""
    rng, solved, inverse = np.random.default_rng(2), [], np.linalg.inv
    monkeypatch.setattr(np.linalg, "inv", lambda matrix: solved.append(len(matrix)) or inverse(matrix))
    codes = np.stack([rng.integers(0, 5, 2000) for _ in range(24)])
    told = (rng.normal(size=2000),) if fit is fit_normal else (rng.random(2000) < 0.5, np.full(2000, 0.5))
    fit(codes, [5] * 24, *told, np.ones(2000))
    assert solved[0] <= 1 + 5 * 18
