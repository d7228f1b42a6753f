"""Two small sample surveys of one synthetic population, whose truth is known; and official ones, downloaded.

`load_donor` is a survey of 4,000 households with predictors and fusion variables, `load_recipient` a larger
one of 20,000 other households with the predictors only, and `load_truth` the fusion variables of the
recipients, which a real study would not have. The population they come from is in
`fusionpy.datasets.population`: more of it, or other samples, can be made with `simulate_population` and
`sample_survey`, and `conditional_means` gives its expectations in closed form.

`fetch_recs` and `fetch_acs_pums` download public microdata of the United States, and keep it;
`fetch_recs_example` the example survey of R's fusionModel.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.datasets.caching import DownloadError
from fusionpy.datasets.example import fetch_recs_example
from fusionpy.datasets.fetching import fetch_acs_pums, fetch_recs
from fusionpy.datasets.population import CATEGORIES, conditional_means, simulate_population

__all__ = [
    "FUSION_VARIABLES",
    "PREDICTORS",
    "REPLICATE_WEIGHTS",
    "DownloadError",
    "conditional_means",
    "fetch_acs_pums",
    "fetch_recs",
    "fetch_recs_example",
    "load_donor",
    "load_recipient",
    "load_truth",
    "replicate_weights",
    "sample_survey",
    "simulate_population",
]

PREDICTORS: list[str] = [
    "region", "urban", "age", "education", "income", "hh_size", "tenure", "dwelling", "year_built", "rooms",
]  # fmt: skip
"""The variables that both surveys have."""

FUSION_VARIABLES: list[str | list[str]] = [
    "heating_fuel",
    "insulation",
    "solar",
    "vehicles",
    "electricity",
    "gas_bill",
    ["food_share", "housing_share", "other_share"],
    "savings",
]
"""The variables that the donor survey alone has, in fusing order; the budget shares are one block."""

REPLICATE_WEIGHTS: list[str] = [f"rep_{r}" for r in range(1, 41)]
"""Names of the forty replicate weights."""

# Households of a segment, and how many of them are interviewed.
_SEGMENT = {"donor": (20, 5), "recipient": (1, 1)}
# Relative sampling rates, by the code of the level.
_RATES: dict[str, dict[str, list[float]]] = {
    "donor": {
        "region": [1.0, 0.9, 0.7, 1.9, 1.2],
        "urban": [1.4, 1.0],
        "dwelling": [1.0, 1.3, 0.8, 1.6],
    },
    "recipient": {"region": [1.0, 1.0, 1.0, 1.3, 1.0], "urban": [1.2, 1.0], "dwelling": [1.0] * 4},
}


def load_donor() -> pd.DataFrame:
    r"""Load the donor survey: 4,000 households with predictors, fusion variables and weights.

    Returns
    -------
    pandas.DataFrame
        One row per household, 62 columns, in the order of this table.

        ================= ============== ==================================================================
        Column            Kind           Meaning, unit or levels
        ================= ============== ==================================================================
        ``hid``           int32          Identifier; none is also in the recipient survey
        ``region``        nominal        northeast, midwest, south, mountain, pacific
        ``urban``         bool           Dwelling in an urban area
        ``age``           int32          Householder's age, 18 to 95 years
        ``education``     ordered        Householder's: less_than_high_school < high_school < some_college
                                         < bachelor < graduate
        ``income``        float64        Household income, dollars a year, by the hundred; 3 % missing
        ``hh_size``       int32          Persons, 1 to 8
        ``tenure``        nominal        owner, renter, other
        ``dwelling``      nominal        detached, attached, apartment, mobile_home
        ``year_built``    ordered        pre_1950 < from_1950 < from_1970 < from_1990 < from_2000 < from_2010
        ``rooms``         int32          Rooms, 1 to 12
        ``heating_fuel``  nominal        piped_gas, electricity, fuel_oil, propane, other
        ``insulation``    ordered        poor < fair < good < excellent
        ``solar``         bool           Has solar panels (5 %)
        ``vehicles``      int32          Vehicles, 0 to 6
        ``electricity``   float64        Consumption, kWh a year, by the ten; positive, skewed
        ``gas_bill``      float64        Dollars a year; zero if and only if heating is not by piped gas
        ``food_share``    float64        Share of food in the budget, four decimals
        ``housing_share`` float64        Share of housing in the budget, four decimals
        ``other_share``   float64        Share of all else; the three are positive and sum to one
        ``savings``       float64        Dollars, three digits; zero for a quarter, heavy tail
        ``weight``        float64        Households represented; they sum to 1,000,000
        ``rep_1`` …       int32          Replicate weights, up to ``rep_40``; never negative
        ================= ============== ==================================================================

    Notes
    -----
    A systematic sample of 800 segments of twenty neighbouring households, five interviewed in each, with
    probability proportional to a size that depends on region, urban and dwelling; weights are raked to the
    population. The replicates are Fay's balanced repeated replication with :math:`\rho = 0.5`: see
    `replicate_weights` for the variance formula, `sample_survey` for the design and
    ``data-raw/make_samples.py`` for the making of the files.

    Examples
    --------
    >>> donor = load_donor()
    >>> donor.shape
    (4000, 62)
    >>> round(donor["weight"].sum())
    1000000
    """
    return _load("donor")


def load_recipient(replicates: bool = False) -> pd.DataFrame:
    """Load the recipient survey: 20,000 households with predictors and a weight.

    Parameters
    ----------
    replicates : bool, default False
        Add the replicate weights ``rep_1`` … ``rep_40``. They are not on file but computed by
        `replicate_weights`.

    Returns
    -------
    pandas.DataFrame
        One row per household: ``hid``, the predictors and ``weight``, as documented in `load_donor`; with
        `replicates` also the replicate weights.

    Notes
    -----
    A systematic sample of households, drawn from those not in the donor survey, in which the mountain region
    and rural areas have a larger share than in the population; weights are raked to the same population
    margins as the donor's, and sum to 1,000,000 too.

    Examples
    --------
    >>> recipient = load_recipient()
    >>> recipient.shape
    (20000, 12)
    >>> recipient["region"].cat.categories.tolist()
    ['northeast', 'midwest', 'south', 'mountain', 'pacific']
    """
    recipient = _load("recipient")
    if replicates:
        recipient = recipient.join(replicate_weights(recipient))
    return recipient.drop(columns="unit")


def load_truth() -> pd.DataFrame:
    """Load the fusion variables of the recipient households, which are known because all is simulated.

    Returns
    -------
    pandas.DataFrame
        One row per household of `load_recipient`, in the same order: ``hid`` and the fusion variables, as
        documented in `load_donor`.

    Examples
    --------
    >>> truth = load_truth()
    >>> truth.shape
    (20000, 11)
    >>> bool(truth["hid"].equals(load_recipient()["hid"]))
    True
    """
    return _load("truth")


def _load(name: str) -> pd.DataFrame:
    """Read one of the package's Parquet files, with the exact types of `simulate_population`."""
    with (resources.files("fusionpy.datasets") / f"{name}.parquet").open("rb") as file:
        data = pd.read_parquet(file, engine="pyarrow")
    return data.astype({column: dtype for column, dtype in CATEGORIES.items() if column in data})


def sample_survey(
    population: pd.DataFrame,
    n: int,
    seed: int,
    *,
    design: Literal["donor", "recipient"] = "donor",
    control: pd.DataFrame | None = None,
    replicates: bool = True,
) -> pd.DataFrame:
    r"""Draw a sample survey from a population, with raked weights and replicate weights.

    Parameters
    ----------
    population : pandas.DataFrame
        Households with the predictors, such as `simulate_population` returns; an index that identifies them.
    n : int
        Number of households to sample: a multiple of ten for the donor design, of two for the recipient's.
    seed : int
        Seed of the draw.
    design : {'donor', 'recipient'}
        Donor: segments of twenty households with unequal probability, five interviewed in each. Recipient:
        single households with less unequal probability.
    control : pandas.DataFrame, optional
        The population whose margins and size the weights reproduce; by default `population`. Pass the whole
        one when the other survey's households have been left out of `population`.
    replicates : bool, default True
        Add replicate weights.

    Returns
    -------
    pandas.DataFrame
        The sampled rows of `population`, in its order and with its index, and the columns ``weight``,
        ``unit`` (see `replicate_weights`) and, with `replicates`, ``rep_1`` … ``rep_40``.

    Raises
    ------
    ValueError
        If `n` is not such a multiple, or so large that a segment would have to be drawn more than once.

    Notes
    -----
    Households are sorted by region, urban, dwelling and affluence (log income and a normal noise, which makes
    the clustering mild) and cut into segments. Of these, :math:`a` are drawn systematically with probability
    :math:`\pi_j = a\,s_j / \sum s`, where :math:`s_j` sums the relative rates (region times urban times
    dwelling) of the segment's households; of its :math:`N_j` households, :math:`t` are drawn at random. The
    base weight :math:`N_j / (t \pi_j)` is raked to the margins of region by urban, dwelling, tenure, age
    group, education and household size.

    Examples
    --------
    >>> population = simulate_population(20_000, seed=1)
    >>> donor = sample_survey(population, 500, seed=2, replicates=False)
    >>> others = population.drop(donor.index)
    >>> recipient = sample_survey(
    ...     others, 2_000, seed=3, design="recipient", control=population, replicates=False
    ... )
    >>> len(donor), len(recipient), round(donor["weight"].sum()), round(recipient["weight"].sum())
    (500, 2000, 20000, 20000)
    """
    rows, base, unit = _draw_segments(population, n, np.random.Generator(np.random.Philox(seed)), design)
    control = population if control is None else control
    sample = population.iloc[rows]
    targets = [_totals(codes, np.ones(len(codes)), k) for codes, k in _margins(control)]
    weight = _rake(base, [codes for codes, _ in _margins(sample)], targets)
    sample = sample.assign(weight=weight, unit=unit)
    return sample.join(replicate_weights(sample)) if replicates else sample


def replicate_weights(sample: pd.DataFrame) -> pd.DataFrame:
    r"""Compute the replicate weights of a survey drawn by `sample_survey`.

    Parameters
    ----------
    sample : pandas.DataFrame
        The survey, with predictors, ``weight`` and ``unit``: the number of the variance stratum, 1 to 39,
        negative for households of its second half-sample.

    Returns
    -------
    pandas.DataFrame
        Columns ``rep_1`` … ``rep_40``, float64, with the sample's index.

    Notes
    -----
    Fay's method of balanced repeated replication with :math:`\rho = 0.5`. Replicate :math:`r` multiplies the
    weights of one half-sample of stratum :math:`h` by 1.5 and those of the other by 0.5, as the Hadamard
    matrix of order 40 says, and is raked again. The variance of an estimate :math:`\hat\theta` is

    .. math::

        \frac{1}{40\,(1 - \rho)^2} \sum_{r=1}^{40} (\hat\theta_r - \hat\theta)^2
        = \frac{4}{40} \sum_{r=1}^{40} (\hat\theta_r - \hat\theta)^2

    with about 39 degrees of freedom: the same factor 4 / R as the successive differences of the American
    Community Survey. Neighbours in the order of drawing are the two halves of a pair, and pairs are dealt to
    the 39 strata in turn. Judkins (1990), "Fay's method for variance estimation", Journal of Official
    Statistics 6, 223-239.

    Examples
    --------
    >>> donor = load_donor()
    >>> means = [np.average(donor["vehicles"], weights=donor[rep]) for rep in REPLICATE_WEIGHTS]
    >>> mean = np.average(donor["vehicles"], weights=donor["weight"])
    >>> error = np.sqrt(4 / 40 * np.sum((np.array(means) - mean) ** 2))
    >>> bool(0.01 < error < 0.04)
    True
    """
    weight = sample["weight"].to_numpy(dtype=np.float64)
    unit = sample["unit"].to_numpy(dtype=np.intp)
    codes = [codes for codes, _ in _margins(sample)]
    targets = [_totals(of_margin, weight) for of_margin in codes]
    columns = {
        name: _rake(weight * (1 + 0.5 * np.sign(unit) * row[np.abs(unit)]), codes, targets)
        for name, row in zip(REPLICATE_WEIGHTS, _hadamard_40(), strict=True)
    }
    return pd.DataFrame(columns, index=sample.index)


def _draw_segments(
    population: pd.DataFrame, n: int, generator: np.random.Generator, design: str
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
    """Draw a systematic sample of segments: rows of the population, base weights and variance units."""
    size, take = _SEGMENT[design]
    n_drawn, total = n // take, len(population)
    if n <= 0 or n % (2 * take):
        raise ValueError(f"`n` must be a positive multiple of {2 * take} for the {design} design, not {n}.")
    codes = {name: population[name].cat.codes.to_numpy(dtype=np.intp) for name in ("region", "dwelling")}
    codes["urban"] = population["urban"].to_numpy(dtype=np.intp)
    income = population["income"].fillna(population["income"].median()).to_numpy(dtype=np.float64)
    affluence = np.log(income + 5_000) + 2.5 * generator.standard_normal(total)
    order = np.lexsort((affluence, codes["dwelling"], codes["urban"], codes["region"]))
    rate = np.prod([np.asarray(_RATES[design][name])[codes[name][order]] for name in codes], axis=0)
    start = np.linspace(0, total, total // size + 1).astype(np.intp)
    measure = np.cumsum(np.add.reduceat(rate, start[:-1])) * n_drawn / rate.sum()
    drawn = np.searchsorted(measure, np.arange(n_drawn) + generator.random(), side="right")
    drawn = np.minimum(drawn, len(measure) - 1)
    probability = np.diff(measure, prepend=0.0)[drawn]
    if len(np.unique(drawn)) < n_drawn or probability.max() > 1:
        raise ValueError(
            f"`n` = {n} is too large for a population of {total}: some segments would be drawn twice."
        )
    members = np.diff(start)[drawn]
    place = np.arange(members.max())
    keys = np.where(place < members[:, None], generator.random((n_drawn, len(place))), 2.0)
    rows = order[start[drawn][:, None] + np.argsort(keys, axis=1)[:, :take]].ravel()
    base = np.repeat(members / (take * probability), take)
    sign = np.where(generator.random(n_drawn // 2) < 0.5, 1, -1)
    stratum = 1 + np.arange(n_drawn // 2) % 39
    unit = np.repeat(np.stack([sign * stratum, -sign * stratum], axis=1).ravel(), take)
    ranked = np.argsort(rows)
    return rows[ranked], base[ranked], unit[ranked]


def _margins(x: pd.DataFrame) -> list[tuple[NDArray[np.intp], int]]:
    """Codes and numbers of levels of the margins that weights are raked to."""
    codes: dict[str, NDArray[np.intp]] = {
        name: x[name].cat.codes.to_numpy(dtype=np.intp)
        for name in ("region", "dwelling", "tenure", "education")
    }
    return [
        (codes["region"] * 2 + x["urban"].to_numpy(dtype=np.intp), 10),
        (codes["dwelling"], 4),
        (codes["tenure"], 3),
        (codes["education"], 5),
        (np.searchsorted([35, 50, 65, 75], x["age"].to_numpy(), side="right"), 5),
        (np.minimum(x["hh_size"].to_numpy(dtype=np.intp) - 1, 4), 5),
    ]


def _totals(codes: NDArray[np.intp], weight: NDArray[np.float64], n_levels: int = 0) -> NDArray[np.float64]:
    """Sum the weights of each level."""
    return np.bincount(codes, weight, minlength=n_levels).astype(np.float64)


def _rake(
    weight: NDArray[np.float64], codes: list[NDArray[np.intp]], targets: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Scale positive weights to each margin in turn, until all agree; skip a level without households."""
    weight = weight.copy()
    for _ in range(50):
        gap = 0.0
        for of_margin, target in zip(codes, targets, strict=True):
            reached = _totals(of_margin, weight, len(target))
            factor = np.divide(target, reached, out=np.ones_like(reached), where=reached > 0)
            gap = max(gap, float(np.abs(factor - 1).max()))
            weight *= factor[of_margin]
        if gap < 1e-6:
            break
    return weight


def _hadamard_40() -> NDArray[Any]:
    """Hadamard matrix of order 40, first column of ones: Paley's of order 20, doubled."""
    residues = np.isin(np.arange(19), np.arange(1, 19) ** 2 % 19)
    character = np.where(residues, 1, -1)
    character[0] = 0
    paley = np.ones((20, 20), dtype=np.intp)
    paley[1:, 0] = -1
    paley[1:, 1:] = character[np.subtract.outer(np.arange(19), np.arange(19)) % 19] + np.eye(
        19, dtype=np.intp
    )
    doubled = np.kron(np.array([[1, 1], [1, -1]]), paley)
    matrix: NDArray[Any] = doubled * doubled[:, :1]
    return matrix
