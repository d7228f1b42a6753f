"""The statistics: of what each is, its value, its variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fusionpy.analysis import variances
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.groups import Array
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.variances import Terms, bootstrap_variance, ratio_of
from fusionpy.errors import (
    ArgumentError,
    shown,
)
from fusionpy.frames.returned import own_copy
from fusionpy.kernels.quantiles import (
    group_gini,
    group_quantiles,
)
from fusionpy.kernels.rubin import Combining
from fusionpy.model.variables import is_number

__all__ = [
    "STATISTICS",
    "Statistic",
    "estimate_variance",
    "evaluate",
    "find_statistic",
    "has_levels",
    "misfit",
    "statistic_of",
]

Value = Callable[[Measured, Array], Array]
Variance = Callable[[Measured, Array, Array, Terms], Array]


@dataclass(frozen=True)
class Statistic:
    """A statistic of groups of records.

    Attributes
    ----------
    name : str
    of : {"numbers", "levels", "records", "formula"}
        What it is of: a column's numbers, each of its levels, whole records, or a formula.
    value : callable
        Of what is measured and (n,) float64 weights: of numbers (k,) float64, one per group; of all else
        (k, L), with a column for each level or coefficient, or for all that a user's function returns.
    variance : callable, optional
        The sampling variance, of what is measured, the weights, the values and the `Terms`, among them the
        pooling rule; like the values. Without one, records are resampled.
    counterpart : str
        Of columns of the other kind, numbers or levels, what there is in its place.
    takes : {"column", "pair", "share", "function", "formula"}
        What it is asked for with: a column, two of them, a column and a share, a function of the user's, or a
        formula.
    others : tuple of str
        Other names.
    of_nothing : float
        Its value in a group of no records, with its variance.
    drawn_by : tuple of str
        Pooling rules by which its variance is drawn, so that the seed matters.
    """

    name: str
    of: Literal["numbers", "levels", "records", "formula"]
    value: Value
    variance: Variance | None = None
    counterpart: str = ""
    takes: Literal["column", "pair", "share", "function", "formula"] = "column"
    others: tuple[str, ...] = ()
    of_nothing: float = np.nan
    drawn_by: tuple[Combining, ...] = ()


def _mean(data: Measured, w: Array) -> Array:
    return data.moments(w).mean


def _sum(data: Measured, w: Array) -> Array:
    moments = data.moments(w)
    return np.asarray(np.nan_to_num(moments.mean) * moments.total)


def _share(data: Measured, w: Array) -> Array:
    amount = _sum(data, w)
    whole = amount.sum()
    return amount / whole if whole != 0 else np.full_like(amount, np.nan)


def _proportion(data: Measured, w: Array) -> Array:
    return data.shares(w).share


def _count(data: Measured, w: Array) -> Array:
    return data.shares(w).weight


def _quantile(data: Measured, w: Array) -> Array:
    share = np.full(data.n_cells, data.estimand.share)
    return np.asarray(group_quantiles(*data.order, data.x, w, share))


def _ratio(data: Measured, w: Array) -> Array:
    return ratio_of(data, w)[0]


def _gini(data: Measured, w: Array) -> Array:
    return np.asarray(group_gini(*data.order, data.x, w))


def _custom(data: Measured, w: Array) -> Array:
    """Call the user's function for every group; NaN for groups without weight."""
    function = data.estimand.function
    assert function is not None
    found: list[Mapping[str, float] | None] = []
    for rows, frame in data.parts:
        weight = w[rows]
        result = function(own_copy(frame), weight) if weight.sum() > 0 else None
        found.append(None if result is None else _numbers(result, data.estimand.y))
    for result in found:
        data.names += [name for name in result or () if name not in data.names]
    out = np.full((data.n_cells, max(len(data.names), 1)), np.nan)
    for c, result in enumerate(found):
        for name, value in (result or {}).items():
            out[c, data.names.index(name)] = value
    return out


def _coefficients(data: Measured, w: Array) -> Array:
    """Regress in every group: a column for each coefficient that some implicate has."""
    assert data.design is not None
    return _placed(data, data.design.coefficients(w))


def _of_coefficients(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variances of coefficients, the same by all pooling rules."""
    assert data.design is not None
    return _placed(data, data.design.variances(w))


def _placed(data: Measured, values: Array) -> Array:
    """Put coefficients where other implicates have them."""
    assert data.design is not None
    out = np.full((data.n_cells, max(len(data.names), 1)), np.nan)
    out[:, [data.names.index(name) for name in data.design.names]] = values
    return out


def _numbers(result: Any, function: str) -> dict[str, float]:
    """Take what the user's function returned: a number, or names and numbers."""
    try:
        items = result.items() if hasattr(result, "items") else [("", result)]
        return {str(name): float(value) for name, value in items}
    except (TypeError, ValueError):
        raise ArgumentError(
            "`x` cannot be estimated.",
            [f"The function `{function}` returned {shown(result)}."],
            "Return a number, or a mapping of names to numbers.",
        ) from None


# A statistic is an entry here, in the order in which errors tell of them.
STATISTICS = {
    each.name: each
    for each in (
        Statistic("mean", "numbers", _mean, variances.of_mean, "proportion"),
        Statistic("proportion", "levels", _proportion, variances.of_proportion, "mean", others=("prop",)),
        Statistic("sum", "numbers", _sum, variances.of_sum, "count", others=("total",), of_nothing=0.0),
        Statistic("count", "levels", _count, variances.of_count, "sum", of_nothing=0.0),
        Statistic("median", "numbers", _quantile, variances.of_quantile, drawn_by=("rubin",)),
        Statistic(
            "quantile", "numbers", _quantile, variances.of_quantile, takes="share", drawn_by=("rubin",)
        ),
        Statistic("ratio", "numbers", _ratio, variances.of_ratio, takes="pair"),
        Statistic("share", "numbers", _share, variances.of_share, of_nothing=0.0),
        Statistic("gini", "numbers", _gini, variances.of_gini),
        Statistic("lm", "formula", _coefficients, _of_coefficients, takes="formula"),
        Statistic("glm", "formula", _coefficients, _of_coefficients, takes="formula"),
        Statistic("custom", "records", _custom, takes="function"),
    )
}


def find_statistic(name: str) -> Statistic | None:
    """Find a statistic by one of its names.

    Examples
    --------
    >>> find_statistic("total").name, find_statistic("variance")
    ('sum', None)
    """
    return next((each for each in STATISTICS.values() if name in (each.name, *each.others)), None)


def has_levels(estimand: Estimand, kind: pa.DataType) -> bool:
    """Tell whether an estimand is of the levels of a column of some type, rather than of its values."""
    statistic = STATISTICS[estimand.how]
    return not is_number(kind) and (statistic.of == "levels" or bool(statistic.counterpart))


def misfit(estimand: Estimand, kind: pa.DataType) -> str | None:
    """Say why there is no such statistic of a column of some type, for people.

    Examples
    --------
    >>> misfit(Estimand("count", "kwh"), pa.float64()), misfit(Estimand("gini", "fuel"), pa.string())
    ("is numeric: ask for its 'sum'", 'has levels, of which there is no gini')
    """
    statistic = STATISTICS[estimand.how]
    if statistic.of == "levels" and is_number(kind):
        other = statistic.counterpart
        return (
            f"is numeric: ask for its '{other}'"
            if other
            else f"is numeric, of which there is no {estimand.type}"
        )
    has_numbers = is_number(kind) or pa.types.is_boolean(kind) or bool(statistic.counterpart)
    return (
        None
        if statistic.of in ("levels", "formula") or has_numbers
        else f"has levels, of which there is no {estimand.type}"
    )


def statistic_of(data: Measured) -> Statistic:
    """Find the statistic that is estimated: the mean of levels is their proportion."""
    statistic = STATISTICS[data.estimand.how]
    is_other = data.levels is not None and statistic.of == "numbers"
    return STATISTICS[statistic.counterpart] if is_other else statistic


def evaluate(data: Measured, w: Array) -> Array:
    """Estimate with some weights.

    Parameters
    ----------
    data : Measured
    w : (n,) float64

    Returns
    -------
    (k, L) float64
    """
    statistic = statistic_of(data)
    found = statistic.value(data, w)
    return found[:, None] if statistic.of == "numbers" else found


def estimate_variance(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Estimate the sampling variance, by formula or else by resampling: (k, L) float64."""
    statistic = statistic_of(data)
    if statistic.variance is None:
        return bootstrap_variance(evaluate, data, w, estimate, terms)
    if statistic.of == "numbers":
        return statistic.variance(data, w, estimate[:, 0], terms)[:, None]
    return statistic.variance(data, w, estimate, terms)
