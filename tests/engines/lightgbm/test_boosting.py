"""The boosting engine against LightGBM called by hand."""

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved
from patience import PATIENCE

from fusionpy.engines import base
from fusionpy.engines.base import Bins, Problem, Target
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.binning import bin_donors, binned, count_bins, subset
from fusionpy.engines.lightgbm.hyper import ONE_VALUE
from fusionpy.engines.lightgbm.searching import Search
from fusionpy.errors import FusionError

HYPER = {"num_leaves": 7, "learning_rate": 0.2, "min_data_in_leaf": 5, "num_iterations": 40}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    x[:, 2] = rng.integers(0, 4, 400)
    y = x[:, 0] + 2 * (x[:, 2] == 1) + rng.normal(scale=0.3, size=400)
    return Problem(Target("y", "m", "regression"), Bins(x, ["a", "b", "c"], [2]), y, np.ones(400))


def tune(problem, grid, folds, patience, seed, interrupted=lambda: False):
    """Search in one thread: what was chosen, and its model of each fold."""
    search = Search(problem, grid, folds, patience=patience, seed=seed)
    over = False
    while not over:
        for fold in range(search.n_folds):
            search.boost(fold, interrupted)
        over = search.settle()
    return search.tuning, search.models()


def folds(n, k):
    fold = np.arange(n) % k
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k)]


def test_rounds_minimise_the_mean_validation_loss(problem):
    tuning, models = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    losses = np.zeros((4, tuning.rounds))
    for f, (_, valid) in enumerate(folds(400, 4)):
        for rounds in range(tuning.rounds):
            predicted = models[f].predict(problem.bins.matrix[valid], num_iteration=rounds + 1)
            losses[f, rounds] = ((predicted - problem.label[valid]) ** 2).mean()
    mean = losses.mean(axis=0)
    assert tuning.loss == pytest.approx(mean[-1])
    assert mean.argmin() == tuning.rounds - 1
    assert len(models) == 4


def test_fold_models_did_not_see_their_fold(problem):
    _, models = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    changed = problem.label.copy()
    changed[folds(400, 4)[0][1]] += 1000
    other = Problem(problem.target, problem.bins, changed, problem.weight)
    _, again = tune(other, [{**HYPER, "num_iterations": 3}], folds(400, 4), patience=3, seed=1)
    first = models[0].predict(problem.bins.matrix, num_iteration=1)
    assert np.array_equal(again[0].predict(problem.bins.matrix, num_iteration=1), first)
    assert not np.array_equal(again[1].predict(problem.bins.matrix, num_iteration=1), first)


def test_final_model_equals_lightgbm_by_hand(problem):
    tuning, _ = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    mine = boosting.fit(problem, tuning, seed=9)
    data = lgb.Dataset(
        problem.bins.matrix, problem.label, categorical_feature=[2], params={"min_data_in_leaf": 5}
    )
    params = {**HYPER, "objective": "regression", "verbosity": -1, "seed": 9, "num_threads": 1}
    params |= {"deterministic": True, "force_col_wise": True, "feature_pre_filter": False}
    del params["num_iterations"]
    by_hand = lgb.train(params, data, num_boost_round=tuning.rounds)
    assert np.array_equal(
        boosting.predict(mine, problem.bins.matrix)[:, 0], by_hand.predict(problem.bins.matrix)
    )


def test_refit_leaves_out_what_has_no_count(problem):
    tuning, _ = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    count = np.ones(400)
    count[:100] = 0
    spoiled = problem.label.copy()
    spoiled[:100] = 1e6
    fits = [
        boosting.fit(Problem(problem.target, problem.bins, y, problem.weight), tuning, 1, count)
        for y in (problem.label, spoiled)
    ]
    assert np.array_equal(*(boosting.predict(fit, problem.bins.matrix) for fit in fits))


def test_refit_without_any_row_uses_them_all(problem):
    tuning, _ = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    empty = boosting.fit(problem, tuning, 1, np.zeros(400))
    whole = boosting.fit(problem, tuning, 1)
    assert np.array_equal(
        boosting.predict(empty, problem.bins.matrix), boosting.predict(whole, problem.bins.matrix)
    )


def test_models_as_text_are_exact(problem):
    _, models = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    again = boosting.parse(boosting.text(models[0]))
    assert np.array_equal(
        boosting.predict(again, problem.bins.matrix), boosting.predict(models[0], problem.bins.matrix)
    )
    with pytest.raises(ValueError, match=r"."):
        boosting.parse("not a model")


def test_refusals_name_the_variable(problem):
    with pytest.raises(FusionError, match="refused to fit a model of `y`"):
        tune(problem, [{**HYPER, "num_leaves": 1}], folds(400, 4), patience=3, seed=1)
    other = Problem(
        problem.target, Bins(problem.bins.matrix, ["a", "b", "c"], [2]), problem.label, problem.weight
    )
    with pytest.raises(FusionError, match="refused to fit a model of `y`"):
        bin_donors(other, {**HYPER, "max_bin": 1})


def test_interrupting_stops_at_the_next_round(problem):
    asked = []

    def interrupted():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(base.Cancelled):
        tune(problem, [HYPER], folds(400, 4), 3, 1, interrupted)
    assert len(asked) == 3


# What follows compares with LightGBM's own cross-validation, on data binned for each model anew.

OBJECTIVES = {
    "regression": "l2",
    "quantile": "quantile",
    "binary": "binary_logloss",
    "multiclass": "multi_logloss",
}
HYPERS = (
    {},
    {"num_iterations": 4},
    {"boosting": "dart", "num_iterations": 9},
    {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
    {"boosting": "rf", "data_sample_strategy": "goss"},
    {"boosting": "dart", "num_iterations": 12, "data_sample_strategy": "goss", "learning_rate": 0.5},
    {"data_sample_strategy": "goss", "learning_rate": 0.5},
    {"bagging_freq": 2, "bagging_fraction": 0.7, "feature_fraction": 0.6, "extra_trees": True},
    {"min_data_in_leaf": 100, "max_bin": 12, "min_data_in_bin": 9},
)


def trees(model):
    """A model's text without how data were to be read, and the most rounds asked: they change no number."""
    return re.sub(r"\[(force_(col|row)_wise|num_iterations): \d+\]\n", "", boosting.text(model))


def posed(rng, objective, *, weighted, monotone, n=160, n_columns=5):
    """Predictors with missing and few values, a nominal one; some donors are not fitted on."""
    x = rng.normal(size=(n, n_columns)).round(int(rng.integers(0, 4)))
    x[:, 1] = rng.integers(0, 6, n)
    x[rng.random((n, n_columns)) < 0.1] = np.nan
    rows = np.flatnonzero(rng.random(n) < 0.9)
    signal = np.nan_to_num(x[rows, 0]) + (x[rows, 1] == 2) + rng.normal(size=len(rows))
    label = signal if objective in ("regression", "quantile") else np.digitize(signal, [0, 1]) * 1.0
    label = np.minimum(label, 1) if objective == "binary" else label
    weight = rng.gamma(2, 1, len(rows)) if weighted else np.ones(len(rows))
    columns = [3, 0, 1]
    signs = [0, 1, 0] if monotone and objective in ("regression", "binary") else None
    classes = 3 if objective == "multiclass" else 1
    target = Target("y", "m", objective, classes, alpha=1 / 6)
    bins = Bins(x, ["d", "a", "b"], [2], rows=rows, columns=columns)
    return Problem(target, bins, label, weight / weight.mean(), signs)


def by_hand(problem, grid, folds, patience, seed, counts):
    """Cross-validate by lgb.cv, then fit, each model on a Dataset of its own."""

    def fresh():
        bins = problem.bins
        params = {k: v for k, v in grid[0].items() if k in ONE_VALUE}
        params |= {"num_threads": 1, "verbosity": -1, "feature_pre_filter": False}
        x = bins.matrix[bins.rows][:, bins.columns]
        arguments = {"weight": problem.weight, "feature_name": bins.names, "categorical_feature": [2]}
        return lgb.Dataset(x, problem.label, params=params, **arguments).construct()

    def told(hyper, seed):
        target = problem.target
        params = {k: v for k, v in hyper.items() if k != "num_iterations"} | {
            "objective": target.objective,
            "metric": OBJECTIVES[target.objective],
            "seed": seed,
            "num_threads": 1,
            "verbosity": -1,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_col_wise": True,
        }
        if target.objective == "multiclass":
            params["num_class"] = 3
        if target.objective == "quantile":
            params["alpha"] = target.alpha
        if problem.monotone:
            params["monotone_constraints"] = problem.monotone
        return params

    tried = []
    for hyper in grid:
        stop = lgb.early_stopping(patience, verbose=False)
        found = lgb.cv(
            told(hyper, seed),
            fresh(),
            hyper["num_iterations"],
            folds=folds,
            callbacks=[] if hyper.get("boosting") == "dart" else [stop],
            return_cvbooster=True,
        )
        losses = next(v for k, v in found.items() if k.endswith("-mean"))
        rounds = int(np.argmin(losses)) + 1
        tried.append((losses[rounds - 1], rounds, hyper, found["cvbooster"].boosters))
    _, rounds, hyper, boosters = min(tried, key=lambda each: each[0])
    if hyper.get("boosting") == "dart":  # later rounds have changed the trees of earlier ones
        found = lgb.cv(told(hyper, seed), fresh(), rounds, folds=folds, return_cvbooster=True)
        boosters = found["cvbooster"].boosters
    models = [boosting.parse(model.model_to_string(num_iteration=rounds)) for model in boosters]
    for number, count in enumerate(counts):
        data, rows = fresh(), np.flatnonzero(count)
        if not count.all() or (count > 1).any():
            data = data.subset(rows.tolist()).construct()
            weight = problem.weight[rows] * count[rows]
            data.set_weight(weight / weight.mean())
        models.append(boosting.parse(boosting.text(lgb.train(told(hyper, seed + number), data, rounds))))
    return [each[:2] for each in tried], hyper, models


@given(
    seed=st.integers(0, 2**32),
    objective=st.sampled_from(sorted(OBJECTIVES)),
    hyper=st.sampled_from(HYPERS),
    n_folds=st.integers(1, 5),
    patience=st.integers(1, 6),
    weighted=st.booleans(),
    monotone=st.booleans(),
    several=st.booleans(),
    threshold=st.sampled_from([0, 10**6]),
)
@halved
def test_models_equal_those_of_lightgbms_own_loop(
    seed, objective, hyper, n_folds, patience, weighted, monotone, several, threshold
):
    rng = np.random.default_rng(seed)
    problem = posed(rng, objective, weighted=weighted, monotone=monotone)
    hyper = {**HYPER, "num_iterations": 25, **hyper}
    grid = [hyper, {**hyper, "num_leaves": 3}] if several else [hyper]
    n, number = len(problem.label), int(rng.integers(1000))
    fold = rng.permutation(np.arange(n) % max(n_folds, 2))
    parts = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(n_folds)]
    counts = [np.ones(n), rng.poisson(1.0, n).astype(float)]
    tried, chosen, models = by_hand(problem, grid, parts, patience, number, counts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "_BINS_BY_ROW", threshold)  # data read by column, or by row
        search = Search(problem, grid, parts, patience=patience, seed=number)
        order, over = random.Random(seed), False
        while not over:
            for f in order.sample(range(n_folds), n_folds):
                search.boost(f)
            over = search.settle()
        mine = search.models() + [
            boosting.fit(problem, search.tuning, number + place, count if place else None)
            for place, count in enumerate(counts)
        ]
    assert [(row["best_score"], row["best_iter"]) for row in search.tuning.grid] == tried
    assert search.tuning.params == chosen
    assert [trees(model) for model in mine] == [trees(model) for model in models]
    x = problem.bins.matrix[:, problem.bins.columns]
    for f in range(n_folds):
        assert np.array_equal(search.predict(f, x), boosting.predict(models[f], x))


def test_folds_of_dart_are_boosted_for_the_chosen_rounds_only(problem):
    """Later rounds scale the trees of earlier ones: what is cut off a longer run is no model of its own."""
    hyper = {**HYPER, "boosting": "dart", "num_iterations": 40, "drop_rate": 0.5, "skip_drop": 0.0}
    hyper["learning_rate"] = 0.9
    search = Search(problem, [hyper], folds(400, 3), patience=2, seed=1)
    longest = []
    over = False
    while not over:
        for f in range(3):
            search.boost(f)
        longest = longest or list(search._models)
        over = search.settle()
    rounds = search.tuning.rounds
    assert rounds < 40
    x = problem.bins.matrix[:, problem.bins.columns]
    for f, (train, _) in enumerate(folds(400, 3)):
        params = {**boosting.parameters(problem, hyper, 1), "num_iterations": rounds}
        alone = lgb.train(params, subset(problem, train, params))
        assert np.array_equal(search.predict(f, x)[:, 0], alone.predict(x, num_threads=1))
        assert not np.allclose(search.predict(f, x)[:, 0], longest[f].predict(x, num_iteration=rounds))


def test_folds_boosted_at_the_same_time_give_the_same(problem):
    tuning, models = tune(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    search = Search(problem, [HYPER], folds(400, 4), patience=3, seed=1)
    with ThreadPoolExecutor(4) as pool:
        while True:
            list(pool.map(search.boost, range(4)))
            if search.settle():
                break
    assert search.tuning == tuning
    assert [boosting.text(m) for m in search.models()] == [boosting.text(m) for m in models]


def test_lightgbm_is_quiet_in_every_thread(capfd):
    x = np.arange(60.0)[:, None] // 3 % 2
    problem = Problem(Target("y", "m", "regression"), Bins(x, ["a"], []), x[:, 0], np.ones(60))
    search = Search(problem, [HYPER], folds(60, 2), patience=3, seed=1)
    over = False
    while not over:  # no tree can be grown once the residuals are 0, which LightGBM would like to tell
        for f in range(2):
            other = threading.Thread(target=search.boost, args=(f,))
            other.start()
            other.join()
        over = search.settle()
    assert "".join(capfd.readouterr()) == ""


def test_no_round_is_boosted_in_vain(problem, monkeypatch):
    rounds = []
    update = lgb.Booster.update
    monkeypatch.setattr(lgb.Booster, "update", lambda self: rounds.append(1) or update(self))
    hyper = {**HYPER, "num_iterations": 500}
    tuning, _ = tune(problem, [hyper], folds(400, 4), patience=3, seed=1)
    assert len(rounds) == 4 * (tuning.rounds + 3)


def test_data_are_binned_once(problem, monkeypatch):
    binned = []
    init = lgb.Dataset.__init__

    def counted(self, data, *rest, **named):
        binned.extend([1] * (data is not None))
        init(self, data, *rest, **named)

    monkeypatch.setattr(lgb.Dataset, "__init__", counted)
    bins = Bins(problem.bins.matrix, ["a", "b", "c"], [2])
    many = [Problem(problem.target, bins, problem.label + shift, problem.weight) for shift in range(3)]
    barrier = threading.Barrier(3, timeout=PATIENCE)

    def learn(each):
        barrier.wait()
        tuning, _ = tune(each, [HYPER], folds(400, 4), patience=3, seed=1)
        return boosting.fit(each, tuning, 1), boosting.fit(each, tuning, 2, np.arange(400.0) % 3)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(learn, many))
    assert len(binned) == 1
    bins.release()
    bin_donors(many[0], HYPER)
    assert len(binned) == 2


def test_wide_data_are_read_by_column(problem):
    rng = np.random.default_rng(0)
    for n_columns, way in ((3, "row"), (9, "col")):
        x = rng.normal(size=(400, n_columns))
        bins = Bins(x, [f"x{j}" for j in range(n_columns)], [])
        model = boosting.fit(
            Problem(problem.target, bins, problem.label, problem.weight),
            base.Tuning({"min_data_in_bin": 1, "max_bin": 255}, 1, 0.0, []),
            1,
        )
        assert (count_bins(binned(bins, {})) <= 1024) == (way == "row")
        assert f"[force_{way}_wise: 1]" in boosting.text(model)
