"""The populations whose truth is known, from which donors and recipients are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from fusionpy.datasets import PREDICTORS, simulate_population

ACS_FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "acs2024_recipient.parquet"


@dataclass(frozen=True)
class Population:
    """A population, and what is asked of it.

    Attributes
    ----------
    title : str
        What pages call it.
    fused, predictors : sequence of str
        Of the models.
    measures : mapping
        Names of means and shares, by variable and level.
    kinds : sequence of str
        Kinds of domains that predictors make.
    areas : sequence of str
        Kinds of domains that no predictor tells, as states.
    statistics : sequence of str
        What else `analyze` is asked for.
    wider : sequence of str
        The kinds of domains for which it is: of some hundreds of donors each.
    derived : callable
        Makes the domains that are no columns.
    draw : callable
        Draws a number of independent households by a seed: the first are the same whatever the number.
    parts : callable
        The whole population, in parts.
    problem : callable
        Why there is no such population here; None if there is.
    """

    title: str
    fused: Sequence[str]
    predictors: Sequence[str]
    measures: Mapping[tuple[str, str | None], str]
    kinds: Sequence[str]
    areas: Sequence[str]
    statistics: Sequence[str]
    wider: Sequence[str]
    derived: Callable[[pd.DataFrame], pd.DataFrame]
    draw: Callable[[int, int], pd.DataFrame]
    parts: Callable[[], Iterator[pd.DataFrame]]
    problem: Callable[[], str | None] = lambda: None

    def beside(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give a survey's own columns, with its domains: what is not fused."""
        return pd.concat([frame.drop(columns=list(self.fused), errors="ignore"), self.derived(frame)], axis=1)


def _crossed(first: pd.Series, second: np.ndarray | pd.Series) -> pd.Series:
    return (first.astype(str) + " " + pd.Series(second, first.index).astype(str)).astype("category")


def _of_embedded(frame: pd.DataFrame) -> pd.DataFrame:
    age = pd.cut(frame["age"], [0, 34, 49, 64, 120], labels=["18-34", "35-49", "50-64", "65+"])
    urban = np.where(frame["urban"], "urban", "rural")
    return pd.DataFrame({"size": frame["hh_size"].clip(upper=4), "age_urban": _crossed(age, urban)})


def _parts_of_embedded() -> Iterator[pd.DataFrame]:
    """Simulate 20 million households.

    That is fifty times the largest recipient: so the truth's own sampling error lowers the coverage by .003
    at most.
    """
    for seed in range(1, 11):
        yield simulate_population(2_000_000, seed=seed)


EMBEDDED = Population(
    title="embedded",
    fused=["heating_fuel", "solar", "vehicles", "electricity"],
    predictors=list(PREDICTORS),
    measures={
        ("heating_fuel", "piped_gas"): "gas-heated",
        ("heating_fuel", "electricity"): "all-electric",
        ("solar", "True"): "solar",
        ("vehicles", None): "vehicles",
        ("electricity", None): "electricity",
    },
    kinds=["region", "education", "tenure", "dwelling", "year_built", "size", "age_urban"],
    areas=[],
    statistics=[
        "median(electricity)",
        "quantile(electricity, 0.9)",
        "gini(electricity)",
        "ratio(electricity, hh_size)",
        "lm(electricity ~ vehicles + hh_size)",
    ],
    wider=["region", "education"],
    derived=_of_embedded,
    draw=lambda n, seed: simulate_population(n, seed=seed),
    parts=_parts_of_embedded,
)


def _of_acs(frame: pd.DataFrame) -> pd.DataFrame:
    age = pd.cut(frame["age"], [0, 34, 49, 64, 120], labels=["18-34", "35-49", "50-64", "65+"])
    sex = np.where(frame["female"], "women", "men")
    degree = np.where(frame["education"].isin(["Bachelor", "Graduate"]), "with", "without")
    size = frame["hh_size"].clip(upper=4)
    return pd.DataFrame(
        {
            "age_sex": _crossed(age, sex),
            "children_size": _crossed(frame["children"].clip(upper=3), size),
            "race_degree": _crossed(frame["race"], degree),
        }
    )


@cache
def _acs() -> pd.DataFrame:
    return pd.read_parquet(ACS_FILE, columns=[*ACS.fused, *ACS.predictors, *ACS.areas])


def _draw_acs(n: int, seed: int) -> pd.DataFrame:
    """Draw households with replacement: as from a population that has the file's shares, and no end."""
    rows = np.random.default_rng(seed).integers(len(_acs()), size=n)
    return _acs().take(rows).reset_index(drop=True)


def _problem_of_acs() -> str | None:
    return None if ACS_FILE.exists() else f"the ACS is left out: there is no {ACS_FILE}"


ACS = Population(
    title="ACS 2024",
    fused=["renter", "income_rank", "rooms"],
    predictors=[
        "age",
        "hh_size",
        "children",
        "home_type",
        "year_built",
        "female",
        "race",
        "education",
        "division",
        "hdd",
        "cdd",
    ],
    measures={
        ("renter", "True"): "renter",
        ("income_rank", None): "income rank",
        ("rooms", None): "rooms",
    },
    kinds=[
        "education",
        "race",
        "division",
        "home_type",
        "year_built",
        "age_sex",
        "children_size",
        "race_degree",
    ],
    areas=["state"],
    statistics=[
        "median(income_rank)",
        "quantile(income_rank, 0.9)",
        "gini(income_rank)",
        "ratio(rooms, hh_size)",
        "lm(income_rank ~ rooms + age)",
    ],
    wider=["education", "division"],
    derived=_of_acs,
    draw=_draw_acs,
    parts=lambda: iter([_acs()]),
    problem=_problem_of_acs,
)

POPULATIONS = {"embedded": EMBEDDED, "acs": ACS}
