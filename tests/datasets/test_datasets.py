"""The embedded sample surveys: shape and design, and the model of the population against its closed forms."""

from __future__ import annotations

import runpy
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusionpy import datasets
from fusionpy.datasets import population as model

FUSED = [
    name for entry in datasets.FUSION_VARIABLES for name in ([entry] if isinstance(entry, str) else entry)
]
SHARES = ["food_share", "housing_share", "other_share"]
INTEGERS = ["age", "hh_size", "rooms", "vehicles"]


@pytest.fixture(scope="module")
def donor() -> pd.DataFrame:
    return datasets.load_donor()


@pytest.fixture(scope="module")
def recipient() -> pd.DataFrame:
    return datasets.load_recipient()


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return datasets.load_truth()


@pytest.fixture(scope="module")
def population() -> pd.DataFrame:
    return datasets.simulate_population(60_000, seed=11)


def design_variance(sample: pd.DataFrame, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of the columns of `values` and their variances by the replicate weights."""
    weights = sample[["weight", *datasets.REPLICATE_WEIGHTS]].to_numpy(dtype=float)
    means = weights.T @ values / weights.sum(axis=0)[:, None]
    return means[0], 4 / 40 * ((means[1:] - means[0]) ** 2).sum(axis=0)


def observed(population: pd.DataFrame) -> pd.DataFrame:
    """The realised counterparts of the columns of `conditional_means`."""
    direct = population[["solar", "vehicles", "electricity", "gas_bill", "savings"]].astype(float)
    derived = {
        "saver": (population["savings"] > 0).astype(float),
        "log_food": np.log(population["food_share"] / population["other_share"]),
        "log_housing": np.log(population["housing_share"] / population["other_share"]),
    }
    for name in ("heating_fuel", "insulation"):
        for level in model.LEVELS[name]:
            derived[f"{name}.{level}"] = (population[name] == level).astype(float)
    return direct.assign(**derived)


def test_columns(donor: pd.DataFrame, recipient: pd.DataFrame, truth: pd.DataFrame) -> None:
    replicates = datasets.REPLICATE_WEIGHTS
    assert list(donor) == ["hid", *datasets.PREDICTORS, *FUSED, "weight", *replicates]
    assert list(recipient) == ["hid", *datasets.PREDICTORS, "weight"]
    assert list(truth) == ["hid", *FUSED]
    assert (len(donor), len(recipient), len(truth)) == (4_000, 20_000, 20_000)
    assert all(name.isidentifier() for name in donor)


def test_types(donor: pd.DataFrame, recipient: pd.DataFrame, truth: pd.DataFrame) -> None:
    simulated = datasets.simulate_population(10, seed=1).dtypes
    for data in (donor, recipient, truth):
        for name in data.columns.intersection(simulated.index):
            assert data[name].dtype == simulated[name], name
            if name in model.LEVELS:
                assert list(data[name].cat.categories) == model.LEVELS[name]
                assert data[name].cat.ordered == (name in {"education", "year_built", "insulation"})
        assert (data[data.columns.intersection(INTEGERS)].dtypes == np.int32).all()
    assert (donor[datasets.REPLICATE_WEIGHTS].dtypes == np.int32).all()


def test_values(donor: pd.DataFrame, recipient: pd.DataFrame, truth: pd.DataFrame) -> None:
    for x in (donor, recipient):
        assert x["age"].between(18, 95).all()
        assert x["hh_size"].between(1, 8).all()
        assert x["rooms"].between(1, 12).all()
        assert 0.02 < x["income"].isna().mean() < 0.04
        assert not x[datasets.PREDICTORS].drop(columns="income").isna().any(axis=None)
    for y in (donor, truth):
        assert not y[FUSED].isna().any(axis=None)
        np.testing.assert_allclose(y[SHARES].sum(axis=1), 1, rtol=0, atol=1e-12)
        assert (y[SHARES] > 0).all(axis=None)
        assert ((y["gas_bill"] > 0) == (y["heating_fuel"] == "piped_gas")).all()
        assert (y["electricity"] > 0).all()
        assert 0.03 < y["solar"].mean() < 0.08
        assert 0.2 < (y["savings"] == 0).mean() < 0.3
        assert y["vehicles"].between(0, 6).all()


def test_truth_is_that_of_the_recipients(recipient: pd.DataFrame, truth: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(truth["hid"], recipient["hid"])
    # A shifted or shuffled truth would not agree with the expectations given the predictors.
    mean = datasets.conditional_means(recipient)["electricity"]
    known = mean.notna()
    assert np.corrcoef(np.log(mean[known]), np.log(truth["electricity"][known]))[0, 1] > 0.6


def test_households_are_disjoint(donor: pd.DataFrame, recipient: pd.DataFrame) -> None:
    together = pd.concat([donor["hid"], recipient["hid"]])
    assert together.is_unique
    assert together.between(1, 1_000_000).all()


def test_weighted_margins_agree(donor: pd.DataFrame, recipient: pd.DataFrame) -> None:
    for data in (donor, recipient):
        assert data["weight"].sum() == pytest.approx(1_000_000, abs=1e-6)
    for name in ("region", "urban", "dwelling", "tenure", "education"):
        shares = [d.groupby(name, observed=False)["weight"].sum() / 1e6 for d in (donor, recipient)]
        np.testing.assert_allclose(shares[0], shares[1], rtol=0, atol=1e-4)
    for name in ("age", "rooms", "income"):  # not raked, or only by groups
        means = [
            np.average(d[name].dropna(), weights=d["weight"][d[name].notna()]) for d in (donor, recipient)
        ]
        assert means[0] == pytest.approx(means[1], rel=0.02)


def test_replicate_weights_of_the_donor(
    donor: pd.DataFrame, truth: pd.DataFrame, recipient: pd.DataFrame
) -> None:
    replicates = donor[datasets.REPLICATE_WEIGHTS].to_numpy()
    assert replicates.min() >= 0
    np.testing.assert_allclose(replicates.mean(axis=1), donor["weight"], rtol=0.02)
    # Half of the households are up, half down, by one half but for the raking.
    ratio = replicates / donor["weight"].to_numpy()[:, None]
    assert np.mean(np.minimum(abs(ratio - 0.5), abs(ratio - 1.5)) < 0.2) > 0.99
    np.testing.assert_allclose((ratio > 1).mean(axis=0), 0.5, atol=0.03)
    # No variance in the raked margins, a plausible one elsewhere.
    owner = (donor["tenure"] == "owner").to_numpy(dtype=float)
    y = donor[["electricity", "vehicles"]].to_numpy(dtype=float)
    mean, variance = design_variance(donor, np.column_stack([owner, y]))
    assert variance[0] < 1e-8
    np.testing.assert_array_less(0.3 * y.var(axis=0) / len(y), variance[1:])
    np.testing.assert_array_less(variance[1:], 2 * y.var(axis=0) / len(y))
    known = np.average(
        truth[["electricity", "vehicles"]].to_numpy(dtype=float), axis=0, weights=recipient["weight"]
    )
    assert (abs(mean[1:] - known) < 4 * np.sqrt(variance[1:])).all()


def test_replicate_weights_of_the_recipient(recipient: pd.DataFrame) -> None:
    data = datasets.load_recipient(replicates=True)
    assert list(data) == [*recipient, *datasets.REPLICATE_WEIGHTS]
    replicates = data[datasets.REPLICATE_WEIGHTS]
    assert (replicates > 0).all(axis=None)
    np.testing.assert_allclose(replicates.sum(), 1_000_000, rtol=1e-5)
    np.testing.assert_allclose(replicates.mean(axis=1), data["weight"], rtol=0.02)


def test_hadamard_matrix() -> None:
    matrix = datasets._hadamard_40()
    np.testing.assert_array_equal(matrix @ matrix.T, 40 * np.eye(40))
    np.testing.assert_array_equal(matrix[:, 0], 1)


@pytest.mark.slow
def test_replicates_estimate_the_variance_of_the_design(population: pd.DataFrame) -> None:
    small = population.iloc[:20_000]
    y = ["electricity", "vehicles", "rooms", "food_share"]
    results = []
    for seed in range(40):
        sample = datasets.sample_survey(small, 500, seed)
        results.append(design_variance(sample, sample[y].to_numpy(dtype=float)))
    means, variances = (np.array(part) for part in zip(*results, strict=True))
    error = np.sqrt(means.var(axis=0, ddof=1) / len(means))
    assert (abs(means.mean(axis=0) - small[y].mean().to_numpy()) < 4 * error).all()
    ratio = variances.mean(axis=0) / means.var(axis=0, ddof=1)
    assert ((ratio > 0.5) & (ratio < 2)).all(), ratio


def test_samples_of_small_populations(population: pd.DataFrame) -> None:
    small = population.iloc[:3_000]
    donor = datasets.sample_survey(small, 100, seed=1, replicates=False)
    others = small.drop(donor.index)
    recipient = datasets.sample_survey(others, 600, 2, design="recipient", control=small)
    assert not donor.index.intersection(recipient.index).size
    assert recipient["weight"].sum() == pytest.approx(3_000)
    pd.testing.assert_frame_equal(recipient[small.columns], small.loc[recipient.index])


@pytest.mark.parametrize(
    ("n", "message"), [(0, "positive multiple of 10"), (15, "positive multiple of 10"), (700, "is too large")]
)
def test_impossible_samples(population: pd.DataFrame, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.sample_survey(population.iloc[:2_000], n, seed=1)


def test_simulation_is_reproducible() -> None:
    first = datasets.simulate_population(500, seed=3)
    pd.testing.assert_frame_equal(first, datasets.simulate_population(500, seed=3))
    pd.testing.assert_frame_equal(first.iloc[:100], datasets.simulate_population(100, seed=3))
    assert not first.equals(datasets.simulate_population(500, seed=4))


def test_files_are_those_of_the_model(recipient: pd.DataFrame, truth: pd.DataFrame) -> None:
    head = datasets.simulate_population(2_000, seed=20261121)
    rows = recipient.index[recipient["hid"] <= len(head)]
    households = head.iloc[recipient.loc[rows, "hid"] - 1].reset_index(drop=True)
    stored = recipient.join(truth.drop(columns="hid")).loc[rows, list(head)].reset_index(drop=True)
    assert len(rows) > 20
    pd.testing.assert_frame_equal(stored, households)


@pytest.mark.parametrize("by", ["region", "education", "tenure", "heating_fuel"])
def test_means_of_cells_are_those_of_the_closed_form(population: pd.DataFrame, by: str) -> None:
    complete = population.dropna()
    gap = observed(complete) - datasets.conditional_means(complete)
    if by == "heating_fuel":  # not a predictor: only what is independent of it given the predictors
        gap = gap[["solar", "vehicles", "savings", "saver", "log_food", "log_housing"]]
    cells = gap.groupby(complete[by], observed=True)
    z = cells.mean() / cells.sem()
    assert (z.abs() < 5).all(axis=None), z.round(1)


def test_one_cell_by_hand(population: pd.DataFrame) -> None:
    # Renters of flats in the urban pacific: the probability of solar and the mean log-ratio, written out.
    cell = population.query(
        "region == 'pacific' and urban and tenure == 'renter' and dwelling == 'apartment'"
    ).dropna()
    z = np.log((cell["income"] + 5_000) / 65_000)
    means = datasets.conditional_means(cell)
    np.testing.assert_allclose(means["solar"], 1 / (1 + np.exp(3.4 - 0.5 * z)))
    np.testing.assert_allclose(means["log_housing"], -0.45 - 0.22 * z + 0.25 + 0.2 + 0.1)
    ratio = np.log(cell["housing_share"] / cell["other_share"])
    assert ratio.mean() == pytest.approx(means["log_housing"].mean(), abs=4 * 0.37 / np.sqrt(len(cell)))
    assert (ratio - means["log_housing"]).std() == pytest.approx(np.hypot(0.1, 0.35), rel=0.1)


def test_thrift_ties_the_fusion_variables(population: pd.DataFrame) -> None:
    gas = population.query("heating_fuel == 'piped_gas' and not solar").dropna()
    codes = {name: gas[name].cat.codes.to_numpy(dtype=np.intp) for name in model.LEVELS}
    eq = model._equations(
        codes
        | {name: gas[name].to_numpy(dtype=float) for name in ("urban", "age", "income", "hh_size", "rooms")}
    )
    level = codes["insulation"]
    electricity = (np.log(gas["electricity"]) - eq.electricity + 0.06 * level) / np.hypot(
        0.2, eq.electricity_sd
    )
    gas_bill = (np.log(gas["gas_bill"]) - eq.gas_bill + 0.1 * level) / np.hypot(0.25, 0.35)
    food = (np.log(gas["food_share"] / gas["other_share"]) - eq.food) / np.hypot(0.2, 0.3)
    residuals = pd.DataFrame({"electricity": electricity, "gas_bill": gas_bill, "food": food})
    loadings = pd.DataFrame(
        {"electricity": -0.2 / np.hypot(0.2, eq.electricity_sd), "gas_bill": -0.25 / np.hypot(0.25, 0.35),
         "food": 0.2 / np.hypot(0.2, 0.3)}
    )  # fmt: skip
    for a, b in [("electricity", "gas_bill"), ("electricity", "food"), ("gas_bill", "food")]:
        expected = (loadings[a] * loadings[b]).mean()
        assert (residuals[a] * residuals[b]).mean() == pytest.approx(expected, abs=0.03)


def test_income_enters_even_where_it_is_missing(population: pd.DataFrame) -> None:
    unknown = population["income"].isna()
    means = datasets.conditional_means(population)
    pd.testing.assert_series_equal(means["electricity"].isna(), unknown, check_names=False)
    assert means["gas_bill"].isna().equals(unknown)
    assert means.filter(like="heating_fuel").notna().all(axis=None)
    share = unknown.groupby(population["age"] >= 65).mean()
    np.testing.assert_allclose(share, [0.02, 0.05], atol=0.006)


def test_files_are_small() -> None:
    folder = resources.files("fusionpy.datasets")
    files = [Path(str(file)) for file in folder.iterdir() if file.name.endswith(".parquet")]
    assert sorted(file.name for file in files) == ["donor.parquet", "recipient.parquet", "truth.parquet"]
    assert sum(file.stat().st_size for file in files) < 1_000_000


def test_weights_are_rounded_to_their_total() -> None:
    script = runpy.run_path(str(Path(__file__).resolve().parents[2] / "data-raw" / "make_samples.py"))
    rounded = script["round_to_total"](pd.Series([1.26, 2.37, 3.37]), 7)
    assert rounded.tolist() == [1.2, 2.4, 3.4]
