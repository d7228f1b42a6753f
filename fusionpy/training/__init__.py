"""train(): learn from a donor survey."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fusionpy.errors import (
    ArgumentError,
    FusionError,
    OutputError,
    Problems,
    few,
    gone,
    settle_seed,
)
from fusionpy.formats.atomic import check_writable, shown_path
from fusionpy.kernels.integer_weights import integerize_weights
from fusionpy.model import FusionModel, Known
from fusionpy.model.archive import library_versions, write_fsn
from fusionpy.model.kinds import is_code_like
from fusionpy.model.options import Options
from fusionpy.model.ranges import learn_ranges
from fusionpy.model.rules import read_rules
from fusionpy.model.schema import Schema
from fusionpy.progress import announce, track
from fusionpy.training.areas import check_area_roles, settle_areas
from fusionpy.training.arguments import check_options, settle
from fusionpy.training.donors import Donors, check_rules, read_donors
from fusionpy.training.effects import learn_effects
from fusionpy.training.fitting import count_models, learn_steps
from fusionpy.training.out_of_fold import expected_by_others
from fusionpy.training.planning import FusionPlan, StepPlan, settle_plan
from fusionpy.training.refits import refit_counts

__all__ = ["train"]

HELP = "See `help(fusionpy.train)` for what it takes."


@gone(rank_scale="learning skewed variables on a normal scale did not pay")
def train(
    data: Any,
    y: str | Sequence[str | Sequence[str]],
    x: str | Sequence[str] | Sequence[Sequence[str]],
    *,
    fsn: str | os.PathLike[str] | None = None,
    weight: str | None = None,
    nfolds: float | None = None,
    nquantiles: int | None = None,
    nclusters: int | None = None,
    krange: tuple[int, int] | None = None,
    hyper: Mapping[str, Any] | None = None,
    cores: int = 1,
    seed: int | None = None,
    method: Literal["default", "2024", "fusionModel"] = "default",
    refits: int | None = None,
    replicate_weights: Sequence[str] | None = None,
    patience: int | None = None,
    crossfit: bool | None = None,
    redraw: bool | None = None,
    untie: bool | None = None,
    calibrate: bool | None = None,
    tolerant: bool | None = None,
    tails: bool | None = None,
    effects: bool | None = None,
    keep_donors: bool = True,
    bounds: str | Sequence[str] | None = None,
    identities: str | Sequence[str] | None = None,
    monotone: Mapping[str, Mapping[str, int]] | None = None,
    quiet: bool = False,
    engine: str = "lightgbm",
    areas: str | Sequence[str] | None = None,
) -> FusionModel:
    """Learn the distribution of a donor survey's own variables given those it shares with a recipient.

    Parameters
    ----------
    data : pandas or polars DataFrame, or pyarrow Table
        The donor survey, one row per respondent.
    y : str or sequence
        Fusion variables, in the order in which they are to be simulated. An element that is itself a sequence
        is a block: its variables are taken from the same donor. No missing values.
    x : str or sequence
        Predictors, known in the recipient too: one list for all steps, or a list per step, which then may
        name earlier fusion variables. With one list, each step also uses the fusion variables of the
        steps before it. Missing values are allowed.
    fsn : path, optional
        Write the model to this `.fsn` archive too. Folders that are not there are made; a file that is there
        is replaced.
    weight : str, optional
        Column of survey weights. Missing: all are 1. Negative ones count as 0; donors of weight 0 play no
        part.
    nfolds : float, optional
        Cross-validation folds (at least 2; no more than a model has donors are used), or, between 0 and 1,
        the share of donors that trains against the rest. Default 5.
    nquantiles : int, optional
        Conditional percentiles, equally spaced: 3 (the default) gives 1/6, 1/2, 5/6, 1 the median; method
        "fusionModel" has 2.
    nclusters : int, optional
        Clusters of conditional expectations; 0 for none. Default 2000; method "2024": 0.
    krange : (int, int), optional
        Least and most donors in a pool, in any order. Default (10, 500).
    hyper : mapping, optional
        LightGBM's hyperparameters. Lists of values make a grid of all combinations, the entry named first
        varying fastest, from which cross-validation chooses for each model by itself; of equals it takes the
        first. Boosting "goss" is gradient boosting with that sampling.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same model. Missing: drawn, and kept in the model.
    method : {"default", "2024", "fusionModel"}
        "2024": as in the paper. "fusionModel": as version 2.4.0 of the R package. "default": ours (see
        Notes). Each of their differences can be set by an argument of its own, or by `hyper`.
    refits : int, optional
        Refits on bootstraps of the donors, one per implicate in turn, so that margins of error include the
        model's own uncertainty. Default 10; 0 for none.
    replicate_weights : sequence of str, optional
        The donor survey's replicate weights: the refits' bootstraps then follow its design.
    patience : int, optional
        Boosting stops after so many rounds without a better validation loss. Default 10; the other methods 2.
    crossfit : bool, optional
        Take donors' expectations from models that did not see them.
    redraw : bool, optional
        Redraw donor weights within pools for every implicate (Bayesian bootstrap). With replicate weights
        they follow the refits.
    untie : bool, optional
        Learn percentiles of variables with many equal values (counts, ratings, rounded, heaped or top-coded
        amounts) from values that are spread apart at random, starting at the mean: on ties they stall.
    calibrate : bool, optional
        Calibrate class probabilities on donors that the models did not see.
    tolerant : bool, optional
        Choose pool sizes with fusionModel's tolerance rule (True), or by least divergence (False).
    tails : bool, optional
        Where a variable's expected value is far out (beyond Tukey's fences of the donors' values), take the
        nearest 30 donors, whatever their values: sizes chosen by values leave the largest out, and means of
        heavy-tailed amounts fall short. Other pools end before their donors' expectations drift off.
    effects : bool, optional
        Learn from donors that models did not see what these miss of the differences between levels of
        predictors, and put it right in every implicate: shrunk as far as it may be noise, and drawn at random
        as far as it is uncertain. Of means, pairs of predictors that stand out have effects together, too.
        Needs refits.
    keep_donors : bool
        Keep the donors' predictors, values and out-of-fold expectations in the model, which
        ``analyze(rectify=)`` needs. They are microdata. Only models with refits have them.
    bounds : str or sequence of str, optional
        What every fused record is to satisfy, as every donor must: ``"debt <= assets"``, ``"share <= 1"``,
        ``"gas = 0 unless has_gas"``, ``"gas = 0 unless fuel in piped|bottled"``. Of two variables the one
        that is simulated later obeys: where a draw does not, the donor of the pool nearest to it that does
        takes its place, or, if there is none, the bound itself.
    identities : str or sequence of str, optional
        Sums: ``"income = wages + other"`` makes the total a derived step, right after its parts;
        ``"a + b + c = 1"`` makes the parts a block.
    monotone : mapping, optional
        ``{"rent": {"rooms": +1}}``: the expectation of rent (of a logical variable, its probability) does not
        fall as rooms rise. LightGBM can do this for means and probabilities, not for percentiles.
    quiet : bool
        No progress.
    engine : str
        What learns and predicts. "lightgbm" is the one that fusionpy has; CONTRIBUTING tells how to add
        another, with hyperparameters of its own.
    areas : str or sequence of str, optional
        Columns, predictors or not, whose levels get effects of their own: state, county, PUMA. They hold
        text, categories or whole numbers, recipients must have them, and a missing value is a level of its
        own. Effects are shrunk as far as donors of a level are few; levels of recipients that no donor has
        get effects drawn at random, as different as those of others, so that margins of small areas hold the
        truth. Areas may be nested in each other. Implies `effects`. At most 5,000 levels of one area, 1,000
        of all others.

    Returns
    -------
    FusionModel
        Prints its steps, types, rounds, losses and pool sizes.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    SchemaError
        If columns cannot be used.
    OutputError
        If `fsn` cannot be written. What could be told before training is; whatever fails afterwards, the
        error's ``model`` is what was trained.

    Warns
    -----
    FusionWarning
        For negative weights, text columns, fusion variables of one value, and hyperparameters that have no
        effect or take one value only.

    Notes
    -----
    Ummel et al. (2024), *Scientific Data* 11:142, doi 10.1038/s41597-023-02788-7. For every step: gradient
    boosting of conditional means, percentiles and class probabilities; donors clustered on them; for each
    cluster a pool of the donors nearest to it, as many as reproduce its expected mean and percentiles best.
    The default adds, each measured in ``validation/holdout``: plain gradient boosting with more patience,
    cross-fitted expectations, bootstrap refits and redrawn pool weights.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> model = fusionpy.train(
    ...     donor,
    ...     y=["insulation", "electricity"],
    ...     x=["region", "rooms", "income"],
    ...     weight="weight",
    ...     refits=0,
    ...     seed=1,
    ...     quiet=True,
    ... )
    >>> [step.variables for step in model.steps]
    [('insulation',), ('electricity',)]
    """
    began = time.monotonic()
    problems = Problems(ArgumentError, "`train()` cannot start.", HELP)
    fitted = {"nfolds": nfolds, "patience": patience, "refits": refits, "crossfit": crossfit}
    sized = {"krange": krange, "tolerant": tolerant, "tails": tails}
    pooled = {"nquantiles": nquantiles, "nclusters": nclusters, **sized}
    area_names = settle_areas(areas, effects, method, fitted, problems)
    drawn = {"redraw": redraw, "untie": untie, "calibrate": calibrate, "effects": effects}
    learned = {"hyper": hyper, "monotone": monotone}
    options = check_options(problems, method, engine, cores, **learned, **fitted, **pooled, **drawn)
    problems.flag("keep_donors", keep_donors)
    seed = settle_seed(seed, problems)
    rules = read_rules(bounds, identities, monotone, problems)
    plan = settle_plan(y, x, rules, weight, replicate_weights, problems)
    check_area_roles(area_names, plan, weight, replicate_weights, problems)
    problems.stop()
    target = check_writable(fsn, "fsn", (".fsn",), folders=True) if fsn is not None else None
    donors = read_donors(data, plan, weight, replicate_weights, area_names)
    _note_codes(donors, quiet)
    check_rules(plan.rules, donors)
    options = settle(options, donors)
    model = _learn(plan, donors, options, seed, int(cores), quiet)
    model = _with_donors(model, donors, seed, int(cores), keep_donors)
    model = replace(model, seconds=time.monotonic() - began)
    if target is not None:
        _write(model, target)
    return model


def _learn(
    plan: FusionPlan, donors: Donors, options: Options, seed: int, cores: int, quiet: bool
) -> FusionModel:
    """Learn the steps, and gather what a model has beside them."""
    schema, matrix, weight = donors.schema, donors.matrix, donors.weight
    steps = [step for step in plan.steps if not step.derived]
    counts = refit_counts(len(matrix), options.refits, seed, donors.replicates)
    draw_weight = integerize_weights(weight).astype(np.float64) if options.integer_weights else weight
    with track("train", count_models(steps, schema, matrix, options), quiet) as tick:
        learned = learn_steps(steps, schema, matrix, weight, draw_weight, counts, options, seed, cores, tick)
    kept = _taken_from_donors(schema, steps)
    return FusionModel(
        schema=schema,
        steps=learned,
        options=options,
        seed=seed,
        donors=matrix[:, [schema.names.index(name) for name in kept]],
        donor_columns=kept,
        weight=draw_weight,
        counts=counts,
        versions=library_versions(options.engine),
        rules=tuple(plan.rules),
        ranges=learn_ranges(schema, donors.x),
    )


def _with_donors(model: FusionModel, donors: Donors, seed: int, cores: int, keep_donors: bool) -> FusionModel:
    """Learn what models have wrong of the donors that they did not see: effects, and what is kept of them."""
    options = model.options
    expected = None
    if options.effects:
        model, expected = learn_effects(model, donors, seed, cores, keep_donors)
    elif keep_donors and options.refits and options.crossfit:
        expected = expected_by_others(model, donors.x, seed, cores)
    if expected is None:
        return model
    return replace(model, known=Known(donors.x, donors.y, expected.average))


def _write(model: FusionModel, target: Path) -> None:
    """Write a model; if that fails, whatever the reason, hand it to the caller with the error."""
    try:
        write_fsn(model, target)
    except Exception as error:
        known = error if isinstance(error, FusionError) else None
        headline = known.headline if known else f"{shown_path(target)} could not be written."
        problems = known.problems if known else [f"{error} ({type(error).__name__})."]
        told = "The model is not lost: it is the error's `model` (in a session, `sys.last_value.model`)."
        hint = "Write it to another place: `fusionpy.write_fsn(error.model, path)`."
        failed = OutputError(headline, [*problems, told], hint)
        failed.model = model
        raise failed from None if known else error


def _note_codes(donors: Donors, quiet: bool) -> None:
    """Name fusion variables that are numbers and look like codes: it may be meant, but rarely is."""
    listed = []
    for variable, values in zip(donors.schema.y, donors.y.T, strict=True):
        if variable.kind == "continuous" and is_code_like(values):
            distinct = [f"{value:g}" for value in np.unique(values)]
            seen = distinct if len(distinct) <= 5 else [*distinct[:2], "…", distinct[-1]]
            listed.append(f"{few([variable.name], '`')} ({', '.join(seen)})")
    if listed:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        what, they = ("quantities", "they are codes") if len(listed) > 1 else ("a quantity", "it is a code")
        message = f"train: taken as {what}, not as categories: {', '.join(listed[:5])}{more}. If {they}, "
        announce(message + "make them categories, or True and False.", quiet)


def _taken_from_donors(schema: Schema, plans: Sequence[StepPlan]) -> tuple[str, ...]:
    """Variables whose values are copied from donors: continuous ones, and all in blocks."""
    return tuple(
        name
        for plan in plans
        for name in plan.variables
        if len(plan.variables) > 1 or not schema[name].is_categorical
    )
