"""What validate() compares: subsets of the donors, and variables observed and simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fusionpy.errors import Problems, SchemaError, alike, counted, few, grouped, meant
from fusionpy.evaluation.columns import (
    MOST_LEVELS,
    Array,
    codes_of,
    column_of,
    held_values,
    levels_of,
    weights_of,
)
from fusionpy.evaluation.subsets import Subset, subset_of
from fusionpy.formats.implicates import Implicates, check_order
from fusionpy.frames.digests import finder
from fusionpy.frames.tables import Table, Unreadable, to_floats
from fusionpy.model.variables import describe, is_number

__all__ = ["ComparedVariable", "read_both"]


class ComparedVariable(NamedTuple):
    """A variable to compare.

    Attributes
    ----------
    name : str
    levels : list of str
        Of a categorical variable; empty if it is continuous.
    observed : (n,) float64
        Values, or codes of levels; NaN: missing.
    simulated : (M, n) float64
        NaN where the observed value is missing.
    """

    name: str
    levels: list[str]
    observed: Array
    simulated: Array


def read_both(
    table: Table, simulated: Implicates, subset_names: list[str], wanted: list[str] | None, weight: str | None
) -> tuple[Array, list[Subset], list[ComparedVariable], list[str]]:
    """Read every column that is needed, or say all that is wrong with them.

    Parameters
    ----------
    table : Table
        The n observed records.
    simulated : Implicates
    subset_names : list of str
    wanted : list of str or None
        Variables to compare; None: all that both have and that were simulated.
    weight : str or None

    Returns
    -------
    (n,) float64
        Weights.
    list of Subset
    list of ComparedVariable
    list of str
        What was left out, for people.

    Raises
    ------
    SchemaError
    """
    hint = "Pass the donor survey, and what `fuse()` made of the same rows in the same order."
    problems = Problems(SchemaError, "`observed` and `implicates` cannot be compared.", hint)
    n, m = table.n_rows, simulated.n_rows
    if n != m:
        problems.add(f"`observed` has {counted(n, 'row')}, an implicate has {counted(m, 'row')}.")
    else:
        check_order(simulated, "observed", table.names, finder(table))
    if simulated.M < 2:
        problems.add("`implicates` has one implicate: margins need at least two.")
    used = {"M", *subset_names, *([weight] if weight else [])}
    names = wanted
    if names is None:
        names = [name for name in simulated.names if name in table.names and name not in used]
        if not names:
            problems.add("They have no variables in common, other than `M`, `weight` and `subset_vars`.")
    found: list[tuple[str, str, str]] = []
    w = np.ones(n)
    if weight is not None:
        weights = weights_of(table, weight)
        if isinstance(weights, str):
            found.append(("weight", weight, weights))
        else:
            w = weights
    subsets = [subset_of(table, name) for name in subset_names]
    fields = [
        "named in `subset_vars` or `weight` too" if name in used else _field(table, simulated, name, n == m)
        for name in names
    ]
    for name, subset in zip(subset_names, subsets, strict=True):
        if isinstance(subset, str):
            found.append(("subset variable", name, subset))
    for name, field in zip(names, fields, strict=True):
        if isinstance(field, str):
            found.append(("variable", name, field))
    for problem in grouped(found):
        problems.add(problem)
    problems.stop()
    read = [field for field in fields if isinstance(field, ComparedVariable)]
    notes = []
    if wanted is None:
        carried = _carried(read, simulated.M)
        read = [field for field in read if field.name not in carried]
        notes = [f"Not simulated, so left out: {few(carried, '`')}."] if carried else []
        if not read:
            problems.add("Every variable is the same in all implicates as in `observed`: none was simulated.")
            problems.stop()
    for field in read:
        if n_missing := int(np.isnan(field.observed).sum()):
            notes.append(
                f"`{field.name}`: {counted(n_missing, 'record')} without an observed value left out."
            )
    return w, [each for each in subsets if isinstance(each, Subset)], read, notes


def _carried(fields: Sequence[ComparedVariable], M: int) -> list[str]:
    """Find the variables that every implicate has just as they were observed."""
    return [
        field.name
        for field in fields
        if np.array_equal(field.simulated, np.tile(field.observed, (M, 1)), equal_nan=True)
    ]


def _field(table: Table, simulated: Implicates, name: str, same_rows: bool) -> ComparedVariable | str:
    """Read a variable's observed and simulated values, or say what is wrong with them."""
    column = column_of(table, name)
    if isinstance(column, str):
        return column
    if name not in simulated.names:
        return "not in `implicates`" + meant(name, simulated.names)
    is_numeric = is_number(column.type)
    levels = [] if is_numeric else levels_of(column)
    if len(levels) > MOST_LEVELS:
        return f"{len(levels):,} different levels; group them, or leave the variable out"
    observed = to_floats(column) if is_numeric else codes_of(column, levels)
    if np.isinf(observed).any() or np.isnan(observed).all():
        return "infinite values, which cannot be used" if np.isinf(observed).any() else "no values at all"
    drawn = np.full((simulated.M, simulated.n_rows), np.nan)
    for m in range(simulated.M):
        try:
            values = simulated.read(m, [name]).column(0).combine_chunks()
        except Unreadable as error:
            return f"in `implicates` {error}"
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        if is_number(values.type) != is_numeric:
            return f"{describe(column)} in `observed`, {describe(values)} in `implicates`"
        drawn[m] = to_floats(values) if is_numeric else codes_of(values, levels)
        if not is_numeric and (unseen := sorted({*held_values(values)} - {*levels})):
            if like := alike(unseen, levels):
                return f"level {like}"
            return f"levels {few(unseen)} of `implicates` are not among those of `observed`: {few(levels)}"
    if n_missing := int(np.isnan(drawn).sum() + np.isinf(drawn).sum()):
        return f"{counted(n_missing, 'missing or infinite value')} in `implicates`"
    if same_rows:
        drawn[:, np.isnan(observed)] = np.nan
    return ComparedVariable(name, levels, observed, drawn)
