"""Tables as files: CSV with all digits, LaTeX as on the page."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fusionpy.errors import OutputError
from fusionpy.formats.atomic import absolute, shown_path, written_aside
from fusionpy.formats.leftovers import own_file, sweep
from fusionpy.formats.spreadsheets import as_csv
from fusionpy.reporting.exhibits import Table

__all__ = ["latex", "prepare_folder", "write_tables"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{mark: rf"\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "²": r"$^{2}$",
    "∞": r"$\infty$",
    "…": r"\ldots{}",
    "’": "'",
    "“": "``",
    "”": "''",
}
_RAISED = re.compile("[⁻⁰¹³⁴⁵⁶⁷⁸⁹][⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*|²[⁰¹²³⁴⁵⁶⁷⁸⁹]+")


def prepare_folder(folder: str | os.PathLike[str]) -> Path:
    """Make the folder of the tables, if it is not there, or say why it cannot be.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Path

    Raises
    ------
    OutputError
    """
    if not isinstance(folder, str | os.PathLike) or not str(folder):
        raise OutputError("`tables` must be the path of a folder.", hint="Name one, such as 'tables'.")
    target = absolute(folder, f"`tables` cannot be made: {shown_path(folder)}")
    try:
        target.mkdir(exist_ok=True)
        sweep(target)
        with own_file(target / "table.csv"):
            pass
    except OSError as error:
        hint = "Choose a folder whose own folder exists, and that you may write to."
        reason = f"{error.strerror or error}."
        raise OutputError(f"`tables` cannot be made: {shown_path(target)}", [reason], hint) from None
    return target


def write_tables(tables: Sequence[Table], folder: Path) -> list[str]:
    """Write every table as CSV, with all digits and for spreadsheets, and as LaTeX, as it is shown.

    Parameters
    ----------
    tables : sequence of Table
    folder : Path
        Exists.

    Returns
    -------
    list of str
        Paths, in order.
    """
    written = []
    for table in tables:
        csv = as_csv(table.frame)
        for ending, content in ((".csv", csv), (".tex", latex(table))):
            target = folder / f"{table.file_name}{ending}"
            with written_aside(target) as aside:
                aside.write_text(content, encoding="utf-8", newline="\n")
            written.append(str(target))
    return written


def latex(table: Table) -> str:
    r"""Write a table for LaTeX with the package booktabs.

    Parameters
    ----------
    table : Table

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": ["a_b"], "y": [-1.5]})
    >>> print(latex(Table("k", "All & more.", ("x", "y"), (("a_b", "−1.5"),), (False, True), frame)))
    % Needs \usepackage{booktabs}
    \begin{table}
    \centering
    \caption{All \& more.}
    \label{tab:k}
    \begin{tabular}{lr}
    \toprule
    x & y \\
    \midrule
    a\_b & $-$1.5 \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    alignment = "".join("r" if numeric else "l" for numeric in table.numeric)
    lines = [
        r"% Needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9]+', '-', table.key)}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _row(table.headers),
        r"\midrule",
        *(_row(row, number in table.bold) for number, row in enumerate(table.rows)),
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip\footnotesize {escaped(table.note)}"] if table.note else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Escape what LaTeX would take for its own.

    Examples
    --------
    >>> escaped("50 % of a_b, 2.50 × 10⁻⁷")
    '50 \\% of a\\_b, 2.50 $\\times$ 10$^{-7}$'
    """
    plain = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    parts = []
    place = 0
    for match in _RAISED.finditer(text):
        parts += [text[place : match.start()].translate(_TABLE), f"$^{{{match[0].translate(plain)}}}$"]
        place = match.end()
    return "".join([*parts, text[place:].translate(_TABLE)]).replace("\n", " ")


_TABLE = str.maketrans(_SPECIAL)


def _row(cells: Sequence[str], bold: bool = False) -> str:
    # A bracket at the start of a row would be taken for the option of the line break before it.
    line = " & ".join(rf"\textbf{{{escaped(cell)}}}" if bold and cell else escaped(cell) for cell in cells)
    return f"{'{}' if line.startswith('[') else ''}{line} " + r"\\"
