"""Rubin's rules: closed forms, published numbers, and what must hold of any estimates."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fusionpy.kernels.rubin import combine, margin_of_error

RULES = ["rubin", "barnard-rubin", "fusionacs"]
SEEDS = st.integers(0, 2**32)


def spaced(mean, variance, M):
    """M numbers of a given mean and sample variance."""
    z = np.arange(M) - (M - 1) / 2
    return mean + z * np.sqrt(variance / z.var(ddof=1))


def pool_one(estimates, within, **how):
    return combine(np.asarray(estimates, float)[:, None], np.asarray(within, float)[:, None], **how)


@given(SEEDS, st.integers(2, 30), st.sampled_from(RULES), st.sampled_from([np.inf, 3.0, 30.0, 1e6]))
def test_equals_brute_force(seed, M, rule, complete):
    rng = np.random.default_rng(seed)
    q, u = rng.normal(size=(M, 4)), rng.gamma(2, 1, (M, 4)) * rng.choice([0.01, 1, 100])
    pooled = combine(q, u, rule=rule, complete_df=np.full(4, complete), level=0.95)
    for j in range(4):
        mine = reference.rubin(q[:, j], u[:, j], complete)
        assert pooled.est[j] == pytest.approx(mine["est"])
        assert pooled.se[j] ** 2 == pytest.approx(mine["total"])
        assert pooled.df[j] == pytest.approx(mine[rule])
        assert pooled.fmi[j] == pytest.approx(mine["fmi"](mine[rule]))
        half = stats.t.ppf(0.975, mine[rule]) * mine["total"] ** 0.5
        assert pooled.moe[j] == pytest.approx(half if pooled.df[j] >= 1 else np.nan, rel=1e-8, nan_ok=True)


# SAS/STAT User's Guide, "The MIANALYZE Procedure", example "Reading Means and Standard Errors from a
# DATA= Data Set": means and standard errors of the Fitness data in five imputations of 31 men.
# https://support.sas.com/documentation/cdl/en/statug/67523/HTML/default/statug_mianalyze_examples01.htm
FITNESS = {
    "Oxygen": ([47.0120, 47.2407, 47.4995, 47.1485, 47.0042], [0.95984, 0.93540, 1.00766, 0.95439, 0.96528]),
    "RunTime": ([10.4441, 10.5040, 10.5922, 10.5279, 10.4913], [0.28520, 0.26661, 0.26302, 0.26405, 0.27275]),
    "RunPulse": (
        [171.216, 171.244, 171.909, 171.146, 172.072],
        [1.59910, 1.75638, 1.85795, 1.75011, 1.84807],
    ),
}


@pytest.mark.parametrize("name", FITNESS)
def test_fitness_data_of_sas(name):
    """Published input; what mice and mitools make of it is tested in tests/r."""
    q, se = map(np.array, FITNESS[name])
    pooled = pool_one(q, se**2, complete_df=30, level=0.95)
    mine = reference.rubin(q, se**2, 30)
    assert pooled.df[0] == pytest.approx(mine["barnard-rubin"])
    assert 20 < pooled.df[0] < 31 * 30 / 33  # never more than complete data have, (31 / 33) 30
    assert pooled.se[0] == pytest.approx(mine["total"] ** 0.5)


def test_degrees_of_freedom_that_sas_gives():
    """SAS/STAT User's Guide, "Combining Inferences from Imputed Data Sets": m = 5 and r = 10 % give 484."""
    M, r = 5, 0.1
    pooled = pool_one(spaced(3, r / (1 + 1 / M), M), np.ones(M), rule="rubin")
    assert pooled.df[0] == pytest.approx(484)


def test_missing_information_that_heymans_and_eekhout_give():
    """Applied Missing Data Analysis with SPSS and (R)Studio, chapter 10.

    https://bookdown.org/mwheymans/bookmi/measures-of-missing-data-information.html: between 0.040027, within
    0.7957147 and total variance 0.849084 of three imputations; lambda 0.06283485, relative increase
    0.06704779. The first three are rounded: the last two follow from them to 3 in 10,000.
    """
    pooled = pool_one(spaced(1, 0.040027, 3), np.full(3, 0.7957147), rule="rubin")
    assert pooled.se[0] ** 2 == pytest.approx(0.849084, abs=5e-7)
    share = (1 + 1 / 3) * pooled.between / pooled.se**2
    assert share[0] == pytest.approx(0.06283485, rel=4e-4)
    assert pooled.df[0] == pytest.approx(2 / 0.06283485**2, rel=8e-4)
    assert pooled.fmi[0] == pytest.approx((0.06704779 + 2 / (pooled.df[0] + 3)) / 1.06704779, rel=4e-4)


def test_degrees_of_freedom_of_fusionacs_are_too_many():
    """With five implicates and U / B = 0.1 they are 19.2 where Rubin's are 4.7."""
    q, u = spaced(0, 1, 5), np.full(5, 0.1)
    assert pool_one(q, u, rule="fusionacs").df[0] == pytest.approx(19.2, abs=0.05)
    assert pool_one(q, u, rule="rubin").df[0] == pytest.approx(4.7, abs=0.05)
    # With the variance all between implicates it goes to (M - 1)², Rubin's to M - 1.
    q, u = spaced(0, 1, 5), np.full(5, 1e-9)
    assert pool_one(q, u, rule="fusionacs").df[0] == pytest.approx(16)
    assert pool_one(q, u, rule="rubin").df[0] == pytest.approx(4)


@pytest.mark.parametrize("rule", RULES)
def test_one_implicate_has_an_estimate_and_no_margin(rule):
    pooled = pool_one([5.0], [2.0], rule=rule, complete_df=10)
    assert pooled.est.tolist() == [5.0]
    assert all(np.isnan(getattr(pooled, name)[0]) for name in ("between", "se", "df", "moe", "fmi"))


@pytest.mark.parametrize("rule", RULES)
def test_implicates_that_agree(rule):
    pooled = pool_one([5.0] * 4, [4.0] * 4, rule=rule, complete_df=20)
    assert (pooled.est[0], pooled.se[0], pooled.between[0], pooled.fmi[0]) == (5, 2, 0, 0)
    df = {"rubin": np.inf, "barnard-rubin": 21 / 23 * 20, "fusionacs": 20.0}[rule]
    assert pooled.df[0] == pytest.approx(df)
    assert pooled.moe[0] == pytest.approx(2 * (stats.norm if np.isinf(df) else stats.t(df)).ppf(0.95))
    if rule == "barnard-rubin":
        assert pool_one([5.0] * 4, [4.0] * 4).df[0] == np.inf  # complete data without bound


@pytest.mark.parametrize("rule", RULES)
def test_no_variance_at_all(rule):
    pooled = pool_one([5.0] * 4, [0.0] * 4, rule=rule, complete_df=20)
    assert (pooled.se[0], pooled.moe[0], pooled.fmi[0]) == (0, 0, 0)


def test_all_variance_between_implicates():
    q, u = [1.0, 2.0, 3.0], [0.0] * 3
    pooled = pool_one(q, u, rule="rubin")
    assert (pooled.df[0], pooled.fmi[0]) == (2, 1)
    assert pooled.se[0] ** 2 == pytest.approx(4 / 3)
    assert pool_one(q, u, rule="fusionacs").df[0] == pytest.approx(4)
    # Barnard and Rubin's count goes to 0 with the data that were observed: there is no margin.
    adjusted = pool_one(q, u, complete_df=50)
    assert adjusted.df[0] == 0
    assert np.isnan(adjusted.moe[0])
    assert adjusted.se[0] == pooled.se[0]


def test_implicates_without_an_estimate_do_not_count():
    q = np.array([[1.0, 1.0, np.nan], [np.nan, 2.0, np.nan], [3.0, 3.0, np.nan], [4.0, np.nan, 4.0]])
    u = np.where(np.isnan(q), np.nan, 1.0)
    pooled = combine(q, u)
    assert pooled.est[0] == pytest.approx(8 / 3)
    assert pooled.df[0] == pool_one([1.0, 3.0, 4.0], np.ones(3)).df[0]
    assert pooled.df[1] == pool_one([1.0, 2.0, 3.0], np.ones(3)).df[0]
    assert pooled.est[2] == 4
    assert np.isnan(pooled.moe[2])  # one implicate alone
    as_reference = combine(q, u, rule="rubin")  # whose formulas have all four implicates
    between = np.var([1.0, 3.0, 4.0], ddof=1)
    assert as_reference.est[0] == pooled.est[0]
    assert as_reference.se[0] ** 2 == pytest.approx(1 + (1 + 1 / 4) * between)
    assert as_reference.df[0] == pytest.approx(3 * (1 + 1 / (1.25 * between)) ** 2)
    nothing = combine(np.full((3, 1), np.nan), np.full((3, 1), np.nan))
    assert all(np.isnan(field[0]) for field in nothing)


def test_more_between_is_added_to_the_variance_between():
    q, u = spaced(0, 2.0, 5), np.ones(5)
    pooled = pool_one(q, u, rule="rubin", more_between=3.0)
    assert pooled.between[0] == pytest.approx(5)
    assert pooled.se[0] ** 2 == pytest.approx(1 + 1.2 * 5)


@given(SEEDS, st.integers(2, 20), st.sampled_from(RULES))
def test_order_and_scale_do_not_matter(seed, M, rule):
    rng = np.random.default_rng(seed)
    q, u = rng.normal(size=(M, 3)), rng.gamma(2, 1, (M, 3))
    pooled = combine(q, u, rule=rule, complete_df=25.0)
    order = rng.permutation(M)
    other = combine(100 + 3 * q[order], 9 * u[order], rule=rule, complete_df=25.0)
    assert other.est == pytest.approx(100 + 3 * pooled.est)
    for name, factor in (("se", 3), ("moe", 3), ("df", 1), ("fmi", 1)):
        wanted = pytest.approx(factor * getattr(pooled, name), rel=1e-6, nan_ok=True)
        assert getattr(other, name) == wanted


@given(SEEDS, st.integers(2, 20))
def test_barnard_rubin_lies_below_both_that_it_joins(seed, M):
    rng = np.random.default_rng(seed)
    q, u = rng.normal(size=(M, 5)), rng.gamma(2, 1, (M, 5))
    complete = rng.uniform(1, 100, 5)
    df = combine(q, u, complete_df=complete).df
    assert (df <= combine(q, u, rule="rubin").df * (1 + 1e-12)).all()
    assert (df <= complete).all()
    assert combine(q, u).df == pytest.approx(combine(q, u, rule="rubin").df)


def test_margin_of_error():
    df = np.array([np.inf, 10.0, 1.0, np.nextafter(1, 0), 0.0, -1.0, np.nan])
    found = margin_of_error(np.ones(7), df, 0.9)
    assert found[:3] == pytest.approx([stats.norm.ppf(0.95), *stats.t.ppf(0.95, [10, 1])])
    assert np.isnan(found[3:]).all()
    assert margin_of_error(np.zeros(1), np.array([np.inf]), 0.9).tolist() == [0.0]


def test_thirty_implicates_of_a_million_to_one():
    """Estimates far from zero lose nothing."""
    z = np.random.default_rng(1).normal(size=30)
    pooled = pool_one(1e9 + z, np.ones(30), rule="rubin")
    assert pooled.between[0] == pytest.approx(z.var(ddof=1), rel=1e-6)
