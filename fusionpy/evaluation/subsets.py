"""Subsets of the records by which implicates are compared with donors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fusionpy.evaluation.columns import Array, Codes, codes_of, column_of, levels_of
from fusionpy.frames.tables import Table, to_floats
from fusionpy.kernels.classes import cut_classes
from fusionpy.model.variables import is_number

__all__ = ["Grouping", "Subset", "groupings_of", "subset_of"]

N_CLASSES = 5  # into which numeric and ordered subset variables are cut


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


def subset_of(table: Table, name: str) -> Subset | str:
    """Cut a subset variable into its classes."""
    column = column_of(table, name)
    if isinstance(column, str):
        return column
    if is_number(column.type):
        values = to_floats(column)
        if np.isnan(values).all() or np.isinf(values).any():
            return "no values at all" if np.isnan(values).all() else "infinite values, which cannot be used"
        codes = cut_classes(values, N_CLASSES)
        ends = [(values[codes == c].min(), values[codes == c].max()) for c in range(codes.max() + 1)]
        return Subset(name, codes, [_range(f"{low:.6g}", f"{high:.6g}") for low, high in ends])
    levels = levels_of(column)
    values = codes_of(column, levels)
    if pa.types.is_dictionary(column.type) and column.type.ordered:
        codes = cut_classes(values, N_CLASSES)
        held = [np.unique(values[codes == c]).astype(np.intp) for c in range(codes.max() + 1)]
        return Subset(name, codes, [_range(levels[each[0]], levels[each[-1]]) for each in held])
    return Subset(name, np.where(np.isnan(values), -1, values).astype(np.intp), levels)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


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
