import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy import datasets
from fusionpy.engines import boosting
from fusionpy.engines.splits import split_totals
from fusionpy.importances import MEASURES, importance


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(1500)
    y = ["insulation", ["gas_bill", "electricity"]]
    x = ["region", "rooms", "income", "dwelling"]
    return fusionpy.train(donor, y=y, x=x, refits=2, seed=1, quiet=True)


def walk(node, names, totals):
    """Visit every split of a tree, as LightGBM's own dump has it."""
    if "split_feature" in node:
        found = totals[names[node["split_feature"]]]
        found += [node["split_gain"], node["internal_count"], 1]
        walk(node["left_child"], names, totals)
        walk(node["right_child"], names, totals)


def dumped(booster, names):
    totals = {name: np.zeros(3) for name in names}
    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"], names, totals)
    return totals


def test_detailed_is_what_the_trees_hold(model):
    table = importance(model, detailed=True)
    assert list(table.columns) == ["y", "model", "x", *MEASURES]
    seen = 0
    for step in model.steps:
        for target in step.targets:
            totals = dumped(step.final[target.name], step.predictors)
            used = {name: each for name, each in totals.items() if each[2]}
            mine = table[(table["y"] == target.variable) & (table["model"] == target.kind)]
            assert set(mine["x"]) == set(used)
            whole = sum(used.values())
            for row in mine.itertuples():
                assert row[4:] == pytest.approx(used[row.x] / whole, rel=1e-6)
            assert mine["gain"].is_monotonic_decreasing
            seen += len(mine)
    assert seen == len(table) > 20


def test_gain_and_frequency_are_lightgbms_own(model):
    for step in model.steps:
        for booster in step.final.values():
            totals = split_totals(booster)
            assert totals[:, 0] == pytest.approx(booster.feature_importance("gain"), rel=1e-6)
            assert totals[:, 2] == pytest.approx(booster.feature_importance("split"), abs=0)


def test_summary_averages_the_models_that_use_a_predictor(model):
    detailed, table = importance(model, detailed=True), importance(model)
    assert list(table.columns) == ["y", "x", *MEASURES]
    assert list(dict.fromkeys(table["y"])) == ["insulation", "gas_bill", "electricity"]
    for y, mine in table.groupby("y"):
        means = {}
        for x in mine["x"]:
            rows = detailed[(detailed["y"] == y) & (detailed["x"] == x)]
            means[x] = [sum(rows[measure]) / len(rows) for measure in MEASURES]
        whole = np.sum(list(means.values()), axis=0)
        for row in mine.itertuples():
            assert row[3:] == pytest.approx(np.array(means[row.x]) / whole, rel=1e-12)
        assert mine["gain"].is_monotonic_decreasing
        assert mine[list(MEASURES)].sum().to_numpy() == pytest.approx(1)
    assert "insulation" in set(table.loc[table["y"] == "electricity", "x"])  # of the step before


def test_an_archive_says_the_same(model, tmp_path):
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    pd.testing.assert_frame_equal(importance(tmp_path / "model.fsn"), importance(model))


def test_a_model_without_splits_has_no_rows():
    target = boosting.Target("y", "m", "regression")
    problem = boosting.Problem(target, np.zeros((40, 2)), np.arange(40.0), np.ones(40), ["a", "b"], [])
    booster = boosting.fit(problem, boosting.Tuning({}, 3, 0.0, []), seed=1)
    assert split_totals(booster).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_variable_that_nothing_predicts(model):
    donor = pd.DataFrame({"a": np.tile([1.0, 2.0], 60), "b": np.repeat([0.0, 1.0], 60)})
    alone = fusionpy.train(donor, y="a", x="b", hyper={"min_data_in_leaf": 100}, refits=0, seed=1, quiet=True)
    for table in (importance(alone), importance(alone, detailed=True)):
        assert len(table) == 0
        assert list(table.columns)[-3:] == list(MEASURES)
        assert table["gain"].dtype == np.float64


@pytest.mark.parametrize(("given", "said"), [((3,), "`model` must be a FusionModel"), ((None,), "`model`")])
def test_what_is_refused(given, said):
    with pytest.raises(fusionpy.ArgumentError, match=said):
        importance(*given)


def test_detailed_must_be_a_flag(model):
    with pytest.raises(fusionpy.ArgumentError, match="`detailed` must be True or False, not 'yes'"):
        importance(model, detailed="yes")
