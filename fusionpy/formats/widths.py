"""Columns of several files that are the same but for their width: one type that holds them all.

Files of one survey are often written one by one, each with the narrowest type for its own rows: whole numbers
of 32 and 64 bits, numbers that became floating point for a gap, nothing but missing values.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from fusionpy.errors import few
from fusionpy.frames.tables import is_text

__all__ = ["Different", "brought", "common_schema", "common_type", "joined"]

MOST_TOLD = 3
UNITS = ("s", "ms", "us", "ns")
SIGNED = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}


class Different(Exception):  # noqa: N818  (told to the user as a problem of the files)
    """Columns that no common type holds; the message names them."""


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Find the type in which the values of both types are the same; None if there is none.

    Examples
    --------
    >>> common_type(pa.int32(), pa.uint32()), common_type(pa.int8(), pa.string())
    (DataType(int64), None)
    >>> common_type(pa.dictionary("int8", "string"), pa.dictionary("int16", "string"))
    DictionaryType(dictionary<values=string, indices=int32, ordered=0>)
    """
    is_ = pa.types
    if one == other or is_.is_null(other):
        return one
    if is_.is_null(one):
        return other
    if is_.is_integer(one) and is_.is_integer(other):
        return _whole(one, other)
    if _is_number(one) and _is_number(other):
        return pa.float64()
    if is_text(one) and is_text(other):
        return pa.large_string()
    if is_.is_dictionary(one) and is_.is_dictionary(other):
        value = common_type(one.value_type, other.value_type)
        same = value is not None and one.ordered == other.ordered
        return pa.dictionary(pa.int32(), value, ordered=one.ordered) if same else None
    for test, make in ((is_.is_timestamp, _timestamp), (is_.is_duration, _duration)):
        if test(one) and test(other):
            return make(one, other)
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _whole(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    signs = [pa.types.is_signed_integer(kind) for kind in (one, other)]
    if signs[0] == signs[1]:
        return max(one, other, key=lambda kind: kind.bit_width)
    bits = max(
        kind.bit_width * (1 if signed else 2) for kind, signed in zip((one, other), signs, strict=True)
    )
    return SIGNED.get(bits)


def _timestamp(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    return pa.timestamp(_finer(one, other), one.tz) if one.tz == other.tz else None


def _duration(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    return pa.duration(_finer(one, other))


def _finer(one: pa.DataType, other: pa.DataType) -> str:
    return UNITS[max(UNITS.index(kind.unit) for kind in (one, other))]


def common_schema(schemas: Sequence[pa.Schema], called: Sequence[str]) -> pa.Schema:
    """Find a schema for the columns of several tables, in the first one's order.

    Parameters
    ----------
    schemas : sequence of pyarrow.Schema
    called : sequence of str
        What to call each table.

    Raises
    ------
    Different
        Naming the columns that some lack, or of which the types have nothing in common.
    """
    found = schemas[0]
    for schema, name in zip(schemas[1:], called[1:], strict=True):
        lacking = [each for each in found.names if each not in schema.names]
        more = [each for each in schema.names if each not in found.names]
        if lacking or more:
            said = [f"lacks {few(lacking, '`')}"] if lacking else []
            said += [f"has {few(more, '`')} besides"] if more else []
            problem = f"'{name}' does not have the same columns as '{called[0]}': it {' and '.join(said)}"
            raise Different(problem)
        different = []
        for place, field in enumerate(found):
            other = schema.field(field.name).type
            kind = common_type(field.type, other)
            if kind is None:
                different.append(f"`{field.name}` ({other}, there {field.type})")
            elif kind != field.type:
                found = found.set(place, field.with_type(kind))
        if different:
            told = ", ".join(different[:MOST_TOLD])
            rest = f" and {len(different) - MOST_TOLD} more" if len(different) > MOST_TOLD else ""
            problem = f"'{name}' does not have the same columns as '{called[0]}': {told}{rest} differ"
            raise Different(problem)
    return found


def brought(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Bring a table's columns to types of `common_schema`.

    Raises
    ------
    Different
        If values would be changed, as long whole numbers in floating point would be.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = schema.field(name).type
        try:
            columns.append(column if column.type == kind else _cast(column, kind))
        except pa.ArrowException:
            problem = (
                f"column `{name}` has values of {column.type} that {kind}, which others have, cannot hold"
            )
            raise Different(problem) from None
    fields = [schema.field(name) for name in table.column_names]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(kind) or not pa.types.is_dictionary(column.type):
        return column.cast(kind)
    chunks = [
        pa.DictionaryArray.from_arrays(
            chunk.indices.cast(pa.int32()), chunk.dictionary.cast(kind.value_type), ordered=kind.ordered
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, kind)


def joined(tables: Sequence[pa.Table], called: Sequence[str]) -> pa.Table:
    """Put tables one after the other whose columns are the same but for their width.

    Raises
    ------
    Different

    Examples
    --------
    >>> joined([pa.table({"a": pa.array([1], "int8")}), pa.table({"a": [2.5]})], "xy")["a"].to_pylist()
    [1.0, 2.5]
    """
    schema = common_schema([table.schema for table in tables], called)
    return pa.concat_tables([brought(table.select(schema.names), schema) for table in tables])
