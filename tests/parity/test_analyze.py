"""Golden estimates of R: what `analyze()` of fusionModel 2.4.0 said of twenty implicates."""

import json

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy.errors import FusionWarning
from fusionpy.kernels.quantiles import group_quantiles

NOT_KEYS = ["N", "y", "level", "type", "est", "moe"]


def typed(frame, kinds):
    """Give factors their levels."""
    levels = {n: kinds[n] for n in frame if n in kinds and kinds[n]["kind"] in ("ordered", "nominal")}
    columns = {
        name: pd.Categorical(
            frame[name].astype(str), [str(v) for v in about["levels"]], about["kind"] == "ordered"
        )
        for name, about in levels.items()
    }
    return frame.assign(**columns)


def read(path):
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


@pytest.fixture(scope="module")
def data(shared):
    kinds = json.loads((shared / "data/recs2015_schema.json").read_text())
    recipient = read(shared / "data/recs2015.csv.gz").iloc[1::2].reset_index(drop=True)
    implicates = read(shared / "reference/implicates_readme_recipient_M20.csv.gz")
    return typed(recipient, kinds), typed(implicates, kinds)


def derived(frame):
    return pd.DataFrame(
        {
            "kwh_per_ft2": frame["electricity"] / frame["square_feet"],
            "use_natural_gas": frame["natural_gas"] > 0,
        }
    )


CALLS = {
    "mean": {"x": {"mean": ["electricity", "natural_gas", "aircon"]}, "static": None, "weight": None},
    "sum_by": {"x": {"sum": ["electricity", "insulation"]}, "by": "income"},
    "mean_by2": {"x": {"mean": ["electricity", "aircon", "square_feet"]}, "by": ["race", "urban_rural"]},
    "mean_rep": {
        "x": {"mean": ["electricity", "natural_gas", "insulation"]},
        "by": "climate",
        "rep_weights": [f"rep_{r}" for r in range(1, 97)],
        "var_scale": 4,
    },
    "median": {"x": {"mean": "electricity", "median": ["electricity", "square_feet"]}},
    "fun": {"x": {"mean": ["kwh_per_ft2", "use_natural_gas"]}, "fun": derived},
}


def compared(shared, data, name, **changed):
    """Ours and the golden table, in the order that both have."""
    recipient, implicates = data
    call = {"static": recipient, "weight": "weight", "pooling": "rubin", **CALLS[name], **changed}
    mine = fusionpy.analyze(call.pop("x"), implicates, quiet=True, **call)
    golden = pd.read_csv(
        shared / f"reference/analyze_{name}.csv",
        keep_default_na=False,
        na_values={"est": [""], "moe": ["", "NA"]},
    )
    keys = [*(column for column in golden if column not in NOT_KEYS), "y", "level", "type"]
    mine = pd.DataFrame(mine).assign(
        level=mine["level"].fillna("").replace({"True": "TRUE", "False": "FALSE"})
    )
    assert mine[keys].astype(str).to_numpy().tolist() == golden[keys].astype(str).to_numpy().tolist()
    assert mine["n"].tolist() == golden["N"].tolist()
    return mine, golden


@pytest.mark.parametrize("name", CALLS)
def test_golden_estimates_and_margins(shared, data, name):
    mine, golden = compared(shared, data, name)
    median = (golden["type"] == "median").to_numpy()
    for column in ("est", "moe"):
        ours, theirs = mine[column].to_numpy(), golden[column].to_numpy()
        assert ours[~median] == pytest.approx(theirs[~median], rel=1e-6, nan_ok=True)
    if median.any():
        # Medians depend on the order of equal values, see the next test.
        assert median.sum() == 2
        assert mine["est"][median].to_numpy() == pytest.approx(golden["est"][median].to_numpy(), rel=1e-4)
        assert mine["moe"][median].to_numpy() == pytest.approx(golden["moe"][median].to_numpy(), rel=5e-4)


def test_ties_move_medians_by_no_more_than_that(shared, data):
    """Records of one value stand in an order that sorting leaves open, each with its weight.

    The reference's interpolated median moves with it: the golden number lies between those of the two extreme
    orders, light records first and heavy records first; and so does ours, which does not depend on the order.
    """
    recipient, implicates = data
    golden = pd.read_csv(shared / "reference/analyze_median.csv")
    w = recipient["weight"].to_numpy()
    for name in ("electricity", "square_feet"):
        ends, ours = [], []
        for sign in (1, -1):
            medians, mine = [], []
            for _, frame in implicates.groupby("M"):
                x = frame[name].to_numpy(float)
                row = np.lexsort((sign * w, x))
                middle = np.cumsum(w[row]) - w[row] / 2
                medians.append(np.interp(w.sum() / 2, middle, x[row]))
                mine.append(group_quantiles(np.array([0, len(x)]), row, x, w, np.array([0.5]))[0])
            ends.append(np.mean(medians))
            ours.append(np.mean(mine))
        theirs = golden.loc[(golden["y"] == name) & (golden["type"] == "median"), "est"].item()
        assert min(ends) <= theirs <= max(ends)
        assert min(ends) <= ours[0] <= max(ends)
        assert ours[0] == pytest.approx(ours[1], rel=1e-12)
        assert max(ends) - min(ends) < 2e-3 * theirs


def test_fewer_replicate_weights_than_implicates(shared, data):
    """The reference refuses them; ours starts again with the first."""
    recipient, _ = data
    ten = CALLS["mean_rep"]["rep_weights"][:10]
    mine, golden = compared(shared, data, "mean_rep", rep_weights=ten)
    assert mine["est"].to_numpy() == pytest.approx(golden["est"].to_numpy(), rel=1e-6)
    same = pd.concat([recipient, recipient[ten].add_prefix("copy_")], axis=1)
    twice, _ = compared(
        shared, data, "mean_rep", static=same, rep_weights=[*ten, *(f"copy_{r}" for r in ten)]
    )
    assert mine["moe"].to_numpy() == pytest.approx(twice["moe"].to_numpy())


def test_groups_of_one_record(shared, data):
    """Their margins are missing for means; of shares the reference's variance is 0, ours with it."""
    recipient, implicates = data
    lonely = recipient[["weight"]].assign(who=np.where(np.arange(len(recipient)) == 7, "one", "rest"))
    how = {"static": lonely, "weight": "weight", "by": "who", "quiet": True}
    x = {"mean": ["electricity", "aircon"]}
    with pytest.warns(FusionWarning, match="1 margin of 10 is 0"):  # of a level that it has in no implicate
        reference = fusionpy.analyze(x, implicates, pooling="rubin", **how)
    ours = fusionpy.analyze(x, implicates, **how)
    for table, has_margin in ((reference, True), (ours, False)):
        one = table[table["who"] == "one"].set_index("type")
        assert np.isnan(one.loc["mean", "moe"])
        assert (one.loc["proportion", "moe"].notna() == has_margin).all()


def test_a_variable_that_is_zero_or_one_in_one_group_alone(data):
    """Fault 10: there the reference takes it for a proportion, ours only if it is 0 or 1 throughout."""
    recipient, implicates = data
    odd = implicates[["M"]].assign(x=(implicates["electricity"] > 9000) + 0.0)
    odd.loc[np.tile((recipient["climate"] != recipient["climate"].iloc[0]).to_numpy(), 20), "x"] *= 3
    how = {"static": recipient, "weight": "weight", "by": "climate", "pooling": "rubin", "quiet": True}
    mine = fusionpy.analyze("mean(x)", odd, **how)
    tripled = fusionpy.analyze("mean(x)", odd.assign(x=odd["x"] * 3), **how)
    assert tripled["moe"].to_numpy() == pytest.approx(3 * mine["moe"].to_numpy(), rel=1e-9)
    whole = odd.assign(x=np.minimum(odd["x"], 1.0))
    simple = fusionpy.analyze("mean(x)", whole, **how)
    same = fusionpy.analyze("mean(x)", whole.assign(x=whole["x"] * 3), **how)
    assert (np.abs(simple["moe"] / (same["moe"] / 3) - 1) > 1e-6).all()


def test_large_whole_numbers(data):
    """Fault 11: R's whole numbers overflow at 2**31."""
    recipient, implicates = data
    large = implicates[["M"]].assign(x=implicates["electricity"].astype("int64") * 1_000_000)
    weights = recipient.assign(weight=np.round(recipient["weight"]).astype("int64"))
    how = {"static": weights, "weight": "weight", "pooling": "rubin", "quiet": True}
    mine = fusionpy.analyze({"sum": "x"}, large, **how)
    plain = fusionpy.analyze({"sum": "electricity"}, implicates, **how)
    assert mine["est"].item() == pytest.approx(1e6 * plain["est"].item())
