"""What a format of tables on disk is, and what a table in a file of any is: read in windows of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusionpy.errors import ArgumentError
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.labels import Run
from fusionpy.frames.level_notes import Told

__all__ = ["HINT", "ROWS_AT_ONCE", "Append", "Format", "Reader", "Stored", "unreadable_told"]

HINT = "Pass a file that `fuse(fsd=...)` wrote."
ROWS_AT_ONCE = 2**20  # of a column that is looked through
Reader = Callable[[int, int, Sequence[str], int], pa.Table]  # first row, number of rows, columns, threads
Append = Callable[[pa.Table], None]  # writes one more table


@dataclass(frozen=True)
class Format:
    """What tells files of a format, and how they are opened and written.

    Attributes
    ----------
    name : str
        As messages have it.
    endings : tuple of str
        Of its files' names, in lower case.
    open : callable
        Makes a `Stored` of a file's path, reading no more than its head. What it raises for a file that is
        damaged (`OSError`, or pyarrow's errors) `open_stored` tells the user.
    write : callable
        Of a path, a schema, and the columns that rows are ordered by: a context that yields what appends a
        table. The file appears under its name when the context ends well.
    mark : (int, bytes), optional
        Where, and what, its files say that they are. Without it, they are told by their names alone.
    """

    name: str
    endings: tuple[str, ...]
    open: Callable[[Path], Stored]
    write: Callable[[Path, pa.Schema, Sequence[str]], AbstractContextManager[Append]]
    mark: tuple[int, bytes] | None = None


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
    reader: Reader
    run_reader: Callable[[], Iterator[Run]]
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
        with unreadable_told(self.path):
            return self.reader(first, n_rows, names, cores)

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
        with unreadable_told(self.path):
            yield from self.run_reader()


@contextmanager
def unreadable_told(path: Path, hint: str = HINT) -> Iterator[None]:
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
