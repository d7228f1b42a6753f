"""Margins of error hold: over thousands of simulated surveys with known truth, 90 % of intervals cover it.

Two worlds, each with a domain to which a random half belongs:

* complete data: a skewed variable, a share, and weights that differ; the survey itself, as two implicates
  that agree;
* fused data where the model is right: donors show how y depends on the domain and on x, recipients have these
  two only, and implicates are drawn from the posterior predictive distribution (normal linear regression;
  Bernoulli with Jeffreys' prior in every domain), parameters anew for each implicate. Recipients are 50 times
  as many as donors: where they are not many times as many, Rubin's rules are known to be too wide, because
  the records that the model was fitted to are not among those that are analysed (Reiter and Raghunathan 2007,
  "The multiple adaptations of multiple imputation").

Replications go through `analyze` together, as levels of a grouping column, except for totals, which depend on
the whole survey.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fusionpy

pytestmark = pytest.mark.slow
TIMES, TOTALS = 2500, 2000
COVERED = 0.88, 0.92
STATISTICS = ["mean", "median", "proportion", "sum"]


class World:
    """Implicates of many replications, and the truth.

    Attributes
    ----------
    y, flag : (M, times, n)
    domain : (times, n) bool
    weight : (times, n)
    truth : mapping of (statistic, domain) to the population's value; of a total, for a sum of weights of 1
    """

    def __init__(self, y, flag, domain, weight, truth):
        self.y, self.flag, self.domain, self.weight, self.truth = y, flag, domain, weight, truth

    def frames(self, which=slice(None)):
        M = len(self.y)
        domain, weight = self.domain[which], self.weight[which]
        times, n = domain.shape
        static = pd.DataFrame(
            {
                "replication": np.repeat(np.arange(times), n),
                "domain": domain.ravel(),
                "weight": weight.ravel(),
            }
        )
        columns = {
            "M": np.repeat(np.arange(1, M + 1, dtype=np.int32), times * n),
            "y": self.y[:, which].ravel(),
            "flag": self.flag[:, which].ravel(),
        }
        return pd.DataFrame(columns), static

    def coverage(self, statistic, by_domain):
        """Share of intervals that hold the truth, and the number of intervals."""
        x = {statistic: "flag" if statistic == "proportion" else "y"}
        if statistic == "sum":
            found = []
            for replication in range(TOTALS):
                part = self.estimates(x, [], by_domain, slice(replication, replication + 1))
                found.append(part.assign(whole=self.weight[replication].sum()))
            table = pd.concat(found)
        else:
            table = self.estimates(x, ["replication"], by_domain).assign(whole=1.0)
        if statistic == "proportion":
            table = table[table["level"] == "True"]
        domain = table["domain"] if by_domain else [None] * len(table)
        truth = np.array([self.truth[statistic, each] for each in domain]) * table["whole"]
        return float((np.abs(table["est"] - truth) <= table["moe"]).mean()), len(table)

    def estimates(self, x, by, by_domain, which=slice(None)):
        implicates, static = self.frames(which)
        by = [*by, "domain"] if by_domain else by
        how = {"static": static, "weight": "weight", "by": by, "quiet": True}
        return pd.DataFrame(fusionpy.analyze(x, implicates, **how))


def mixture(of_domain):
    """Solve for the median of the two domains together, from their distribution functions."""
    low, high = -50.0, 50.0
    for _ in range(80):
        middle = (low + high) / 2
        below = np.mean([each(middle) for each in of_domain])
        low, high = (middle, high) if below < 0.5 else (low, middle)
    return (low + high) / 2


def truth_of(means, distributions, shares):
    """Statistics of both domains, False and True, and of the whole, None."""
    truth = {("mean", None): np.mean(means), ("proportion", None): np.mean(shares)}
    truth |= {("sum", None): np.mean(means), ("median", None): mixture([each.cdf for each in distributions])}
    for domain in (False, True):
        truth["mean", domain] = means[domain]
        truth["sum", domain] = means[domain] / 2
        truth["median", domain] = distributions[domain].median()
        truth["proportion", domain] = shares[domain]
    return truth


def complete_data(n=300):
    rng = np.random.default_rng(20)
    domain = rng.random((TIMES, n)) < 0.5
    distributions = stats.gamma(3, scale=2), stats.gamma(5, scale=2)
    y = np.where(domain, rng.gamma(5, 2, domain.shape), rng.gamma(3, 2, domain.shape))
    shares = 0.3, 0.6
    flag = rng.random(domain.shape) < np.where(domain, shares[1], shares[0])
    weight = rng.uniform(1, 4, domain.shape)
    means = [each.mean() for each in distributions]
    return World(
        np.stack([y, y]), np.stack([flag, flag]), domain, weight, truth_of(means, distributions, shares)
    )


def fused_data(n_donors=40, n=2000, M=5):
    rng = np.random.default_rng(21)

    def survey(size):
        domain = rng.random((TIMES, size)) < 0.5
        x = rng.normal(size=domain.shape)
        return domain, np.stack([np.ones(domain.shape), domain, x], axis=2)

    coefficients, shares = np.array([1.0, 2.0, 1.0]), (0.3, 0.6)
    donor_domain, z = survey(n_donors)
    donor_y = z @ coefficients + rng.normal(size=donor_domain.shape)
    donor_flag = rng.random(donor_domain.shape) < np.where(donor_domain, shares[1], shares[0])
    domain, recipient_z = survey(n)

    # The posterior of a normal linear regression under the usual improper prior.
    inverse = np.linalg.inv(np.einsum("tni,tnj->tij", z, z))
    fitted = np.einsum("tij,tnj,tn->ti", inverse, z, donor_y)
    squares = ((donor_y - np.einsum("tni,ti->tn", z, fitted)) ** 2).sum(axis=1)
    root = np.linalg.cholesky(inverse)
    y, flag = [], []
    for _ in range(M):
        sigma = np.sqrt(squares / rng.chisquare(n_donors - 3, TIMES))[:, None]
        drawn = fitted + sigma * np.einsum("tij,tj->ti", root, rng.normal(size=(TIMES, 3)))
        noise = sigma * rng.normal(size=domain.shape)
        y.append(np.einsum("tni,ti->tn", recipient_z, drawn) + noise)
        share = []
        for inside in (~donor_domain, donor_domain):
            yes = (donor_flag & inside).sum(axis=1)
            share.append(rng.beta(yes + 0.5, inside.sum(axis=1) - yes + 0.5))
        flag.append(rng.random(domain.shape) < np.where(domain, share[1][:, None], share[0][:, None]))
    distributions = stats.norm(1, 2**0.5), stats.norm(3, 2**0.5)
    truth = truth_of([1.0, 3.0], distributions, shares)
    return World(np.stack(y), np.stack(flag), domain, np.ones(domain.shape), truth)


@pytest.fixture(scope="module", params=[complete_data, fused_data], ids=["complete", "fused"])
def world(request):
    return request.param()


@pytest.mark.parametrize("by_domain", [False, True], ids=["overall", "by domain"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_margins_cover_the_truth(world, statistic, by_domain):
    covered, times = world.coverage(statistic, by_domain)
    error = np.sqrt(0.9 * 0.1 / (TOTALS if statistic == "sum" else TIMES))
    print(f"{statistic}: {covered:.4f} of {times} intervals cover; Monte Carlo error {error:.4f}")
    assert COVERED[0] <= covered <= COVERED[1]
