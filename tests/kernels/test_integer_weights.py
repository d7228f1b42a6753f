"""Weights as small integers."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fusionpy.kernels.integer_weights import integerize_weights

WEIGHTS = arrays(np.float64, st.integers(2, 60), elements=st.floats(0.01, 1e5))


@pytest.fixture(scope="module")
def recs(shared):
    return pd.read_csv(shared / "data/recs2015.csv.gz", keep_default_na=False, na_values=[""])


def test_integerized_weights_of_the_reference(shared, recs):
    golden = json.loads((shared / "reference/pieces.json").read_text())
    mine = integerize_weights(recs["weight"].to_numpy(float))
    assert mine[:200].tolist() == golden["integerize_weight_head"]
    assert mine.sum() == golden["integerize_sum"]


@given(WEIGHTS)
def test_integerized_weights(weight):
    z = integerize_weights(weight)
    assert (z >= 1).all()
    if np.ptp(weight) > 1e-6 * weight.max():
        assert np.corrcoef(weight, z)[0, 1] >= 0.999
    order = np.argsort(weight, kind="stable")
    assert (np.diff(z[order]) >= 0).all()
    with_zeros = np.concatenate([weight, [0.0]])
    assert integerize_weights(with_zeros).tolist() == [*z.tolist(), 0]


def test_equal_weights_become_one():
    assert integerize_weights(np.full(4, 3.3)).tolist() == [1, 1, 1, 1]


def test_the_smallest_integers_that_will_do():
    assert integerize_weights(np.array([1.0, 4.0, 7.0])).tolist() == [1, 2, 3]
