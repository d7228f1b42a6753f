"""Draws of every kind of step, and of records that rules bind, equal those of the plainest loop."""

from dataclasses import replace

import numpy as np
import pytest
import slow_fuse

import fusionpy
from fusionpy import datasets
from fusionpy.drawing.steps import expected_columns, simulate
from fusionpy.drawing.urns import draw_weights, prepare
from fusionpy.engines import find_engine
from fusionpy.frames.tables import as_table
from fusionpy.kernels.draws import calibrate

X = ["region", "age", "rooms", "hh_size", "income", "tenure"]
SHARES = ["food_share", "housing_share", "other_share"]
Y = ["heating_fuel", "electricity", "gas_cap", "gas_bill", SHARES, "savings", "solar", "vehicles", "energy"]
RULES = {
    "identities": ["energy = electricity + gas_bill"],
    "bounds": [
        "gas_bill <= gas_cap",
        "gas_bill = 0 unless heating_fuel in piped_gas",
        "gas_cap <= 20000",
        "vehicles <= hh_size",
    ],
}


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(500)
    donor = donor.assign(
        energy=donor.electricity + donor.gas_bill,
        gas_cap=donor.gas_bill * 1.5 + 5,
        vehicles=np.minimum(donor.vehicles, donor.hh_size),
    )
    how = {"refits": 2, "nclusters": 40, "krange": (5, 30), "hyper": {"num_iterations": 4}, "nquantiles": 2}
    how["effects"] = False  # which the plainest loop does not know
    return fusionpy.train(donor, Y, X, weight="weight", seed=5, quiet=True, **how, **RULES)


@pytest.fixture(scope="module")
def x(model):
    recipient = datasets.load_recipient().head(200).copy()
    recipient.loc[recipient.index[1::2], "hh_size"] = 1  # a bound that many draws are beyond
    recipient.loc[recipient.index[::5], ["age", "hh_size"]] = None  # of the latter the bound, too
    recipient.loc[recipient.index[3::11], "tenure"] = None
    return model.schema.encode(as_table(recipient), X)


def simulated(model, x, implicate, n_rows=None, expected=None, means=None):
    prepared = prepare(model, implicates=[implicate], kblock=8, n_rows=n_rows)
    how = {"seed": 11, "implicate": implicate, "first": 70, "kblock": 8}
    how |= {"expected": expected, "means": means}
    return simulate(model, x, weight=draw_weights(model, 11, implicate), prepared=prepared, **how)


@pytest.mark.parametrize("implicate", [0, 1, 2])
@pytest.mark.parametrize("n_rows", [None, 10**9], ids=["by LightGBM", "compiled"])
def test_draws_equal_the_plainest_loop(implicate, n_rows, model, x):
    found = simulated(model, x, implicate, n_rows)
    expected = slow_fuse.fuse(model, x, seed=11, implicate=implicate, offset=70, kblock=8)
    for j, variable in enumerate(model.schema.y):
        assert np.array_equal(found[:, j], expected[variable.name]), variable.name
    drawn = dict(zip([variable.name for variable in model.schema.y], found.T, strict=True))
    size = x[:, X.index("hh_size")]
    assert (drawn["vehicles"] <= np.where(np.isnan(size), np.inf, size)).all()
    assert (drawn["vehicles"][np.isnan(size)] > 0).any()


def test_expecting_changes_no_draw_and_is_about_their_average(model, x):
    n_columns = sum(max(variable.n_classes, 1) for variable in model.schema.y)
    expected = np.empty((len(x), n_columns))
    drawn = simulated(model, x, 0, expected=expected)
    assert np.array_equal(drawn, simulated(model, x, 0))
    columns = expected_columns(model)
    for j, variable in enumerate(model.schema.y):
        values, mine = drawn[:, j], expected[:, columns[variable.name]]
        if variable.n_classes:
            assert mine.sum(axis=1) == pytest.approx(np.ones(len(x)))
            share = np.bincount(values.astype(int), minlength=variable.n_classes) / len(x)
            assert mine.mean(axis=0) == pytest.approx(share, abs=0.1)
        elif variable.name in ("electricity", *SHARES):  # no bound moves them
            error = values.std() / len(x) ** 0.5
            assert mine.mean() == pytest.approx(values.mean(), abs=4 * error), variable.name
    fuel = [variable.name for variable in model.schema.y].index("heating_fuel")
    is_gas = drawn[:, fuel] == model.schema["heating_fuel"].levels.index("piped_gas")
    bill = expected[:, columns["gas_bill"][0]]
    assert (bill[~is_gas] == 0).all()
    assert (bill[is_gas] > 0).any()
    sums = expected[:, columns["electricity"][0]] + bill
    assert np.array_equal(expected[:, columns["energy"][0]], sums)


@pytest.mark.parametrize("n_rows", [None, 10**9], ids=["by LightGBM", "compiled"])
def test_refits_may_stand_in_record_by_record(n_rows):
    """And the last variable may be one that predicts nothing, and that no rule binds."""
    donor = datasets.load_donor().head(400)
    how = {"refits": 3, "nclusters": 30, "krange": (5, 20), "hyper": {"num_iterations": 4}}
    how["effects"] = False
    model = fusionpy.train(donor, ["heating_fuel", "savings", "electricity"], X, seed=2, quiet=True, **how)
    x = model.schema.encode(as_table(datasets.load_recipient().head(150)), X)
    drawn = []
    for refits in (3, 0):
        mine = replace(model, options=replace(model.options, refits=refits))
        assert mine.assignment == ("implicate" if refits else "record")
        found = simulated(mine, x, 1, n_rows)
        expected = slow_fuse.fuse(mine, x, seed=11, implicate=1, offset=70, kblock=8)
        for j, variable in enumerate(model.schema.y):
            assert np.array_equal(found[:, j], expected[variable.name]), variable.name
        drawn.append(found)
    assert not np.array_equal(*drawn)


def test_means_are_what_the_models_predict_and_change_no_draw(model, x):
    names = [v.name for v in model.schema.y if not v.is_categorical]
    means = {name: np.full(len(x), np.nan) for name in names}
    drawn = simulated(model, x, 1, means=means)
    assert np.array_equal(drawn, simulated(model, x, 1))
    columns = {v.name: drawn[:, j] for j, v in enumerate(model.schema.y)}
    columns |= {v.name: x[:, j] for j, v in enumerate(model.schema.x)}
    engine = find_engine(model.options.engine)
    for step in model.steps:
        seen = np.column_stack([columns[name] for name in step.predictors])
        predicted = {
            target.name: engine.predict(step.stand_ins[1][target.name], seen)[:, 0] for target in step.targets
        }
        for name in set(step.variables) & set(names):
            wanted = predicted[f"{name}_m"]
            if f"{name}_z" in predicted:
                zero = np.column_stack([1 - predicted[f"{name}_z"], predicted[f"{name}_z"]])
                wanted = wanted * calibrate(zero, step.calibrations.get(f"{name}_z", ()))[:, 0]
            if name == "gas_bill":
                is_gas = columns["heating_fuel"] == model.schema["heating_fuel"].levels.index("piped_gas")
                wanted = np.where(is_gas, wanted, 0)
            assert means[name] == pytest.approx(wanted, rel=1e-12), name
    assert np.array_equal(means["energy"], means["electricity"] + means["gas_bill"])
