"""Total variances without the noise of draws: against simulation with known truth, and at the edges."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fusionpy.kernels.other_records import (
    by_refits,
    least_of_rule,
    share_of_refits,
    share_of_rule,
    without_noise,
)
from fusionpy.kernels.rubin import combine, margin_of_error

M, REFITS = 20, 10


def pooled_of(between, within=1.0, complete=np.inf):
    z = np.linspace(-1, 1, M)[:, None] * np.ones(np.size(between))
    z *= np.sqrt(np.atleast_1d(between) / z.var(axis=0, ddof=1))
    return combine(z, np.full(z.shape, within), complete_df=complete)


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.8, 1.5])
@pytest.mark.parametrize("complete", [np.inf, 30.0])
def test_moments_are_those_of_draws(noise, complete):
    B, U = 1.2, 4.0
    new = without_noise(pooled_of(B, U), np.array([noise]), M, refits=REFITS, complete_df=complete)
    rng = np.random.default_rng(1)
    part = max(B - noise, 0) / B
    k = 1 / (part**2 / (REFITS - 1) + (1 - part**2) / (M - 1))
    tau = k * B / rng.chisquare(k, 2_000_000)
    tau = tau[tau >= noise]
    own = U - noise if np.isinf(complete) else (U - noise) * complete / rng.chisquare(complete, len(tau))
    T = own + (M - 1) / M * (REFITS + 1) / (REFITS - 1) * (tau - noise) + noise / M
    df = 4 + 2 * T.mean() ** 2 / T.var()
    assert_allclose(new.se**2, max(T.mean() * (df - 2) / df, U), rtol=0.005)
    assert_allclose(new.df, df, rtol=0.06)


def test_without_noise_within_it_is_the_refits_variance():
    new = without_noise(pooled_of(2.0, 0.0), np.array([0.0]), M, refits=M)
    assert_allclose(new.se**2, (1 + 1 / M) * 2.0)
    assert_allclose(new.df, M - 1)
    assert_allclose(new.moe, margin_of_error(new.se, new.df, 0.9))


@pytest.mark.parametrize("times", [0.3, 1, 10])
def test_margins_hold_the_truth(times):
    """Donors teach a mean, by refits on their bootstraps; recipients get it with noise of their own."""
    rng = np.random.default_rng(3)
    n, N, covered, old, runs = 200, int(200 * times), 0, 0, 500 if times > 1 else 1500
    for _ in range(runs):
        refits = rng.normal(rng.normal(0, n**-0.5), n**-0.5, REFITS)[np.arange(M) % REFITS]
        x = rng.normal(0, 0.7, N)  # what the models know of recipients; the population's mean is 0
        values = refits[:, None] + x + rng.normal(size=(M, N))
        U = values.var(axis=1, ddof=1) / N
        noise = np.diff(values, axis=0)[::2].var(axis=1).mean() / 2 / N
        pooled = combine(values.mean(axis=1)[:, None], U[:, None], complete_df=N - 1)
        new = without_noise(pooled, np.array([noise]), M, refits=REFITS, complete_df=N - 1)
        covered += abs(new.est[0]) <= new.moe[0]
        old += abs(pooled.est[0]) <= pooled.moe[0]
    assert covered / runs > 0.885
    if times >= 1:
        assert covered / runs < 0.975
    if times == 1:
        assert old / runs > 0.98  # twice the noise, which is no uncertainty


def test_never_less_than_complete_data_would_have():
    for between in (0.001, 0.1, 1.0):
        new = without_noise(pooled_of(between), np.array([0.9]), M, refits=REFITS)
        assert new.se[0] ** 2 >= 1.0 - 1e-12
        some = without_noise(pooled_of(between), np.array([0.9]), M, refits=REFITS, at_least=0.5)
        assert 0.5 - 1e-12 <= some.se[0] ** 2 <= new.se[0] ** 2
    assert some.se[0] ** 2 < 0.6  # of hardly any variance between implicates
    assert least_of_rule(1000, 500, has_effects=False) == 1
    assert least_of_rule(1000, 1000, has_effects=True) == 0.25


def test_by_refits_few_refits_make_wide_margins():
    """Ten refits that each tell the truth with an error, two implicates of each: .90 of margins hold it."""
    rng = np.random.default_rng(4)
    covered = {"rubin": 0, "refits": 0}
    for _ in range(4000):
        # Each refit deviates from the donors' estimate as that deviates from the truth; the truth is 0.
        estimate = rng.normal() + rng.normal(size=REFITS)[np.arange(M) % REFITS]
        pooled = combine(estimate[:, None], np.full((M, 1), 1e-9))
        new = by_refits(pooled, np.zeros(1), M, refits=REFITS)
        half = by_refits(pooled, np.zeros(1), M, refits=REFITS, share=0.5)
        assert_allclose(half.se**2, (pooled.se**2 + new.se**2) / 2)
        for name, each in (("rubin", pooled), ("refits", new)):
            covered[name] += abs(each.est[0]) <= each.moe[0]
    assert 0.89 < covered["refits"] / 4000 < 0.91
    assert covered["rubin"] / 4000 < 0.88


def test_by_refits_is_its_formula():
    B, U, noise = 2.0, 0.7, 0.5
    new = by_refits(pooled_of(B, U), np.array([noise]), M, refits=REFITS)
    of_refits = (B - noise) / B
    k = 1 / (of_refits**2 / 9 + (1 - of_refits**2) / 19)
    between = 19 / 20 * 11 / 9 * B
    assert_allclose(new.se**2, U + between)
    assert_allclose(new.df, k * ((U + between) / between) ** 2)
    assert_allclose(new.moe, margin_of_error(new.se, new.df, 0.9))


def test_by_refits_leaves_what_it_cannot_know():
    pooled = pooled_of([0.5, 0.0, 3.0])
    new = by_refits(pooled, np.full(3, np.nan), M, refits=REFITS)
    assert new.se[1] == pooled.se[1]
    assert (new.moe[[0, 2]] > pooled.moe[[0, 2]]).all()
    assert by_refits(pooled, np.zeros(3), M, refits=3) is pooled
    assert by_refits(pooled, np.zeros(3), M, refits=REFITS, share=0.0) is pooled
    assert (
        share_of_refits(1000, 10_000, has_effects=True)
        == share_of_refits(1000, 10**6, has_effects=False)
        == 0
    )


def test_share():
    old, noise = pooled_of([0.5, 1.0, 3.0, 8.0]), np.full(4, 0.8)
    new = without_noise(old, noise, M, refits=REFITS)
    half = without_noise(old, noise, M, refits=REFITS, share=0.5)
    assert_allclose(half.se[:2] ** 2, (old.se[:2] ** 2 + new.se[:2] ** 2) / 2)
    s = 0.5 * (0.8 / 3 - 0.2) / 0.3  # of noise that is little beside what is between implicates, less
    assert_allclose(half.se[2] ** 2, (1 - s) * old.se[2] ** 2 + s * new.se[2] ** 2)
    assert half.se[3] == old.se[3]
    assert_allclose(1 / half.df[0], (1 / old.df[0] + 1 / new.df[0]) / 2)
    none = without_noise(old, noise, M, refits=REFITS, share=0.0)
    assert none is old
    assert share_of_rule(100, 99) == share_of_rule(100, 100) == 1
    assert share_of_rule(100, 1000) == share_of_rule(100, 10**9) == share_of_rule(0, 10) == 0
    assert share_of_rule(100, 275, has_effects=True) == 1
    assert 0 < share_of_rule(100, 276, has_effects=True) < 1
    assert share_of_rule(100, 1000, has_effects=True) == 0
    shares = [share_of_rule(1000, n) for n in range(1000, 11_000, 500)]
    assert shares == sorted(shares, reverse=True)


def test_what_is_not_known_stays_as_it_is():
    old = pooled_of([0.5, 0.0, 0.5], complete=np.array([np.inf, np.inf, 3.0]))
    noise = np.array([np.nan, 0.5, 0.5])
    complete = np.array([np.inf, np.inf, 3.0])
    new = without_noise(old, noise, M, refits=REFITS, complete_df=complete)
    for name in old._fields:
        assert_allclose(getattr(new, name), getattr(old, name))
    for few in (5, 1):
        assert without_noise(old, noise, M, refits=few) is old
        assert without_noise(old, noise, few, refits=REFITS) is old


def test_truncation():
    """Where less is between implicates than noise alone would make, noise it is."""
    new = without_noise(pooled_of(0.4, 4.0), np.array([0.8]), M, refits=REFITS)
    plain = 4.0 - 0.8 + 0.8 / M
    assert plain < new.se[0] ** 2 < plain + 0.8
