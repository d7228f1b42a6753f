"""fuse() as one would write it down: LightGBM's own predictions, numpy, and a loop over records."""

from __future__ import annotations

import numpy as np

from fusionpy.drawing.urns import draw_weights
from fusionpy.engines.lightgbm import boosting
from fusionpy.kernels.uniforms import DRAW, uniforms


def fuse(model, x, *, seed, implicate, offset=0, kblock=10):
    """Draw one implicate: dict of name to (n,) values, or level codes.

    `x` is (n, p): values and level codes of ``model.schema.x``, NaN where missing.
    """
    known = {variable.name: x[:, j] for j, variable in enumerate(model.schema.x)}
    weight = draw_weights(model, seed, implicate)
    add_up(model, known)
    for number, step in enumerate(model.steps):
        u = uniforms(seed, DRAW, len(x), implicate=implicate, step=number, first=offset)
        known |= draw_step(model, step, known, u, implicate, kblock, weight)
        add_up(model, known)
    return {variable.name: known[variable.name] for variable in model.schema.y}


def add_up(model, known):
    """Add up totals that no step draws, as soon as their parts are known."""
    drawn = {name for step in model.steps for name in step.variables}
    for rule in model.rules:
        if (
            rule.kind == "sum"
            and rule.variable
            and rule.variable not in drawn
            and set(rule.parts) <= set(known)
        ):
            known[rule.variable] = sum(known[part] for part in rule.parts)


def predict(model, step, target, known, u, implicate):
    """Predict a target for all records: (n, k), by the member that each is drawn with."""
    matrix = np.stack([known[name] for name in step.predictors], axis=1)
    if not step.stand_ins:
        return boosting.predict(step.final[target.name], matrix)
    every = [boosting.predict(stand_in[target.name], matrix) for stand_in in step.stand_ins]
    if model.options.refits:
        return every[implicate % len(every)]
    which = np.floor(u[2] * len(every)).astype(int)
    return np.array([every[m][i] for i, m in enumerate(which)])


def calibrated(p, calibration):
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    if not len(calibration):
        return p
    powered = np.where(p > 1e-12, p, 0.0) ** (1 / calibration[0]) * np.exp(np.array(calibration[1:]))
    return powered / powered.sum(axis=1, keepdims=True)


def draw_class(p, u):
    """Draw a class from one record's probabilities."""
    target, reached, chosen = u * add(p), 0.0, 0
    for c, share in enumerate(p):
        if share > 0:
            chosen = c
            reached += share
            if reached > target:
                break
    return chosen


def add(numbers):
    """Add up from the left."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def draw_step(model, step, known, u, implicate, kblock, weight):
    n = len(next(iter(known.values())))
    first, targets = step.targets[0], list(step.targets)
    if step.pools is None:
        p = calibrated(
            predict(model, step, first, known, u, implicate), step.calibrations.get(first.name, ())
        )
        return {step.variables[0]: np.array([draw_class(p[i], u[0, i]) for i in range(n)], dtype=float)}
    is_zero = np.zeros(n, dtype=bool)
    if len(step.variables) == 1 and first.kind == "z":
        p = calibrated(
            predict(model, step, first, known, u, implicate), step.calibrations.get(first.name, ())
        )
        is_zero = np.array([draw_class(p[i], u[0, i]) == 1 for i in range(n)])
        targets = targets[1:]
    expected = np.hstack([predict(model, step, target, known, u, implicate) for target in targets])
    pools = step.pools
    if model.options.sort_quantiles:
        for variable in step.variables:
            places = [j for j, name in enumerate(pools.columns) if name.startswith(f"{variable}_q")]
            expected[:, places] = np.sort(expected[:, places], axis=1)
    edge = -3.090232306167813
    with np.errstate(invalid="ignore"):
        scaled = ((expected - pools.centre) / pools.scale - edge) / (-2 * edge)
    scaled = np.where(np.isnan(pools.centre), expected, scaled)
    drawn = {name: np.zeros(n) for name in step.variables}
    for i in range(n):
        centre = int(((pools.centres - scaled[i]) ** 2).sum(axis=1).argmin())
        members = pools.member[pools.start[centre] : pools.start[centre + 1]]
        if len(step.variables) > 1:
            members = members[:kblock]
        values = {name: model.donors[:, model.donor_columns.index(name)] for name in step.variables}
        bounds = {name: limits(model, step, name, known, i) for name in step.variables}
        if not is_zero[i]:
            reached = np.cumsum(weight[members])
            place = min(int(np.searchsorted(reached, u[1, i] * reached[-1], side="right")), len(members) - 1)
            donor = members[place]
            if not within(donor, values, bounds):
                fitting = [m for m in members if weight[m] > 0 and within(m, values, bounds)]
                away = [add(abs(values[name][m] - values[name][donor]) for name in values) for m in fitting]
                donor = fitting[int(np.argmin(away))] if fitting else donor
            for name in step.variables:
                drawn[name][i] = values[name][donor]
        for name, (low, high, may) in bounds.items():
            drawn[name][i] = np.clip(drawn[name][i], low, high) if may else 0.0
    return drawn


def within(donor, values, bounds):
    return all(low <= values[name][donor] <= high for name, (low, high, _) in bounds.items())


def limits(model, step, name, known, i):
    """Least and most of a variable in one record, and whether it may be other than 0."""
    low, high, may = -np.inf, np.inf, True
    for rule in model.rules:
        if rule.variable != name or rule.other in step.variables:
            continue
        if rule.kind == "zero":
            code = known[rule.other][i]
            if rule.levels:
                levels = [str(level) for level in model.schema[rule.other].levels]
                may &= any(code == levels.index(level) for level in rule.levels)
            else:
                may &= code == 1
        bound = known[rule.other][i] if rule.other and rule.kind in ("most", "least") else rule.value
        if rule.kind == "most":
            high = np.fmin(high, bound)
        if rule.kind == "least":
            low = np.fmax(low, bound)
    if "int" in model.schema[name].storage:
        low, high = np.ceil(low), np.floor(high)
    return low, high, may
