"""Effects: what boosting shrinks between groups comes back, and everything stays reproducible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy import FusionWarning, datasets

SMALL = {"hyper": {"num_iterations": 12}, "refits": 3, "nclusters": 100, "quiet": True}
X = ["region", "income", "rooms", "tenure"]
Y = ["heating_fuel", ["food_share", "housing_share"], "vehicles", "electricity"]


def groups(seed, n):
    """A variable with differences between forty groups, a yes-or-no, and one with many zeros."""
    group = np.random.default_rng(99).normal(0, 1, 40)
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 40, n)
    frame = pd.DataFrame({"group": pd.Categorical(which.astype(str)), "z": rng.normal(size=n)})
    frame["amount"] = 10 + 0.6 * group[which] + frame["z"] + rng.normal(0, 1, n)
    frame["has"] = rng.random(n) < 1 / (1 + np.exp(-0.8 * group[which]))
    frame["gift"] = np.where(
        rng.random(n) < 1 / (1 + np.exp(0.8 * group[which])), 5 + rng.gamma(2, 1, n), 0.0
    )
    return frame


def errors(effects):
    """Root mean squared errors of group means, in the population's standard deviations."""
    donor, recipient, truth = groups(1, 2000), groups(2, 4000), groups(3, 100_000)
    few_rounds = SMALL | {"hyper": {"num_iterations": 10}}  # which shrink much
    model = fusionpy.train(
        donor, ["amount", "has", "gift"], ["group", "z"], seed=1, effects=effects, **few_rounds
    )
    fused = fusionpy.fuse(recipient, model, M=5, retain="group", seed=1, quiet=True)
    names = ["amount", "has", "gift"]
    off = (
        fused.groupby("group", observed=True)[names].mean()
        - truth.groupby("group", observed=True)[names].mean()
    )
    return np.sqrt((off**2).mean()) / truth[names].astype(float).std()


def test_differences_between_groups_are_put_right():
    ratio = errors(True) / errors(False)
    assert (ratio < 0.9).all(), ratio
    assert ratio.mean() < 0.8


def cells(seed, n):
    """Two factors whose sixteen cells differ beyond what each of them tells."""
    apart = np.random.default_rng(12).normal(0, 1, (4, 4))
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 4, n), rng.integers(0, 4, n)
    frame = pd.DataFrame({"one": pd.Categorical(one.astype(str)), "other": other, "z": rng.normal(size=n)})
    frame["y"] = 3 * frame["z"] + apart[one, other] + rng.normal(0, 1, n)
    return frame


def test_two_predictors_have_effects_together(monkeypatch):
    donor, recipient, truth = cells(1, 1500), cells(2, 4000), cells(3, 100_000)
    by, few_rounds = ["one", "other"], SMALL | {"hyper": {"num_iterations": 8}}
    off = {}
    for most in (0, 3):
        monkeypatch.setattr("fusionpy.training.effects.MOST_PAIRS", most)
        model = fusionpy.train(donor, ["y"], ["one", "other", "z"], seed=1, **few_rounds)
        assert (("one", "other") in [pair.names for pair in model.steps[0].effects.pairs]) == (most > 0)
        fused = fusionpy.fuse(recipient, model, M=5, retain=by, seed=1, quiet=True)
        means = [frame.groupby(by, observed=True)["y"].mean() for frame in (fused, truth)]
        off[most] = np.sqrt(((means[0] - means[1]) ** 2).mean())
    assert off[3] < 0.5 * off[0]
    (missed,) = model.steps[0].effects.missed(model.schema)
    assert next(iter(missed.sds)) == "one × other"


@pytest.mark.parametrize("bounds", [None, "bill = 0 unless fuel in gas"])
def test_zeros_that_follow_from_a_step_before_do_not_lift_the_mean(bounds):
    """Where all refits draw another fuel, the amount is not known, rather than 0."""
    rng = np.random.default_rng(5)
    donor = pd.DataFrame({"x": rng.normal(size=1500), "k": rng.integers(0, 4, 1500)})
    gas = rng.random(1500) < 0.35
    donor["fuel"] = pd.Categorical(np.where(gas, "gas", np.where(donor["x"] > 0, "oil", "wood")))
    donor["bill"] = np.where(gas, 100 + 10 * donor["x"] + rng.normal(0, 5, 1500), 0.0)
    model = fusionpy.train(donor, ["fuel", "bill"], ["x", "k"], seed=1, effects=True, bounds=bounds, **SMALL)
    fused = fusionpy.fuse(donor[["x", "k"]], model, M=10, seed=1, quiet=True)
    ratio = fused["bill"][fused["bill"] > 0].mean() / donor["bill"][gas].mean()
    assert 0.97 < ratio < 1.03
    # What the refits draw of fuel differs, and is not to be taken for how they differ.
    assert (fused["bill"] == 0).mean() == pytest.approx((fused["fuel"] != "gas").mean(), abs=0.01)


def test_where_nothing_is_missed_nothing_is_added():
    rng = np.random.default_rng(4)
    donor = pd.DataFrame(
        {"x": rng.normal(size=800), "k": pd.Categorical(rng.integers(0, 6, 800).astype(str))}
    )
    donor["y"] = rng.normal(size=800)
    model = fusionpy.train(donor, ["y"], ["x", "k"], seed=1, effects=True, **SMALL)
    (effect,) = model.steps[0].effects.each
    assert effect.sds.max() < 0.25  # of 1
    assert abs(effect.mean[-1]) < 0.1


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(400)
    return fusionpy.train(donor, Y, X, weight="weight", seed=3, effects=True, **SMALL)


def test_same_seed_same_effects_on_any_number_of_cores(model):
    donor = datasets.load_donor().head(400)
    again = fusionpy.train(donor, Y, X, weight="weight", seed=3, effects=True, cores=2, **SMALL)
    for one, other in zip(model.steps, again.steps, strict=True):
        for a, b in zip(one.effects.each, other.effects.each, strict=True):
            assert a.target == b.target
            for name in ("mean", "root", "refits", "sds", "columns"):
                assert np.array_equal(getattr(a, name), getattr(b, name))


def test_draws_do_not_depend_on_chunks_cores_or_other_records(model, tmp_path):
    recipient = datasets.load_recipient().head(300)
    how = {"M": 5, "seed": 2, "quiet": True}
    fused = fusionpy.fuse(recipient, model, **how)
    pd.testing.assert_frame_equal(fused, fusionpy.fuse(recipient, model, chunk=41, cores=2, **how))
    many = fusionpy.fuse(pd.concat([recipient] * 12, ignore_index=True), model, **how)  # by compiled forests
    first = many[many.groupby("M").cumcount() < 300].reset_index(drop=True)
    pd.testing.assert_frame_equal(fused, first)
    fusionpy.write_fsn(model, tmp_path / "a.fsn")
    pd.testing.assert_frame_equal(fused, fusionpy.fuse(recipient, tmp_path / "a.fsn", **how))
    without = replace(model, steps=tuple(replace(step, effects=None) for step in model.steps))
    assert not fused.equals(fusionpy.fuse(recipient, without, **how))


def test_the_model_tells_what_was_missed(model):
    assert "effects on electricity: " in repr(model)
    assert model.describe()["effects"][1].startswith("effects on heating_fuel, class electricity: ")


def test_without_refits_they_are_left_out_and_it_is_told():
    donor = datasets.load_donor().head(200)
    with pytest.warns(FusionWarning, match="`effects` are left out"):
        model = fusionpy.train(donor, ["electricity"], X, seed=1, effects=True, **SMALL | {"refits": 0})
    assert not model.options.effects
    assert model.steps[0].effects is None
