"""How much of a sampling variance is noise of draws: what differs, by record, between implicates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fusionpy.analysis.groups import Array, Cells
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.statistics import statistic_of

__all__ = ["has_noise", "noise_between"]

EXACT = ("mean", "proportion", "sum", "count", "ratio", "lm", "glm")
RELATIVE = ("median", "quantile")


def has_noise(data: Measured) -> bool:
    """Tell whether the noise of a statistic can be told from its sampling variance."""
    return statistic_of(data).name in (*EXACT, *RELATIVE)


def noise_between(
    before: tuple[Measured, Array], after: tuple[Measured, Array], w: Array, variance: Array | None
) -> Array:
    r"""Estimate the part of an estimate's sampling variance that records' draws make, each by its own.

    Parameters
    ----------
    before, after : Measured, and (k, L) float64
        One estimand in two implicates of the same records, and its estimates.
    w : (n,) float64
        Weights, the same in both.
    variance : (k, L) float64, optional
        Sampling variances of the second, by linearisation, of which quantiles get their share; without them
        they have none.

    Returns
    -------
    (k, L) float64
        NaN for statistics of which it is not known.

    Notes
    -----
    With :math:`u_i` a record's influence on the estimate (0 outside of its group) in either implicate,
    :math:`\frac12 \frac{n}{n - 1} \sum_i w_i^2 (u_i - u_i')^2`: what both implicates have in common of a
    record cancels. Of a quantile, whose influence has a density in it, it is the same share of the variance
    as that of :math:`\sum_i w_i^2 (u_i^2 + u_i'^2) / 2`, both with indicators.
    """
    data, estimate = after
    k, L = data.n_cells, estimate.shape[1]
    how = statistic_of(data).name
    if not has_noise(data) or (how in RELATIVE and variance is None):
        return np.full((k, L), np.nan)
    old = before[0]
    is_same = old.cell == data.cell
    w2 = w**2
    out = np.full((k, L), np.nan)
    influences = zip(_influences(*before, w), _influences(*after, w), strict=False)
    for level, ((u_old, scale_old, _), (u, scale, n)) in enumerate(influences):
        if level >= L:
            break
        scale_old = np.append(scale_old, np.full(k - len(scale_old), np.inf))
        one = _added(old.cell, w2 * u_old**2, k) / scale_old**2
        other = _added(data.cell, w2 * u**2, k) / scale**2
        common = _added(data.cell[is_same], (w2 * u_old * u)[is_same], k) / (scale_old * scale)
        with np.errstate(invalid="ignore", divide="ignore"):
            noise = np.maximum((one + other) / 2 - common, 0.0)
            if variance is not None and how in RELATIVE:
                share = np.where(noise > 0, noise / ((one + other) / 2), 0.0)
                out[:, level] = np.minimum(share, 1.0) * variance[:, level]
            else:
                out[:, level] = noise * n / np.maximum(n - 1, 1)
    return out


def _added(cell: Cells, values: Array, k: int) -> Array:
    return np.asarray(np.bincount(cell, values, k)[:k], dtype=np.float64)


def _influences(data: Measured, estimate: Array, w: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield for each level the records' influences, what they are divided by, and the groups' records."""
    how = statistic_of(data).name
    centre = np.nan_to_num(estimate)
    if data.levels is not None:
        shares = data.shares(w)
        is_share = how == "proportion"
        scale = _positive(shares.total) if is_share else np.ones(data.n_cells)
        for level in range(estimate.shape[1]):
            u = (data.x == level).astype(np.float64)
            yield (u - centre[data.cell, level]) * (data.x >= 0) if is_share else u, scale, shares.n
        return
    if data.design is not None:
        n = data.moments(w, data.design.validity).n
        for u in data.design.influences(w, data.names).T:
            yield u, np.ones(data.n_cells), n
        return
    moments = data.moments(w, data.x if data.other is None else data.x + 0 * data.other)
    own = centre[data.cell, 0]
    scale = _positive(moments.total)
    if how == "sum":
        u, scale = np.asarray(data.x), np.ones(data.n_cells)
    elif how == "mean":
        u = data.x - own
    elif how == "ratio":
        assert data.other is not None
        u = data.x - own * data.other
        below = data.moments(w, data.other + 0 * data.x)
        scale = _positive(np.abs(below.mean * below.total))
    else:
        u = np.where(np.isnan(data.x), np.nan, (data.x <= own) - data.estimand.share)
    yield np.nan_to_num(u), scale, moments.n


def _positive(scale: Array) -> Array:
    """Divide by infinity rather than by nothing."""
    return np.where(np.nan_to_num(scale) > 0, scale, np.inf)
