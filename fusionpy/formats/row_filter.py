"""Rows of a file that are equal to rows of a table: what a semi-join keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import Problems, grouped
from fusionpy.frames.tables import is_text

__all__ = ["Matches", "match_rows"]


LONGEST = pa.decimal128(20)  # holds whole numbers of 64 bits, signed or not


class Incomparable(Exception):  # noqa: N818  (told to the user as a problem of the column)
    """Two types whose values cannot be equal; the message says which."""


@dataclass(frozen=True)
class Matches:
    """Rows of a table, to be looked up.

    Attributes
    ----------
    names : tuple of str
        Columns, in which rows are compared.
    values : tuple of pyarrow.Array
        What occurs in each of them, once, in a type that the file's values can be had in.
    pairs : tuple of (k,) int64
        How a row's number in the first columns goes with its place in the next: ``number * len(values) +
        place`` of those that occur, ascending. Their order is the number in the columns so far.
    """

    names: tuple[str, ...]
    values: tuple[pa.Array, ...]
    pairs: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, table: pa.Table, schema: pa.Schema) -> Matches:
        """Prepare a table's rows, to be looked up in rows of another schema.

        Parameters
        ----------
        table : pyarrow.Table
            At least one column; each is also in `schema`.
        schema : pyarrow.Schema

        Returns
        -------
        Matches

        Raises
        ------
        Incomparable

        Examples
        --------
        >>> some = Matches.of(
        ...     pa.table({"a": [1, 2], "b": ["x", "y"]}), pa.schema({"a": "int8", "b": "string"})
        ... )
        >>> some.found(pa.table({"a": [1, 1, 2], "b": ["x", "y", "y"]}))
        array([ True, False,  True])
        """
        columns = [
            _comparable(
                table.column(name), common_type(table.schema.field(name).type, schema.field(name).type)
            )
            for name in table.column_names
        ]
        values = tuple(pc.unique(column) for column in columns)
        number = np.zeros(table.num_rows, dtype=np.int64)
        pairs = []
        for column, once in zip(columns, values, strict=True):
            pair, number = np.unique(number * len(once) + _places(column, once), return_inverse=True)
            pairs.append(pair)
        return cls(tuple(table.column_names), values, tuple(pairs))

    def found(self, table: pa.Table) -> NDArray[np.bool_]:
        """Tell which rows of a table are among them: (n,) bool."""
        number = np.zeros(table.num_rows, dtype=np.int64)
        known = np.ones(table.num_rows, dtype=np.bool_)
        for name, values, pairs in zip(self.names, self.values, self.pairs, strict=True):
            if not len(pairs):
                return np.zeros(table.num_rows, dtype=np.bool_)
            place = _places(_comparable(table.column(name), values.type), values)
            known &= place >= 0
            pair = number * len(values) + place
            number = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
            known &= pairs[number] == pair
        return known


def match_rows(asked: Sequence[pa.Table], schema: pa.Schema, problems: Problems) -> list[Matches]:
    """Prepare tables to be looked up in rows of a file, or note which of their columns cannot be compared.

    Parameters
    ----------
    asked : sequence of pyarrow.Table
    schema : pyarrow.Schema
        Of the file.
    problems : Problems
    """
    wrong = []
    for table in asked:
        for name in table.column_names:
            try:
                common_type(table.schema.field(name).type, schema.field(name).type)
            except Incomparable as difference:
                wrong.append(("", name, f"`where` has {difference}"))
    for problem in grouped(wrong):
        problems.add(problem)
    return [] if wrong else [Matches.of(table, schema) for table in asked]


def common_type(given: pa.DataType, stored: pa.DataType) -> pa.DataType:
    """Find the type in which values of two types can be compared.

    Raises
    ------
    Incomparable

    Examples
    --------
    >>> common_type(pa.int8(), pa.float32()), common_type(pa.dictionary("int8", "string"), pa.string())
    (DataType(double), DataType(string))
    """
    families = [_family(kind) for kind in (given, stored)]
    if families[0] == "nothing":
        families[0] = families[1]
    if families[0] != families[1] or families[0] == "other":
        raise Incomparable(f"{_called(given)}, the file {_called(stored)}")
    if families[0] == "numbers":
        both = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (given, stored)]
        if not all(pa.types.is_integer(kind) or pa.types.is_null(kind) for kind in both):
            return pa.float64()
        return LONGEST if pa.uint64() in both else pa.int64()
    return {
        "text": pa.string(),
        "logical values": pa.bool_(),
        "dates or times": pa.timestamp("us"),
        "durations": pa.duration("us"),
        "times of the day": pa.time64("us"),
    }[families[0]]


def _family(kind: pa.DataType) -> str:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_ = pa.types
    for found, name in (
        (is_text(kind), "text"),
        (is_.is_boolean(kind), "logical values"),
        (is_.is_integer(kind) or is_.is_floating(kind), "numbers"),
        (is_.is_date(kind) or is_.is_timestamp(kind), "dates or times"),
        (is_.is_duration(kind), "durations"),
        (is_.is_time(kind), "times of the day"),
        (is_.is_null(kind), "nothing"),
    ):
        if found:
            return name
    return "other"


def _called(kind: pa.DataType) -> str:
    family = _family(kind)
    return f"values of type {kind}" if family == "other" else family


def _comparable(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Bring a column to a type in which equal values are equal to Arrow, too."""
    if pa.types.is_timestamp(kind) and getattr(column.type, "tz", None):
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        column = column.cast(pa.int64()).cast(pa.timestamp(column.type.unit))
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary.cast(kind, safe=False).take(array.indices)
    array = array.cast(kind, safe=False)
    if is_text(kind):  # what is shown alike is the same
        array = _composed(array)
    if pa.types.is_floating(kind):  # -0.0 is 0.0, and NaN is missing
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, kind), pc.add(array, 0.0))
    return array


def _composed(array: pa.Array) -> pa.Array:
    """Bring texts to Unicode's NFC."""
    return (
        array if pc.all(pc.string_is_ascii(array)).as_py() is not False else pc.utf8_normalize(array, "NFC")
    )


def _places(array: pa.Array, values: pa.Array) -> NDArray[np.int64]:
    """Find each value among some: (n,) int64, -1 where it is not."""
    places = pc.index_in(array, value_set=values).fill_null(-1)
    return np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64)
