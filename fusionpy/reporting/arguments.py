"""What `report` is given, checked."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import Problems, SchemaError, shown
from fusionpy.frames.tables import Table, as_table
from fusionpy.model.schema import positive_weights, weight_column
from fusionpy.reporting.samples import Respondents

__all__ = ["check_texts", "take_date", "take_paths", "take_samples", "take_texts"]


def take_date(date: Any, problems: Problems) -> datetime.date:
    """Take a date, as such or as text; none: today.

    Parameters
    ----------
    date : datetime.date, str or None
    problems : Problems

    Returns
    -------
    datetime.date

    Examples
    --------
    >>> take_date("2026-11-05", Problems(SchemaError, ""))
    datetime.date(2026, 11, 5)
    """
    if isinstance(date, datetime.date):
        return date.date() if isinstance(date, datetime.datetime) else date
    try:
        return datetime.date.today() if date is None else datetime.date.fromisoformat(date)
    except (TypeError, ValueError):
        problems.add(f"`date` must be a date such as '2026-11-05', not {shown(date)}.")
        return datetime.date.min


def take_texts(given: Any, argument: str, problems: Problems) -> list[str]:
    """Take one text or several.

    Parameters
    ----------
    given : str, sequence of str or None
    argument : str
        What to call it in errors.
    problems : Problems

    Returns
    -------
    list of str
    """
    if given is None or isinstance(given, str):
        return [given] if given else []
    if isinstance(given, Sequence) and all(isinstance(each, str) for each in given):
        return [each for each in given if each]
    problems.add(f"`{argument}` must be text, or a list of texts, not {shown(given)}.")
    return []


def check_texts(title: Any, weight: Any, labels: Any, problems: Problems) -> None:
    """Note what is no text among those arguments that must be.

    Parameters
    ----------
    title, weight : str or None
    labels : mapping of str to str, or None
    problems : Problems
    """
    for argument, value in (("title", title), ("weight", weight)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            problems.add(f"`{argument}` must be text, not {shown(value)}.")
    fits = labels is None or (
        isinstance(labels, Mapping) and all(isinstance(each, str) for each in (*labels, *labels.values()))
    )
    if not fits:
        problems.add(f"`labels` must map names of variables to what they mean, not {shown(labels)}.")


def take_paths(path: Any, problems: Problems) -> list[Any]:
    """Take one path, or one of each kind.

    Parameters
    ----------
    path : path, or sequence of them
    problems : Problems

    Returns
    -------
    list
        Not yet checked one by one.
    """
    several = isinstance(path, Sequence) and not isinstance(path, str | bytes)
    paths = list(path) if several else [path]
    endings = [Path(each).suffix.lower() for each in paths if isinstance(each, str | os.PathLike)]
    if not paths or len(set(endings)) < len(endings):
        problems.add("`path` must name one '.html' file, one '.pdf' file, or one of each.")
    return paths


def take_samples(
    donor: Any, recipient: Any, weight: str | None
) -> tuple[Respondents | None, Respondents | None]:
    """Take the surveys and their weights.

    Parameters
    ----------
    donor, recipient : data frame or None
    weight : str or None

    Returns
    -------
    donor, recipient : Respondents or None

    Raises
    ------
    SchemaError
        If a survey has no rows, or the weights cannot be used.
    """
    found: list[Respondents | None] = []
    for argument, data in (("donor", donor), ("recipient", recipient)):
        if data is None:
            found.append(None)
            continue
        table = as_table(data, argument)
        if table.n_rows == 0:
            raise SchemaError(
                f"`{argument}` cannot be reported.", ["It has no rows."], "Pass the whole survey."
            )
        column = None
        if weight is not None and weight in table.names:
            column = _weights(table, weight, argument)
        found.append(Respondents(table, column))
    surveys = [sample for sample in found if sample is not None]
    if weight is not None and surveys and all(sample.weight is None for sample in surveys):
        hint = "Name the column of survey weights of `donor`, `recipient`, or both."
        raise SchemaError(f"`weight` is '{weight}', which no survey has as a column.", hint=hint)
    return found[0], found[1]


def _weights(table: Table, weight: str, argument: str) -> NDArray[np.float64]:
    """Fetch the weights, which must be numbers, none of them missing."""
    values = positive_weights(weight_column(table, weight, "records", f"`{argument}`"), weight)
    if isinstance(values, str):
        headline = f"`weight` cannot be used: `{weight}` of `{argument}`."
        raise SchemaError(
            headline, [f"{values[0].upper()}{values[1:]}."], "Mend the column, or name another."
        )
    return values
