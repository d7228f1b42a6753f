"""Simulate the fusion variables of some recipients in one implicate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.centres import expectations, nearest_centres, note_means, predict_step
from fusionpy.drawing.limits import Limits, Records, limits_of
from fusionpy.drawing.shifts import Shift
from fusionpy.drawing.urns import ReadyModel, Urn, Weights, pool_means, prepare, weigh
from fusionpy.kernels.draws import calibrate, draw_by_totals, draw_classes, nearest_within
from fusionpy.kernels.uniforms import DRAW, uniforms
from fusionpy.model import FusionModel, Step
from fusionpy.model.rules import Rule

__all__ = ["draw", "expected_columns", "simulate"]


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
    chances: Mapping[str, NDArray[np.float64]] | None = None,
    means: Mapping[str, NDArray[np.float64]] | None = None,
    prepared: ReadyModel | None = None,
    certain: bool = False,
    areas: NDArray[np.int32] | None = None,
    unseen: Sequence[NDArray[np.uint64]] = (),
    true: NDArray[np.float64] | None = None,
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
    chances : mapping of str to (n,) float64, optional
        Filled, with `expected`, with the chances that zero-inflated variables are not 0.
    means : mapping of str to (n,) float64, optional
        Filled with what the models predict of continuous variables, before pools: a mean, times the chance
        that it is not 0.
    prepared : ReadyModel, optional
        From `prepare`, with the same `kblock`; worth it if there are several calls.
    certain : bool
        Take the effects' posterior means instead of drawing them.
    areas : (a, n) int32, optional
        Codes of the model's areas, if it has some.
    unseen : sequence of (u,) uint64
        Of each area the keys of levels that no donor has.
    true : (n, q) float64, optional
        Values that take the place of those drawn: what is filled is then, of each step, that of the true
        values of those before it.

    Returns
    -------
    (n, q) float64
        Values or level codes, columns as in ``model.schema.y``.
    """
    if prepared is None:
        prepared = prepare(model, implicates=[implicate], kblock=kblock)
    coding, names = prepared.predictions.coding, [variable.name for variable in model.schema.x]
    codes = np.empty((len(names), len(x)), dtype=coding.dtype)
    for j, name in enumerate(names):
        codes[j] = coding.encode(name, np.ascontiguousarray(x[:, j]))
    values = x[:, [names.index(name) for name in prepared.rule_columns]].T
    if areas is None:
        areas = np.empty((0, len(x)), dtype=np.int32)
    assert len(areas) == len(model.areas)
    drawn = draw(
        prepared,
        codes,
        values,
        areas,
        seed=seed,
        implicate=implicate,
        first=first,
        weights=weigh(prepared, weight, seed, implicate, certain, unseen),
        expected=expected,
        chances=chances,
        means=means,
        true=None if true is None else np.ascontiguousarray(true.T),
    )
    return np.asarray(drawn.T)


def draw(
    prepared: ReadyModel,
    codes: NDArray[Any],
    values: NDArray[np.float64],
    areas: NDArray[np.int32],
    *,
    seed: int,
    implicate: int,
    first: int,
    weights: Weights,
    expected: NDArray[np.float64] | None = None,
    chances: Mapping[str, NDArray[np.float64]] | None = None,
    means: Mapping[str, NDArray[np.float64]] | None = None,
    true: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Draw all fusion variables, step after step, for consecutive recipients whose predictors are coded.

    Parameters
    ----------
    prepared : ReadyModel
    codes : (p, n)
        Predictors, as ``prepared.predictions.coding`` has them.
    values : (r, n) float64
        Of the predictors among ``prepared.rule_columns``.
    areas : (a, n) int32
        Codes of the model's areas.
    seed, implicate, first, expected, chances, means
        As for `simulate`.
    weights : Weights
        Of the implicate.
    true : (q, n) float64, optional
        As for `simulate`.

    Returns
    -------
    (q, n) float64
        Values or level codes, rows as in ``model.schema.y``.
    """
    model = prepared.model
    records = Records(prepared, codes, values, areas, true)
    averages = expected_columns(model) if expected is not None else {}
    known = {variable.name for variable in model.schema.x}
    waiting = _add_up(_derived(model), known, records)
    for number, step in enumerate(model.steps):
        u = uniforms(seed, DRAW, records.n_rows, implicate=implicate, step=number, first=first)
        average = None
        if expected is not None:
            columns = np.concatenate([averages[variable] for variable in step.variables])
            average = np.empty((records.n_rows, len(columns)))
        limited = limits_of(model, step, records)
        chance = _draw_step(prepared, number, records, u, implicate, weights, limited, average, means)
        if chances is not None and chance is not None:
            chances[step.variables[0]][:] = chance if limited is None else chance * limited.nonzero[:, 0]
        if expected is not None:
            expected[:, columns] = average
        known |= set(step.variables)
        waiting = _add_up(waiting, known, records)
    if expected is not None:
        for rule in _derived(model):
            parts = [
                expected[:, averages[name][0]] if name in averages else records.column(name)
                for name in rule.parts
            ]
            expected[:, averages[rule.variable][0]] = sum(parts)
    if means is not None:
        for rule in _derived(model):
            parts = [means[name] if name in means else records.column(name) for name in rule.parts]
            means[rule.variable][:] = sum(parts)
    return records.drawn


def _derived(model: FusionModel) -> list[Rule]:
    """Find the totals that no step simulates."""
    simulated = {name for step in model.steps for name in step.variables}
    sums = [rule for rule in model.rules if rule.kind == "sum" and rule.variable]
    return [rule for rule in sums if rule.variable not in simulated]


def _add_up(waiting: list[Rule], known: set[str], records: Records) -> list[Rule]:
    """Add up the totals whose parts are all known; return those that still wait."""
    still = []
    for rule in waiting:
        if set(rule.parts) <= known:
            records.learn(rule.variable, np.asarray(sum(records.column(part) for part in rule.parts)))
            known.add(rule.variable)
        else:
            still.append(rule)
    return still


def expected_columns(model: FusionModel) -> dict[str, NDArray[np.intp]]:
    """Columns of the expectations of each fusion variable."""
    sizes = [max(variable.n_classes, 1) for variable in model.schema.y]
    ends = np.cumsum(sizes)
    return {
        v.name: np.arange(end - size, end) for v, size, end in zip(model.schema.y, sizes, ends, strict=True)
    }


def _draw_step(
    prepared: ReadyModel,
    number: int,
    records: Records,
    u: NDArray[np.float64],
    implicate: int,
    weights: Weights,
    limited: Limits | None,
    average: NDArray[np.float64] | None,
    means: Mapping[str, NDArray[np.float64]] | None,
) -> NDArray[np.float64] | None:
    """Draw one step; fill `average` and `means`, if they are given, with what draws and models expect.

    Returns, for a zero-inflated variable, the chances that it is not 0.
    """
    step, urn = prepared.model.steps[number], prepared.urns[number]
    if urn is None:
        _draw_class(prepared, number, records, u, implicate, weights, average)
        return None
    targets, rows, chance = slice(None), None, None
    if step.is_inflated:
        targets = slice(1, None)
        rows, chance = _draw_nonzero(prepared, number, records, u, implicate, weights)
    of_all = average is not None or means is not None
    expected = expectations(
        prepared, number, targets, records, u[2], implicate, weights, None if of_all else rows
    )
    if means is not None:
        note_means(step, targets, expected, chance, limited, means)
    centre = nearest_centres(prepared, number, expected)
    if average is not None:
        of_pools = pool_means(prepared.model, step, urn.start, urn.member, weights.weight)
        average[:] = of_pools[centre] if chance is None else chance[:, None] * of_pools[centre]
        if limited is not None and average.shape == limited.nonzero.shape:
            average *= limited.nonzero
    if of_all and rows is not None:
        centre = centre[rows]
    own = u[1] if rows is None else u[1][rows]
    donor = draw_by_totals(centre, urn.start, urn.member, weights.weight, weights.totals[number], own)
    if limited is not None:
        _draw_within(step, urn, records, weights, limited, donor, centre, rows)
    else:
        _take_values(prepared, step, urn, records, donor, rows)
    return chance


def _draw_nonzero(
    prepared: ReadyModel,
    number: int,
    records: Records,
    u: NDArray[np.float64],
    implicate: int,
    weights: Weights,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Draw which records have another value than zero; return their rows, and every record's chance."""
    step = prepared.model.steps[number]
    p = predict_step(prepared, number, slice(0, 1), records, u[2], implicate)
    p = _calibrated(np.hstack([1 - p, p]), step, weights.shifts[number], records)
    return np.flatnonzero(draw_classes(p, u[0]) == 0), p[:, 0]


def _take_values(
    prepared: ReadyModel,
    step: Step,
    urn: Urn,
    records: Records,
    donor: NDArray[np.intp],
    rows: NDArray[np.intp] | None,
) -> None:
    """Give some records (all, or `rows`) the values of the donors drawn, and zero to the others."""
    for j, variable in enumerate(step.variables):
        values, codes = urn.donors[donor, j], urn.codes[j]
        mine = None if codes is None else codes[donor]
        if rows is not None:
            values = _spread(values, rows, records.n_rows, 0.0)
            if mine is not None:
                zero = prepared.predictions.coding.encode(variable, np.zeros(1))[0]
                mine = _spread(mine, rows, records.n_rows, zero)
        records.learn(variable, values, mine)


def _spread(part: NDArray[Any], rows: NDArray[np.intp], n: int, others: Any) -> NDArray[Any]:
    """Put values into their rows, and another into those that have none."""
    out = np.full(n, others, dtype=part.dtype)
    out[rows] = part
    return out


def _draw_class(
    prepared: ReadyModel,
    number: int,
    records: Records,
    u: NDArray[np.float64],
    implicate: int,
    weights: Weights,
    average: NDArray[np.float64] | None,
) -> None:
    """Draw a categorical variable from its probabilities."""
    step = prepared.model.steps[number]
    variable = step.variables[0]
    p = predict_step(prepared, number, slice(0, 1), records, u[2], implicate)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    p = _calibrated(p, step, weights.shifts[number], records)
    if average is not None:
        average[:] = p
    drawn = draw_classes(p, u[0])
    coding = prepared.predictions.coding
    codes = None
    if variable in coding.names:
        codes = coding.encode(variable, np.arange(p.shape[1], dtype=np.float64))[drawn]
    records.learn(variable, drawn, codes)


def _calibrated(
    p: NDArray[np.float64], step: Step, shift: Shift | None, records: Records
) -> NDArray[np.float64]:
    """Calibrate the probabilities of a step's first target, and let effects work on them."""
    target = step.targets[0].name
    p = calibrate(p, step.calibrations.get(target, ()))
    return p if shift is None else shift.classes(p, target, records.coded)


def _draw_within(
    step: Step,
    urn: Urn,
    records: Records,
    weights: Weights,
    limited: Limits,
    donor: NDArray[np.intp],
    centre: NDArray[np.intp],
    rows: NDArray[np.intp] | None,
) -> None:
    """Take the values of the donors drawn, of others where those break a rule."""
    if rows is None:
        rows = np.arange(records.n_rows)
    out = np.zeros((records.n_rows, len(step.variables)))
    if len(rows):
        again = np.flatnonzero(~limited.fit(urn.donors[donor], rows))
        low, high = limited.low[rows[again]], limited.high[rows[again]]
        pool = urn.start, urn.member, weights.weight
        other = nearest_within(centre[again], *pool, donor[again], urn.donors, low, high)
        donor[again] = np.where(other >= 0, other, donor[again])
        out[rows] = urn.donors[donor]
    out = np.where(limited.nonzero, np.clip(out, limited.low, limited.high), 0.0)
    for j, variable in enumerate(step.variables):
        records.learn(variable, out[:, j])
