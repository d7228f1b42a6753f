"""Tables of what replications found: coverage, errors and margins, with their Monte Carlo errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from estimating import CELL
from replicating import BASE, WAYS

DIGITS = "%.6g"
FEWEST = 10  # recipients that a domain is expected to have
SIZE = ["population", "donors", "times"]
KEY = [*SIZE, "way"]


def read_replications(folder: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """Read the estimates of all replications, beside what is true.

    Domains are left out where few recipients are expected, by their share in the population: so they are the
    same in every replication.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        return pd.DataFrame()
    found = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    return beside_truth(found, truth)


def beside_truth(found: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Join the truth, and tell which margins hold it."""
    found = found.merge(truth, on=["population", *CELL], validate="many_to_one")
    found = found[found["share"] * found["donors"] * found["times"] >= FEWEST]
    error = found["est"] - found["truth"]
    return found.assign(error=error, covered=error.abs() <= found["moe"])


def beside_base(found: pd.DataFrame) -> pd.DataFrame:
    """Join margins and errors without effects in the same replication, missing where that was not run."""
    key = [*SIZE, "replication", *CELL]
    own = found.loc[found["way"] == BASE, [*key, "error", "moe"]]
    own = own.rename(columns={"error": "base_error", "moe": "base_moe"})
    return found.merge(own, on=key, how="left", validate="many_to_one")


def condense(found: pd.DataFrame) -> pd.DataFrame:
    """One row per size, way, part and replication: margins that hold the truth, errors, widths."""
    cells = found.assign(
        error_to_margin=found["error"].abs() / found["moe"],
        margin_to_truth=found["moe"] / found["truth"].abs(),
    )
    rows = cells.groupby([*KEY, "part", "replication"])
    return rows.agg(
        cells=("covered", "size"),
        covered=("covered", "sum"),
        error_to_margin=("error_to_margin", "mean"),
        margin_to_truth=("margin_to_truth", "mean"),
    ).reset_index()


def share_held(group: pd.DataFrame) -> dict[str, Any]:
    """Share of margins that hold the truth, and its standard error over replications."""
    by_replication = group.groupby("replication")["covered"].mean()
    runs = len(by_replication)
    return {
        "replications": runs,
        "coverage": group["covered"].mean(),
        "coverage_se": by_replication.std(ddof=1) / np.sqrt(runs),
    }


def to_base(group: pd.DataFrame) -> dict[str, float]:
    """Margins and root mean squared errors, divided by those without effects, of the same replications.

    Of margins it is the median over cells, of errors the mean over measures. Standard errors are those of
    replications' own medians, and the jackknife's.
    """
    group = group[group["base_error"].notna()]
    runs = group["replication"].nunique()
    if not runs:
        return dict.fromkeys(["margin_to_base", "margin_se", "rmse_to_base", "rmse_se"], np.nan)
    ratio = (group["moe"] / group["base_moe"]).groupby(group["replication"])
    squares = group.assign(own=group["error"] ** 2, base=group["base_error"] ** 2)
    wide = squares.pivot_table(["own", "base"], "replication", ["statistic", "measure"], aggfunc="sum")
    own, base = wide["own"].to_numpy(), wide["base"].to_numpy()
    rmse = np.sqrt(own.sum(axis=0) / base.sum(axis=0)).mean()
    left_out = np.nan
    if runs > 1:
        without_one = np.sqrt((own.sum(axis=0) - own) / (base.sum(axis=0) - base)).mean(axis=1)
        left_out = np.sqrt((runs - 1) * without_one.var())
    return {
        "margin_to_base": (group["moe"] / group["base_moe"]).median(),
        "margin_se": ratio.median().std(ddof=1) / np.sqrt(runs),
        "rmse_to_base": rmse,
        "rmse_se": left_out,
    }


def bias_and_spread(group: pd.DataFrame) -> dict[str, float]:
    """Bias over the error's standard deviation, and mean margin over what it should be, medians of cells."""
    cell = group.groupby(CELL)
    error, moe = cell["error"], cell["moe"].mean()
    return {
        "bias_to_sd": (error.mean().abs() / error.std()).dropna().median(),
        "margin_to_error": (moe / (1.645 * np.sqrt((error.mean() ** 2) + error.var()))).dropna().median(),
    }


def _rows(found: pd.DataFrame, by: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    for key, group in found.groupby(by):
        yield dict(zip(by, key, strict=True)), group


def summarise(found: pd.DataFrame) -> pd.DataFrame:
    """One row per size, way and part."""
    return pd.DataFrame(
        row | share_held(group) | to_base(group) | bias_and_spread(group)
        for row, group in _rows(beside_base(found), [*KEY, "part"])
    )


def by_measure(found: pd.DataFrame) -> pd.DataFrame:
    """One row per size, way, part, statistic and measure."""
    return pd.DataFrame(
        row | {"cells": len(group[CELL].drop_duplicates())} | share_held(group) | to_base(group)
        for row, group in _rows(beside_base(found), [*KEY, "part", "statistic", "measure"])
    )


def by_kind(found: pd.DataFrame) -> pd.DataFrame:
    """One row per size, way and kind of domain, of means and shares."""
    means = beside_base(found[found["statistic"] == "mean"])
    return pd.DataFrame(
        row | {"cells": len(group[CELL].drop_duplicates())} | share_held(group) | to_base(group)
        for row, group in _rows(means, [*KEY, "kind"])
    )


def keep(new: pd.DataFrame, path: Path, digits: str) -> pd.DataFrame:
    """Write a table, with the rows that it had of other sizes and ways."""
    if path.exists():
        old = pd.read_csv(path)
        is_other = ~pd.MultiIndex.from_frame(old[KEY]).isin(pd.MultiIndex.from_frame(new[KEY]))
        new = pd.concat([old[is_other], new], ignore_index=True)
    places = {
        "way": {way: place for place, way in enumerate(WAYS)},
        "population": {"embedded": 0, "acs": 1},
        "part": {"domains": 0, "areas": 1, "statistics": 2},
    }
    names = ["part", "kind", "statistic", "measure", "replication"]
    keys = [*KEY, *(name for name in names if name in new)]
    new = new.sort_values(keys, key=lambda each: each.map(places.get(str(each.name), lambda value: value)))
    new.to_csv(path, index=False, float_format=digits)
    return pd.read_csv(path)


def write_tables(found: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write all tables, and give the summary."""
    keep(condense(found), folder / "replications.csv", DIGITS)
    keep(by_measure(found), folder / "by_measure.csv", "%.4f")
    keep(by_kind(found), folder / "by_kind.csv", "%.4f")
    return keep(summarise(found), folder / "summary.csv", "%.5f")


def costs(found: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Tell when parts were made, of which code, and what a replication cost in seconds of CPU."""
    parts = {}
    for (population, donors, way), group in found.groupby(["population", "donors", "way"]):
        runs = group.groupby("replication")[["train_cpu", "fuse_cpu"]].first()
        analyses = group.groupby(["times", "replication"])["analyze_cpu"].first()
        parts[f"{population}, {donors} donors, {way}"] = {
            "made": f"{group['date'].min()} to {group['date'].max()}",
            "commits": sorted(set(group["commit"])),
            "replications": len(runs),
            "train": round(float(runs["train_cpu"].median()), 2),
            f"fuse {group['times'].max()} x": round(float(runs["fuse_cpu"].median()), 2),
            "analyze": {
                f"{times} x": round(float(each.median()), 2) for times, each in analyses.groupby("times")
            },
        }
    return parts
