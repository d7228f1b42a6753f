"""Levels of columns whose file could not hold them: those that it notes, or those that occur in it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from fusionpy.formats.base import ROWS_AT_ONCE, Stored
from fusionpy.frames.level_notes import Told
from fusionpy.frames.levels import restored, seen_levels, with_guesses

__all__ = ["with_guessed_levels", "with_noted_levels"]

_SEEN: dict[
    tuple[str, str, int, int, int], pa.Array | None
] = {}  # levels of files that have been looked through
_SEEN_LOCK = threading.Lock()


def with_noted_levels(stored: Stored) -> Stored:
    """Give columns back the levels that the file notes."""
    told = {name: each for name, each in stored.told.items() if each.levels is not None}
    return _with_levels(stored, told, {}) if told else stored


def with_guessed_levels(stored: Stored) -> Stored:
    """Take the values that occur for levels, where pandas notes no more than that there were some."""
    told = {name: each for name, each in stored.told.items() if each.levels is None}
    found = {}
    for name, each in told.items():
        seen = _seen(stored, name, each)
        if seen is not None:
            found[name] = replace(each, levels=seen)
    return _with_levels(stored, found, {name: told[name].n_levels for name in found}) if found else stored


def _seen(stored: Stored, name: str, told: Told) -> pa.Array | None:
    """Find the values of a column; once, as long as the file stays the same."""
    key = (str(stored.path), name, stored.path.stat().st_mtime_ns, stored.n_rows, told.n_levels)
    with _SEEN_LOCK:
        if key not in _SEEN or stored.path.is_dir():  # whose time tells nothing of the files in its folders
            if len(_SEEN) >= 1000:
                _SEEN.clear()
            windows = list(stored.windows(0, stored.n_rows, ROWS_AT_ONCE)) or [(0, 0)]
            chunks = (
                chunk.cast(told.kind)
                for first, n_rows in windows
                for chunk in stored.reader(first, n_rows, [name], 1).column(0).chunks
            )
            _SEEN[key] = seen_levels(itertools.chain([pa.array([], told.kind)], chunks), told.n_levels)
        return _SEEN[key]


def _with_levels(stored: Stored, told: Mapping[str, Told], guessed: Mapping[str, int]) -> Stored:
    schema = with_guesses(stored.schema, told, guessed)

    def read(first: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        table = stored.reader(first, n_rows, names, cores)
        columns = []
        for name, column in zip(names, table.columns, strict=True):
            if name in told:
                try:
                    column = restored(column, told[name])
                except ValueError as error:
                    raise OSError(f"Its column '{name}' has {error}") from None
            columns.append(column)
        fields = [
            schema.field(name) if name in told else each
            for name, each in zip(names, table.schema, strict=True)
        ]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))

    return replace(stored, schema=schema, reader=read)
