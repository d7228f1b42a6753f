"""What validate() compares: subsets of the donors, and variables observed and simulated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.digests import finder
from fusionpy.errors import Problems, SchemaError, alike, counted, few, grouped, meant
from fusionpy.formats.implicates import Implicates, check_order
from fusionpy.frames import Table, Unreadable, is_text, to_floats
from fusionpy.kernels.classes import cut_classes
from fusionpy.schema import describe, is_number, positive_weights, weight_column

__all__ = ["Field", "Grouping", "Subset", "groupings_of", "read_both"]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
N_CLASSES = 5  # into which numeric and ordered subset variables are cut
MOST_LEVELS = 1000
USABLE = "only numbers, categories, text and booleans can be used"


class Subset(NamedTuple):
    """A subset variable.

    Attributes
    ----------
    name : str
    codes : (n,) intp
        Class of every record; -1: missing.
    labels : list of str
        What the classes are called.
    """

    name: str
    codes: Codes
    labels: list[str]


class Field(NamedTuple):
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


class Grouping(NamedTuple):
    """The k subsets that one or two variables make.

    Attributes
    ----------
    cell : (n,) intp
        Subset of every record; -1: in none.
    sizes : (k,) intp
        Records of positive weight.
    ids, labels : list of str
    """

    cell: Codes
    sizes: Codes
    ids: list[str]
    labels: list[str]


def read_both(
    table: Table, simulated: Implicates, subset_names: list[str], wanted: list[str] | None, weight: str | None
) -> tuple[Array, list[Subset], list[Field], list[str]]:
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
    list of Field
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
        weights = _weights(table, weight)
        if isinstance(weights, str):
            found.append(("weight", weight, weights))
        else:
            w = weights
    subsets = [_subset(table, name) for name in subset_names]
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
    read = [field for field in fields if isinstance(field, Field)]
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


def _carried(fields: Sequence[Field], M: int) -> list[str]:
    """Find the variables that every implicate has just as they were observed."""
    return [
        field.name
        for field in fields
        if np.array_equal(field.simulated, np.tile(field.observed, (M, 1)), equal_nan=True)
    ]


def _weights(table: Table, name: str) -> Array | str:
    """Read the weights, or say what is wrong with them."""
    return positive_weights(weight_column(table, name, "records", "`observed`"), name)


def _column(table: Table, name: str) -> pa.Array | str:
    """Read a column, or say why it cannot be had."""
    if name not in table.names:
        return "not in `observed`" + meant(name, table.names)
    try:
        column = table.plain_column(name)
    except Unreadable as error:
        return f"{error}; {USABLE}"
    known = pa.types.is_boolean(column.type) or is_number(column.type) or is_text(column.type)
    if not known and not pa.types.is_dictionary(column.type) and not pa.types.is_null(column.type):
        return f"{describe(column)}; {USABLE}"
    return column if column.null_count < len(column) else "no values at all"


def _levels(column: pa.Array) -> list[str]:
    """List the levels of a categorical column, as text."""
    if pa.types.is_boolean(column.type):
        return ["False", "True"]
    if pa.types.is_dictionary(column.type):
        return [str(level) for level in column.dictionary.to_pylist()]
    return sorted(pc.unique(column).drop_null().to_pylist())


def _codes(column: pa.Array, levels: Sequence[str]) -> Array:
    """Code a categorical column: (n,) float64, NaN where missing or not among the levels."""
    if not pa.types.is_dictionary(column.type):
        if pa.types.is_boolean(column.type):
            return to_floats(column.cast(pa.int8()))
        column = column.dictionary_encode()
    place = {level: float(code) for code, level in enumerate(levels)}
    lookup = [np.nan if v is None else place.get(str(v), np.nan) for v in column.dictionary.to_pylist()]
    indices = column.indices.cast(pa.int64()).fill_null(len(lookup)).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(np.array(lookup, dtype=np.float64), np.nan)[indices])


def _subset(table: Table, name: str) -> Subset | str:
    """Cut a subset variable into its classes."""
    column = _column(table, name)
    if isinstance(column, str):
        return column
    if is_number(column.type):
        values = to_floats(column)
        if np.isnan(values).all() or np.isinf(values).any():
            return "no values at all" if np.isnan(values).all() else "infinite values, which cannot be used"
        codes = cut_classes(values, N_CLASSES)
        ends = [(values[codes == c].min(), values[codes == c].max()) for c in range(codes.max() + 1)]
        return Subset(name, codes, [_range(f"{low:.6g}", f"{high:.6g}") for low, high in ends])
    levels = _levels(column)
    values = _codes(column, levels)
    if pa.types.is_dictionary(column.type) and column.type.ordered:
        codes = cut_classes(values, N_CLASSES)
        held = [np.unique(values[codes == c]).astype(np.intp) for c in range(codes.max() + 1)]
        return Subset(name, codes, [_range(levels[each[0]], levels[each[-1]]) for each in held])
    return Subset(name, np.where(np.isnan(values), -1, values).astype(np.intp), levels)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _field(table: Table, simulated: Implicates, name: str, same_rows: bool) -> Field | str:
    """Read a variable's observed and simulated values, or say what is wrong with them."""
    column = _column(table, name)
    if isinstance(column, str):
        return column
    if name not in simulated.names:
        return "not in `implicates`" + meant(name, simulated.names)
    is_numeric = is_number(column.type)
    levels = [] if is_numeric else _levels(column)
    if len(levels) > MOST_LEVELS:
        return f"{len(levels):,} different levels; group them, or leave the variable out"
    observed = to_floats(column) if is_numeric else _codes(column, levels)
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
        drawn[m] = to_floats(values) if is_numeric else _codes(values, levels)
        if not is_numeric and (unseen := sorted({*_held(values)} - {*levels})):
            if like := alike(unseen, levels):
                return f"level {like}"
            return f"levels {few(unseen)} of `implicates` are not among those of `observed`: {few(levels)}"
    if n_missing := int(np.isnan(drawn).sum() + np.isinf(drawn).sum()):
        return f"{counted(n_missing, 'missing or infinite value')} in `implicates`"
    if same_rows:
        drawn[:, np.isnan(observed)] = np.nan
    return Field(name, levels, observed, drawn)


def _held(column: pa.Array) -> list[str]:
    """List the levels that a categorical column has in some row."""
    return [str(level) for level in pc.unique(column).drop_null().to_pylist()]


def groupings_of(subsets: Sequence[Subset], w: Array, min_size: int) -> Iterator[Grouping]:
    """List the subsets that every subset variable makes, then those of every pair.

    Parameters
    ----------
    subsets : sequence of Subset
    w : (n,) float64
        Weights; records of zero weight are in no subset.
    min_size : int
        Smaller subsets are left out.

    Yields
    ------
    Grouping
        Its subsets in the order of the levels.

    Notes
    -----
    An id is the number of the grouping and, as in the reference, the place at which the subset is met in the
    records sorted by all the subset variables.

    Examples
    --------
    >>> size = Subset("size", np.array([0, 1, 0, 1, 1]), ["small", "large"])
    >>> found = next(groupings_of([size], np.ones(5), 3))
    >>> found.labels, found.ids, found.cell
    (['size=large'], ['1_1'], array([-1,  0, -1,  0,  0]))
    """
    order = np.lexsort([each.codes for each in reversed(subsets)])
    variables = range(len(subsets))
    chosen = [*((v,) for v in variables), *combinations(variables, 2)]
    for number, members in enumerate(chosen, 1):
        key = np.zeros(len(w), dtype=np.intp)
        for each in (subsets[v] for v in members):
            key = np.where((key < 0) | (each.codes < 0), -1, key * len(each.labels) + each.codes)
        key[~(w > 0)] = -1
        size = np.bincount(key[key >= 0], minlength=1)
        kept = np.flatnonzero(size >= min_size)
        renumbered = np.full(len(size) + 1, -1, dtype=np.intp)  # the last is for those in no subset
        renumbered[kept] = np.arange(len(kept))
        cell = renumbered[key]
        met = np.zeros(len(kept), dtype=np.intp)
        place, first = np.unique(cell[order], return_index=True)
        met[place[place >= 0]] = np.argsort(np.argsort(first[place >= 0]))
        ids = [f"{number}_{k + 1}" for k in met]
        yield Grouping(
            cell, size[kept], ids, [_label(each, [subsets[v] for v in members]) for each in kept.tolist()]
        )


def _label(key: int, members: Sequence[Subset]) -> str:
    parts = []
    for each in reversed(members):
        key, code = divmod(key, len(each.labels))
        parts.append(f"{each.name}={each.labels[code]}")
    return " & ".join(reversed(parts))
