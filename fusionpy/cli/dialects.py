"""How a CSV file is written: encoding, separator, decimal mark; and whether it is built to harm."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

__all__ = ["Dialect", "find_dialect", "is_numeric_text"]

LOOKED_AT = 2**20  # bytes, as many as Arrow tells the columns' types from
FREE = 2**26  # bytes unpacked, whatever the file's size, and for each byte of it:
BYTES_PER_BYTE = 200
MOST_COLUMNS = 20_000  # and one more for so many bytes of the file:
BYTES_PER_COLUMN = 256  # a column takes some 9 kB in memory, however few its rows
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUMBERS = {
    "point": re.compile(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?"),
    "either": re.compile(r"[-+]?[1-9]\d{0,2},\d{3}"),
    "comma": re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?"),
    "grouped": re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+,\d+"),
}


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes
    ----------
    encoding : str
    separator : str
    decimal : {".", ","}
        Mark of decimals.
    mixed : tuple of str
        Columns with decimal points where others have decimal commas, or with marks between thousands: their
        numbers cannot be told.
    """

    encoding: str = "utf8"
    separator: str = ","
    decimal: str = "."
    mixed: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[pa_csv.ReadOptions, pa_csv.ParseOptions]:
        """What Arrow is to know of encoding and separator."""
        return pa_csv.ReadOptions(encoding=self.encoding), pa_csv.ParseOptions(delimiter=self.separator)


def find_dialect(path: Path) -> Dialect:
    """Tell how a CSV file is written, from its first lines.

    Parameters
    ----------
    path : Path
        Packed by gzip if its name ends with ``.gz``.

    Returns
    -------
    Dialect

    Raises
    ------
    OSError
        If it cannot be read, is in an encoding that cannot be told, or is out of all proportion to its size;
        the message says so.

    Notes
    -----
    What separates is that of commas, semicolons, tabs and bars which gives every line as many cells, and the
    most of them; commas, if none does. Decimal commas are looked for where another mark than a comma does.
    """
    start = _start(path)
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf8")
    if encoding == "utf8" and b"\0" in start[:1000]:
        raise OSError("It is not text, or in UTF-16 without the mark that says so: save it as UTF-8")
    text = start.decode("utf-8-sig" if encoding == "utf8" else encoding, errors="replace")
    lines = text.splitlines()
    lines = lines[:-1] if len(start) == LOOKED_AT and len(lines) > 1 else lines
    rows = [line for line in lines if line.strip()]
    separator = _separator(rows[:100])
    n_columns = len(_cells(rows[0], separator)) if rows else 0
    if n_columns > MOST_COLUMNS + path.stat().st_size // BYTES_PER_COLUMN:
        raise OSError(f"It has {n_columns:,} columns, as only a file that is built to harm does")
    if separator == ",":
        return Dialect(encoding, separator)
    return Dialect(encoding, separator, *_decimals([_cells(row, separator) for row in rows], separator))


def _start(path: Path) -> bytes:
    """Read the first bytes, and see that there are not far too many."""
    packed = path.name.lower().endswith(".gz")
    most = FREE + BYTES_PER_BYTE * path.stat().st_size
    with pa.input_stream(str(path), compression="gzip" if packed else None) as stream:
        start: bytes = stream.read(LOOKED_AT)
        n_bytes = len(start)
        while packed and (piece := stream.read(LOOKED_AT)):
            n_bytes += len(piece)
            if n_bytes > most:
                raise OSError(
                    f"It unpacks to more than {most:,} bytes, as only a file that is built to harm does"
                )
    return start


def _separator(rows: list[str]) -> str:
    """Choose what separates the cells: what gives all lines as many, and the most; commas if nothing does."""
    found = {mark: len(_cells(rows[0], mark)) for mark in SEPARATORS if rows and _is_even(rows, mark)}
    best = max(found, key=lambda mark: found[mark], default=",")
    return best if found.get(best, 0) > 1 else ","


def _is_even(rows: list[str], separator: str) -> bool:
    """Tell whether all lines have as many cells."""
    return len({len(_cells(row, separator)) for row in rows}) == 1


def _cells(row: str, separator: str) -> list[str]:
    """Split a line, but not within quotes."""
    try:
        return next(csv.reader([row], delimiter=separator), [])
    except csv.Error:  # a cell of more than 2**17 letters
        return row.split(separator)


def _decimals(rows: list[list[str]], separator: str) -> tuple[str, tuple[str, ...]]:
    """Tell the decimal mark, and which columns contradict it."""
    found: dict[str, set[int]] = {name: set() for name in _NUMBERS}
    for row in rows[1:]:
        for j, cell in enumerate(row):
            value = cell.strip()
            for name, pattern in _NUMBERS.items():
                if pattern.fullmatch(value):
                    found[name].add(j)
                    break
    # 1,234 may be a thousand and more: where semicolons separate, commas are meant for decimals.
    by_comma = bool(found["comma"] or found["grouped"] or (separator == ";" and found["either"]))
    mixed = found["grouped"] | found["point" if by_comma else "either"]
    names = rows[0] if rows else []
    return "," if by_comma else ".", tuple(names[j] for j in sorted(mixed) if j < len(names))


def is_numeric_text(column: pa.ChunkedArray) -> bool:
    """Tell whether a column of text has numbers only, some of them with a mark that Arrow did not expect."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    values = pc.unique(column).drop_null()
    fits = pc.all(pc.match_substring_regex(values, r"^\s*[-+]?\d+(?:[.,]\d+)*\s*$")).as_py()
    return bool(fits) and pc.any(pc.match_substring_regex(values, r"^\s*[-+]?\d+[.,]\d+\s*$")).as_py() is True
