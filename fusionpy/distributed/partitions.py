"""A recipient survey in parts, each of which a worker can read by itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusionpy.errors import ArgumentError, Problems, shown
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.folders import parts_of
from fusionpy.formats.stored import open_stored
from fusionpy.formats.widths import joined
from fusionpy.frames.tables import Table, as_table

__all__ = ["PARTITION_ROWS", "Window", "check_data", "partitions_of", "table_of"]

PARTITION_ROWS = 100_000
HINT = "Pass a Parquet file, or a folder of Parquet files."


@dataclass(frozen=True)
class Window:
    """Consecutive rows of a survey on disk.

    Attributes
    ----------
    pieces : tuple of (str, int, int)
        File, first row in it, and number of rows.
    """

    pieces: tuple[tuple[str, int, int], ...]

    def read(self, names: Sequence[str]) -> pa.Table:
        """Read those columns that are there."""
        tables, called = [], []
        for path, first, n_rows in self.pieces:
            stored = open_stored(path, HINT)
            there = [name for name in dict.fromkeys(names) if name in stored.names]
            tables.append(stored.read(first, n_rows, there))
            called.append(stored.path.name)
        return joined(tables, called).unify_dictionaries()


def check_data(data: Any, problems: Problems) -> None:
    """Note a recipient that is neither on disk nor Dask's."""
    if isinstance(data, str | os.PathLike):
        return
    if not (hasattr(data, "to_delayed") and hasattr(data, "map_partitions")):
        problems.add(f"`data` must be a Dask DataFrame or the path of Parquet files, not {shown(data)}.")
        problems.hint = "`fusionpy.fuse()` takes a pandas or polars DataFrame."


def partitions_of(data: Any, names: Sequence[str], partition_rows: int | None) -> list[Any]:
    """Divide a recipient into partitions.

    Parameters
    ----------
    data : Dask DataFrame or path
    names : sequence of str
        Columns that are needed.
    partition_rows : int, optional
        Most rows of a partition, if `data` is a path.

    Returns
    -------
    list of dask.delayed of pandas.DataFrame, or of Window
        In the recipient's order; at least one.
    """
    if not isinstance(data, str | os.PathLike):
        chosen = [name for name in data.columns if name in names]
        return list(data[chosen].to_delayed())
    place = open_stored(data, HINT).path.absolute()
    paths = [place]
    if place.is_dir():
        parts, _ = parts_of(place)
        if parts[0].label is not None:
            problem = f"'{shown_path(place)}' holds implicates, in folders 'M=1' and so on."
            raise ArgumentError("`data` cannot be used.", [problem], "Pass the recipient survey.")
        paths = [part.path for part in parts]
    return [Window(tuple(pieces)) for pieces in _cut(paths, partition_rows or PARTITION_ROWS)]


def _cut(paths: Sequence[Path], most: int) -> Iterator[list[tuple[str, int, int]]]:
    """Gather whole files and row groups into partitions of at most so many rows, and cut what has more."""
    gathered: list[tuple[str, int, int]] = []
    n_rows = 0
    for path in paths:
        stored = open_stored(path, HINT)
        edges = stored.edges if stored.edges is not None and len(stored.edges) > 1 else (0, stored.n_rows)
        for first, size in _pieces(edges, most):
            if gathered and n_rows + size > most:
                yield gathered
                gathered, n_rows = [], 0
            if gathered and gathered[-1][0] == str(path):  # the row group before it
                before = gathered.pop()
                gathered.append((before[0], before[1], before[2] + size))
            else:
                gathered.append((str(path), first, size))
            n_rows += size
    if gathered:
        yield gathered


def _pieces(edges: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    """Cut row groups that are too large into equal pieces.

    Examples
    --------
    >>> list(_pieces([0, 2, 9], 3))
    [(0, 2), (2, 3), (5, 2), (7, 2)]
    """
    for low, high in pairwise(edges):
        n_pieces = max(1, -(-(high - low) // most))
        least, longer = divmod(high - low, n_pieces)
        for piece in range(n_pieces):
            size = least + (piece < longer)
            yield low, size
            low += size


def table_of(part: Any, names: Sequence[str]) -> Table:
    """Fetch the columns of a partition, on the worker.

    Parameters
    ----------
    part : pandas.DataFrame or Window
    names : sequence of str
        Those that are not there are left out.

    Returns
    -------
    Table
    """
    return as_table(part.read(names) if isinstance(part, Window) else part)
