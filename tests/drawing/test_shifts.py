"""Effects at work: coded or not, they are what a plain loop adds; draws have the posterior's spread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from fusionpy import datasets, train
from fusionpy.drawing.predictions import prepare_predictions
from fusionpy.drawing.shifts import LEAST, draw_shifts
from fusionpy.drawing.urns import drawn_by_record
from fusionpy.frames.tables import as_table

X = ["region", "income", "rooms", "tenure"]
Y = ["heating_fuel", ["food_share", "housing_share"], "vehicles", "electricity"]


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(500)
    moved = (donor["region"].astype(str) == "south") ^ (donor["tenure"].astype(str) == "renter")
    donor["electricity"] *= np.where(moved, 1.0, 1.8)  # which is no sum of a region's and a tenure's effects
    small = {"hyper": {"num_iterations": 8}, "refits": 3, "nclusters": 20}
    return train(donor, Y, X, seed=1, effects=True, quiet=True, **small)


@pytest.fixture(scope="module")
def x(model):
    values = model.schema.encode(as_table(datasets.load_recipient().head(80)), X)
    values[::7, 1] = np.nan
    values[3, 1], values[4, 1] = 1e9, -1e9
    return values


def shifts_and_codes(model, x, n_rows, **how):
    predictions = prepare_predictions(model, [0, 1, 2], n_rows)
    coding = predictions.coding
    codes = np.zeros((len(coding.names), len(x)), dtype=coding.dtype)
    for j, name in enumerate(X):
        codes[j] = coding.encode(name, np.ascontiguousarray(x[:, j]))
    coded = codes, np.empty((0, len(x)), dtype=np.int32)
    return draw_shifts(model, coding, 5, 1, **how), coded, coding


def by_loop(effects, place, b, x):
    """Add up an effect's levels, record by record."""
    effect, first = effects.each[place], effects.first()
    every = np.zeros(first[-1] + 1)
    every[effect.columns] = b
    out = np.full(len(x), every[-1])
    for f, factor in enumerate(effects.factors):
        for i in range(len(x)):
            out[i] += every[first[f] + level_of(factor, x[i])]
    for p, pair in enumerate(effects.pairs, len(effects.factors)):
        for i in range(len(x)):
            level = level_of(pair.one, x[i]) * pair.other.n_levels + level_of(pair.other, x[i])
            out[i] += every[first[p] + level]
    return out


def level_of(factor, record):
    value = record[X.index(factor.name)]
    return len(factor.edges) + 1 if np.isnan(value) else sum(value > edge for edge in factor.edges)


def test_means_are_added_as_a_plain_loop_does(model, x):
    compiled, codes, coding = shifts_and_codes(model, x, 10**6, certain=True)
    plain, values, uncoded = shifts_and_codes(model, x, None, certain=True)
    assert coding.cuts is not None
    assert uncoded.cuts is None
    assert ("region", "tenure") in [pair.names for pair in model.steps[3].effects.pairs]
    for step, one, other in zip(model.steps, compiled, plain, strict=True):
        for place, effect in enumerate(step.effects.each):
            rows = np.array([5, 3, 70, 4])
            found = one._total(effect.target, codes, rows)
            column = one.places[effect.target].index(place)
            wanted = by_loop(step.effects, place, effect.mean, x)[rows]
            assert np.allclose(found[:, column], wanted)
            assert np.array_equal(found, other._total(effect.target, values, rows))
            assert np.array_equal(one._total(effect.target, codes, None)[rows], found)


def test_classes_are_shifted_by_logits_and_add_up_to_one(model, x):
    (shift, *_), codes, _ = shifts_and_codes(model, x, 10**6, certain=True)
    effects = model.steps[0].effects
    p = np.random.default_rng(1).dirichlet(np.ones(5), len(x))
    p[0] = [1, 0, 0, 0, 0]
    eta = np.stack([by_loop(effects, c, e.mean, x) for c, e in enumerate(effects.each)], axis=1)
    with np.errstate(divide="ignore"):
        wanted = expit(logit(p) + eta)
    found = shift.classes(p, "heating_fuel_m", codes)
    assert np.allclose(found, wanted / wanted.sum(axis=1, keepdims=True))
    assert shift.classes(p, "other_m", codes) is p


def test_of_two_classes_the_second_is_shifted(model, x):
    shift, codes, _ = shifts_and_codes(model, x, 10**6, certain=True)
    step = model.steps[2]
    assert step.targets[0].name == "vehicles_z"
    p = np.random.default_rng(1).uniform(0, 1, len(x))
    found = shift[2].classes(np.stack([1 - p, p], axis=1), "vehicles_z", codes)
    eta = by_loop(step.effects, 0, step.effects.each[0].mean, x)
    assert np.allclose(found[:, 1], expit(logit(p) + eta))
    assert np.allclose(found.sum(axis=1), 1)


def test_percentiles_move_with_the_mean(model, x):
    shift, codes, _ = shifts_and_codes(model, x, 10**6, certain=True)
    step, rows = model.steps[3], np.arange(0, 80, 3)
    wanted = by_loop(step.effects, 0, step.effects.each[0].mean, x)[rows]
    assert step.effects.each[0].is_relative  # an amount: effects are shares of what is expected
    expected = np.ones((len(rows), 4)) * [1, 2, 3, 4]
    shift[3].expectations(expected, step.targets, codes, rows)
    assert np.allclose(expected, np.maximum(1 + wanted[:, None], LEAST) * [1, 2, 3, 4])
    added = replace(shift[3], relative=frozenset())
    expected = np.zeros((len(rows), 4))
    added.expectations(expected, step.targets, codes, rows)
    assert np.allclose(expected, wanted[:, None])


def test_draws_have_the_posteriors_spread_and_not_the_refits(model):
    coding = prepare_predictions(model, [0, 1, 2], None).coding
    effect = model.steps[3].effects.each[0]
    drawn = np.array([draw_shifts(model, coding, 5, m)[3].constant[0] for m in range(600)])
    own = drawn + effect.refits[np.arange(600) % 3, -1]
    spread = np.sqrt((effect.root @ effect.root.T)[-1, -1])
    assert own.std() == pytest.approx(spread, rel=0.08)
    assert own.mean() == pytest.approx(effect.mean[-1], abs=4 * spread / np.sqrt(600))
    again = draw_shifts(model, coding, 5, 7)[3].constant[0]
    assert again == drawn[7] != drawn[8]


def test_where_each_record_has_a_refit_none_is_taken_away(model):
    coding, effect = prepare_predictions(model, [0, 1, 2], None).coding, model.steps[3].effects.each[0]
    single = drawn_by_record(model, with_refits=True)
    assert single.assignment == "record"
    for implicate in range(3):
        own, none = (draw_shifts(each, coding, 5, implicate)[3].constant[0] for each in (model, single))
        assert none - own == pytest.approx(effect.refits[implicate, -1])


def test_chances_of_all_and_of_nothing_stay(model, x):
    shift, codes, _ = shifts_and_codes(model, x, 10**6, certain=True)
    sure = np.zeros((len(x), 5))
    sure[:, 2] = 1
    assert np.array_equal(shift[0].classes(sure, "heating_fuel_m", codes), sure)


def test_steps_without_effects_have_no_shift():
    donor = datasets.load_donor().head(200)
    model = train(donor, ["electricity"], X, refits=0, seed=1, quiet=True, hyper={"num_iterations": 2})
    assert draw_shifts(model, prepare_predictions(model, [0], None).coding, 1, 0) == (None,)


def test_of_an_amount_something_is_always_left(model, x):
    """However much less effects make of it: a twentieth of what is expected."""
    shift, codes, _ = shifts_and_codes(model, x, 10**6, certain=True)
    step = model.steps[3]
    assert step.effects.each[0].is_relative
    far = replace(shift[3], constant=np.full_like(shift[3].constant, -50.0))
    expected = np.full((80, 4), 200.0)
    far.expectations(expected, step.targets, codes, None)
    assert (expected == 10.0).all()


def test_draws_of_classes_correlate_as_shares_of_a_sample_do(model):
    coding = prepare_predictions(model, [0, 1, 2], None).coding
    effects = model.steps[0].effects
    share = np.array([effect.share for effect in effects.each])
    assert share.sum() == pytest.approx(1)
    own = []
    for m in range(1500):
        drawn = draw_shifts(model, coding, 5, m)[0].constant
        of_refits = np.array([effect.refits[m % 3, -1] - effect.mean[-1] for effect in effects.each])
        own.append(drawn + of_refits)
    spread = [np.sqrt((effect.root @ effect.root.T)[-1, -1]) for effect in effects.each]
    assert np.allclose(np.std(own, axis=0), spread, rtol=0.08)
    root = np.sqrt(share / (1 - share))
    off = ~np.eye(len(share), dtype=bool)
    # Not quite: the constant takes part in effects that differ between classes.
    assert np.allclose(np.corrcoef(np.array(own).T)[off], -np.outer(root, root)[off], atol=0.12)
