"""Models read from LightGBM's text, and their compiled predictions: exactly what Booster.predict gives."""

import re

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved, slow

from fusionpy import read_fsn
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.trees import trees_of
from fusionpy.kernels.forest import cuts_of, encode_columns, grow, predict

TINY = float(np.float32(1e-35))  # LightGBM's zero
EDGES = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, TINY, -TINY, 1e300, -1e300, 0.5, -0.5, -1.0, 1.7]
EDGES += [np.nextafter(TINY, 1), np.nextafter(-TINY, -1), 2.0**31 - 1, 2.0**31, 2.0**31 - 1e-6, 1e10, 999.0]


def donors(rng, n, missing):
    """Seven columns: continuous, whole, signed and sparse, heavy-tailed, and three categorical ones."""
    x = np.column_stack(
        [
            rng.random(n),
            rng.integers(0, 12, n),
            rng.normal(size=n) * (rng.random(n) < 0.5),
            np.exp(3 * rng.normal(size=n)),
            rng.integers(0, 4, n),
            rng.integers(0, 30, n),
            rng.choice([3, 7, 64, 65, 400], n),
        ]
    )
    x[rng.random(x.shape) < missing] = np.nan
    return x


def train(seed, *, n=400, missing=0.1, rounds=6, classes=3, weight=None, **params):
    rng = np.random.default_rng(seed)
    x = donors(rng, n, missing)
    signal = np.nan_to_num(x) @ rng.normal(size=7) * 0.1 + (x[:, 4] == 2) + rng.normal(size=n)
    objective = params.setdefault("objective", "regression")
    label = signal
    if objective == "binary":
        label = signal > np.median(signal)
    elif objective == "multiclass":
        label = np.digitize(signal, np.quantile(signal, np.linspace(0, 1, classes + 1)[1:-1]))
        params["num_class"] = classes
    settings = {"verbosity": -1, "num_threads": 1, "seed": seed % 1000, "min_data_in_leaf": 3, **params}
    settings |= {"min_data_per_group": 5, "cat_smooth": 1.0, "max_cat_to_onehot": 1 + seed % 6}
    data = lgb.Dataset(x, label=label, categorical_feature=[4, 5, 6], params=settings)
    return lgb.train(settings, data, num_boost_round=rounds)


def recipients(rng, boosters, n=400):
    """Rows of ordinary values, thresholds, their neighbours, and all that is odd."""
    x = donors(rng, n, 0.1)
    for feature in range(x.shape[1]):
        pool = [np.array(EDGES)]
        for booster in boosters:
            trees = trees_of(booster)
            cut = trees.threshold[(trees.feature == feature) & (trees.kind % 2 == 0)]
            pool += [cut, np.nextafter(cut, -np.inf), np.nextafter(cut, np.inf)]
            pool += [trees.category, trees.category + 0.999, trees.category - 0.001] if feature > 3 else []
        pool = np.concatenate(pool)
        odd = rng.random(n) < 0.6
        x[odd, feature] = rng.choice(pool, odd.sum())
    return x


def compiled(boosters, x, columns=None):
    models = [trees_of(booster) for booster in boosters]
    columns = columns or [range(x.shape[1])] * len(models)
    cuts = cuts_of(models, columns)
    return predict(grow(models, cuts, columns), encode_columns(x, cuts))


def expected(booster, x):
    return booster.predict(x, num_threads=1).reshape(len(x), -1)


def assert_same(found, wanted):
    """Equal in every bit, the sign of zero included."""
    assert found.shape == wanted.shape
    assert np.array_equal(found.view(np.uint64), np.ascontiguousarray(wanted).view(np.uint64))


OBJECTIVES = st.sampled_from(
    [
        {"objective": "regression"},
        {"objective": "regression", "boosting": "dart"},
        {"objective": "multiclass", "boosting": "dart", "data_sample_strategy": "goss", "drop_rate": 0.5},
        {"objective": "quantile", "alpha": 0.2, "boosting": "dart", "xgboost_dart_mode": True},
        {"objective": "regression", "data_sample_strategy": "goss"},
        {"objective": "binary", "boosting": "rf", "data_sample_strategy": "goss"},
        {"objective": "quantile", "alpha": 0.2, "boosting": "rf", "feature_fraction": 0.8},
        {"objective": "binary"},
        {"objective": "multiclass"},
        {"objective": "quantile", "alpha": 0.2},
        {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"objective": "multiclass", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"objective": "regression", "monotone_constraints": [1, -1, 0, 1, 0, 0, 0]},
    ]
)


@given(
    seed=st.integers(0, 2**31),
    objective=OBJECTIVES,
    missing=st.sampled_from([0.0, 0.1, 0.6]),
    leaves=st.integers(2, 100),
    depth=st.sampled_from([-1, -1, 1, 2, 3, 4, 5, 6]),
    rounds=st.integers(1, 12),
    special=st.sampled_from(
        [{}, {}, {"zero_as_missing": True}, {"use_missing": False}, {"max_bin": 600}, {"max_bin": 5}]
    ),
    extra=st.booleans(),
)
def test_predictions_are_lightgbms(seed, objective, missing, leaves, depth, rounds, special, extra):
    booster = train(
        seed,
        missing=missing,
        rounds=rounds,
        num_leaves=leaves,
        max_depth=depth,
        extra_trees=extra,
        **objective,
        **special,
    )
    x = recipients(np.random.default_rng(seed + 1), [booster])
    assert_same(compiled([booster], x), expected(booster, x))


def mutate(rng, booster):
    """Give nodes thresholds, treatments of missing values and leaves that training would not give them."""
    odd = [*EDGES[:2], *EDGES[3:8], 1e-40, -1e-40]

    def change(found):
        key, values = found[1], found[2].split()
        for i in range(len(values)):
            if rng.random() > 0.3:
                continue
            if key == "decision_type" and int(values[i]) % 2 == 0:
                values[i] = str(rng.choice([0, 2, 4, 6, 8, 10]))
            elif key == "threshold" and not values[i].isdigit():
                values[i] = repr(float(rng.choice(odd)))
            elif key == "leaf_value":
                values[i] = repr(float(rng.choice([0.0, -0.0, 1e99, -1e99, 1e-300, rng.normal()])))
        return f"{key}={' '.join(values)}\n"

    text = re.sub("tree_sizes=.*\n", "", booster.model_to_string())
    return lgb.Booster(model_str=re.sub("(?m)^(decision_type|threshold|leaf_value)=(.*)\n", change, text))


@given(st.integers(0, 2**31), st.sampled_from(["regression", "binary", "multiclass"]))
@halved
def test_nodes_of_every_kind(seed, objective):
    rng = np.random.default_rng(seed)
    first = train(seed, objective=objective, num_leaves=int(rng.integers(2, 40)))
    booster = mutate(rng, first)
    x = recipients(rng, [first, booster])
    assert_same(compiled([booster], x), expected(booster, x))


@given(st.integers(0, 2**31), st.integers(1, 5))
@halved
def test_several_models_share_columns(seed, n_models):
    # Each with its own treatment of missing values and its own order of the columns.
    rng = np.random.default_rng(seed)
    boosters, columns = [], []
    for i in range(n_models):
        special = [{}, {"zero_as_missing": True}, {"use_missing": False}][rng.integers(3)]
        objective = ["regression", "multiclass", "binary"][rng.integers(3)]
        boosters.append(train(seed + i, objective=objective, missing=0.2 * (i % 2), **special))
        columns.append(rng.permutation(9)[:7])
    x = np.empty((300, 9))
    drawn = recipients(rng, boosters, 300)
    for j in range(9):
        x[:, j] = drawn[:, rng.integers(7)]
    wanted = [
        expected(b, np.ascontiguousarray(x[:, places])) for b, places in zip(boosters, columns, strict=True)
    ]
    assert_same(compiled(boosters, x, [list(places) for places in columns]), np.hstack(wanted))


@pytest.mark.parametrize("leaves", [255, 256, 257, 258, slow(700), 3000])
def test_many_leaves(leaves):
    booster = train(
        3, n=8000, rounds=3, num_leaves=leaves, min_data_in_leaf=1, max_bin=1000, min_sum_hessian_in_leaf=0
    )
    x = recipients(np.random.default_rng(1), [booster], 3000)
    assert max(trees_of(booster).n_leaves) == leaves
    assert_same(compiled([booster], x), expected(booster, x))


def test_more_thresholds_than_bytes_can_tell():
    booster = train(5, n=8000, rounds=20, num_leaves=200, max_bin=5000, min_data_in_bin=1, min_data_in_leaf=1)
    x = recipients(np.random.default_rng(1), [booster], 3000)
    model = trees_of(booster)
    cuts = cuts_of([model], [range(7)])
    assert encode_columns(x, cuts).dtype == np.uint16
    assert_same(compiled([booster], x), expected(booster, x))


def test_single_leaves():
    rng = np.random.default_rng(1)
    data = lgb.Dataset(rng.random((50, 2)), label=np.full(50, 7.5))
    booster = lgb.train({"verbosity": -1, "num_threads": 1}, data, num_boost_round=3)
    x = rng.random((5, 2))
    assert (trees_of(booster).n_leaves == 1).all()
    assert_same(compiled([booster], x), expected(booster, x))
    assert expected(booster, x)[0, 0] == 7.5


def test_rounds_are_those_that_lightgbm_predicts_with():
    booster = train(1, rounds=9)
    booster.best_iteration = 4
    x = recipients(np.random.default_rng(1), [booster])
    assert len(trees_of(booster).n_leaves) == 4 < booster.num_trees()
    assert_same(compiled([booster], x), expected(booster, x))


def test_linear_trees_are_refused():
    with pytest.raises(ValueError, match="linear leaves"):
        trees_of(train(1, linear_tree=True, missing=0.0))


@pytest.mark.parametrize(
    "params", [{"objective": "poisson"}, {"objective": "regression", "reg_sqrt": True}, {"sigmoid": 2.0}]
)
def test_objectives_that_are_not_used_are_refused(params):
    rng = np.random.default_rng(1)
    data = lgb.Dataset(rng.random((90, 2)), label=rng.integers(0, 2, 90))
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, **params}
    with pytest.raises(ValueError, match="it was fitted for"):
        trees_of(lgb.train(settings, data, num_boost_round=2))


def test_probabilities_by_another_exp_are_refused(monkeypatch):
    monkeypatch.setattr("numba.config.USING_SVML", True)
    assert trees_of(train(1)).transform == "identity"
    with pytest.raises(ValueError, match="SVML"):
        trees_of(train(1, objective="binary"))


def test_a_models_arrays():
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.random(200), rng.integers(0, 3, 200)])
    data = lgb.Dataset(x, label=(x[:, 0] > 0.5) + 10.0 * (x[:, 1] == 2), categorical_feature=[1])
    params = {"verbosity": -1, "num_threads": 1, "num_leaves": 3, "cat_smooth": 1, "learning_rate": 1}
    trees = trees_of(lgb.train({**params, "boost_from_average": False}, data, 1))
    assert (trees.n_features, trees.n_classes, trees.transform, trees.divisor) == (2, 1, "identity", 1)
    assert trees.n_leaves.tolist() == [3]
    assert trees.feature.tolist() == [1, 0]
    assert trees.kind.tolist() == [1, 2]
    assert trees.category.tolist() == [2]
    assert trees.set_start.tolist() == [0, 1]
    assert trees.threshold[1] == pytest.approx(0.5, abs=0.05)
    assert len(trees.leaf) == 3


@pytest.mark.parametrize("name", ["readme", "block"])
def test_models_of_a_survey(shared, name):
    model = read_fsn(shared / "reference" / "models" / f"{name}.fsn")
    rng = np.random.default_rng(1)
    for step in model.steps:
        boosters = list(step.models(0).values())
        x = rng.integers(-1, 90, (500, len(step.predictors))).astype(np.float64)
        wanted = np.hstack([boosting.predict(booster, x) for booster in boosters])
        assert_same(compiled(boosters, x), wanted)
