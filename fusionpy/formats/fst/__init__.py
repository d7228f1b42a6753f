"""The fst format of R's fst package (`.fst`, and fusionModel's `.fsd`), read column by column, row by row.

Version 1 of the format, which fst 0.8.0 and later write, after the project's description of it.
`fusionpy.formats.fst.writer` writes it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from fusionpy.errors import ArgumentError, Problems, few, is_whole, meant, shown
from fusionpy.formats import Damaged
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.fst.columns import has_levels, levels_array, read_factor, read_fixed, read_strings
from fusionpy.formats.fst.header import FEW_ROWS, Column, read_header, read_note
from fusionpy.formats.fst.source import Source
from fusionpy.formats.fst.writer import FstWriter, pack_fst, write_fst
from fusionpy.formats.notes import NOTE_KEY
from fusionpy.formats.r_types import field_of, to_arrow

__all__ = ["FstFile", "FstWriter", "open_fst", "pack_fst", "read_fst", "write_fst"]

BITS_AT_ONCE = 2**16
WRITE_ANEW = "Write it again with `fst::write_fst()`, or copy it again from where it came."


@dataclass(frozen=True)
class FstFile:
    """An fst file whose head has been read: what it holds, and any part of it at any time.

    Attributes
    ----------
    source : Path or bytes
        Where it is, or its content.
    names : tuple of str
        Of the columns, in order.
    schema : pyarrow.Schema
        Of what `read` returns. Its metadata hold what `FstWriter` was told of the file under `fusionpy`.
    n_rows : int
    keys : tuple of str
        Columns that the rows are ordered by, the most significant first.
    """

    source: Path | bytes = field(repr=False)
    names: tuple[str, ...]
    schema: pa.Schema = field(repr=False)
    n_rows: int
    keys: tuple[str, ...]
    columns: tuple[Column, ...] = field(repr=False)
    stamp: tuple[int, int] = field(repr=False)  # size and time of the last change, when it was opened

    def read(
        self,
        columns: str | Sequence[str] | None = None,
        first: int = 0,
        n_rows: int | None = None,
        *,
        cores: int = 1,
    ) -> pa.Table:
        """Read columns, or a window of their rows; only what is asked for is fetched and unpacked.

        Parameters
        ----------
        columns : str or sequence of str, optional
            In the order wanted. Of several columns of the same name the first is meant. All, if left out.
        first : int
            First row, from 0.
        n_rows : int, optional
            Rows; to the end if left out, or if there are fewer.
        cores : int
            Threads, each of which reads whole columns.

        Returns
        -------
        pyarrow.Table
            See `read_fst`.

        Raises
        ------
        ArgumentError
            If there are no such columns or rows, or the file is damaged there.
        """
        chosen = self._choose(columns)
        stop = self._check_window(first, n_rows)

        def fetch(j: int) -> pa.Array | pa.ChunkedArray:
            with _opened(self.source) as (file, stamp):
                if stamp != self.stamp:
                    raise Damaged("it has changed since it was opened")
                return self._column(Source(file, stamp[0]), j, int(first), stop)

        with _damage_told(self.source):
            if cores > 1 and len(chosen) > 1:
                with ThreadPoolExecutor(cores) as pool:
                    arrays = list(pool.map(fetch, chosen))
            else:
                arrays = [fetch(j) for j in chosen]
        fields = [self.schema.field(j) for j in chosen]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields, self.schema.metadata))

    def _choose(self, columns: str | Sequence[str] | None) -> list[int]:
        if columns is None:
            return list(range(len(self.names)))
        wanted = [columns] if isinstance(columns, str) else list(columns)
        unknown = [name for name in wanted if name not in self.names]
        if unknown:
            guess = meant(str(unknown[0]), self.names) if len(unknown) == 1 else ""
            problem = f"It has no {few(unknown, '`')}{guess}."
            raise ArgumentError(
                f"`columns` cannot be read from {_called(self.source)}.",
                [problem],
                f"It has {few(self.names, '`')}." if self.names else "It has no columns at all.",
            )
        return [self.names.index(name) for name in wanted]

    def _check_window(self, first: int, n_rows: int | None) -> int:
        problems = Problems(ArgumentError, f"These rows cannot be read from {_called(self.source)}.")
        if not is_whole(first, 0):
            problems.add(f"`first` must be a row number, from 0, not {shown(first)}.")
        elif first > self.n_rows:
            problems.add(f"`first` is {int(first):,}, but there are {self.n_rows:,} rows.")
        if n_rows is not None and not is_whole(n_rows, 0):
            problems.add(f"`n_rows` must be a number of rows, not {shown(n_rows)}.")
        problems.stop()
        return self.n_rows if n_rows is None else min(self.n_rows, int(first) + int(n_rows))

    def _column(self, file: Source, number: int, first: int, stop: int) -> pa.Array | pa.ChunkedArray:
        column = self.columns[number]
        source = file.before(column.end)
        if column.kind.storage == 6:
            return read_strings(source, column.position, self.n_rows, first, stop)
        if column.kind.storage == 7:
            if not has_levels(source, column.position):
                self._check_rows(file)
            codes, levels = read_factor(source, column.position, self.n_rows, first, stop)
            return levels_array(codes, levels, ordered=column.kind.name == "ordered")
        arrow = self.schema.field(number).type
        # Logical values take bits in the file and in Arrow, but four bytes between the two.
        step = BITS_AT_ONCE if column.kind.storage == 10 else max(1, stop - first)
        parts = [
            to_arrow(
                column.kind,
                read_fixed(
                    source, column.position, self.n_rows, at, min(at + step, stop), column.kind.element
                ),
                arrow,
            )
            for at in range(first, max(stop, first + 1), step)
        ]
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)

    def _check_rows(self, file: Source) -> None:
        """Refuse rows that no column holds: a factor without levels takes no space, however many it has."""
        if self.n_rows <= FEW_ROWS:
            return
        for number, column in enumerate(self.columns):
            source = file.before(column.end)
            try:
                if column.kind.storage != 7 or has_levels(source, column.position):
                    self._column(file, number, self.n_rows - 1, self.n_rows)
                    return
            except Damaged:
                continue
        raise Damaged(f"it is said to have {self.n_rows:,} rows, but no column holds so many")


def open_fst(path: str | os.PathLike[str] | bytes) -> FstFile:
    """Read the head of an fst file.

    Parameters
    ----------
    path : path or bytes
        A file, or the content of one.

    Returns
    -------
    FstFile

    Raises
    ------
    ArgumentError
        If it is not an fst file, or damaged.

    Examples
    --------
    >>> file = open_fst(pack_fst(pa.table({"M": pa.array([1, 1, 2], pa.int32())}), keys=["M"]))
    >>> file
    FstFile(names=('M',), n_rows=3, keys=('M',))
    >>> file.read(first=1)["M"].to_pylist()
    [1, 2]
    """
    if not isinstance(path, bytes | str | os.PathLike):
        raise ArgumentError(f"`path` must be the path of an fst file, not {shown(path)}.")
    source = path if isinstance(path, bytes) else Path(path)
    with _damage_told(source), _opened(source) as (file, stamp):
        header = read_header(Source(file, stamp[0]))
        fields = [field_of(column.name, column.kind, column.zone) for column in header.columns]
        note = read_note(Source(file, stamp[0]))
    names = tuple(column.name for column in header.columns)
    schema = pa.schema(fields, {NOTE_KEY: note} if note else None)
    return FstFile(source, names, schema, header.n_rows, header.keys, header.columns, stamp)


def read_fst(
    path: str | os.PathLike[str] | bytes,
    columns: str | Sequence[str] | None = None,
    first: int = 0,
    n_rows: int | None = None,
) -> pa.Table:
    """Read an fst file, or some of its columns and rows.

    Parameters
    ----------
    path : path or bytes
        A file, or the content of one.
    columns : str or sequence of str, optional
        In the order wanted; all, if left out.
    first : int
        First row, from 0.
    n_rows : int, optional
        Rows; to the end if left out, or if there are fewer.

    Returns
    -------
    pyarrow.Table
        NA is null; NaN stays NaN. A factor is a dictionary of strings, with its ordered flag; a missing level
        counts as null. A date is a date32, and a part of a day is dropped; a POSIXct is a timestamp in its
        zone, or in UTC if R gives it none, to the microsecond, or the second if R has integers; a difftime is
        a duration, an ITime a time, an integer64 an int64, a nanotime a timestamp to the nanosecond, a raw
        an uint8. Fields whose type does not tell which of these it was keep it in their metadata, so that
        `write_fst` writes the same again.

    Raises
    ------
    ArgumentError
        If it is not an fst file, or damaged, or there are no such columns or rows.

    Notes
    -----
    What a file claims is compared with the bytes that it has before memory is taken for it. Few bytes can
    stand for many equal rows, a thousand times their size; reading takes a few times what the rows take, and
    of a damaged file no more than of a sound one (`tests/fuzzing.py` measures it).

    Examples
    --------
    >>> content = pack_fst(pa.table({"a": [1.5, None], "b": ["x", "y"]}))
    >>> read_fst(content, columns=["b", "a"]).to_pydict()
    {'b': ['x', 'y'], 'a': [1.5, None]}
    """
    return open_fst(path).read(columns, first, n_rows)


@contextmanager
def _opened(source: Path | bytes) -> Iterator[tuple[BinaryIO, tuple[int, int]]]:
    """Open a source; give the file, and its size and the time of its last change."""
    if isinstance(source, bytes):
        yield io.BytesIO(source), (len(source), 0)
        return
    path = source.expanduser()
    if path.exists() and not path.is_file():  # to open a pipe would wait for ever
        raise Damaged("it is a folder" if path.is_dir() else "it is not an ordinary file")
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        yield file, (status.st_size, status.st_mtime_ns)


@contextmanager
def _damage_told(source: Path | bytes) -> Iterator[None]:
    """Tell the user what is wrong with a file."""
    headline = f"{_called(source)} cannot be read as an fst file."
    try:
        yield
    except Damaged as damage:
        problem = str(damage)
        raise ArgumentError(headline, [f"{problem[0].upper()}{problem[1:]}."], WRITE_ANEW) from None
    except (OSError, RuntimeError, ValueError) as error:  # also no such user, or not a file name at all
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(headline, [f"{reason.rstrip('.')}."], "Check the path.") from None


def _called(source: Path | bytes) -> str:
    return "The content" if isinstance(source, bytes) else f"'{shown_path(source)}'"
