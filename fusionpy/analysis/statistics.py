"""The statistics: of what each is, its value, its variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from fusionpy.analysis.estimand import QUANTILES, Estimand
from fusionpy.analysis.groups import Array
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.variances import (
    mean_variance,
    quantile_variance,
    ratio_of,
    shares_variance,
    total_variance,
)
from fusionpy.errors import (
    ArgumentError,
    shown,
)
from fusionpy.frames.returned import own_copy
from fusionpy.kernels.estimates import (
    cochran_variance,
)
from fusionpy.kernels.quantiles import (
    gini_variance,
    group_gini,
    group_quantiles,
)
from fusionpy.kernels.rubin import Combining
from fusionpy.model.variables import is_number

__all__ = ["OF_LEVELS", "OF_NUMBERS", "STATISTICS", "evaluate", "has_levels", "variance_of"]

OF_NUMBERS = ("median", "quantile", "ratio", "share", "gini")

OF_LEVELS = {"proportion": "mean", "count": "sum"}


def has_levels(estimand: Estimand, kind: pa.DataType) -> bool:
    """Tell whether an estimand is of the levels of a column of some type, rather than of its values."""
    return not (is_number(kind) or estimand.how in OF_NUMBERS)


STATISTICS = ("mean", "proportion", "sum", "count", "median", "quantile", "ratio", "share", "gini", "custom")


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
    how = data.estimand.how
    if data.levels is not None:
        shares = data.shares(w)
        return shares.share if how in ("mean", "proportion") else shares.weight
    if how == "custom":
        return _custom(data, w)
    if how in ("mean", "sum", "share"):
        moments = data.moments(w)
        amount = np.nan_to_num(moments.mean) * moments.total
        whole = amount.sum()
        shared = amount / whole if whole != 0 else np.full_like(amount, np.nan)
        return {"mean": moments.mean, "sum": amount, "share": shared}[how][:, None]
    if how == "ratio":
        return np.asarray(ratio_of(data, w)[0])[:, None]
    if how == "gini":
        return np.asarray(group_gini(*data.order, data.x, w))[:, None]
    share = np.full(data.n_cells, data.estimand.share)
    return np.asarray(group_quantiles(*data.order, data.x, w, share))[:, None]


def variance_of(
    data: Measured, w: Array, estimate: Array, rule: Combining, implicate: int, seed: int
) -> Array:
    """Estimate the sampling variance by formula."""
    how = data.estimand.how
    if data.levels is not None:
        shares = data.shares(w)
        if how in ("mean", "proportion"):
            return shares_variance(shares, rule)
        simple = shares_variance(shares, rule) * shares.total[:, None] ** 2
        if rule != "barnard-rubin":
            return simple
        p, rest = shares.share, shares.squares[:, None] - shares.weight2
        spread2, tilt = (1 - p) ** 2 * shares.weight2 + p**2 * rest, (1 - p) * shares.weight2 - p * rest
        linear = total_variance(shares, p, spread2, tilt)
        return np.where(linear > 0, linear, simple)
    if how == "ratio":
        ratio, below = ratio_of(data, w)
        moments = data.moments(w, data.x - np.append(ratio, 0.0)[data.cell] * data.other)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(cochran_variance(moments) * moments.total**2 / below**2)[:, None]
    if how == "gini":
        return np.asarray(gini_variance(*data.order, data.x, w, estimate[:, 0]))[:, None]
    if how in QUANTILES:
        return quantile_variance(data, w, estimate[:, 0], rule, implicate, seed)[:, None]
    moments = data.moments(w)
    if how == "mean":
        return mean_variance(moments, rule)[:, None]
    if how == "sum" and rule != "barnard-rubin":
        return (mean_variance(moments, rule) * moments.total**2)[:, None]
    mean, spread2 = np.nan_to_num(moments.mean), np.nan_to_num(moments.spread2)
    # Σw²(x - mean), which is 0 with equal weights.
    tilt = np.nan_to_num(data.moments(w**2, data.x + 0.0).mean - moments.mean) * moments.squares
    if how == "sum":
        return total_variance(moments, mean[:, None], spread2[:, None], tilt[:, None])
    second = np.maximum(spread2 + 2 * mean * tilt + mean**2 * moments.squares, 0.0)  # Σw²x²
    whole, share = (mean * moments.total).sum(), estimate[:, 0]
    n = moments.n.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = n / (n - 1) * ((1 - share) ** 2 * second + share**2 * (second.sum() - second)) / whole**2
    return np.asarray(variance)[:, None]


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
