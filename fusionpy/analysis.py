"""analyze(): estimates from implicates, with margins of error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import (
    ArgumentError,
    Problems,
    SchemaError,
    few,
    grouped,
    is_whole,
    meant,
    settle_seed,
    shown,
)
from fusionpy.estimands import Estimand, read_estimands
from fusionpy.estimating import Answer, Groups, Levels, Measured, Replicates, answer, column_values
from fusionpy.formats.archive import read_fsn
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames import return_table, take_names
from fusionpy.model import FusionModel
from fusionpy.pooling import pool_answers
from fusionpy.progress import track
from fusionpy.rectifying import Rectifier, check_rectifiable
from fusionpy.schema import is_number
from fusionpy.surveying import FusedSurvey
from fusionpy.tabulating import Estimates, tabulate

__all__ = ["Estimates", "analyze"]

Array = NDArray[np.float64]
POOLINGS = ("barnard-rubin", "rubin", "fusionacs")
DESIGNS = ("sdr", "brr", "fay", "jk1", "bootstrap")
FAY_RHO = 0.5
OF_NUMBERS = ("median", "quantile", "ratio", "share", "gini")
OF_LEVELS = {"proportion": "mean", "count": "sum"}


def analyze(
    x: Mapping[str, Any] | str | Sequence[str],
    implicates: Any,
    *,
    static: Any = None,
    weight: str | None = None,
    rep_weights: str | Sequence[str] | None = None,
    by: str | Sequence[str] | None = None,
    fun: Callable[[Any], Any] | None = None,
    var_scale: float | str | tuple[str, float] = 4,
    pooling: Literal["barnard-rubin", "rubin", "fusionacs"] = "barnard-rubin",
    level: float = 0.90,
    cores: int = 1,
    rectify: FusionModel | str | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Any:
    r"""Estimate means, shares, totals, quantiles and more from implicates, with margins of error.

    Parameters
    ----------
    x : mapping, str or sequence of str
        What to estimate: a mapping of statistics to columns, ``{"mean": ["kwh", "fuel"], "p90": "kwh"}``, or
        text, ``"mean(kwh)"``, ``["total = sum(kwh)", "quantile(kwh, 0.9)", "ratio(kwh, rooms)"]``. Statistics
        are "mean" and "sum" (of categorical columns: the proportion and the count of each level),
        "proportion", "count", "median", "quantile" or a percentile such as "p90", "ratio" of two columns'
        totals, "share" of the total that falls to the group, "gini", and "custom": a function (or a mapping
        of names to functions) of a group's records and their weights that returns a number, or a mapping of
        names to numbers.
    implicates : pandas or polars DataFrame, pyarrow Table, or path
        What `fuse` returned, or the file it wrote (Parquet, or ``.fsd`` of R). A file is read one implicate
        at a time, and only the columns that are needed.
    static : pandas or polars DataFrame, or pyarrow Table, optional
        Columns that are not simulated: one row per recipient, in the implicates' order.
    weight : str, optional
        Column of survey weights, in `static` or in the implicates. Missing: all are 1.
    rep_weights : sequence of str, optional
        The recipient survey's replicate weights, any number of them.
    by : str or sequence of str, optional
        Estimate for every combination of these columns, simulated ones too. A missing value makes a group.
    fun : callable, optional
        Called with each implicate's data frame (and the columns of `static`), returns a data frame of further
        columns that `x` and `by` may name.
    var_scale : float or str
        What replicate weights are worth: the variance is `var_scale` times the mean squared difference of
        replicate estimates from the full-sample one. Or the design: "sdr" (successive differences, as the
        American Community Survey; 4), "brr" (1), "fay" or ("fay", rho) (1 / (1 - rho)²; rho 0.5 unless
        given, as RECS 2015), "jk1" (R - 1, as RECS 2020), "bootstrap" (R / (R - 1)).
    pooling : {"barnard-rubin", "rubin", "fusionacs"}
        How margins are made. See Notes.
    level : float
        Of the margins and intervals.
    cores : int
        Threads. The result does not depend on it.
    rectify : FusionModel or path, optional
        Add to means, proportions and sums the donors' mean residual in the same group, whose columns must be
        predictors of the model: what the model has wrong about the group is mended at the price of the
        donors' sampling error.
    seed : int
        For variances that are drawn: of "custom" without replicate weights, of medians with
        ``pooling="rubin"``.
    quiet : bool
        No progress.

    Returns
    -------
    the kind of table that `implicates` is (for a file: that `static` is, or pandas)
        One row per group, variable, level and statistic, sorted by them: the columns of `by`; `n`, records
        of positive weight with a value, per implicate; `n_eff`, the effective sample size; `y`; `level` of a
        categorical variable; `type`; `est`; `se`; `df`; `moe`, half the width of the interval; `lower` and
        `upper`; `fmi`, the fraction of missing information. With names in `x`, `name` comes before `y`; with
        `rectify`, `n_donors` comes last.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    SchemaError
        If columns are missing or cannot be used.

    Warns
    -----
    FusionWarning
        If margins are 0 because a variable has one value in every record of a group; if donors do not know
        a group that is to be rectified.

    Notes
    -----
    Over M implicates with estimates :math:`\hat\theta_m` and sampling variances :math:`v_m`, the estimate is
    the mean, its variance :math:`\bar v + (1 + 1/M) B` (Rubin 1987). `pooling` chooses the rest:

    * "barnard-rubin": variances by linearisation (Woodruff's for quantiles), or, with replicate weights, all
      R of them in every implicate; degrees of freedom of Barnard and Rubin (1999), with those of complete
      data from the effective sample size (at most R - 1).
    * "rubin": as fusionModel 2.4.0. Variances of section 5 of the reference; replicate weight m enters
      implicate m and its spread the variance between; Rubin's (1987) degrees of freedom.
    * "fusionacs": as fusionACS 0.0.12. Its degrees of freedom are not Barnard and Rubin's, and margins are
      too narrow where the variance between implicates dominates: for replication only.

    A total is taken for known over the whole survey: a group's total varies as its share does. With one
    implicate, and in groups of fewer than two records, margins are missing.

    Examples
    --------
    >>> import fusionpy
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> x = ["region", "rooms", "tenure"]
    >>> model = fusionpy.train(donor, ["electricity"], x, weight="weight", refits=5, seed=1, quiet=True)
    >>> fused = fusionpy.fuse(recipient, model, M=5, seed=1, quiet=True)
    >>> found = fusionpy.analyze("mean(electricity)", fused, static=recipient, weight="weight", by="tenure")
    >>> found[["tenure", "n", "y", "type"]].values.tolist()[0]
    ['owner', 12575, 'electricity', 'mean']
    """
    problems = Problems(
        ArgumentError, "`analyze()` cannot start.", "See `help(fusionpy.analyze)` for what it takes."
    )
    estimands = read_estimands(x, problems)
    groups = Groups(take_names(by, "by", problems))
    replicate_names = take_names(rep_weights, "rep_weights", problems)
    scale = _scale(var_scale, len(replicate_names), problems)
    _check_arguments(weight, fun, pooling, level, cores, problems)
    seed = settle_seed(seed, problems)
    problems.stop()
    survey = FusedSurvey(open_implicates(implicates), static, fun)
    needed = [*dict.fromkeys([*(v for each in estimands for v in each.variables), *groups.names])]
    survey.choose(needed, everything=any(each.how == "custom" for each in estimands))
    w, replicates = _weights(survey, weight, replicate_names, scale, int(cores))
    model = read_fsn(rectify) if rectify is not None and not isinstance(rectify, FusionModel) else rectify
    rectifier = None
    answers: list[list[Answer]] = [[] for _ in estimands]
    kept: list[Measured] = []
    levels: dict[str, Levels] = {}
    with track("analyze", survey.implicates.M, quiet) as tick:
        for implicate, columns in enumerate(survey.each()):
            if implicate == 0:
                _check_columns(columns, [*survey.known, *columns], estimands, groups.names, fun is not None)
                if model is not None:
                    check_rectifiable(model, estimands, groups.names, fun)
                    rectifier = Rectifier(model, len(estimands))
            cell = groups.cells([columns[name] for name in groups.names], survey.n_rows)
            kept = [_measure(each, columns, cell, len(groups), levels, survey, kept) for each in estimands]
            for data, found in zip(kept, answers, strict=True):
                found.append(answer(data, w, pooling, replicates, implicate, seed))
            if rectifier is not None:
                rectifier.add(kept)
            tick()
    pieces = [
        pool_answers(found, len(groups), replicates, scale, pooling, level)
        for data, found in zip(kept, answers, strict=True)
    ]
    n_donors = None
    if rectifier is not None:
        pieces, n_donors = rectifier.rectified(
            pieces, kept, groups, w, replicates, fun, survey.kind, level, seed
        )
    table = tabulate(kept, pieces, groups, n_donors)
    attributes = {
        "M": survey.implicates.M,
        "pooling": pooling,
        "level": level,
        "rectified": model is not None,
    }
    result = return_table(table, survey.kind, attributes)
    if survey.kind != "pandas":
        return result
    estimates = Estimates(result)
    estimates.attrs = result.attrs
    return estimates


def _weights(
    survey: FusedSurvey, weight: str | None, replicate_names: Sequence[str], scale: float, cores: int
) -> tuple[Array, Replicates | None]:
    w = survey.weights([weight], "weight")[0] if weight is not None else np.ones(survey.n_rows)
    if not replicate_names:
        return w, None
    columns = survey.weights(replicate_names, "replicate weight")
    return w, Replicates(np.asfortranarray(np.stack(columns, axis=1)), scale / len(columns), cores)


def _scale(var_scale: Any, n_replicates: int, problems: Problems) -> float:
    """Settle what the mean squared difference of replicate estimates is multiplied by."""
    name, rho = (
        var_scale if isinstance(var_scale, tuple | list) and len(var_scale) == 2 else (var_scale, FAY_RHO)
    )
    is_rho = isinstance(rho, Real) and not isinstance(rho, bool) and 0 <= float(rho) < 1
    if isinstance(name, str) and name.lower() in DESIGNS and is_rho:
        R = max(n_replicates, 2)
        design = name.lower()
        by_design = {
            "sdr": 4.0,
            "brr": 1.0,
            "fay": 1 / (1 - float(rho)) ** 2,
            "jk1": R - 1.0,
            "bootstrap": R / (R - 1),
        }
        return by_design[design]
    if (
        isinstance(name, Real)
        and not isinstance(name, bool)
        and name == var_scale
        and 0 < float(name) < np.inf
    ):
        return float(name)
    wanted = f"a positive number, one of {few(DESIGNS)}, or ('fay', rho) with rho in [0, 1)"
    problems.add(f"`var_scale` must be {wanted}, not {shown(var_scale)}.")
    return 4.0


def _check_arguments(weight: Any, fun: Any, pooling: Any, level: Any, cores: Any, problems: Problems) -> None:
    if weight is not None and not isinstance(weight, str):
        problems.add(f"`weight` must be the name of a column, not {shown(weight)}.")
    if fun is not None and not callable(fun):
        problems.add(f"`fun` must be a function, not {shown(fun)}.")
    if pooling not in POOLINGS:
        problems.add(f"`pooling` must be one of {few(POOLINGS)}, not {shown(pooling)}.")
    if not isinstance(level, float) or not 0 < level < 1:
        problems.add(f"`level` must be a number between 0 and 1, such as 0.9, not {shown(level)}.")
    if not is_whole(cores, 1):
        problems.add(f"`cores` must be a whole number of at least 1, not {shown(cores)}.")


def _check_columns(
    columns: Mapping[str, pa.Array],
    known: Sequence[str],
    estimands: Sequence[Estimand],
    by: Sequence[str],
    has_fun: bool,
) -> None:
    """Refuse columns that are not there, or are not what a statistic is of."""
    places = "`implicates`, `static` or what `fun` returns" if has_fun else "`implicates` or `static`"
    found: list[tuple[str, str, str]] = []
    for name in by:
        if name not in columns:
            found.append(("by", name, f"not in {places}" + meant(name, known)))
    for estimand in estimands:
        for name in estimand.variables:
            if name not in columns:
                found.append(("variable", name, f"not in {places}" + meant(name, known)))
                continue
            kind = columns[name].type
            numeric = is_number(kind)
            if pa.types.is_temporal(kind) or pa.types.is_nested(kind) or pa.types.is_decimal(kind):
                found.append(
                    (
                        "variable",
                        name,
                        f"holds {kind}; only numbers, categories, text and booleans can be used",
                    )
                )
            elif estimand.how in OF_LEVELS and numeric:
                found.append(("variable", name, f"is numeric: ask for its '{OF_LEVELS[estimand.how]}'"))
            elif estimand.how in OF_NUMBERS and not numeric and not pa.types.is_boolean(kind):
                found.append(("variable", name, f"has levels, of which there is no {estimand.type}"))
    if found:
        hint = f"Columns there are: {few(dict.fromkeys(known), '`', most=12)}."
        raise SchemaError("`x` and `by` do not fit the data.", grouped(dict.fromkeys(found)), hint)


def _measure(
    estimand: Estimand,
    columns: Mapping[str, pa.Array],
    cell: NDArray[np.intp],
    n_cells: int,
    levels: dict[str, Levels],
    survey: FusedSurvey,
    before: Sequence[Measured],
) -> Measured:
    """Take from an implicate what an estimand needs."""
    if estimand.how == "custom":
        table = pa.table(dict(columns))
        names = next((data.names for data in before if data.estimand == estimand), [])

        def frame(rows: NDArray[np.intp]) -> Any:
            return return_table(table.take(pa.array(rows)), survey.kind, {})

        return Measured(estimand, cell, n_cells, None, frame=frame, names=names)
    column = columns[estimand.y]
    if is_number(column.type) or estimand.how in OF_NUMBERS:
        other = column_values(columns[estimand.other]) if estimand.other else None
        return Measured(estimand, cell, n_cells, column_values(column), other=other)
    known = levels.setdefault(estimand.y, Levels())
    return Measured(estimand, cell, n_cells, known.codes(column), known)
