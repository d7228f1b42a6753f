"""What is noted beside a table of its categories: levels and types that a file does not keep by itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = [
    "LEVELS_KEY",
    "LOST",
    "MOST_LEVELS",
    "PANDAS_KEY",
    "TYPES",
    "LevelNotes",
    "Told",
    "is_plain_level",
    "loses_levels",
    "noted_levels",
    "original_schema",
    "told_levels",
    "values_of",
    "without_levels",
]

LEVELS_KEY = b"fusionpy.levels"  # in the metadata of a schema: what `LevelNotes.packed` gives

PANDAS_KEY = b"pandas"

LOST = "lost_levels"  # of what pandas keeps with a frame that it reads: columns that it has made numbers of

MOST_LEVELS = 2**20  # of a column; whoever says that there are more means no levels

UNITS = ("s", "ms", "us", "ns")

TYPES = {
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


def loses_levels(kind: pa.DataType) -> bool:
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
            if not loses_levels(column.type):
                continue
            entry = (column.type.ordered, column.type.value_type, dict[Any, None]())
            levels = self._met.setdefault(name, entry)[2]
            for chunk in column.chunks:
                last = self._last.get(name)
                if last is None or not (chunk.dictionary is last or chunk.dictionary.equals(last)):
                    levels.update(dict.fromkeys(values_of(chunk.dictionary)))
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
        if loses_levels(column.type):
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


def values_of(levels: pa.Array) -> list[Any]:
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
        if kind is not None and loses_levels(pa.dictionary(pa.int32(), kind)):
            found[name] = Told(kind, ordered, n_levels)
    for field in original or ():
        kind = _plain_type(schema, field.name)
        if kind is not None and loses_levels(field.type):
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
