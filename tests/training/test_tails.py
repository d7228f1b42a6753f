"""A variable with a Pareto tail and weights over three orders of magnitude: what is drawn of it."""

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy.kernels.pools import TAIL_POOL, are_far_out, sizes_before_drift

X = ["a", "b", "c", "d", "e"]
K = {"quiet": True, "cores": 2}


def people(n, index, r):
    """Make records whose wealth has a Pareto tail, of a scale that depends on predictors."""
    frame = pd.DataFrame({name: r.normal(size=n) for name in ("a", "b", "e")})
    frame["c"] = pd.Categorical(r.choice(list("pqrs"), n, p=[0.4, 0.3, 0.2, 0.1]))
    frame["d"] = r.uniform(size=n) < 0.3
    scale = np.exp(
        0.8 * frame["a"] + 0.2 * frame["b"] + 0.5 * (frame["c"] == "s") - 0.3 * (frame["c"] == "q")
    )
    frame["wealth"] = 1000 * scale * (1 - r.uniform(size=n)) ** (-1 / (index - 0.2 * frame["d"]))
    return frame.assign(weight=1.0)


def survey(n, seed, index=1.9):
    """Sample donors, the wealthy oftener (weights over some three orders of magnitude), and recipients."""
    r = np.random.default_rng([7, seed])
    everyone = people(25 * n, index, r)
    chance = np.exp(1.2 * r.normal(size=len(everyone)) + 0.35 * np.log(everyone["wealth"].to_numpy()))
    chance = np.minimum(1, chance * n / chance.sum())
    taken = r.uniform(size=len(everyone)) < chance
    donor = everyone[taken].assign(weight=1 / chance[taken]).reset_index(drop=True)
    return donor, people(2 * n, index, r)


def top_share(values, weight, share=0.01):
    """Share of the total that the highest hundredth holds."""
    order = np.argsort(-values)
    reached, held = np.cumsum(weight[order]) / weight.sum(), np.cumsum((weight * values)[order])
    return np.interp(share, np.append(0, reached), np.append(0, held)) / held[-1]


def of_draws(seed, n, M=20, **given):
    """Mean and top share of draws, relative to the donors'."""
    donor, recipient = survey(n, seed)
    assert donor["weight"].max() > 300 * donor["weight"].min()
    model = fusionpy.train(donor, ["wealth"], X, weight="weight", seed=seed, **K, **given)
    drawn = fusionpy.fuse(recipient[X], model, M=M, seed=seed, **K)["wealth"].to_numpy()
    known, weight = donor["wealth"].to_numpy(), donor["weight"].to_numpy()
    mean = drawn.mean() / np.average(known, weights=weight)
    return mean, top_share(drawn, np.ones(len(drawn))) / top_share(known, weight)


@pytest.mark.slow
def test_means_and_top_shares_of_a_pareto_variable():
    """Over five seeds; with sizes chosen by values everywhere they were .967 and .903."""
    mean, top = np.mean([of_draws(seed, 4000) for seed in range(5)], axis=0)
    assert mean == pytest.approx(1, abs=0.03)
    assert top == pytest.approx(1, abs=0.1)


def test_draws_keep_more_of_the_tail():
    """Fewer donors and no refits: what the option brings, paired by seed."""
    given = {"M": 8, "refits": 0, "nfolds": 2, "hyper": {"num_iterations": 60}}
    kept, lost = (
        np.array([of_draws(seed, 1600, tails=tails, **given) for seed in (0, 1, 2)])
        for tails in (True, False)
    )
    assert kept[:, 0].mean() == pytest.approx(1, abs=0.05)
    assert (kept.mean(axis=0) > lost.mean(axis=0) + 0.001).all()


def sizes(donor, **given):
    """Sizes of the pools, and which centres are far out."""
    hyper = {"num_iterations": 60}
    model = fusionpy.train(
        donor, ["wealth"], X, weight="weight", seed=1, refits=0, nfolds=2, hyper=hyper, **K, **given
    )
    pools = model.steps[0].pools
    edge = -3.090232306167813  # as in `unscale_columns`
    mean = (pools.centres[:, 0] * (-2 * edge) + edge) * pools.scale[0] + pools.centre[0]
    return pools.sizes, are_far_out(mean, donor["wealth"].to_numpy(), donor["weight"].to_numpy())


def test_pools_in_the_tails_are_of_one_size():
    """The others are no larger than they were; the least and the most that were asked for hold there too."""
    donor = survey(800, 1)[0]
    size, far = sizes(donor)
    before, same = sizes(donor, tails=False)
    assert (far == same).all()
    assert 0 < far.mean() < 0.5
    assert (size[far] == TAIL_POOL).all()
    assert (size[~far] <= before[~far]).all()
    assert (size[~far] == before[~far]).any()
    assert (size[~far] < before[~far]).any()
    assert len(set(before[far])) > 1
    for krange, wanted in (((10, 20), 20), ((40, 90), 40)):
        size, far = sizes(donor, krange=krange)
        assert (size[far] == wanted).all()


def test_who_is_far_out():
    """Beyond the fences on either side; nobody, where the quartiles are the same."""
    r = np.random.default_rng(1)
    values, weight = r.pareto(1.5, 400), r.uniform(1, 1000, 400)
    mean = np.array([np.median(values), 1e3, -1e3])
    assert are_far_out(mean, values, weight).tolist() == [False, True, True]
    assert not are_far_out(mean, np.where(np.arange(400) < 350, 1.0, values), np.ones(400)).any()


@pytest.mark.parametrize("method", ["2024", "fusionModel"])
def test_methods_of_others_are_as_they_were(method):
    """They choose all sizes by values."""
    donor = survey(300, 2)[0]
    sizes_, far = sizes(donor, method=method, nclusters=100)
    same, _ = sizes(donor, method=method, nclusters=100, tails=False)
    assert far.any()
    assert (sizes_ == same).all()


def test_pools_end_before_they_drift():
    """One by one; and not at all where values do not differ."""
    r = np.random.default_rng(2)
    values, weight, own = r.normal(size=80), r.uniform(1, 50, 80), np.sort(r.normal(size=80))
    near = np.stack([np.arange(80), np.arange(80)[::-1], r.permutation(80)])
    mean = np.array([own[2], own[-3], own.mean()])
    found = sizes_before_drift(near, own, values, weight, mean, 4)
    loose = sizes_before_drift(near, own, 1e6 * values, weight, mean, 4)
    tight = sizes_before_drift(near, own, 1e-6 * values, weight, mean, 4)
    assert (loose == 80).all()
    assert (tight == 4).all()
    assert (found[:2] > 4).all()
    assert (found[:2] < 80).all()
    assert sizes_before_drift(near, own, np.ones(80), weight, mean, 4).tolist() == [80] * 3
