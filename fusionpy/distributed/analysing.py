"""analyze() on a cluster: workers estimate from the implicates, the caller pools what they found."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import dask
import numpy as np
from numpy.typing import NDArray

from fusionpy.analysis import Findings, conclude
from fusionpy.analysis.caveats import MOST_LOOKED_AT, settle_margins
from fusionpy.analysis.estimates import Answer, measure
from fusionpy.analysis.groups import Groups, Levels
from fusionpy.analysis.measured import Measured, Replicates
from fusionpy.analysis.questions import Question, ask
from fusionpy.analysis.rectifying import Rectifier, check_rectifiable, take_rectify
from fusionpy.analysis.survey import FusedSurvey, Weighing
from fusionpy.distributed.analysing_tasks import (
    Analysis,
    Numbering,
    answers_of,
    meet,
    static_beside,
    stored_finder,
)
from fusionpy.distributed.client import at_work, check_cluster, n_threads, ranges, results
from fusionpy.errors import ArgumentError, Problems, shown
from fusionpy.formats.implicates import check_order, open_implicates
from fusionpy.formats.stored import open_stored
from fusionpy.frames.tables import as_table
from fusionpy.model import FusionModel
from fusionpy.model.schema import warn_of_negative
from fusionpy.progress import track

__all__ = ["analyze"]

TASKS_PER_THREAD = 2  # weights are read in each


def analyze(
    x: Mapping[str, Any] | str | Sequence[str],
    implicates: str | os.PathLike[str],
    *,
    static: Any = None,
    weight: str | None = None,
    rep_weights: str | Sequence[str] | None = None,
    by: str | Sequence[str] | None = None,
    fun: Callable[[Any], Any] | None = None,
    var_scale: float | str | tuple[str, float] = 4,
    pooling: Literal["auto", "barnard-rubin", "records", "rubin", "fusionacs"] = "auto",
    level: float = 0.90,
    cores: int = 1,
    rectify: FusionModel | str | tuple[str, FusionModel | str] | None = None,
    seed: int | None = None,
    client: Any = None,
    n_workers: int | None = None,
    quiet: bool = False,
) -> Any:
    """Estimate from implicates on a Dask cluster, with margins of error, as `fusionpy.analyze` does.

    Parameters
    ----------
    x : mapping, str or sequence of str
        What to estimate; see `fusionpy.analyze`, also for what is not explained here. Functions go to the
        workers: what they refer to must be known there.
    implicates : path
        What `fusionpy.distributed.fuse` wrote, or a file of `fusionpy.fuse`, where workers can read it.
    static : pandas or polars DataFrame, pyarrow Table, or path
        Columns that are not simulated: one row per recipient, in the implicates' order. The columns that are
        needed of a frame are put beside `implicates` for the time of the call; a path is that of a Parquet or
        fst file, or of a folder of Parquet files, which workers read by themselves.
    weight, rep_weights, by, fun, var_scale, pooling, level : optional
        As `fusionpy.analyze` has them.
    cores : int
        Threads of one task, for replicate weights. The result does not depend on it.
    rectify : FusionModel or path, or ("shrunk", one of these), optional
        As `fusionpy.analyze` has it. The implicates are then read here, too, and `static` must be a frame.
    seed : int, optional
        For variances that are drawn. Missing: drawn, told, and kept in the result's `attrs`.
    client : dask.distributed.Client, optional
        Of the cluster to work on. Missing: the client that is open, or else processes on this machine for
        the time of the call.
    n_workers : int, optional
        How many processes, if they are started for the call.
    quiet : bool
        No progress.

    Returns
    -------
    the kind of table that `static` is, or pandas
        What `fusionpy.analyze` returns, bit for bit; coefficients of regressions to rounding.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    SchemaError
        If columns are missing or cannot be used.
    OutputError
        If a frame cannot be put beside `implicates`.
    FusionError
        If workers died time after time.

    Warns
    -----
    FusionWarning
        As `fusionpy.analyze`.

    Notes
    -----
    A worker reads the columns of an implicate that are needed and answers with its estimates and their
    sampling variances, for every group; these are pooled here. Groups and levels are gone through first,
    where they differ between implicates, so that every worker numbers them, and adds up, as one machine
    would. Memory of a worker's thread is that of one implicate and of the weights.

    Examples
    --------
    >>> import tempfile, fusionpy.distributed
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> x = ["region", "rooms", "tenure"]
    >>> model = fusionpy.train(donor, ["electricity"], x, weight="weight", refits=5, seed=1, quiet=True)
    >>> how = {"static": recipient, "weight": "weight", "by": "tenure", "quiet": True}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = fusionpy.fuse(recipient, model, f"{folder}/fused.parquet", M=5, seed=1, quiet=True)
    ...     here = fusionpy.analyze("mean(electricity)", path, **how)
    ...     there = fusionpy.distributed.analyze("mean(electricity)", path, n_workers=1, **how)
    >>> here.equals(there)
    True
    """
    question = ask(
        x,
        weight=weight,
        rep_weights=rep_weights,
        by=by,
        fun=fun,
        var_scale=var_scale,
        pooling=pooling,
        level=level,
        cores=cores,
        seed=seed,
    )
    is_path = isinstance(static, str | os.PathLike)
    _check_asked(question, implicates, is_path, rectify is not None, client, n_workers)
    model, is_shrunk = take_rectify(rectify)
    if model is not None:
        check_rectifiable(model, question.estimands, question.by, fun)
    if seed is None:
        question.tell_of_seed(quiet)
    survey = FusedSurvey(open_implicates(implicates), None if is_path else static, fun)
    survey.check_order()
    first = survey.static
    if is_path:
        stored = open_stored(static)
        check_order(survey.implicates, "static", stored.names, stored_finder(stored))
        first = as_table(stored.read(0, min(stored.n_rows, MOST_LOOKED_AT), stored.names))
    weights_vary = survey.vary([*question.replicates, question.weight or ""])
    records, caveats = settle_margins(question, survey.implicates, first, bool(rectify), weights_vary)
    place, M = Path(implicates).expanduser().absolute(), survey.implicates.M
    with static_beside(place, survey, static, question) as beside, at_work(client, n_workers) as client:
        analysis = Analysis(str(place), beside, survey.kind, question, records is not None)
        numbering, of_levels = _number(client, analysis, M)
        found = _answer(client, analysis, numbering, quiet)
    answers, names = _lined_up(question, found)
    if model is not None:
        kept, groups, rectifier = _rectifier(model, survey, question, is_shrunk)
        weights, findings = Weighing(survey, question).mean(), Findings(groups, answers, kept, rectifier)
        return conclude(question, [findings], weights, survey.kind, quiet=quiet)
    kept = _without_records(question, numbering[-1], of_levels, names)
    findings = Findings(numbering[-1][0], answers, kept)
    return conclude(question, [findings], _no_weights(question), survey.kind, records, caveats, quiet)


def _no_weights(question: Question) -> tuple[NDArray[np.float64], Replicates | None]:
    """Stand for weights that are with the workers: it is only asked how many replicates there are."""
    n = len(question.replicates)
    return np.empty(0), Replicates(np.empty((0, n)), question.scale / n) if n else None


def _check_asked(
    question: Question, implicates: Any, is_path: bool, is_rectified: bool, client: Any, n_workers: int | None
) -> None:
    """Refuse what `fusionpy.analyze` takes and workers cannot do."""
    problems = Problems(
        ArgumentError, "`analyze()` cannot start.", "See `help(fusionpy.distributed.analyze)`."
    )
    if not isinstance(implicates, str | os.PathLike):
        problems.add(f"`implicates` must be the path of what was fused, not {shown(implicates)}.")
    if is_path and is_rectified:
        problems.add("`static` must be a data frame if there is `rectify`.")
    if question.has_several:
        problems.add("`by` has several groupings: call it once for each.")
    check_cluster(client, n_workers, problems)
    problems.stop()


def _without_records(
    question: Question, known: Numbering, of_levels: Sequence[bool], names: Sequence[list[str]]
) -> list[Measured]:
    """Say of estimands what is known here, while records are with the workers: groups, levels and names."""
    groups, levels = known
    nobody = np.empty(0, dtype=np.intp)
    return [
        Measured(each, nobody, len(groups), None, levels[each.y] if has else None, names=found_names)
        for each, has, found_names in zip(question.estimands, of_levels, names, strict=True)
    ]


def _number(client: Any, analysis: Analysis, M: int) -> tuple[list[Numbering], tuple[bool, ...]]:
    """Give groups and levels their numbers, as if implicates were met one after the other.

    Returns
    -------
    list of (Groups, dict of Levels)
        What is known once an implicate has been met; the same objects as long as nothing is new.
    tuple of bool
        Whether an estimand is of levels.
    """
    task = dask.delayed(meet, pure=False)
    ((_, first),) = results(client, [task(analysis, (0,), None)])
    warn_of_negative(first[0].n_negative, analysis.question.weight or "")
    found = {0: first[0]}
    if changing := first[0].changing:
        tasks = [
            task(analysis, tuple(numbers), changing)
            for numbers in ranges(range(1, M), TASKS_PER_THREAD * n_threads(client))
        ]
        for _, more in results(client, tasks):
            found |= {each.implicate: each for each in more}
    groups, levels = Groups(analysis.question.by), dict[str, Levels]()
    numbering: list[Numbering] = []
    for implicate in range(M):
        before = _size(groups, levels)
        if (met := found.get(implicate)) is not None:
            if met.n_groups:
                groups.cells(met.groups, met.n_groups)
            for name, values in met.levels.items():
                levels.setdefault(name, Levels()).codes(values)
        same = numbering and before == _size(groups, levels)
        numbering.append(numbering[-1] if same else (copy.deepcopy(groups), copy.deepcopy(levels)))
    return numbering, first[0].of_levels


def _size(groups: Groups, levels: Mapping[str, Levels]) -> list[int]:
    every = [*groups.levels, *levels.values()]
    return [len(groups), *(len(each.labels) for each in every)]


Found = list[tuple[Answer, list[str]]]  # per estimand: the answer, and names of what a function returned


def _answer(client: Any, analysis: Analysis, numbering: Sequence[Numbering], quiet: bool) -> list[Found]:
    """Have all implicates estimated from."""
    M = len(numbering)
    task = dask.delayed(answers_of, pure=False)
    # Pairs stay together, as they may be compared.
    pairs = ranges(range(0, M, 2), TASKS_PER_THREAD * n_threads(client))
    parts = [range(each[0], min(each[-1] + 2, M)) for each in pairs]
    tasks = [task(analysis, tuple(part), [numbering[number] for number in part]) for part in parts]
    found: dict[int, Found] = {}
    with track("analyze", M, quiet) as tick:
        for place, answered in results(client, tasks):
            found |= dict(zip(parts[place], answered, strict=True))
            tick(len(answered))
    return [found[number] for number in range(M)]


def _lined_up(question: Question, found: Sequence[Found]) -> tuple[list[list[Answer]], list[list[str]]]:
    """Gather the answers by estimand; what functions returned stands in the same columns of all of them."""
    answers: list[list[Answer]] = []
    names: list[list[str]] = []
    for e, estimand in enumerate(question.estimands):
        met: list[str] = []
        mine = []
        for each in found:
            one, own = each[e]
            if estimand.how == "custom" or own:
                met += [name for name in own if name not in met]
                one = _placed(one, [met.index(name) for name in own[: one.estimate.shape[1]]], len(met))
            mine.append(one)
        answers.append(mine)
        names.append(met)
    return answers, names


def _placed(one: Answer, place: Sequence[int], width: int) -> Answer:
    """Put columns where others have them."""
    moved = np.full((3, len(one.estimate), max(width, 1)), np.nan)
    for found, values in zip(moved, (one.estimate, one.variance, one.replicate), strict=True):
        found[:, place] = values[:, : len(place)]
    estimate, variance, replicate = moved
    return one._replace(estimate=estimate, variance=variance, replicate=replicate)


def _rectifier(
    model: FusionModel, survey: FusedSurvey, question: Question, is_shrunk: bool
) -> tuple[list[Measured], Groups, Rectifier]:
    """Go through the implicates here, as rectifying needs every record's mean over them."""
    survey.choose(question.needed, question.everything)
    rectifier, groups = Rectifier(model, question, survey.kind, is_shrunk), Groups(question.by)
    kept: list[Measured] = []
    levels: dict[str, Levels] = {}
    for columns in survey.each():
        cell = groups.cells([columns[name] for name in groups.names], survey.n_rows)
        kept = [
            measure(each, columns, cell, len(groups), levels, survey.kind, kept)
            for each in question.estimands
        ]
        rectifier.add(kept)
    return kept, groups, rectifier
