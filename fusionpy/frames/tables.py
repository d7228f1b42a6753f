"""A user's data frame in Arrow's form, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import Problems, SchemaError, few, repeated, shown
from fusionpy.frames.forking import INSTEAD, LOST, has_lost_polars
from fusionpy.frames.level_notes import is_plain_level
from fusionpy.frames.levels import guesses_of, restored_table

__all__ = [
    "FIRST",
    "FUSED",
    "KNOWN",
    "LONG",
    "ROWS",
    "Table",
    "Unreadable",
    "as_table",
    "is_text",
    "take_names",
    "to_floats",
]


# Notes of fused data: digests of the recipient's columns and of its first implicate's, names of fusion
# variables and of what else the models know.
ROWS, FIRST, FUSED, KNOWN = LONG = ("rows", "first", "fused", "known")


class Unreadable(Exception):  # noqa: N818  (told to the user as a problem of the column)
    """A column that cannot be had in Arrow's form; the message says what it holds."""


@dataclass(frozen=True)
class Table:
    """A user's data frame, column by column in Arrow's form.

    Attributes
    ----------
    kind : {"pandas", "polars", "pyarrow"}
    frame : narwhals.DataFrame
    n_rows : int
    names : tuple of str
    guessed : mapping of str to int
        Columns whose levels a file did not keep: they are the values that occur, of so many that there are.
    """

    kind: Literal["pandas", "polars", "pyarrow"]
    frame: Any
    n_rows: int
    names: tuple[str, ...]
    guessed: Mapping[str, int] = field(default_factory=dict)

    def column(self, name: str) -> pa.Array:
        """Fetch one column; ordered levels keep their flag.

        Raises
        ------
        Unreadable
            If Arrow cannot hold it.
        """
        series = self.frame[name]
        if self.kind == "polars" and series.dtype == nw.Object:  # of pandas' levels the type may not be had
            raise Unreadable("Python objects")
        try:
            array = series.to_arrow()
            if isinstance(array, pa.ChunkedArray):
                array = array.combine_chunks()
        except UnicodeError:
            raise Unreadable("text that is not Unicode (a lone surrogate, of a file read wrongly)") from None
        except (pa.ArrowException, OverflowError) as error:
            native = str(getattr(series.to_native(), "dtype", "object"))
            mixed = native in ("object", "category") and not isinstance(error, pa.ArrowNotImplementedError)
            raise Unreadable("values of different types" if mixed else f"values of type {native}") from None
        array = _without_views(array)
        if self.kind == "pandas":
            array = _with_zone(array, series.to_native())
        if self.kind == "polars" and isinstance(series.dtype, nw.Enum):
            return _levels_array(array, list(series.dtype.categories), ordered=True)
        if self.infers_levels(name):  # their physical order is arbitrary
            values = pc.unique(array.cast(pa.string())).drop_null()
            return _levels_array(array, sorted(values.to_pylist()), ordered=False)
        return array

    def plain_column(self, name: str) -> pa.Array:
        """Fetch one column as analyses and files take it: levels that are periods or intervals become text.

        Raises
        ------
        Unreadable
            If Arrow cannot hold it, or its levels.
        """
        if self.kind == "pandas":  # Arrow cannot take all of these from an old pandas
            native = self.frame[name].to_native()
            levels = getattr(getattr(native, "cat", None), "categories", None)
            if levels is not None and str(levels.dtype).startswith(("period", "interval")):
                codes = native.cat.codes.to_numpy()
                indices = pa.array(codes, pa.int32(), mask=codes < 0)
                return _text_levels_array(indices, [str(level) for level in levels], native.cat.ordered)
        return _with_plain_levels(self.column(name))

    def infers_levels(self, name: str) -> bool:
        """Tell whether a column is categorical but has no levels beyond its values: polars' Categorical."""
        return self.kind == "polars" and self.frame[name].dtype == nw.Categorical

    def arrow(self, names: Iterable[str]) -> pa.Table:
        """Fetch several columns; of a pyarrow table they keep their metadata, which may tell R's types."""
        chosen = list(names)
        columns = [self.plain_column(name) for name in chosen]
        native = self.frame.to_native()
        fields = [
            pa.field(
                name,
                column.type,
                metadata=native.schema.field(name).metadata if self.kind == "pyarrow" else None,
            )
            for name, column in zip(chosen, columns, strict=True)
        ]
        return pa.table(columns, schema=pa.schema(fields))


def _without_views(array: pa.Array) -> pa.Array:
    """Replace Arrow's string views, which most of its functions do not take, by strings."""
    if pa.types.is_dictionary(array.type) and pa.types.is_string_view(array.type.value_type):
        levels = _without_views(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices, levels, ordered=array.type.ordered)
    if not pa.types.is_string_view(array.type):
        return array
    try:
        return array.cast(pa.large_string())
    except pa.ArrowNotImplementedError:  # pyarrow 17
        return pa.array(array.to_pylist(), pa.large_string())


def _with_plain_levels(array: pa.Array) -> pa.Array:
    """Replace levels that are neither text nor numbers nor times by what pandas calls them."""
    if not pa.types.is_dictionary(array.type) or is_plain_level(array.type.value_type):
        return array
    kind = array.type.value_type
    if pa.types.is_null(kind) or pa.types.is_float16(kind):
        return array
    called = getattr(kind, "extension_name", str(kind))
    if called not in ("pandas.period", "pandas.interval") and not pa.types.is_decimal(kind):
        raise Unreadable(f"categories whose levels are of type {called}")
    texts = [str(level) for level in array.dictionary.to_pandas()]
    return _text_levels_array(array.indices, texts, array.type.ordered)


def _text_levels_array(indices: pa.Array, texts: Sequence[str], ordered: bool) -> pa.Array:
    if repeated(texts):
        raise Unreadable(f"categories with levels that look the same ({few(repeated(texts))})")
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()), ordered=ordered)


def _levels_array(array: pa.Array, levels: list[str], ordered: bool) -> pa.Array:
    """Give a polars column all its levels in their order, as a dictionary."""
    known = pa.array(levels, type=pa.string())
    codes = pc.index_in(array.cast(pa.string()), value_set=known)
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), known, ordered=ordered)


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
    problems = Problems(
        SchemaError, f"`{argument}` cannot be used.", "Pass a pandas or polars DataFrame or a pyarrow Table."
    )
    try:
        frame = nw.from_native(cast(Any, data), eager_only=True)
        names = list(_native_names(data))
    except (TypeError, AttributeError):
        problems.add(f"It must be a data frame, not {shown(data)}.")
        if hasattr(data, "collect"):
            problems.hint = "Call its `.collect()` first."
    except nw.exceptions.DuplicateError:
        names = list(_native_names(data))
    problems.stop()
    strange = [name for name in names if not isinstance(name, str)]
    if strange:
        problems.add(f"Column names must be text: {few(strange, quote='')} are not.")
        problems.hint = "Rename them: `data.columns = data.columns.map(str)` in pandas."
    twice = repeated(names)
    if twice:
        problems.add(f"Several columns have the same name: {few(twice, '`')}.")
        problems.hint = "Rename or drop them."
    problems.stop()
    implementation = str(frame.implementation).lower()
    kind = next((k for k in ("pandas", "polars", "pyarrow") if k in implementation), None)
    if kind is None:
        problems.add(f"It must be a pandas, polars or pyarrow table, not one of {frame.implementation}.")
    if kind == "polars" and has_lost_polars():
        problems.add(LOST)
        problems.hint = INSTEAD
    problems.stop()
    if kind != "pyarrow":
        return Table(cast(Any, kind), frame, len(frame), tuple(names))
    native = restored_table(frame.to_native())
    frame = nw.from_native(native, eager_only=True)
    return Table("pyarrow", frame, len(frame), tuple(names), guesses_of(native.schema))


def _native_names(data: Any) -> list[Any]:
    return list(data.column_names if hasattr(data, "column_names") else data.columns)


def _with_zone(array: pa.Array, series: Any) -> pa.Array:
    """Give levels that are times their zone, which pandas 2 forgets on the way to Arrow."""
    if not pa.types.is_dictionary(array.type) or not pa.types.is_timestamp(array.type.value_type):
        return array
    if array.type.value_type.tz is not None:
        return array
    levels = pa.array(series.cat.categories)
    return pa.DictionaryArray.from_arrays(array.indices, levels, ordered=array.type.ordered)


def take_names(given: Any, argument: str, problems: Problems, *, once: bool = False) -> list[str]:
    """Take no column name, one, or a list of them; or note what else was given.

    Parameters
    ----------
    given : str, sequence of str, or None
    argument : str
        What to call it in errors.
    problems : Problems
    once : bool
        Whether to name a column twice is wrong, too.

    Returns
    -------
    list of str
        Each name once.

    Examples
    --------
    >>> problems = Problems(SchemaError, "No.")
    >>> take_names("age", "by", problems), take_names(["age", "sex", "age"], "by", problems)
    (['age'], ['age', 'sex'])
    """
    if given is None:
        return []
    is_list = isinstance(given, Sequence | np.ndarray) or hasattr(given, "to_list")
    names = list(given) if is_list and not isinstance(given, str) else [given]
    if not all(isinstance(name, str) for name in names):
        problems.add(f"`{argument}` must be a column name or a list of them, not {shown(given)}.")
        return []
    if once and (twice := repeated(names)):
        problems.add(f"`{argument}` names {few(twice, '`')} more than once.")
    return list(dict.fromkeys(names))


def to_floats(array: pa.Array) -> NDArray[np.float64]:
    """Fetch the numbers of a column: (n,) float64, NaN where missing.

    Examples
    --------
    >>> to_floats(pa.array([1, None, 3]))
    array([ 1., nan,  3.])
    """
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is one of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
