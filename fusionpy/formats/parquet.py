"""Parquet files of implicates and surveys: the usual format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fusionpy.formats.atomic import written_aside
from fusionpy.formats.base import ROWS_AT_ONCE, Append, Format, Stored
from fusionpy.formats.labels import NoLabels, Run, runs_of
from fusionpy.formats.notes import NOTE_KEY, noted_attributes, with_metadata, without_bad_notes
from fusionpy.formats.pages import Scale, open_scale
from fusionpy.formats.stored_levels import with_guessed_levels, with_noted_levels
from fusionpy.frames.level_notes import (
    LEVELS_KEY,
    LOST,
    LevelNotes,
    original_schema,
    told_levels,
    without_levels,
)
from fusionpy.frames.levels import FOR_PANDAS

__all__ = ["PARQUET", "open_parquet"]

KEYS = "keys"  # in the note of a file: columns that its rows are ordered by


def open_parquet(path: Path) -> Stored:
    """Open a file; its columns have the levels that are noted there, not those that must be looked for."""
    metadata = pq.read_metadata(path)
    written = metadata.schema.to_arrow_schema()
    schema = without_bad_notes(written)
    is_sound = schema is written
    if LEVELS_KEY in (metadata.metadata or {}):  # of rows after the first, which the schema does not know
        noted = {LEVELS_KEY: metadata.metadata[LEVELS_KEY]}
        schema = schema.with_metadata({**(schema.metadata or {}), **noted})
    sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *sizes])
    scale = open_scale(path, metadata)

    def read(first: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        groups = np.flatnonzero((starts[:-1] < max(first + n_rows, first + 1)) & (starts[1:] > first))
        scale.weigh(groups.tolist(), names)
        with pq.ParquetFile(path, metadata=metadata) as file:
            table = file.read_row_groups(groups.tolist(), columns=list(names), use_threads=cores > 1)
        if not is_sound:
            table = table.replace_schema_metadata(without_bad_notes(written).metadata)
        return table.slice(first - int(starts[groups[0]]) if len(groups) else 0, n_rows).select(list(names))

    made = noted_attributes(schema)
    keys = made.pop(KEYS, None)
    stored = Stored(
        path,
        schema,
        metadata.num_rows,
        made,
        False,  # whoever sorts a table that we made keeps our note; the statistics tell as quickly
        tuple(starts.tolist()),
        read,
        lambda: _parquet_runs(path, metadata, scale),
        told_levels(schema, original_schema((metadata.metadata or {}).get(b"ARROW:schema"))),
        tuple(each for each in keys if isinstance(each, str)) if isinstance(keys, list) else (),
    )
    return with_noted_levels(stored)


def _parquet_runs(path: Path, metadata: pq.FileMetaData, scale: Scale) -> Iterator[Run]:
    """Tell the runs of column M, from the statistics of row groups that hold one value of it."""
    place = metadata.schema.names.index("M")
    for g in range(metadata.num_row_groups):
        of = metadata.row_group(g).column(place).statistics
        is_told = of is not None and of.has_min_max and of.min == of.max and of.has_null_count
        if is_told and not of.null_count and not isinstance(of.min, float):  # which may hide NaN
            if isinstance(of.min, bool) or not isinstance(of.min, int):
                raise NoLabels
            yield of.min, metadata.row_group(g).num_rows
            continue
        scale.weigh([g], ["M"])
        with pq.ParquetFile(path, metadata=metadata) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, [g], ["M"], use_threads=False):
                yield from runs_of(batch.column(0))


@contextmanager
def _write(target: Path, schema: pa.Schema, keys: Sequence[str]) -> Iterator[Append]:
    if len(keys) > 1:  # Parquet files have M first by what they are
        schema = with_metadata(schema, {**noted_attributes(schema), KEYS: list(keys)})
    with written_aside(target, private=True) as aside, ExitStack() as stack:
        parquet = _ParquetFile(aside, schema, stack)
        yield parquet.append
        parquet.finish()


class _ParquetFile:
    """A Parquet file in the making, with the levels that it cannot hold noted in its schema."""

    def __init__(self, aside: Path, schema: pa.Schema, stack: ExitStack) -> None:
        self._aside, self._schema, self._stack = aside, schema, stack
        self._notes = LevelNotes()
        self._noted: str | None = None
        self._writer: pq.ParquetWriter | None = None

    def append(self, table: pa.Table) -> None:
        """Add rows."""
        plain = self._notes.meet(table)
        self._opened().write_table(plain)

    def finish(self) -> None:
        """Note levels that came later than the first rows."""
        writer, packed = self._opened(), self._notes.packed()
        if packed is not None and packed != self._noted:
            writer.add_key_value_metadata({LEVELS_KEY.decode(): packed})

    def _opened(self) -> pq.ParquetWriter:
        if self._writer is None:
            schema, self._noted = without_levels(self._schema.empty_table()).schema, self._notes.packed()
            if self._noted is not None:
                told = json.dumps({NOTE_KEY.decode(): {LOST: self._notes.names}}).encode()
                noted = {LEVELS_KEY: self._noted.encode(), FOR_PANDAS: told}
                schema = schema.with_metadata({**(schema.metadata or {}), **noted})
            self._writer = self._stack.enter_context(
                pq.ParquetWriter(self._aside, schema, compression="zstd")
            )
        return self._writer


PARQUET = Format("Parquet", (".parquet",), lambda path: with_guessed_levels(open_parquet(path)), _write)
