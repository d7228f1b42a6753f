"""impute(): fill what is missing, variable by variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, cast

import numpy as np
import pyarrow as pa

from fusionpy.drawing.steps import simulate
from fusionpy.drawing.urns import draw_weights
from fusionpy.errors import ArgumentError, Problems, settle_seed
from fusionpy.formats.notes import with_metadata
from fusionpy.frames.tables import Table, as_table, take_names
from fusionpy.kernels.draws import draw_donors
from fusionpy.kernels.strata import assign_split, redraw_factors, strata_of
from fusionpy.kernels.uniforms import ANALYSIS, BOOSTER_SEED, DRAW, REWEIGHT, uniforms
from fusionpy.model import FusionModel
from fusionpy.model.options import usual_options
from fusionpy.model.schema import Schema
from fusionpy.preparation.imputation_predictors import outcomes_of, screen
from fusionpy.preparation.incomplete import Array, Incomplete, Rows, is_enough, read
from fusionpy.progress import tell_of_seed, track
from fusionpy.training.fitting import learn_steps
from fusionpy.training.planning import StepPlan
from fusionpy.training.queue import run_all
from fusionpy.training.refits import refit_counts

__all__ = ["impute"]


REFITS_MOST = 10
SAMPLE_LEAST, SAMPLE_MOST, SAMPLE_PER_MISSING = 5_000, 50_000, 10
ROWS_AT_ONCE = 50_000


def impute(
    data: Any,
    *,
    weight: str | None = None,
    ignore: str | Sequence[str] | None = None,
    cores: int = 1,
    seed: int | None = None,
    M: int = 1,
    quiet: bool = False,
) -> Any:
    """Fill every missing value of a survey by a draw from what its record suggests.

    Parameters
    ----------
    data : pandas or polars DataFrame, or pyarrow Table
        The survey, one row per respondent, with numbers, categories, text and booleans.
    weight : str, optional
        Column of survey weights, with none missing. Missing: all are 1. Negative ones count as 0; records of
        weight 0 are imputed, but nothing is learned from them.
    ignore : str or sequence of str, optional
        Columns to leave as they are and not to predict from, such as identifiers, dates and replicate
        weights.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same result. Missing: drawn, told, and kept in the result's metadata.
    M : int
        Completed data sets. More than one let `analyze` tell what the missing values cost in precision.
    quiet : bool
        No progress.

    Returns
    -------
    the kind of table that `data` is
        With M = 1, `data` with its holes filled: same rows, columns, types, levels and, in pandas, index.
        With M > 1, ``M * n`` rows with a first column `M` (1 to M, ascending), ready for `analyze`. Observed
        values are never changed, and imputed ones are always among those observed in their column. A column
        without any value is left as it is. Seed and M are kept in ``.attrs["fusionpy"]`` (pandas) or the
        schema metadata (pyarrow).

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    SchemaError
        If columns cannot be used, or nothing is missing.

    Warns
    -----
    FusionWarning
        For columns without values, with a single one, with too few to learn from, and for nominal ones of 200
        levels or more; for negative weights.

    Notes
    -----
    After `impute()` of R's fusionModel (reference, section 7). Variables are imputed one after the other, the
    one with fewest missing values first. Each is trained as by `train`, on the records that have it, with
    all others as predictors: those imputed before it are complete, those yet to come may be missing. Beyond
    10,000 rows or 20 columns predictors are screened (absolute rank correlation above 0.025, at least 5, at
    most 30). Of more than max(5,000, 10 × missing) records, or 50,000, a stratified sample trains.

    With M > 1 each data set is made with a refit on a bootstrap of the records (10 at most, in turn), redrawn
    donor weights, and its own earlier imputations as predictors, so that the data sets differ by all that
    is uncertain; a training record takes its earlier imputations from a data set drawn at random. Rubin
    (1987), *Multiple Imputation for Nonresponse in Surveys*, chapter 4. Values must be missing at random,
    given the other columns.

    Variables of more than 30 unordered levels are placed where their levels lie on average among the
    predictors, and take the level of a record that is near. Those of too few values to train on (see `train`)
    are drawn from the observed ones by weight (Rubin and Schenker 1986).

    Examples
    --------
    >>> import fusionpy
    >>> survey = fusionpy.datasets.load_donor()[["region", "rooms", "income", "insulation"]]
    >>> survey["insulation"] = survey["insulation"].where(survey.index % 7 > 0)
    >>> completed = fusionpy.impute(survey, seed=1, quiet=True)
    >>> int(survey["insulation"].isna().sum()), int(completed["insulation"].isna().sum())
    (572, 0)
    """
    problems = Problems(
        ArgumentError, "`impute()` cannot start.", "See `help(fusionpy.impute)` for what it takes."
    )
    ignored = _check_arguments(weight, ignore, cores, M, quiet, problems)
    seed_given = seed is not None
    seed = settle_seed(seed, problems)
    problems.stop()
    table = as_table(data)
    work = read(table, weight, ignored, int(M))
    if not seed_given:
        tell_of_seed("impute", seed, quiet)
    with track("impute", len(work.order), quiet) as tick:
        for number, column in enumerate(work.order):
            rows = np.flatnonzero(np.isnan(work.codes[:, column]))
            drawn = _impute_variable(work, column, rows, _seed_of(seed, number), int(cores))
            work.filled[column] = rows, drawn
            tick(doing=work.names[column])
    return _completed(table, work, {"seed": seed, "M": int(M), "made_by": "impute"})


def _check_arguments(
    weight: Any, ignore: Any, cores: Any, M: Any, quiet: Any, problems: Problems
) -> list[str]:
    """Note impossible values; fetch the ignored names."""
    for name, value in (("cores", cores), ("M", M)):
        problems.whole(name, value, 1)
    problems.flag("quiet", quiet)
    problems.name("weight", weight, "the name of a column")
    return take_names(ignore, "ignore", problems, once=True)


def _seed_of(seed: int, number: int) -> int:
    """Seed of everything that is random about one variable."""
    return int(uniforms(seed, BOOSTER_SEED, 1, step=number)[0, 0] * 2**53)


def _impute_variable(work: Incomplete, column: int, rows: Rows, seed: int, cores: int) -> Array:
    """Draw a variable's missing values in every data set.

    Parameters
    ----------
    work : _Work
    column : int
    rows : (k,) intp
        Where it is missing.
    seed, cores : int

    Returns
    -------
    (M, k) float64
    """
    donors = _sample(work, column, len(rows), seed)
    turn = np.floor(uniforms(seed, ANALYSIS, len(donors), implicate=1)[0] * work.M).astype(np.intp)
    others = [j for j in range(len(work.names)) if j != column]
    matrix = work.view(others, donors, turn)
    values = work.codes[donors, column]
    nominal = [work.variables[j].kind == "nominal" for j in others]
    variable = work.variables[column]
    chosen: list[int] = []
    if is_enough(values, variable):
        chosen = screen(matrix, nominal, values, variable.kind == "nominal", len(work.codes))
    if not chosen:
        return _draw_observed(work, column, len(rows), seed)
    columns = [others[j] for j in chosen]
    matrix = np.ascontiguousarray(matrix[:, chosen])
    outcomes, labels = outcomes_of(variable, values, matrix, [nominal[j] for j in chosen])
    schema = Schema(tuple(work.variables[j] for j in columns), outcomes)
    model = _learn(schema, np.hstack([matrix, labels]), work.weight[donors], work.M, seed, cores)

    def draw(implicate: int, first: int, _: object) -> Array:
        part = rows[first : first + ROWS_AT_ONCE]
        return simulate(
            model,
            work.view(columns, part, np.full(len(part), implicate)),
            seed=seed,
            implicate=implicate,
            first=first,
            kblock=10,
            weight=draw_weights(model, seed, implicate),
        )[:, 0]

    pieces = product(range(work.M), range(0, len(rows), ROWS_AT_ONCE))
    drawn = np.concatenate(run_all([partial(draw, *piece) for piece in pieces], cores))
    drawn = drawn.reshape(work.M, len(rows))
    known, first = np.unique(labels[:, 0], return_index=True)
    return np.asarray(values[first[np.searchsorted(known, drawn)]])


def _sample(work: Incomplete, column: int, n_missing: int, seed: int) -> Rows:
    """Sample the records that train, the same share of each class or decile."""
    rows = work.learned[column]
    size = min(max(SAMPLE_LEAST, SAMPLE_PER_MISSING * n_missing), SAMPLE_MOST)
    if len(rows) <= size:
        return rows
    u = uniforms(seed, ANALYSIS, len(rows))[0]
    stratum = strata_of(work.codes[rows, column], work.variables[column].kind != "continuous")
    return rows[assign_split(stratum, size / len(rows), u)]


def _learn(schema: Schema, matrix: Array, weight: Array, M: int, seed: int, cores: int) -> FusionModel:
    """Train the model of one variable, with a refit for each data set."""
    weight = weight / weight.mean()
    options = usual_options("default").having(refits=min(M, REFITS_MOST) if M > 1 else 0)
    counts = refit_counts(len(weight), options.refits, seed, None)
    n_x = len(schema.x)
    outcomes = schema.names[n_x:]
    plans = [StepPlan(outcomes, schema.names[:n_x])]
    steps = learn_steps(
        plans, schema, matrix, weight, weight, counts, options, seed, cores, lambda done=1, doing=None: None
    )
    return FusionModel(
        schema=schema,
        steps=steps,
        options=options,
        seed=seed,
        donors=matrix[:, n_x:],
        donor_columns=outcomes,
        weight=weight,
        counts=counts,
    )


def _draw_observed(work: Incomplete, column: int, n: int, seed: int) -> Array:
    """Draw by weight from the observed values, resampled for every data set."""
    values = work.codes[:, column]
    rows = np.flatnonzero(~np.isnan(values))
    weight = work.weight[rows] if work.weight[rows].any() else np.ones(len(rows))
    pool, whole = np.zeros(n, dtype=np.intp), np.array([0, len(rows)], dtype=np.intp)
    out = np.empty((work.M, n))
    for m in range(work.M):
        drawn_weight = weight * redraw_factors(uniforms(seed, REWEIGHT, len(rows), implicate=m)[0])
        u = uniforms(seed, DRAW, n, implicate=m)[1]
        out[m] = values[rows[draw_donors(pool, whole, np.arange(len(rows)), drawn_weight, u)]]
    return out


def _completed(table: Table, work: Incomplete, attributes: Mapping[str, object]) -> Any:
    """Fill the holes of the caller's own columns by values that they have elsewhere.

    An imputed value is taken from a row that has it, so that no type, level or representation can change.
    """
    n, M = table.n_rows, work.M
    every = np.tile(np.arange(n), M)
    frame = table.frame if M == 1 else table.frame[every]
    columns = []
    for column in work.order:
        values = work.codes[:, column]
        known = np.flatnonzero(~np.isnan(values))
        seen, first = np.unique(values[known], return_index=True)
        rows, drawn = work.filled[column]
        source = every.copy().reshape(M, n)
        source[:, rows] = known[first[np.searchsorted(seen, drawn)]]
        columns.append(table.frame[work.names[column]][source.ravel()])
    if columns:
        frame = frame.with_columns(*columns)
    return _labelled(frame.to_native(), table.kind, n, M, attributes)


def _labelled(frame: Any, kind: str, n: int, M: int, attributes: Mapping[str, object]) -> Any:
    """Put column M first, and note how the data were made."""
    label = np.repeat(np.arange(1, M + 1, dtype=np.int32), n)
    if kind == "pandas":
        if M > 1:
            frame = frame.reset_index(drop=True)
            frame.insert(0, "M", label)
        else:
            frame = frame.copy()
        frame.attrs = {**frame.attrs, "fusionpy": dict(attributes)}
        return frame
    if kind == "polars":
        import polars as pl

        return frame if M == 1 else frame.insert_column(0, pl.Series("M", label))
    if M > 1:
        frame = cast(pa.Table, frame).add_column(0, "M", pa.array(label))
    kept = frame.schema.metadata or {}
    noted = with_metadata(frame.schema, attributes).metadata
    return frame.replace_schema_metadata({**kept, **noted})
