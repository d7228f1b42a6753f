"""Columns of donors and implicates as numbers and codes that can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import meant
from fusionpy.frames.tables import Table, Unreadable, is_text, to_floats
from fusionpy.model.schema import positive_weights, weight_column
from fusionpy.model.variables import describe, is_number

__all__ = [
    "MOST_LEVELS",
    "USABLE",
    "Array",
    "Codes",
    "codes_of",
    "column_of",
    "held_values",
    "levels_of",
    "read_column",
    "weights_of",
]

Array = NDArray[np.float64]

Codes = NDArray[np.intp]

MOST_LEVELS = 1000

USABLE = "only numbers, categories, text and booleans can be {}"


def weights_of(table: Table, name: str | None, home: str) -> Array | str:
    """Read the weights, 1 without a column of them, or say what is wrong with them.

    Parameters
    ----------
    table : Table
    name : str or None
    home : str
        The argument that `table` came in.

    Returns
    -------
    (n,) float64, or str
    """
    if name is None:
        return np.ones(table.n_rows)
    return positive_weights(weight_column(table, name, "records", home), name)


def read_column(table: Table, name: str, home: str, use: str) -> pa.Array | str:
    """Read a column, whatever its type, or say why it cannot be had, and what can be used."""
    if name not in table.names:
        return f"not in {home}" + meant(name, table.names)
    try:
        return table.plain_column(name)
    except Unreadable as error:
        return f"{error}; {USABLE.format(use)}"


def column_of(table: Table, name: str) -> pa.Array | str:
    """Read an observed column of numbers or levels, or say why there is none."""
    column = read_column(table, name, "`observed`", "used")
    if isinstance(column, str):
        return column
    known = pa.types.is_boolean(column.type) or is_number(column.type) or is_text(column.type)
    if not known and not pa.types.is_dictionary(column.type) and not pa.types.is_null(column.type):
        return f"{describe(column)}; {USABLE.format('used')}"
    return column if column.null_count < len(column) else "no values at all"


def levels_of(column: pa.Array) -> list[str]:
    """List the levels of a categorical column, as text."""
    if pa.types.is_boolean(column.type):
        return ["False", "True"]
    if pa.types.is_dictionary(column.type):
        return [str(level) for level in column.dictionary.to_pylist()]
    return sorted(pc.unique(column).drop_null().to_pylist())


def codes_of(column: pa.Array, levels: Sequence[str]) -> Array:
    """Code a categorical column: (n,) float64, NaN where missing or not among the levels."""
    if not pa.types.is_dictionary(column.type):
        if pa.types.is_boolean(column.type):
            return to_floats(column.cast(pa.int8()))
        column = column.dictionary_encode()
    place = {level: float(code) for code, level in enumerate(levels)}
    lookup = [np.nan if v is None else place.get(str(v), np.nan) for v in column.dictionary.to_pylist()]
    indices = column.indices.cast(pa.int64()).fill_null(len(lookup)).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(np.array(lookup, dtype=np.float64), np.nan)[indices])


def held_values(column: pa.Array) -> list[str]:
    """List the levels that a categorical column has in some row."""
    return [str(level) for level in pc.unique(column).drop_null().to_pylist()]
