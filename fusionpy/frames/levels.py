"""Levels that files do not keep: categories of numbers, truth values and dates.

Parquet stores a category of anything but text as its bare values, an fst file as text. What is lost is noted
beside the values, and given back when they are read. Arrow and pandas note less: that a column had levels,
whether they were ordered, pandas also how many; the levels are then the values that occur, ascending.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import time

import pyarrow as pa
import pyarrow.compute as pc

from fusionpy.frames.level_notes import (
    LEVELS_KEY,
    MOST_LEVELS,
    PANDAS_KEY,
    TYPES,
    Told,
    loses_levels,
    told_levels,
    values_of,
)

__all__ = [
    "FOR_PANDAS",
    "guesses_of",
    "noted_types",
    "restored",
    "restored_table",
    "seen_levels",
    "text_levels",
    "typed_levels",
    "with_guesses",
    "without_guesses",
]

GUESSED_KEY = b"fusionpy.guessed"  # numbers of levels, where pandas has told no more
FOR_PANDAS = b"PANDAS_ATTRS"  # what pandas keeps with a frame that it reads


def seen_levels(chunks: Iterable[pa.Array], most: int) -> pa.Array | None:
    """Find the values that occur, ascending; None if they are more than there are levels (0: nobody knows).

    Examples
    --------
    >>> seen_levels([pa.array([3, 1, None]), pa.array([3])], 2).to_pylist()
    [1, 3]
    """
    seen: pa.Array | None = None
    for chunk in chunks:
        new = pc.unique(chunk).drop_null()
        seen = new if seen is None else pc.unique(pa.concat_arrays([seen, new]))
        if len(seen) > (most or MOST_LEVELS):
            return None
    if seen is None:
        return None
    if pa.types.is_boolean(seen.type):  # Arrow 17 does not sort them
        return pa.array(sorted(seen.to_pylist()), seen.type)
    return seen.take(pc.array_sort_indices(seen))


def restored(column: pa.ChunkedArray | pa.Array, told: Told) -> pa.ChunkedArray:
    """Give a column its levels back.

    Raises
    ------
    ValueError
        If it holds values that are none of them.
    """
    kind = pa.dictionary(pa.int32(), told.kind, ordered=told.ordered)
    if column.type != told.kind:
        column = column.cast(told.kind)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    coded = []
    for chunk in chunks or [pa.array([], told.kind)]:
        codes = pc.index_in(chunk, value_set=told.levels)
        if codes.null_count > chunk.null_count:
            raise ValueError("values that are none of the levels noted for it")
        coded.append(pa.DictionaryArray.from_arrays(codes, told.levels, ordered=told.ordered))
    return pa.chunked_array(coded, kind)


def with_guesses(schema: pa.Schema, told: Mapping[str, Told], guessed: Mapping[str, int]) -> pa.Schema:
    """Give a schema the types of columns with levels, and note which levels pandas did not tell."""
    for name, each in told.items():
        place = schema.get_field_index(name)
        field = schema.field(place)
        kind = pa.dictionary(pa.int32(), each.kind, ordered=each.ordered)
        schema = schema.set(place, field.with_type(kind))
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != LEVELS_KEY}
    if PANDAS_KEY in metadata:  # what it says of them is done: whoever makes numbers of them now means that
        metadata[PANDAS_KEY] = _without_columns(metadata[PANDAS_KEY], told)
    if guessed:
        metadata[GUESSED_KEY] = json.dumps({**guesses_of(schema), **guessed}).encode()
    return schema.with_metadata(metadata or None)


def _without_columns(packed: bytes, names: Iterable[str]) -> bytes:
    """Take columns out of pandas's metadata."""
    done = set(names)
    try:
        noted = json.loads(packed)
        noted["columns"] = [e for e in noted["columns"] if (e.get("field_name") or e.get("name")) not in done]
        return json.dumps(noted).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return packed


def without_guesses(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Forget that levels were taken from values, as somebody has told them."""
    left = {name: number for name, number in guesses_of(table.schema).items() if name not in set(names)}
    metadata = {**(table.schema.metadata or {}), GUESSED_KEY: json.dumps(left).encode()}
    return table.replace_schema_metadata(metadata) if guesses_of(table.schema) else table


def guesses_of(schema: pa.Schema) -> dict[str, int]:
    """Tell columns whose levels are taken from their values: how many they are said to have."""
    try:
        found = json.loads((schema.metadata or {}).get(GUESSED_KEY, b"{}"))
        return {str(name): int(number) for name, number in found.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}


def restored_table(table: pa.Table) -> pa.Table:
    """Give a table its levels back, as far as its metadata tell them.

    Parameters
    ----------
    table : pyarrow.Table
        As it was read from a Parquet file.

    Returns
    -------
    pyarrow.Table
        Columns that no longer fit what is noted of them are left as they are.

    Examples
    --------
    >>> from fusionpy.frames.level_notes import noted_levels
    >>> coded = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array([True, False]), ordered=True)
    >>> restored_table(noted_levels(pa.table({"a": coded})))["a"].chunk(0).dictionary.to_pylist()
    [True, False]
    """
    told, columns, guessed = told_levels(table.schema), {}, {}
    for name, each in list(told.items()):
        column = table.column(name)
        if each.levels is None:
            seen = seen_levels(column.chunks or [pa.array([], column.type)], each.n_levels)
            if seen is None:
                del told[name]
                continue
            told[name] = each = replace(each, levels=seen)
            guessed[name] = each.n_levels
        try:
            columns[name] = restored(column, each)
        except ValueError:  # also Arrow's
            del told[name]
            guessed.pop(name, None)
    if not told:
        return table
    schema = with_guesses(table.schema, told, guessed)
    arrays = [columns.get(name, table.column(j)) for j, name in enumerate(table.column_names)]
    return pa.Table.from_arrays(arrays, schema=schema)


def noted_types(schema: pa.Schema) -> dict[str, str]:
    """Name the types of levels that an fst file turns into text.

    Examples
    --------
    >>> noted_types(pa.schema({"a": pa.dictionary("int8", "date32"), "b": pa.string()}))
    {'a': 'date32[day]'}
    """
    return {field.name: str(field.type.value_type) for field in schema if loses_levels(field.type)}


def text_levels(levels: pa.Array) -> pa.Array:
    """Turn levels into text, by which an fst file holds them.

    Examples
    --------
    >>> text_levels(pa.array([True, False])).to_pylist(), text_levels(pa.array([1.5, 2])).to_pylist()
    (['TRUE', 'FALSE'], ['1.5', '2'])
    """
    kind = levels.type
    if pa.types.is_boolean(kind):  # as R calls them
        return pa.array([str(value).upper() for value in levels.to_pylist()], pa.string())
    if pa.types.is_duration(kind):
        return pa.array([f"{value} {kind.unit}" for value in values_of(levels)], pa.string())
    if pa.types.is_timestamp(kind) and kind.tz is None:
        days = levels.cast(pa.date32(), safe=False)
        if days.cast(kind).equals(levels):
            levels = days
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        levels = pc.strftime(levels, "%Y-%m-%d %H:%M:%S%z")
    return levels.cast(pa.string())


def typed_levels(texts: pa.Array, name: str) -> pa.Array | None:
    """Reverse `text_levels`; None if these are no texts of levels of that type.

    Parameters
    ----------
    texts : pyarrow.Array
    name : str
        Of a type, as `noted_types` has it.

    Examples
    --------
    >>> typed_levels(pa.array(["1.5", "2"]), "double").to_pylist(), typed_levels(pa.array(["x"]), "int8")
    ([1.5, 2.0], None)
    """
    kind = _type_named(name)
    if kind is None:
        return None
    try:
        if pa.types.is_duration(kind):
            values = [int(text.removesuffix(f" {kind.unit}")) for text in texts.to_pylist()]
            levels = pa.array(values, pa.int64()).cast(kind)
        elif pa.types.is_time(kind):
            levels = pa.array([time.fromisoformat(text) for text in texts.to_pylist()], kind)
        elif pa.types.is_timestamp(kind) and kind.tz is None:
            levels = texts.cast(pa.timestamp("us")).cast(kind) if kind.unit == "s" else texts.cast(kind)
        else:
            levels = texts.cast(kind)
    except (pa.ArrowException, ValueError):
        return None
    return levels if text_levels(levels).equals(texts.cast(pa.string())) else None


def _type_named(name: str) -> pa.DataType | None:
    zoned = re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=([\w/+:-]{1,64})\]", name)
    return pa.timestamp(zoned[1], zoned[2]) if zoned else TYPES.get(name)
