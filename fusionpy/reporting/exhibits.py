"""Tables, figures and sections of a report, before they are a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from fusionpy.reporting.numbers import any_cell

__all__ = ["Figure", "Section", "Table", "chunks", "in_parts", "numbered", "plain_table"]

ROWS_MOST = 120  # of a table on the page
ROWS_TOGETHER = 18  # of a table that is not parted between printed pages


@dataclass(frozen=True)
class Table:
    """A table: as it is shown, and as data.

    Attributes
    ----------
    key : str
        Short name: of its files, and by which the text refers to it.
    caption : str
    headers : tuple of str
    rows : tuple of tuple of str
        Cells as they are shown; the first cell is the row's header.
    numeric : tuple of bool
        Which columns hold numbers.
    frame : DataFrame
        The numbers unrounded.
    note : str
    grouped : bool
        Rows of the same header belong together, and show it once.
    number : int
    bold : frozenset of int
        Rows that ask for a look.
    """

    key: str
    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    frame: pd.DataFrame
    note: str = ""
    grouped: bool = False
    number: int = 0
    bold: frozenset[int] = frozenset()

    kind = "Table"

    @property
    def label(self) -> str:
        """What the text calls it."""
        return f"Table {self.number}"

    @property
    def anchor(self) -> str:
        """Its identifier on the page."""
        return f"table-{self.number}"

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """The rows that the page shows."""
        return self.rows[:ROWS_MOST]

    @property
    def groups(self) -> list[list[tuple[tuple[str, ...], bool]]]:
        """The rows that the page shows, those of the same header together, and whether they are in bold."""
        rows = [(row, number in self.bold) for number, row in enumerate(self.shown)]
        if not self.grouped:
            return [rows]
        return [list(some) for _, some in groupby(rows, key=lambda row: row[0][0])]

    @property
    def is_long(self) -> bool:
        """Whether it may not fit on one page."""
        return len(self.shown) > ROWS_TOGETHER

    @property
    def n_left_out(self) -> int:
        """Rows that the page does not show."""
        return len(self.rows) - len(self.shown)

    @property
    def file_name(self) -> str:
        """What its files are called, without the ending."""
        return f"table_{self.number:02d}_{re.sub('[^a-z0-9]+', '_', self.key.lower()).strip('_')}"


@dataclass(frozen=True)
class Figure:
    """A figure, drawn.

    Attributes
    ----------
    key, caption : str
    alt : str
        What it shows, for those who do not see it.
    svgs : tuple of str
        Its panels, as SVG.
    number : int
    """

    key: str
    caption: str
    alt: str
    svgs: tuple[str, ...]
    number: int = 0

    kind = "Figure"

    @property
    def label(self) -> str:
        """What the text calls it."""
        return f"Figure {self.number}"

    @property
    def anchor(self) -> str:
        """Its identifier on the page."""
        return f"figure-{self.number}"


@dataclass(frozen=True)
class Section:
    """A section: its template is called as its key is.

    Attributes
    ----------
    key, title : str
    exhibits : tuple of Table or Figure
        In the order in which they stand.
    facts : mapping
        What its text needs to know.
    """

    key: str
    title: str
    exhibits: tuple[Table | Figure, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def refer(self, key: str, kind: str | None = None) -> str:
        """Name the exhibits of that key, or whose keys begin with it: "Table 3", "Figures 2 to 4"."""
        found = [
            each
            for each in self.exhibits
            if re.fullmatch(rf"{re.escape(key)}(-\d+)?", each.key) and kind in (None, each.kind)
        ]
        if len(found) == 1:
            return found[0].label
        link = "and" if len(found) == 2 else "to"
        return f"{found[0].kind}s {found[0].number} {link} {found[-1].number}"


def numbered(sections: Iterable[Section]) -> list[Section]:
    """Give tables and figures their numbers, through all sections."""
    last = {"Table": 0, "Figure": 0}
    out = []
    for section in sections:
        exhibits = []
        for exhibit in section.exhibits:
            last[exhibit.kind] += 1
            exhibits.append(replace(exhibit, number=last[exhibit.kind]))
        out.append(replace(section, exhibits=tuple(exhibits)))
    return out


def plain_table(
    key: str,
    caption: str,
    frame: pd.DataFrame,
    headers: Mapping[str, str] | None = None,
    cells: Mapping[str, Sequence[str]] | None = None,
    note: str = "",
    grouped: bool = False,
) -> Table:
    """Make a table of a data frame.

    Parameters
    ----------
    key, caption : str
    frame : DataFrame
    headers : mapping, optional
        What to call columns.
    cells : mapping, optional
        Columns that are already text as they should be shown; the others are written with three significant
        digits.
    note : str
    grouped : bool
        Rows of the same first cell belong together.

    Returns
    -------
    Table

    Examples
    --------
    >>> plain_table("a", "A table.", pd.DataFrame({"x": ["u", "v"], "y": [1, 0.12345]})).rows
    (('u', '1'), ('v', '0.123'))
    """
    headers, cells = headers or {}, cells or {}
    names = [str(name) for name in frame.columns]
    columns = [cells.get(name) or [any_cell(value) for value in frame[name]] for name in frame.columns]
    numeric = tuple(
        pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in frame.dtypes
    )
    rows = tuple(zip(*columns, strict=True)) if names else ()
    shown = tuple(headers.get(name, name) for name in names)
    return Table(key, caption, shown, rows, numeric, frame, note, grouped)


def in_parts(caption: str, part: int, parts: int) -> str:
    """Say in a caption which part of several it is."""
    return caption if parts == 1 else f"{caption.rstrip('.')} (part {part} of {parts})."


def chunks(names: Sequence[str], most: int) -> list[list[str]]:
    """Part names evenly, at most so many together.

    Examples
    --------
    >>> chunks(["a", "b", "c", "d", "e"], 4)
    [['a', 'b', 'c'], ['d', 'e']]
    """
    parts = -(-len(names) // most)
    return [list(part) for part in np.array_split(np.array(names, dtype=object), parts)]
