"""The boosting engine against LightGBM called by hand."""

import lightgbm as lgb
import numpy as np
import pytest

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Problem, Target
from fusionpy.errors import FusionError

HYPER = {"num_leaves": 7, "learning_rate": 0.2, "min_data_in_leaf": 5, "num_iterations": 40}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    x[:, 2] = rng.integers(0, 4, 400)
    y = x[:, 0] + 2 * (x[:, 2] == 1) + rng.normal(scale=0.3, size=400)
    return Problem(Target("y", "m", "regression"), x, y, np.ones(400), ["a", "b", "c"], [2])


def folds(n, k):
    fold = np.arange(n) % k
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k)]


def test_rounds_minimise_the_mean_validation_loss(problem):
    tuning, models = boosting.tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    losses = np.zeros((4, tuning.rounds))
    for f, (_, valid) in enumerate(folds(400, 4)):
        for rounds in range(tuning.rounds):
            predicted = models[f].predict(problem.matrix[valid], num_iteration=rounds + 1)
            losses[f, rounds] = ((predicted - problem.label[valid]) ** 2).mean()
    mean = losses.mean(axis=0)
    assert tuning.loss == pytest.approx(mean[-1])
    assert mean.argmin() == tuning.rounds - 1
    assert len(models) == 4


def test_fold_models_did_not_see_their_fold(problem):
    _, models = boosting.tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    changed = problem.label.copy()
    changed[folds(400, 4)[0][1]] += 1000
    other = Problem(
        problem.target, problem.matrix, changed, problem.weight, problem.names, problem.categorical
    )
    _, again = boosting.tune(other, [{**HYPER, "num_iterations": 3}], folds(400, 4), patience=3, seed=1)
    first = models[0].predict(problem.matrix, num_iteration=1)
    assert np.array_equal(again[0].predict(problem.matrix, num_iteration=1), first)
    assert not np.array_equal(again[1].predict(problem.matrix, num_iteration=1), first)


def test_final_model_equals_lightgbm_by_hand(problem):
    tuning, _ = boosting.tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    mine = boosting.fit(problem, tuning, seed=9)
    data = lgb.Dataset(problem.matrix, problem.label, categorical_feature=[2], params={"min_data_in_leaf": 5})
    params = {**HYPER, "objective": "regression", "verbosity": -1, "seed": 9, "num_threads": 1}
    params |= {"deterministic": True, "force_col_wise": True, "feature_pre_filter": False}
    del params["num_iterations"]
    by_hand = lgb.train(params, data, num_boost_round=tuning.rounds)
    assert np.array_equal(boosting.predict(mine, problem.matrix)[:, 0], by_hand.predict(problem.matrix))


def test_refit_leaves_out_what_has_no_count(problem):
    tuning, _ = boosting.tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    count = np.ones(400)
    count[:100] = 0
    spoiled = problem.label.copy()
    spoiled[:100] = 1e6
    fits = [
        boosting.fit(
            Problem(problem.target, problem.matrix, y, problem.weight, ["a", "b", "c"], [2]), tuning, 1, count
        )
        for y in (problem.label, spoiled)
    ]
    assert np.array_equal(*(boosting.predict(fit, problem.matrix) for fit in fits))


def test_refit_without_any_row_uses_them_all(problem):
    tuning, _ = boosting.tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    empty = boosting.fit(problem, tuning, 1, np.zeros(400))
    whole = boosting.fit(problem, tuning, 1)
    assert np.array_equal(boosting.predict(empty, problem.matrix), boosting.predict(whole, problem.matrix))


def test_models_as_text_are_exact(problem):
    _, models = boosting.tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    again = boosting.parse(boosting.text(models[0]))
    assert np.array_equal(
        boosting.predict(again, problem.matrix), boosting.predict(models[0], problem.matrix)
    )
    with pytest.raises(ValueError, match=r"."):
        boosting.parse("not a model")


def test_refusals_name_the_variable(problem):
    with pytest.raises(FusionError, match="refused to fit a model of `y`"):
        boosting.tune(problem, [{**HYPER, "num_leaves": 1}], folds(400, 4), patience=3, seed=1)


def test_interrupting_stops_at_the_next_round(problem):
    asked = []

    def interrupted():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(boosting.Cancelled):
        boosting.tune(problem, [HYPER], folds(400, 4), 3, 1, interrupted)
    assert len(asked) == 3
