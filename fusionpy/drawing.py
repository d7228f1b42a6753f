"""Simulate the fusion variables of some recipients in one implicate."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError
from fusionpy.kernels.clusters import Index, index_points, nearest_one
from fusionpy.kernels.draws import calibrate, draw_by_totals, draw_classes, nearest_within, running_totals
from fusionpy.kernels.scaling import quantile_columns, scale_sorted
from fusionpy.kernels.strata import redraw_factors
from fusionpy.kernels.uniforms import DRAW, REWEIGHT, uniforms
from fusionpy.model import FusionModel, Pools, Step
from fusionpy.predicting import FINAL, Predictions, members_of, prepare_predictions
from fusionpy.rules import Rule, allowed, limits

__all__ = [
    "Prepared",
    "Weights",
    "draw",
    "draw_weights",
    "expected_by_others",
    "prepare",
    "simulate",
    "weigh",
]

NEVER = 1e-9  # weight of donors outside a refit's resample: drawn only if a pool holds no other


@dataclass(frozen=True)
class _Urn:
    """The pools of one step, ready to be drawn from.

    Attributes
    ----------
    index : Index
        Of the centres.
    together : sequence of sequence of int
        Expectations that are sorted within a record.
    start : (c + 1,) intp
    member : (m,) intp
    donors : (d, q) float64
        The donors' values of the step's variables.
    codes : sequence of (d,), or None
        The same as predictors; None for a variable that predicts nothing.
    """

    index: Index
    together: Sequence[Sequence[int]]
    start: NDArray[np.intp]
    member: NDArray[np.intp]
    donors: NDArray[np.float64]
    codes: Sequence[NDArray[Any] | None]


@dataclass(frozen=True)
class Prepared:
    """A model made ready to draw from, by `prepare`.

    Attributes
    ----------
    model : FusionModel
    predictions : Predictions
    urns : tuple of _Urn or None
        Of each step; None for a categorical variable on its own.
    """

    model: FusionModel
    predictions: Predictions
    urns: tuple[_Urn | None, ...]

    @property
    def rule_columns(self) -> tuple[str, ...]:
        """Predictors of which rules want the values, not the codes; none if they are not coded."""
        if self.predictions.coding.cuts is None:
            return ()
        asked = {name for rule in self.model.rules for name in rule.names}
        return tuple(variable.name for variable in self.model.schema.x if variable.name in asked)


@dataclass(frozen=True)
class Weights:
    """Weights by which donors are drawn in one implicate, by `weigh`.

    Attributes
    ----------
    weight : (d,) float64
    totals : tuple of (m,) float64 or None
        Of each step, added up within its pools.
    """

    weight: NDArray[np.float64]
    totals: tuple[NDArray[np.float64] | None, ...]


def prepare(
    model: FusionModel,
    *,
    implicates: Sequence[int] | None = None,
    kblock: int = 10,
    n_rows: int | None = None,
) -> Prepared:
    """Do once what all draws from a model need.

    Parameters
    ----------
    model : FusionModel
    implicates : sequence of int, optional
        Those that are going to be drawn, from 0; any, if they are not given.
    kblock : int
        Donors in a block's pools.
    n_rows : int, optional
        Number of records that each of its members is going to predict, of all implicates together. Without
        it, or if they are few, LightGBM itself predicts.

    Returns
    -------
    Prepared
    """
    predictions = prepare_predictions(model, members_of(model, implicates), n_rows)
    return Prepared(model, predictions, tuple(_urn(model, step, kblock, predictions) for step in model.steps))


def _urn(model: FusionModel, step: Step, kblock: int, predictions: Predictions) -> _Urn | None:
    pools = step.pools
    if pools is None:
        return None
    if step.is_block and pools.sizes.min() < min(kblock, model.n_donors):
        kept = int(pools.sizes.min())
        problem = f"`kblock` is {kblock}, but the model keeps {kept} donors for each centre of a block."
        raise ArgumentError("Blocks cannot be drawn.", [problem], f"Pass `kblock={kept}` at most.")
    start, member = _members(pools, kblock if step.is_block else None)
    donors = model.donors[:, [model.donor_columns.index(variable) for variable in step.variables]]
    coding = predictions.coding
    codes = [
        coding.encode(name, np.ascontiguousarray(donors[:, j])) if name in coding.names else None
        for j, name in enumerate(step.variables)
    ]
    together = quantile_columns(pools.columns) if model.options.sort_quantiles else []
    return _Urn(index_points(pools.centres), together, start, member, donors, codes)


def weigh(prepared: Prepared, weight: NDArray[np.float64]) -> Weights:
    """Add up donors' weights in all pools.

    Parameters
    ----------
    prepared : Prepared
    weight : (d,) float64
        From `draw_weights`.

    Returns
    -------
    Weights
    """
    totals = (None if urn is None else running_totals(urn.start, urn.member, weight) for urn in prepared.urns)
    return Weights(weight, tuple(totals))


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
    prepared: Prepared | None = None,
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
    prepared : Prepared, optional
        From `prepare`, with the same `kblock`; worth it if there are several calls.

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
    drawn = draw(
        prepared,
        codes,
        values,
        seed=seed,
        implicate=implicate,
        first=first,
        weights=weigh(prepared, weight),
        expected=expected,
    )
    return np.asarray(drawn.T)


class _Records:
    """Some recipients in one implicate; what is known of them grows step by step."""

    def __init__(self, prepared: Prepared, codes: NDArray[Any], values: NDArray[np.float64]) -> None:
        model, self._coding = prepared.model, prepared.predictions.coding
        self.n_rows = codes.shape[1]
        self.codes = np.empty((len(self._coding.names), self.n_rows), dtype=self._coding.dtype)
        self.codes[: len(codes)] = codes
        self.drawn = np.empty((len(model.schema.y), self.n_rows))
        self._y = {variable.name: j for j, variable in enumerate(model.schema.y)}
        given = zip(prepared.rule_columns, values, strict=True)
        x = zip((variable.name for variable in model.schema.x), codes, strict=True)
        self._x = dict(x if self._coding.cuts is None else given)

    def column(self, name: str) -> NDArray[np.float64]:
        """Values, or level codes, of a variable that is known."""
        found = self.drawn[self._y[name]] if name in self._y else self._x[name]
        return np.asarray(found)

    def learn(self, name: str, values: NDArray[np.float64], codes: NDArray[Any] | None = None) -> None:
        """Take what was drawn of a variable; its codes as a predictor too, if they are known."""
        self.drawn[self._y[name]] = values
        if name in self._coding.names:
            place = self._coding.names.index(name)
            self.codes[place] = self._coding.encode(name, self.column(name)) if codes is None else codes


def draw(
    prepared: Prepared,
    codes: NDArray[Any],
    values: NDArray[np.float64],
    *,
    seed: int,
    implicate: int,
    first: int,
    weights: Weights,
    expected: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Draw all fusion variables, step after step, for consecutive recipients whose predictors are coded.

    Parameters
    ----------
    prepared : Prepared
    codes : (p, n)
        Predictors, as ``prepared.predictions.coding`` has them.
    values : (r, n) float64
        Of the predictors among ``prepared.rule_columns``.
    seed, implicate, first, expected
        As for `simulate`.
    weights : Weights
        Of the implicate.

    Returns
    -------
    (q, n) float64
        Values or level codes, rows as in ``model.schema.y``.
    """
    model = prepared.model
    records = _Records(prepared, codes, values)
    averages = _expected_columns(model) if expected is not None else {}
    known = {variable.name for variable in model.schema.x}
    waiting = _add_up(_derived(model), known, records)
    for number, step in enumerate(model.steps):
        u = uniforms(seed, DRAW, records.n_rows, implicate=implicate, step=number, first=first)
        average = None
        if expected is not None:
            columns = np.concatenate([averages[variable] for variable in step.variables])
            average = np.empty((records.n_rows, len(columns)))
        limited = _limits(model, step, records)
        _draw_step(prepared, number, records, u, implicate, weights, limited, average)
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
    return records.drawn


def _derived(model: FusionModel) -> list[Rule]:
    """Find the totals that no step simulates."""
    simulated = {name for step in model.steps for name in step.variables}
    sums = [rule for rule in model.rules if rule.kind == "sum" and rule.variable]
    return [rule for rule in sums if rule.variable not in simulated]


def _add_up(waiting: list[Rule], known: set[str], records: _Records) -> list[Rule]:
    """Add up the totals whose parts are all known; return those that still wait."""
    still = []
    for rule in waiting:
        if set(rule.parts) <= known:
            records.learn(rule.variable, np.asarray(sum(records.column(part) for part in rule.parts)))
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


def _limits(model: FusionModel, step: Step, records: _Records) -> _Limits | None:
    """Find what rules demand of a step, given what is known by then; None if nothing."""
    mine = [rule for rule in model.rules if rule.variable in step.variables]
    if not any(rule.kind in ("most", "least", "zero") for rule in mine):
        return None
    shape = records.n_rows, len(step.variables)
    found = _Limits(np.full(shape, -np.inf), np.full(shape, np.inf), np.ones(shape, dtype=bool))
    for j, variable in enumerate(step.variables):
        bounds = limits(mine, variable, step.variables, records.column, records.n_rows)
        if bounds is not None:
            found.low[:, j], found.high[:, j] = bounds
            if "int" in model.schema[variable].storage:  # a bound that is taken itself must be whole
                found.low[:, j], found.high[:, j] = np.ceil(bounds[0]), np.floor(bounds[1])
        for rule in mine:
            if rule.kind == "zero" and rule.variable == variable and rule.other not in step.variables:
                found.nonzero[:, j] &= allowed(rule, records.column, model.schema)
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
    prepared = prepare(model, n_rows=int((model.counts == 0).sum()) // max(1, len(model.counts)))

    def average(refit: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        rows = np.flatnonzero(model.counts[refit] == 0)
        expected = np.empty((len(rows), n_columns))
        weight = model.weight * np.maximum(model.counts[refit], NEVER)
        how = {"seed": seed, "implicate": refit, "first": 0, "kblock": 10}
        simulate(model, x[rows], weight=weight, expected=expected, prepared=prepared, **how)
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
    prepared: Prepared,
    number: int,
    targets: slice,
    records: _Records,
    u: NDArray[np.float64],
    implicate: int,
    rows: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """Predict with the member that stands in for this implicate, or for each record."""
    model, predictions = prepared.model, prepared.predictions
    n_members = len(model.steps[number].members)
    if model.assignment != "record":
        member = implicate % n_members if n_members else FINAL
        return predictions.predict(number, member, targets, records.codes, rows)
    chosen = np.floor((u if rows is None else u[rows]) * n_members).astype(np.intp)
    n_columns = sum(target.n_classes for target in model.steps[number].targets[targets])
    out = np.empty((len(chosen), n_columns))
    for m in range(n_members):
        mine = np.flatnonzero(chosen == m)
        if len(mine):
            which = mine if rows is None else rows[mine]
            out[mine] = predictions.predict(number, m, targets, records.codes, which)
    return out


def _draw_step(
    prepared: Prepared,
    number: int,
    records: _Records,
    u: NDArray[np.float64],
    implicate: int,
    weights: Weights,
    limited: _Limits | None,
    average: NDArray[np.float64] | None,
) -> None:
    """Draw one step; fill `average`, if it is given, with what the draws are on average."""
    step, urn = prepared.model.steps[number], prepared.urns[number]
    if urn is None:
        _draw_class(prepared, number, records, u, implicate, average)
        return
    rows, first, chance = None, 0, np.ones(records.n_rows)
    if not step.is_block and step.targets[0].kind == "z":
        p = _predict(prepared, number, slice(0, 1), records, u[2], implicate)
        p = calibrate(np.hstack([1 - p, p]), step.calibrations.get(step.targets[0].name, ()))
        rows = np.flatnonzero(draw_classes(p, u[0]) == 0)
        first, chance = 1, p[:, 0]
    wanted = rows if average is None else None
    centre = _nearest_centres(prepared, number, slice(first, None), records, u[2], implicate, wanted)
    if average is not None:
        means = _pool_means(prepared.model, step, urn.start, urn.member, weights.weight)
        average[:] = chance[:, None] * means[centre]
        centre = centre if rows is None else centre[rows]
    donor = draw_by_totals(
        centre,
        urn.start,
        urn.member,
        weights.weight,
        weights.totals[number],
        u[1] if rows is None else u[1][rows],
    )
    if limited is not None:
        _draw_within(step, urn, records, weights, limited, donor, centre, rows)
        if average is not None:
            average *= limited.nonzero if average.shape == limited.nonzero.shape else 1
        return
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
    prepared: Prepared,
    number: int,
    records: _Records,
    u: NDArray[np.float64],
    implicate: int,
    average: NDArray[np.float64] | None,
) -> None:
    """Draw a categorical variable from its probabilities."""
    step = prepared.model.steps[number]
    variable, target = step.variables[0], step.targets[0]
    p = _predict(prepared, number, slice(0, 1), records, u[2], implicate)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    p = calibrate(p, step.calibrations.get(target.name, ()))
    if average is not None:
        average[:] = p
    drawn = draw_classes(p, u[0])
    coding = prepared.predictions.coding
    codes = None
    if variable in coding.names:
        codes = coding.encode(variable, np.arange(p.shape[1], dtype=np.float64))[drawn]
    records.learn(variable, drawn, codes)


def _nearest_centres(
    prepared: Prepared,
    number: int,
    targets: slice,
    records: _Records,
    u: NDArray[np.float64],
    implicate: int,
    rows: NDArray[np.intp] | None,
) -> NDArray[np.intp]:
    """Find the centre nearest to each record's expectations."""
    urn, pools = prepared.urns[number], prepared.model.steps[number].pools
    assert urn is not None
    assert pools is not None
    if rows is not None and len(rows) == 0:
        return np.empty(0, dtype=np.intp)
    expected = _predict(prepared, number, targets, records, u, implicate, rows)
    scale_sorted(expected, pools.centre, pools.scale, urn.together)
    return nearest_one(expected, urn.index)


def _draw_within(
    step: Step,
    urn: _Urn,
    records: _Records,
    weights: Weights,
    limited: _Limits,
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
