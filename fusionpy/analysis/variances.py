"""Sampling variances of the statistics, from one implicate."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fusionpy.analysis.groups import Array
from fusionpy.analysis.measured import Measured
from fusionpy.kernels.estimates import (
    Moments,
    Shares,
    cochran_variance,
    share_variance,
)
from fusionpy.kernels.quantiles import (
    density_at,
    gini_variance,
    group_quantiles,
    woodruff_variance,
)
from fusionpy.kernels.rubin import Combining
from fusionpy.kernels.strata import bootstrap_counts
from fusionpy.kernels.uniforms import ANALYSIS, uniforms

__all__ = [
    "Terms",
    "bootstrap_variance",
    "of_count",
    "of_gini",
    "of_mean",
    "of_proportion",
    "of_quantile",
    "of_ratio",
    "of_share",
    "of_sum",
    "ratio_of",
]

BOOTSTRAPS = 50
MEDIAN_BOOTSTRAPS, MEDIAN_MOST = 200, 1000  # the reference's, section 5

Z = 1.6448536269514722  # 95th percentile of the normal distribution, by which variances of quantiles are had


class Terms(NamedTuple):
    """What a variance is wanted for.

    Attributes
    ----------
    rule : str
        Of pooling: "rubin" and "fusionacs" take the reference's variances, "barnard-rubin" ours.
    implicate : int
        From 0; like the seed, for what has to be drawn.
    seed : int
    """

    rule: Combining
    implicate: int
    seed: int


def _resample(n: int, number: int, terms: Terms) -> Array:
    """Draw how often each of n records stands in a bootstrap sample."""
    return bootstrap_counts(uniforms(terms.seed, ANALYSIS, n, implicate=terms.implicate, step=number)[0])


def bootstrap_variance(
    value: Callable[[Measured, Array], Array], data: Measured, w: Array, estimate: Array, terms: Terms
) -> Array:
    """Variance of values of resampled records: (k, L) float64."""
    drawn = [value(data, w * _resample(len(w), number, terms)) for number in range(BOOTSTRAPS)]
    stacked = np.stack([each[:, : estimate.shape[1]] for each in drawn])
    known = (~np.isnan(stacked)).sum(axis=0)
    centre = np.nansum(stacked, axis=0) / np.maximum(known, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.nansum((stacked - centre) ** 2, axis=0) / (known - 1)
    return np.where(np.isnan(estimate) | (known < 2), np.nan, variance)


def of_mean(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variance of a mean, by group."""
    return _mean_variance(data.moments(w), terms.rule)


def _mean_variance(moments: Moments, rule: Combining) -> Array:
    if rule == "barnard-rubin":
        return cochran_variance(moments)
    if rule == "rubin":
        # A variable that is 0 or 1 throughout is a proportion; in one group alone that is chance (fault 10).
        return cochran_variance(moments, zero_one=bool(moments.zero_one.all()))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = moments.spread / (moments.total - 1) / moments.n_eff
    return np.where(moments.n > 1, variance, np.nan)


def of_proportion(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variances of the proportions of levels, by group."""
    return _proportion_variance(data.shares(w), terms.rule)


def _proportion_variance(shares: Shares, rule: Combining) -> Array:
    if rule == "rubin":
        return share_variance(shares)
    p = shares.share
    with np.errstate(invalid="ignore", divide="ignore"):
        n_eff = shares.n_eff[:, None]
        adjusted = (p * n_eff + Z**2 / 2) / (n_eff + Z**2)  # Agresti and Coull (1998)
        simple = adjusted * (1 - adjusted) / n_eff
        if rule == "fusionacs":
            return np.where(shares.n[:, None] > 1, simple, np.nan)
        spread2 = (1 - p) ** 2 * shares.weight2 + p**2 * (shares.squares[:, None] - shares.weight2)
        n = shares.n[:, None]
        linear = n / (n - 1) * spread2 / shares.total[:, None] ** 2
    # A share of none or of all has no spread in the sample, which does not make it certain.
    return np.where(n > 1, np.where((p <= 0) | (p >= 1), simple, linear), np.nan)


def of_sum(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variance of a sum, by group."""
    moments = data.moments(w)
    if terms.rule != "barnard-rubin":
        return np.asarray(_mean_variance(moments, terms.rule) * moments.total**2)
    mean, spread2, tilt = _centred(data, w, moments)
    return _total_variance(moments, mean[:, None], spread2[:, None], tilt[:, None])[:, 0]


def _centred(data: Measured, w: Array, moments: Moments) -> tuple[Array, Array, Array]:
    """Each group's mean, Σw²(x - mean)² and Σw²(x - mean), which is 0 with equal weights."""
    tilt = np.nan_to_num(data.moments(w**2, data.x + 0.0).mean - moments.mean) * moments.squares
    return np.nan_to_num(moments.mean), np.nan_to_num(moments.spread2), tilt


def of_count(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variances of the weights of levels, by group."""
    shares = data.shares(w)
    simple = _proportion_variance(shares, terms.rule) * shares.total[:, None] ** 2
    if terms.rule != "barnard-rubin":
        return np.asarray(simple)
    p, rest = shares.share, shares.squares[:, None] - shares.weight2
    spread2, tilt = (1 - p) ** 2 * shares.weight2 + p**2 * rest, (1 - p) * shares.weight2 - p * rest
    linear = _total_variance(shares, p, spread2, tilt)
    return np.where(linear > 0, linear, simple)


def _total_variance(basis: Moments | Shares, mean: Array, spread2: Array, tilt: Array) -> Array:
    r"""Estimate the sampling variance of totals of groups where the whole's sum of weights is known.

    With z = x in the group and 0 elsewhere, and mean :math:`\bar z` over all records,
    :math:`n / (n - 1) \sum w^2 (z - \bar z)^2`, from the group's mean, :math:`\sum w^2 (x - \bar x)^2` and
    :math:`\sum w^2 (x - \bar x)`, so that a large mean does not drown the spread.
    """
    n, squares = basis.n.sum(), basis.squares[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = mean * (basis.total / basis.total.sum())[:, None]
        beside = overall**2 * (squares.sum() - squares)
        spread = spread2 + 2 * (mean - overall) * tilt + (mean - overall) ** 2 * squares + beside
        return np.asarray(n / (n - 1) * np.maximum(spread, 0.0) if n > 1 else np.full_like(spread, np.nan))


def of_share(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variance of a group's share of the total."""
    moments = data.moments(w)
    mean, spread2, tilt = _centred(data, w, moments)
    second = np.maximum(spread2 + 2 * mean * tilt + mean**2 * moments.squares, 0.0)  # Σw²x²
    whole, n = (mean * moments.total).sum(), moments.n.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (
            n / (n - 1) * ((1 - estimate) ** 2 * second + estimate**2 * (second.sum() - second)) / whole**2
        )
    return np.asarray(variance)


def ratio_of(data: Measured, w: Array) -> tuple[Array, Array]:
    """Ratio of two totals by group, and the total below the line."""
    assert data.other is not None
    above = data.moments(w, data.x + 0 * data.other)
    below = data.moments(w, data.other + 0 * data.x)
    with np.errstate(invalid="ignore", divide="ignore"):
        under = below.mean * below.total
        return np.where(under != 0, above.mean * above.total / under, np.nan), under


def of_ratio(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variance of a ratio of two totals, by group."""
    ratio, below = ratio_of(data, w)
    moments = data.moments(w, data.x - np.append(ratio, 0.0)[data.cell] * data.other)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(cochran_variance(moments) * moments.total**2 / below**2)


def of_gini(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variance of a Gini coefficient, by group."""
    return np.asarray(gini_variance(*data.order, data.x, w, estimate))


def of_quantile(data: Measured, w: Array, estimate: Array, terms: Terms) -> Array:
    """Variance of a quantile, by group."""
    share = data.estimand.share
    if terms.rule == "barnard-rubin":
        return woodruff_variance(data.order, data.x, w, share, Z)
    if terms.rule == "fusionacs":
        return _spacing_variance(data, w, share)
    start, row = data.order
    weighing = [rows[w[rows] > 0] for rows in np.split(row, start[1:-1])]
    out = np.full(data.n_cells, np.nan)
    drawn = np.zeros((0, data.n_cells))
    if min(map(len, weighing)) <= MEDIAN_MOST or (estimate == 0).any():
        each = np.full(data.n_cells, share)
        drawn = np.stack(
            [
                group_quantiles(start, row, data.x, w * _resample(len(w), number, terms), each)
                for number in range(MEDIAN_BOOTSTRAPS)
            ]
        )
    for c in np.flatnonzero(~np.isnan(estimate)):
        rows = weighing[c]
        values = data.x[rows]
        if len(rows) <= 1 or values.min() == values.max():
            out[c] = 0.0 if len(rows) > 1 else np.nan
        elif len(rows) > MEDIAN_MOST and estimate[c] != 0:
            density = density_at(values, w[rows], estimate[c])
            out[c] = share * (1 - share) / (len(rows) * density**2)
        else:
            out[c] = np.nanvar(drawn[:, c], ddof=1)
    return out


def _spacing_variance(data: Measured, w: Array, share: float) -> Array:
    """Variance of quantiles from the spacing of those beside them, as fusionACS has it (section 5)."""
    moments = data.moments(w)
    start, row = data.order
    low, high = (
        group_quantiles(start, row, data.x, w, np.full(data.n_cells, np.clip(share + d, 0, 1)))
        for d in (-0.025, 0.025)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        density = 0.05 / (high - low)
        se = np.sqrt(share * (1 - share)) / density / np.sqrt(moments.n_eff)
        se = np.where(high > low, se, np.sqrt(_mean_variance(moments, "fusionacs")) * np.pi / 2)
    return np.where(moments.n > 1, se**2, np.nan)
