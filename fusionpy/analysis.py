"""analyze(): estimates from implicates, with margins of error."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import (
    ArgumentError,
    FusionWarning,
    Problems,
    SchemaError,
    counted,
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
from fusionpy.formats.implicates import Implicates, open_implicates
from fusionpy.frames import Table, Unreadable, as_table, return_table
from fusionpy.model import FusionModel
from fusionpy.pooling import Piece, pool_answers
from fusionpy.progress import track
from fusionpy.rectifying import Rectifier, check_rectifiable
from fusionpy.schema import is_number

__all__ = ["Estimates", "analyze"]

Array = NDArray[np.float64]
POOLINGS = ("barnard-rubin", "rubin", "fusionacs")
DESIGNS = ("sdr", "brr", "fay", "jk1", "bootstrap")
FAY_RHO = 0.5
OF_NUMBERS = ("median", "quantile", "ratio", "share", "gini")
OF_LEVELS = {"proportion": "mean", "count": "sum"}


class Estimates(pd.DataFrame):  # type: ignore[misc]
    """The data frame that `analyze` returns: an ordinary one that prints with as many digits as are meant."""

    @property
    def _constructor(self) -> type[Estimates]:
        return Estimates

    def _constructor_from_mgr(self, mgr: Any, axes: Any) -> Estimates:
        made: Estimates = Estimates._from_mgr(mgr, axes)  # pandas 2.2.0 warns of its own way
        return made

    def _shown(self) -> pd.DataFrame:
        return readable(self)

    def __repr__(self) -> str:
        """Show the table with two digits of each margin, and its estimates to the same place."""
        with pd.option_context(
            "display.width", None, "display.max_columns", None, "display.max_colwidth", 40
        ):
            return str(self._shown().to_string(index=False, max_rows=pd.get_option("display.max_rows")))

    def _repr_html_(self) -> str:
        return str(self._shown().to_html(index=False, max_rows=pd.get_option("display.max_rows")))


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
    groups = Groups(_names(by, "by", problems))
    replicate_names = _names(rep_weights, "rep_weights", problems)
    scale = _scale(var_scale, len(replicate_names), problems)
    _check_arguments(weight, fun, pooling, level, cores, problems)
    seed = settle_seed(seed, problems)
    problems.stop()
    survey = _Survey(open_implicates(implicates), static, fun)
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
    table = _table(kept, pieces, groups, n_donors)
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


class _Survey:
    """The implicates, the recipients' own columns, and those that are made of both."""

    def __init__(self, implicates: Implicates, static: Any, fun: Callable[[Any], Any] | None) -> None:
        self.implicates = implicates
        self.static: Table | None = None if static is None else as_table(static, "static")
        self.fun = fun
        self.kind = implicates.kind if implicates.in_memory or self.static is None else self.static.kind
        self.n_rows = implicates.n_rows
        self.names: list[str] = []  # to be read of each implicate
        self.held: dict[str, pa.Array] = {}  # of the static columns
        if self.static is not None and self.static.n_rows != self.n_rows:
            raise SchemaError(
                "`static` does not belong to `implicates`.",
                [f"It has {counted(self.static.n_rows, 'row')}, an implicate {counted(self.n_rows, 'row')}."],
                "Pass one row per recipient, in the implicates' order.",
            )

    def choose(self, names: Sequence[str], everything: bool) -> None:
        """Say which columns will be needed."""
        everything = everything or self.fun is not None
        self.names = [name for name in self.implicates.names if everything or name in names]
        if self.static is not None:
            wanted = self.static.names if everything else [n for n in names if n in self.static.names]
            self.held = {name: _column(self.static, name) for name in wanted if name not in self.names}

    @property
    def known(self) -> list[str]:
        """Columns of the implicates and of the recipients."""
        return [*self.implicates.names, *(self.static.names if self.static else ())]

    def each(self) -> Iterator[dict[str, pa.Array]]:
        """Columns of one implicate after another; the next is read meanwhile."""
        with ThreadPoolExecutor(1) as pool:

            def start(number: int) -> Future[pa.Table] | None:
                return (
                    pool.submit(self.implicates.read, number, self.names)
                    if number < self.implicates.M
                    else None
                )

            coming = start(0)
            for number in range(self.implicates.M):
                assert coming is not None
                table = coming.result()
                coming = start(number + 1)
                columns = dict(self.held)
                columns |= {name: _whole(table.column(name)) for name in table.column_names}
                yield columns | self.derived(columns, self.kind)

    def derived(self, columns: Mapping[str, pa.Array], kind: str) -> dict[str, pa.Array]:
        """Columns that the user's function makes of others."""
        if self.fun is None:
            return {}
        n_rows = len(next(iter(columns.values()), []))
        made = self.fun(return_table(pa.table(dict(columns)), kind, {}))
        table = as_table(made, "what `fun` returned")
        if table.n_rows != n_rows:
            problem = f"It has {counted(table.n_rows, 'row')} for {counted(n_rows, 'record')}."
            raise SchemaError(
                "What `fun` returned cannot be used.", [problem], "Return a row per record, in order."
            )
        return {name: _column(table, name) for name in table.names}

    def weights(self, names: Sequence[str], role: str) -> list[Array]:
        """Columns of weights: numbers, none missing or negative."""
        found: list[tuple[str, str, str]] = []
        values = []
        implicate: dict[str, pa.Array] = {}
        own = [
            n for n in names if n in self.implicates.names and not (self.static and n in self.static.names)
        ]
        if own:
            table = self.implicates.read(0, own)
            implicate = {name: _whole(table.column(name)) for name in own}
        for name in names:
            array = implicate.get(name)
            if array is None and self.static is not None and name in self.static.names:
                array = _column(self.static, name)
            problem = _weight_problem(array, self.known, name)
            if problem is None and array is not None:
                values.append(column_values(array))
            else:
                found.append((role, name, problem or ""))
        if found:
            raise SchemaError(
                "The weights cannot be used.", grouped(found), "Mend these columns, or name others."
            )
        return values


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _column(table: Table, name: str) -> pa.Array:
    try:
        return table.column(name)
    except Unreadable as error:
        raise SchemaError(
            f"Column `{name}` cannot be used.", [f"It holds {error}."], "Recode or drop it."
        ) from None


def _weight_problem(array: pa.Array | None, known: Sequence[str], name: str) -> str | None:
    if array is None:
        return "neither in `static` nor in `implicates`" + meant(name, known)
    if not is_number(array.type):
        return f"weights must be numeric, not {array.type}"
    values = column_values(array)
    if n_missing := int(np.isnan(values).sum()):
        return (
            f"{counted(n_missing, 'missing or infinite value')}; drop those recipients, or give them a weight"
        )
    if (values < 0).any():
        return f"{counted(int((values < 0).sum()), 'negative value')}"
    return None if values.any() else "no weight is positive"


def _weights(
    survey: _Survey, weight: str | None, replicate_names: Sequence[str], scale: float, cores: int
) -> tuple[Array, Replicates | None]:
    w = survey.weights([weight], "weight")[0] if weight is not None else np.ones(survey.n_rows)
    if not replicate_names:
        return w, None
    columns = survey.weights(replicate_names, "replicate weight")
    return w, Replicates(np.asfortranarray(np.stack(columns, axis=1)), scale / len(columns), cores)


def _names(given: Any, argument: str, problems: Problems) -> list[str]:
    """Take a column name or a list of them, or note what else was given."""
    if given is None or isinstance(given, str):
        return [] if given is None else [given]
    names = list(given) if isinstance(given, Sequence | np.ndarray) or hasattr(given, "to_list") else [given]
    if not all(isinstance(name, str) for name in names):
        problems.add(f"`{argument}` must be a column name or a list of them, not {shown(given)}.")
        return []
    return list(dict.fromkeys(names))


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
    survey: _Survey,
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


def _table(
    kept: Sequence[Measured], pieces: Sequence[Piece], groups: Groups, n_donors: Array | None
) -> pa.Table:
    """Lay out the result: a row per group, variable, level and statistic."""
    keys = list(groups.numbers)
    orders = [{code: place for place, code in enumerate(levels.order)} for levels in groups.levels]
    rows: list[tuple[Any, ...]] = []  # sort key, estimand, group, level
    for e, (data, piece) in enumerate(zip(kept, pieces, strict=True)):
        order = data.levels.order if data.levels else range(piece.pooled.est.shape[1])
        for g, key in enumerate(keys):
            place = tuple(order.get(code, len(order)) for order, code in zip(orders, key, strict=True))
            of = data.estimand
            for rank, code in enumerate(order):
                rows.append(((place, of.label, _type_rank(of), of.type, e, rank), e, g, code))
    rows.sort(key=lambda row: row[0])
    columns: dict[str, Any] = {}
    for j, (name, levels) in enumerate(zip(groups.names, groups.levels, strict=True)):
        columns[name] = _level_column(levels, [keys[g][j] for _, _, g, _ in rows])
    columns["n"] = pa.array([round(pieces[e].n[g]) for _, e, g, _ in rows], pa.int64())
    columns["n_eff"] = pa.array([pieces[e].n_eff[g] for _, e, g, _ in rows], pa.float64())
    if any(data.estimand.name for data in kept):
        columns["name"] = pa.array([kept[e].estimand.name for _, e, _, _ in rows], pa.string())
    columns["y"] = pa.array([kept[e].estimand.label for _, e, _, _ in rows], pa.string())
    columns["level"] = pa.array([_level_name(kept[e], code) for _, e, _, code in rows], pa.string())
    columns["type"] = pa.array([_type(kept[e]) for _, e, _, _ in rows], pa.string())
    values = {
        name: np.array([getattr(pieces[e].pooled, name)[g, code] for _, e, g, code in rows], dtype=np.float64)
        for name in ("est", "se", "df", "moe", "fmi")
    }
    is_share = np.array([kind == "proportion" for kind in columns["type"].to_pylist()], dtype=bool)
    low, high = values["est"] - values["moe"], values["est"] + values["moe"]
    values["lower"] = np.where(is_share, np.maximum(low, 0), low)
    values["upper"] = np.where(is_share, np.minimum(high, 1), high)
    _warn_of_zeros(values["moe"])
    for name in ("est", "se", "df", "moe", "lower", "upper", "fmi"):
        columns[name] = pa.array(values[name], from_pandas=True)
    if n_donors is not None:
        columns["n_donors"] = pa.array([round(n_donors[g]) for _, _, g, _ in rows], pa.int64())
    return pa.table(columns)


def _warn_of_zeros(moe: Array) -> None:
    if n_zero := int((moe == 0).sum()):
        message = (
            f"{counted(n_zero, 'margin')} of {len(moe):,} {'is' if n_zero == 1 else 'are'} 0: nothing "
            "varies, as where all records of a group have the same value in every implicate."
        )
        warnings.warn(message, FusionWarning, stacklevel=4)


def _level_column(levels: Levels, codes: Sequence[int]) -> pa.Array:
    """Levels of a grouping column in the rows of the result, typed as they came."""
    kind = levels.type
    if kind is not None and pa.types.is_dictionary(kind):
        places = pa.array([None if code < 0 else code for code in codes], pa.int32())
        return pa.DictionaryArray.from_arrays(
            places, pa.array(levels.labels, kind.value_type), ordered=kind.ordered
        )
    return pa.array([None if code < 0 else levels.labels[code] for code in codes], kind)


def _level_name(data: Measured, code: int) -> str | None:
    if data.levels is not None:
        return str(data.levels.labels[code])
    return data.names[code] or None if data.names else None


def _type(data: Measured) -> str:
    how = data.estimand.how
    if data.levels is not None:
        return {"mean": "proportion", "sum": "count"}.get(how, how)
    return data.estimand.type


def _type_rank(estimand: Estimand) -> float:
    """Quantiles in the order of their shares, after all else."""
    return estimand.share if estimand.how == "quantile" else -1.0


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Format a table of estimates for reading.

    Parameters
    ----------
    table : pandas.DataFrame
        What `analyze` returned, or rows and columns of it.

    Returns
    -------
    pandas.DataFrame
        Of text: two digits of each margin, the estimates to the same place, blanks for what is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"y": ["kwh"], "est": [10643.0008], "moe": [286.96], "fmi": [0.25]})
    >>> readable(frame)
         y     est  moe  fmi
    0  kwh  10,640  290 0.25
    """
    shown = pd.DataFrame(index=table.index)
    margin = table["moe"] if "moe" in table else pd.Series(np.nan, index=table.index)
    for name in table.columns:
        column = table[name]
        if name in ("est", "se", "moe", "lower", "upper"):
            shown[name] = [_to_margin(value, of) for value, of in zip(column, margin, strict=True)]
        elif name in ("n", "n_eff", "n_donors"):
            shown[name] = ["" if pd.isna(value) else f"{value:,.0f}" for value in column]
        elif name in ("df", "fmi"):
            digits = 1 if name == "df" else 2
            shown[name] = ["" if pd.isna(value) else f"{value:,.{digits}f}" for value in column]
        else:
            shown[name] = ["" if pd.isna(value) else str(value) for value in column]
    return shown


def _to_margin(value: float, margin: float) -> str:
    """Round a number to the second digit of its margin."""
    if pd.isna(value):
        return ""
    if pd.isna(margin) or margin == 0 or not np.isfinite([value, margin]).all():
        return f"{value:,.6g}"
    digits = 1 - int(np.floor(np.log10(margin)))
    return f"{round(value, digits):,.{max(digits, 0)}f}"
