"""Models made ready to predict: which way is taken, and what their trees know of missing values."""

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy.drawing.predictions import FINAL, prepare_predictions, stand_ins_of
from fusionpy.drawing.steps import simulate
from fusionpy.drawing.urns import draw_weights


@pytest.fixture(scope="module")
def model():
    donor = fusionpy.datasets.load_donor().head(400)
    donor.loc[donor.index[::4], "age"] = None
    how = {"refits": 3, "seed": 1, "quiet": True, "hyper": {"num_iterations": 5}}
    return fusionpy.train(donor, ["savings", "electricity"], ["rooms", "age", "income"], **how)


def test_forests_are_compiled_for_many_rows_alone(model):
    assert prepare_predictions(model, [0]).coding.cuts is None
    assert prepare_predictions(model, [0], 1).coding.cuts is None
    assert prepare_predictions(model, [0], 10**9).coding.cuts is not None


@pytest.mark.parametrize("n_rows", [None, 10**9])
def test_columns_that_no_donor_lacked(model, n_rows):
    found = prepare_predictions(model, [0], n_rows).without_gaps(0)
    assert {"rooms", "savings"} <= found
    assert not found & {"age", "income"}


def test_the_two_ways_predict_the_same(model):
    names = [variable.name for variable in model.schema.x]
    rng = np.random.default_rng(1)
    columns = {
        "rooms": rng.integers(1, 9, 50),
        "age": rng.integers(18, 90, 50),
        "income": rng.gamma(2, 3e4, 50),
    }
    x = np.array([columns[name] for name in names], dtype=np.float64)
    rows = np.array([3, 49, 7])
    by = []
    for n_rows in (None, 10**9):
        ready = prepare_predictions(model, [1, FINAL], n_rows)
        codes = np.zeros((len(ready.coding.names), 50), dtype=ready.coding.dtype)
        for j, name in enumerate(names):
            codes[j] = ready.coding.encode(name, x[j])
        whole = ready.predict(0, 1, slice(None), codes)
        assert np.array_equal(ready.predict(0, 1, slice(None), codes, rows), whole[rows])
        assert np.array_equal(ready.predict(0, 1, slice(1, None), codes), whole[:, 1:])
        by += [whole, ready.predict(0, FINAL, slice(None), codes)]
    assert np.array_equal(by[0], by[2])
    assert np.array_equal(by[1], by[3])
    assert not np.array_equal(by[0], by[1])


def test_stand_ins_of_some_implicates(model):
    assert stand_ins_of(model) == [0, 1, 2]
    assert stand_ins_of(model, [1, 4, 2]) == [1, 2]


def test_the_first_donor_may_be_the_nearest_within_bounds():
    n = 60
    y = np.linspace(100.0, 200.0, n)
    y[0] = 1.0
    donor = {"y": y, "cap": np.full(n, 500.0)}
    how = {
        "refits": 0,
        "nclusters": 1,
        "krange": (n, n),
        "hyper": {"num_iterations": 1},
        "seed": 1,
        "quiet": True,
    }
    model = fusionpy.train(pd.DataFrame(donor), ["y"], ["cap"], bounds=["y <= cap"], **how)
    drawn = simulate(
        model,
        np.full((40, 1), 50.0),
        seed=1,
        implicate=0,
        first=0,
        kblock=5,
        weight=draw_weights(model, 1, 0),
    )
    assert (drawn == 1.0).all()
