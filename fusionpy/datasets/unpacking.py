"""Read agencies' CSV files, alone or in ZIP archives, with distrust: they come from the network."""

from __future__ import annotations

import csv
import io
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from fusionpy.datasets.caching import DownloadError
from fusionpy.errors import ArgumentError, grouped, meant

__all__ = ["as_frame", "opened", "read_csv", "what_is_wrong"]

MOST_MEMBERS = 50
MOST_BYTES = 4 * 10**9  # of a member, unpacked: the largest of the ACS has a tenth of it
MOST_RATIO = 100  # unpacked over packed: the ACS's have less than 15
HEADER = 2**16  # bytes in which the names of the columns are
BLOCK = 2**24  # bytes of CSV that are parsed at a time


def what_is_wrong(path: Path, member: str | None, column: str) -> str | None:
    """Say what shows that a file is not a CSV file with this column, or a ZIP archive of one.

    Parameters
    ----------
    path : pathlib.Path
    member : str or None
        Name of the CSV file in the archive; None if the file itself is it.
    column : str
        Name that its first line must have.

    Returns
    -------
    str or None
        None if nothing is wrong.
    """
    try:
        with opened(path, member) as file:
            names = _header(file)
            while member is not None and file.read(HEADER):  # to the end, where its checksum is compared
                pass
    except DownloadError as error:
        return error.problems[0]
    if column in names:
        return None
    with path.open("rb") as file:
        start = file.read(24)
    return f"Its first line does not name the column {column}; it begins with {start!r}."


@contextmanager
def opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """Open a CSV file, or the one member of a ZIP archive that is wanted; nothing is unpacked to disk.

    Raises
    ------
    DownloadError
        If the archive is unsafe or damaged, or has no such member.
    """
    if member is None:
        with path.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as archive:
            if problem := _suspicious(archive, member):
                raise _unfit(path, problem)
            with archive.open(member) as file:
                yield file
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _unfit(path, f"It is no ZIP archive, or a damaged one ({error}).") from None
    except Exception as error:
        if type(error).__module__ == "zlib":  # zlib.error has no other base
            raise _unfit(path, f"It is damaged ({error}).") from None
        raise


def _suspicious(archive: zipfile.ZipFile, member: str) -> str | None:
    """Say what makes a member unsafe to read, or the archive another one than expected."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        return f"It has {len(infos):,} members, not one or two."
    found = [info for info in infos if info.filename == member]
    if len(found) != 1:
        return f"It has {'several members' if found else 'no member'} named {member}."
    info = found[0]
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return f"Its member {member} is no plain file."
    if info.flag_bits & 0x1:
        return f"Its member {member} is encrypted."
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"Its member {member} is compressed in an unusual way."
    if info.file_size > MOST_BYTES or info.file_size > HEADER + MOST_RATIO * info.compress_size:
        return f"Its member {member} claims to unpack to {info.file_size:,} bytes."
    return None


def _unfit(path: Path, problem: str) -> DownloadError:
    hint = f"Delete it and '{path.name}.json' beside it to download the file anew."
    return DownloadError(f"'{path}' cannot be read.", [problem], hint)


def _header(file: IO[bytes]) -> list[str]:
    """Read the names of the columns."""
    line = file.read(HEADER).decode("utf-8-sig", errors="replace").split("\n", 1)[0]
    return next(csv.reader(io.StringIO(line.rstrip("\r"))), [])


def read_csv(
    path: Path,
    member: str | None,
    columns: Sequence[str] | None,
    is_text: Callable[[str], bool],
    is_whole: bool,
) -> pa.Table:
    """Read a CSV file.

    Parameters
    ----------
    path : pathlib.Path
    member : str or None
        Name of the CSV file, if `path` is a ZIP archive.
    columns : sequence of str or None
        Those to read, in this order; None for all.
    is_text : callable
        Tells whether the column of this name is text.
    is_whole : bool
        All other columns are whole numbers; if not, their values tell what they are.

    Returns
    -------
    pyarrow.Table
        Empty fields are missing, in columns of text too.

    Raises
    ------
    ArgumentError
        If there are no such columns.
    DownloadError
        If the file cannot be read, or is laid out otherwise.
    """
    with opened(path, member) as file:
        names = _header(file)
    if unknown := [name for name in columns or () if name not in names]:
        found = [("", name, f"not in {member or path.name}" + meant(name, names)) for name in unknown]
        raise ArgumentError("`columns` cannot be read.", grouped(found), "Names are as in the file.")
    wanted = list(columns) if columns is not None else names
    types = {
        name: pa.string() if is_text(name) else pa.int64() for name in wanted if is_whole or is_text(name)
    }
    # Types that are inferred are those of the first block: the file must be one.
    size = BLOCK if is_whole else path.stat().st_size + 1
    try:
        with opened(path, member) as file:
            return pyarrow.csv.read_csv(
                file,
                pyarrow.csv.ReadOptions(block_size=size),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=types, include_columns=wanted, null_values=[""], strings_can_be_null=True
                ),
            )
    except pa.ArrowInvalid as error:
        problem = str(error).splitlines()[0].rstrip(".") + "."
        hint = (
            "If the file is whole, it is laid out in a new way: name the columns that you need in `columns`."
        )
        raise DownloadError(f"'{path}' cannot be read.", [problem], hint) from None


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Turn a table into a data frame; whole numbers of which some are missing become nullable ones."""
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_null(column.type):
            column = column.cast(pa.int64())
        nullable = pa.types.is_integer(column.type) and column.null_count
        mapper = {pa.int64(): pd.Int64Dtype()}.get if nullable else None
        columns[name] = pa.table({name: column}).to_pandas(types_mapper=mapper)[name]
    return pd.DataFrame(columns)
