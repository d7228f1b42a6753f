"""The one place where a data frame becomes arrays and back.

A column is continuous (a number), ordered or nominal (levels, coded from 0), or logical. pandas, polars and pyarrow
tables are read through narwhals and Arrow; a result comes back as the kind of table that went in.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import FusionWarning, Problems, SchemaError, few

__all__ = ["Kind", "Schema", "Table", "Variable", "as_table", "return_table"]

Kind = Literal["continuous", "ordered", "nominal", "logical"]
RESERVED = ("M", "W..", "R..")
_R_NAME = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*", re.UNICODE)
_R_WORDS = frozenset(
    "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ NA_character_ "
    "NA_complex_ in".split()
)
_MANY_LEVELS = 1000


def is_r_name(name: str) -> bool:
    """Tell whether R would take a column's name as it is.

    Examples
    --------
    >>> is_r_name("home.type_2"), is_r_name("2nd home"), is_r_name(".5x"), is_r_name("for")
    (True, False, False, False)
    """
    return bool(_R_NAME.fullmatch(name)) and name not in _R_WORDS


@dataclass(frozen=True)
class Table:
    """A user's data frame, column by column in Arrow's form."""

    kind: Literal["pandas", "polars", "pyarrow"]
    frame: Any
    n_rows: int
    names: tuple[str, ...]

    def column(self, name: str) -> pa.Array:
        """Fetch one column; floating-point NaN becomes null, ordered levels keep their flag."""
        series = self.frame[name]
        array = series.to_arrow()
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if self.kind == "polars" and isinstance(series.dtype, nw.Enum):
            array = _enum_array(array, list(series.dtype.categories))
        elif pa.types.is_dictionary(array.type) and self.kind == "polars":
            array = array.cast(array.type.value_type)
        return array

    def arrow(self, names: Iterable[str]) -> pa.Table:
        """Fetch several columns."""
        chosen = list(names)
        return pa.table([self.column(name) for name in chosen], names=chosen)


def _enum_array(array: pa.Array, levels: list[str]) -> pa.Array:
    """Give a polars Enum column all its levels in their order, as an ordered dictionary."""
    values = array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
    known = pa.array(levels, type=pa.string())
    codes = pc.index_in(values.cast(pa.string()), value_set=known)
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), known, ordered=True)


def as_table(data: object, argument: str = "data") -> Table:
    """Take a pandas, polars or pyarrow table.

    Parameters
    ----------
    data : object
        The user's table.
    argument : str
        What to call it in errors.

    Returns
    -------
    Table

    Raises
    ------
    SchemaError
        For another kind of object, or columns of the same name.
    """
    headline = f"`{argument}` cannot be used."
    hint = "Pass a pandas or polars DataFrame or a pyarrow Table with uniquely named columns."
    try:
        frame = nw.from_native(cast(Any, data), eager_only=True)
    except TypeError:
        problem = f"It must be a data frame, not {type(data).__name__}."
        raise SchemaError(headline, [problem], hint) from None
    names = [str(name) for name in _native_names(data)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SchemaError(headline, [f"Duplicate columns: {few(twice, '`')}."], hint)
    implementation = str(frame.implementation).lower()
    kind = next((k for k in ("pandas", "polars", "pyarrow") if k in implementation), None)
    if kind is None:
        raise SchemaError(headline, [f"It must be a data frame, not {type(data).__name__}."], hint)
    if not all(isinstance(name, str) for name in _native_names(data)):
        raise SchemaError(headline, ["Column names must be strings."], hint)
    return Table(cast(Any, kind), frame, len(frame), tuple(names))


def _native_names(data: Any) -> list[Any]:
    return list(data.column_names if hasattr(data, "column_names") else data.columns)


def return_table(table: pa.Table, kind: str, attributes: Mapping[str, object]) -> Any:
    """Turn an Arrow table into the caller's kind of table.

    Parameters
    ----------
    table : pyarrow.Table
    kind : str
        "pandas", "polars" or "pyarrow".
    attributes : mapping
        What to remember of how it was made: ``attrs`` of a pandas frame. A pyarrow table carries the same in its
        schema metadata already; polars has no place for it.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
    """
    if kind == "pyarrow":
        return table
    if kind == "pandas":
        frame = table.to_pandas()
        frame.attrs["fusionpy"] = dict(attributes)
        return frame
    import polars as pl

    frame = pl.from_arrow(table)
    enums = {
        field.name: pl.Enum(table.column(field.name).chunk(0).dictionary.to_pylist())
        for field in table.schema
        if pa.types.is_dictionary(field.type) and field.type.ordered and table.num_rows
    }
    return frame.with_columns([pl.col(name).cast(pl.String).cast(enum) for name, enum in enums.items()])


@dataclass(frozen=True)
class Variable:
    """One column: its kind, its levels in order, and how it was stored.

    Attributes
    ----------
    name : str
    kind : {"continuous", "ordered", "nominal", "logical"}
    levels : tuple
        Empty unless ordered or nominal.
    storage : str
        Arrow type of the values (of the levels, if there are levels).
    text : bool
        A nominal column that was stored as plain strings: it comes back as such.
    """

    name: str
    kind: Kind
    levels: tuple[Any, ...] = ()
    storage: str = "double"
    text: bool = False

    @property
    def is_categorical(self) -> bool:
        """Whether it has classes rather than values."""
        return self.kind != "continuous"

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 if continuous."""
        return {"continuous": 0, "logical": 2}.get(self.kind, len(self.levels))

    @property
    def model_type(self) -> str:
        """The reference's name for it: continuous, binary or multiclass."""
        if not self.is_categorical:
            return "continuous"
        return "binary" if self.n_classes == 2 else "multiclass"

    def decode(self, codes: NDArray[Any]) -> pa.Array:
        """Turn codes, or values, into a column of the donor's own type."""
        if self.kind == "continuous":
            return pa.array(codes).cast(pa.type_for_alias(self.storage), safe=False)
        if self.kind == "logical":
            return pa.array(codes.astype(bool))
        levels = pa.array(list(self.levels), type=pa.type_for_alias(self.storage))
        if self.text:
            return levels.take(pa.array(codes.astype(np.int32)))
        return pa.DictionaryArray.from_arrays(
            pa.array(codes.astype(np.int32)), levels, ordered=self.kind == "ordered"
        )

    @property
    def arrow_type(self) -> pa.DataType:
        """Type of the column that `decode` makes."""
        if self.kind == "logical":
            return pa.bool_()
        values = pa.type_for_alias(self.storage)
        if self.kind == "continuous" or self.text:
            return values
        return pa.dictionary(pa.int32(), values, ordered=self.kind == "ordered")


def _learn_variable(name: str, array: pa.Array) -> Variable | str:
    """Tell a column's kind, or what is wrong with it."""
    kind = array.type
    if pa.types.is_boolean(kind):
        return Variable(name, "logical", storage="bool")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Variable(name, "continuous", storage=str(kind))
    if pa.types.is_dictionary(kind):
        levels = tuple(array.dictionary.to_pylist())
        if None in levels:
            return "has a missing value among its levels"
        value_type = "string" if _is_text(kind.value_type) else str(kind.value_type)
        try:
            pa.type_for_alias(value_type)
        except ValueError:
            return f"has levels of type {value_type}, which is not supported"
        return Variable(name, "ordered" if kind.ordered else "nominal", levels, value_type)
    if _is_text(kind):
        levels = tuple(sorted(value for value in pc.unique(array).to_pylist() if value is not None))
        return Variable(name, "nominal", levels, "string", text=True)
    if pa.types.is_null(kind):
        return "has no values at all"
    return f"has type {kind}, which is neither a number, a category, text nor a boolean"


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _describe(array: pa.Array) -> str:
    learned = _learn_variable("", array)
    if isinstance(learned, str):
        return str(array.type)
    return {"continuous": "numeric", "ordered": "ordered categories", "nominal": "unordered categories"}.get(
        learned.kind, "logical"
    )


def _codes(variable: Variable, array: pa.Array) -> NDArray[np.float64]:
    """Values, or level codes, as float64 with NaN for missing."""
    if variable.kind in ("continuous", "logical"):
        numbers = array.cast(pa.float64()) if not pa.types.is_boolean(array.type) else array.cast(pa.int8())
        return np.asarray(numbers.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    if pa.types.is_dictionary(array.type):
        codes = array.indices
    else:
        levels = pa.array(list(variable.levels), type=array.type)
        codes = pc.index_in(array, value_set=levels)
    return np.asarray(codes.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


@dataclass(frozen=True)
class Schema:
    """What training has learned of the columns, to be replayed on recipients.

    Attributes
    ----------
    x, y : tuple of Variable
        Predictors and fusion variables, in the order given to `train`.
    """

    x: tuple[Variable, ...]
    y: tuple[Variable, ...]

    def __getitem__(self, name: str) -> Variable:
        """Find a variable by its name."""
        return next(variable for variable in (*self.x, *self.y) if variable.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the model matrix: predictors, then fusion variables."""
        return tuple(variable.name for variable in (*self.x, *self.y))

    @classmethod
    def learn(cls, table: Table, x: Sequence[str], y: Sequence[str]) -> Schema:
        """Learn the columns of a donor survey.

        Parameters
        ----------
        table : Table
        x, y : sequence of str
            Predictors and fusion variables.

        Returns
        -------
        Schema

        Raises
        ------
        SchemaError
            Naming every column that cannot be used, and why.

        Warns
        -----
        FusionWarning
            If text columns were taken as nominal.

        Notes
        -----
        Reference, section 1.
        """
        problems = Problems(
            SchemaError, "`data` cannot be trained on.", "Recode these columns or leave them out of `x` and `y`."
        )
        learned: dict[str, Variable] = {}
        for name in (*x, *y):
            role = "y" if name in y else "x"
            for problem in _name_problems(name, role):
                problems.add(f"{role} `{name}`: {problem}.")
            if name not in table.names:
                problems.add(f"{role} `{name}`: there is no such column.")
                continue
            variable, found = _check_donor_column(table, name, role)
            for problem in found:
                problems.add(f"{role} `{name}`: {problem}.")
            if variable is not None:
                learned[name] = variable
        problems.stop()
        text = [variable.name for variable in learned.values() if variable.text]
        if text:
            message = f"Text columns are taken as nominal, their levels sorted: {few(text, '`')}."
            warnings.warn(message, FusionWarning, stacklevel=3)
        return cls(tuple(learned[name] for name in x), tuple(learned[name] for name in y))

    def encode(self, table: Table, names: Sequence[str]) -> NDArray[np.float64]:
        """Turn columns into a matrix: values, or level codes from 0, NaN where missing.

        Parameters
        ----------
        table : Table
            With columns that fit this schema.
        names : sequence of str

        Returns
        -------
        (n, p) float64
        """
        matrix = np.empty((table.n_rows, len(names)))
        for j, name in enumerate(names):
            matrix[:, j] = _codes(self[name], table.column(name))
        return matrix

    def check_recipient(self, table: Table, names: Sequence[str], model: str) -> None:
        """Refuse recipients whose columns are not what the donors' were.

        Parameters
        ----------
        table : Table
        names : sequence of str
            The predictors needed.
        model : str
            What to call the model in the error.

        Raises
        ------
        SchemaError
            Naming every column that differs, and how.

        Notes
        -----
        Same kind, and for categories identical levels in identical order (reference, section 1).
        """
        problems = Problems(
            SchemaError,
            f"`data` does not match the predictors of {model}.",
            "Recode these columns, or train again on data that has them.",
        )
        for name in names:
            if name not in table.names:
                problems.add(f"x `{name}`: there is no such column.")
                continue
            try:
                array = table.column(name)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                problems.add(f"x `{name}`: holds values of mixed types.")
                continue
            problem = _mismatch(self[name], array)
            if problem:
                problems.add(f"x `{name}`: {problem}.")
        problems.stop()


def _name_problems(name: str, role: str) -> list[str]:
    found = []
    if name in RESERVED and role == "y":
        found.append(f"the name is reserved ({few(RESERVED, '`')})")
    elif not is_r_name(name):
        found.append("the name is not a valid R name (letters, digits, '.', '_'; beginning with a letter)")
    return found


def _check_donor_column(table: Table, name: str, role: str) -> tuple[Variable | None, list[str]]:
    """Learn one donor column and say all that is wrong with it."""
    try:
        array = table.column(name)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None, ["holds values of mixed types; make it a number, a category, text or a boolean"]
    variable = _learn_variable(name, array)
    if isinstance(variable, str):
        return None, [variable]
    problems = []
    n_missing = array.null_count
    values = _codes(variable, array)
    if variable.kind == "continuous":
        n_missing = int(np.isnan(values).sum())
        n_infinite = int(np.isinf(values).sum())
        if n_infinite:
            problems.append(f"{n_infinite} infinite values")
    if role == "y":
        if n_missing:
            problems.append(f"{n_missing} missing values; a fusion variable needs them all (see `impute()`)")
        seen = np.unique(values[~np.isnan(values)])
        if len(seen) == 1:
            problems.append(f"constant: every donor has {_show(variable, seen[0])}")
    elif n_missing == len(array):
        problems.append("has no values at all")
    if variable.text and variable.n_classes > _MANY_LEVELS:
        problems.append(f"text with {variable.n_classes} distinct values; group them or leave it out")
    return variable, problems


def _show(variable: Variable, code: float) -> str:
    if variable.kind == "continuous":
        return f"{code:g}"
    return repr(bool(code)) if variable.kind == "logical" else repr(variable.levels[int(code)])


def _mismatch(variable: Variable, array: pa.Array) -> str | None:
    """Say how a recipient column differs from what was learned."""
    if pa.types.is_null(array.type) or array.null_count == len(array) > 0:
        return "has no values at all"
    if variable.kind == "continuous":
        if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            return f"must be numeric, not {_describe(array)}"
        n_infinite = int(np.isinf(_codes(variable, array)).sum())
        return f"{n_infinite} infinite values" if n_infinite else None
    if variable.kind == "logical":
        return None if pa.types.is_boolean(array.type) else f"must be logical, not {_describe(array)}"
    if _is_text(array.type) and variable.kind == "nominal":
        known = set(variable.levels)
        unseen = [v for v in pc.unique(array).to_pylist() if v is not None and v not in known]
        return _unseen(unseen, variable) if unseen else None
    if not pa.types.is_dictionary(array.type):
        return f"must be {variable.kind} categories, not {_describe(array)}"
    return _level_mismatch(variable, array)


def _level_mismatch(variable: Variable, array: pa.Array) -> str | None:
    levels = tuple(array.dictionary.to_pylist())
    unseen = [level for level in levels if level not in variable.levels]
    if unseen:
        return _unseen(unseen, variable)
    if array.type.ordered != (variable.kind == "ordered"):
        return f"must be {variable.kind} categories, not {_describe(array)}"
    if levels == variable.levels:
        return None
    absent = [level for level in variable.levels if level not in levels]
    if absent:
        return f"levels {few(absent)} of training are not among its levels (it may have them without any rows)"
    return f"its levels are in another order: {few(levels)}, in training {few(variable.levels)}"


def _unseen(levels: Sequence[object], variable: Variable) -> str:
    return f"levels {few(levels)} were not in training ({variable.n_classes} levels)"
