"""impute(): fill what is missing, variable by variable."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.drawing import draw_weights, simulate
from fusionpy.errors import (
    ArgumentError,
    FusionWarning,
    Problems,
    SchemaError,
    few,
    meant,
    settle_seed,
    warn,
)
from fusionpy.formats.stored import with_metadata
from fusionpy.frames import Table, Unreadable, as_table, take_names
from fusionpy.kernels.draws import draw_donors
from fusionpy.kernels.strata import assign_split, redraw_factors, strata_of
from fusionpy.kernels.uniforms import ANALYSIS, BOOSTER_SEED, DRAW, REWEIGHT, uniforms
from fusionpy.learning import learn_steps, refit_counts, run_all
from fusionpy.model import METHODS, FusionModel, Plan
from fusionpy.progress import announce, track
from fusionpy.schema import NO_COLUMN, Schema, Variable, is_r_name, positive_weights, weight_column
from fusionpy.training import FEWEST_DONORS, FEWEST_NONZERO

__all__ = ["impute"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

REFITS_MOST = 10
ROWS_MANY, COLUMNS_MANY = 10_000, 20  # beyond either, predictors are screened
CORRELATED = 0.025
FEWEST_PREDICTORS, MOST_PREDICTORS = 5, 30
SAMPLE_LEAST, SAMPLE_MOST, SAMPLE_PER_MISSING = 5_000, 50_000, 10
LEVELS_WARNED = 200
LEVELS_FITTED = 30  # beyond, levels are drawn from donors rather than from probabilities
COORDINATES = 3
SHRINKAGE = 5.0  # records that pull a level's means towards the overall ones
DUMMIES = 4  # most frequent levels of a nominal variable that are correlated with others
MOST = 1e100  # beyond, no model can be made
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
    work = _read(table, weight, ignored, int(M))
    if not seed_given:
        announce(f"impute: seed {seed} was drawn; give it again to repeat this result", quiet)
    with track("impute", len(work.order), quiet) as tick:
        for number, column in enumerate(work.order):
            rows = np.flatnonzero(np.isnan(work.codes[:, column]))
            drawn = _impute_variable(work, column, rows, _seed_of(seed, number), int(cores))
            work.filled[column] = rows, drawn
            tick(doing=work.names[column])
    return _completed(table, work, {"seed": seed, "M": int(M), "made_by": "impute"})


@dataclass(frozen=True)
class _Work:
    """The survey as numbers, and its holes as they are filled.

    Attributes
    ----------
    names : tuple of str
        Columns that are imputed or predict, by their own names.
    variables : tuple of Variable
        The same, by names that boosters take.
    codes : (n, p) float64
        Values or level codes, NaN where missing.
    weight : (n,) float64
    M : int
    order : tuple of int
        Columns to impute.
    learned : dict of int to (n,) intp
        Records that each of them is learned from; none if it is drawn from the observed values.
    filled : dict of int to ((k,) intp, (M, k) float64)
        Rows that were missing, and what they are in each data set.
    """

    names: tuple[str, ...]
    variables: tuple[Variable, ...]
    codes: Array
    weight: Array
    M: int
    order: tuple[int, ...] = ()
    learned: Mapping[int, Rows] = field(default_factory=dict)
    filled: dict[int, tuple[Rows, Array]] = field(default_factory=dict)

    def view(self, columns: Sequence[int], rows: Rows, implicate: Rows) -> Array:
        """Fetch some columns of some rows, each row as it is so far in the data set asked for."""
        out = self.codes[np.ix_(rows, np.asarray(columns, dtype=np.intp))]
        for place, column in enumerate(columns):
            if column in self.filled:
                missing, drawn = self.filled[column]
                holes = np.flatnonzero(np.isnan(out[:, place]))
                at = np.searchsorted(missing, rows[holes])
                out[holes, place] = drawn[implicate[holes], at]
        return out


def _check_arguments(
    weight: Any, ignore: Any, cores: Any, M: Any, quiet: Any, problems: Problems
) -> list[str]:
    """Note impossible values; fetch the ignored names."""
    for name, value in (("cores", cores), ("M", M)):
        problems.whole(name, value, 1)
    problems.flag("quiet", quiet)
    problems.name("weight", weight, "the name of a column")
    return take_names(ignore, "ignore", problems, once=True)


def _read(table: Table, weight: str | None, ignored: Sequence[str], M: int) -> _Work:
    """Read the columns and settle what is imputed, in which order and how; or say all that is wrong."""
    problems = Problems(
        SchemaError, "`data` cannot be imputed.", "Mend these columns, or name them in `ignore`."
    )
    if table.n_rows == 0:
        raise SchemaError(problems.headline, ["It has no rows."], "Pass the survey.")
    for name in ignored:
        if name not in table.names:
            problems.add(f"`ignore` names `{name}`, {NO_COLUMN}{meant(name, table.names)}.")
    if M > 1 and "M" in table.names:
        problems.add("`M`: the name is reserved for the number of the completed data set; rename it.")
    weights = _weights(table, weight, problems)
    names = [name for name in table.names if name != weight and name not in ignored]
    empty = [name for name in names if _is_empty(table, name)]
    names = [name for name in names if name not in empty]
    work = _learn_schema(table, names, weights, M, problems)
    n_missing = np.isnan(work.codes).sum(axis=0)
    if not n_missing.any() and not empty:
        headline = "Nothing is missing, so there is nothing to impute."
        raise SchemaError(headline, hint="Use `data` as it is; columns in `ignore` do not count.")
    order = [int(column) for column in np.argsort(n_missing, kind="stable") if n_missing[column]]
    varying = [j for j, values in enumerate(work.codes.T) if np.nanmin(values) < np.nanmax(values)]
    learned = {column: _learnable(work, column, varying) for column in order}
    _warn(work, empty, learned)
    return replace(work, order=tuple(order), learned=learned)


def _learn_schema(table: Table, names: Sequence[str], weights: Array, M: int, problems: Problems) -> _Work:
    """Turn columns into numbers; names that boosters do not take are replaced, as R's `make.names` does."""
    taken, alias = set(names), {}
    for name in names:
        plain = name
        if not is_r_name(name):
            plain = re.sub(r"[^\w.]", ".", name)
            plain = plain if is_r_name(plain) else f"X{plain}"
            while plain in taken:
                plain += "_"
            taken.add(plain)
        alias[name] = plain
    renamed = {name: plain for name, plain in alias.items() if name != plain}
    plain_names = tuple(alias.get(name, name) for name in table.names)
    if renamed:
        table = Table(table.kind, table.frame.rename(renamed), table.n_rows, plain_names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FusionWarning)  # text comes back as text
            schema = Schema.learn(table, list(alias.values()), [], problems)
    except SchemaError as error:
        found = list(error.problems)
        for name, plain in renamed.items():
            found = [problem.replace(f"`{plain}`", f"`{name}`") for problem in found]
        raise SchemaError(error.headline, found, error.hint) from None
    codes = schema.encode(table, schema.names)
    return _Work(tuple(names), schema.x, codes, weights, M)


def _is_empty(table: Table, name: str) -> bool:
    try:
        array = table.column(name)
    except Unreadable:
        return False  # the schema says what is wrong with it
    if pa.types.is_floating(array.type):
        return bool(np.isnan(array.to_numpy(zero_copy_only=False)).all())
    return bool(array.null_count == len(array))


def _weights(table: Table, weight: str | None, problems: Problems) -> Array:
    """Survey weights; what is wrong with them is noted."""
    values: Array | str = np.ones(table.n_rows)
    if weight is not None:
        values = positive_weights(weight_column(table, weight, "records"), weight)
    if isinstance(values, str):
        problems.add(f"weight `{weight}`: {values}.")
        return np.ones(table.n_rows)
    return values


def _learnable(work: _Work, column: int, varying: Sequence[int]) -> Rows:
    """Find the records that a variable can be learned from; none if they are too few or too alike."""
    rows = np.flatnonzero(~np.isnan(work.codes[:, column]) & (work.weight > 0))
    has_predictors = any(j != column for j in varying)
    enough = has_predictors and _is_enough(work.codes[rows, column], work.variables[column])
    return rows if enough else rows[:0]


def _is_enough(values: Array, variable: Variable) -> bool:
    """Tell whether `train` would take these values of a fusion variable."""
    if len(values) < FEWEST_DONORS or values.min() == values.max():
        return False
    if variable.is_categorical:
        return True
    return int((values != 0).sum()) >= FEWEST_NONZERO and float(np.abs(values).max()) <= MOST


def _warn(work: _Work, empty: Sequence[str], learned: Mapping[int, Rows]) -> None:
    """Tell of columns that cannot be imputed as others are."""
    single, thin, many = [], [], []
    for column, rows in learned.items():
        n_values = len(np.unique(work.codes[~np.isnan(work.codes[:, column]), column]))
        if n_values == 1:
            single.append(work.names[column])
        elif len(rows) == 0:
            thin.append(work.names[column])
        elif work.variables[column].kind == "nominal" and n_values >= LEVELS_WARNED:
            many.append(f"{work.names[column]} ({n_values:,})")
    for names, message in (
        (empty, "No values at all, left as they are: {}."),
        (single, "Filled with the only value that was observed: {}."),
        (thin, "Too few values, or predictors, to learn from; drawn from the values observed: {}."),
        (many, "Many levels, of which few records each can tell little; group them if you can: {}."),
    ):
        if names:
            warn(message.format(few(names, "`")))


def _seed_of(seed: int, number: int) -> int:
    """Seed of everything that is random about one variable."""
    return int(uniforms(seed, BOOSTER_SEED, 1, step=number)[0, 0] * 2**53)


def _impute_variable(work: _Work, column: int, rows: Rows, seed: int, cores: int) -> Array:
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
    if _is_enough(values, variable):
        chosen = _screen(matrix, nominal, values, variable.kind == "nominal", len(work.codes))
    if not chosen:
        return _draw_observed(work, column, len(rows), seed)
    columns = [others[j] for j in chosen]
    matrix = np.ascontiguousarray(matrix[:, chosen])
    outcomes, labels = _outcomes(variable, values, matrix, [nominal[j] for j in chosen])
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


def _sample(work: _Work, column: int, n_missing: int, seed: int) -> Rows:
    """Sample the records that train, the same share of each class or decile."""
    rows = work.learned[column]
    size = min(max(SAMPLE_LEAST, SAMPLE_PER_MISSING * n_missing), SAMPLE_MOST)
    if len(rows) <= size:
        return rows
    u = uniforms(seed, ANALYSIS, len(rows))[0]
    stratum = strata_of(work.codes[rows, column], work.variables[column].kind != "continuous")
    return rows[assign_split(stratum, size / len(rows), u)]


def _screen(
    matrix: Array, nominal: Sequence[bool], values: Array, is_nominal: bool, n_rows: int
) -> list[int]:
    """Choose predictors: those that vary, of many only those that are correlated with the variable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a predictor that no donor has
        varies = np.nanmin(matrix, axis=0) < np.nanmax(matrix, axis=0)
    columns = np.flatnonzero(varies)
    if n_rows <= ROWS_MANY and len(nominal) < COLUMNS_MANY:
        return [int(j) for j in columns]
    target = _design(values[:, None], [is_nominal])
    strength = np.array(
        [_strongest(_design(matrix[:, [j]], [nominal[int(j)]], keep_missing=True), target) for j in columns]
    )
    ranked = columns[np.argsort(-strength, kind="stable")]
    n_kept = int(np.clip((strength > CORRELATED).sum(), FEWEST_PREDICTORS, MOST_PREDICTORS))
    return sorted(int(j) for j in ranked[:n_kept])


def _design(matrix: Array, nominal: Sequence[bool], keep_missing: bool = False) -> Array:
    """Ranks of numbers and ordered levels, dummies of the most frequent levels of the others, standardised.

    Parameters
    ----------
    matrix : (n, p) float64
    nominal : (p,) sequence of bool
    keep_missing : bool
        Leave NaN where a value is missing, instead of the mean, 0.

    Returns
    -------
    (n, d) float64
        Constant ones are 0.
    """
    from scipy.stats import rankdata  # takes half a second to import, so only when it is used

    columns = []
    for values, by_level in zip(matrix.T, nominal, strict=True):
        known = ~np.isnan(values)
        if not by_level:
            columns.append(rankdata(values, nan_policy="omit"))
            continue
        levels, counts = np.unique(values[known], return_counts=True)
        frequent = levels[np.argsort(-counts, kind="stable")[: DUMMIES if len(levels) > 2 else 1]]
        columns += [np.where(known, values == level, np.nan) for level in frequent]
    design = np.stack(columns, axis=1)
    design -= np.nanmean(design, axis=0)
    spread = np.sqrt(np.nanmean(design**2, axis=0))
    design /= np.where(spread > 0, spread, 1)
    return design if keep_missing else np.nan_to_num(design)


def _strongest(some: Array, other: Array) -> float:
    """Largest absolute correlation of two sets of columns, over the rows where the first are known."""
    known = ~np.isnan(some[:, 0])
    some, other = some[known], other[known]
    some, other = some - some.mean(axis=0), other - other.mean(axis=0)
    size = np.sqrt((some**2).sum(axis=0))[:, None] * np.sqrt((other**2).sum(axis=0))
    return float(np.abs((some.T @ other) / np.where(size > 0, size, np.inf)).max())


def _outcomes(
    variable: Variable, values: Array, matrix: Array, nominal: Sequence[bool]
) -> tuple[tuple[Variable, ...], Array]:
    """Settle what is simulated in place of a variable, and the donors' values of it.

    Parameters
    ----------
    variable : Variable
    values : (n,) float64
        Donors' values or level codes.
    matrix : (n, p) float64
        Their predictors.
    nominal : (p,) sequence of bool

    Returns
    -------
    tuple of Variable
    (n, q) float64
        The first column is in one-to-one correspondence with the values. Itself if continuous; codes of the
        observed levels if they are few; otherwise coordinates, to be taken from one donor.
    """
    if variable.kind == "continuous":
        return (Variable(variable.name, "continuous"),), values[:, None]
    levels, codes = np.unique(values, return_inverse=True)
    if variable.kind == "logical" or len(levels) <= LEVELS_FITTED:
        named = replace(variable, levels=() if variable.kind == "logical" else tuple(levels))
        return (named,), codes[:, None].astype(np.float64)
    if variable.kind == "ordered":
        return (Variable(variable.name, "continuous"),), codes[:, None] + np.float64(1)  # none of them 0
    places = level_coordinates(codes, _design(matrix, nominal))
    names = [f"{variable.name} {k}" for k in range(places.shape[1])]  # no predictor's name has a space
    return tuple(Variable(name, "continuous") for name in names), places[codes]


def level_coordinates(codes: Rows, design: Array) -> Array:
    """Place levels where their records lie on average among the predictors.

    Parameters
    ----------
    codes : (n,) intp
        Level of each record; every level has one.
    design : (n, d) float64
        Predictors, with mean 0 and variance 1.

    Returns
    -------
    (k, q) float64
        Leading principal components of the levels' means, each mean shrunk towards 0 as if 5 records there
        were added to it. No two levels are alike in the first.

    Examples
    --------
    >>> design = np.array([[-1.0], [-1.0], [0.5], [0.5], [1.0]])
    >>> np.abs(level_coordinates(np.array([0, 0, 1, 1, 2]), design)).round(3).tolist()
    [[0.286], [0.143], [0.167]]
    """
    number = np.bincount(codes).astype(np.float64)
    total = np.zeros((len(number), design.shape[1]))
    np.add.at(total, codes, design)
    mean = total / (number + SHRINKAGE)[:, None]
    axes = np.linalg.svd(np.sqrt(number)[:, None] * mean, full_matrices=False)[2][:COORDINATES]
    places = np.asarray(mean @ axes.T)
    apart = 1e-9 * (np.ptp(places[:, 0]) or 1.0)
    places[:, 0] += apart * np.arange(len(number))
    return places


def _learn(schema: Schema, matrix: Array, weight: Array, M: int, seed: int, cores: int) -> FusionModel:
    """Train the model of one variable, with a refit for each data set."""
    weight = weight / weight.mean()
    options = METHODS["default"].having(refits=min(M, REFITS_MOST) if M > 1 else 0)
    counts = refit_counts(len(weight), options.refits, seed, None)
    n_x = len(schema.x)
    outcomes = schema.names[n_x:]
    plans = [Plan(outcomes, schema.names[:n_x])]
    steps = learn_steps(
        plans, schema, matrix, weight, weight, counts, options, seed, cores, lambda done=1, doing=None: None
    )
    return FusionModel(schema, steps, options, seed, matrix[:, n_x:], outcomes, weight, counts, 0.0, {})


def _draw_observed(work: _Work, column: int, n: int, seed: int) -> Array:
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


def _completed(table: Table, work: _Work, attributes: Mapping[str, object]) -> Any:
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
