"""Areas: differences that no predictor knows come back, margins hold the truth with donors and without."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy import ArgumentError, FusionWarning, SchemaError

SMALL = {"hyper": {"num_iterations": 30}, "refits": 5, "nclusters": 200, "quiet": True}
Y = ["amount", "has", "gift"]


def survey(population, sample, n, n_states=40, without=0):
    """A quantity, a yes-or-no and one with zeros, of which states differ beyond what predictors know."""
    truth = np.random.default_rng(population)
    differences = truth.normal(0, 0.5, (n_states, 3))
    size = truth.lognormal(0, 0.7, n_states)
    size[:without] = 0
    rng = np.random.default_rng([population, sample])
    state = rng.choice(n_states, n, p=size / size.sum())
    a, b, c = differences[state].T
    frame = pd.DataFrame({"state": [f"{each:02d}" for each in state], "z": rng.normal(size=n)})
    frame["kind"] = pd.Categorical(rng.integers(0, 4, n).astype(str))
    frame["amount"] = 10 + frame["z"] + a + rng.normal(0, 1, n)
    frame["has"] = rng.random(n) < 1 / (1 + np.exp(-b - 0.5 * frame["z"]))
    frame["gift"] = np.where(rng.random(n) < 1 / (1 + np.exp(c)), 5 + rng.gamma(2, 1, n), 0.0)
    return frame


def outcome(population, areas, n_donors=800, n_recipients=6_000, M=12, **how):
    """Errors of states' means, and whether 90 % margins hold the truth: of states with donors and without."""
    donor = survey(population, 1, n_donors, without=10)
    recipient = survey(population, 2, n_recipients)
    given = {"areas": areas} if areas else {"effects": True}
    model = fusionpy.train(donor, Y, ["z", "kind"], seed=population, **given, **SMALL | how)
    fused = fusionpy.fuse(recipient, model, M=M, seed=population, retain="state", quiet=True)
    fused["has"] = fused["has"].astype(float)
    found = fusionpy.analyze({"mean": Y}, fused, by=["state"], level=0.9, quiet=True)
    found = found.pivot_table(index="state", columns="y", values=["est", "moe"])
    error = (found["est"][Y] - recipient.groupby("state")[Y].mean()) / recipient[Y].astype(float).std()
    holds = error.abs() <= found["moe"][Y] / recipient[Y].astype(float).std()
    known = error.index.isin(donor["state"])
    root = np.sqrt((error[known] ** 2).mean())
    return root.to_numpy(), holds[known].to_numpy().mean(), holds[~known].to_numpy().mean()


def test_states_differ_and_margins_hold_the_truth():
    """One population: fixed seeds, wide tolerances; several are slow."""
    errors, held, held_without = outcome(1, "state")
    blind, held_blind, _ = outcome(1, None)
    assert (errors < 0.85 * blind).all(), errors / blind
    assert held > 0.85
    assert held_without > 0.75
    assert held_blind < 0.75


@pytest.mark.slow
def test_margins_of_small_areas_are_honest():
    """Six populations, ten times as many recipients as donors: .90 is meant, with donors and without."""
    rows = [outcome(population, "state", 1_000, 10_000, 20, refits=10) for population in range(1, 7)]
    blind = [outcome(population, None, 1_000, 10_000, 20, refits=10) for population in range(1, 7)]
    errors, held, held_without = (np.mean([row[place] for row in rows], axis=0) for place in range(3))
    assert (errors < 0.9 * np.mean([row[0] for row in blind], axis=0)).all()
    assert np.mean(errors) < 0.75 * np.mean([row[0] for row in blind])
    assert 0.87 < held < 0.96
    assert 0.8 < held_without < 0.97
    assert np.mean([row[1] for row in blind]) < 0.7


@pytest.fixture(scope="module")
def donor():
    frame = survey(3, 1, 600, without=6)
    frame["county"] = frame["state"].astype(int) * 1000 + np.random.default_rng(4).integers(0, 5, 600)
    return frame


@pytest.fixture(scope="module")
def model(donor):
    return fusionpy.train(donor, Y, ["z", "kind"], areas=["county", "state"], seed=3, **SMALL)


def test_the_model_names_its_areas(model, donor):
    assert [area.name for area in model.areas] == ["state", "county"]  # the one with more levels is the last
    assert model.areas[0].levels == tuple(sorted(donor["state"].unique()))
    assert model.areas[1].kind == "number"
    assert model.needed == ["z", "kind", "state", "county"]
    assert model.options.effects
    assert model.describe()["areas"] == ["state", "county"]
    n_states, n_counties = donor["state"].nunique(), donor["county"].nunique()
    line = f"areas with effects of their own: state ({n_states} levels), county ({n_counties} levels)"
    assert line in repr(model)
    assert "between levels of state" in repr(model)


def test_cores_change_nothing(model, donor):
    again = fusionpy.train(donor, Y, ["z", "kind"], areas=["state", "county"], seed=3, cores=2, **SMALL)
    for one, other in zip(model.steps, again.steps, strict=True):
        for a, b in zip(one.effects.each, other.effects.each, strict=True):
            for name in ("mean", "root", "ties", "alone", "refits", "sds", "columns"):
                assert np.array_equal(getattr(a, name), getattr(b, name))


def test_areas_may_be_predictors(donor):
    donor = donor.assign(state=donor["state"].astype("category"))
    model = fusionpy.train(
        donor, ["amount"], ["z", "state", "county"], areas=["state", "county"], seed=1, **SMALL
    )
    effects = model.steps[0].effects
    # A category has its levels once; a number is cut into levels of its own.
    assert [factor.name for factor in effects.factors] == ["z", "county"]
    assert [area.name for area in effects.areas] == ["state", "county"]
    assert model.needed == ["z", "state", "county"]
    fused = fusionpy.fuse(donor.head(50), model, seed=1, quiet=True)
    assert len(fused) == 50


def test_an_area_that_does_not_matter_has_no_effects():
    donor = survey(5, 1, 900)
    donor["place"] = np.random.default_rng(1).integers(0, 30, 900)
    donor["amount"] = 10 + donor["z"] + np.random.default_rng(2).normal(0, 1, 900)
    model = fusionpy.train(donor, ["amount"], ["z"], areas="place", seed=1, **SMALL)
    (effect,) = model.steps[0].effects.each
    assert effect.sds[-1] < 0.2


def test_what_does_not_go_with_areas(donor):
    for given, words in (
        ({"effects": False}, "`areas` have effects, which `effects` = False leaves out"),
        ({"method": "2024"}, "`areas` go with `method` 'default' only, not '2024'"),
        ({"method": "fusionModel"}, "not 'fusionModel'"),
        ({"refits": 0}, "`refits` cannot be 0"),
        ({"crossfit": False}, "`crossfit` cannot be False"),
        ({"areas": ["state", "state"]}, "`areas` names `state` more than once"),
        ({"areas": 3}, "`areas` must be a column name or a list of them, not 3"),
        ({"areas": ["state", "gift"]}, "`areas` and `y` both name `gift`"),
        ({"weight": "z2", "areas": "z2"}, "`areas` and `weight` both name `z2`"),
    ):
        with pytest.raises(ArgumentError, match=words):
            fusionpy.train(donor, Y, ["z", "kind"], **{"areas": ["state"], "seed": 1, **SMALL, **given})


def test_columns_that_cannot_be_areas(donor):
    donor = donor.assign(share=0.5, one="a", none=None, yes=True)
    areas = ["share", "one", "none", "yes", "stat"]
    with pytest.raises(SchemaError) as error:
        fusionpy.train(donor, Y, ["z", "kind"], areas=areas, seed=1, **SMALL)
    told = str(error.value)
    assert "area `share`: numbers that are not whole (such as 0.5)." in told
    assert "area `one`: one level only" in told
    assert "area `none`: no values at all" in told
    assert "area `yes`: logical (True or False); areas are text, categories or whole numbers" in told
    assert "area `stat`: not in `data`" in told


def test_no_more_levels_than_can_be_learned(donor, monkeypatch):
    monkeypatch.setattr("fusionpy.training.areas.MOST_LEVELS", 60)
    monkeypatch.setattr("fusionpy.training.areas.MOST_BESIDE", 20)
    with pytest.raises(SchemaError) as error:
        fusionpy.train(donor, Y, ["z", "kind"], areas=["state", "county"], seed=1, **SMALL)
    assert "levels with donors; at most 60 can be learned. Group them, or leave it out." in str(error.value)
    assert "beside those of `county`; at most 20 can be learned. Leave some out." in str(error.value)


def test_scores_on_the_survey_itself_know_areas():
    donor = survey(6, 1, 900, n_states=12)
    how = {"nfolds": 2, "M": 10, "seed": 1, "quiet": True, "classifier": False}
    small = {"hyper": {"num_iterations": 60}, "refits": 3, "nclusters": 50}
    without = fusionpy.cross_score(donor, ["amount"], ["z", "kind"], **how, **small, effects=True)
    card = fusionpy.cross_score(donor, ["amount"], ["z", "kind"], **how, **small, areas="state")
    assert card.n == 900
    scores = [each.wide().query("measure == 'crps'")["fused"].item() for each in (card, without)]
    assert scores[0] < scores[1]
    with pytest.raises(SchemaError, match="`stat`: not in `data`"):
        fusionpy.cross_score(donor, ["amount"], ["z"], **how, areas="stat")


def test_missing_values_are_a_level_of_their_own(donor):
    odd = donor.assign(state=donor["state"].where(donor.index % 9 > 0))
    odd["amount"] += np.where(odd["state"].isna(), 3.0, 0.0)
    model = fusionpy.train(odd, ["amount"], ["z"], areas="state", seed=1, **SMALL)
    (effect,) = model.steps[0].effects.each
    first = model.steps[0].effects.first()
    drawn = dict(zip(effect.columns - first[-2], effect.mean, strict=True))
    largest = max((place for place in drawn if 0 <= place < model.areas[0].n_levels), key=drawn.get)
    assert largest == len(model.areas[0].levels)


def test_donors_of_no_weight_are_in_no_area(donor):
    weighted = donor.assign(w=np.where(donor["state"] == "20", 0.0, 1.0))
    model = fusionpy.train(weighted, ["amount"], ["z"], areas="state", weight="w", seed=1, **SMALL)
    assert "20" not in model.areas[0].levels
    assert "21" in model.areas[0].levels


def test_areas_coded_in_another_way_are_warned_of(model, donor):
    with pytest.warns(FusionWarning, match=r"No donor is in any of the recipients' areas: `state` \(such as"):
        fusionpy.fuse(donor.assign(state=donor["state"] + "x"), model, seed=1, quiet=True)
    assert fusionpy.fuse(donor.assign(state=None), model, seed=1, quiet=True).shape[0] == len(donor)
