"""cross_score(): the scorecard of a method on a donor survey, fold by fold."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, Problems, SchemaError, grouped, meant, settle_seed
from fusionpy.evaluation.predicted import predicted_means, with_predicted
from fusionpy.evaluation.scorecard import Scorecard
from fusionpy.evaluation.scoring import score
from fusionpy.frames.tables import Table, Unreadable, as_table, is_text, take_names, to_floats
from fusionpy.fusion import fuse
from fusionpy.kernels.strata import assign_folds, strata_of
from fusionpy.model import FusionModel
from fusionpy.model.columns import NO_COLUMN
from fusionpy.model.schema import RECODE, UNFIT, positive_weights, weight_column
from fusionpy.progress import tell_of_seed, track
from fusionpy.training import train
from fusionpy.training.planning import check_roles, plan_steps

__all__ = ["cross_score"]

OWN = ("data", "y", "x", "weight", "nfolds", "cores", "seed", "quiet", "fsn")  # of train's arguments


def cross_score(
    data: Any,
    y: str | Sequence[str | Sequence[str]],
    x: str | Sequence[str] | Sequence[Sequence[str]],
    *,
    weight: str | None = None,
    nfolds: int = 5,
    M: int = 20,
    cores: int = 1,
    seed: int | None = None,
    quiet: bool = False,
    classifier: bool = True,
    **train_arguments: Any,
) -> Scorecard:
    """Judge on a donor survey alone how well its own variables can be simulated.

    Parameters
    ----------
    data : pandas or polars DataFrame, or pyarrow Table
        The donor survey.
    y, x, weight
        As for `train`.
    nfolds : int
        Parts of the survey; each is fused by a model that was trained on the others. (Within these models,
        `train` uses its own default of folds.)
    M : int
        Implicates.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same scorecard. Missing: drawn, and recorded in the result.
    quiet : bool
        No progress.
    classifier : bool
        Compute `auc`, as in `score`.
    **train_arguments
        Other arguments of `train`, `method` or `replicate_weights` for instance.

    Returns
    -------
    Scorecard
        As of `score`, over all records, each fused by the model that has not seen it; with one way more,
        "predicted" (see Notes).

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns cannot be used.

    Notes
    -----
    Folds are random, balanced on the first fusion variable (its classes or its deciles). The models learn
    from fewer donors than one trained on the whole survey, so the scores are a little worse than its own.
    Measures of whole distributions (`share_err`, `w1`, `q90`, `q99`, `mean`, `top1`, `corr_err`, `auc`,
    `subgroup`) compare with the sample that the models of the folds learned from, so they leave out the
    donor survey's own sampling error; scores of single records do not.

    "predicted" has the measures `mean` and `top1` of what the models expect of the records, before donors are
    drawn: a mean that is right there and too low in "fused" is lost in the pools, one that is too low in both
    by the models. Expectations differ less among records than values do, so their `top1` is below 1 by
    nature; compare it between models.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor().head(500)
    >>> card = cross_score(
    ...     donor, ["vehicles"], ["income", "rooms"], nfolds=2, M=5, refits=0, seed=1, quiet=True
    ... )
    >>> card.n, card.M
    (500, 5)
    """
    problems = Problems(
        ArgumentError, "`cross_score()` cannot start.", "See `help(fusionpy.cross_score)` for what it takes."
    )
    for name, value, low in (("nfolds", nfolds, 2), ("M", M, 1), ("cores", cores, 1)):
        problems.whole(name, value, low)
    _check_training(train_arguments, problems)
    seed_given = seed is not None
    seed = settle_seed(seed, problems)
    plans, predictors = plan_steps(y, x, problems)
    outcomes = [name for plan in plans for name in plan.variables]
    replicates = train_arguments.get("replicate_weights")
    check_roles(predictors, outcomes, weight, replicates, problems)
    areas = take_names(train_arguments.get("areas"), "areas", problems)
    problems.stop()
    survey = _survey(as_table(data), [*predictors, *outcomes, *areas], weight, replicates or [])
    n_folds = int(nfolds)
    if survey.num_rows < 2 * n_folds:
        problem = f"It has {survey.num_rows} rows, too few for {n_folds} folds."
        raise SchemaError(UNFIT, [problem], "Pass the whole donor survey.")
    if not seed_given:
        tell_of_seed("cross_score", seed, quiet)
    rng = np.random.default_rng(seed)
    fold = _folds(survey.column(outcomes[0]).combine_chunks(), n_folds, rng)
    seeds = rng.integers(0, 2**31, (n_folds, 2)).tolist()
    fit = partial(train, y=y, x=x, weight=weight, cores=cores, quiet=True, **train_arguments)
    draw = partial(fuse, M=int(M), cores=cores, quiet=True)
    implicates, predicted = _fuse_held_out(survey, fold, seeds, fit, draw, int(M), quiet)
    card = score(
        survey,
        implicates,
        outcomes,
        x=predictors,
        weight=weight,
        classifier=classifier,
        cores=cores,
        seed=seed,
        quiet=quiet,
    )
    truth = {name: to_floats(survey.column(name).combine_chunks()) for name in predicted}
    return with_predicted(card, truth, predicted, _weights(survey, weight))


def _check_training(given: Mapping[str, Any], problems: Problems) -> None:
    """Note arguments that training does not have, or that are not for the models of the folds."""
    known = [name for name in inspect.signature(train).parameters if name not in OWN]
    for name in given:
        if name == "fsn":
            problems.add("`fsn` cannot be given: the folds' models are not kept.")
        elif name not in known:
            problems.add(f"`{name}` is no argument of `train()`{meant(name, known)}.")


def _fuse_held_out(
    survey: pa.Table,
    fold: NDArray[np.intp],
    seeds: Sequence[tuple[int, int]],
    fit: Callable[..., FusionModel],
    draw: Callable[..., pa.Table],
    M: int,
    quiet: bool,
) -> tuple[pa.Table, dict[str, NDArray[np.float64]]]:
    """Fuse each part of a survey by a model of the others, and put the implicates in the survey's order.

    And what the models predict of the records' numbers.
    """
    pieces, places = [], []
    predicted: dict[str, NDArray[np.float64]] = {}
    with track("cross_score", len(seeds), quiet) as tick:
        for number, (train_seed, fuse_seed) in enumerate(seeds):
            held = np.flatnonzero(fold == number)
            model = fit(survey.take(np.flatnonzero(fold != number)), seed=train_seed)
            fused = draw(survey.take(held), model, seed=fuse_seed)
            for name, means in predicted_means(model, survey.take(held), M, fuse_seed).items():
                predicted.setdefault(name, np.empty(survey.num_rows))[held] = means
            first = survey.num_rows * np.arange(len(fused) // len(held))  # row of each implicate
            pieces.append(fused)
            places.append((first[:, None] + held).ravel())
            tick()
    implicates = pa.concat_tables(piece.replace_schema_metadata() for piece in pieces)
    return implicates.unify_dictionaries().take(np.argsort(np.concatenate(places))), predicted


def _weights(survey: pa.Table, name: str | None) -> NDArray[np.float64]:
    """Read the records' weights, 1 if there are none; negative ones, of which folds have told, as 0."""
    if name is None:
        return np.ones(survey.num_rows)
    return np.maximum(to_floats(survey.column(name).combine_chunks()), 0)


def _survey(table: Table, names: Sequence[str], weight: str | None, replicates: Sequence[str]) -> pa.Table:
    """Fetch the columns needed; text becomes categories, so that all folds know all of its levels."""
    wanted = [*names, *([weight] if weight is not None else []), *replicates]
    bad: list[tuple[str, str, str]] = []
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(wanted):
        if name not in table.names:
            bad.append(("", name, NO_COLUMN + meant(name, table.names)))
            continue
        try:
            array = table.column(name)
        except Unreadable as error:
            bad.append(("", name, str(error)))
            continue
        columns[name] = array.dictionary_encode() if is_text(array.type) else array
    if weight in columns:  # once, not by every fold; what is wrong with them is theirs to tell
        weights = positive_weights(weight_column(table, weight), weight)
        if not isinstance(weights, str) and (weights == 0).any():
            columns[weight] = pa.array(weights)
    if bad:
        raise SchemaError(UNFIT, grouped(bad), RECODE)
    return pa.table(columns)


def _folds(first: pa.Array, n_folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Deal the records to folds, balanced on one variable."""
    categorical = pa.types.is_dictionary(first.type) or pa.types.is_boolean(first.type)
    codes = first.indices if pa.types.is_dictionary(first.type) else first
    values = np.nan_to_num(to_floats(codes), nan=-1.0)
    return assign_folds(strata_of(values, categorical), n_folds, rng.random(len(first)))
