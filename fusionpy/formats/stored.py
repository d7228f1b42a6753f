"""Tables on disk, as `fuse` writes them, written piece by piece, read in windows of rows.

A table is a Parquet file, an fst file, or a folder of Parquet files.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fusionpy.errors import ArgumentError
from fusionpy.formats.atomic import shown_path, written_aside
from fusionpy.formats.folders import Part, parts_of
from fusionpy.formats.fst import FstFile, FstWriter, open_fst
from fusionpy.formats.fst.header import NOTE_KEY
from fusionpy.formats.labels import NoLabels, Run, runs_of
from fusionpy.formats.notes import read_json, without_bad_notes
from fusionpy.formats.pages import Scale, open_scale
from fusionpy.formats.widths import Different, brought, common_schema
from fusionpy.frames.level_notes import (
    LEVELS_KEY,
    LOST,
    LevelNotes,
    Told,
    original_schema,
    told_levels,
    without_levels,
)
from fusionpy.frames.levels import FOR_PANDAS, noted_types, restored, seen_levels, typed_levels, with_guesses

__all__ = [
    "ENDINGS",
    "Reader",
    "Stored",
    "holds_fst",
    "is_finished",
    "is_fst",
    "noted_attributes",
    "open_stored",
    "with_metadata",
    "write_stored",
]

FST_ENDINGS = (".fsd", ".fst")
FST_AT, FST_BEGINS = 44, b"PAAP"  # where, and what, fst files say that they are
ENDINGS = (".parquet", *FST_ENDINGS)
CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
HINT = "Pass a file that `fuse(fsd=...)` wrote."
AGAIN = "Call `fusionpy.distributed.fuse()` again: it makes this file anew."
LEVELS = "levels"  # in the note of an fst file: types of levels that it has as text
KEYS = "keys"  # in the note of a Parquet file: columns that its rows are ordered by
ZONELESS = "zoneless"  # likewise: times that R has in UTC, and that had no zone
COMPRESS = 90  # of fst files, as the reference writes them
ROWS_AT_ONCE = 2**20  # of a file's column M
Reader = Callable[[int, int, Sequence[str], int], pa.Table]  # first row, number of rows, columns, threads


def with_metadata(schema: pa.Schema, attributes: Mapping[str, object]) -> pa.Schema:
    """Note in an Arrow schema how the data were made."""
    return schema.with_metadata({NOTE_KEY: json.dumps(dict(attributes)).encode()})


def is_fst(path: Path) -> bool:
    """Tell by its name whether a file is of the fst format.

    Examples
    --------
    >>> is_fst(Path("fused.FSD")), is_fst(Path("fused.parquet"))
    (True, False)
    """
    return path.suffix.lower() in FST_ENDINGS


def holds_fst(path: Path) -> bool:
    """Tell whether a file is of the fst format: by its name, or if that says nothing, by how it begins."""
    if path.suffix.lower() in ENDINGS or not path.is_file():
        return is_fst(path)
    try:
        with path.open("rb") as file:
            return file.read(len(FST_BEGINS) + FST_AT)[FST_AT:] == FST_BEGINS
    except OSError:
        return False


@contextmanager
def write_stored(
    target: Path, schema: pa.Schema, keys: Sequence[str] = ("M",)
) -> Iterator[Callable[[pa.Table], None]]:
    """Write implicates table by table; the file appears under its name when it is complete.

    Parameters
    ----------
    target : Path
        Ends with one of `ENDINGS`, which decides the format. What R's `read_fsd` reads is an fst file,
        compress = 90.
    schema : pyarrow.Schema
        Rows come in the order of its column M.
    keys : sequence of str
        Columns that the rows are ordered by, M first: R's data.table has them as its key.

    Yields
    ------
    callable
        Appends one table.
    """
    if is_fst(target):
        zoneless = [each.name for each in schema if pa.types.is_timestamp(each.type) and each.type.tz is None]
        told = {LEVELS: noted_types(schema), ZONELESS: zoneless}
        told = {key: value for key, value in told.items() if value}
        if told:
            schema = with_metadata(schema, {**noted_attributes(schema), **told})
        with FstWriter(target, schema, COMPRESS, keys=keys) as writer:
            yield writer.append
        return
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


@dataclass(frozen=True)
class Stored:
    """A table in a file or in many, whatever their format: any of its columns and rows.

    Attributes
    ----------
    path : Path
    schema : pyarrow.Schema
    n_rows : int
    attributes : dict
        How it was made, if that is noted.
    is_sorted : bool
        Whether the file says that its rows are in the order of column M.
    edges : tuple of int, optional
        Rows at which pieces begin that are best read as a whole, and the number of rows.
    told : mapping of str to Told
        What a Parquet file notes of levels that it could not hold.
    keys : tuple of str
        Columns that the rows are ordered by, as far as the file says so.
    """

    path: Path
    schema: pa.Schema
    n_rows: int
    attributes: Mapping[str, Any]
    is_sorted: bool
    edges: tuple[int, ...] | None
    _read: Reader
    _runs: Callable[[], Iterator[Run]]
    told: Mapping[str, Told] = field(default_factory=dict)
    keys: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(self.schema.names)

    def read(self, first: int, n_rows: int, names: Sequence[str], cores: int = 1) -> pa.Table:
        """Read a window of rows; safe to call from several threads.

        Parameters
        ----------
        first, n_rows : int
        names : sequence of str
            Columns, in the order wanted.
        cores : int
            Threads.

        Raises
        ------
        ArgumentError
            If the file is damaged there.
        """
        with _unreadable_told(self.path):
            return self._read(first, n_rows, names, cores)

    def windows(self, first: int, stop: int, most: int) -> Iterator[tuple[int, int]]:
        """Divide rows into windows: first row and number of rows of each, `most` where that can be.

        Examples
        --------
        >>> stored = Stored(Path("a"), pa.schema([]), 9, {}, False, (0, 2, 4, 9), None, None)
        >>> list(stored.windows(1, 9, 4))
        [(1, 3), (4, 5)]
        """
        while first < stop:
            end = min(first + most, stop)
            if self.edges is not None and end < stop:
                ahead = [edge for edge in self.edges if first < edge <= end] or [
                    edge for edge in self.edges if edge > end
                ]
                end = min(ahead[-1] if ahead[-1] <= end else ahead[0], stop)
            yield first, end - first
            first = end

    def runs(self) -> Iterator[Run]:
        """Tell the runs of equal values of column M, in order, reading no further than they are asked for.

        Raises
        ------
        NoLabels
            If it holds anything but numbers.
        ArgumentError
            If the file is damaged there.
        """
        with _unreadable_told(self.path):
            yield from self._runs()


def open_stored(path: str | os.PathLike[str], hint: str = HINT) -> Stored:
    """Open a Parquet or fst file, or a folder of Parquet files; only their heads are read.

    Parameters
    ----------
    path : path
        Anything but an fst file, by its name or its content, is taken for a Parquet file. Of a folder, see
        `fusionpy.formats.folders.parts_of`; folders ``M=1``, ``M=2``, ... in it tell the column M.
    hint : str
        What to do if it cannot be read.

    Returns
    -------
    Stored

    Raises
    ------
    ArgumentError
        If it cannot be read.
    """
    with _unreadable_told(Path(path), hint):
        try:
            path = Path(path).expanduser()
        except RuntimeError:
            raise OSError("Its '~' leads nowhere") from None
        if holds_fst(path) and path.is_file():
            return _open_fst(path)
        if path.is_dir():
            return _with_guessed_levels(_open_folder(path))
        if not path.is_file():
            raise OSError("There is no such file")
        if path.name.lower().endswith(CSV_ENDINGS):
            raise OSError("It is a CSV file, not Parquet or fst: read it into a data frame first")
        return _with_guessed_levels(_open_parquet(path))


@contextmanager
def _unreadable_told(path: Path, hint: str = HINT) -> Iterator[None]:
    """Tell the user why a file cannot be read."""
    try:
        yield
    except UnicodeError:
        problem = "Its name, or that of a folder that it is in, is not in UTF-8."
        raise ArgumentError(f"'{shown_path(path)}' cannot be read.", [problem], "Rename it.") from None
    except (pa.ArrowException, OSError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        headline = f"'{shown_path(path)}' cannot be read."
        raise ArgumentError(headline, [f"{line[:200].rstrip('.')}."], hint) from None


_SEEN: dict[
    tuple[str, str, int, int, int], pa.Array | None
] = {}  # levels of files that have been looked through
_SEEN_LOCK = threading.Lock()


def _with_noted_levels(stored: Stored) -> Stored:
    """Give columns back the levels that the file notes."""
    told = {name: each for name, each in stored.told.items() if each.levels is not None}
    return _with_levels(stored, told, {}) if told else stored


def _with_guessed_levels(stored: Stored) -> Stored:
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
                for chunk in stored._read(first, n_rows, [name], 1).column(0).chunks
            )
            _SEEN[key] = seen_levels(itertools.chain([pa.array([], told.kind)], chunks), told.n_levels)
        return _SEEN[key]


def _with_levels(stored: Stored, told: Mapping[str, Told], guessed: Mapping[str, int]) -> Stored:
    schema = with_guesses(stored.schema, told, guessed)

    def read(first: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        table = stored._read(first, n_rows, names, cores)
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

    return replace(stored, schema=schema, _read=read)


def _open_fst(path: Path) -> Stored:
    file: FstFile = open_fst(path)
    made = noted_attributes(file.schema)
    schema, typed = _retyped_schema(file, made.pop(LEVELS, None), made.pop(ZONELESS, None))
    schema = schema.remove_metadata() if not made else with_metadata(schema, made)

    def read(first: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        table = file.read(list(names), first, n_rows, cores=cores)
        columns = [
            _retyped(column, typed[name]) if name in typed else column.cast(schema.field(name).type)
            for name, column in zip(names, table.columns, strict=True)
        ]
        fields = [schema.field(name) for name in names]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))

    def runs() -> Iterator[Run]:
        for start, n_rows in stored.windows(0, file.n_rows, ROWS_AT_ONCE):
            yield from runs_of(read(start, n_rows, ["M"], 1).column("M").combine_chunks())

    is_sorted = file.keys[:1] == ("M",)
    stored = Stored(path, schema, file.n_rows, made, is_sorted, None, read, runs, keys=file.keys)
    return stored


def _retyped_schema(file: FstFile, levels: Any, zoneless: Any) -> tuple[pa.Schema, dict[str, pa.Array]]:
    """Give columns the types that are noted: levels that are no text, and times that had no zone."""
    schema, typed = file.schema, {}
    for name, kind in levels.items() if isinstance(levels, dict) else ():
        place = schema.get_field_index(name)
        if place < 0 or not pa.types.is_dictionary(schema.field(place).type):
            continue
        texts = file.read([name], 0, 0).column(0).combine_chunks().dictionary
        values = typed_levels(texts, str(kind))
        if values is not None:
            typed[name] = values
            ordered = schema.field(place).type.ordered
            kind = pa.dictionary(pa.int32(), values.type, ordered=ordered)
            schema = schema.set(place, schema.field(place).with_type(kind))
    for name in zoneless if isinstance(zoneless, list) else ():
        place = schema.get_field_index(name) if isinstance(name, str) else -1
        if place >= 0 and getattr(schema.field(place).type, "tz", None) == "UTC":
            field = schema.field(place)
            schema = schema.set(place, field.with_type(pa.timestamp(field.type.unit)))
    return schema, typed


def _retyped(column: pa.ChunkedArray, levels: pa.Array) -> pa.ChunkedArray:
    """Put levels of another type in the place of a factor's texts."""
    kind = pa.dictionary(pa.int32(), levels.type, ordered=column.type.ordered)
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, levels, ordered=column.type.ordered)
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, kind)


def _open_parquet(path: Path) -> Stored:
    """Open a Parquet file; its columns have the levels that are noted there."""
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
    return _with_noted_levels(stored)


def _open_folder(folder: Path) -> Stored:
    parts, noted = parts_of(folder)
    first = _open_part(parts[0])
    labelled = parts[0].label is not None
    known = all(part.n_rows is not None for part in parts)
    opened = [] if known else [_open_part(part) for part in parts]
    starts = np.cumsum([0, *([part.n_rows for part in parts] if known else [one.n_rows for one in opened])])
    schema = _shared_schema(opened, first)
    schema = _with_labels(schema) if labelled else schema
    if noted is not None:
        schema = with_metadata(schema, noted)
    edges = {0, *starts.tolist()}
    for start, one in zip(starts.tolist(), opened, strict=False):
        edges |= {start + edge for edge in one.edges or ()}

    def read(at: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        chosen = np.flatnonzero((starts[:-1] < at + n_rows) & (starts[1:] > at)).tolist()
        if not chosen:  # no rows, but levels
            chosen = np.flatnonzero((starts[:-1] <= at) & (starts[1:] > at)).tolist() or [0]
        tables = []
        for p in chosen:
            low, high = (int(np.clip(row, starts[p], starts[p + 1]) - starts[p]) for row in (at, at + n_rows))
            size = int(starts[p + 1] - starts[p])
            tables.append(_read_part(parts[p], size, low, high - low, names, schema, cores))
        return pa.concat_tables(tables).replace_schema_metadata(schema.metadata)

    def runs() -> Iterator[Run]:
        for p, part in enumerate(parts):
            if labelled:
                yield part.label, int(starts[p + 1] - starts[p])
            else:
                yield from opened[p].runs()

    attributes = first.attributes if noted is None else noted
    told = {name: each for name, each in first.told.items() if each.levels is None}
    for one in opened:  # which may tell of other numbers of levels
        for name, each in told.items():
            if one.told.get(name, each).n_levels != each.n_levels:
                told[name] = replace(each, n_levels=0)
    n_rows, pieces = int(starts[-1]), tuple(sorted(edges))
    return Stored(folder, schema, n_rows, attributes, labelled, pieces, read, runs, told)


def _open_part(part: Part) -> Stored:
    with _unreadable_told(part.path, AGAIN if part.noted else HINT):
        return _open_parquet(part.path)


def is_finished(part: Part) -> bool:
    """Tell whether a file of a data set is there, whole as far as its foot tells, and what it should be."""
    try:
        one = _open_parquet(part.path)
    except (pa.ArrowException, OSError, ValueError):
        return False
    return set(part.notes) <= set(one.attributes) and part.amiss(one.n_rows, one.attributes) is None


def _shared_schema(opened: Sequence[Stored], first: Stored) -> pa.Schema:
    """Find types that hold the columns of all files of a data set, or refuse files with different columns."""
    others = [one for one in opened if not one.schema.equals(first.schema)]
    try:
        every = [first, *others]
        return common_schema([one.schema for one in every], [one.path.name for one in every])
    except Different as difference:
        raise OSError(str(difference)) from None


def _with_labels(schema: pa.Schema) -> pa.Schema:
    """Put column M, which the folders' names tell, before the others."""
    place = schema.get_field_index("M")
    return (schema if place < 0 else schema.remove(place)).insert(0, pa.field("M", pa.int32()))


def _read_part(
    part: Part, size: int, first: int, n_rows: int, names: Sequence[str], schema: pa.Schema, cores: int
) -> pa.Table:
    """Read rows of one file, whose name may tell column M."""
    one = _open_part(part)
    with _unreadable_told(part.path, AGAIN if part.noted else HINT):
        if one.n_rows != size:
            raise OSError(f"It has {one.n_rows:,} rows, and should have {size:,}")
        if amiss := part.amiss(one.n_rows, one.attributes):
            raise OSError(amiss)
    own = [name for name in names if name != "M" or part.label is None]
    columns = dict(zip(own, one.read(first, n_rows, own, cores).columns, strict=True))
    if len(own) < len(names):
        columns["M"] = pa.chunked_array([np.full(n_rows, part.label, dtype=np.int32)])
    with _unreadable_told(part.path, AGAIN if part.noted else HINT):
        try:
            return brought(pa.table({name: columns[name] for name in names}), schema)
        except Different as difference:
            raise OSError(f"Its {difference}") from None


def noted_attributes(schema: pa.Schema) -> dict[str, Any]:
    """Take what is noted in a schema of how the data were made; nothing if that is not ours."""
    try:
        made = read_json((schema.metadata or {}).get(NOTE_KEY, b"{}"))
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


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
