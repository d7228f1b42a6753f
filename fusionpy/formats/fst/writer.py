"""Writing fst files that R's fst package reads, table by table."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from fusionpy.errors import ArgumentError, Problems, SchemaError, few, grouped, meant, repeated
from fusionpy.formats.atomic import check_writable, written_aside
from fusionpy.formats.fst.header import data_start, pack_header, pack_note
from fusionpy.formats.fst.packing import Spool, column_of, text_vector
from fusionpy.formats.notes import NOTE_KEY
from fusionpy.formats.r_types import Kind, kind_of_field, zone_of_field

__all__ = ["FstWriter", "pack_fst", "write_fst"]

MOST_ROWS = 2**31 - 1  # of a data frame in R
ROWS_AT_ONCE = 2**18
DEFAULT_LEVEL = 50  # R's
RECODE = "Recode or drop these columns."


class FstWriter:
    """Write an fst file table by table; it appears under its name when it is complete.

    Columns are packed as rows come and kept in one temporary file beside the target, because the format has
    them one after the other: memory does not depend on the number of rows.

    Parameters
    ----------
    target : Path
        As `check_writable` returns it.
    schema : pyarrow.Schema
        Names and types of the columns. What its metadata have under `fusionpy` is written behind the last
        column, where R does not look, and read again by `open_fst`.
    compress : int
        0 (none) to 100 (most), as for R's `write_fst`.
    keys : sequence of str
        Columns that the rows are ordered by, the most significant first. That they are is not checked.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If a column is of a type that R does not have.

    Examples
    --------
    >>> from fusionpy.formats.fst import read_fst
    >>> table = pa.table({"M": pa.array([1, 1], pa.int32()), "y": [0.5, None]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FstWriter(Path(folder) / "y.fsd", table.schema, compress=90, keys=["M"]) as writer:
    ...         writer.append(table)
    ...         writer.append(table)
    ...     read_fst(Path(folder) / "y.fsd").num_rows
    4
    """

    def __init__(
        self, target: Path, schema: pa.Schema, compress: int = DEFAULT_LEVEL, *, keys: Sequence[str] = ()
    ) -> None:
        self._encoder = _Encoder(schema, compress, keys)
        self._target = target

    def __enter__(self) -> FstWriter:
        with ExitStack() as stack:
            self._aside = stack.enter_context(written_aside(self._target, private=True))
            self._encoder.begin(stack.enter_context(tempfile.TemporaryFile(dir=self._target.parent)))
            self._stack = stack.pop_all()
        return self

    def append(self, table: pa.Table) -> None:
        """Add rows.

        Parameters
        ----------
        table : pyarrow.Table
            Every column of the schema, of a type that goes without loss into the column's.

        Raises
        ------
        SchemaError
            If a column is missing, of another type, or has values that R cannot hold.
        """
        self._encoder.append(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None:
                raise error
            with self._aside.open("wb") as out:
                self._encoder.finish(out)


def write_fst(
    tables: Iterable[pa.Table],
    path: str | os.PathLike[str],
    schema: pa.Schema,
    *,
    compress: int = DEFAULT_LEVEL,
    keys: Sequence[str] = (),
) -> None:
    """Write tables one after the other to an fst file.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        All with the schema's columns; none is kept longer than it takes to pack it.
    path : path
        Ends with ``.fst`` or ``.fsd``. Replaced only when the file is complete.
    schema : pyarrow.Schema
        Names and types of the columns. A dictionary becomes a factor, whose levels are those of the first
        table and then whatever later ones add; integers of 32 bits and less R's integer, longer ones
        integer64; a date R's Date; a timestamp POSIXct, in UTC if it names no zone; a duration a difftime in
        seconds, a time an ITime. What `read_fst` noted in a field's metadata takes precedence.
    compress : int
        0 (none) to 100 (most), as for R's `write_fst`.
    keys : sequence of str
        Columns that the rows are ordered by, the most significant first. That they are is not checked.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If R cannot hold a column.
    OutputError
        If the file cannot be written.

    Notes
    -----
    What R writes at compress = 0 of numbers and ASCII text comes out byte for byte the same.
    """
    target = check_writable(path, "path", (".fst", ".fsd"))
    with FstWriter(target, schema, compress, keys=keys) as writer:
        for table in tables:
            writer.append(table)


def pack_fst(table: pa.Table, compress: int = DEFAULT_LEVEL, keys: Sequence[str] = ()) -> bytes:
    """Give the content of an fst file with one table, for an archive for instance.

    Parameters
    ----------
    table : pyarrow.Table
    compress : int
    keys : sequence of str

    Returns
    -------
    bytes

    Raises
    ------
    ArgumentError, SchemaError
        As `write_fst`.

    Examples
    --------
    >>> pack_fst(pa.table({"a": [True, None]}))[44:48]
    b'PAAP'
    """
    encoder = _Encoder(table.schema, compress, keys)
    encoder.begin(io.BytesIO())
    encoder.append(table)
    out = io.BytesIO()
    encoder.finish(out)
    return out.getvalue()


class _Encoder:
    """The columns of a file in the making."""

    def __init__(self, schema: pa.Schema, compress: int, keys: Sequence[str]) -> None:
        _check_arguments(schema, compress, keys)
        self.schema, self.level = schema, int(compress)
        self.keys = [schema.names.index(key) for key in keys]
        self.kinds = _kinds(schema)
        self.n_rows = 0
        self.is_whole = True

    def begin(self, spool: IO[bytes]) -> None:
        """Take a file to keep packed columns in."""
        shared = Spool(spool)
        self.columns = [
            column_of(shared, kind, self.level, zone_of_field(field) if kind.has_zone else None)
            for kind, field in zip(self.kinds, self.schema, strict=True)
        ]

    def append(self, table: pa.Table) -> None:
        """Pack a table's columns."""
        problems = Problems(SchemaError, "Rows cannot be written as fst.", RECODE)
        missing = [name for name in self.schema.names if table.column_names.count(name) != 1]
        if missing:
            problems.add(f"The rows lack {few(missing, '`')}, or have several of that name.")
        if self.n_rows + table.num_rows > MOST_ROWS:
            problems.add(f"They are more than the {MOST_ROWS:,} rows that R's data frames can have.")
        problems.stop()
        was_whole, self.is_whole = self.is_whole, False  # until every column has these rows
        found = []
        for field, column in zip(self.schema, self.columns, strict=True):
            for chunk in table.column(field.name).chunks:
                try:
                    for start in range(0, len(chunk), ROWS_AT_ONCE):
                        column.append(_fitted(chunk.slice(start, ROWS_AT_ONCE), field.type))
                    if not len(chunk) and pa.types.is_dictionary(chunk.type):
                        column.append(_fitted(chunk, field.type))  # it has levels even so
                except (pa.ArrowException, ValueError) as error:
                    reason = "values of another type" if isinstance(error, pa.ArrowException) else str(error)
                    found.append(("", field.name, f"has {reason}"))
                    break
        for problem in grouped(found):
            problems.add(problem)
        problems.stop()
        self.is_whole = was_whole
        self.n_rows += table.num_rows

    def finish(self, out: IO[bytes]) -> None:
        """Write the file."""
        if not self.is_whole:
            raise SchemaError("The table cannot be written as fst.", ["Some of its rows could not be."])
        names = text_vector(pa.array(self.schema.names, pa.string()), 0)
        position = data_start(len(self.kinds), len(self.keys), len(names))
        heads, positions = [], []
        for name, column in zip(self.schema.names, self.columns, strict=True):
            try:
                column.finish()
                heads.append(column.head(position))
            except ValueError as error:
                problems = grouped([("", name, f"has {error}")])
                raise SchemaError("Rows cannot be written as fst.", problems, RECODE) from error
            positions.append(position)
            position += len(heads[-1]) + column.strand.size
        out.write(pack_header(self.kinds, self.n_rows, self.keys, names, positions))
        for head, column in zip(heads, self.columns, strict=True):
            out.write(head)
            column.strand.copy_to(out)
        out.write(pack_note((self.schema.metadata or {}).get(NOTE_KEY, b"")))


def _fitted(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Bring rows to their column's type."""
    if pa.types.is_dictionary(kind):
        return array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    return array if array.type == kind else array.cast(kind)


def _check_arguments(schema: pa.Schema, compress: Any, keys: Sequence[str]) -> None:
    problems = Problems(ArgumentError, "The table cannot be written as fst.")
    problems.between("compress", compress, 0, 100)
    for name in [key for key in keys if key not in schema.names]:
        problems.add(f"`keys` names {few([name], '`')}, which is not a column{meant(name, schema.names)}.")
    if twice := repeated(keys):
        problems.add(f"`keys` names {few(twice, '`')} more than once.")
    problems.stop()


def _kinds(schema: pa.Schema) -> list[Kind]:
    """Find R's types for a schema's."""
    problems = Problems(SchemaError, "The table cannot be written as fst.")
    if twice := repeated(schema.names):
        problems.add(f"Several columns have the same name: {few(twice, '`')}.")
    if odd := [name for name in schema.names if "\0" in name]:
        problems.add(f"Names of columns have a zero byte: {few(odd, '`')}.")
    kinds = [kind_of_field(field) for field in schema]
    strange = [
        ("", field.name, f"R has no columns of type {field.type}")
        for field, kind in zip(schema, kinds, strict=True)
        if kind is None
    ]
    for problem in grouped(strange):
        problems.add(problem)
        problems.hint = "Convert or drop them."
    problems.stop()
    return [kind for kind in kinds if kind is not None]
