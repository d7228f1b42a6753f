"""train(): learn from a donor survey."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing import expected_by_others
from fusionpy.engines.boosting import ONE_VALUE
from fusionpy.engines.hyper import check_hyper
from fusionpy.errors import (
    ArgumentError,
    FusionError,
    OutputError,
    Problems,
    SchemaError,
    counted,
    few,
    gone,
    grouped,
    is_whole,
    settle_seed,
    shown,
    warn,
)
from fusionpy.formats.archive import library_versions, write_fsn
from fusionpy.formats.aside import check_writable, shown_path
from fusionpy.frames import Table, as_table
from fusionpy.kernels.inflation import is_inflated
from fusionpy.kernels.integer_weights import integerize_weights
from fusionpy.kinds import is_code_like
from fusionpy.learning import count_models, learn_steps, refit_counts
from fusionpy.model import METHODS, FusionModel, Known, Options, Plan
from fusionpy.planning import check_roles, plan_steps
from fusionpy.progress import announce, note, track
from fusionpy.ranges import learn_ranges
from fusionpy.rules import Rule, check_donors, orient, read_rules
from fusionpy.schema import RECODE, UNFIT, Schema, positive_weights, weight_column

__all__ = ["train"]

FEWEST_DONORS = 50
FEWEST_NONZERO = 5


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
    keep_donors: bool = True,
    bounds: str | Sequence[str] | None = None,
    identities: str | Sequence[str] | None = None,
    monotone: Mapping[str, Mapping[str, int]] | None = None,
    quiet: bool = False,
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
    problems = Problems(
        ArgumentError, "`train()` cannot start.", "See `help(fusionpy.train)` for what it takes."
    )
    options = _check_options(
        problems,
        method,
        cores,
        nfolds=nfolds,
        nquantiles=nquantiles,
        nclusters=nclusters,
        krange=krange,
        hyper=hyper,
        refits=refits,
        patience=patience,
        crossfit=crossfit,
        redraw=redraw,
        untie=untie,
        calibrate=calibrate,
        tolerant=tolerant,
    )
    problems.flag("keep_donors", keep_donors)
    seed = settle_seed(seed, problems)
    rules = read_rules(bounds, identities, monotone, problems)
    plans, predictors = plan_steps(y, x, problems, rules)
    outcomes = [name for plan in plans for name in plan.variables]
    rules = orient(rules, predictors, [plan.variables for plan in plans], problems) if plans else []
    check_roles(predictors, outcomes, weight, replicate_weights, problems)
    problems.stop()
    target = check_writable(fsn, "fsn", (".fsn",), folders=True) if fsn is not None else None
    table = as_table(data)
    _check_rows(table)
    unfit = Problems(SchemaError, UNFIT, RECODE)
    weights, replicates = _weights(table, weight, replicate_weights, unfit)
    schema = Schema.learn(table, predictors, outcomes, unfit, boosted=True)
    used = np.flatnonzero(weights > 0)
    weights = weights[used] / weights[used].mean()
    matrix = schema.encode(table, schema.names)[used]
    _check_enough(schema, matrix)
    _note_codes(schema, matrix, quiet)
    _check_rules(rules, schema, matrix)
    plans = [plan for plan in plans if not plan.derived]
    options = _settle(options, schema, matrix, replicates is not None)

    counts = refit_counts(len(used), options.refits, seed, None if replicates is None else replicates[used])
    draw_weight = integerize_weights(weights).astype(np.float64) if options.integer_weights else weights
    with track("train", count_models(plans, schema, matrix, options), quiet) as tick:
        steps = learn_steps(
            plans, schema, matrix, weights, draw_weight, counts, options, seed, int(cores), tick
        )
    kept = _taken_from_donors(schema, plans)
    model = FusionModel(
        schema,
        steps,
        options,
        seed,
        matrix[:, [schema.names.index(name) for name in kept]],
        kept,
        draw_weight,
        counts,
        0.0,
        library_versions(),
        rules=tuple(rules),
        ranges=learn_ranges(schema, matrix[:, : len(schema.x)]),
    )
    if keep_donors and options.refits and options.crossfit:
        n_x = len(schema.x)
        x_known, y_known = matrix[:, :n_x], matrix[:, n_x:]
        expected = expected_by_others(model, x_known, seed, int(cores))
        model = replace(model, known=Known(x_known, y_known, expected))
    model = replace(model, seconds=time.monotonic() - began)
    if target is not None:
        _write(model, target)
    return model


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


def _check_options(problems: Problems, method: str, cores: int, hyper: Any, **given: Any) -> Options:
    """Note impossible values; lay the others over the method's."""
    known = METHODS.get(method) if isinstance(method, str) else None
    if known is None:
        problems.add(f"`method` must be one of {few(METHODS)}, not {shown(method)}.")
        known = METHODS["default"]
    problems.whole("cores", cores, 1)
    settled: dict[str, Any] = {}
    if (nfolds := given["nfolds"]) is not None:
        settled["nfolds"] = int(nfolds) if is_whole(nfolds, 2) else nfolds
        if is_whole(nfolds, 2):
            problems.whole("nfolds", nfolds, 2)
        elif not _is_share(nfolds):
            wanted = "a whole number of folds (2 or more), or a share of donors between 0 and 1"
            problems.add(f"`nfolds` must be {wanted}, not {shown(nfolds)}.")
    if isinstance(nclusters := given["nclusters"], float) and nclusters >= 0:  # as R does
        given["nclusters"] = 0 if nclusters == float("inf") else math.ceil(nclusters)
        if given["nclusters"] != nclusters != float("inf"):
            note(f"`nclusters` is taken as {given['nclusters']}: a whole number.")
    for name, low in (("nquantiles", 1), ("nclusters", 0), ("refits", 0), ("patience", 1)):
        value = given[name]
        if value is not None and problems.whole(name, value, low):
            settled[name] = int(value)
    for name in ("crossfit", "redraw", "untie", "calibrate", "tolerant"):
        settled[name] = given[name]
        if given[name] is not None:
            problems.flag(name, given[name])
    if (krange := given["krange"]) is not None:
        settled["krange"] = _settle_krange(krange, 5 if method == "fusionModel" else 1, problems)
    settled["hyper"] = None if hyper is None else _settle_hyper(hyper, known.hyper, problems)
    return known.having(**settled)


def _settle_krange(krange: Any, low: int, problems: Problems) -> tuple[int, int] | None:
    """Take two sizes of pools in any order; of fractions what lies between them."""
    pair = sorted(krange) if isinstance(krange, list | tuple | np.ndarray) and _are_sizes(krange, low) else []
    if len(pair) != 2:
        wanted = "two whole numbers, the least and the most donors of a pool, such as (10, 500)"
        least = f"; with method 'fusionModel' both of at least {low}" if low > 1 else ""
        problems.add(f"`krange` must be {wanted}{least}, not {shown(krange)}.")
        return None
    whole = math.ceil(pair[0]), max(math.ceil(pair[0]), math.floor(pair[1]))
    if [*whole] != [*pair]:
        note(f"`krange` is taken as {whole}: a pool has a whole number of donors.")
    return whole


def _are_sizes(krange: Any, low: int) -> bool:
    numbers = all(isinstance(k, Real) and not isinstance(k, bool) for k in krange)
    return numbers and all(low <= k <= 10**9 for k in krange)


def _settle_hyper(hyper: Any, usual: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Lay what is given before the method's own, in the order of the caller: so rows of the grid vary."""
    found = check_hyper(hyper, usual)
    for problem in found.problems:
        problems.add(problem)
    for text in found.idle:
        note(text)
    for text in found.replacing:
        warn(text)
    for name, values in found.values.items():
        if name in ONE_VALUE and len(values) > 1:
            text = f"`hyper` entry '{name}' takes one value only: the first, {values[0]}, is used."
            note(text)
            del values[1:]
    given = {name: values if len(values) > 1 else values[0] for name, values in found.values.items()}
    return {**given, **{name: value for name, value in usual.items() if name not in given}}


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _settle(options: Options, schema: Schema, matrix: NDArray[np.float64], has_design: bool) -> Options:
    """Settle what depends on the data, or on other choices."""
    n = len(matrix)
    y = [matrix[:, schema.names.index(variable.name)] for variable in schema.y if not variable.is_categorical]
    fewest = min([n, *(int((values != 0).sum()) for values in y if is_inflated(values))])
    if options.nfolds > fewest:  # of the rows that some model is fitted on: no fold is empty
        text = f"`nfolds`: {fewest} folds, as a model has no more donors, instead of {options.nfolds}."
        note(text)
        options = options.having(nfolds=fewest)
    if "min_data_in_leaf" not in options.hyper or options.hyper["min_data_in_leaf"] is None:
        options = options.having(hyper={**options.hyper, "min_data_in_leaf": max(20, round(0.001 * n))})
    # With a split there are no fold models, so only refits can leave donors out.
    if options.nfolds < 1 and not options.refits:
        options = options.having(crossfit=False)
    return options.having(follow=bool(has_design and options.refits))


def _check_rows(table: Table) -> None:
    if table.n_rows < FEWEST_DONORS:
        problem = f"It has {counted(table.n_rows, 'row')}; at least {FEWEST_DONORS} donors are needed."
        raise SchemaError(UNFIT, [problem], "Pass the whole donor survey.")


def _weights(
    table: Table, weight: str | None, replicate_weights: Sequence[str] | None, problems: Problems
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Survey weights, and replicate weights relative to them; what is wrong with them is noted."""
    if weight is None:
        return np.ones(table.n_rows), None
    roles = {weight: "weight", **dict.fromkeys(replicate_weights or (), "replicate weight")}
    columns = {name: weight_column(table, name) for name in roles}
    wrong = [(roles[name], name, each) for name, each in columns.items() if isinstance(each, str)]
    for problem in grouped(wrong):
        problems.add(problem)
    if wrong:
        return np.ones(table.n_rows), None
    given, *replicates = (each for each in columns.values() if not isinstance(each, str))
    full = positive_weights(given, weight)
    if isinstance(full, str):
        problems.add(f"weight `{weight}`: {full}.")
        return np.ones(table.n_rows), None
    if not replicates:
        return full, None
    ratio = np.stack(replicates, axis=1) / np.where(full > 0, full, 1)[:, None]
    if np.abs(ratio[full > 0] - 1).max() == 0:
        problems.add(
            "The replicate weights all equal the full-sample weight: they say nothing of the design."
        )
    return full, ratio


def _check_enough(schema: Schema, matrix: NDArray[np.float64]) -> None:
    """Refuse donors too few, or too alike, to learn from."""
    hint = "Pass more donors of positive weight, or leave these variables out of `y`."
    problems = Problems(SchemaError, UNFIT, hint)
    if (n := len(matrix)) < FEWEST_DONORS:
        problems.add(f"{counted(n, 'donor')} of positive weight; at least {FEWEST_DONORS} are needed.")
        problems.stop()
    found, constant = [], []
    for variable in schema.y:
        values = matrix[:, schema.names.index(variable.name)]
        n_nonzero = int((values != 0).sum())
        if variable.is_categorical and variable.n_classes < 2:
            found.append((variable.name, "one level only; there is nothing to learn"))
        elif (values == values[0]).all():
            constant.append(variable.name)
        elif variable.kind == "continuous" and n_nonzero < FEWEST_NONZERO:
            problem = f"only {counted(n_nonzero, 'value')} other than 0; at least {FEWEST_NONZERO} are needed"
            found.append((variable.name, problem))
    for problem in grouped(("fusion variable", name, problem) for name, problem in found):
        problems.add(problem)
    problems.stop()
    if constant:
        told = "all donors of positive weight have the same value, and so will all recipients"
        warn(f"{few(constant, '`')}: {told}.")


def _note_codes(schema: Schema, matrix: NDArray[np.float64], quiet: bool) -> None:
    """Name fusion variables that are numbers and look like codes: it may be meant, but rarely is."""
    listed = []
    for variable in schema.y:
        values = matrix[:, schema.names.index(variable.name)]
        if variable.kind == "continuous" and is_code_like(values):
            distinct = [f"{value:g}" for value in np.unique(values)]
            seen = distinct if len(distinct) <= 5 else [*distinct[:2], "…", distinct[-1]]
            listed.append(f"{few([variable.name], '`')} ({', '.join(seen)})")
    if listed:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        what, they = ("quantities", "they are codes") if len(listed) > 1 else ("a quantity", "it is a code")
        message = f"train: taken as {what}, not as categories: {', '.join(listed[:5])}{more}. If {they}, "
        announce(message + "make them categories, or True and False.", quiet)


def _check_rules(rules: Sequence[Rule], schema: Schema, matrix: NDArray[np.float64]) -> None:
    """Refuse rules that donors break, or that their variables cannot have."""
    hint = "Fused records can only be made to obey what donors obey."
    problems = Problems(SchemaError, "`data` does not satisfy `bounds`, `identities` or `monotone`.", hint)
    check_donors(rules, schema, matrix, problems)
    problems.stop()


def _taken_from_donors(schema: Schema, plans: Sequence[Plan]) -> tuple[str, ...]:
    """Variables whose values are copied from donors: continuous ones, and all in blocks."""
    return tuple(
        name
        for plan in plans
        for name in plan.variables
        if len(plan.variables) > 1 or not schema[name].is_categorical
    )
