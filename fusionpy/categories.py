"""Levels that files do not keep: categories of numbers, truth values and dates.

Parquet stores a category of anything but text as its bare values, an fst file as text. What is lost is noted
beside the values, and given back when they are read. Arrow and pandas note less: that a column had levels,
whether they were ordered, pandas also how many; the levels are then the values that occur, ascending.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "FOR_PANDAS",
    "LEVELS_KEY",
    "LOST",
    "LevelNotes",
    "Told",
    "guesses_of",
    "is_plain_level",
    "noted_levels",
    "noted_types",
    "original_schema",
    "restored",
    "restored_table",
    "seen_levels",
    "text_levels",
    "told_levels",
    "typed_levels",
    "with_guesses",
    "without_guesses",
    "without_levels",
]

LEVELS_KEY = b"fusionpy.levels"  # in the metadata of a schema: what `LevelNotes.packed` gives
GUESSED_KEY = b"fusionpy.guessed"  # numbers of levels, where pandas has told no more
PANDAS_KEY = b"pandas"
LOST = "lost_levels"  # of what pandas keeps with a frame that it reads: columns that it has made numbers of
FOR_PANDAS = b"PANDAS_ATTRS"  # what pandas keeps with a frame that it reads
MOST_LEVELS = 2**20  # of a column; whoever says that there are more means no levels
UNITS = ("s", "ms", "us", "ns")
_TYPES = {
    str(kind): kind
    for kind in (
        *(pa.type_for_alias(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *(pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string()),
        *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
        *(pa.timestamp(unit) for unit in UNITS),
        *(pa.duration(unit) for unit in UNITS),
    )
}


@dataclass(frozen=True)
class Told:
    """What is told of a column's levels.

    Attributes
    ----------
    kind : pyarrow.DataType
        Of the levels.
    ordered : bool
    n_levels : int
        0 if that is not known.
    levels : pyarrow.Array or None
        All of them in order; None if they are not told.
    """

    kind: pa.DataType
    ordered: bool
    n_levels: int
    levels: pa.Array | None = None


def is_plain_level(kind: pa.DataType) -> bool:
    """Tell whether levels of an Arrow type can be noted: text, numbers, truth values, dates and times."""
    is_ = pa.types
    if is_.is_float16(kind) or is_.is_interval(kind):
        return False
    tests = (is_.is_string, is_.is_large_string, is_.is_integer, is_.is_floating, is_.is_boolean)
    return bool(is_.is_temporal(kind)) or any(test(kind) for test in tests)


def _loses_levels(kind: pa.DataType) -> bool:
    """Tell whether Parquet does not keep the levels of a column of some type."""
    if not pa.types.is_dictionary(kind):
        return False
    is_text = pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    return not is_text and is_plain_level(kind.value_type)


class LevelNotes:
    """What is to be noted in a Parquet file of the levels that it cannot hold, gathered as tables come."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[bool, pa.DataType, dict[Any, None]]] = {}
        self._last: dict[str, pa.Array] = {}

    def meet(self, table: pa.Table) -> pa.Table:
        """Note a table's levels, and give the table as it is to be written.

        Examples
        --------
        >>> notes = LevelNotes()
        >>> coded = pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array([3, 1]))
        >>> notes.meet(pa.table({"a": coded}))["a"].to_pylist(), notes.packed()
        ([3, None], '{"a": {"ordered": false, "levels": [3, 1]}}')
        """
        for name, column in zip(table.column_names, table.columns, strict=True):
            if not _loses_levels(column.type):
                continue
            entry = (column.type.ordered, column.type.value_type, dict[Any, None]())
            levels = self._met.setdefault(name, entry)[2]
            for chunk in column.chunks:
                last = self._last.get(name)
                if last is None or not (chunk.dictionary is last or chunk.dictionary.equals(last)):
                    levels.update(dict.fromkeys(_values_of(chunk.dictionary)))
                    self._last[name] = chunk.dictionary
        return without_levels(table)

    @property
    def names(self) -> list[str]:
        """Columns that have been met."""
        return list(self._met)

    def packed(self) -> str | None:
        """Put the notes into words: JSON; nothing if there is nothing to note."""
        if not self._met:
            return None
        return json.dumps(
            {
                name: {"ordered": ordered, "levels": list(levels)}
                for name, (ordered, _, levels) in self._met.items()
            }
        )


def without_levels(table: pa.Table) -> pa.Table:
    """Replace categories whose levels Parquet does not keep by their values, so that their type is kept."""
    for j, column in enumerate(table.columns):
        if _loses_levels(column.type):
            kind = column.type.value_type
            chunks = [chunk.dictionary.take(chunk.indices) for chunk in column.chunks]
            field = table.schema.field(j).with_type(kind)
            table = table.set_column(j, field, pa.chunked_array(chunks, kind))
    return table


def noted_levels(table: pa.Table) -> pa.Table:
    """Make a table ready for a Parquet file: values instead of levels, which are noted in its metadata."""
    notes = LevelNotes()
    table = notes.meet(table)
    packed = notes.packed()
    if packed is None:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), LEVELS_KEY: packed.encode()})


def _values_of(levels: pa.Array) -> list[Any]:
    """Levels as JSON can hold them: times as the numbers that Arrow counts them by."""
    if pa.types.is_temporal(levels.type):
        levels = levels.cast(pa.int32() if levels.type.bit_width == 32 else pa.int64())
    return [value for value in levels.to_pylist() if value is not None]


def _array_of(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    """Reverse `_values_of`.

    Raises
    ------
    ValueError
        If the values are not of that type, or not different.
    """
    listed = list(values)
    try:
        if len(set(listed)) != len(listed) or None in listed:
            raise ValueError("the same level twice")
        if pa.types.is_temporal(kind):
            return pa.array(listed, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
        return pa.array(listed, kind)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def told_levels(schema: pa.Schema, original: pa.Schema | None = None) -> dict[str, Told]:
    """Tell the columns that had levels before they were written, by what is noted in a schema's metadata.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of a Parquet file.
    original : pyarrow.Schema, optional
        Of what was written, as Arrow noted it there.

    Returns
    -------
    dict of str to Told
        Of columns that have none now. What is damaged is passed over.
    """
    metadata = schema.metadata or {}
    by_pandas = _told_by_pandas(metadata.get(PANDAS_KEY, b""))
    found: dict[str, Told] = {}
    for name, (ordered, n_levels) in by_pandas.items():
        kind = _plain_type(schema, name)
        if kind is not None and _loses_levels(pa.dictionary(pa.int32(), kind)):
            found[name] = Told(kind, ordered, n_levels)
    for field in original or ():
        kind = _plain_type(schema, field.name)
        if kind is not None and _loses_levels(field.type):
            n_levels = by_pandas.get(field.name, (False, 0))[1]
            found[field.name] = Told(field.type.value_type, field.type.ordered, n_levels)
    packed = metadata.get(LEVELS_KEY, b"{}")
    if (
        packed.count(b"[") + packed.count(b"{") > 2 * len(schema) + 1
    ):  # lists in lists take forty times their size
        return found
    try:
        entries = list(json.loads(packed).items())
    except (ValueError, AttributeError, RecursionError):
        return found
    for name, entry in entries:
        kind = _plain_type(schema, name)
        try:
            if kind is not None:
                levels = _array_of(entry["levels"], kind)
                found[name] = Told(kind, bool(entry["ordered"]), len(levels), levels)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def original_schema(packed: bytes | None) -> pa.Schema | None:
    """Unpack the schema that Arrow notes in a Parquet file; nothing if there is none, or it is damaged."""
    if not packed:
        return None
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(packed)))
    except (pa.ArrowException, ValueError, OSError):
        return None


def _plain_type(schema: pa.Schema, name: str) -> pa.DataType | None:
    places = schema.get_all_field_indices(name)
    if len(places) != 1 or not is_plain_level(schema.field(places[0]).type):
        return None
    return schema.field(places[0]).type


def _told_by_pandas(packed: bytes) -> dict[str, tuple[bool, int]]:
    """Take from pandas's metadata which columns had levels: whether ordered, and how many."""
    found = {}
    try:
        for entry in json.loads(packed or b"{}").get("columns", ()):
            if entry["pandas_type"] == "categorical" and entry["metadata"]:
                n_levels = entry["metadata"]["num_categories"]
                if isinstance(n_levels, int) and 0 < n_levels <= MOST_LEVELS:
                    name = entry.get("field_name") or entry["name"]
                    found[name] = (bool(entry["metadata"]["ordered"]), n_levels)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return {}
    return found


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
    return {field.name: str(field.type.value_type) for field in schema if _loses_levels(field.type)}


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
        return pa.array([f"{value} {kind.unit}" for value in _values_of(levels)], pa.string())
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
    return pa.timestamp(zoned[1], zoned[2]) if zoned else _TYPES.get(name)
