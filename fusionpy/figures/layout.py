"""Tables as they are shown: at most 100 columns wide in a terminal, HTML in a notebook."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

__all__ = ["WIDTH", "Grid", "Page", "filled"]

WIDTH = 100
NARROWEST = 16  # of a column of text that gives way
GAPS = ("  ", " ")  # between columns: the second where the first leaves too little room
_CELL = "vertical-align: top; padding: 0.15em 0.6em; text-align: "
_STYLE = {False: f"{_CELL}left", True: f"{_CELL}right; white-space: nowrap"}


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes
    ----------
    headers : tuple of str
    rows : tuple of tuple of str
        Lines are not broken at a no-break space.
    numeric : tuple of bool
        Columns that are aligned to the right, and never broken.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]

    def text(self, width: int = WIDTH, indent: str = "") -> str:
        """Lay the table out: wide texts give way, and columns that do not fit come below the others.

        Parameters
        ----------
        width : int
        indent : str
            Before every line.

        Returns
        -------
        str

        Examples
        --------
        >>> print(Grid(("a", "b"), (("some words", "1"), ("x", "22")), (False, True)).text(14))
        a           b
        some words  1
        x          22
        """
        room = width - len(indent)
        gap = next((gap for gap in GAPS if self._fits(room, gap)), None)
        if gap is not None:
            return _laid(self, self._widths(room, gap), gap, indent)
        parts = []
        for columns in self._blocks(room):  # rows are numbered, to be found in every block
            rows = tuple(
                (f"{number:,}", *(row[j] for j in columns)) for number, row in enumerate(self.rows, 1)
            )
            heads = ("", *(self.headers[j] for j in columns))
            part = Grid(heads, rows, (True, *(self.numeric[j] for j in columns)))
            parts.append(_laid(part, part._widths(room, GAPS[0]), GAPS[0], indent))
        return "\n\n".join(parts)

    def fits(self) -> bool:
        """Tell whether all columns find room side by side."""
        return any(self._fits(WIDTH, gap) for gap in GAPS)

    def html(self) -> str:
        """Write the table in HTML."""
        head = _html_row("th", self.headers, self.numeric)
        body = "\n".join(_html_row("td", row, self.numeric) for row in self.rows)
        return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def _natural(self) -> list[int]:
        return [max(map(cell_len, column)) for column in zip(self.headers, *self.rows, strict=True)]

    def _least(self) -> list[int]:
        return [
            width if is_number else min(width, NARROWEST)
            for width, is_number in zip(self._natural(), self.numeric, strict=True)
        ]

    def _fits(self, room: int, gap: str) -> bool:
        least = self._least()
        return sum(least) + len(gap) * (len(least) - 1) <= room

    def _widths(self, room: int, gap: str) -> list[int]:
        """Take from the widest column of text until all fit, or none can give more."""
        widths = self._natural()
        while sum(widths) + len(gap) * (len(widths) - 1) > room:
            texts = [j for j, number in enumerate(self.numeric) if not number and widths[j] > NARROWEST]
            if not texts:
                break
            widths[max(texts, key=widths.__getitem__)] -= 1
        return widths

    def _blocks(self, room: int) -> Iterable[list[int]]:
        """Group columns that fit side by side, each group with a column of numbers of rows before it."""
        first = len(f"{len(self.rows):,}")
        held, used = list[int](), first
        for j, width in enumerate(self._least()):
            if held and used + len(GAPS[0]) + width > room:
                yield held
                held, used = [], first
            held.append(j)
            used += len(GAPS[0]) + width
        yield held


@dataclass(frozen=True)
class Page:
    """What an object shows of itself.

    Attributes
    ----------
    headline : str
    grids : tuple of Grid
    notes : tuple of str
        A paragraph each, after the tables.
    """

    headline: str
    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Write it for a terminal."""
        parts = [filled(self.headline), *(grid.text() for grid in self.grids)]
        if self.notes:
            parts.append("\n".join(filled(f"i {note}") for note in self.notes))
        return "\n\n".join(parts)

    def html(self) -> str:
        """Write it for a notebook."""
        parts = [f"<p><b>{html.escape(self.headline)}</b></p>", *(grid.html() for grid in self.grids)]
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        return "<div>\n" + "\n".join(parts) + "\n</div>"


def filled(text: str, indent: str = "  ") -> str:
    """Break a paragraph into lines, all but the first indented."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _laid(grid: Grid, widths: Sequence[int], gap: str, indent: str) -> str:
    lines = []
    for row in (grid.headers, *grid.rows):
        cells = [
            [cell] if is_number or cell_len(cell) <= width else textwrap.wrap(cell, width) or [""]
            for cell, width, is_number in zip(row, widths, grid.numeric, strict=True)
        ]
        for place in range(max(map(len, cells))):
            texts = [cell[place] if place < len(cell) else "" for cell in cells]
            padded = [
                " " * (width - cell_len(text)) + text if is_number else text + " " * (width - cell_len(text))
                for text, width, is_number in zip(texts, widths, grid.numeric, strict=True)
            ]
            lines.append((indent + gap.join(padded)).replace("\xa0", " ").rstrip())
    return "\n".join(lines)


def _html_row(tag: str, cells: Sequence[str], numeric: Sequence[bool]) -> str:
    inside = "".join(
        f'<{tag} style="{_STYLE[is_number]}">{html.escape(cell)}</{tag}>'
        for cell, is_number in zip(cells, numeric, strict=True)
    )
    return f"<tr>{inside}</tr>"
