"""A user's data frame in Arrow's form, and back."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.categories import guesses_of, is_plain_level, restored_table, text_levels
from fusionpy.errors import Problems, SchemaError, few, repeated, shown
from fusionpy.forking import INSTEAD, LOST, has_lost_polars

__all__ = [
    "FIRST",
    "ROWS",
    "Table",
    "Unreadable",
    "as_table",
    "attributes_of",
    "is_text",
    "own_copy",
    "return_table",
    "take_names",
    "to_floats",
    "to_pandas",
]


ROWS, FIRST = LONG = ("rows", "first")  # digests of a recipient's columns, and of its first implicate's
_OF_POLARS: dict[int, dict[str, Any]] = {}  # how frames were made that have no place to keep it


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


def return_table(
    table: pa.Table,
    kind: str,
    attributes: Mapping[str, object],
    carried: Table | None = None,
    names: Sequence[str] = (),
    times: int = 1,
) -> Any:
    """Turn an Arrow table into the caller's kind of table.

    Parameters
    ----------
    table : pyarrow.Table
    kind : str
        "pandas", "polars" or "pyarrow".
    attributes : mapping
        What to remember of how it was made: ``attrs`` of a pandas frame. A pyarrow table carries the same in
        its schema metadata already; of a polars frame it is known until another is made of it.
    carried : Table, optional
        The caller's table, some columns of which come along just as they are.
    names : sequence of str
        Which; they come after the first column.
    times : int
        How often `table` holds the rows of `carried`.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
    """
    order = [table.column_names[0], *names, *table.column_names[1:]]
    part = carried.frame.select(*names).to_native() if carried is not None and names else None
    if kind == "pyarrow":
        if part is not None:
            part = pa.concat_tables([part] * times)
            for name in names:
                table = table.append_column(part.schema.field(name), part.column(name))
        return table.select(order)
    if kind == "pandas":
        import pandas as pd

        frame = to_pandas(table)
        if part is not None:
            frame = pd.concat([frame, pd.concat([part] * times, ignore_index=True)], axis=1)[order]
        frame.attrs = {"fusionpy": {name: v for name, v in attributes.items() if name not in LONG}}
        if long := {name: v for name, v in attributes.items() if name in LONG}:
            frame.attrs["fusionpy_rows"] = long  # apart, so that the others can be read
        return frame
    import polars as pl

    table = _with_text_levels(table)
    polars = cast(pl.DataFrame, pl.from_arrow(table))
    ordered = [each.name for each in table.schema if _is_ordered_text(each.type)]
    polars = polars.with_columns(_polars_enum(table, name) for name in ordered)
    made = polars if part is None else polars.hstack(pl.concat([part] * times)).select(order)
    if attributes:
        _OF_POLARS[id(made)] = dict(attributes)
        weakref.finalize(made, _OF_POLARS.pop, id(made), None)
    return made


def attributes_of(table: Table) -> dict[str, Any]:
    """Tell how a frame that `return_table` made was made, as long as that is known.

    pandas carries it along, a polars frame has it until another is made of it; of pyarrow, see its schema.

    Examples
    --------
    >>> made = return_table(pa.table({"a": [1]}), "polars", {"seed": 3})
    >>> attributes_of(as_table(made)), attributes_of(as_table(made.head(1)))
    ({'seed': 3}, {})
    """
    native = table.frame.to_native()
    if table.kind == "polars":
        return dict(_OF_POLARS.get(id(native), {}))
    attrs = getattr(native, "attrs", {})
    return {**attrs.get("fusionpy", {}), **attrs.get("fusionpy_rows", {})}


def own_copy(frame: Any) -> Any:
    """Copy a frame for a function of the user's, who may change it: nothing of that reaches the original.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table

    Returns
    -------
    the same kind of frame

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"a": [1, 2]})
    >>> own_copy(frame).insert(0, "b", 0)
    >>> frame.columns.to_list()
    ['a']
    """
    if isinstance(frame, pa.Table):  # cannot be changed
        return frame
    if hasattr(frame, "clone"):  # polars copies what is written to
        return frame.clone()
    made = frame.copy()
    for name in made.columns:
        column = made[name]
        if column.dtype == object and any(isinstance(v, list | dict | np.ndarray) for v in column):
            made[name] = copy.deepcopy(column.to_numpy(copy=True))
    return made


def _is_ordered_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) and kind.ordered and is_text(kind.value_type))


def to_pandas(table: pa.Table) -> Any:
    """Make a pandas frame that loses no digit: whole numbers beside missing values are nullable ones.

    Examples
    --------
    >>> to_pandas(pa.table({"a": [1, 2], "b": [2**60 + 1, None]})).dtypes.astype(str).to_list()
    ['int64', 'Int64']
    """
    import pandas as pd

    names = table.column_names
    gaps = [name for name in names if pa.types.is_integer(table.schema.field(name).type)]
    gaps = [name for name in gaps if table.column(name).null_count]
    if not gaps:
        return _with_zones(table.to_pandas(), table.schema)
    nullable = {
        getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")()
        for name in (f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
    }
    with_gaps = table.select(gaps).to_pandas(types_mapper=nullable.get)
    rest = [name for name in names if name not in gaps]
    if not rest:
        return with_gaps
    found = _with_zones(table.select(rest).to_pandas(), table.schema)
    return pd.concat([found, with_gaps], axis=1)[names]


def _with_zone(array: pa.Array, series: Any) -> pa.Array:
    """Give levels that are times their zone, which pandas 2 forgets on the way to Arrow."""
    if not pa.types.is_dictionary(array.type) or not pa.types.is_timestamp(array.type.value_type):
        return array
    if array.type.value_type.tz is not None:
        return array
    levels = pa.array(series.cat.categories)
    return pa.DictionaryArray.from_arrays(array.indices, levels, ordered=array.type.ordered)


def _with_zones(frame: Any, schema: pa.Schema) -> Any:
    """Give levels that are times their zone, which Arrow forgets on the way to pandas."""
    for each in schema:
        zone = getattr(each.type.value_type, "tz", None) if pa.types.is_dictionary(each.type) else None
        if zone is not None and each.name in frame:
            levels = frame[each.name].cat.categories
            if levels.tz is None:
                frame[each.name] = frame[each.name].cat.rename_categories(
                    levels.tz_localize("UTC").tz_convert(zone)
                )
    return frame


def _with_text_levels(table: pa.Table) -> pa.Table:
    """Turn levels into text, as polars has categories of nothing else."""
    for j, each in enumerate(table.schema):
        if pa.types.is_dictionary(each.type) and not is_text(each.type.value_type):
            column = table.column(j).unify_dictionaries().combine_chunks()
            levels = column.dictionary
            if pa.types.is_null(levels.type) or not is_plain_level(levels.type):
                continue
            coded = pa.DictionaryArray.from_arrays(
                column.indices.cast(pa.int32()), text_levels(levels), ordered=each.type.ordered
            )
            table = table.set_column(j, each.with_type(coded.type), coded)
    return table


def _polars_enum(table: pa.Table, name: str) -> Any:
    import polars as pl

    levels = table.column(name).combine_chunks().dictionary.to_pylist()
    return pl.col(name).cast(pl.String).cast(pl.Enum(levels))


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
