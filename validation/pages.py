"""What the studies' pages are made of: tables from CSV files, put between markers, and figures.

A page holds ``<!-- made: NAME -->`` and, further down, ``<!-- end -->``. What is between them is made by the
study's script from its CSV files, never by hand; everything else is written by hand and left alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"<!-- made: ([\w-]+) -->\n(.*?)<!-- end -->", re.S)
# Okabe and Ito's colours, told apart under every common colour blindness.
BLACK, BLUE, VERMILION, GREEN, GREY = "#000000", "#0072b2", "#d55e00", "#009e73", "#888888"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table in Markdown; numbers are strings already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell or ' ' for cell in line)} |\n" for line in lines)


def blocks_of(page: Path) -> dict[str, str]:
    """Give what is between a page's markers, by name."""
    return {name: text.strip("\n") for name, text in BLOCK.findall(page.read_text(encoding="utf-8"))}


def fill(page: Path, blocks: Mapping[str, str]) -> None:
    """Put blocks between a page's markers; every marker and every block must find its other half."""
    if set(blocks) != set(found := blocks_of(page)):
        raise SystemExit(
            f"{page} has markers for {sorted(found)}, but there are {sorted(blocks)} to put there"
        )
    text = BLOCK.sub(
        lambda match: f"<!-- made: {match[1]} -->\n\n{blocks[match[1]].strip(chr(10))}\n\n<!-- end -->",
        page.read_text(encoding="utf-8"),
    )
    page.write_text(text, encoding="utf-8")


def find_row(file: Path, where: Mapping[str, str]) -> tuple[int, dict[str, str]] | None:
    """Give the only row of a CSV file with these texts, and its line (the head is line 1)."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [
            (line, row)
            for line, row in enumerate(csv.DictReader(lines), 2)
            if all(row.get(column) == text for column, text in where.items())
        ]
    if len(rows) > 1:
        raise SystemExit(f"{file}: {len(rows)} rows with {dict(where)}")
    return rows[0] if rows else None


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as PNG, the same bytes every time."""
    import matplotlib.pyplot as plt

    figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
    plt.close(figure)
