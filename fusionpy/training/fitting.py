"""Learn the steps of a fusion: fit boosters, take donors' expectations, gather donor pools."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.boosting import Bins, Booster, Problem
from fusionpy.engines.lightgbm.rewriting import unit_of
from fusionpy.engines.lightgbm.searching import Search, expand_grid
from fusionpy.kernels.draws import fit_calibration
from fusionpy.kernels.inflation import is_inflated
from fusionpy.kernels.uniforms import MEMBER, uniforms
from fusionpy.model import Step
from fusionpy.model.options import Options
from fusionpy.model.schema import Schema
from fusionpy.progress import Ticker
from fusionpy.training.donor_pools import block_pools, solo_pools
from fusionpy.training.planning import StepPlan
from fusionpy.training.queue import Countdown, Interrupted, Task, run_all, run_tasks
from fusionpy.training.refits import left_out_refit
from fusionpy.training.targets import Fit, Work, pose, seed_of, signs_of

__all__ = ["count_models", "learn_steps", "run_all"]

AT_ONCE = 10_000  # donors whose predictors are copied to be predicted


def count_models(
    plans: Sequence[StepPlan], schema: Schema, matrix: NDArray[np.float64], options: Options
) -> int:
    """Pieces of work that `learn_steps` will report: each target is tuned, fitted, and refitted.

    Parameters
    ----------
    plans : sequence of StepPlan
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
    plans: Sequence[StepPlan],
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
    plans : sequence of StepPlan
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
    assigned = left_out_refit(counts, uniforms(seed, MEMBER, len(weight))[0])
    donors = np.arange(len(weight)), weight / weight.mean()
    work = Work(plans, schema, matrix, *donors, draw_weight, counts, assigned, options, seed, tick)
    fits: list[Fit] = []
    for number, plan in enumerate(plans):
        mean: Fit | None = None
        for target, sample in pose(work, number):
            label = sample.spread if target.objective == "quantile" else sample.label
            unit = unit_of(label, target.objective)
            problem = Problem(target, sample.bins, label, sample.weight, signs_of(plan, target), unit)
            fits.append(Fit(number, problem, sample, len(fits)))
            if target.objective == "regression":
                mean = fits[-1]
            elif label is not sample.label and options.crossfit:
                fits[-1].base = mean
    steps: list[Step | None] = [None] * len(plans)

    def finish(number: int) -> Callable[[], Iterable[Task]]:
        def task(_: Interrupted) -> Iterable[Task]:
            own = [fit for fit in fits if fit.step == number]
            steps[number] = _finish(work, plans[number], own)
            for fit in own:
                fit.predicted = None
            return ()

        return lambda: [Task(0, task)]

    run_tasks(_schedule(work, fits, finish, cores), cores)
    return tuple(step for step in steps if step is not None)


def _schedule(
    work: Work,
    fits: Sequence[Fit],
    finish: Callable[[int], Callable[[], Iterable[Task]]],
    cores: int,
) -> list[Task]:
    """Order the work: the costliest step first, so that no core waits long at the end.

    Cross-validation has a copy of the data for every fold, and waits for the slowest of them now and then.
    So no more targets are cross-validated at once than give every core a fold, while refits of those before
    keep cores busy that would wait. Percentiles that start at a mean wait for it, and for each other.
    """

    def cost(part: Iterable[Fit]) -> int:
        return -sum(len(fit.sample.rows) * fit.target.n_classes for fit in part)

    steps = [[fit for fit in fits if fit.step == number] for number in range(len(work.plans))]
    waiting: deque[Task] = deque()
    place = count()
    for step in sorted(steps, key=cost):
        finished = Countdown(len(step), finish(step[0].step))
        by_bins: dict[int, list[Fit]] = {}
        for fit in step:
            by_bins.setdefault(id(fit.sample.bins), []).append(fit)
        for group in sorted(by_bins.values(), key=cost):
            unused = Countdown(len(group), _letting_go(group[0].sample.bins))
            for fit in group:
                if fit.base is not None:
                    continue
                line: deque[Task] = deque()
                done = [unused, finished]
                waiting.append(_do(work, fit, next(place), waiting, done, line))
                for percentile in (each for each in group if each.base is fit):
                    line.append(_do(work, percentile, next(place), line, done))
    at_once = -(-cores // fits[0].sample.n_folds) + (not work.options.refits)
    return [job for _ in range(at_once) for job in _next(waiting)]


def _next(line: deque[Task]) -> list[Task]:
    """Take the next of the tasks in a line, if there is one."""
    try:
        return [line.popleft()]
    except IndexError:
        return []


def _letting_go(bins: Bins) -> Callable[[], Iterable[Task]]:
    def release() -> Iterable[Task]:
        bins.release()
        return ()

    return release


def _do(
    work: Work,
    fit: Fit,
    place: int,
    line: deque[Task],
    done: Sequence[Countdown],
    followers: deque[Task] | None = None,
) -> Task:
    """Tune, fit and refit one target, and predict the donors.

    Once it is tuned, the next in `line` can begin; once the donors are predicted, the first of `followers`.
    """
    # What ends a step, and frees memory, has rank 0. Refits have to be done before the next target but one.
    tuned, refitted = 2 * place + 1, 2 * place + 4

    def begin(_: Interrupted) -> Iterable[Task]:
        fit.start()
        grid = expand_grid(work.options.hyper)
        fit.problem.bin(grid[0])
        seed = seed_of(work.seed, fit.number)
        folds = fit.sample.folds()
        return further(Search(fit.problem, grid, folds, patience=work.options.patience, seed=seed))

    def further(search: Search) -> list[Task]:
        all_boosted = Countdown(search.n_folds, lambda: settle(search))
        return [Task(tuned, boost(search, fold, all_boosted)) for fold in range(search.n_folds)]

    def boost(search: Search, fold: int, boosted: Countdown) -> Callable[[Interrupted], Iterable[Task]]:
        def task(interrupted: Interrupted) -> Iterable[Task]:
            search.boost(fold, interrupted)
            return boosted()

        return task

    def settle(search: Search) -> list[Task]:
        if not search.settle():
            return further(search)
        fit.tuning = search.tuning
        _predict_by_folds(work, fit, search)
        work.tick(doing=f"tuned {fit.target.name}")
        refits = range(-1, len(work.counts))  # -1: the final model
        fitted = Countdown(len(refits), lambda: [Task(refitted, predict)])
        fit.refits = [None] * len(work.counts)  # type: ignore[list-item]
        return [*(Task(refitted, _fitter(work, fit, refit, fitted)) for refit in refits), *_next(line)]

    def predict(_: Interrupted) -> Iterable[Task]:
        _predict_donors(work, fit)
        return [*_next(followers or deque()), *(job for each in done for job in each())]

    return Task(tuned, begin)


def _fitter(work: Work, fit: Fit, refit: int, fitted: Countdown) -> Callable[[Interrupted], Iterable[Task]]:
    """Fit the final model (refit -1), or a refit."""

    def task(interrupted: Interrupted) -> Iterable[Task]:
        assert fit.tuning is not None
        count = work.counts[refit][fit.sample.rows] if refit >= 0 else None
        seed = seed_of(work.seed, fit.number, refit + 1)
        booster = boosting.fit(fit.problem, fit.tuning, seed, count, interrupted)
        fit.keep(booster, refit)
        work.tick(doing=f"{'fitted' if refit < 0 else 'refitted'} {fit.target.name}")
        return fitted()

    return task


def _predict_by_folds(work: Work, fit: Fit, search: Search) -> None:
    """Predict the donors that no refit left out, by the fold models; keep these if they are wanted."""
    options = work.options
    predicted = np.empty((len(work.matrix), fit.target.n_classes))
    if options.crossfit:
        fold = np.where(work.assigned < 0, fit.sample.fold, -1)
        for number in np.unique(fold[fold >= 0]):
            rows = np.flatnonzero(fold == number)
            _predict(partial(search.predict, int(number)), work, fit, rows, predicted)
            if fit.base is not None and fit.base.predicted is not None:
                predicted[rows] += fit.base.predicted[rows]
        if not options.refits and options.nfolds >= 1:
            fit.keep_folds(search.models())
    fit.predicted = predicted


def _predict(
    model: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    work: Work,
    fit: Fit,
    rows: NDArray[np.intp],
    out: NDArray[np.float64],
) -> None:
    """Predict some donors, not all at once: their predictors are copied."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        bins = fit.sample.bins
        out[some] = model(bins.scale(work.matrix[np.ix_(some, bins.columns)]))


def _predict_donors(work: Work, fit: Fit) -> None:
    """Predict the other donors, by a refit that did not see them if there is one; calibrate on them.

    Each refit predicts once.
    """
    assert fit.final is not None
    assert fit.predicted is not None
    options, predicted = work.options, fit.predicted
    unseen = work.assigned < 0
    rows = np.flatnonzero(unseen & (fit.sample.fold < 0)) if options.crossfit else work.every
    _predict(partial(boosting.predict, fit.final), work, fit, rows, predicted)
    if not options.crossfit:
        return
    is_classes = fit.target.objective in ("binary", "multiclass")
    calibrated = options.calibrate and is_classes and len(work.plans[fit.step].variables) == 1
    total, number = np.zeros_like(predicted), np.zeros(len(predicted))
    found = np.empty_like(predicted)
    for refit, booster in enumerate(fit.refits):
        own = work.assigned == refit
        rows = np.flatnonzero(work.counts[refit] == 0 if calibrated else own)
        _predict(partial(boosting.predict, booster), work, fit, rows, found)
        predicted[own] = found[own]
        total[rows] += found[rows]
        number[rows] += 1
    if calibrated:
        # What implicates draw from is the mixture of the refits, here of those that left a donor out. A
        # single one's probabilities are noisier; calibrating them would flatten every implicate, and
        # with it the differences between groups.
        mean = np.where(number[:, None] > 0, total / np.maximum(number, 1)[:, None], predicted)
        probability = np.hstack([1 - mean, mean]) if mean.shape[1] == 1 else mean
        label = fit.problem.label.astype(np.intp)
        fit.calibration = fit_calibration(probability, label, fit.problem.weight)


def _finish(work: Work, plan: StepPlan, fits: list[Fit]) -> Step:
    """Gather a step's pools once all of its targets are done."""
    options = work.options
    predicted = {fit.target.name: fit.predicted for fit in fits if fit.predicted is not None}
    pools = None
    if len(plan.variables) > 1:
        pools = block_pools(fits, predicted, options)
    elif not work.schema[plan.variables[0]].is_categorical:
        pools = solo_pools(fits[-options.nquantiles - 1 :], predicted, work.draw_weight, options)
    return Step(
        plan.variables,
        plan.predictors,
        tuple(fit.target for fit in fits),
        {fit.target.name: fit.final for fit in fits if fit.final is not None},
        _members(fits, options),
        {fit.target.name: fit.calibration for fit in fits if fit.calibration},
        pools,
        {fit.target.name: fit.tuning for fit in fits if fit.tuning is not None},
    )


def _members(fits: list[Fit], options: Options) -> tuple[Mapping[str, Booster], ...]:
    models: list[list[Booster]] = []
    if options.refits:
        models = [fit.refits for fit in fits]
    elif options.crossfit and options.nfolds >= 1:
        models = [fit.fold_models for fit in fits]
    names = [fit.target.name for fit in fits]
    return tuple(dict(zip(names, each, strict=True)) for each in zip(*models, strict=True))
