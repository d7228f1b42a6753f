"""Tables on disk, as `fuse` writes them: the table of formats, and a folder of Parquet files beside it.

A new format is a module with a `Format` (`fusionpy/formats/base.py` says what it is) and a line in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa

from fusionpy.formats.base import HINT, Append, Format, Stored, unreadable_told
from fusionpy.formats.fst.stored import FST
from fusionpy.formats.parquet import PARQUET
from fusionpy.formats.partitioned import open_folder

__all__ = ["ENDINGS", "holds_fst", "is_fst", "open_stored", "write_stored"]

FORMATS = (
    PARQUET,
    FST,
)
ENDINGS = tuple(ending for each in FORMATS for ending in each.endings)
CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


def is_fst(path: Path) -> bool:
    """Tell by its name whether a file is of the fst format.

    Examples
    --------
    >>> is_fst(Path("fused.FSD")), is_fst(Path("fused.parquet"))
    (True, False)
    """
    return _named(path) is FST


def holds_fst(path: Path) -> bool:
    """Tell whether a file is of the fst format: by its name, or if that says nothing, by how it begins."""
    return format_of(path) is FST


def format_of(path: Path) -> Format | None:
    """Tell a file's format: by its name, or if that says nothing, by how it begins; none if neither does."""
    named = _named(path)
    if named is not None or not path.is_file():
        return named
    return next((each for each in FORMATS if each.mark is not None and _bears(path, *each.mark)), None)


def _named(path: Path) -> Format | None:
    return next((each for each in FORMATS if path.suffix.lower() in each.endings), None)


def _bears(path: Path, place: int, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(place + len(mark))[place:] == mark
    except OSError:
        return False


def write_stored(
    target: Path, schema: pa.Schema, keys: Sequence[str] = ("M",)
) -> AbstractContextManager[Append]:
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

    Returns
    -------
    context manager
        Of what appends one table.
    """
    return (_named(target) or PARQUET).write(target, schema, keys)


def open_stored(path: str | os.PathLike[str], hint: str = HINT) -> Stored:
    """Open a file of any of the formats, or a folder of Parquet files; only their heads are read.

    Parameters
    ----------
    path : path
        A file that is of no format by its name or its content is taken for a Parquet file. Of a folder, see
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
    with unreadable_told(Path(path), hint):
        try:
            path = Path(path).expanduser()
        except RuntimeError:
            raise OSError("Its '~' leads nowhere") from None
        if path.is_dir():
            return open_folder(path)
        if not path.is_file():
            raise OSError("There is no such file")
        kind = format_of(path)
        if kind is None and path.name.lower().endswith(CSV_ENDINGS):
            *others, last = [each.name for each in FORMATS]
            known = f"{', '.join(others)} or {last}"
            raise OSError(f"It is a CSV file, not {known}: read it into a data frame first")
        return (kind or PARQUET).open(path)
