"""What `analyze` finds in a survey, and what is true of its population."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from populations import POPULATIONS, Population

import fusionpy
from fusionpy import FusionModel, FusionWarning

HERE = Path(__file__).resolve().parent
CELL = ["statistic", "measure", "domain"]
KINDS_OF_MEAN = ["mean", "proportion"]


def estimates(
    population: Population, frame: pd.DataFrame, recipient: pd.DataFrame, model: FusionModel | None = None
) -> pd.DataFrame:
    """Estimate all that is asked of a population; with a model, domain means that are rectified by it."""
    means = {"mean": list(population.fused)}
    kinds = [[kind] for kind in population.kinds]
    if model is not None:
        how = {"static": recipient.drop(columns=list(population.fused)), "fun": population.derived}
        return _long(population, fusionpy.analyze(means, frame, by=kinds, rectify=model, quiet=True, **how))
    beside = population.beside(recipient)
    kinds += [[kind] for kind in population.areas]
    tables = [fusionpy.analyze(means, frame, static=beside, by=kinds, quiet=True)]
    wider = [[], *([kind] for kind in population.wider)]
    more = fusionpy.analyze(list(population.statistics), frame, static=beside, by=wider, quiet=True)
    return pd.concat([_long(population, each) for each in (*tables, more)], ignore_index=True)


def _long(population: Population, found: pd.DataFrame) -> pd.DataFrame:
    """Name cells by statistic, measure and domain."""
    found = pd.DataFrame(found)
    kind = found["grouping"].to_numpy(dtype=object)
    domain = np.full(len(found), "all", dtype=object)
    for each in set(kind) - {""}:
        mine = kind == each
        domain[mine] = each + "=" + found.loc[mine, each].astype(str)
    level = found["level"].astype(object).where(found["level"].notna(), None)
    is_mean = found["type"].isin(KINDS_OF_MEAN).to_numpy()
    names = zip(found["y"], level, is_mean, strict=True)
    measure = [population.measures.get((y, level)) if mean else level or y for y, level, mean in names]
    table = pd.DataFrame(
        {
            "part": np.where(
                is_mean, np.where(np.isin(kind, population.areas), "areas", "domains"), "statistics"
            ),
            "statistic": np.where(is_mean, "mean", found["type"]),
            "measure": measure,
            "kind": np.where(kind == "", "all", kind),
            "domain": domain,
            "n": found["n"],
            "est": found["est"],
            "moe": found["moe"],
        }
    )
    return table[table["measure"].notna() & (table["measure"] != "(Intercept)")]


def complete(population: Population, recipient: pd.DataFrame) -> pd.DataFrame:
    """Estimate from the recipients' own true values.

    Two copies of the truth are implicates between which nothing varies: the margins of complete data.
    """
    truth = recipient[list(population.fused)]
    twice = pd.concat([truth.assign(M=1), truth.assign(M=2)], ignore_index=True)
    return estimates(population, twice, recipient)


def truths(name: str) -> pd.DataFrame:
    """Find what is true of a population: means of its parts, by the households that they have."""
    population = POPULATIONS[name]
    tables, total = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionWarning)  # one implicate has no margins, and needs none
        for part in population.parts():
            fused = part[list(population.fused)].assign(M=1)
            tables.append(estimates(population, fused, part))
            total += len(part)
    table = pd.concat(tables)
    table["est"] *= table["n"]
    sums = table.groupby([*CELL], sort=False)[["n", "est"]].sum().reset_index()
    sums["share"], sums["truth"] = sums["n"] / total, sums["est"] / sums["n"]
    return sums.assign(population=name)[["population", *CELL, "share", "truth"]]


def read_truth(path: Path, names: list[str]) -> pd.DataFrame:
    """Read what `truths` found of some populations, and find what is not there."""
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"population": []})
    for name in names:
        if name not in set(table["population"]):
            print(f"{name}: the truth is found anew", flush=True)
            table = pd.concat([table, truths(name)], ignore_index=True)
            table.to_csv(path, index=False, float_format="%.12g")
    return table
