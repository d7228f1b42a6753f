"""Groups of records: which record is in which, and what the groups are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.frames.tables import to_floats

__all__ = ["Array", "Cells", "Groups", "Levels", "column_values"]

Array = NDArray[np.float64]

Cells = NDArray[np.intp]

MOST_LOOKED_UP = 2**22  # combinations of levels that are found by table rather than by sorting

MOST_KEYS = 2**62  # what a combination of levels is numbered by must fit into 64 bits


class Levels:
    """Levels of a column, as they are met: implicate after implicate, they keep their codes."""

    def __init__(self) -> None:
        self.labels: list[Any] = []
        self.place: dict[Any, int] = {}
        self.type: pa.DataType | None = None  # of the column that was met first
        self.first: frozenset[int] | None = None  # codes of its records

    def codes(self, array: pa.Array) -> Cells:
        """Code a column: (n,) intp, -1 where missing."""
        self.type = self.type or array.type
        if not pa.types.is_dictionary(array.type):
            if pa.types.is_boolean(array.type) and not self.labels:
                self._learn([False, True])
            array = array.dictionary_encode()
        known = self._learn(array.dictionary.to_pylist())
        indices = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        codes = np.asarray(np.append(known, -1)[indices])
        if self.first is None:
            self.first = frozenset(np.flatnonzero(np.bincount(codes + 1)[1:]).tolist())
        return codes

    def _learn(self, values: Iterable[Any]) -> Cells:
        known = [None if value != value else value for value in values]  # polars keeps NaN apart from null
        for value in known:
            if value not in self.place and value is not None:
                self.place[value] = len(self.labels)
                self.labels.append(value)
        return np.array([-1 if v is None else self.place[v] for v in known], dtype=np.intp)

    @property
    def order(self) -> list[int]:
        """Codes in the order in which results show them: the column's own, or ascending."""
        if self.type is not None and pa.types.is_dictionary(self.type):
            return list(range(len(self.labels)))
        return sorted(range(len(self.labels)), key=lambda code: self.labels[code])

    @property
    def reference(self) -> int:
        """Code that others are compared with: of the column met first, the first level that a record has."""
        if self.type is not None and pa.types.is_boolean(self.type):
            return self.place[False]
        return next((code for code in self.order if code in (self.first or ())), -1)


class Groups:
    """Groups of records by their levels in some columns, as they are met."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.levels = [Levels() for _ in names]
        self.numbers: dict[tuple[int, ...], int] = {} if names else {(): 0}
        self._last: tuple[list[pa.Array], Cells] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def cells(self, columns: Sequence[pa.Array], n_rows: int) -> Cells:
        """Find the group of every record: (n,) intp; a missing level makes a group of its own."""
        before, cells = self._last or ([], np.empty(0, dtype=np.intp))
        is_same = len(cells) == n_rows and len(before) == len(columns)
        if is_same and all(new is old for new, old in zip(columns, before, strict=True)):
            return cells  # static columns are the same in every implicate
        cells = self._cells(columns, n_rows)
        self._last = list(columns), cells
        return cells

    def _cells(self, columns: Sequence[pa.Array], n_rows: int) -> Cells:
        if not self.names:
            return np.zeros(n_rows, dtype=np.intp)
        codes = [levels.codes(column) for levels, column in zip(self.levels, columns, strict=True)]
        key, n_keys = np.zeros(n_rows, dtype=np.intp), 1
        for code, levels in zip(codes, self.levels, strict=True):
            size = len(levels.labels) + 1
            if n_keys * size > MOST_KEYS:  # only those that occur go on
                key = np.unique(key, return_inverse=True)[1].ravel()
                n_keys = int(key.max(initial=0)) + 1
            key, n_keys = key * size + (code + 1), n_keys * size
        if n_keys <= MOST_LOOKED_UP:
            first = np.full(n_keys, -1, dtype=np.intp)
            first[key[::-1]] = np.arange(n_rows)[::-1]
            found, place = np.flatnonzero(first >= 0), key
            first, number = first[found], np.full(n_keys, -1, dtype=np.intp)
        else:
            found, first, place = np.unique(key, return_index=True, return_inverse=True)
            found, number = np.arange(len(found)), np.empty(len(found), dtype=np.intp)
        met = zip(*(code[first].tolist() for code in codes), strict=True)
        number[found] = [self.numbers.setdefault(levels, len(self.numbers)) for levels in met]
        return number[place.ravel()]


def column_values(array: pa.Array) -> Array:
    """Numbers of a numeric or logical column, NaN where missing or infinite."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    values = to_floats(array)
    return values if np.isfinite(values).all() else np.where(np.isfinite(values), values, np.nan)
