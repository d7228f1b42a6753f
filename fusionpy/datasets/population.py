"""The synthetic population of households behind the embedded sample surveys.

`simulate_population` draws households from a documented generative model, `conditional_means` gives the
expectation of every fusion variable given the predictors in closed form. All formulas are in
``data-raw/README.md``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Columns = dict[str, NDArray[Any]]

LEVELS: dict[str, list[str]] = {
    "region": ["northeast", "midwest", "south", "mountain", "pacific"],
    "education": ["less_than_high_school", "high_school", "some_college", "bachelor", "graduate"],
    "tenure": ["owner", "renter", "other"],
    "dwelling": ["detached", "attached", "apartment", "mobile_home"],
    "year_built": ["pre_1950", "from_1950", "from_1970", "from_1990", "from_2000", "from_2010"],
    "heating_fuel": ["piped_gas", "electricity", "fuel_oil", "propane", "other"],
    "insulation": ["poor", "fair", "good", "excellent"],
}
"""Levels of every categorical column, in order."""

ORDERED = frozenset({"education", "year_built", "insulation"})
"""The categorical columns whose levels are ordered; the others are nominal."""

CATEGORIES = {name: pd.CategoricalDtype(levels, name in ORDERED) for name, levels in LEVELS.items()}
"""The pandas type of every categorical column."""

# One uniform per household and entry: household i has the same ones whatever the size of the population.
_DRAWS = [
    "region", "urban", "age", "education", "hh_size", "income", "tenure", "dwelling", "year_built", "rooms",
    "missing", "thrift", "insulation", "heating_fuel", "solar", "vehicles", "electricity", "gas_bill",
    "saver", "savings", "food", "housing",
]  # fmt: skip

COLD = np.array([0.8, 1.0, -0.9, 0.2, -0.4])
"""Coldness of each region, the index called ``cold`` in the formulas."""
THRIFT_ELECTRICITY, THRIFT_GAS, THRIFT_SAVER, THRIFT_SAVINGS, THRIFT_FOOD, THRIFT_HOUSING = (
    -0.2,
    -0.25,
    0.5,
    0.5,
    0.2,
    0.1,
)
"""Coefficients of the latent thrift, standard normal and independent of the predictors, in each equation."""
SD_GAS, SD_FOOD, SD_HOUSING, COR_SHARES, SAVINGS_TAIL = 0.35, 0.3, 0.35, 0.3, 2.5
SOLAR_EFFECT, INSULATION_ELECTRICITY, INSULATION_GAS = -0.4, -0.06, -0.1
N_VEHICLES = 6
"""Trials of the binomial vehicle count."""


class _Equations(NamedTuple):
    """The systematic part of each fusion variable's equation, one row per household."""

    insulation: Floats  # (n, 4) probabilities
    heating_fuel: Floats  # (n, 5) probabilities
    solar: Floats  # probability
    vehicles: Floats  # probability of each of the six trials
    electricity: Floats  # mean of the log, without fuel, solar, insulation and thrift
    electricity_sd: Floats
    fuel_effect: Floats  # (n, 5), added to the mean of log electricity
    gas_bill: Floats  # mean of the log, without insulation and thrift
    saver: Floats  # probit index of positive savings
    savings: Floats  # median of the log of positive savings
    food: Floats  # mean of log(food_share / other_share)
    housing: Floats  # mean of log(housing_share / other_share)


def _softmax(*utilities: Floats | float) -> Floats:
    """Probabilities (n, k) of the utilities, of which at least one is an array (n,)."""
    powers = np.exp(np.stack(np.broadcast_arrays(*utilities), axis=1).astype(np.float64))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _ordered_logit(latent: Floats, cuts: list[float]) -> Floats:
    """Probabilities (n, len(cuts) + 1) of the ordered levels for logistic noise around `latent`."""
    below = expit(np.asarray(cuts) - latent[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def _pick(u: Floats, p: Floats) -> Codes:
    """Level drawn by the uniform `u` from each row of probabilities `p`."""
    level: Codes = (u[:, None] >= np.cumsum(p[:, :-1], axis=1)).sum(axis=1)
    return level


def _binomial(trials: int, p: Floats) -> Floats:
    """Probabilities (n, trials + 1) of the binomial counts."""
    k = np.arange(trials + 1)
    ways = np.cumprod(np.concatenate([[1.0], (trials - k[:-1]) / (k[:-1] + 1)]))
    density: Floats = ways * p[:, None] ** k * (1 - p[:, None]) ** (trials - k)
    return density


def _affluence(income: Floats) -> Floats:
    """Compute the index ``z`` of the formulas: log income, shifted so that zero income is allowed."""
    index: Floats = np.log((income + 5_000) / 65_000)
    return index


def _draw_predictors(u: dict[str, Floats]) -> Columns:
    """Simulate the predictors; categorical ones as codes, income without missing values."""
    n = len(u["region"])
    region = _pick(u["region"], np.broadcast_to([0.17, 0.21, 0.38, 0.08, 0.16], (n, 5)))
    urban = (u["urban"] < np.array([0.84, 0.74, 0.75, 0.82, 0.92])[region]).astype(np.float64)
    age = np.floor(18 + 78 * (1 - (1 - u["age"]) ** (1 / 1.9)) ** (1 / 1.55))
    education = _pick(
        u["education"], _ordered_logit(0.35 * urban - 0.012 * (age - 50), [-2.1, -0.5, 0.5, 1.7])
    )
    # Size less one is Poisson, cut at seven; its mean peaks at 40 years.
    mean = 0.75 + 1.6 * np.exp(-(((age - 40) / 16) ** 2))
    counts = np.arange(8)
    poisson = mean[:, None] ** counts / np.cumprod(np.maximum(counts, 1))
    hh_size = 1.0 + _pick(u["hh_size"], poisson / poisson.sum(axis=1, keepdims=True))
    log_income = (
        10.85
        + np.array([-0.5, -0.2, 0.0, 0.4, 0.65])[education]
        - 0.8 * ((age - 48) / 40) ** 2
        + 0.35 * np.log(hh_size)
        + np.array([0.08, -0.02, -0.1, 0.0, 0.12])[region]
        + 0.12 * urban
        + 0.68 * ndtri(u["income"])
    )
    income = np.minimum(np.round(np.exp(log_income), -2), 2_000_000)
    z = _affluence(income)
    tenure = _pick(
        u["tenure"], _softmax(0.0, -0.75 - 0.045 * (age - 50) - 0.9 * z + 0.5 * urban, np.full(n, -3.4))
    )
    renter = (tenure == 1).astype(np.float64)
    dwelling = _pick(
        u["dwelling"],
        _softmax(
            0.0,
            -3.0 + urban + 0.8 * renter,
            -4.0 + 1.5 * urban + 3.0 * renter - 0.35 * (hh_size - 2.5),
            -2.8 - 0.9 * urban - 0.9 * z + 0.3 * renter + 0.4 * (region == 2),
        ),
    )
    era = np.array([-1.1, -0.5, 0.4, 0.6, 0.0])[region] - 0.2 * urban + 0.5 * (dwelling == 3) + 0.2 * z
    year_built = _pick(u["year_built"], _ordered_logit(era, [-1.6, -0.6, 0.5, 1.1, 1.9]))
    size = np.array([6.2, 5.2, 3.8, 4.9])[dwelling] + 0.3 * (hh_size - 2.5) + 0.6 * z
    rooms = np.clip(np.round(size + 1.1 * ndtri(u["rooms"])), 1, 12)
    return {
        "region": region, "urban": urban, "age": age, "education": education, "income": income,
        "hh_size": hh_size, "tenure": tenure, "dwelling": dwelling, "year_built": year_built, "rooms": rooms,
    }  # fmt: skip


def _equations(x: Columns) -> _Equations:
    """Evaluate every equation's systematic part at the predictors; not a number where income is missing."""
    region, urban, age, hh_size, rooms = x["region"], x["urban"], x["age"], x["hh_size"], x["rooms"]
    dwelling, year = x["dwelling"], x["year_built"]
    z, cold = _affluence(x["income"]), COLD[region]
    owner, renter = x["tenure"] == 0, x["tenure"] == 1
    detached, apartment, mobile = dwelling == 0, dwelling == 2, dwelling == 3
    rural = 1 - urban
    fuel = _softmax(
        np.zeros(len(z)),
        np.array([-1.6, -1.4, 0.6, -0.6, -0.3])[region]
        + 0.6 * apartment
        + 0.9 * mobile
        + rural
        + 0.15 * (year - 2),
        np.array([-0.9, -3.8, -3.6, -4.5, -4.5])[region] + 0.9 * rural - 0.25 * (year - 2),
        np.array([-3.4, -2.8, -3.3, -2.8, -3.4])[region] + 2.4 * rural + 0.5 * mobile,
        np.array([-3.5, -3.6, -3.6, -3.1, -2.8])[region] + 1.4 * rural,
    )
    fuel_effect = np.zeros((len(z), 5))
    fuel_effect[:, 1] = 0.3 + 0.2 * cold
    fuel_effect[:, 3:] = 0.05
    return _Equations(
        insulation=_ordered_logit(0.45 * (year - 2) + 0.3 * z + 0.35 * owner, [-1.6, 0.0, 1.7]),
        heating_fuel=fuel,
        solar=expit(
            np.array([-4.7, -5.5, -5.0, -3.7, -3.4])[region] + 1.0 * owner + 0.8 * detached + 0.5 * z
        ),
        vehicles=expit(
            -1.15 + 0.65 * np.log(hh_size) + 0.25 * z - 0.25 * urban - 0.45 * apartment + 0.1 * owner
        ),
        electricity=np.log(7_800)
        + 0.28 * np.log(hh_size)
        + 0.055 * (rooms - 5)
        + 0.1 * z
        + np.array([0.0, -0.12, -0.36, -0.02])[dwelling]
        + np.array([-0.15, 0.0, 0.28, 0.0, -0.22])[region]
        - 0.12 * ((age - 50) / 30) ** 2
        - 0.06 * urban,
        electricity_sd=0.18 + 0.02 * rooms + 0.06 * renter,
        fuel_effect=fuel_effect,
        gas_bill=np.log(640)
        + 0.4 * cold
        + 0.06 * (rooms - 5)
        + 0.06 * z
        - 0.5 * apartment
        - 0.06 * (year - 2),
        saver=0.5 + 0.7 * z + 0.012 * (age - 50) + 0.35 * owner - 0.1 * (hh_size - 2.5),
        savings=np.log(9_000) + 0.9 * z + 0.02 * (age - 50) + 0.4 * owner,
        food=-1.2 - 0.28 * z + 0.1 * (hh_size - 2.5),
        housing=-0.45
        - 0.22 * z
        + 0.25 * renter
        + np.array([0.1, -0.05, -0.05, 0.0, 0.2])[region]
        + 0.1 * urban,
    )


def _draw_fusion_variables(u: dict[str, Floats], eq: _Equations) -> Columns:
    """Simulate the fusion variables given the systematic parts; categorical ones as codes."""
    n = len(eq.solar)
    thrift = ndtri(u["thrift"])
    insulation = _pick(u["insulation"], eq.insulation)
    fuel = _pick(u["heating_fuel"], eq.heating_fuel)
    solar = u["solar"] < eq.solar
    log_electricity = (
        eq.electricity
        + eq.fuel_effect[np.arange(n), fuel]
        + SOLAR_EFFECT * solar
        + INSULATION_ELECTRICITY * insulation
        + THRIFT_ELECTRICITY * thrift
        + eq.electricity_sd * ndtri(u["electricity"])
    )
    log_gas = eq.gas_bill + INSULATION_GAS * insulation + THRIFT_GAS * thrift + SD_GAS * ndtri(u["gas_bill"])
    saves = ndtri(u["saver"]) < eq.saver + THRIFT_SAVER * thrift
    odds = u["savings"] / (1 - u["savings"])
    savings = np.exp(eq.savings + THRIFT_SAVINGS * thrift) * odds ** (1 / SAVINGS_TAIL)
    digits = 10.0 ** np.maximum(np.floor(np.log10(savings)) - 2, 0)
    food_noise = ndtri(u["food"])
    housing_noise = COR_SHARES * food_noise + np.sqrt(1 - COR_SHARES**2) * ndtri(u["housing"])
    shares = _softmax(
        eq.food + THRIFT_FOOD * thrift + SD_FOOD * food_noise,
        eq.housing + THRIFT_HOUSING * thrift + SD_HOUSING * housing_noise,
        0.0,
    )
    food, housing = np.maximum(np.round(shares[:, :2].T, 4), 0.0001)
    return {
        "heating_fuel": fuel,
        "insulation": insulation,
        "solar": solar,
        "vehicles": _pick(u["vehicles"], _binomial(N_VEHICLES, eq.vehicles)),
        "electricity": np.round(np.exp(log_electricity), -1),
        "gas_bill": np.where(fuel == 0, np.maximum(np.round(np.exp(log_gas)), 1), 0.0),
        "food_share": food,
        "housing_share": housing,
        "other_share": np.round(1 - food - housing, 4),
        "savings": np.where(saves, np.maximum(np.round(savings / digits) * digits, 1), 0.0),
    }


def simulate_population(n: int, seed: int) -> pd.DataFrame:
    r"""Simulate households with the predictors and the fusion variables of the embedded surveys.

    Parameters
    ----------
    n : int
        Number of households.
    seed : int
        Seed of the counter-based generator. With one seed, the first households of a large population are
        those of a small one.

    Returns
    -------
    pandas.DataFrame
        One row per household: ten predictors and ten fusion variables, with the names, types, units and
        levels documented in `fusionpy.datasets.load_donor`.

    Notes
    -----
    The predictors are drawn one after another, each given those before it. A standard normal latent *thrift*
    :math:`T`, independent of the predictors, then ties the fusion variables together beyond them:

    .. math::

        \log e &= \mu_e(x) + f(\text{fuel}, x) - 0.4\,\text{solar} - 0.06\,\text{ins} - 0.2\,T
            + \sigma(x)\,\varepsilon_e \\
        \log g &= \mu_g(x) - 0.1\,\text{ins} - 0.25\,T + 0.35\,\varepsilon_g
            \quad\text{if fuel is piped gas, else } g = 0 \\
        \log s &= \mu_s(x) + 0.5\,T + \operatorname{logit}(U) / 2.5
            \quad\text{if } a(x) + 0.5\,T + \varepsilon_a > 0, \text{ else } s = 0 \\
        \log \frac{\text{food}}{\text{other}} &= \mu_f(x) + 0.2\,T + 0.3\,\varepsilon_f, \qquad
        \log \frac{\text{housing}}{\text{other}} = \mu_h(x) + 0.1\,T + 0.35\,\varepsilon_h

    with standard normal errors, independent but for :math:`\operatorname{cor}(\varepsilon_f, \varepsilon_h) =
    0.3`. The other fusion variables are logits (multinomial, ordered, binary, binomial) in the predictors
    alone, so independent of each other given them. Income is missing at random, for 2 % of householders below
    65 and 5 % of the others; the equations use the income that was there before. See ``data-raw/README.md``.

    Examples
    --------
    >>> population = simulate_population(1_000, seed=1)
    >>> population.shape
    (1000, 20)
    >>> bool((population["gas_bill"] > 0).eq(population["heating_fuel"] == "piped_gas").all())
    True
    """
    generator = np.random.Generator(np.random.Philox(seed))
    uniforms = np.maximum(generator.random((n, len(_DRAWS))), 2.0**-54)
    u = dict(zip(_DRAWS, np.ascontiguousarray(uniforms.T), strict=True))
    x = _draw_predictors(u)
    y = _draw_fusion_variables(u, _equations(x))
    x["income"] = np.where(u["missing"] < np.where(x["age"] < 65, 0.02, 0.05), np.nan, x["income"])
    x["urban"] = x["urban"].astype(bool)
    whole = {name: (x | y)[name].astype(np.int32) for name in ("age", "hh_size", "rooms", "vehicles")}
    labelled = {name: pd.Categorical.from_codes((x | y)[name], dtype=CATEGORIES[name]) for name in LEVELS}
    return pd.DataFrame(x | y | whole | labelled)


def conditional_means(x: pd.DataFrame) -> pd.DataFrame:
    r"""Expect every fusion variable given the predictors, exactly: the truth that a fusion aims at.

    Parameters
    ----------
    x : pandas.DataFrame
        Households with the ten predictors, as `simulate_population` and the loaders return them.

    Returns
    -------
    pandas.DataFrame
        One row per household, same index; not a number where income is missing. Columns: the expectations of
        ``solar`` and ``vehicles``, of ``electricity`` (kWh a year), ``gas_bill`` and ``savings`` (dollars),
        of the indicators ``heating_fuel.<level>`` and ``insulation.<level>`` and of ``saver`` (savings are
        positive), and of the log-ratios ``log_food`` and ``log_housing``, ``log(food_share / other_share)``
        and ``log(housing_share / other_share)``. The shares themselves have no closed form: simulate them.

    Notes
    -----
    Lognormal means, with the fuel, solar and insulation, independent given x, averaged out, e.g.

    .. math::

        E[g \mid x] = P(\text{piped gas} \mid x)\, e^{\mu_g + (0.25^2 + 0.35^2) / 2}
            \sum_k P(\text{ins} = k \mid x)\, e^{-0.1 k}

    and, with :math:`b = c = 0.5` the coefficients of thrift and :math:`k = 2.5` the log-logistic tail,

    .. math::

        E[s \mid x] = e^{\mu_s + b^2 / 2}\, \Phi\!\left(\frac{a(x) + bc}{\sqrt{1 + c^2}}\right)
            \frac{\pi / k}{\sin(\pi / k)}.

    Rounding (10 kWh, one dollar, three digits of savings) is ignored.

    Examples
    --------
    >>> population = simulate_population(50_000, seed=1).dropna()
    >>> ratio = population["electricity"].mean() / conditional_means(population)["electricity"].mean()
    >>> bool(abs(ratio - 1) < 0.01)
    True
    """
    codes: Columns = {name: x[name].cat.codes.to_numpy(dtype=np.intp) for name in LEVELS if name in x}
    numbers = ("urban", "age", "income", "hh_size", "rooms")
    eq = _equations(codes | {name: x[name].to_numpy(dtype=np.float64) for name in numbers})
    step = np.arange(4)
    means: dict[str, Floats] = {"solar": eq.solar, "vehicles": N_VEHICLES * eq.vehicles}
    means["electricity"] = (
        np.exp(eq.electricity + (THRIFT_ELECTRICITY**2 + eq.electricity_sd**2) / 2)
        * (eq.heating_fuel * np.exp(eq.fuel_effect)).sum(axis=1)
        * (1 + eq.solar * np.expm1(SOLAR_EFFECT))
        * (eq.insulation @ np.exp(INSULATION_ELECTRICITY * step))
    )
    typical_gas = np.exp(eq.gas_bill + (THRIFT_GAS**2 + SD_GAS**2) / 2) * (
        eq.insulation @ np.exp(INSULATION_GAS * step)
    )
    means["gas_bill"] = np.where(np.isnan(eq.gas_bill), np.nan, eq.heating_fuel[:, 0] * typical_gas)
    spread = np.sqrt(1 + THRIFT_SAVER**2)
    tail = np.pi / SAVINGS_TAIL / np.sin(np.pi / SAVINGS_TAIL)
    saver_tilted = ndtr((eq.saver + THRIFT_SAVER * THRIFT_SAVINGS) / spread)
    means["savings"] = np.exp(eq.savings + THRIFT_SAVINGS**2 / 2) * saver_tilted * tail
    means["saver"] = ndtr(eq.saver / spread)
    means["log_food"], means["log_housing"] = eq.food, eq.housing
    for name, shares in (("heating_fuel", eq.heating_fuel), ("insulation", eq.insulation)):
        means |= {f"{name}.{level}": shares[:, k] for k, level in enumerate(LEVELS[name])}
    return pd.DataFrame(means, index=x.index)
