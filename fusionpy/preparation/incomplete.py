"""Data with gaps: which columns are filled, and from which."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import FusionWarning, Problems, SchemaError, few, meant, warn
from fusionpy.frames.tables import Table, Unreadable
from fusionpy.model.columns import NO_COLUMN
from fusionpy.model.schema import Schema, positive_weights, weight_column
from fusionpy.model.variables import Variable, is_r_name
from fusionpy.training.donors import FEWEST_DONORS, FEWEST_NONZERO

__all__ = ["Array", "Incomplete", "Rows", "is_enough", "read"]

Array = NDArray[np.float64]

Rows = NDArray[np.intp]

LEVELS_WARNED = 200

MOST = 1e100  # beyond, no model can be made


@dataclass(frozen=True)
class Incomplete:
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


def read(table: Table, weight: str | None, ignored: Sequence[str], M: int) -> Incomplete:
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


def _learn_schema(
    table: Table, names: Sequence[str], weights: Array, M: int, problems: Problems
) -> Incomplete:
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
    return Incomplete(tuple(names), schema.x, codes, weights, M)


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


def _learnable(work: Incomplete, column: int, varying: Sequence[int]) -> Rows:
    """Find the records that a variable can be learned from; none if they are too few or too alike."""
    rows = np.flatnonzero(~np.isnan(work.codes[:, column]) & (work.weight > 0))
    has_predictors = any(j != column for j in varying)
    enough = has_predictors and is_enough(work.codes[rows, column], work.variables[column])
    return rows if enough else rows[:0]


def is_enough(values: Array, variable: Variable) -> bool:
    """Tell whether `train` would take these values of a fusion variable."""
    if len(values) < FEWEST_DONORS or values.min() == values.max():
        return False
    if variable.is_categorical:
        return True
    return int((values != 0).sum()) >= FEWEST_NONZERO and float(np.abs(values).max()) <= MOST


def _warn(work: Incomplete, empty: Sequence[str], learned: Mapping[int, Rows]) -> None:
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
