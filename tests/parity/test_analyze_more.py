"""Every golden table of `original/analyze_more`, number by number: `analyze()` with the original's layout.

What R's users get of the same calls, as typed, is in `r/fusionpy/tests/testthat/test-analyze-original.R`.
"""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from parity.test_analyze import read, typed

import fusionpy
from fusionpy.errors import FusionWarning

REL = 1e-6
TIES = {"est": 1e-4, "moe": 1e-3}  # medians depend on the order of equal values: `test_analyze.py`
OF_RESULT = ["N", "y", "level", "type", "est", "moe"]


@pytest.fixture(scope="module")
def original(shared):
    kinds = json.loads((shared / "data/recs2015_schema.json").read_text())
    recipient = typed(read(shared / "data/recs2015.csv.gz").iloc[1::2].reset_index(drop=True), kinds).copy()
    implicates = typed(read(shared / "reference/implicates_readme_recipient_M20.csv.gz"), kinds)
    folder = shared / "reference/original"
    calls = json.loads((folder / "analyze_more_calls.json").read_text())
    return recipient, implicates, folder, calls


def golden(folder, calls, name):
    """A table of R's: empty fields are NA, text is not to be guessed at."""
    texts = {
        column: str
        for column, kind in calls[name]["result"]["column_classes"].items()
        if column in ("y", "type", "level") or kind == "character"
    }
    file = folder / calls[name]["file"]
    return pd.read_csv(file, keep_default_na=False, na_values=[""], dtype=texts)


def sevenths(column):
    """Make every seventh value missing, as the calls of `static_NA_*` do."""
    return lambda s: s.assign(**{column: s[column].where(np.arange(1, len(s) + 1) % 7 != 0)})


def first(M):
    return lambda i: i[i["M"] <= M]


def hi_g_per(d):
    size = pd.Categorical(np.where(d["square_feet"] > 2000, "big", "small"), ["small", "big", "huge"])
    return pd.DataFrame(
        {"hi": d["electricity"] > 10000, "g": size, "per": d["electricity"] / d["hh_size"]}, index=d.index
    )


def with_unused(s):
    known = ["zz", *s["employment"].cat.categories[::-1]]
    return s.assign(f=pd.Categorical(s["employment"].astype(str), known))


def no_group_in_two(i):
    i = first(3)(i).copy()
    i.loc[(i["M"] == 2) & (i["insulation"] == "Not insulated"), "insulation"] = "Well insulated"
    return i


def weighs(value):
    return lambda s: s.assign(weight=s["weight"].where(s.index != 0, value))


def reps(*numbers):
    return [f"rep_{r}" for r in numbers]


BARE = {"static": None, "weight": None}
E = {"mean": "electricity"}
E_IN = {"mean": ["electricity", "insulation"]}
ALL3 = ["natural_gas", "aircon", "electricity"]
UP_TO_96 = reps(*range(1, 97))
# `static` and `implicates`: None, or what is done to them; weight is "weight" unless said.
CALLS = {
    "logical_mean_sum_by": {"x": {"mean": ["use_ng", "have_ac"], "sum": "use_ng"}, "by": "urban_rural"},
    "logical_mean_nogroup": {"x": {"mean": "have_ac"}},
    "static_factor_mean": {"x": {"mean": ["income", "age"], "sum": "age"}, "by": "renter"},
    "fun_logical_factor_by": {
        "x": {"mean": ["hi", "per", "g"], "sum": "hi"},
        "by": "urban_rural",
        "fun": hi_g_per,
    },
    "fun_as_by": {"x": {"mean": "electricity", "sum": "electricity"}, "by": "g", "fun": hi_g_per},
    "fun_replaces": {"x": E, "fun": lambda d: pd.DataFrame({"electricity": d["electricity"] * 2})},
    "static_NA_in_mean": {"x": {"mean": ["age", "electricity"]}, "static": sevenths("age")},
    "static_NA_in_by": {
        "x": {"mean": "electricity", "sum": "insulation"},
        "static": sevenths("income"),
        "by": "income",
    },
    "static_NA_factor_y": {"x": {"mean": "income"}, "static": sevenths("income")},
    "mean_twice": {"x": E_IN, **BARE},
    "factor_mean_and_sum": {"x": {"mean": "insulation", "sum": "insulation"}, "by": "urban_rural"},
    "order_of_types": {"x": {"sum": ALL3, "mean": ALL3}},
    "count_aircon_unweighted_by_race": {"x": {"sum": "aircon"}, "weight": None, "by": "race"},
    "median_weighted_all": {"x": {"mean": "electricity", "median": ["electricity", "natural_gas"]}},
    "median_by_small_groups": {"x": {"mean": "electricity", "median": "electricity"}, "by": "race"},
    "by_fused": {"x": {"mean": ["electricity", "aircon"]}, "by": "insulation"},
    "by_fused_no_static": {"x": E, "by": "aircon", **BARE},
    "by_two": {"x": {"mean": "electricity", "sum": "natural_gas"}, "by": ["aircon", "renter"]},
    "by_two_swapped": {"x": {"mean": "electricity", "sum": "natural_gas"}, "by": ["renter", "aircon"]},
    "by_sparse": {"x": E_IN, "by": ["race", "climate"]},
    "by_numeric": {"x": E, "by": "hh_size"},
    "weight_without_static": {"x": E_IN, **BARE},
    "M1": {"x": {**E_IN, "sum": "natural_gas"}, "implicates": first(1)},
    "M2": {"x": E_IN, "implicates": first(2)},
    "rep20_var1": {
        "x": {**E_IN, "sum": "natural_gas"},
        "rep_weights": reps(*range(1, 21)),
        "var_scale": 1,
    },
    "rep96_by": {
        "x": {"mean": ["electricity", "aircon"]},
        "rep_weights": UP_TO_96,
        "var_scale": 0.5,
        "by": "urban_rural",
    },
    "rep_order": {"x": E, "rep_weights": reps(*range(20, 0, -1))},
    "rep_M1": {"x": E, "implicates": first(1), "rep_weights": reps(*range(1, 21))},
    "rep_median_fun_sum": {
        "x": {"mean": ["hi", "electricity"], "sum": "hi"},
        "rep_weights": reps(*range(1, 26)),
        "fun": hi_g_per,
        "by": "insulation",
    },
    "zero_one_numeric": {
        "x": {"mean": "z", "sum": "z"},
        "fun": lambda d: pd.DataFrame({"z": (d["natural_gas"] > 0) * 1.0}),
    },
    "sum_integer": {"x": {"sum": "electricity"}},
    "mean_int_by": {"x": {"mean": "square_feet"}, "by": "division"},
    "by_character": {"x": E, "static": lambda s: s.assign(ch=s["race"].astype(str)), "by": "ch"},
    "unused_level": {"x": {"mean": "f"}, "static": with_unused, "by": "renter"},
    "by_unused_level": {"x": E, "static": with_unused, "by": "f"},
    "shuffled_M": {"x": E, "implicates": lambda i: i.sort_values("M", ascending=False), **BARE},
    "M_numeric": {"x": E, "implicates": lambda i: i.assign(M=i["M"].astype(float)), **BARE},
    "static_overlap": {"x": E, "static": lambda s: s.assign(electricity=1)},
    "weight_negative": {"x": E, "static": weighs(-5)},
    "weight_zero": {"x": E, "static": weighs(0)},
    "data_frames": {"x": E, "by": "renter"},
    "tibbles": {"x": E, "by": "renter"},
    "y_name_order": {
        "x": {"mean": ["z1", "B", "a", "Z2"]},
        "implicates": first(2),
        "fun": lambda d: pd.DataFrame(dict.fromkeys(("B", "a", "Z2", "z1"), d["electricity"])),
        **BARE,
    },
    "by_character_order": {
        "x": E,
        "implicates": first(2),
        "static": lambda s: s.assign(ch=np.array(["b", "A", "a", "B"])[np.arange(1, len(s) + 1) % 4]),
        "weight": None,
        "by": "ch",
    },
    "rep_names_in_fun": {
        "x": {"mean": "z"},
        "implicates": first(2),
        "rep_weights": reps(1, 2, 3),
        "fun": lambda d: pd.DataFrame({"z": d["electricity"]}),
    },
    "fun_NA": {
        "x": {"mean": ["z", "electricity"]},
        "implicates": lambda i: first(2)(i).assign(z=i["electricity"].where(np.arange(len(i)) >= 10)),
        **BARE,
    },
    "fun_uses_M": {"x": {"mean": "z"}, "implicates": lambda i: first(2)(i).assign(z=i["M"]), **BARE},
    "fun_uses_M_static": {
        "x": {"mean": "z"},
        "implicates": lambda i: first(2)(i).assign(z=i["M"]),
        "weight": None,
    },
    "by_single_na_group": {
        "x": {"mean": "square_feet"},
        "implicates": no_group_in_two,
        "by": "insulation",
        **BARE,
    },
    "cores2": {"x": E_IN, "implicates": first(2), "cores": 2, **BARE},
    "static_M": {"x": E, "implicates": first(2), "static": lambda s: s.assign(M=1)},
}
# Faults of the original, and what is checked instead: see differences.yaml.
OTHERWISE = {
    "static_NA_in_mean": "age, which has missing values, is there, too",
    "static_NA_factor_y": "misaligned rows there",
    "mean_twice": "the second entry is there, too",
    "fun_NA": "z of both implicates, not of the second alone",
    "weight_negative": "taken as 0, with a warning",
    "fun_short_columns": "refused, in R: here `fun` gets one implicate",
}


def answered(original, name):
    recipient, implicates, folder, calls = original
    call = {"static": lambda s: s, "implicates": lambda i: i, "weight": "weight", **CALLS[name]}
    frames = call.pop("implicates")(implicates), call.pop("static")
    static = frames[1](recipient) if frames[1] is not None else None
    how = {"pooling": "rubin", "layout": "fusionModel", "quiet": True, **call}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mine = pd.DataFrame(fusionpy.analyze(how.pop("x"), frames[0], static=static, **how))
    texts = [str(each.message) for each in told if issubclass(each.category, FusionWarning)]
    return mine, golden(folder, calls, name), texts


def as_r_reads(column):
    if column.dtype == bool:
        column = column.map({True: "TRUE", False: "FALSE"})
    return ["" if pd.isna(value) else str(value).upper() for value in column.astype(object)]


def assert_same(mine, theirs, but=()):
    by = [name for name in theirs if name not in OF_RESULT]
    assert list(mine.columns[: len(theirs.columns)]) == [*by, *OF_RESULT] == list(theirs.columns)
    for name in (*by, "y", "level", "type"):
        assert as_r_reads(mine[name]) == as_r_reads(theirs[name]), name
    assert mine["N"].tolist() == theirs["N"].tolist()
    median = (theirs["type"] == "median").to_numpy()
    for name in ("est", "moe"):
        ours, expected = mine[name].to_numpy(), theirs[name].to_numpy(float)
        assert ours[~median] == pytest.approx(expected[~median], rel=REL, nan_ok=True), name
        if median.any() and name not in but:
            assert ours[median] == pytest.approx(expected[median], rel=TIES[name]), name


def test_every_golden_table_is_compared(original):
    calls = original[-1]
    there = {name for name, call in calls.items() if isinstance(call, dict) and "file" in call}
    assert there == set(CALLS) | {"fun_short_columns"}
    assert set(OTHERWISE) <= there


@pytest.mark.parametrize("name", [name for name in CALLS if name not in OTHERWISE])
def test_golden_table(original, name):
    mine, theirs, told = answered(original, name)
    # Margins of medians in small groups are of bootstraps, there and here.
    assert_same(mine, theirs, ["moe"] if name == "median_by_small_groups" else [])
    assert [text for text in told if "there is one implicate" not in text] == []


def test_bootstrapped_margins_are_within_their_own_spread(original):
    """The golden call was repeated three times; ours is no further from them than they from each other."""
    mine, theirs, _ = answered(original, "median_by_small_groups")
    calls = original[-1]["median_by_small_groups"]
    median = (theirs["type"] == "median").to_numpy()
    again = [theirs["moe"][median], *(calls[f"moe_again_{k}"] for k in (2, 3, 4))]
    drawn = np.array([np.asarray(each, dtype=float)[-median.sum() :] for each in again])
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    room = 0.25 * drawn.mean(axis=0) + (high - low)
    ours = mine["moe"][median].to_numpy()
    assert (ours > low - room).all()
    assert (ours < high + room).all()


def test_missing_values_are_left_out_and_told(original):
    """The original leaves the whole variable out, or misaligns rows, without a word that says so."""
    recipient = original[0]
    mine, theirs, told = answered(original, "static_NA_in_mean")
    assert told == ["Values are missing, and left out, though `N` counts their records: `age` (8,120)."]
    assert_same(mine[mine["y"] == "electricity"].reset_index(drop=True), theirs)
    known = sevenths("age")(recipient).dropna(subset="age")
    age = mine[mine["y"] == "age"]
    assert age["est"].item() == pytest.approx(np.average(known["age"], weights=known["weight"]))
    mine, theirs, told = answered(original, "static_NA_factor_y")
    assert len(told) == 1
    assert mine["level"].tolist() == theirs["level"].tolist()
    kept = sevenths("income")(recipient)[["income", "weight"]].dropna()
    shares = kept.groupby("income", observed=False)["weight"].sum() / kept["weight"].sum()
    assert mine["est"].to_numpy() == pytest.approx(shares.to_numpy())


def test_a_missing_value_in_one_implicate_does_not_drop_it(original):
    mine, theirs, told = answered(original, "fun_NA")
    assert len(told) == 1
    where = mine["y"] == "electricity"
    assert_same(
        mine[where].reset_index(drop=True), theirs[theirs["y"] == "electricity"].reset_index(drop=True)
    )
    values = CALLS["fun_NA"]["implicates"](original[1])
    assert mine.loc[~where, "est"].item() == pytest.approx(values.groupby("M")["z"].mean().mean())
    assert mine.loc[~where, "moe"].item() > 0


def test_two_entries_of_one_statistic_are_both_there(original):
    mine, theirs, _ = answered(original, "mean_twice")
    assert_same(mine[mine["y"] == "electricity"].reset_index(drop=True), theirs)
    assert mine["y"].tolist() == ["electricity"] + ["insulation"] * 4


def test_negative_weights_count_as_zero(original):
    mine, _, told = answered(original, "weight_negative")
    assert told == ["1 negative weight in `weight`: taken as 0."]
    assert mine.equals(answered(original, "weight_zero")[0])


def test_what_the_original_refuses_and_is_clear(original):
    recipient, implicates, _, calls = original
    for name in ("by_is_y", "character_static", "M_gap"):
        assert calls[name]["error"]
    how = {"pooling": "rubin", "layout": "fusionModel", "quiet": True}
    own = fusionpy.analyze({"mean": "insulation"}, implicates, by="insulation", **how)
    assert own["est"].tolist() == np.eye(4).ravel().tolist()
    assert own["moe"].isna().all()
    text = recipient[["weight"]].assign(race=recipient["race"].astype(str))
    x = {"mean": "race"}
    as_text = fusionpy.analyze(x, implicates, static=text, weight="weight", **how)
    as_factor = fusionpy.analyze(x, implicates, static=recipient, weight="weight", **how)
    assert as_text["est"].tolist() == as_factor["est"].tolist()
    part = implicates[implicates["M"] > 1]
    renumbered = fusionpy.analyze(E, part.assign(M=part["M"] - 1), **how)
    assert fusionpy.analyze(E, part, **how).equals(renumbered)
