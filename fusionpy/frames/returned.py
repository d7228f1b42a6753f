"""Tables given back as frames of the caller's library, with what it keeps of them."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from fusionpy.frames.level_notes import is_plain_level
from fusionpy.frames.levels import text_levels
from fusionpy.frames.tables import LONG, Table, is_text

__all__ = ["attributes_of", "own_copy", "return_table", "to_pandas"]

_OF_POLARS: dict[int, dict[str, Any]] = {}  # how frames were made that have no place to keep it


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
    >>> from fusionpy.frames.tables import as_table
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
