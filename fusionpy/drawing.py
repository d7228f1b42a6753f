"""Simulate the fusion variables of some recipients in one implicate."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Target
from fusionpy.kernels.clusters import nearest
from fusionpy.kernels.draws import calibrate, draw_classes, draw_donors, nearest_within
from fusionpy.kernels.scaling import scale_columns, sort_quantiles
from fusionpy.kernels.strata import redraw_factors
from fusionpy.kernels.uniforms import DRAW, REWEIGHT, uniforms
from fusionpy.model import FusionModel, Pools, Step
from fusionpy.rules import Rule, allowed, limits

__all__ = ["draw_weights", "expected_by_others", "simulate"]

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
    expected: NDArray[np.float64] | None = None,
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
    expected : (n, e) float64, optional
        Filled with what each draw is on average, given those of the steps before it: a column per continuous
        variable, one per class of the others.

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
    averages = _expected_columns(model) if expected is not None else {}
    known = {variable.name for variable in model.schema.x}
    waiting = _add_up(_derived(model), known, work, place)
    for number, step in enumerate(model.steps):
        u = uniforms(seed, DRAW, len(x), implicate=implicate, step=number, first=first)
        predictors = np.ascontiguousarray(work[:, [place[name] for name in step.predictors]])
        average = None
        if expected is not None:
            columns = np.concatenate([averages[variable] for variable in step.variables])
            average = np.empty((len(x), len(columns)))
        limited = _limits(model, step, work, place)
        drawn = _draw_step(model, step, predictors, u, implicate, kblock, weight, limited, average)
        if expected is not None:
            expected[:, columns] = average
        for j, variable in enumerate(step.variables):
            work[:, place[variable]] = drawn[:, j]
        known |= set(step.variables)
        waiting = _add_up(waiting, known, work, place)
    if expected is not None:
        for rule in _derived(model):
            parts = [
                expected[:, averages[name][0]] if name in averages else work[:, place[name]]
                for name in rule.parts
            ]
            expected[:, averages[rule.variable][0]] = sum(parts)
    return work[:, n_x:]


def _derived(model: FusionModel) -> list[Rule]:
    """Find the totals that no step simulates."""
    simulated = {name for step in model.steps for name in step.variables}
    sums = [rule for rule in model.rules if rule.kind == "sum" and rule.variable]
    return [rule for rule in sums if rule.variable not in simulated]


def _add_up(
    waiting: list[Rule], known: set[str], work: NDArray[np.float64], place: Mapping[str, int]
) -> list[Rule]:
    """Add up the totals whose parts are all known; return those that still wait."""
    still = []
    for rule in waiting:
        if set(rule.parts) <= known:
            work[:, place[rule.variable]] = sum(work[:, place[part]] for part in rule.parts)
            known.add(rule.variable)
        else:
            still.append(rule)
    return still


@dataclass(frozen=True)
class _Limits:
    """What rules demand of the records of one step.

    Attributes
    ----------
    low, high : (n, q) float64
        Least and most of each of the step's variables.
    nonzero : (n, q) bool
        Whether a variable may be other than 0.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    nonzero: NDArray[np.bool_]

    def fit(self, values: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Tell the records whose drawn values are all within their bounds."""
        return np.asarray(((values >= self.low[rows]) & (values <= self.high[rows])).all(axis=1))


def _limits(
    model: FusionModel, step: Step, work: NDArray[np.float64], place: Mapping[str, int]
) -> _Limits | None:
    """Find what rules demand of a step, given what is known by then; None if nothing."""
    mine = [rule for rule in model.rules if rule.variable in step.variables]
    if not any(rule.kind in ("most", "least", "zero") for rule in mine):
        return None
    shape = len(work), len(step.variables)
    found = _Limits(np.full(shape, -np.inf), np.full(shape, np.inf), np.ones(shape, dtype=bool))

    def column(name: str) -> NDArray[np.float64]:
        return work[:, place[name]]

    for j, variable in enumerate(step.variables):
        bounds = limits(mine, variable, step.variables, column, len(work))
        if bounds is not None:
            found.low[:, j], found.high[:, j] = bounds
            if "int" in model.schema[variable].storage:  # a bound that is taken itself must be whole
                found.low[:, j], found.high[:, j] = np.ceil(bounds[0]), np.floor(bounds[1])
        for rule in mine:
            if rule.kind == "zero" and rule.variable == variable and rule.other not in step.variables:
                found.nonzero[:, j] &= allowed(rule, column, model.schema)
    return found


def expected_by_others(
    model: FusionModel, x: NDArray[np.float64], seed: int, cores: int
) -> NDArray[np.float64]:
    """Average what fusing each donor would give, by the refits that did not see it.

    Parameters
    ----------
    model : FusionModel
        With refits.
    x : (n, p) float64
        The donors' predictors.
    seed, cores : int

    Returns
    -------
    (n, e) float64
        A column per continuous fusion variable, one per class of the others; NaN for a donor that all refits
        saw.

    Notes
    -----
    Donors outside a refit's resample have no weight in its pools, so none is drawn for itself.
    """
    n_columns = sum(len(columns) for columns in _expected_columns(model).values())

    def average(refit: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        rows = np.flatnonzero(model.counts[refit] == 0)
        expected = np.empty((len(rows), n_columns))
        weight = model.weight * np.maximum(model.counts[refit], NEVER)
        simulate(
            model, x[rows], seed=seed, implicate=refit, first=0, kblock=10, weight=weight, expected=expected
        )
        return rows, expected

    total, number = np.zeros((len(x), n_columns)), np.zeros(len(x))
    with ThreadPoolExecutor(cores) as pool:
        for rows, expected in pool.map(average, range(len(model.counts))):
            total[rows] += expected
            number[rows] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.where(number > 0, number, np.nan)[:, None])


def _expected_columns(model: FusionModel) -> dict[str, NDArray[np.intp]]:
    """Columns of the expectations of each fusion variable."""
    sizes = [max(variable.n_classes, 1) for variable in model.schema.y]
    ends = np.cumsum(sizes)
    return {
        v.name: np.arange(end - size, end) for v, size, end in zip(model.schema.y, sizes, ends, strict=True)
    }


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
    limited: _Limits | None,
    average: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Draw one step; fill `average`, if it is given, with what the draws are on average."""
    if step.pools is None:
        target = step.targets[0]
        p = _predict(model, step, target, predictors, u[2], implicate)
        if p.shape[1] == 1:
            p = np.hstack([1 - p, p])
        p = calibrate(p, step.calibrations.get(target.name, ()))
        if average is not None:
            average[:] = p
        return np.asarray(draw_classes(p, u[0]), dtype=np.float64)[:, None]

    out = np.zeros((len(predictors), len(step.variables)))
    rows = np.arange(len(predictors))
    targets, chance = step.targets, np.ones(len(predictors))
    if not step.is_block and targets[0].kind == "z":
        p = _predict(model, step, targets[0], predictors, u[2], implicate)
        p = calibrate(np.hstack([1 - p, p]), step.calibrations.get(targets[0].name, ()))
        rows = np.flatnonzero(draw_classes(p, u[0]) == 0)
        targets, chance = targets[1:], p[:, 0]
    wanted = rows if average is None else np.arange(len(predictors))
    if len(wanted) == 0:
        return out
    known = predictors[wanted]
    expected = np.hstack([_predict(model, step, t, known, u[2, wanted], implicate) for t in targets])
    if model.options.sort_quantiles:
        expected = sort_quantiles(expected, step.pools.columns)
    pools = step.pools
    centre = nearest(scale_columns(expected, pools.centre, pools.scale), pools.centres, 1)[:, 0]
    start, member = _members(pools, kblock if step.is_block else None)
    if average is not None:
        average[:] = chance[:, None] * _pool_means(model, step, start, member, weight)[centre]
        centre = centre[rows]
    if len(rows):
        columns = [model.donor_columns.index(variable) for variable in step.variables]
        donors = model.donors[:, columns]
        donor = draw_donors(centre, start, member, weight, u[1, rows])
        if limited is not None:
            again = np.flatnonzero(~limited.fit(donors[donor], rows))
            low, high = limited.low[rows[again]], limited.high[rows[again]]
            other = nearest_within(centre[again], start, member, weight, donor[again], donors, low, high)
            donor[again] = np.where(other >= 0, other, donor[again])
        out[rows] = donors[donor]
    if limited is not None:
        out = np.where(limited.nonzero, np.clip(out, limited.low, limited.high), 0.0)
        if average is not None:
            average *= limited.nonzero if average.shape == limited.nonzero.shape else 1
    return out


def _members(pools: Pools, kblock: int | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Boundaries and donors of the pools, of a block's only the nearest donors."""
    if kblock is None:
        return pools.start, pools.member
    size = int(pools.sizes[0])  # of a block all pools are of one size
    first = pools.member.reshape(-1, size)[:, :kblock]
    return np.arange(len(first) + 1) * first.shape[1], np.ascontiguousarray(first).ravel()


def _pool_means(
    model: FusionModel,
    step: Step,
    start: NDArray[np.intp],
    member: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Average a step's variables over each pool: means, and shares of every class."""
    total = np.add.reduceat(weight[member], start[:-1])
    columns = []
    for variable in step.variables:
        values = model.donors[member, model.donor_columns.index(variable)]
        n_classes = model.schema[variable].n_classes
        each = [values == c for c in range(n_classes)] if n_classes else [values]
        columns += [np.add.reduceat(weight[member] * value, start[:-1]) / total for value in each]
    return np.stack(columns, axis=1)
