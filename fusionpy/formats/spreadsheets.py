"""CSV tables for people: to spreadsheets a text that begins with ``=``, ``+``, ``-`` or ``@`` is a formula.

A survey's levels and names come from strangers, and a formula can send what stands beside it to anywhere.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from typing import Any

import pandas as pd

__all__ = ["as_csv", "without_marks"]

# Before what a spreadsheet would act on; levels that look marked already get one more, to be told from it.
_ACTS = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four in full width
_MARKED = re.compile(f"'{_ACTS.pattern}")
_HARMLESS = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf|[-+]")  # numbers, lone signs
MARK = "'"


def as_csv(frame: pd.DataFrame) -> str:
    r"""Write a table as CSV that no spreadsheet acts on.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    str
        Texts and names that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line's end have an apostrophe
        before them, unless they are numbers. All digits; lines end the same on every system.

    Notes
    -----
    As the Open Worldwide Application Security Project advises, "CSV injection". Not for microdata, which are
    for programs.

    Examples
    --------
    >>> print(as_csv(pd.DataFrame({"level": ["=1+1", "-5 to 0", "-7", "a"], "est": [-1.5, 2, 3, 4]})))
    level,est
    '=1+1,-1.5
    '-5 to 0,2.0
    -7,3.0
    a,4.0
    <BLANKLINE>
    """
    marked = _each_text(frame, _marked)
    # Up to Python 3.12 a cell with a bare carriage return is not quoted by itself, and would be two lines.
    quoting = csv.QUOTE_NONNUMERIC if _has_returns(marked) else csv.QUOTE_MINIMAL
    return marked.to_csv(index=False, lineterminator="\n", quoting=quoting)  # type: ignore[no-any-return]


def without_marks(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the apostrophes away that `as_csv` has put before texts and names.

    Examples
    --------
    >>> without_marks(pd.DataFrame({"level": ["'=1+1", "'quoted'"]}))["level"].to_list()
    ['=1+1', "'quoted'"]
    """
    return _each_text(frame, _unmarked)


def _each_text(frame: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """Change texts wherever they stand: cells, levels, names of columns."""
    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object:
            column = column.astype(object).map(change)
        elif _is_text(column):
            column = column.map(change)
        columns.append(column)
    changed = pd.concat(columns, axis=1) if columns else frame.copy()
    changed.columns = [change(name) for name in frame.columns]
    return changed


def _is_text(column: pd.Series[Any]) -> bool:
    return isinstance(column.dtype, pd.StringDtype)


def _has_returns(frame: pd.DataFrame) -> bool:
    """Whether there is a carriage return in a text or a name."""
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    texts = [value for each in columns if each.dtype == object or _is_text(each) for value in each]
    return any(isinstance(value, str) and "\r" in value for value in (*frame.columns, *texts))


def _marked(value: Any) -> Any:
    if not isinstance(value, str) or not _ACTS.match(value) or _HARMLESS.fullmatch(value):
        return value
    return MARK + value


def _unmarked(value: Any) -> Any:
    return value[1:] if isinstance(value, str) and _MARKED.match(value) else value
