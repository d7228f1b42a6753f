"""importance(): shares of splits, permutations of held-out donors, and the figure."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pacing import quick, slow
from sklearn import metrics

import fusionpy
from fusionpy import datasets
from fusionpy.engines import base
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.splits import split_totals
from fusionpy.evaluation.importances import MEASURES, importance, plot_importance
from fusionpy.evaluation.permutation import PERMUTATION, PERMUTE
from fusionpy.kernels.draws import calibrate
from fusionpy.kernels.uniforms import uniforms


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(1500)
    y = ["insulation", ["gas_bill", "electricity"]]
    x = ["region", "rooms", "income", "dwelling"]
    return fusionpy.train(donor, y=y, x=x, refits=1, hyper={"num_iterations": 40}, seed=1, quiet=True)


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


@pytest.mark.slow
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
    assert table.index.equals(pd.RangeIndex(seen))


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
    target = base.Target("y", "m", "regression")
    bins = base.Bins(np.zeros((40, 2)), ["a", "b"], [])
    problem = base.Problem(target, bins, np.arange(40.0), np.ones(40))
    booster = boosting.fit(problem, base.Tuning({}, 3, 0.0, []), seed=1)
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


X = ["strong", "weak", "idle", "kind"]
SLOPES = {"strong": 3.0, "weak": 1.0, "idle": 0.0}


def known_world(n, seed):
    """Donors whose variables depend on predictors in a known way: `size`, `owner`, `bill` and `wealth`."""
    rng = np.random.default_rng(seed)
    strong, weak, idle = rng.normal(size=(3, n))
    kind = rng.integers(0, 3, n)
    chance = 1 / (1 + np.exp(-2 * strong))
    bill = np.exp(weak + 0.2 * rng.normal(size=n)) * (rng.random(n) < 0.3 + 0.6 * (kind == 1))
    return pd.DataFrame(
        {
            "strong": strong,
            "weak": weak,
            "idle": idle,
            "kind": pd.Categorical.from_codes(kind, ["flat", "house", "other"]),
            "size": 3 * strong + weak + rng.normal(size=n),
            "owner": rng.random(n) < chance,
            "bill": bill,
            "wealth": np.exp(0.5 * strong + 0.1 * rng.normal(size=n)),
            "w": rng.exponential(size=n) + 0.1,
        }
    )


@pytest.fixture(scope="module")
def world():
    y = ["size", "owner", "bill", "wealth"]
    return fusionpy.train(
        known_world(4000, 1),
        y=y,
        x=[X] * 4,
        weight="w",
        refits=2,
        nquantiles=2,
        hyper={"learning_rate": 0.2},
        seed=1,
        quiet=True,
    )


@pytest.fixture(scope="module")
def held():
    return known_world(1600, 2)


@pytest.fixture(scope="module")
def small():
    """The same of fewer donors and rounds, where it does not matter how well it has learned."""
    how = {
        "refits": 0,
        "nfolds": 2,
        "nquantiles": 2,
        "hyper": {"num_iterations": 15},
        "seed": 1,
        "quiet": True,
    }
    return fusionpy.train(
        known_world(700, 1), ["size", "owner", "bill", "wealth"], [X] * 4, weight="w", **how
    )


@pytest.fixture(scope="module")
def few(held):
    return held.head(500)


@pytest.fixture(scope="module")
def permuted(small, few):
    return importance(small, data=few, weight="w", seed=3)


def worth(table, y):
    return table[table["y"] == y].set_index("x")


@pytest.mark.slow
def test_permutations_know_what_matters_and_what_does_not(world, held):
    permuted = importance(world, data=held, weight="w", seed=3)
    assert list(permuted.columns) == ["y", "x", *MEASURES, *PERMUTATION]
    for y, order in {"size": ["strong", "weak"], "owner": ["strong"], "wealth": ["strong"]}.items():
        mine = worth(permuted, y)
        assert mine["permutation"].sort_values(ascending=False).index[: len(order)].to_list() == order
        for x in set(mine.index) - set(order):
            assert abs(mine.loc[x, "permutation"]) < 0.02
        assert (mine.loc[order, "permutation"] > 10 * mine.loc[order, "permutation_se"]).all()
    bill = worth(permuted, "bill")
    assert bill.loc[["weak", "kind"], "permutation"].min() > 0.04
    assert bill.loc[["strong", "idle"], "permutation"].abs().max() < 0.02


def test_rise_of_a_squared_error_is_twice_the_variance_that_a_predictor_explains(world, held):
    """If y = b x + e, other x cost b^2 E (x - x')^2 = 2 b^2 var(x) more, whatever the model's own error."""
    table = importance(world, detailed=True, data=held, n_repeats=3, seed=0)
    mine = table[(table["y"] == "size") & (table["model"] == "m")].set_index("x")["permutation"]
    predictors = held.assign(kind=held["kind"].cat.codes)[X].to_numpy(float)
    own = ((world.steps[0].final["size_m"].predict(predictors) - held["size"]) ** 2).mean()
    assert 1 < own < 2  # e has variance 1
    for name, slope in SLOPES.items():
        assert own * mine[name] == pytest.approx(2 * slope**2, rel=0.1, abs=0.03)


def by_hand(model, held, y, kind, x, n_repeats, seed):
    """Permute one predictor of one model, with losses by scikit-learn."""
    step = next(step for step in model.steps if y in step.variables)
    target = next(t for t in step.targets if t.variable == y and t.kind == kind)
    names = [v.name for v in (*model.schema.x, *model.schema.y)]
    codes = held.assign(kind=held["kind"].cat.codes)[list(step.predictors)].to_numpy(float)
    truth = held[y].to_numpy(float)
    rows = np.flatnonzero(truth) if y == "bill" and kind != "z" else np.arange(len(truth))
    matrix, w = codes[rows], held["w"].to_numpy()[rows]
    truth = (truth == 0) * 1.0 if kind == "z" else truth[rows]

    def loss(matrix):
        p = step.final[target.name].predict(matrix)
        if target.objective == "binary":
            p = calibrate(np.stack([1 - p, p], axis=1), step.calibrations.get(target.name, ()))
            return metrics.log_loss(truth, p, sample_weight=w)
        if target.objective == "quantile":
            return metrics.mean_pinball_loss(truth, p, sample_weight=w, alpha=target.alpha)
        return metrics.mean_squared_error(truth, p, sample_weight=w)

    losses = []
    for repeat in range(n_repeats):
        u = uniforms(seed, PERMUTE, len(held), implicate=repeat, step=names.index(x))[0]
        other = matrix.copy()
        j = step.predictors.index(x)
        other[:, j] = matrix[rows_by(u[rows]), j]
        losses.append(loss(other))
    rise = np.mean(losses) - loss(matrix)
    return rise if target.objective == "binary" else rise / loss(matrix)


def rows_by(u):
    return sorted(range(len(u)), key=lambda i: u[i])


@pytest.mark.parametrize(
    ("y", "kind", "x"),
    [
        slow(("size", "m", "weak")),
        ("size", "q2", "strong"),
        ("owner", "m", "strong"),
        ("bill", "z", "kind"),
        ("bill", "m", "weak"),
        slow(("bill", "q1", "weak")),
        ("wealth", "m", "strong"),
    ],
)
def test_every_kind_of_model_by_hand(small, few, y, kind, x):
    table = importance(small, detailed=True, data=few, weight="w", n_repeats=2, seed=7)
    row = table[(table["y"] == y) & (table["model"] == kind) & (table["x"] == x)].iloc[0]
    assert row["permutation"] == pytest.approx(by_hand(small, few, y, kind, x, 2, 7), rel=1e-6)


def test_zero_inflated_variables_are_among_those(small):
    assert "bill_z" in small.steps[2].final


def test_the_summary_averages_all_models_of_a_variable(small, few, permuted):
    detailed = importance(small, detailed=True, data=few, weight="w", seed=3)
    assert list(detailed.columns) == ["y", "model", "x", *MEASURES, *PERMUTATION]
    for row in permuted.itertuples():
        mine = detailed[(detailed["y"] == row.y) & (detailed["x"] == row.x)]
        n_models = sum(target.variable == row.y for step in small.steps for target in step.targets)
        assert row.permutation == pytest.approx(mine["permutation"].sum() / n_models)
        # Between all models telling the same, and each telling something else.
        se = mine["permutation_se"]
        assert 0 < row.permutation_se <= se.sum() / n_models * 1.001


@pytest.mark.parametrize("n", [14, slow(25), pytest.param(60, marks=pytest.mark.slow)])
def test_the_standard_error_is_that_between_samples(n):
    model = fusionpy.train(
        known_world(1000, 1),
        y="size",
        x=X,
        refits=0,
        nquantiles=1,
        hyper={"num_iterations": 40},
        seed=1,
        quiet=True,
    )
    samples = [
        importance(model, data=known_world(200, 100 + k), n_repeats=1, seed=k).set_index("x").loc["weak"]
        for k in range(n)
    ]
    spread = np.std([each["permutation"] for each in samples], ddof=1)
    told = np.mean([each["permutation_se"] for each in samples])
    assert told == pytest.approx(spread, rel=0.35 if n > 20 else 0.5)


def test_the_same_seed_gives_the_same_on_any_number_of_cores(small, few, permuted):
    again = importance(small, data=few, weight="w", seed=3, cores=2)
    pd.testing.assert_frame_equal(again, permuted, check_exact=True)
    other = importance(small, data=few, weight="w", seed=4)
    assert (other["permutation"] != permuted["permutation"]).any()
    assert other["permutation"].to_numpy() == pytest.approx(
        permuted["permutation"].to_numpy(), rel=0.2, abs=0.05
    )


def test_the_other_columns_are_as_without_data(small, permuted):
    pd.testing.assert_frame_equal(permuted.drop(columns=list(PERMUTATION)), importance(small))


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_polars_and_pyarrow_say_the_same(small, few, permuted, convert):
    pd.testing.assert_frame_equal(importance(small, data=convert(few), weight="w", seed=3), permuted)


@pytest.mark.slow
def test_records_without_weight_or_value_play_no_part(small, few):
    some = few.assign(w=np.where(np.arange(len(few)) < 300, few["w"], 0.0))
    alone = importance(small, data=few.head(300), weight="w", seed=0)
    pd.testing.assert_frame_equal(importance(small, data=some, weight="w", seed=0), alone)
    holes = few.assign(size=few["size"].where(np.arange(len(few)) < 300))
    table = importance(small, data=holes, weight="w", seed=0)
    pd.testing.assert_frame_equal(worth(table, "size"), worth(alone, "size"))


def test_weights_matter(world, held):
    """Among houses alone the kind of home says nothing of the bill."""
    houses = held.assign(w=np.where(held["kind"] == "house", 1e9, 1e-3))
    table = importance(world, data=houses, weight="w", detailed=True, seed=0)
    zero = table[(table["y"] == "bill") & (table["model"] == "z")].set_index("x")["permutation"]
    plain = importance(world, data=held, detailed=True, seed=0)
    plain = plain[(plain["y"] == "bill") & (plain["model"] == "z")].set_index("x")["permutation"]
    assert abs(zero["kind"] - plain["kind"]) > 0.02


def test_blocks_and_variables_of_earlier_steps(model):
    rest = datasets.load_donor().iloc[1500:]
    table = importance(model, data=rest, weight="weight", n_repeats=2, seed=0)
    assert table["permutation"].notna().all()
    mine = worth(table, "electricity")
    assert "insulation" in mine.index
    assert mine["permutation"].max() > 0.05


def test_an_archive_permutes_the_same(model, tmp_path):
    rest = datasets.load_donor().iloc[1500:2500]
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    of_archive = importance(tmp_path / "model.fsn", data=rest, n_repeats=1, seed=0)
    pd.testing.assert_frame_equal(of_archive, importance(model, data=rest, n_repeats=1, seed=0))


def test_a_variable_that_nothing_predicts_has_no_permutation(model):
    donor = pd.DataFrame({"a": np.tile([1.0, 2.0], 60), "b": np.repeat([0.0, 1.0], 60)})
    alone = fusionpy.train(donor, y="a", x="b", hyper={"min_data_in_leaf": 100}, refits=0, seed=1, quiet=True)
    for detailed in (False, True):
        table = importance(alone, data=donor, detailed=detailed, seed=0)
        assert len(table) == 0
        assert list(table.columns)[-2:] == list(PERMUTATION)


REFUSED = {
    "repeats": (
        {"n_repeats": 0},
        fusionpy.ArgumentError,
        "`n_repeats` must be a whole number of at least 1, not 0",
    ),
    "cores": (
        {"cores": "all"},
        fusionpy.ArgumentError,
        "`cores` must be a whole number of at least 1, not 'all'",
    ),
    "seed": ({"seed": -1}, fusionpy.ArgumentError, "`seed` must be a whole number from 0"),
    "weight": (
        {"weight": 3},
        fusionpy.ArgumentError,
        "`weight` must be the name of a column of `data`, not 3",
    ),
    "weight alone": (
        {"data": None, "weight": "w"},
        fusionpy.ArgumentError,
        "`weight` is a column of `data`, which",
    ),
    "no frame": ({"data": [1, 2]}, fusionpy.SchemaError, "`data` cannot be used"),
    "no such weight": ({"weight": "ww"}, fusionpy.SchemaError, "`ww`: not in `data`"),
    "text as weight": ({"weight": "kind"}, fusionpy.SchemaError, "`kind`: weights must be numeric, not"),
    "bad weights": (
        {"change": {"w": -1.0}, "weight": "w"},
        fusionpy.SchemaError,
        "`w`: no weight is positive",
    ),
    "wrong kind": (
        {"change": {"strong": "high"}},
        fusionpy.SchemaError,
        "(?s)predictors of the model, or its fus",
    ),
    "no variable": ({"drop": ["size", "idle"]}, fusionpy.SchemaError, "`idle`, `size`: not in `data`"),
    "too few": (
        {"rows": 1},
        fusionpy.SchemaError,
        "(?s)`data` has too few records.*`size` has 1 value; at least 2",
    ),
    "only zeros": ({"change": {"bill": 0.0}}, fusionpy.SchemaError, "`bill` has 0 values other than 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_of_held_out_donors(world, held, case):
    given, kind, said = REFUSED[case]
    data = (
        held.assign(**given.get("change", {}))
        .drop(columns=given.get("drop", []))
        .head(given.get("rows", 1600))
    )
    rest = {key: value for key, value in given.items() if key not in ("change", "drop", "rows")}
    with pytest.raises(kind, match=said):
        importance(world, **{"data": data, **rest})


@pytest.mark.parametrize("measure", quick([*MEASURES, "permutation"], ["gain", "permutation"]))
def test_the_figure_shows_the_most_worthy_first(permuted, measure, tmp_path):
    figure = plot_importance(permuted, measure, most=3)
    bars = figure.data
    assert bars.groupby("panel", observed=True).size().max() == 3
    assert list(bars["panel"].cat.categories) == ["size", "owner", "bill", "wealth"]
    for y in bars["panel"].cat.categories:
        shown = bars.loc[bars["panel"] == y, "gain"].to_numpy() / 100
        assert shown == pytest.approx(worth(permuted, y)[measure].nlargest(3).to_numpy())
    figure.save(tmp_path / "figure.svg", verbose=False)
    text = (tmp_path / "figure.svg").read_text()
    assert "<svg" in text


def test_margins_of_permutations_are_drawn(permuted):
    ends = plot_importance(permuted, "permutation").layers[1]._data
    both = ends.assign(x=[str(row).split("\t")[1] for row in ends["row"]]).merge(
        permuted, left_on=["panel", "x"], right_on=["y", "x"]
    )
    assert len(both) == len(permuted)
    margin = 1.645 * both["permutation_se"]
    assert both["low"].to_numpy() == pytest.approx((100 * (both["permutation"] - margin)).to_numpy())
    assert both["high"].to_numpy() == pytest.approx((100 * (both["permutation"] + margin)).to_numpy())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measure": "size"}, "`measure` must be one of gain, cover, frequency, permutation, not 'size'"),
        ({"most": 0}, "`most` must be a whole number of at least 1, not 0"),
        ({"table": [1]}, r"`table` must be a pandas DataFrame, not \[1\]"),
        ({"table": pd.DataFrame({"y": ["a"], "x": ["b"], "model": ["m"]})}, "`table` is detailed"),
        ({"table": pd.DataFrame({"y": ["a"], "x": ["b"]})}, "`table` has no column `gain`"),
        (
            {"table": pd.DataFrame({"y": [], "x": [], "gain": []})},
            "`table` has no rows: no model has a split",
        ),
    ],
)
def test_what_cannot_be_drawn(permuted, change, said):
    with pytest.raises(fusionpy.ArgumentError, match=said):
        plot_importance(**{"table": permuted, **change})
