"""Golden orders and predictors of fusionModel's `prepXY()`: 22 designs on RECS 2015.

It answers as if categorical variables of five or more levels had their values sorted, apart from their
records (`race` of its impute_input.csv.gz is sorted indeed). With its faults, all of which `build_design`
has, every order of steps, and of predictors in each, is repeated exactly. Without them they are others, and
better.
"""

import json

import numpy as np
import pandas as pd
import pytest

from fusionpy.engines.glmnet import has_glmnet
from fusionpy.preparation.screening import prep_xy

COMMON = slice(1, 14)
FIRST = {
    "p1": {"y": ["square_feet", "electricity", "natural_gas", "aircon", "insulation", "propane"]},
    "p2": {
        "y": [["heating_share", "cooling_share", "other_share"], "electricity", "televisions", "use_ng"],
        "cor_thresh": 0.025,
        "lasso_thresh": 0.99,
    },
    "p3": {"y": ["electricity", "natural_gas"], "lasso_thresh": 0.8, "xmax": 10, "xforce": "age"},
}
ROWS = {"all": slice(None), "first 2000": slice(2000), "odd rows": slice(0, None, 2)}


@pytest.fixture(scope="module")
def donors(shared):
    kinds = json.loads((shared / "data/recs2015_schema.json").read_text())
    frame = pd.read_csv(shared / "data/recs2015.csv.gz", keep_default_na=False, na_values=[""])
    for name in frame:
        kind = kinds[name]["kind"]
        if kind in ("ordered", "nominal"):
            frame[name] = pd.Categorical(frame[name], kinds[name]["levels"], ordered=kind == "ordered")
    return frame


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "reference/prepxy.json").read_text())


@pytest.fixture(scope="module")
def more(shared):
    return json.loads((shared / "reference/original/prepxy_more.json").read_text())


def repeat(donors, call, **how):
    x = list(donors.columns[1:20] if call == "p3" else donors.columns[COMMON])
    return prep_xy(donors, x=x, weight="weight", quiet=True, **{**FIRST[call], **how})


def holed(donors, missing):
    """Rows are counted from 1."""
    if missing is None:
        return donors
    assert missing.startswith("age NA where (row %% 7) == 0, square_feet NA where (row %% 5) == 0")
    row = np.arange(1, len(donors) + 1)
    ages, sizes = (donors[name].astype(float) for name in ("age", "square_feet"))
    return donors.assign(age=ages.mask(row % 7 == 0), square_feet=sizes.mask(row % 5 == 0))


def same(found, theirs, attributes):
    listed = [[step] if isinstance(step, str) else step for step in theirs["y"]]
    assert [[step] if isinstance(step, str) else step for step in found.y] == listed
    assert found.x == theirs["x"]
    assert found.xpredictors == attributes["xpredictors"]
    assert found.xforce == attributes.get("xforce", [])


@pytest.mark.parametrize("solver", ["gram", "glmnet"])
@pytest.mark.parametrize("call", FIRST)
def test_the_twelve_lists(donors, golden, call, solver):
    if solver == "glmnet" and not has_glmnet():
        pytest.skip("python-glmnet is not installed")
    found = repeat(donors, call, method="fusionModel", solver=solver)
    forced = {"xforce": [FIRST[call]["xforce"]]} if "xforce" in FIRST[call] else {}
    same(found, golden[call], {**golden[call], **forced})


def test_every_design(donors, more):
    assert len(more) == 19
    for name, theirs in more.items():
        given = {key: value for key, value in theirs["call"].items() if key != "cores"}
        data = holed(donors.iloc[ROWS[theirs["rows"]]], theirs["missing"])
        found = prep_xy(data, **given, quiet=True, method="fusionModel")
        print(name)  # pytest shows it where one fails
        same(found, theirs, theirs["attributes"])
        assert found.xoriginal == theirs["attributes"]["xoriginal"]


def test_right_dummies_give_other_orders(donors, golden):
    """What heats the home says much of who uses natural gas: of what could be explained, nearly all."""
    right, theirs = repeat(donors, "p2"), repeat(donors, "p2", method="fusionModel")
    first = [each.scores.query("round == 1").set_index("step").loc["use_ng"] for each in (right, theirs)]
    heat = pd.crosstab(donors["heat_type"], donors["use_ng"], donors["weight"], aggfunc="sum").fillna(0)
    share = heat[True] / heat.sum(axis=1)
    mean = np.average(share, weights=heat.sum(axis=1))
    between = np.average((share - mean) ** 2, weights=heat.sum(axis=1)) / (mean * (1 - mean))
    assert between > 0.65  # of the variance of `use_ng`, heat_type alone explains this
    assert first[0]["deviance"] > between
    assert first[0]["ratio"] > 0.97
    assert first[1]["deviance"] < 0.3
    assert right.y[0] == "use_ng" != golden["p2"]["y"][0]
    assert "heat_type" in right.x[0]
    assert "heat_type" not in golden["p2"]["x"][2]
