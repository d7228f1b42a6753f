"""What a training is to learn: the targets of each step, on which donors, and in which folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Bins, Engine, Model, Problem, Target, Tuning
from fusionpy.kernels.inflation import is_inflated
from fusionpy.kernels.scaling import (
    percentiles,
)
from fusionpy.kernels.strata import assign_folds, assign_split, strata_of
from fusionpy.kernels.ties import is_tied, spread_ties
from fusionpy.kernels.uniforms import BOOSTER_SEED, FOLD, TIES, uniforms
from fusionpy.model.options import Options
from fusionpy.model.schema import Schema
from fusionpy.progress import Ticker
from fusionpy.training.planning import StepPlan

__all__ = ["Fit", "Sample", "Work", "pose", "seed_of", "signs_of"]


@dataclass(frozen=True)
class Work:
    """What all tasks of a training share.

    Attributes
    ----------
    plans : sequence of StepPlan
    schema : Schema
    matrix : (n, p) float64
        Donors, columns as in ``schema.names``.
    every : (n,) intp
        All rows of it.
    weight, draw_weight : (n,) float64
        For fitting (mean 1), and for drawing.
    counts : (refits, n) float64
        How often each donor enters each refit.
    assigned : (n,) intp
        Of the refits that leave a donor out the one that predicts it; -1: none does.
    options : Options
    engine : Engine
    seed : int
    tick : Ticker
    """

    plans: Sequence[StepPlan]
    schema: Schema
    matrix: NDArray[np.float64]
    every: NDArray[np.intp]
    weight: NDArray[np.float64]
    draw_weight: NDArray[np.float64]
    counts: NDArray[np.float64]
    assigned: NDArray[np.intp]
    options: Options
    engine: Engine
    seed: int
    tick: Ticker


@dataclass
class Sample:
    """Donors that some models of a variable are fitted on, and what these models predict.

    Attributes
    ----------
    bins : Bins
    rows : (m,) intp
        The donors.
    label, weight : (m,) float64
        Weights have mean 1.
    spread : (m,) float64
        The label that percentiles are those of: `label` itself, unless that has many equal values.
    fold : (n,) int32
        Of all donors: the fold that leaves each out; -1: none does.
    n_folds : int
    """

    bins: Bins
    rows: NDArray[np.intp]
    label: NDArray[np.float64]
    weight: NDArray[np.float64]
    spread: NDArray[np.float64]
    fold: NDArray[np.int32]
    n_folds: int

    def folds(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Numbers within `rows` of what each fold is fitted on, and of what it leaves out."""
        own = self.fold[self.rows]
        return [(np.flatnonzero(own != f), np.flatnonzero(own == f)) for f in range(self.n_folds)]


class Labelled(NamedTuple):
    """A target, the donors that it is fitted on, and their labels."""

    target: Target
    rows: NDArray[np.intp]
    label: NDArray[np.float64]


def _targets(work: Work, variable: str, values: NDArray[np.float64]) -> Iterator[Labelled]:
    """Models of one variable, in the order of their expectations."""
    known, options = work.schema[variable], work.options
    if known.is_categorical:
        classes = known.n_classes
        kind = "binary" if classes == 2 else "multiclass"
        yield Labelled(Target(variable, "m", kind, 1 if classes == 2 else classes), work.every, values)
        return
    rows, label = work.every, values
    if is_inflated(values):
        yield Labelled(Target(variable, "z", "binary"), rows, (values == 0).astype(np.float64))
        rows = np.flatnonzero(values)
        label = values[rows]
    yield Labelled(Target(variable, "m", "regression"), rows, label)
    for j, share in enumerate(percentiles(options.nquantiles), 1):
        # The reference hands percentiles to LightGBM rounded to seven digits.
        alpha = float(f"{share:.7g}") if options.method == "fusionModel" else float(share)
        yield Labelled(Target(variable, f"q{j}", "quantile", alpha=alpha), rows, label)


def pose(work: Work, number: int) -> Iterator[tuple[Target, Sample]]:
    """Set up the targets of a step: each with its donors."""
    plan, names = work.plans[number], work.schema.names
    columns = [names.index(name) for name in plan.predictors]
    nominal = [j for j, name in enumerate(plan.predictors) if work.schema[name].kind == "nominal"]
    u = uniforms(work.seed, FOLD, len(work.matrix), step=number)[0]
    exponents = work.schema.exponents(plan.predictors)
    binned = partial(Bins, work.matrix, plan.predictors, nominal, columns=columns, exponents=exponents)
    everyones = binned()
    for place, variable in enumerate(plan.variables):
        sample: Sample | None = None
        for target, rows, label in _targets(work, variable, work.matrix[:, names.index(variable)]):
            # The mean and the percentiles of a variable are fitted on the same donors and labels.
            if sample is None or label is not sample.label:
                bins, weight = everyones, work.weight
                if rows is not work.every:
                    bins = binned(rows=rows)
                    weight = weight[rows] / weight[rows].mean()
                fold, n_folds = _folds(label, target.objective, rows, u, work.options)
                spread = label
                if target.kind == "m" and _is_untied(work, variable, label):
                    apart = uniforms(work.seed, TIES, len(u), implicate=place, step=number)[0]
                    spread = spread_ties(label, apart[rows])
                sample = Sample(bins, rows, label, weight, spread, fold, n_folds)
            yield target, sample


def _is_untied(work: Work, variable: str, label: NDArray[np.float64]) -> bool:
    """Whether equal values of a continuous variable are to be spread apart."""
    varies = bool(label.min() < label.max())
    return work.options.untie and varies and not work.schema[variable].is_categorical and is_tied(label)


def _folds(
    label: NDArray[np.float64],
    objective: str,
    rows: NDArray[np.intp],
    u: NDArray[np.float64],
    options: Options,
) -> tuple[NDArray[np.int32], int]:
    """For each donor the fold that leaves it out, and the number of folds."""
    stratum = strata_of(label, objective in ("binary", "multiclass"))
    fold = np.zeros(len(u), dtype=np.int32)
    if options.nfolds < 1:
        fold[rows[assign_split(stratum, options.nfolds, u[rows])]] = -1
        return fold, 1
    n_folds = int(options.nfolds)
    # Rows that no model of this target is fitted on are left out by every fold: any will do.
    fold[:] = np.floor(u * n_folds)
    fold[rows] = assign_folds(stratum, n_folds, u[rows])
    return fold, n_folds


def signs_of(plan: StepPlan, target: Target) -> list[int] | None:
    """Directions of a target's predictors; percentiles are given none, as LightGBM cannot."""
    signs = plan.signs.get(target.variable)
    if signs is None or target.objective == "quantile":
        return None
    return [-sign for sign in signs] if target.kind == "z" else list(signs)  # zero is less likely with more


def seed_of(seed: int, index: int, refit: int = 0) -> int:
    """Seed an engine for a target and its refit (from 1; 0: the final model, and the fold models)."""
    return int(uniforms(seed, BOOSTER_SEED, 1, implicate=refit, step=index)[0, 0] * 2**31)


@dataclass
class Fit:
    """One target and, as they come, its models."""

    step: int
    problem: Problem
    sample: Sample
    number: int
    tuning: Tuning | None = None
    fold_models: list[Model] = field(default_factory=list)
    final: Model | None = None
    refits: list[Model] = field(default_factory=list)
    predicted: NDArray[np.float64] | None = None  # (n, k) of all donors
    calibration: tuple[float, ...] = ()
    base: Fit | None = None  # of a variable with ties: the mean, from whose models a percentile's start

    @property
    def target(self) -> Target:
        """What is modelled."""
        return self.problem.target

    def start(self) -> None:
        """Turn to what is left to learn once the mean is known."""
        if self.base is not None:
            assert self.base.predicted is not None
            left = self.problem.label - self.base.predicted[self.sample.rows, 0]
            self.problem = replace(self.problem, label=left)

    def keep(self, model: Model, refit: int, engine: Engine) -> None:
        """Keep the final model (refit -1), or a refit; upon the mean's, where it starts from that."""
        if self.base is not None:
            below = self.base.final if refit < 0 else self.base.refits[refit]
            assert below is not None
            assert engine.add is not None
            model = engine.add(below, model)
        if refit < 0:
            self.final = model
        else:
            self.refits[refit] = model

    def keep_folds(self, models: list[Model], engine: Engine) -> None:
        """Keep the folds' models likewise."""
        if self.base is not None:
            assert engine.add is not None
            models = list(map(engine.add, self.base.fold_models, models))
        self.fold_models = models
