"""Simulate the fusion variables of some recipients in one implicate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Target
from fusionpy.kernels.clusters import nearest
from fusionpy.kernels.draws import calibrate, draw_classes, draw_donors
from fusionpy.kernels.scaling import scale_columns, sort_quantiles
from fusionpy.kernels.strata import redraw_factors
from fusionpy.kernels.uniforms import DRAW, REWEIGHT, uniforms
from fusionpy.model import FusionModel, Pools, Step

__all__ = ["draw_weights", "simulate"]

NEVER = 1e-9  # weight of donors outside a refit's resample: drawn only if a pool holds no other


def draw_weights(model: FusionModel, seed: int, implicate: int) -> NDArray[np.float64]:
    """Weights by which donors are drawn in one implicate.

    Parameters
    ----------
    model : FusionModel
    seed : int
    implicate : int
        From 0.

    Returns
    -------
    (n,) float64
        Positive. Survey weights; times the counts of the implicate's refit; or, if they are redrawn, times
        standard exponentials, which may follow those counts.

    Notes
    -----
    Exponentials that follow the counts give wider and more honest margins (`validation/coverage`), but
    implicates of one refit are then more alike: the held-out CRPS of kwh rises by 0.9 %.
    """
    refits = model.options.refits
    counts = model.counts[implicate % refits] if refits else None
    factor = np.ones(model.n_donors) if counts is None else counts
    if model.options.redraw:
        u = uniforms(seed, REWEIGHT, model.n_donors, implicate=implicate)[0]
        factor = redraw_factors(u, counts if model.options.follow else None)
    return np.asarray(model.weight * np.maximum(factor, NEVER))


def simulate(
    model: FusionModel,
    x: NDArray[np.float64],
    *,
    seed: int,
    implicate: int,
    first: int,
    kblock: int,
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Draw all fusion variables, step after step, for consecutive recipients.

    Parameters
    ----------
    model : FusionModel
    x : (n, p) float64
        Encoded predictors, columns as in ``model.schema.x``.
    seed : int
    implicate : int
        From 0.
    first : int
        Number of the first recipient: its draws depend on that, not on the chunk it is in.
    kblock : int
        Donors in a block's pools.
    weight : (d,) float64
        From `draw_weights`.

    Returns
    -------
    (n, q) float64
        Values or level codes, columns as in ``model.schema.y``.
    """
    names = model.schema.names
    n_x = len(model.schema.x)
    work = np.empty((len(x), len(names)))
    work[:, :n_x] = x
    place = {name: j for j, name in enumerate(names)}
    for number, step in enumerate(model.steps):
        u = uniforms(seed, DRAW, len(x), implicate=implicate, step=number, first=first)
        predictors = np.ascontiguousarray(work[:, [place[name] for name in step.predictors]])
        drawn = _draw_step(model, step, predictors, u, implicate, kblock, weight)
        for j, variable in enumerate(step.variables):
            work[:, place[variable]] = drawn[:, j]
    return work[:, n_x:]


def _predict(
    model: FusionModel,
    step: Step,
    target: Target,
    predictors: NDArray[np.float64],
    u: NDArray[np.float64],
    implicate: int,
) -> NDArray[np.float64]:
    """Predict with the member that stands in for this implicate, or for each record."""
    n_members = len(step.members)
    if model.assignment != "record":
        return boosting.predict(
            step.models(implicate % n_members if n_members else 0)[target.name], predictors
        )
    member = np.floor(u * n_members).astype(np.intp)
    out = np.empty((len(predictors), target.n_classes))
    for m in range(n_members):
        rows = np.flatnonzero(member == m)
        if len(rows):
            out[rows] = boosting.predict(step.members[m][target.name], predictors[rows])
    return out


def _draw_step(
    model: FusionModel,
    step: Step,
    predictors: NDArray[np.float64],
    u: NDArray[np.float64],
    implicate: int,
    kblock: int,
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    if step.pools is None:
        target = step.targets[0]
        p = _predict(model, step, target, predictors, u[2], implicate)
        if p.shape[1] == 1:
            p = np.hstack([1 - p, p])
        classes = draw_classes(calibrate(p, step.calibrations.get(target.name, ())), u[0])
        return np.asarray(classes, dtype=np.float64)[:, None]

    out = np.zeros((len(predictors), len(step.variables)))
    rows = np.arange(len(predictors))
    targets = step.targets
    if not step.is_block and targets[0].kind == "z":
        p = _predict(model, step, targets[0], predictors, u[2], implicate)
        p = calibrate(np.hstack([1 - p, p]), step.calibrations.get(targets[0].name, ()))
        rows = np.flatnonzero(draw_classes(p, u[0]) == 0)
        targets = targets[1:]
    if len(rows) == 0:
        return out
    predictors, u = predictors[rows], u[:, rows]
    expected = np.hstack([_predict(model, step, t, predictors, u[2], implicate) for t in targets])
    if model.options.sort_quantiles:
        expected = sort_quantiles(expected, step.pools.columns)
    donor = _draw_from_pools(step.pools, expected, weight, u[1], kblock if step.is_block else None)
    columns = [model.donor_columns.index(variable) for variable in step.variables]
    out[rows] = model.donors[donor][:, columns]
    return out


def _draw_from_pools(
    pools: Pools,
    expected: NDArray[np.float64],
    weight: NDArray[np.float64],
    u: NDArray[np.float64],
    kblock: int | None,
) -> NDArray[np.intp]:
    centre = nearest(scale_columns(expected, pools.centre, pools.scale), pools.centres, 1)[:, 0]
    start, member = pools.start, pools.member
    if kblock is not None:
        size = int(pools.sizes[0])  # of a block all pools are of one size
        first = member.reshape(-1, size)[:, :kblock]
        start, member = np.arange(len(first) + 1) * first.shape[1], np.ascontiguousarray(first).ravel()
    return np.asarray(draw_donors(centre, start, member, weight, u))
