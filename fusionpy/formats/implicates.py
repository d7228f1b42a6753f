"""Implicates on disk: written piece by piece, read one implicate at a time."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, SchemaError, few
from fusionpy.formats.aside import shown_path, written_aside
from fusionpy.formats.fst import FstFile, open_fst
from fusionpy.frames import Table, Unreadable, as_table

__all__ = ["METADATA_KEY", "Implicates", "open_implicates", "with_metadata", "write_parquet"]

METADATA_KEY = b"fusionpy"
ROWS_AT_ONCE = 2**20  # of a file's column M
Reader = Callable[[int, int, Sequence[str]], pa.Table]  # first row, number of rows, columns
Run = tuple[Any, int]  # a value of M, and how many rows have it in succession


def with_metadata(schema: pa.Schema, attributes: Mapping[str, object]) -> pa.Schema:
    """Note in an Arrow schema how the data were made."""
    return schema.with_metadata({METADATA_KEY: json.dumps(dict(attributes)).encode()})


@contextmanager
def write_parquet(target: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Write a Parquet file table by table; it appears under its name when it is complete.

    Parameters
    ----------
    target : Path
    schema : pyarrow.Schema

    Yields
    ------
    callable
        Appends one table.
    """
    with written_aside(target) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        yield lambda table: writer.write_table(table)


@dataclass(frozen=True)
class Implicates:
    """M implicates of one recipient survey, wherever they are kept.

    Attributes
    ----------
    kind : {"pandas", "polars", "pyarrow"}
        What results should be: the kind of frame they came as, pandas for files.
    names : tuple of str
        Columns other than M.
    labels : tuple
        Values of the column M, ascending.
    n_rows : int
        Records in each.
    attributes : dict
        How they were made, if that is known.
    in_memory : bool
    """

    kind: str
    names: tuple[str, ...]
    labels: tuple[Any, ...]
    n_rows: int
    attributes: Mapping[str, Any]
    in_memory: bool
    _read: Reader

    @property
    def M(self) -> int:
        """Number of implicates."""
        return len(self.labels)

    def read(self, number: int, names: Sequence[str]) -> pa.Table:
        """Read some columns of one implicate; safe to call from several threads.

        Parameters
        ----------
        number : int
            From 0.
        names : sequence of str

        Returns
        -------
        pyarrow.Table
            One chunk a column, in the recipient's order.
        """
        if not names:
            return pa.table({})
        table = self._read(number * self.n_rows, self.n_rows, names)
        return table.unify_dictionaries().combine_chunks()


def open_implicates(source: Any, argument: str = "implicates") -> Implicates:
    """Open implicates, from a data frame or a file, without reading more than column M.

    Parameters
    ----------
    source : pandas or polars DataFrame, pyarrow Table, or path
        As `fuse` returns or writes them: a column M and the same number of rows for each of its values. Paths
        are of Parquet files, or of ``.fsd`` and ``.fst`` files that R wrote; their rows are sorted by M.
    argument : str
        What to call it in errors.

    Returns
    -------
    Implicates

    Raises
    ------
    ArgumentError
        If a file cannot be read.
    SchemaError
        If they are no implicates.
    """
    if not isinstance(source, str | os.PathLike):
        return _from_table(as_table(source, argument), argument)
    path = Path(source).expanduser()
    headline = f"'{shown_path(path)}' cannot be read."
    hint = "Pass a file that `fuse(fsd=...)` wrote, or a data frame."
    if not path.is_file():
        problem = "It is a folder." if path.is_dir() else "There is no such file."
        raise ArgumentError(headline, [problem], hint)
    if path.suffix.lower() in (".fsd", ".fst"):
        return _from_fst(open_fst(path), argument)
    try:
        return _from_parquet(path, argument)
    except (pa.ArrowException, OSError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArgumentError(headline, [f"{line[:200].rstrip('.')}."], hint) from None


def _from_table(table: Table, argument: str) -> Implicates:
    """Implicates in memory; their rows may be in any order of M."""
    _check_has_m(table.names, argument)
    try:
        column = table.column("M")
    except Unreadable as error:
        raise _no_implicates(argument, f"Its column `M` holds {error}.") from None
    labels, n_rows, is_sorted = _implicates(_runs(column, argument), argument)
    order = None if is_sorted else pa.array(np.argsort(column.to_numpy(zero_copy_only=False), kind="stable"))
    held: dict[str, pa.Array] = {}

    def fetch(name: str) -> pa.Array:
        if name not in held:
            column = table.column(name)
            held[name] = column if order is None else column.take(order)
        return held[name]

    def read(first: int, n_rows: int, names: Sequence[str]) -> pa.Table:
        return pa.table({name: fetch(name).slice(first, n_rows) for name in names})

    native = getattr(table.frame.to_native(), "attrs", {})
    names = tuple(name for name in table.names if name != "M")
    return Implicates(table.kind, names, labels, n_rows, dict(native.get("fusionpy", {})), True, read)


def _from_parquet(path: Path, argument: str) -> Implicates:
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    _check_has_m(schema.names, argument)
    starts = np.concatenate(
        [[0], np.cumsum([metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)])]
    )

    def read(first: int, n_rows: int, names: Sequence[str]) -> pa.Table:
        groups = np.flatnonzero((starts[:-1] < first + n_rows) & (starts[1:] > first))
        with pq.ParquetFile(path, metadata=metadata) as file:
            table = file.read_row_groups(groups.tolist(), columns=list(names), use_threads=False)
        return table.slice(first - int(starts[groups[0]]) if len(groups) else 0, n_rows).select(list(names))

    labels, n_rows, is_sorted = _implicates(_file_runs(metadata, read, starts, argument), argument)
    if not is_sorted:
        raise _no_implicates(
            argument, "Its rows are not sorted by M.", "Sort them, or read the file into a frame."
        )
    made = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    names = tuple(name for name in schema.names if name != "M")
    return Implicates("pandas", names, labels, n_rows, made, False, read)


def _from_fst(file: FstFile, argument: str) -> Implicates:
    _check_has_m(file.names, argument)

    def read(first: int, n_rows: int, names: Sequence[str]) -> pa.Table:
        return file.read(list(names), first, n_rows)

    labels, n_rows, is_sorted = _implicates(_read_runs(read, 0, file.n_rows, argument), argument)
    if not is_sorted:
        raise _no_implicates(
            argument, "Its rows are not sorted by M.", "Sort them, or read the file into a frame."
        )
    names = tuple(name for name in file.names if name != "M")
    return Implicates("pandas", names, labels, n_rows, {}, False, read)


def _file_runs(
    metadata: pq.FileMetaData, read: Reader, starts: NDArray[np.int64], argument: str
) -> list[Run]:
    """Tell the runs of column M, from the statistics of row groups that hold one value of it."""
    runs: list[Run] = []
    place = metadata.schema.names.index("M")
    for g in range(metadata.num_row_groups):
        of = metadata.row_group(g).column(place).statistics
        n_rows = metadata.row_group(g).num_rows
        if of is not None and of.has_min_max and of.min == of.max and not of.null_count:
            runs.append((of.min, n_rows))
        else:
            runs += _read_runs(read, int(starts[g]), n_rows, argument)
    return runs


def _read_runs(read: Reader, first: int, n_rows: int, argument: str) -> list[Run]:
    """Read column M, a piece at a time, and tell its runs."""
    runs: list[Run] = []
    for start in range(first, first + n_rows, ROWS_AT_ONCE):
        piece = read(start, min(ROWS_AT_ONCE, first + n_rows - start), ["M"]).column("M")
        runs += _runs(piece.combine_chunks(), argument)
    return runs


def _runs(column: pa.Array, argument: str) -> list[Run]:
    """Tell the runs of equal values."""
    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise _no_implicates(argument, "Its column `M` must hold whole numbers, none missing.")
    if not len(column):
        return []
    encoded = pc.run_end_encode(column)
    ends = np.asarray(encoded.run_ends.to_numpy(zero_copy_only=False))
    return list(zip(encoded.values.to_pylist(), np.diff(ends, prepend=0).tolist(), strict=True))


def _implicates(runs: list[Run], argument: str) -> tuple[tuple[Any, ...], int, bool]:
    """Tell labels, rows of each, and whether they are sorted."""
    if not runs:
        raise _no_implicates(argument, "It has no rows.")
    rows: dict[Any, int] = {}
    for label, number in runs:
        rows[label] = rows.get(label, 0) + number
    sizes = sorted(set(rows.values()))
    if len(sizes) > 1:
        usual = max(sizes, key=list(rows.values()).count)
        odd = next(label for label, number in rows.items() if number != usual)
        problem = f"Implicates differ in rows: M = {odd} has {rows[odd]:,}, others {usual:,}."
        raise _no_implicates(argument, problem)
    met = [label for label, _ in runs]
    return tuple(sorted(rows)), sizes[0], all(a <= b for a, b in itertools.pairwise(met))


def _check_has_m(names: Sequence[str], argument: str) -> None:
    if "M" not in names:
        raise _no_implicates(argument, f"It has no column `M` (columns: {few(names, '`')}).")


def _no_implicates(argument: str, problem: str, hint: str | None = None) -> SchemaError:
    hint = (
        hint or "Pass what `fuse()` returned or wrote: a column M, and the same rows for each of its values."
    )
    return SchemaError(f"`{argument}` are no implicates.", [problem], hint)
