"""Rules: what is written is understood, and every fused record obeys."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusionpy
from fusionpy import datasets
from fusionpy.errors import ArgumentError, FusionError, Problems
from fusionpy.model.rules import Rule, limits, parse_rule, read_rules

TINY: dict[str, Any] = {
    "refits": 2,
    "nfolds": 2,
    "nquantiles": 2,
    "nclusters": 50,
    "hyper": {"num_iterations": 8},
    "seed": 1,
    "quiet": True,
}
X = ["region", "urban", "age", "rooms", "hh_size", "income"]


@pytest.fixture(scope="module")
def donor() -> pd.DataFrame:
    frame = datasets.load_donor().head(800).copy()
    frame["power_bill"] = 0.15 * frame["electricity"]
    frame["bills"] = frame["gas_bill"] + frame["power_bill"]
    u = np.random.default_rng(1).random(len(frame))
    frame["debt"] = np.floor(u * frame["savings"]).astype("int64")
    frame["vehicles"] = np.minimum(frame["vehicles"], frame["hh_size"])
    frame["rest"] = 1 - frame["food_share"] - frame["housing_share"]
    frame["has_gas"] = frame["heating_fuel"] == "piped_gas"
    return frame


@pytest.fixture(scope="module")
def recipient() -> pd.DataFrame:
    return datasets.load_recipient().head(400)


# --- Reading

GAS_OR_OIL = ("piped gas", "oil")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("total = a + b", Rule("sum", "total", ("a", "b"))),
        ("a + b + c=total", Rule("sum", "total", ("a", "b", "c"))),
        ("1.5 = a + b", Rule("sum", "", ("a", "b"), value=1.5)),
        ("a<=b", Rule("most", "a", other="b")),
        ("0 <= a", Rule("least", "a", value=0.0)),
        ("a >= -1e3", Rule("least", "a", value=-1000.0)),
        ("gas = 0 unless has.gas", Rule("zero", "gas", other="has.gas")),
        ("gas = 0 unless fuel in piped gas | oil", Rule("zero", "gas", other="fuel", levels=GAS_OR_OIL)),
        ("rent falls with age", Rule("falls", "rent", other="age")),
    ],
)  # fmt: skip
def test_rules_are_read_and_written(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(rule.text) == rule


@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_none(text: str) -> None:
    rule = parse_rule(text)
    assert rule is None or parse_rule(rule.text) == rule


@pytest.mark.parametrize(
    "text", ["", "a", "a = b", "a < b", "1 <= 2", "a + b", "a = b - c", "a = 1 unless b", "+ = +"]
)
def test_what_is_not_understood(text: str) -> None:
    assert parse_rule(text) is None


def test_all_problems_at_once() -> None:
    problems = Problems(ArgumentError, "No.")
    read_rules(["a < b", "a = b + c"], 5, {"a": {"b": 0}}, problems)
    assert len(problems.found) == 4


# --- Drawing within bounds


@given(st.integers(0, 2**32 - 1))
def test_limits_equal_brute_force(seed: int) -> None:
    """Several rules at once; a bound that is missing, or of a variable of the same step, is none."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.choice([-1.0, 0.0, 2.0, 2.5, np.inf, np.nan], 20) for name in "abc"}
    texts = ["y <= a", "y <= b", "y >= c", "y <= 2", "y >= 0", "y >= b", "z <= a", "a >= y", "y <= with"]
    rules = [parse_rule(text) for text in rng.choice(texts, rng.integers(1, 6))]
    mine = [r for r in rules if r is not None and r.variable == "y" and r.other != "with"]
    found = limits([r for r in rules if r is not None], "y", ["y", "with"], columns.__getitem__, 20)
    if not mine:
        assert found is None
        return
    assert found is not None
    for i in range(20):
        low, high = -np.inf, np.inf
        for rule in mine:
            bound = columns[rule.other][i] if rule.other else rule.value
            if not np.isnan(bound):
                low, high = (low, min(high, bound)) if rule.kind == "most" else (max(low, bound), high)
        assert (found[0][i], found[1][i]) == (low, high)


# --- Fused records obey


Y = ["heating_fuel", "bills", "gas_bill", "power_bill", "savings", "debt", "vehicles"]
DEMANDED: dict[str, Any] = {
    "identities": "bills = gas_bill + power_bill",
    "bounds": ["debt <= savings", "gas_bill = 0 unless heating_fuel in piped_gas", "vehicles <= hh_size"],
}


@pytest.fixture(scope="module")
def model(donor: pd.DataFrame) -> fusionpy.FusionModel:
    return fusionpy.train(donor, Y, X, weight="weight", **DEMANDED, **TINY)


def test_every_fused_record_obeys(
    model: fusionpy.FusionModel, donor: pd.DataFrame, recipient: pd.DataFrame, tmp_path: Path
) -> None:
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    read = fusionpy.read_fsn(tmp_path / "model.fsn")
    assert read.rules == model.rules
    fused = fusionpy.fuse(recipient, read, M=4, seed=1, quiet=True)
    assert (fused["bills"] - fused["gas_bill"] - fused["power_bill"]).abs().max() <= 1e-9
    assert (fused["debt"] <= fused["savings"]).all()
    assert (fused.loc[fused["heating_fuel"] != "piped_gas", "gas_bill"] == 0).all()
    assert (fused["vehicles"] <= np.tile(recipient["hh_size"], 4)).all()
    # Where no donor of the pool fits, the bound is taken, whole for a whole number.
    assert fused["debt"].dtype == donor["debt"].dtype
    assert fused["debt"].isin(donor["debt"]).mean() > 0.95
    assert set(fused.columns) == {"M", *Y}
    assert fused.equals(fusionpy.fuse(recipient, model, M=4, seed=1, quiet=True, cores=2, chunk=97))


def test_bounds_cut_off_no_more_than_they_must(
    model: fusionpy.FusionModel, donor: pd.DataFrame, recipient: pd.DataFrame
) -> None:
    """Beside the same draws without the bounds: what was within them stays, what was not comes near them."""
    free = replace(model, rules=tuple(rule for rule in model.rules if rule.kind == "sum"))
    bound = fusionpy.fuse(recipient, model, M=5, seed=1, quiet=True)
    loose = fusionpy.fuse(recipient, free, M=5, seed=1, quiet=True)
    same = (bound["savings"] == loose["savings"]) & (bound["gas_bill"] == loose["gas_bill"])
    within = same & (loose["debt"] <= loose["savings"])
    assert within.mean() > 0.3
    assert (bound.loc[within, "debt"] == loose.loc[within, "debt"]).all()
    beyond = same & (loose["debt"] > loose["savings"])
    assert (bound.loc[beyond, "debt"] >= 0.5 * bound.loc[beyond, "savings"]).mean() > 0.8


def test_a_total_is_a_derived_step_of_expectations_too(model: fusionpy.FusionModel) -> None:
    names = [v.name for v in model.schema.y]
    sizes = [max(v.n_classes, 1) for v in model.schema.y]
    place = dict(zip(names, np.cumsum([0, *sizes[:-1]]), strict=True))
    assert names.index("bills") == names.index("power_bill") + 1
    assert "bills" not in [name for step in model.steps for name in step.variables]
    assert "bills" in model.steps[-1].predictors
    assert model.known is not None
    expected = model.known.expected
    parts = expected[:, place["gas_bill"]] + expected[:, place["power_bill"]]
    assert np.nanmax(np.abs(expected[:, place["bills"]] - parts)) < 1e-9


def test_shares_become_a_block(donor: pd.DataFrame, recipient: pd.DataFrame) -> None:
    model = fusionpy.train(
        donor, ["food_share", "vehicles", "housing_share", "rest"], X,
        identities="food_share + housing_share + rest = 1", **TINY,
    )  # fmt: skip
    assert [step.variables for step in model.steps] == [
        ("food_share", "housing_share", "rest"),
        ("vehicles",),
    ]
    fused = fusionpy.fuse(recipient, model, M=20, seed=1, quiet=True)
    assert (fused[["food_share", "housing_share", "rest"]].sum(axis=1) - 1).abs().max() <= 1e-9


def test_shares_of_recs(shared: Path) -> None:
    frame = pd.read_csv(shared / "data" / "recs2015.csv.gz", keep_default_na=False, na_values=[""])
    for name, about in json.loads((shared / "data" / "recs2015_schema.json").read_text()).items():
        if about["levels"]:
            levels = about["levels"]
            frame[name] = pd.Categorical(frame[name].astype(str), levels, ordered=about["kind"] == "ordered")
    shares = ["heating_share", "cooling_share", "other_share"]
    donor, recipient = frame.iloc[0::5], frame.iloc[1::5]
    total = donor[shares].sum(axis=1)
    assert (total - 1).abs().max() < 1e-9
    rules = "heating_share + cooling_share + other_share = 1"
    model = fusionpy.train(
        donor, [*shares, "electricity"], list(frame.columns[1:14]), weight="weight", identities=rules, **TINY
    )
    fused = fusionpy.fuse(recipient, model, M=5, seed=1, quiet=True)
    assert (fused[shares].sum(axis=1) - 1).abs().max() <= 1e-9


def test_a_bound_between_steps_binds_the_later_one(donor: pd.DataFrame, recipient: pd.DataFrame) -> None:
    model = fusionpy.train(donor, ["debt", "savings"], X, bounds="debt <= savings", **TINY)
    assert [rule.text for rule in model.rules] == ["savings >= debt"]
    fused = fusionpy.fuse(recipient, model, M=5, seed=1, quiet=True)
    assert (fused["debt"] <= fused["savings"]).all()


def test_expectations_are_monotone(donor: pd.DataFrame) -> None:
    y = ["electricity", "has_gas", "gas_bill"]
    demand = {"electricity": {"rooms": 1, "age": -1}, "has_gas": {"income": 1}, "gas_bill": {"rooms": 1}}
    model = fusionpy.train(donor, y, X, monotone=demand, **TINY)
    free = fusionpy.train(donor, y, X, **TINY)
    known = model.known.x[:60]  # type: ignore[union-attr]
    for name, sign, number, target in (
        ("rooms", 1, 0, "electricity_m"),
        ("age", -1, 0, "electricity_m"),
        ("income", 1, 1, "has_gas_m"),
        ("rooms", 1, 2, "gas_bill_m"),
        ("rooms", -1, 2, "gas_bill_z"),  # the probability of a zero
    ):
        rooms = model.steps[number].predictors.index(name)
        matrix = np.hstack([np.zeros((len(known), number)), known])  # variables that are predictors by then
        curves, seen = [], model.known.x[:, X.index(name)]  # type: ignore[union-attr]
        for fitted in (model, free):
            grid = []
            for value in np.unique(seen[~np.isnan(seen)]):  # type: ignore[union-attr]
                changed = matrix.copy()
                changed[:, rooms] = value
                grid.append(fitted.steps[number].final[target].predict(changed))
            curves.append(np.diff(np.array(grid), axis=0) * sign)
        assert (curves[0] >= -1e-9).all()
        assert (curves[1] < 0).any()


def test_violations_are_counted(model: fusionpy.FusionModel, donor: pd.DataFrame) -> None:
    fused = fusionpy.fuse(donor, model, M=3, seed=1, quiet=True)
    texts = [rule.text for rule in model.rules]
    for rules in (texts, model):
        card = fusionpy.score(
            donor, fused, ["debt"], classifier=False, baselines=False, rules=rules, quiet=True, seed=0
        )
        assert card.violations is not None
        assert card.violations["rule"].to_list() == texts
        assert (card.violations["n"] == 0).all()
    spoiled = fused.assign(debt=fused["savings"] + 1, heating_fuel=fused["heating_fuel"].to_numpy()[::-1])
    found = fusionpy.validate(donor, spoiled, ["region"], plot=False, rules=model, quiet=True).violations
    by_rule = found.set_index("rule")
    assert by_rule.loc["debt <= savings", "fused"] == 1
    assert by_rule.loc["debt <= savings", "observed"] == 0
    wrong = (spoiled["gas_bill"] > 0) & (spoiled["heating_fuel"] != "piped_gas")
    assert by_rule.loc["gas_bill = 0 unless heating_fuel in piped_gas", "n"] == wrong.sum()
    assert "break it" in repr(
        fusionpy.score(donor, spoiled, ["debt"], classifier=False, rules=model, quiet=True, seed=0)
    )


@pytest.mark.parametrize(
    ("demand", "told"),
    [
        ({"bounds": "debt < savings"}, "not understood"),
        ({"bounds": "savings <= debt"}, "donors of 800 break it"),
        ({"identities": "savings = debt + gas_bill"}, "break it, by up to"),
        ({"identities": 5}, "`identities` must be text"),
        ({"bounds": "nothing <= 5"}, "neither in `x` nor in `y`"),
        ({"bounds": "age <= 5"}, "is the recipients' own"),
        ({"bounds": "heating_fuel <= 5"}, "`heating_fuel` must be numeric"),
        ({"bounds": "gas_bill = 0 unless heating_fuel"}, "is not logical"),
        ({"bounds": "gas_bill = 0 unless heating_fuel in coal"}, "has no level 'coal'"),
        ({"bounds": "heating_fuel = 0 unless debt"}, "before `heating_fuel`"),
        ({"monotone": {"heating_fuel": {"rooms": 1}}}, "more than two levels"),
        ({"monotone": {"debt": {"region": 1}}}, "have no order"),
        ({"monotone": {"debt": {"rooms": 0}}}, "with +1 or -1"),
        ({"monotone": ["debt"]}, "must be a mapping"),
        ({"identities": ["bills = gas_bill + power_bill"], "bounds": "bills <= 1e9"}, "is a sum"),
        ({"identities": ["bills = gas_bill + power_bill", "bills = gas_bill + debt"]}, "several sums"),
        ({"identities": "rooms = gas_bill + debt"}, "the total is the recipients' own"),
    ],
)  # fmt: skip
def test_bad_rules(demand: dict[str, Any], told: str, donor: pd.DataFrame) -> None:
    y = ["heating_fuel", "gas_bill", "power_bill", "bills", "savings", "debt"]
    with pytest.raises(FusionError) as caught:
        fusionpy.train(donor, y, X, **{**TINY, **demand})
    assert told in str(caught.value)


def test_an_archive_with_strange_rules_is_refused(model: fusionpy.FusionModel, tmp_path: Path) -> None:
    path, other = tmp_path / "model.fsn", tmp_path / "other.fsn"
    fusionpy.write_fsn(model, path)
    for old, new in (
        ("debt <= savings", "debt <= nothing"),
        ("debt <= savings", "what?"),
        ("= bills", "= vehicles"),
    ):
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name == "manifest.json":
                    assert old.encode() in content
                    content = content.replace(old.encode(), new.encode())
                target.writestr(name, content)
        with pytest.raises(fusionpy.ArchiveError):
            fusionpy.read_fsn(other)
