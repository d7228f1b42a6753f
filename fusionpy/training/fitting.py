"""Learn the steps of a fusion: fit models, take donors' expectations, gather donor pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines import find_engine
from fusionpy.engines.base import Model, Problem
from fusionpy.kernels.inflation import is_inflated
from fusionpy.kernels.uniforms import MEMBER, uniforms
from fusionpy.model import Step
from fusionpy.model.options import Options
from fusionpy.model.schema import Schema
from fusionpy.progress import Ticker
from fusionpy.training.donor_pools import block_pools, solo_pools
from fusionpy.training.planning import StepPlan
from fusionpy.training.queue import Interrupted, Task, run_tasks
from fusionpy.training.refits import left_out_refit
from fusionpy.training.schedule import schedule
from fusionpy.training.targets import Fit, Work, pose, signs_of

__all__ = ["count_models", "learn_steps"]


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
    engine = find_engine(options.engine)
    work = Work(plans, schema, matrix, *donors, draw_weight, counts, assigned, options, engine, seed, tick)
    fits: list[Fit] = []
    for number, plan in enumerate(plans):
        mean: Fit | None = None
        for target, sample in pose(work, number):
            label = sample.spread if target.objective == "quantile" else sample.label
            problem = Problem(target, sample.bins, label, sample.weight, signs_of(plan, target))
            fits.append(Fit(number, problem, sample, len(fits)))
            if target.objective == "regression":
                mean = fits[-1]
            elif label is not sample.label and options.crossfit and engine.add is not None:
                fits[-1].base = mean
    steps: list[Step | None] = [None] * len(plans)

    def finish(number: int, _: Interrupted) -> tuple[Task, ...]:
        own = [fit for fit in fits if fit.step == number]
        steps[number] = _finish(work, plans[number], own)
        for fit in own:
            fit.predicted = None
        return ()

    run_tasks(schedule(work, fits, lambda number: [Task(0, partial(finish, number))], cores), cores)
    return tuple(step for step in steps if step is not None)


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
        variables=plan.variables,
        predictors=plan.predictors,
        targets=tuple(fit.target for fit in fits),
        final={fit.target.name: fit.final for fit in fits if fit.final is not None},
        stand_ins=_members(fits, options),
        calibrations={fit.target.name: fit.calibration for fit in fits if fit.calibration},
        pools=pools,
        tuning={fit.target.name: fit.tuning for fit in fits if fit.tuning is not None},
    )


def _members(fits: list[Fit], options: Options) -> tuple[Mapping[str, Model], ...]:
    models: list[list[Model]] = []
    if options.refits:
        models = [fit.refits for fit in fits]
    elif options.crossfit and options.nfolds >= 1:
        models = [fit.fold_models for fit in fits]
    names = [fit.target.name for fit in fits]
    return tuple(dict(zip(names, each, strict=True)) for each in zip(*models, strict=True))
