"""The held-out scorecard: kernels against slow twins and closed forms, the whole against the shared judge."""

import importlib.util
import itertools
import re
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from fusionpy import datasets
from fusionpy.engines.lightgbm.classifier import held_out_probability
from fusionpy.errors import ArgumentError, SchemaError
from fusionpy.evaluation import score as scored
from fusionpy.evaluation.cross_scoring import cross_score
from fusionpy.kernels.cells import means_by_group, quantile_cells, shares_by_group
from fusionpy.kernels.clusters import nearest_others
from fusionpy.kernels.dependence import pairwise_rank_correlations
from fusionpy.kernels.detection import paired_folds, weighted_auc
from fusionpy.kernels.marginals import marginal_errors, spread_of, weighted_quantiles
from fusionpy.kernels.scores import fair_brier, fair_crps, fair_energy, own_range

score = partial(scored, seed=0)
FUSED = [v for step in datasets.FUSION_VARIABLES for v in (step if isinstance(step, list) else [step])]
seeds = st.integers(0, 2**32)


# Kernels ------------------------------------------------------------------------------------------------


@given(seeds)
def test_crps_equals_all_pairs(seed):
    rng = np.random.default_rng(seed)
    draws, truth = rng.integers(0, 5, (4, 6)) * 0.5, rng.normal(size=4)
    pairs = np.abs(draws[:, :, None] - draws[:, None, :]).sum((1, 2)) / (2 * 6 * 5)
    assert fair_crps(draws, truth) == pytest.approx(np.abs(draws - truth[:, None]).mean(1) - pairs)


def test_crps_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    z = np.array([-2.0, 0.0, 0.7])
    exact = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    assert fair_crps(rng.normal(size=(3, 200_000)), z) == pytest.approx(exact, abs=0.01)


def test_crps_is_fair_with_two_draws():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(400_000, 2)), rng.normal(size=400_000)
    assert fair_crps(draws, truth).mean() == pytest.approx(1 / np.sqrt(np.pi), abs=0.005)


@given(seeds)
def test_brier_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    draws, truth = rng.integers(0, 4, (5, 7)), rng.integers(0, 4, 5)
    share = np.eye(4)[draws].mean(1)
    found = ((share - np.eye(4)[truth]) ** 2).sum(1) - (share * (1 - share)).sum(1) / 6
    assert fair_brier(draws, truth, 4) == pytest.approx(found)


@given(seeds)
def test_energy_equals_all_pairs_of_dummies(seed):
    rng = np.random.default_rng(seed)
    numbers, codes = rng.normal(size=(3, 6, 2)), rng.integers(0, 3, (3, 6, 1))
    both = np.concatenate([numbers, np.eye(3)[codes[:, :, 0]] / np.sqrt(2)], axis=2)
    # The last column of draws is taken as the truth.
    draws, truth = both[:, :5], both[:, 5]
    apart = np.sqrt(((draws - truth[:, None]) ** 2).sum(2)).mean(1)
    between = np.sqrt(((draws[:, :, None] - draws[:, None]) ** 2).sum(3)).sum((1, 2)) / (2 * 5 * 4)
    mixed = np.concatenate([numbers, codes], axis=2)
    found = fair_energy(mixed[:, :5], mixed[:, 5], np.array([False, False, True]))
    assert found == pytest.approx(apart - between)


@given(seeds)
def test_energy_of_one_number_is_its_crps(seed):
    rng = np.random.default_rng(seed)
    draws, truth = rng.normal(size=(5, 8)), rng.normal(size=5)
    found = fair_energy(draws[:, :, None], truth[:, None], np.array([False]))
    assert found == pytest.approx(fair_crps(draws, truth))


def test_own_range_covers_what_it_says():
    rng = np.random.default_rng(0)
    for M, level in ((19, 0.9), (20, 0.9), (40, 0.9), (9, 0.8)):
        draws, truth = rng.random((100_000, M)), rng.random(100_000)
        low, high = own_range(draws)
        assert ((truth >= low) & (truth <= high)).mean() == pytest.approx(level, abs=0.004), M


@given(seeds)
def test_quantiles_interpolate_between_the_middles_of_weights(seed):
    rng = np.random.default_rng(seed)
    v, w = rng.permutation(9) * 1.0, rng.integers(1, 4, 9) * 1.0
    order = np.argsort(v)
    middles = [w[order[:k]].sum() + w[order[k]] / 2 for k in range(9)]
    for p in rng.random(5):
        found = weighted_quantiles(v, w, np.array([p]))[0]
        assert found == pytest.approx(np.interp(p * w.sum(), middles, v[order]))


def test_w1_is_the_wasserstein_distance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=4000), 2 + 3 * rng.normal(size=(4000, 5))
    w = rng.random(4000)
    found = marginal_errors(a, w, b, w)["w1"] * spread_of(a, w)
    exact = stats.wasserstein_distance(a, b.ravel(), w, np.repeat(w, 5))
    assert found == pytest.approx(exact, rel=2e-3)


@given(seeds)
def test_rank_correlations_equal_pandas(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 4, (12, 6)).astype(float)
    matrix[:, 1] = rng.integers(0, 2, 12)
    matrix[:, 2] = 7.0
    for column in (3, 4):
        matrix[rng.random(12) < 0.3, column] = np.nan
    expected = pd.DataFrame(matrix).corr("spearman").to_numpy()
    np.testing.assert_allclose(pairwise_rank_correlations(matrix), expected, atol=1e-12)


@given(seeds)
def test_auc_equals_all_pairs_and_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    label, value, w = rng.permutation(np.arange(12) < 5), rng.integers(0, 6, 12) / 6, rng.random(12)
    pairs = [(i, j) for i, j in itertools.product(range(12), repeat=2) if label[i] and not label[j]]
    wins = sum(w[i] * w[j] * ((value[i] > value[j]) + (value[i] == value[j]) / 2) for i, j in pairs)
    found = weighted_auc(label, value, w)
    assert found == pytest.approx(wins / sum(w[i] * w[j] for i, j in pairs))
    assert found == pytest.approx(roc_auc_score(label, value, sample_weight=w))


def test_auc_needs_both_labels():
    assert np.isnan(weighted_auc(np.array([True, True]), np.zeros(2), np.ones(2)))


@given(st.integers(5, 300), st.integers(2, 5))
def test_folds_are_even(n, n_folds):
    size = np.bincount(paired_folds(n, n_folds), minlength=n_folds)
    assert size.sum() == n
    assert np.ptp(size) <= 1


@given(seeds)
def test_fifths_equal_pandas(seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([rng.normal(size=40), rng.integers(0, 6, 40) * 1.0])
    values[rng.random(40) < 0.1] = np.nan
    expected = pd.qcut(pd.Series(values), 5, labels=False, duplicates="drop").fillna(-1)
    assert quantile_cells(values).tolist() == expected.tolist()


def test_a_constant_is_one_group():
    assert quantile_cells(np.full(4, 3.0)).tolist() == [0] * 4


@given(seeds)
def test_groups_one_by_one(seed):
    rng = np.random.default_rng(seed)
    cell, w = rng.integers(-1, 4, 30), rng.integers(0, 3, 30) * 1.0
    codes, values = rng.integers(0, 3, (30, 2)), rng.normal(size=30)
    means, shares = (
        means_by_group(cell, 4, values, w),
        shares_by_group(cell, 4, codes, 3, w),
    )
    for c in range(4):
        inside = cell == c
        if not w[inside].sum():
            assert np.isnan(means[c])
            assert np.isnan(shares[c]).all()
            continue
        assert means[c] == pytest.approx(np.average(values[inside], weights=w[inside]))
        for k in range(3):
            one = (codes[inside] == k).mean(axis=1)
            assert shares[c, k] == pytest.approx(np.average(one, weights=w[inside]))


@given(seeds, st.integers(2, 13))
def test_nearest_others_by_sorting(seed, d):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, d))
    found = nearest_others(points, 3, np.arange(40), rng)
    distance = ((points[:, None] - points) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    # Nearly equal distances may change places.
    expected = np.sort(distance, axis=1)[:, :3]
    np.testing.assert_allclose(np.take_along_axis(distance, found, 1), expected, rtol=0.02, atol=1e-3)


def test_equally_near_records_are_chosen_among_at_random():
    found = nearest_others(np.zeros((200, 2)), 10, np.arange(200), np.random.default_rng(1))
    assert not (found == np.arange(200)[:, None]).any()
    assert len(np.unique(found)) > 150


def test_nearest_among_few():
    found = nearest_others(np.arange(3.0)[:, None], 10, np.arange(3), np.random.default_rng(1))
    assert np.sort(found, axis=1).tolist() == [[1, 2], [0, 2], [0, 1]]


def test_classifier_does_not_depend_on_cores():
    rng = np.random.default_rng(0)
    x, fold = rng.normal(size=(600, 3)), rng.integers(0, 3, 600)
    label, w = x[:, 0] + rng.normal(size=600) > 0, rng.random(600) + 0.5
    one, two = (held_out_probability(x, label, w / w.mean(), fold, cores=cores) for cores in (1, 2))
    assert (one == two).all()
    assert weighted_auc(label, one, w) > 0.7


# The whole ----------------------------------------------------------------------------------------------


def survey(n, M, seed=0):
    """Truth, and implicates from records of similar income."""
    truth = datasets.load_recipient().head(n).merge(datasets.load_truth(), on="hid")
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(n), truth["income"].fillna(0)))
    place = np.argsort(order)
    pieces = []
    for m in range(1, M + 1):
        drawn = truth[FUSED].iloc[order[(place + rng.integers(1, 60, n)) % n]].reset_index(drop=True)
        drawn.insert(0, "M", m)
        pieces.append(drawn)
    return truth, pd.concat(pieces, ignore_index=True)


def line(n=3000, M=20, seed=0):
    """Truth y = x + e, and implicates of the right distribution."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    truth = pd.DataFrame({"x": x, "y": x + 0.5 * rng.normal(size=n)})
    drawn = np.tile(x, M) + 0.5 * rng.normal(size=n * M)
    return truth, pd.DataFrame({"M": np.repeat(np.arange(1, M + 1), n), "y": drawn})


def values(card, way="fused"):
    part = card.table[card.table["way"] == way]
    return {(y, m): v for y, m, v in part[["y", "measure", "value"]].itertuples(index=False)}


@pytest.fixture(scope="module")
def judge(shared):
    spec = importlib.util.spec_from_file_location("judge", shared / "bench" / "score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("n", "weight", "seed"), [(700, "weight", 0), (400, None, 3)])
@pytest.mark.filterwarnings("ignore")
def test_equals_the_judge(judge, n, weight, seed):
    truth, implicates = survey(n, 20)
    truth["tenure"] = truth["tenure"].astype(object)  # as text
    truth["heating_fuel"] = truth["heating_fuel"].astype(object)
    x = datasets.PREDICTORS
    expected = judge.score(truth, implicates, FUSED, x, weight, seed)
    card = score(truth, implicates, FUSED, x=x, weight=weight, seed=seed, baselines=False, quiet=True)
    found = card.to_dict()
    for measure in ("energy", "corr_err", "subgroup"):
        assert found[measure] == pytest.approx(expected[measure], abs=1e-6), measure
    for name, measures in expected["by"].items():
        for measure, value in measures.items():
            # Its weighted quantiles depend on the order of equal values.
            near = 2e-4 if weight and measure in ("w1", "q90", "q99") else 1e-6
            assert found["by"][name][measure] == pytest.approx(value, abs=near), (name, measure)
    # Older releases of scikit-learn shuffle the folds in another way.
    is_new = int(sklearn.__version__.split(".")[1]) >= 9
    assert found["auc"] == pytest.approx(expected["auc"], abs=1e-6 if is_new else 0.02)
    assert set(found) == set(expected)


def test_a_right_distribution_has_the_scores_of_the_closed_form():
    truth, implicates = line(6000)
    card = score(truth, implicates, x="x", quiet=True)
    found = values(card)
    # CRPS of a normal distribution of the right spread s is s / sqrt(pi).
    assert found["y", "crps"] == pytest.approx(0.5 / np.sqrt(1.25), abs=0.015)
    assert found["y", "cover90"] == pytest.approx(0.9, abs=0.015)
    assert found["y", "q90"] == pytest.approx(1, abs=0.04)
    assert found[None, "auc"] == pytest.approx(0.5, abs=0.03)
    floor = values(card, "sampling floor")
    assert found["y", "w1"] < 2 * floor["y", "w1"]
    assert found[None, "corr_err"] < 0.01
    assert floor[None, "auc"] == pytest.approx(0.5, abs=0.03)
    assert ("y", "crps") not in floor
    whatever = values(card, "unconditional draw")
    assert whatever["y", "crps"] == whatever[None, "energy"] == 1
    assert whatever[None, "corr_err"] == pytest.approx(stats.spearmanr(truth["x"], truth["y"])[0], abs=0.03)
    assert whatever[None, "auc"] > 0.7
    near = values(card, "random hot deck")
    assert found["y", "crps"] < near["y", "crps"] < 1
    assert near["y", "cover90"] < 0.87  # ten donors are too few for the tails


def test_the_floor_is_what_two_samples_of_a_distribution_differ_by():
    n = 2000
    rng = np.random.default_rng(0)
    truth = pd.DataFrame({"y": rng.normal(size=n), "g": rng.random(n) < 0.3})
    rows = np.tile(rng.permutation(n), 2)
    card = score(truth, truth.iloc[rows].assign(M=np.repeat([1, 2], n)), classifier=False, quiet=True)
    apart = []
    for _ in range(40):
        a, b = rng.normal(size=(2, n))
        apart.append(stats.wasserstein_distance(a, b))
    # A resample of one sample is as far from it as 1 / sqrt(2) times two samples from each other.
    floor = values(card, "sampling floor")
    assert floor["y", "w1"] == pytest.approx(np.mean(apart) / np.sqrt(2), rel=0.25)
    assert floor["g", "share_err"] == pytest.approx(np.sqrt(2 / np.pi * 0.21 / n), rel=0.6)
    assert values(card)["y", "w1"] == pytest.approx(0, abs=1e-12)


def test_kinds_of_frames_and_orders_of_rows_do_not_matter(tmp_path):
    truth, implicates = survey(300, 3)
    how = {"x": datasets.PREDICTORS, "weight": "weight", "classifier": False, "quiet": True}
    expected = score(truth, implicates, FUSED, **how).table
    shuffled = implicates.sort_values("M", ascending=False, kind="stable")
    implicates.to_parquet(tmp_path / "fused.parquet")
    for one, other in (
        (pa.Table.from_pandas(truth), pa.Table.from_pandas(implicates)),
        (truth, shuffled),
        (truth, tmp_path / "fused.parquet"),
        (truth, implicates.astype({"insulation": object, "vehicles": float})),
    ):
        pd.testing.assert_frame_equal(score(one, other, FUSED, **how).table, expected)
    frames = pl.from_pandas(truth), pl.from_pandas(implicates)
    some = ["electricity", "vehicles", "solar"]
    found = score(*frames, some, x="rooms", classifier=False, quiet=True).table
    again = score(truth, implicates, some, x="rooms", classifier=False, quiet=True).table
    pd.testing.assert_frame_equal(found, again)


def test_cores_do_not_matter_and_seeds_do():
    truth, implicates = line(400)
    one, two, other = (
        score(truth, implicates, x="x", cores=cores, seed=seed, quiet=True).table["value"]
        for cores, seed in ((1, 1), (2, 1), (1, 2))
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_rows_are_scored_in_chunks(monkeypatch):
    truth, implicates = survey(300, 4)
    how = {"x": ["age", "region"], "classifier": False, "quiet": True}
    whole = score(truth, implicates, FUSED, **how).table["value"]
    monkeypatch.setattr("fusionpy.evaluation.measures.CELLS_AT_ONCE", 1000)
    monkeypatch.setattr("fusionpy.evaluation.measures.MOST_CANDIDATES", 299)
    part = score(truth, implicates, FUSED, **how).table
    is_deck = part["way"] == "random hot deck"
    assert part["value"][~is_deck].tolist() == pytest.approx(whole[~is_deck].tolist(), nan_ok=True)
    assert part["value"][is_deck].notna().all()


def test_one_implicate_leaves_out_what_needs_two():
    truth, implicates = survey(200, 1)
    card = score(truth, implicates, ["solar", "electricity"], x="rooms", classifier=False, quiet=True)
    found = values(card)
    missing = {(None, "energy"), ("solar", "brier"), ("electricity", "crps"), ("electricity", "cover90")}
    assert {key for key, value in found.items() if np.isnan(value)} == missing
    assert "M = 1: crps, brier, energy and cover90 need more than one implicate." in card.notes
    assert values(card, "unconditional draw")["electricity", "crps"] == 1  # of 20 draws
    assert card.to_dict()["by"]["solar"]["brier"] is None


def test_few_draws_have_another_aim():
    truth, implicates = line(M=9)
    card = score(truth, implicates, x="x", classifier=False, draws=30, quiet=True)
    aims = card.table[card.table["measure"] == "cover90"].set_index("way")["aim"]
    assert aims.to_dict() == {"fused": 0.8, "unconditional draw": 0.9, "random hot deck": 0.9}
    assert values(card)["y", "cover90"] == pytest.approx(0.8, abs=0.03)
    assert "its aim is 0.80" in " ".join(card.notes)


def test_missing_truth_is_left_out_by_variable():
    truth, implicates = survey(400, 3)
    truth["savings"] = truth["savings"].where(np.arange(400) >= 30)
    truth["heating_fuel"] = truth["heating_fuel"].where(np.arange(400) < 390)
    some = ["savings", "heating_fuel", "electricity"]
    card = score(truth, implicates, some, x=["age", "region"], classifier=False, quiet=True)
    assert "`savings`: 30 records without a true value left out." in card.notes
    n = (
        card.table.drop_duplicates(["y", "measure"])
        .set_index("measure")
        .query("y != y or y == 'savings'")["n"]
    )
    assert n["crps"] == 370
    assert n["energy"] == 360
    rows = np.tile(np.arange(400) >= 30, 3)
    alone = score(truth[30:], implicates[rows], "savings", x=["age", "region"], classifier=False, quiet=True)
    assert values(card)["savings", "crps"] == values(alone)["savings", "crps"]
    assert (
        values(card)["electricity", "crps"]
        == values(score(truth, implicates, "electricity", classifier=False, quiet=True))[
            "electricity", "crps"
        ]
    )


def test_levels_that_the_truth_does_not_have():
    truth = pd.DataFrame({"y": ["a", "b"] * 50})
    right = pd.DataFrame({"M": np.repeat([1, 2], 100), "y": ["b", "a"] * 100})
    wrong = right.replace({"y": {"b": "c"}})
    card = score(truth, wrong, classifier=False, quiet=True)
    assert values(card)["y", "share_err"] == pytest.approx(0.5)
    assert "`y`: level that `truth` does not have was drawn: 'c'." in card.notes
    # Every draw is wrong here and there, so the records' scores agree.
    expected = values(score(truth, right, classifier=False, quiet=True))["y", "brier"]
    assert values(card)["y", "brier"] == pytest.approx(expected)


def test_constant_truth_is_not_divided_by():
    truth = pd.DataFrame({"y": np.zeros(60), "c": ["a"] * 60, "x": np.arange(60.0)})
    implicates = pd.DataFrame({"M": np.repeat([1, 2], 60), "y": 1.0, "c": ["a"] * 120})
    card = score(truth, implicates, ["y", "c"], x="x", min_size=5, quiet=True)
    found = values(card)
    assert np.isnan([found["y", "crps"], found["y", "w1"], found["y", "q99"], found["c", "brier"]]).all()
    assert found["y", "zero_err"] == 1
    assert "`y`, `c`: one true value only, so crps, brier and w1 are not defined." in card.notes
    assert "`y`: the true percentile is 0, so q99 is not defined." in card.notes


def test_records_without_weight_do_not_count_in_weighted_measures():
    truth, implicates = survey(300, 4)
    truth["weight"] = np.where(np.arange(300) < 100, 0.0, truth["weight"])
    wild = implicates.copy()
    wild.loc[wild.index % 300 < 100, "electricity"] *= 100
    how = {"x": "rooms", "weight": "weight", "classifier": False, "quiet": True}
    one, two = (values(score(truth, each, "electricity", **how)) for each in (implicates, wild))
    for measure in ("crps", "cover90", "w1", "q99"):
        assert one["electricity", measure] == pytest.approx(two["electricity", measure], rel=1e-3), measure
    assert one[None, "subgroup"] == pytest.approx(two[None, "subgroup"])
    assert one[None, "corr_err"] != two[None, "corr_err"]


def test_what_was_carried_along_is_not_judged():
    truth, implicates = survey(100, 2)
    implicates["hid"] = np.tile(truth["hid"], 2)
    implicates["day"] = truth["day"] = pd.Timestamp("2024-01-01")
    card = score(truth, implicates, classifier=False, quiet=True)
    assert set(card.table["y"].dropna()) == set(FUSED)
    assert "`hid`: left out, as all implicates have the true values." in card.notes
    assert any(note.startswith("`day` is left out: dates or times") for note in card.notes)
    assert "Without `x` there are no subgroups and no hot deck." in card.notes


def test_few_records():
    truth = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 3.0]})
    implicates = pd.DataFrame({"M": [1, 1, 2, 2], "y": [1.0, 2, 1, 3]})
    card = score(truth, implicates, x="x", quiet=True)
    assert "Fewer than 5 records: auc is not defined." in card.notes
    assert "No group has 50 records: subgroup is not defined." in card.notes
    alone = score(truth[:1], implicates[::2], "y", x="x", quiet=True)
    assert np.isnan(values(alone)["y", "crps"])


def test_arguments_are_checked_all_at_once():
    with pytest.raises(ArgumentError) as caught:
        score(None, None, 3, x=["a", "a"], weight=2, draws=1, min_size=0, cores=0, seed=-1)
    assert str(caught.value) == (
        "`score()` cannot start.\n"
        "  x `cores` must be a whole number of at least 1, not 0.\n"
        "  x `draws` must be a whole number of at least 2, not 1.\n"
        "  x `min_size` must be a whole number of at least 1, not 0.\n"
        "  x `seed` must be a whole number from 0 to 2**63 - 1, not -1; leave it out to draw one.\n"
        "  x `y` must be a column name or a list of them, not 3.\n"
        "  x `x` names `a` more than once.\n"
        "  x `weight` must be a column name, not 2.\n"
        "  i See `help(fusionpy.score)` for what it takes."
    )


def test_columns_are_checked_all_at_once():
    truth, implicates = survey(60, 2)
    implicates.loc[3, "electricity"] = np.nan
    implicates["gas_bill"] = "high"
    implicates["solar"] = 1
    truth["savings"] = np.inf
    y = ["electricity", "gas_bill", "solar", "savings", "vehicle", "rooms"]
    with pytest.raises(SchemaError) as caught:
        score(truth, implicates, y, x=["age", "incom"], weight="region")
    assert str(caught.value) == (
        "`implicates` cannot be compared with `truth`.\n"
        "  x predictor `incom`: not in `truth` (is `income` meant?).\n"
        "  x `electricity`: 1 missing value in `implicates`; every record needs a draw.\n"
        "  x `gas_bill`: numeric in `truth`, text in `implicates`.\n"
        "  x `solar`: logical (True or False) in `truth`, numeric in `implicates`.\n"
        "  x `savings`: 60 infinite values in `truth`.\n"
        "  x `vehicle`: not in `truth` (is `vehicles` meant?).\n"
        "  x `rooms`: not in `implicates`.\n"
        "  x weight `region`: weights must be numeric, not unordered categories.\n"
        "  i Mend these columns, or leave them out."
    )
    with pytest.raises(SchemaError, match="60 rows for each of M = 1 to 2, and `truth` 59 rows"):
        score(truth[1:], implicates)
    with pytest.raises(SchemaError, match="no columns in common"):
        score(truth[["age"]], implicates)
    with pytest.raises(SchemaError, match="`solar`: the true values in all implicates"):
        score(truth[["solar"]], truth[["solar"]].assign(M=1))


def test_a_card_prints_side_by_side():
    truth, implicates = line(500)
    card = score(truth, implicates, x="x", classifier=False, quiet=True)
    lines = repr(card).splitlines()
    assert lines[0] == "Scorecard: 500 records, M = 20, seed 0"
    heads = "measure  fused  unconditional draw  random hot deck  sampling floor  better"
    assert re.split(r"\s{2,}", lines[2].strip()) == re.split(r"\s{2,}", heads)
    assert lines[3].split()[:2] == ["all", "energy"]
    assert lines[3].split()[3:] == ["1.0000", lines[3].split()[4], "–", "lower"]
    assert [row.split()[-1] for row in lines[3:]] == ["lower"] * 4 + ["0.9", "lower", "lower", "1", "1"]
    wide = card.wide()
    assert wide.columns.tolist() == ["y", "measure", *card.table["way"].drop_duplicates()]
    assert wide["measure"].tolist()[:3] == ["energy", "corr_err", "subgroup"]
    assert wide["fused"].tolist() == [
        values(card)[y, m] for y, m in zip(wide["y"], wide["measure"], strict=True)
    ]


# Cross-validation ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def donors():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame({"x": rng.random(n), "g": rng.choice(["p", "q", "r"], n), "w": rng.random(n) + 0.5})
    frame.loc[0, "g"] = "once"
    frame["y"] = (100 * frame["x"]).round() + 1
    frame["c"] = np.where(frame["x"] > 0.5, "high", "low")
    return frame


def test_cross_score_puts_the_folds_in_the_donors_order(donors):
    how = {"weight": "w", "nfolds": 3, "M": 4, "refits": 0, "seed": 1, "quiet": True, "classifier": False}
    card = cross_score(donors, ["y", "c"], ["x", "g"], **how)
    assert (card.n, card.M, card.seed) == (400, 4, 1)
    # Only if every record has its own draws are they this near.
    assert values(card)["y", "crps"] < 0.2
    assert values(card)["c", "brier"] < 0.2
    assert values(card, "unconditional draw")["c", "brier"] > 0.8
    again = cross_score(pl.from_pandas(donors), ["y", "c"], ["x", "g"], **how)
    pd.testing.assert_frame_equal(card.table, again.table)


def test_cross_score_checks_its_arguments(donors):
    with pytest.raises(ArgumentError) as caught:
        cross_score(donors, "y", "x", weight=3, nfolds=1, M=0, fsn="a.fsn", nquantile=3, quiet=True)
    assert str(caught.value) == (
        "`cross_score()` cannot start.\n"
        "  x `nfolds` must be a whole number of at least 2, not 1.\n"
        "  x `M` must be a whole number of at least 1, not 0.\n"
        "  x `fsn` cannot be given: the folds' models are not kept.\n"
        "  x `nquantile` is no argument of `train()` (is `nquantiles` meant?).\n"
        "  x `weight` must be the name of a column, not 3.\n"
        "  i See `help(fusionpy.cross_score)` for what it takes."
    )
    with pytest.raises(SchemaError, match="`z`: not in `data`"):
        cross_score(donors, "y", ["x", "z"], quiet=True)
    with pytest.raises(SchemaError, match="too few for 5 folds"):
        cross_score(donors.head(9), "y", "x", quiet=True)
