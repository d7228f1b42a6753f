"""The held-out study: its arithmetic, its own methods, and its committed tables."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

FOLDER = Path(__file__).resolve().parents[2] / "validation" / "holdout"


def load(name):
    spec = importlib.util.spec_from_file_location(f"holdout_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run():
    return load("run")


@pytest.fixture(scope="module")
def tables():
    return load("tables")


@pytest.fixture(scope="module")
def peers():
    return load("peers")


@pytest.fixture(scope="module")
def task(peers):
    rng = np.random.default_rng(0)
    n = 400
    donor = pd.DataFrame(
        {"age": rng.integers(20, 80, n), "tenure": pd.Categorical(rng.choice(list("abc"), n))}
    )
    donor["kwh"], donor["row"] = rng.normal(size=n), np.arange(n)
    donor["weight"] = rng.random(n)
    donor.loc[:99, "weight"] = 0.0
    return peers.Task(donor, ["kwh", "row"], ["age", "tenure"], "weight", M=200, seed=1, cores=1)


# Arithmetic ---------------------------------------------------------------------------------------------


def test_interval_is_students(tables):
    values = np.array([0.01, 0.03, 0.02, 0.05, -0.01])
    low, high = stats.t.interval(0.9, 4, values.mean(), stats.sem(values))
    assert tables.interval(values) == pytest.approx((values.mean(), low, high))
    _, wide_low, wide_high = tables.interval(values, 0.25)
    assert (wide_high - wide_low) / (high - low) == pytest.approx(np.sqrt((0.2 + 0.25) / 0.2))


def test_summary_of_a_constant_ratio_and_difference(tables):
    base = pd.DataFrame(
        {"way": "default", "split": range(3), "energy": [0.7, 0.8, 0.9], "auc": [0.5, 0.51, 0.52]}
    )
    base[["crps kwh", "brier fuel", "w1 kwh", "cover90 kwh"]] = 0.5
    other = base.assign(way="other", energy=base["energy"] * 1.1, auc=base["auc"] + 0.02).iloc[:2]
    found = tables.summarise(pd.concat([base, other])).set_index(["way", "measure"])
    energy, auc = found.loc[("other", "energy")], found.loc[("other", "auc")]
    assert energy[["to_default", "low", "high"]].to_list() == pytest.approx([1.1] * 3)
    assert auc[["to_default", "low", "high"]].to_list() == pytest.approx([0.02] * 3)
    assert (energy["splits"], energy["worse"], energy["compared"]) == (2, 2, "ratio")
    assert auc["compared"] == "difference"
    assert found.loc[("default", "energy"), "to_default"] == 1


# Methods ------------------------------------------------------------------------------------------------


def test_hot_deck_takes_whole_records_of_the_nearest_by_weight(peers, task):
    recipient = task.donor[task.x].iloc[[150, 250]]
    drawn = pd.concat([frame.assign(place=[0, 1]) for frame in peers.hot_deck(task)(recipient)])
    donor = task.donor.set_index("row")
    assert (donor.loc[drawn["row"], "kwh"].to_numpy() == drawn["kwh"].to_numpy()).all()
    scaled = peers.columns_of(task.donor[task.x], nominal_scale=True)
    for place, row in ((0, 150), (1, 250)):
        mine = drawn.loc[drawn["place"] == place, "row"]
        distance = np.linalg.norm(scaled - scaled[row], axis=1)
        assert distance[mine].max() <= np.sort(distance)[9] + 0.05
        shares = mine.value_counts(normalize=True)
        weights = donor.loc[shares.index, "weight"]
        assert (weights > 0).all()
        assert shares.to_numpy() == pytest.approx((weights / weights.sum()).to_numpy(), abs=0.12)


def test_unconditional_draws_follow_the_weights(peers, task):
    drawn = pd.concat(list(peers.unconditional(task)(task.donor[task.x])))
    share = drawn["row"].value_counts(normalize=True).reindex(task.donor["row"], fill_value=0)
    assert share.to_numpy() == pytest.approx((task.w / task.w.sum()), abs=0.001)


def test_draws_from_leaves_follow_the_forests_weights(peers):
    rng = np.random.default_rng(0)
    leaves, w = rng.integers(0, 3, (12, 4)), rng.random(12)
    reached = np.tile(leaves[5], (40_000, 1))
    rows = peers.draw_from_leaves(leaves, reached, w, rng)
    inside = (leaves == leaves[5]) * w[:, None]
    expected = (inside / inside.sum(axis=0)).mean(axis=1)
    assert np.bincount(rows, minlength=12) / len(rows) == pytest.approx(expected, abs=0.01)


def test_classes_are_drawn_by_their_probabilities(peers):
    like = pd.Series(pd.Categorical(["b", "a", "c"]))
    probability = np.tile([0.2, 0.0, 0.8], (20_000, 1))
    drawn = peers.draw_class(probability, np.array(["a", "b", "c"]), like, np.random.default_rng(0))
    assert drawn.dtype == like.dtype
    assert pd.Series(drawn).value_counts(normalize=True)[["a", "b", "c"]].to_list() == pytest.approx(
        [0.2, 0.0, 0.8], abs=0.01
    )


def test_own_crps_is_the_packages(peers):
    from fusionpy.kernels.scores import fair_crps

    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(9, 5)), rng.normal(size=9)
    assert peers.crps(draws, truth) == pytest.approx(fair_crps(draws, truth))


# What is committed --------------------------------------------------------------------------------------


def test_every_way_has_every_split(run):
    scores = pd.read_csv(FOLDER / "scores.csv")
    assert scores.groupby("way")["split"].agg(list).to_dict() == {
        way: [0, 1, 2] if way == run.REFERENCE else [0, 1, 2, 3, 4] for way in run.WAYS
    }
    assert scores.loc[scores["way"] != run.FLOOR, "energy"].notna().all()


def test_scores_of_r_are_the_references(run, shared):
    golden = json.loads((shared / "reference" / "holdout.json").read_text())["seeds"]
    scores = pd.read_csv(FOLDER / "scores.csv").set_index(["way", "split"])
    for seed, entry in golden.items():
        expected = pd.Series(run.flatten(entry["score"]))
        found = scores.loc[(run.REFERENCE, int(seed)), expected.index].astype(float)
        assert found.to_numpy() == pytest.approx(expected.to_numpy(), abs=5.1e-6)


def test_summary_and_page_follow_from_the_scores(tables):
    scores = pd.read_csv(FOLDER / "scores.csv")
    summary = tables.summarise(scores)
    committed = pd.read_csv(FOLDER / "summary.csv")
    pd.testing.assert_frame_equal(summary, committed, check_dtype=False, atol=6e-6, rtol=0)
    page = (FOLDER / "README.md").read_text()
    assert tables.with_tables(page, summary, scores) == page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_committed_row_is_made_again(run, shared):
    run.check(["unconditional draw"], [0], sys.executable)
