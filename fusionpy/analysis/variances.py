"""Variances of estimates from one implicate."""

from __future__ import annotations

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
    group_quantiles,
    woodruff_variance,
)
from fusionpy.kernels.rubin import Combining
from fusionpy.kernels.strata import bootstrap_counts
from fusionpy.kernels.uniforms import ANALYSIS, uniforms

__all__ = ["mean_variance", "quantile_variance", "ratio_of", "resample", "shares_variance", "total_variance"]

MEDIAN_BOOTSTRAPS, MEDIAN_MOST = 200, 1000  # the reference's, section 5

Z = 1.6448536269514722  # 95th percentile of the normal distribution, by which variances of quantiles are had


def resample(n: int, implicate: int, number: int, seed: int) -> Array:
    """Draw how often each of n records stands in a bootstrap sample."""
    return bootstrap_counts(uniforms(seed, ANALYSIS, n, implicate=implicate, step=number)[0])


def mean_variance(moments: Moments, rule: Combining) -> Array:
    """Variance of a mean, by group."""
    if rule == "barnard-rubin":
        return cochran_variance(moments)
    if rule == "rubin":
        # A variable that is 0 or 1 throughout is a proportion; in one group alone that is chance (fault 10).
        return cochran_variance(moments, zero_one=bool(moments.zero_one.all()))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = moments.spread / (moments.total - 1) / moments.n_eff
    return np.where(moments.n > 1, variance, np.nan)


def shares_variance(shares: Shares, rule: Combining) -> Array:
    """Variances of the shares of levels, by group."""
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


def total_variance(basis: Moments | Shares, mean: Array, spread2: Array, tilt: Array) -> Array:
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


def ratio_of(data: Measured, w: Array) -> tuple[Array, Array]:
    """Ratio of two totals by group, and the total below the line."""
    assert data.other is not None
    above = data.moments(w, data.x + 0 * data.other)
    below = data.moments(w, data.other + 0 * data.x)
    with np.errstate(invalid="ignore", divide="ignore"):
        under = below.mean * below.total
        return np.where(under != 0, above.mean * above.total / under, np.nan), under


def quantile_variance(
    data: Measured, w: Array, found: Array, rule: Combining, implicate: int, seed: int
) -> Array:
    """Variance of a quantile, by group."""
    share = data.estimand.share
    if rule == "barnard-rubin":
        return woodruff_variance(data.order, data.x, w, share, Z)
    if rule == "fusionacs":
        return _spacing_variance(data, w, share)
    start, row = data.order
    sizes = np.diff(start)
    out = np.full(data.n_cells, np.nan)
    drawn = np.zeros((0, data.n_cells))
    if (sizes <= MEDIAN_MOST).any() or (found == 0).any():
        each = np.full(data.n_cells, share)
        drawn = np.stack(
            [
                group_quantiles(start, row, data.x, w * resample(len(w), implicate, b, seed), each)
                for b in range(MEDIAN_BOOTSTRAPS)
            ]
        )
    for c in np.flatnonzero(~np.isnan(found)):
        rows = row[start[c] : start[c + 1]]
        rows = rows[w[rows] > 0]
        values = data.x[rows]
        if len(rows) <= 1 or values.min() == values.max():
            out[c] = 0.0 if len(rows) > 1 else np.nan
        elif len(rows) > MEDIAN_MOST and found[c] != 0:
            density = density_at(values, w[rows], found[c])
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
        se = np.where(high > low, se, np.sqrt(mean_variance(moments, "fusionacs")) * np.pi / 2)
    return np.where(moments.n > 1, se**2, np.nan)
