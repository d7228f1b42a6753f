"""The held-out scorecard: kernels against slow twins and closed forms, the whole against the shared judge."""

import importlib.util
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import strategies as st
from pacing import slow
from scipy import stats

from fusionpy import datasets
from fusionpy.engines.lightgbm.classifier import held_out_probability
from fusionpy.errors import ArgumentError, SchemaError
from fusionpy.evaluation.cross_scoring import cross_score
from fusionpy.evaluation.predicted import with_predicted
from fusionpy.evaluation.scoring import score as scored
from fusionpy.kernels.detection import weighted_auc
from fusionpy.kernels.marginals import top_share

score = partial(scored, seed=0)
FUSED = [v for step in datasets.FUSION_VARIABLES for v in (step if isinstance(step, list) else [step])]
seeds = st.integers(0, 2**32)


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


@pytest.mark.parametrize(
    ("n", "weight", "seed"),
    [slow((700, "weight", 0)), (300, "weight", 0), slow((400, None, 3)), (200, None, 3)],
)
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
            near = 0.14 / n if weight and measure in ("w1", "q90", "q99") else 1e-6
            assert found["by"][name][measure] == pytest.approx(value, abs=near), (name, measure)
    # Older releases of scikit-learn shuffle the folds in another way.
    is_new = int(sklearn.__version__.split(".")[1]) >= 9
    assert found["auc"] == pytest.approx(expected["auc"], abs=1e-6 if is_new else 0.02)
    assert set(found) == set(expected)


def test_a_right_distribution_has_the_scores_of_the_closed_form():
    truth, implicates = line(3000)
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


@pytest.mark.slow
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
    truth, implicates = line(200)
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


def test_one_implicate_is_compared_with_twenty_draws():
    truth, implicates = line(300, 1)
    cards = [
        score(truth, implicates, x="x", draws=draws, classifier=False, quiet=True) for draws in (None, 20, 21)
    ]
    pd.testing.assert_frame_equal(cards[0].table, cards[1].table)
    assert not cards[0].table["value"].equals(cards[2].table["value"])


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


def test_missing_text_is_left_out_as_a_missing_category_is():
    rng = np.random.default_rng(3)
    truth = pd.DataFrame({"y": rng.choice(["a", "b", "c"], 120).astype(object)})
    truth.loc[::5, "y"] = None
    implicates = pd.DataFrame({"M": np.repeat([1, 2], 120), "y": rng.choice(["a", "b", "c"], 240)})
    cards = [
        score(truth.astype({"y": kind}), implicates, classifier=False, quiet=True)
        for kind in (object, pd.CategoricalDtype(["a", "b", "c"]))
    ]
    pd.testing.assert_frame_equal(cards[0].table, cards[1].table)
    assert cards[0].notes == cards[1].notes


def test_constant_truth_is_not_divided_by():
    truth = pd.DataFrame({"y": np.zeros(60), "c": ["a"] * 60, "x": np.arange(60.0)})
    implicates = pd.DataFrame({"M": np.repeat([1, 2], 60), "y": 1.0, "c": ["a"] * 120})
    card = score(truth, implicates, ["y", "c"], x="x", min_size=5, quiet=True)
    found = values(card)
    assert np.isnan([found["y", "crps"], found["y", "w1"], found["y", "q99"], found["c", "brier"]]).all()
    assert found["y", "zero_err"] == 1
    assert "`y`, `c`: one true value only, so crps, brier and w1 are not defined." in card.notes
    assert "`y`: the true percentile is 0, so q99 is not defined." in card.notes
    assert "`y`: the true mean is 0, so mean is not defined." in card.notes
    assert "`y`: a total is not positive, so top1 is not defined." in card.notes


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


def test_variables_without_a_weighted_truth_are_told():
    truth, implicates = line(60, 2)
    truth["w"] = np.arange(60) % 2.0
    truth["z"] = truth["y"].where(truth["w"] == 0)
    implicates["z"] = implicates["y"]
    cards = [score(truth, implicates, y, weight="w", quiet=True, classifier=False) for y in ("y", ["y", "z"])]
    told = [[note for note in card.notes if "has weight" in note] for card in cards]
    assert told == [[], ["`z`: no record with a true value has weight."]]


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
    truth["y"], implicates["y"] = truth["y"] + 10, implicates["y"] + 10  # else it has no mean to speak of
    card = score(truth, implicates, x="x", classifier=False, quiet=True)
    lines = repr(card).splitlines()
    assert lines[0] == "Scorecard: 500 records, M = 20, seed 0"
    heads = "measure  fused  unconditional draw  random hot deck  sampling floor  better"
    assert re.split(r"\s{2,}", lines[2].strip()) == re.split(r"\s{2,}", heads)
    assert lines[3].split()[:2] == ["all", "energy"]
    assert lines[3].split()[3:] == ["1.0000", lines[3].split()[4], "–", "lower"]
    assert [row.split()[-1] for row in lines[3:]] == ["lower"] * 4 + ["0.9", "lower", "lower", *["1"] * 4]
    wide = card.wide()
    assert wide.columns.tolist() == ["y", "measure", *card.table["way"].drop_duplicates()]
    assert wide["measure"].tolist()[:3] == ["energy", "corr_err", "subgroup"]
    assert wide["fused"].tolist() == [
        values(card)[y, m] for y, m in zip(wide["y"], wide["measure"], strict=True)
    ]


def test_a_card_has_four_digits_or_three_that_count():
    card = score(*line(500), x="x", classifier=False, quiet=True)
    table = card.table[card.table["way"] == "fused"].head(6)
    table = table.assign(
        aim=0.0, measure=list("abcdef"), y="y", value=[0.0, 1e-3, 0.00099, 999.9, -1000.0, np.nan]
    )
    shown = [row.split()[-2] for row in repr(replace(card, table=table)).splitlines()[3:9]]
    assert shown == ["0.0000", "0.0010", "0.00099", "999.9000", "-1e+03", "–"]


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


@pytest.mark.slow
def test_cross_score_puts_the_folds_in_the_donors_order(donors):
    how = {
        "weight": "w",
        "nfolds": 3,
        "M": 4,
        "refits": 0,
        "hyper": {"num_iterations": 40},
        "seed": 1,
        "quiet": True,
        "classifier": False,
    }
    card = cross_score(donors, ["y", "c"], ["x", "g"], **how)
    assert (card.n, card.M, card.seed) == (400, 4, 1)
    # Only if every record has its own draws are they this near.
    assert values(card)["y", "crps"] < 0.2
    assert values(card)["c", "brier"] < 0.2
    assert values(card, "unconditional draw")["c", "brier"] > 0.8
    # What models predict is in that order too, and nothing is lost on the way to draws.
    predicted = values(card, "predicted")
    assert predicted.keys() == {("y", "mean"), ("y", "top1")}
    assert predicted["y", "mean"] == pytest.approx(values(card)["y", "mean"], abs=0.02)
    assert predicted["y", "top1"] == pytest.approx(1, abs=0.1)
    assert list(card.wide().columns[2:4]) == ["fused", "predicted"]
    again = cross_score(pl.from_pandas(donors), ["y", "c"], ["x", "g"], **how)
    pd.testing.assert_frame_equal(card.table, again.table)


def test_predictions_are_weighted_and_relative_to_the_truth():
    """As by hand; not defined where draws are not."""
    rng = np.random.default_rng(2)
    truth = pd.DataFrame({"y": rng.gamma(1, 1, 200), "nought": np.append(np.zeros(199), [-1.0])})
    truth["w"] = rng.uniform(1, 3, 200)
    drawn = pd.concat([truth.assign(M=m)[["M", "y", "nought"]] for m in (1, 2)])
    how = {"weight": "w", "baselines": False, "classifier": False, "seed": 0, "quiet": True}
    card = score(truth, drawn, ["y", "nought"], **how)
    given = {name: truth[name].to_numpy() for name in ("y", "nought")}
    predicted = {"y": np.append(np.full(198, 2.0), [0.0, 50.0]), "nought": np.ones(200)}
    found = values(with_predicted(card, given, predicted, truth["w"].to_numpy()), "predicted")
    w = truth["w"].to_numpy()
    assert found["y", "mean"] == pytest.approx((w @ predicted["y"]) / (w @ given["y"]))
    top = 50 * w[-1] + 2 * (0.01 * w.sum() - w[-1])
    assert found["y", "top1"] == pytest.approx(top / (w @ predicted["y"]) / top_share(given["y"], w))
    assert np.isnan(found["nought", "top1"])


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
    with pytest.raises(SchemaError, match="at least 50 donors"):  # enough for the folds
        cross_score(donors.head(45), "y", "x", nfolds=20, seed=1, quiet=True)
