"""Learn the steps of a fusion: fit boosters, take donors' expectations, gather donor pools."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Booster, Problem, Target, Tuning
from fusionpy.kernels.clusters import cluster_centres, nearest
from fusionpy.kernels.draws import fit_calibration
from fusionpy.kernels.pools import choose_pool_sizes
from fusionpy.kernels.scaling import (
    columns_scale,
    is_inflated,
    normal_scores,
    percentiles,
    scale_columns,
    sort_quantiles,
    unscale_columns,
)
from fusionpy.kernels.strata import assign_folds, assign_split, bootstrap_counts, strata_of
from fusionpy.kernels.uniforms import BOOSTER_SEED, BOOTSTRAP, FOLD, MEMBER, uniforms
from fusionpy.model import BLOCK_POOL, Options, Plan, Pools, Step
from fusionpy.progress import Ticker
from fusionpy.schema import Schema

__all__ = ["count_models", "learn_steps", "refit_counts", "run_all"]

SKEWED = 1.0  # |skewness| beyond which a variable is boosted on its rank-normal scale
T = TypeVar("T")


@dataclass
class _Fit:
    """One target's data and, as they come, its models."""

    step: int
    problem: Problem
    rows: NDArray[np.intp]  # donors it is fitted on
    fold: NDArray[np.intp]  # of all donors: the fold that left a donor out; -1: none did
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]]  # row numbers within `rows`
    number: int
    tuning: Tuning | None = None
    fold_models: list[Booster] = field(default_factory=list)
    final: Booster | None = None
    refits: list[Booster] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return self.problem.target


def run_all(tasks: Iterable[Callable[[Callable[[], bool]], T]], cores: int) -> list[T]:
    """Run tasks on `cores` threads; at the first failure, or an interrupt, stop the others.

    Parameters
    ----------
    tasks : iterable of callable
        Each is given a function that tells whether it should give up.
    cores : int

    Returns
    -------
    list
        Results in the tasks' order.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(cores) as pool:
        futures: list[Future[T]] = [pool.submit(task, stop.is_set) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def refit_counts(
    n: int, refits: int, seed: int, replicate_ratio: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """How often each donor enters each refit.

    Parameters
    ----------
    n : int
        Number of donors.
    refits : int
    seed : int
    replicate_ratio : (n, R) float64, optional
        Replicate weights over the full-sample weight.

    Returns
    -------
    (refits, n) float64
    """
    out = np.empty((refits, n))
    length = max(n, 0 if replicate_ratio is None else replicate_ratio.shape[1])
    for b in range(refits):
        out[b] = bootstrap_counts(uniforms(seed, BOOTSTRAP, length, implicate=b)[0], replicate_ratio)[:n]
    return out


def count_models(plans: Sequence[Plan], schema: Schema, matrix: NDArray[np.float64], options: Options) -> int:
    """Pieces of work that `learn_steps` will report: each target is tuned, fitted, and refitted.

    Parameters
    ----------
    plans : sequence of Plan
    schema : Schema
    matrix : (n, p) float64
    options : Options

    Returns
    -------
    int
    """
    n_targets = 0
    for plan in plans:
        for variable in plan.variables:
            values = matrix[:, schema.names.index(variable)]
            continuous = schema[variable].kind == "continuous"
            n_targets += 1 + continuous * (options.nquantiles + is_inflated(values))
    return n_targets * (2 + options.refits)


def learn_steps(
    plans: Sequence[Plan],
    schema: Schema,
    matrix: NDArray[np.float64],
    weight: NDArray[np.float64],
    draw_weight: NDArray[np.float64],
    counts: NDArray[np.float64],
    options: Options,
    seed: int,
    cores: int,
    tick: Ticker,
) -> tuple[Step, ...]:
    """Learn every step; steps do not wait for each other, as donors' own values are known.

    Parameters
    ----------
    plans : sequence of Plan
    schema : Schema
    matrix : (n, p) float64
        Donors, columns as in ``schema.names``.
    weight, draw_weight : (n,) float64
        For fitting (mean 1), and for drawing.
    counts : (refits, n) float64
    options : Options
    seed, cores : int
    tick : Ticker
        Called once per model tuned, fitted and refitted.

    Returns
    -------
    tuple of Step
    """
    ranked: list[list[str]] = [[] for _ in plans]
    fits: list[_Fit] = []
    for number, plan in enumerate(plans):
        for variable in plan.variables:
            values = matrix[:, schema.names.index(variable)]
            for target, rows, label, is_ranked in _targets(schema, variable, values, weight, options):
                if is_ranked and variable not in ranked[number]:
                    ranked[number].append(variable)
                fits.append(
                    _pose(number, len(fits), plan, schema, matrix, weight, target, rows, label, options, seed)
                )

    # The costliest first, so that no core waits long at the end.
    def cost(fit: _Fit) -> int:
        return -len(fit.rows) * fit.target.n_classes

    by_cost = sorted(fits, key=cost)
    run_all([_tuner(fit, options, seed, tick) for fit in by_cost], cores)
    run_all([task for fit in by_cost for task in _fitters(fit, counts, seed, tick)], cores)
    for fit in fits:
        fit.problem.release()
    spare = uniforms(seed, MEMBER, len(weight))[0]
    assigned = _left_out_refit(counts, spare)
    return tuple(
        run_all(
            [
                _finisher(
                    n,
                    plan,
                    [f for f in fits if f.step == n],
                    schema,
                    matrix,
                    draw_weight,
                    counts,
                    assigned,
                    options,
                    ranked[n],
                )
                for n, plan in enumerate(plans)
            ],
            cores,
        )
    )


def _targets(
    schema: Schema, variable: str, values: NDArray[np.float64], weight: NDArray[np.float64], options: Options
) -> Iterable[tuple[Target, NDArray[np.intp], NDArray[np.float64], bool]]:
    """Models of one variable: what each predicts, on which donors, and whether on the rank scale."""
    every = np.arange(len(values))
    known = schema[variable]
    if known.is_categorical:
        classes = known.n_classes
        kind = "binary" if classes == 2 else "multiclass"
        yield Target(variable, "m", kind, 1 if classes == 2 else classes), every, values, False
        return
    rows = every
    if is_inflated(values):
        yield Target(variable, "z", "binary"), every, (values == 0).astype(np.float64), False
        rows = np.flatnonzero(values)
    label = values[rows]
    is_ranked = options.rank_scale and _skewness(label, weight[rows]) > SKEWED
    if is_ranked:
        label = normal_scores(label, weight[rows])
    yield Target(variable, "m", "regression"), rows, label, is_ranked
    for j, share in enumerate(percentiles(options.nquantiles), 1):
        # The reference hands percentiles to LightGBM rounded to seven digits.
        alpha = float(f"{share:.7g}") if options.method == "fusionModel" else float(share)
        yield Target(variable, f"q{j}", "quantile", alpha=alpha), rows, label, is_ranked


def _skewness(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    mean = np.average(values, weights=weight)
    deviation = values - mean
    spread = np.sqrt(np.average(deviation**2, weights=weight))
    return abs(float(np.average(deviation**3, weights=weight) / spread**3)) if spread > 0 else 0.0


def _pose(
    number: int,
    index: int,
    plan: Plan,
    schema: Schema,
    matrix: NDArray[np.float64],
    weight: NDArray[np.float64],
    target: Target,
    rows: NDArray[np.intp],
    label: NDArray[np.float64],
    options: Options,
    seed: int,
) -> _Fit:
    """Set up one target: its data and its folds."""
    columns = [schema.names.index(name) for name in plan.predictors]
    nominal = [j for j, name in enumerate(plan.predictors) if schema[name].kind == "nominal"]
    own = weight[rows]
    problem = Problem(
        target,
        matrix[rows][:, columns],
        label,
        own / own.mean(),
        plan.predictors,
        nominal,
        _signs(plan, target),
    )
    u = uniforms(seed, FOLD, len(weight), step=number)[0]
    stratum = strata_of(label, target.objective in ("binary", "multiclass"))
    fold = np.full(len(weight), -1, dtype=np.intp)
    places = np.arange(len(rows))
    if options.nfolds < 1:
        train = assign_split(stratum, options.nfolds, u[rows])
        fold[:] = 0
        fold[rows[train]] = -1
        return _Fit(number, problem, rows, fold, [(places[train], places[~train])], index)
    n_folds = int(options.nfolds)
    # Rows that no model of this target is fitted on are left out by every fold: any will do.
    fold[:] = np.floor(u * n_folds)
    own_fold = assign_folds(stratum, n_folds, u[rows])
    fold[rows] = own_fold
    return _Fit(
        number,
        problem,
        rows,
        fold,
        [(places[own_fold != f], places[own_fold == f]) for f in range(n_folds)],
        index,
    )


def _signs(plan: Plan, target: Target) -> list[int] | None:
    """Directions of a target's predictors; LightGBM cannot give any to percentiles."""
    signs = plan.signs.get(target.variable)
    if signs is None or target.objective == "quantile":
        return None
    return [-sign for sign in signs] if target.kind == "z" else list(signs)  # zero is less likely with more


def _seed_of(seed: int, index: int, refit: int = 0) -> int:
    return int(uniforms(seed, BOOSTER_SEED, 1, implicate=refit, step=index)[0, 0] * 2**31)


def _tuner(fit: _Fit, options: Options, seed: int, tick: Ticker) -> Callable[[Callable[[], bool]], None]:
    def task(interrupted: Callable[[], bool]) -> None:
        grid = boosting.expand_grid(options.hyper)
        fit.tuning, fit.fold_models = boosting.tune(
            fit.problem, grid, fit.folds, options.patience, _seed_of(seed, fit.number), interrupted
        )
        tick(doing=f"tuned {fit.target.name}")

    return task


def _fitters(
    fit: _Fit, counts: NDArray[np.float64], seed: int, tick: Ticker
) -> Iterable[Callable[[Callable[[], bool]], None]]:
    """Tasks for the final model and every refit."""
    fit.refits = [None] * len(counts)  # type: ignore[list-item]

    def final(interrupted: Callable[[], bool]) -> None:
        assert fit.tuning is not None
        fit.final = boosting.fit(fit.problem, fit.tuning, _seed_of(seed, fit.number), None, interrupted)
        tick(doing=f"fitted {fit.target.name}")

    def refit(b: int) -> Callable[[Callable[[], bool]], None]:
        def task(interrupted: Callable[[], bool]) -> None:
            assert fit.tuning is not None
            own = counts[b][fit.rows]
            fit.refits[b] = boosting.fit(
                fit.problem, fit.tuning, _seed_of(seed, fit.number, b + 1), own, interrupted
            )
            tick(doing=f"refitted {fit.target.name}")

        return task

    yield final
    yield from (refit(b) for b in range(len(counts)))


def _left_out_refit(counts: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each donor one of the refits that left it out, drawn at random; -1 if none did."""
    left_out = counts == 0
    number = left_out.sum(axis=0)
    wanted = np.floor(u * number).astype(np.intp)
    place = np.cumsum(left_out, axis=0) - 1
    found = (left_out & (place == wanted)).argmax(axis=0) if len(counts) else np.zeros(len(u), dtype=np.intp)
    return np.where(number > 0, found, -1)


def _donor_predictions(
    fit: _Fit, matrix: NDArray[np.float64], assigned: NDArray[np.intp], options: Options
) -> NDArray[np.float64]:
    """Predict every donor, by a model that did not see it if there is one to be had."""
    assert fit.final is not None
    out = np.empty((len(matrix), fit.target.n_classes))
    source = np.full(len(matrix), -1)
    if options.crossfit:
        source = fit.fold.copy()
        source[assigned >= 0] = len(fit.fold_models) + assigned[assigned >= 0]
    models = [*fit.fold_models, *fit.refits]
    for which in np.unique(source):
        rows = np.flatnonzero(source == which)
        out[rows] = boosting.predict(fit.final if which < 0 else models[which], matrix[rows])
    return out


def _calibration(
    fit: _Fit, matrix: NDArray[np.float64], counts: NDArray[np.float64], predicted: NDArray[np.float64]
) -> tuple[float, ...]:
    """Calibrate the mixture that implicates draw from: the mean over the refits that left a donor out.

    A single refit's probabilities are noisier; calibrating them would flatten every implicate, and with
    it the differences between groups.
    """
    total, number = np.zeros_like(predicted), np.zeros(len(matrix))
    for booster, count in zip(fit.refits, counts, strict=True):
        rows = np.flatnonzero(count == 0)
        total[rows] += boosting.predict(booster, matrix[rows])
        number[rows] += 1
    mean = np.where(number[:, None] > 0, total / np.maximum(number, 1)[:, None], predicted)
    probability = np.hstack([1 - mean, mean]) if mean.shape[1] == 1 else mean
    return fit_calibration(probability, fit.problem.label.astype(np.intp), fit.problem.weight)


def _finisher(
    number: int,
    plan: Plan,
    fits: list[_Fit],
    schema: Schema,
    matrix: NDArray[np.float64],
    draw_weight: NDArray[np.float64],
    counts: NDArray[np.float64],
    assigned: NDArray[np.intp],
    options: Options,
    ranked: list[str],
) -> Callable[[Callable[[], bool]], Step]:
    def task(_: Callable[[], bool]) -> Step:
        columns = [schema.names.index(name) for name in plan.predictors]
        predictors = np.ascontiguousarray(matrix[:, columns])
        predicted = {fit.target.name: _donor_predictions(fit, predictors, assigned, options) for fit in fits}
        solo = len(plan.variables) == 1
        calibrations = {}
        if options.calibrate and options.crossfit and solo:
            calibrations = {
                fit.target.name: _calibration(fit, predictors, counts, predicted[fit.target.name])
                for fit in fits
                if fit.target.objective in ("binary", "multiclass")
            }
        pools = None
        if not solo:
            pools = _block_pools(fits, predicted, options)
        elif not schema[plan.variables[0]].is_categorical:
            pools = _solo_pools(fits[-options.nquantiles - 1 :], predicted, draw_weight, options)
        return Step(
            plan.variables,
            plan.predictors,
            tuple(fit.target for fit in fits),
            {fit.target.name: fit.final for fit in fits if fit.final is not None},
            _members(fits, options),
            calibrations,
            pools,
            {fit.target.name: fit.tuning for fit in fits if fit.tuning is not None},
            tuple(ranked),
        )

    return task


def _members(fits: list[_Fit], options: Options) -> tuple[Mapping[str, Booster], ...]:
    models: list[list[Booster]] = []
    if options.refits:
        models = [fit.refits for fit in fits]
    elif options.crossfit and options.nfolds >= 1:
        models = [fit.fold_models for fit in fits]
    names = [fit.target.name for fit in fits]
    return tuple(dict(zip(names, each, strict=True)) for each in zip(*models, strict=True))


def _expectations(
    fits: list[_Fit], predicted: Mapping[str, NDArray[np.float64]], rows: NDArray[np.intp], options: Options
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    names = tuple(name for fit in fits for name in fit.target.columns)
    values = np.hstack([predicted[fit.target.name][rows] for fit in fits])
    return names, sort_quantiles(values, names) if options.sort_quantiles else values


def _solo_pools(
    fits: list[_Fit],
    predicted: Mapping[str, NDArray[np.float64]],
    draw_weight: NDArray[np.float64],
    options: Options,
) -> Pools:
    """Pools of variable size for one continuous variable."""
    rows = fits[0].rows
    names, values = _expectations(fits, predicted, rows, options)
    centre, scale = columns_scale(values)
    scaled = scale_columns(values, centre, scale)
    centres = cluster_centres(scaled, options.nclusters)
    low, high = options.krange
    near = nearest(centres, scaled, min(high, len(rows)))
    unscaled = unscale_columns(centres, centre, scale)
    label, weight = fits[0].problem.label, draw_weight[rows]
    ptiles = percentiles(options.nquantiles)
    size = choose_pool_sizes(
        near, label, weight, unscaled[:, 0], unscaled[:, 1:], ptiles, low, options.tolerant
    )
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.intp)
    member = np.concatenate([near[c, :k] for c, k in enumerate(size)])
    total = np.add.reduceat(weight[member], start[:-1])
    mean = np.add.reduceat((weight * label)[member], start[:-1]) / total
    return Pools(names, centre, scale, centres, start, rows[member], _r_squared(unscaled[:, 0], mean))


def _r_squared(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    spread = float(((expected - expected.mean()) ** 2).sum())
    return 1 - float(((expected - found) ** 2).sum()) / spread if spread > 0 else float("nan")


def _block_pools(fits: list[_Fit], predicted: Mapping[str, NDArray[np.float64]], options: Options) -> Pools:
    """Pools of the nearest donors for a block: all of its variables come from one of them."""
    n = len(next(iter(predicted.values())))
    names, values = _expectations(fits, predicted, np.arange(n), options)
    centre, scale = columns_scale(values)
    scaled = scale_columns(values, centre, scale)
    centres = cluster_centres(scaled, options.nclusters)
    near = nearest(centres, scaled, min(BLOCK_POOL, n))
    start = np.arange(len(centres) + 1) * near.shape[1]
    return Pools(names, centre, scale, centres, start.astype(np.intp), near.ravel(), float("nan"))
