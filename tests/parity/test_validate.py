"""Golden numbers of fusionModel's `validate()`, and of its one-dimensional k-means."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import t as student

from fusionpy.bridge.calls import CALLS
from fusionpy.evaluation.validation import validate
from fusionpy.kernels.classes import cut_classes

KEYS = ["id", "y", "level"]


@pytest.fixture(scope="module")
def kinds(shared):
    return json.loads((shared / "data/recs2015_schema.json").read_text())


@pytest.fixture(scope="module")
def recs(shared):
    return pd.read_csv(shared / "data/recs2015.csv.gz", keep_default_na=False, na_values=[""])


def typed(frame, kinds):
    frame = frame.reset_index(drop=True)
    for name in frame.columns.intersection(list(kinds)):
        kind = kinds[name]["kind"]
        if kind in ("ordered", "nominal"):
            frame[name] = pd.Categorical(frame[name], kinds[name]["levels"], ordered=kind == "ordered")
    return frame


@pytest.fixture(scope="module")
def validation(shared, recs, kinds):
    fused = pd.read_csv(
        shared / "reference/implicates_readme_donor_M40.csv.gz", keep_default_na=False, na_values=[""]
    )
    names = ["income", "age", "race", "education"]
    return validate(typed(recs.iloc[::2], kinds), typed(fused, kinds), names, plot=False, quiet=True)


@pytest.fixture(scope="module")
def both(validation, shared):
    golden = pd.read_csv(shared / "reference/validate_data.csv")
    golden.columns = golden.columns.str.replace(".", "_")
    golden = golden.fillna({"level": ""}).sort_values(KEYS, ignore_index=True)
    mine = validation.table.astype({"level": object}).fillna({"level": ""})
    return mine.sort_values(KEYS, ignore_index=True), golden


def test_subsets_are_the_reference_s(both):
    mine, golden = both
    assert len(mine) == len(golden) == 1430
    assert mine[KEYS].astype(str).equals(golden[KEYS].astype(str))


@pytest.mark.parametrize("column", ["share", "est_obs", "est_sim", "moe_sim", "est_mean"])
def test_estimates_are_the_reference_s(both, column):
    mine, golden = both
    assert mine[column].to_numpy() == pytest.approx(golden[column].to_numpy(), rel=1e-9, abs=1e-12)


def test_observed_margins_are_the_reference_s(both):
    # It gets n back as the whole part of share * N, which rounding makes one too small in some subsets: so
    # its degrees of freedom there are n - 2.
    mine, golden = both
    n = mine["n"].to_numpy()
    df = np.floor(mine["share"].to_numpy() * 2843) - 1
    theirs = golden["moe_obs"].to_numpy() * student.ppf(0.95, n - 1) / student.ppf(0.95, df)
    assert ((df == n - 1) | (df == n - 2)).all()
    assert mine["moe_obs"].to_numpy() == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert mine["moe_obs"].to_numpy() == pytest.approx(golden["moe_obs"].to_numpy(), rel=1e-3, abs=1e-12)


def test_averages_are_near_the_reference_s(validation, shared):
    golden = pd.read_csv(shared / "reference/validate_perf.csv").set_index("y")
    ratio = validation.summary.set_index("y").loc[golden.index] / golden - 1
    # Its curve of this one goes up and down again between shares of 0.4 and 0.7, where there are no subsets.
    assert ratio.loc["electricity", "est"] == pytest.approx(-0.24, abs=0.02)
    ratio.loc["electricity", "est"] = 0.0
    assert (ratio.abs() < 0.10).all(axis=None), ratio


def test_curves_are_near_the_reference_s_where_subsets_are(validation, shared):
    golden = pd.read_csv(shared / "reference/validate_smooth.csv")  # its `y` is the value, `VAR` the variable
    shares = np.unique(validation.table["share"])
    off = []
    for (metric, name), part in validation.smooth.groupby(["metric", "y"]):
        theirs = golden[(golden["metric"] == metric) & (golden["VAR"] == name)]
        mine = np.interp(shares, part["share"], part["value"])
        other = np.interp(shares, theirs["SHR"], theirs["y"])
        off.append(np.abs(mine - other).mean() / other.mean())
    assert len(off) == 15
    assert np.median(off) < 0.07
    assert max(off) < 0.17


def test_classes_are_the_reference_s(recs, kinds, shared):
    golden = pd.read_csv(shared / "reference/unicluster5.csv.gz")
    for name in golden.columns:
        ordered = kinds[name]["kind"] == "ordered"
        x = pd.Categorical(recs[name], kinds[name]["levels"]).codes if ordered else recs[name]
        assert (cut_classes(np.asarray(x, dtype=float)) + 1).tolist() == golden[name].tolist()


# As R gets them: five implicates, a logical among the variables, with and without weights; rows in R's order.


@pytest.fixture(scope="module")
def five(shared, recs, kinds):
    fused = pd.read_csv(
        shared / "reference/implicates_readme_donor_M40.csv.gz", keep_default_na=False, na_values=[""]
    )
    frames = {"observed": recs.iloc[::2], "implicates": fused[fused["M"] <= 5]}
    made = {}
    for name, frame in frames.items():
        frame = typed(frame, kinds).copy()
        frame["rich"] = frame["electricity"] > 10000
        made[name] = pa.Table.from_pandas(frame, preserve_index=False)
    return made


def as_r_gets_them(five, weight):
    subsets = ["income", "age", "race", "urban_rural"]
    arguments = {"subset_vars": subsets, "weight": weight, "min_size": 30, "cores": 1, "y": None}
    return CALLS["validate"](arguments, five, None)


def golden_rows(shared, name):
    golden = pd.read_csv(shared / "reference/original" / name, keep_default_na=False, na_values=[""])
    golden.columns = golden.columns.str.replace(".", "_")
    return golden


@pytest.mark.parametrize(
    ("weight", "file"), [(None, "validate_rows.csv.gz"), ("weight", "validate_weighted_rows.csv.gz")]
)
def test_rows_are_the_reference_s_in_its_order(five, shared, weight, file):
    answer = as_r_gets_them(five, weight)
    mine, golden = answer.frames["table"].to_pandas(), golden_rows(shared, file)
    assert mine.columns.to_list() == golden.columns.to_list()
    assert mine[KEYS].astype(object).fillna("").equals(golden[KEYS].astype(object).fillna(""))
    for column in ["share", "est_obs", "est_sim", "moe_sim", "est_mean"]:
        assert mine[column].to_numpy() == pytest.approx(golden[column].to_numpy(), rel=1e-6, nan_ok=True)
    n = np.round(golden["share"] * 2843)
    slipped = ~np.isclose(mine["moe_obs"], golden["moe_obs"], rtol=1e-6, atol=1e-12)
    assert 0 < slipped.sum() < 0.1 * len(golden)
    mended = golden["moe_obs"] * np.where(slipped, student.ppf(0.95, n - 1) / student.ppf(0.95, n - 2), 1)
    assert mine["moe_obs"].to_numpy() == pytest.approx(mended.to_numpy(), rel=1e-6, abs=1e-12)
    assert answer.value["sizes"]["subsets"] == golden["id"].nunique()
    assert len(answer.value["agreement"]) == 13
    assert all(0 < r < 1 for r in answer.value["agreement"])


def test_agreement_is_a_weighted_correlation(five):
    rows = {name: table.to_pandas() for name, table in five.items()}
    x = np.tile(rows["observed"]["electricity"], 5)
    y, w = rows["implicates"]["electricity"], np.tile(rows["observed"]["weight"], 5)
    dx, dy = x - np.average(x, weights=w), y - np.average(y, weights=w)
    expected = np.sum(w * dx * dy) / np.sqrt(np.sum(w * dx**2) * np.sum(w * dy**2))
    agreement = as_r_gets_them(five, "weight").value["agreement"]
    assert min(abs(np.array(agreement) - expected)) < 1e-12


def test_averages_are_missing_in_r_where_the_reference_s_are(five, shared):
    table = as_r_gets_them(five, "weight").frames["table"]
    answer = CALLS["plot_valid"]({"cores": 1}, {"table": table}, None)
    golden = pd.read_csv(shared / "reference/original/validate_weighted_perf.csv").set_index("y")
    perf = answer.frames["perf"].to_pandas().set_index("y").loc[golden.index]
    assert perf.isna().equals(golden.isna())
    assert sorted(answer.value["undefined"]) == ["aircon", "insulation"]
    assert (perf / golden - 1).abs().max(axis=None) < 0.20


def test_curves_of_few_subsets_are_near_the_reference_s(five, shared):
    table = as_r_gets_them(five, "weight").frames["table"]
    smooth = CALLS["plot_valid"]({"cores": 1}, {"table": table}, None).frames["smooth"].to_pandas()
    golden = pd.read_csv(shared / "reference/original/validate_weighted_smooth.csv.gz")
    shares = np.unique(table["share"])
    off = {}
    for (metric, name), part in smooth.groupby(["metric", "y"]):
        theirs = golden[(golden["metric"] == metric) & (golden["VAR"] == name)]
        mine = np.interp(shares, part["share"], part["value"])
        other = np.interp(shares, theirs["SHR"], theirs["y"])
        off[metric, name] = np.abs(mine - other).mean() / other.mean()
    assert len(off) == 18
    assert np.median(list(off.values())) < 0.11
    assert max(off.values()) < 0.35
