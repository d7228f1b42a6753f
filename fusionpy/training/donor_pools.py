"""Pools of donors about centres of conditional expectations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.clusters import cluster_centres, nearest
from fusionpy.kernels.pools import TAIL_POOL, are_far_out, choose_pool_sizes, sizes_before_drift
from fusionpy.kernels.scaling import (
    columns_scale,
    percentiles,
    scale_columns,
    sort_quantiles,
    unscale_columns,
)
from fusionpy.model import BLOCK_POOL, Pools
from fusionpy.model.options import Options
from fusionpy.training.targets import Fit

__all__ = ["block_pools", "solo_pools"]


def _expectations(
    fits: list[Fit], predicted: Mapping[str, NDArray[np.float64]], rows: NDArray[np.intp], options: Options
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    names = tuple(name for fit in fits for name in fit.target.columns)
    values = np.hstack([predicted[fit.target.name][rows] for fit in fits])
    return names, sort_quantiles(values, names) if options.sort_quantiles else values


def solo_pools(
    fits: list[Fit],
    predicted: Mapping[str, NDArray[np.float64]],
    draw_weight: NDArray[np.float64],
    options: Options,
) -> Pools:
    """Pools of variable size for one continuous variable."""
    rows = fits[0].sample.rows
    names, values = _expectations(fits, predicted, rows, options)
    centre, scale = columns_scale(values, _are_probabilities(fits))
    scaled = scale_columns(values, centre, scale)
    centres = cluster_centres(scaled, options.nclusters)
    low, high = options.krange
    near = nearest(centres, scaled, min(high, len(rows)))
    unscaled = unscale_columns(centres, centre, scale)
    sample, weight = fits[0].sample, draw_weight[rows]
    label = sample.label
    ptiles = percentiles(options.nquantiles)
    expected = unscaled[:, 0], unscaled[:, 1:]
    size = choose_pool_sizes(near, label, weight, *expected, ptiles, low, options.tolerant, sample.spread)
    if options.tails:
        size = np.minimum(size, sizes_before_drift(near, values[:, 0], label, weight, expected[0], low))
        size[are_far_out(expected[0], label, weight)] = min(max(low, TAIL_POOL), near.shape[1])
    if options.method == "fusionModel" and len(ptiles) == 1:  # which has no spread then, and takes all
        size[:] = near.shape[1]
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.intp)
    member = np.concatenate([near[c, :k] for c, k in enumerate(size)])
    total = np.add.reduceat(weight[member], start[:-1])
    mean = np.add.reduceat((weight * label)[member], start[:-1]) / total
    return Pools(
        columns=names,
        centre=centre,
        scale=scale,
        centres=centres,
        start=start,
        member=rows[member],
        r2=_r_squared(unscaled[:, 0], mean),
    )


def _are_probabilities(fits: list[Fit]) -> list[bool]:
    """Which of the targets' columns are probabilities."""
    return [fit.target.objective in ("binary", "multiclass") for fit in fits for _ in fit.target.columns]


def _r_squared(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    spread = float(((expected - expected.mean()) ** 2).sum())
    return 1 - float(((expected - found) ** 2).sum()) / spread if spread > 0 else float("nan")


def block_pools(fits: list[Fit], predicted: Mapping[str, NDArray[np.float64]], options: Options) -> Pools:
    """Pools of the nearest donors for a block: all of its variables come from one of them."""
    n = len(next(iter(predicted.values())))
    names, values = _expectations(fits, predicted, np.arange(n), options)
    centre, scale = columns_scale(values, _are_probabilities(fits))
    scaled = scale_columns(values, centre, scale)
    centres = cluster_centres(scaled, options.nclusters)
    near = nearest(centres, scaled, min(BLOCK_POOL, n))
    start = np.arange(len(centres) + 1) * near.shape[1]
    return Pools(
        columns=names,
        centre=centre,
        scale=scale,
        centres=centres,
        start=start.astype(np.intp),
        member=near.ravel(),
        r2=float("nan"),
    )
