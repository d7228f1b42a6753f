"""train(): learn from a donor survey."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.boosting import HYPERPARAMETERS, ONE_VALUE
from fusionpy.errors import (
    ArgumentError,
    FusionWarning,
    Problems,
    SchemaError,
    few,
    is_whole,
    settle_seed,
)
from fusionpy.formats.archive import library_versions, write_fsn
from fusionpy.formats.aside import check_writable
from fusionpy.kernels.scaling import integerize_weights
from fusionpy.learning import Plan, count_models, learn_steps, refit_counts
from fusionpy.model import METHODS, FusionModel, Options
from fusionpy.progress import track
from fusionpy.schema import Schema, Table, as_table

__all__ = ["train"]

FEWEST_DONORS = 50
FEWEST_NONZERO = 5


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
    rank_scale: bool | None = None,
    temper: bool | None = None,
    tolerant: bool | None = None,
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
        Write the model to this `.fsn` archive too.
    weight : str, optional
        Column of survey weights. Missing: all are 1. Negative ones count as 0; donors of weight 0 play no part.
    nfolds : float, optional
        Cross-validation folds (at least 2), or, between 0 and 1, the share of donors that trains against the rest.
        Default 5.
    nquantiles : int, optional
        Conditional percentiles, equally spaced: 3 (the default) gives 1/6, 1/2, 5/6; method "fusionModel" has 2.
    nclusters : int, optional
        Clusters of conditional expectations; 0 for none. Default 2000; method "2024": 0.
    krange : (int, int), optional
        Least and most donors in a pool. Default (10, 500).
    hyper : mapping, optional
        LightGBM's hyperparameters; a list of values makes a grid to choose from by cross-validation.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same model. Missing: drawn, and kept in the model.
    method : {"default", "2024", "fusionModel"}
        "2024": as in the paper. "fusionModel": as version 2.4.0 of the R package. "default": ours (see Notes). Each
        of their differences can be set by the argument of its own that follows, or by `hyper`.
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
        Redraw donor weights within pools for every implicate (Bayesian bootstrap).
    rank_scale : bool, optional
        Boost skewed continuous variables on their rank-normal scale. Drawn values are observed ones regardless.
    temper : bool, optional
        Temper class probabilities on donors that the models did not see.
    tolerant : bool, optional
        Choose pool sizes with fusionModel's tolerance rule (True), or by least divergence (False).
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
        If `fsn` cannot be written.

    Warns
    -----
    FusionWarning
        For negative weights, text columns, and hyperparameters that take one value only.

    Notes
    -----
    Ummel et al. (2024), *Scientific Data* 11:142, doi 10.1038/s41597-023-02788-7. For every step: gradient
    boosting of conditional means, percentiles and class probabilities; donors clustered on them; for each
    cluster a pool of the donors nearest to it, as many as reproduce its expected mean and percentiles best. The
    default adds, each measured in ``validation/holdout``: plain gradient boosting with more patience, cross-fitted
    expectations, bootstrap refits and redrawn pool weights.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> model = fusionpy.train(donor, y=["insulation", "electricity"], x=["region", "rooms", "income"],
    ...                        weight="weight", refits=0, seed=1, quiet=True)
    >>> [step.variables for step in model.steps]
    [('insulation',), ('electricity',)]
    """
    began = time.monotonic()
    options = _check_arguments(
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
        rank_scale=rank_scale,
        temper=temper,
        tolerant=tolerant,
    )
    seed = settle_seed(seed)
    plans, predictors = _plan_steps(y, x)
    target = check_writable(fsn, "fsn", (".fsn",)) if fsn is not None else None
    table = as_table(data)
    outcomes = [name for plan in plans for name in plan.variables]
    _check_roles(predictors, outcomes, weight, replicate_weights)
    schema = Schema.learn(table, predictors, outcomes)
    weights, replicates = _weights(table, weight, replicate_weights)
    used = np.flatnonzero(weights > 0)
    weights = weights[used] / weights[used].mean()
    matrix = schema.encode(table, schema.names)[used]
    _check_enough(schema, matrix)
    options = _settle(options, len(used))

    counts = refit_counts(len(used), options.refits, seed, None if replicates is None else replicates[used])
    draw_weight = integerize_weights(weights).astype(np.float64) if options.integer_weights else weights
    with track("train", count_models(plans, schema, matrix, options), quiet) as tick:
        steps = learn_steps(plans, schema, matrix, weights, draw_weight, counts, options, seed, cores, tick)
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
        time.monotonic() - began,
        library_versions(),
    )
    if target is not None:
        write_fsn(model, target)
    return model


def _check_arguments(method: str, cores: int, **given: Any) -> Options:
    """Refuse impossible values, all at once; lay the given ones over the method's."""
    problems = Problems(ArgumentError, "`train()` cannot start.", "See `help(fusionpy.train)` for what it takes.")
    if method not in METHODS:
        problems.add(f"`method` must be one of {few(METHODS)}, not {method!r}.")
        problems.stop()
    if not is_whole(cores, 1):
        problems.add(f"`cores` must be a whole number of at least 1, not {cores!r}.")
    nfolds = given["nfolds"]
    if nfolds is not None and not (is_whole(nfolds, 2) or _is_share(nfolds)):
        problems.add(f"`nfolds` must be a whole number of at least 2, or between 0 and 1, not {nfolds!r}.")
    for name, low in (("nquantiles", 2), ("nclusters", 0), ("refits", 0), ("patience", 1)):
        value = given[name]
        if name == "nclusters" and value == float("inf"):
            given[name] = 0
        elif value is not None and not is_whole(value, low):
            problems.add(f"`{name}` must be a whole number of at least {low}, not {value!r}.")
    for name in ("crossfit", "redraw", "rank_scale", "temper", "tolerant"):
        if given[name] is not None and not isinstance(given[name], bool):
            problems.add(f"`{name}` must be True or False, not {given[name]!r}.")
    krange = given["krange"]
    if krange is not None:
        pair = list(krange) if isinstance(krange, list | tuple) else []
        if len(pair) != 2 or not all(is_whole(k, 1) for k in pair) or pair[0] > pair[1]:
            problems.add(f"`krange` must be two whole numbers, the least and the most donors, not {krange!r}.")
        else:
            given["krange"] = (int(pair[0]), int(pair[1]))
    hyper = given.pop("hyper")
    found = METHODS[method]
    if hyper is not None:
        found = found.having(hyper={**found.hyper, **_check_hyper(hyper, problems)})
    problems.stop()
    return found.having(**given)


def _check_hyper(hyper: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    if not isinstance(hyper, Mapping):
        problems.add(f"`hyper` must be a mapping of LightGBM's parameters, not {type(hyper).__name__}.")
        return {}
    unknown = [name for name in hyper if name not in HYPERPARAMETERS]
    if unknown:
        problems.add(f"`hyper` has unknown entries {few(unknown)}; known are {few(HYPERPARAMETERS, most=50)}.")
    out = {}
    for name, value in hyper.items():
        values = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
        if not values:
            problems.add(f"`hyper` entry {name!r} has no value.")
        elif name in ONE_VALUE and len(values) > 1:
            message = f"`hyper` entry {name!r} takes one value only: the first, {values[0]!r}, is used."
            warnings.warn(message, FusionWarning, stacklevel=4)
            out[name] = values[0]
        else:
            out[name] = values if len(values) > 1 else values[0]
    return out


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1


def _settle(options: Options, n: int) -> Options:
    """Settle what depends on the data, or on other choices."""
    if "min_data_in_leaf" not in options.hyper or options.hyper["min_data_in_leaf"] is None:
        options = options.having(hyper={**options.hyper, "min_data_in_leaf": max(20, round(0.001 * n))})
    # With a split there are no fold models, so only refits can leave donors out.
    if options.nfolds < 1 and not options.refits:
        options = options.having(crossfit=False)
    return options


def _plan_steps(y: Any, x: Any) -> tuple[list[Plan], list[str]]:
    """Order the steps, and say what predicts each of them."""
    problems = Problems(ArgumentError, "The steps cannot be planned.", "Name each variable once, as a string.")
    blocks = [(name,) if isinstance(name, str) else tuple(name) for name in _listed(y, "y", problems)]
    given = _listed(x, "x", problems)
    problems.stop()
    outcomes = [name for block in blocks for name in block]
    wrong = [name for name in outcomes if not isinstance(name, str)]
    if wrong:
        problems.add(f"`y` must hold names, not {few(wrong)}.")
    if not outcomes or not all(blocks):
        problems.add("`y` is empty, or holds an empty block.")
    twice = sorted({str(name) for name in outcomes if outcomes.count(name) > 1})
    if twice:
        problems.add(f"`y` names {few(twice, '`')} more than once.")
    problems.stop()
    per_step = bool(given) and not any(isinstance(each, str) for each in given)
    lists = [list(each) for each in given] if per_step else [list(given)] * len(blocks)
    if not given or not all(lists):
        problems.add("`x` is empty, or holds an empty list.")
    if len(lists) != len(blocks):
        problems.add(f"`x` has {len(lists)} lists for {len(blocks)} steps.")
    problems.stop()
    plans = [
        _plan_step(i, blocks, lists[i], per_step, problems) for i in range(len(blocks))
    ]
    problems.stop()
    predictors = list(dict.fromkeys(name for each in lists for name in each if name not in outcomes))
    if not predictors:
        problems.add("`x` names no column of the recipient: only fusion variables.")
    problems.stop()
    return plans, predictors


def _plan_step(
    i: int, blocks: Sequence[tuple[str, ...]], names: list[Any], per_step: bool, problems: Problems
) -> Plan:
    earlier = [name for block in blocks[:i] for name in block]
    later = [name for block in blocks[i:] for name in block]
    where = f"`x` of step {i + 1} ({few(blocks[i], '`')})" if per_step else "`x`"
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        problems.add(f"{where} must hold names, not {few(wrong)}.")
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        problems.add(f"{where} names {few(twice, '`')} more than once.")
    both = [name for name in names if name in later or (name in earlier and not per_step)]
    if both:
        reason = "which are not known by then" if per_step else "which are in `y`"
        problems.add(f"{where} names {few(both, '`')}, {reason}.")
    # Earlier fusion variables come first, as in the reference's archives.
    return Plan(blocks[i], tuple(names) if per_step else (*earlier, *names))


def _listed(value: Any, argument: str, problems: Problems) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Sequence | np.ndarray) or hasattr(value, "to_list"):
        return list(value)
    problems.add(f"`{argument}` must be a name or a list of names, not {type(value).__name__}.")
    return []


def _check_roles(
    x: Sequence[str], y: Sequence[str], weight: str | None, replicate_weights: Sequence[str] | None
) -> None:
    problems = Problems(ArgumentError, "The roles of the columns clash.", "Give each column one role.")
    if weight is not None and not isinstance(weight, str):
        problems.add(f"`weight` must be the name of a column, not {type(weight).__name__}.")
        problems.stop()
    if isinstance(replicate_weights, str):
        problems.add("`replicate_weights` must be a list of names, not one name.")
        problems.stop()
    for argument, names in (("weight", [weight]), ("replicate_weights", replicate_weights or [])):
        both = [name for name in names if name in x or name in y]
        if both:
            problems.add(f"`{argument}` names {few(both, '`')}, also in `x` or `y`.")
    if replicate_weights is not None and weight is None:
        problems.add("`replicate_weights` needs `weight`, the full-sample weight they belong to.")
    problems.stop()


def _weights(
    table: Table, weight: str | None, replicate_weights: Sequence[str] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Survey weights, and replicate weights relative to them."""
    if weight is None:
        return np.ones(table.n_rows), None
    problems = Problems(SchemaError, "The weights cannot be used.", "Mend the weights, or drop those rows.")
    columns = {name: _weight_column(table, name, problems) for name in (weight, *(replicate_weights or []))}
    problems.stop()
    full = columns.pop(weight)
    negative = int((full < 0).sum())
    if negative:
        message = f"{negative} negative weights in `{weight}` count as 0."
        warnings.warn(message, FusionWarning, stacklevel=3)
        full = np.maximum(full, 0)
    if not (full > 0).any():
        problems.add(f"`weight` `{weight}`: no weight is positive.")
    problems.stop()
    if not columns:
        return full, None
    ratio = np.stack(list(columns.values()), axis=1) / np.where(full > 0, full, 1)[:, None]
    if np.abs(ratio[full > 0] - 1).max() == 0:
        problems.add("`replicate_weights` are all equal to the full-sample weight.")
    problems.stop()
    return full, ratio


def _weight_column(table: Table, name: str, problems: Problems) -> NDArray[np.float64]:
    if name not in table.names:
        problems.add(f"weight `{name}`: there is no such column.")
        return np.ones(table.n_rows)
    try:
        values = np.asarray(table.column(name).cast("double").to_numpy(zero_copy_only=False), dtype=np.float64)
    except (ValueError, TypeError, NotImplementedError):
        problems.add(f"weight `{name}`: must be numeric.")
        return np.ones(table.n_rows)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        problems.add(f"weight `{name}`: {bad} missing or infinite values.")
    return values


def _check_enough(schema: Schema, matrix: NDArray[np.float64]) -> None:
    """Refuse surveys too small to learn from."""
    problems = Problems(
        SchemaError, "`data` is too small to be trained on.", "Merge rare classes, or leave the variable out of `y`."
    )
    if len(matrix) < FEWEST_DONORS:
        problems.add(f"{len(matrix)} donors of positive weight: at least {FEWEST_DONORS} are needed.")
        problems.stop()
    for variable in schema.y:
        values = matrix[:, schema.names.index(variable.name)]
        if (values == values[0]).all():
            problems.add(f"y `{variable.name}`: constant among donors of positive weight.")
        elif variable.kind == "continuous" and 0 < (values != 0).sum() < FEWEST_NONZERO:
            problems.add(f"y `{variable.name}`: only {int((values != 0).sum())} values are not zero.")
    problems.stop()


def _taken_from_donors(schema: Schema, plans: Sequence[Plan]) -> tuple[str, ...]:
    """Variables whose values are copied from donors: continuous ones, and all in blocks."""
    return tuple(
        name
        for plan in plans
        for name in plan.variables
        if len(plan.variables) > 1 or not schema[name].is_categorical
    )
