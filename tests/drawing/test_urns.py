"""The weights by which donors are drawn in each implicate."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

import fusionpy
from fusionpy.drawing.urns import NEVER, draw_weights, pool_means, prepare, weigh


@pytest.fixture(scope="module")
def model():
    donor = fusionpy.datasets.load_donor().head(400)
    how = {"refits": 2, "seed": 1, "quiet": True, "hyper": {"num_iterations": 3}}
    return fusionpy.train(donor, ["electricity"], ["rooms"], weight="weight", **how)


def ways(model, **options):
    changed = replace(model, options=replace(model.options, **options))
    return [draw_weights(changed, 7, implicate) for implicate in range(3)]


def test_without_redrawing_they_are_those_of_the_refit(model):
    first, second, third = ways(model, redraw=False)
    assert np.array_equal(first, model.weight * np.maximum(model.counts[0], NEVER))
    assert np.array_equal(second, model.weight * np.maximum(model.counts[1], NEVER))
    assert np.array_equal(third, first)
    assert np.array_equal(ways(model, redraw=False, refits=0)[0], model.weight)


@pytest.mark.parametrize("follow", [False, True])
def test_redrawn_ones_differ_between_implicates_and_may_follow_the_refit(model, follow):
    factors = [each / model.weight for each in ways(model, redraw=True, follow=follow)]
    assert not np.array_equal(factors[0], factors[2])
    assert np.mean(factors) == pytest.approx(1, abs=0.1)
    alike = np.corrcoef(factors[0], model.counts[0])[0, 1]
    assert alike > 0.8 if follow else abs(alike) < 0.2


def test_means_and_shares_of_pools_by_hand():
    donor = fusionpy.datasets.load_donor().head(300)
    how = {"refits": 0, "seed": 1, "quiet": True, "hyper": {"num_iterations": 3}, "weight": "weight"}
    model = fusionpy.train(donor, [["heating_fuel", "electricity"]], ["rooms", "region"], **how)
    urn, (step,) = prepare(model, kblock=4).urns[0], model.steps
    rng = np.random.default_rng(1)
    weight = rng.uniform(1, 2, model.n_donors)
    means = pool_means(model, step, urn.start, urn.member, weight)
    columns = {name: model.donors[:, model.donor_columns.index(name)] for name in step.variables}
    assert len(means) == len(urn.start) - 1
    assert (np.diff(urn.start) == 4).all()
    for pool in range(len(means)):
        mine = urn.member[urn.start[pool] : urn.start[pool + 1]]
        expected = []
        for name, values in columns.items():
            classes = range(model.schema[name].n_classes)
            each = [values[mine] == c for c in classes] or [values[mine]]
            expected += [np.average(value, weights=weight[mine]) for value in each]
        assert means[pool] == pytest.approx(expected)


def test_what_threads_share_cannot_be_changed(model):
    prepared = prepare(model)
    weights = weigh(prepared, draw_weights(model, 1, 0), 1, 0)
    for shared, name in ((prepared, "urns"), (prepared.urns[0], "start"), (weights, "weight")):
        with pytest.raises(FrozenInstanceError):
            setattr(shared, name, None)
