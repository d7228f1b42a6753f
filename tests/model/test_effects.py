"""What is told of effects: of which class, in which unit, the largest first."""

import numpy as np
import pandas as pd

from fusionpy.frames.tables import as_table
from fusionpy.model.effects import Effect, Effects, Factor
from fusionpy.model.schema import Schema

SURVEY = pd.DataFrame(
    {
        "a": [1.0, 2, 3, 4],
        "b": [4.0, 2, 3, 1],
        "fuel": pd.Categorical(["gas", "oil", "wood", "gas"]),
        "two": pd.Categorical(["no", "yes", "yes", "no"]),
        "solar": [True, False, True, True],
        "bill_z": [0.0, 2.5, 1, 7],
    }
)


def told(target, column, *sds):
    schema = Schema.learn(as_table(SURVEY), ["a", "b"], ["fuel", "two", "solar", "bill_z"])
    nothing = {
        "columns": np.zeros(1, int),
        "mean": np.zeros(1),
        "root": np.eye(1),
        "refits": np.zeros((0, 1)),
    }
    effect = Effect(target=target, column=column, sds=np.asarray(sds), **nothing)
    factors = tuple(Factor(name=name, edges=np.array([2.5])) for name in ("a", "b"))
    (line,) = Effects(factors=factors, each=(effect,)).told(schema)
    return line


def test_classes_have_their_names_and_logits():
    found = told("fuel_m", 2, 0.1, 0.2124)
    assert found == "effects on fuel, class wood: sd 0.212 (logit) between levels of b, 0.1 of a"
    assert told("fuel_m", 0, 0.1, 0) == "effects on fuel, class gas: sd 0.1 (logit) between levels of a"
    assert told("two_m", 0, 0.1, 0) == "effects on two, class yes: sd 0.1 (logit) between levels of a"
    assert told("solar_m", 0, 0.1, 0) == "effects on solar: sd 0.1 (logit) between levels of a"


def test_numbers_have_their_unit_and_zeros_logits():
    assert (
        told("bill_z_m", 0, 2188.4, 12)
        == "effects on bill_z: sd 2,188 (its unit) between levels of a, 12 of b"
    )
    assert told("bill_z_z", 0, 0, 0.3) == "effects on bill_z, being 0: sd 0.3 (logit) between levels of b"
    assert told("bill_z_m", 0, 0, 0) == "effects on bill_z: none"
