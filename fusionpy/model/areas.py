"""Areas: columns whose levels have effects of their own, and how records find theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import meant
from fusionpy.frames.tables import Table, Unreadable, is_text
from fusionpy.model.columns import NO_COLUMN
from fusionpy.model.variables import describe, is_number

__all__ = ["Area", "AreaCodes", "area_problems", "code_areas", "learn_area", "read_levels"]

AreaKind = Literal["text", "number"]
MISSING = -1
MOST_WHOLE = 2**53  # beyond, floating point holds no whole numbers exactly
WANTED = {"text": "text or categories", "number": "whole numbers"}

Codes = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Area:
    """A column of areas.

    Attributes
    ----------
    name : str
    kind : {"text", "number"}
        Of the levels; 6 and "06" are not the same.
    levels : tuple of str
        Those that donors have, as text; behind them comes that of missing values.
    """

    name: str
    kind: AreaKind
    levels: tuple[str, ...]

    @property
    def n_levels(self) -> int:
        """Number of levels, with that of missing values."""
        return len(self.levels) + 1

    def key(self, level: str) -> int:
        """Make the number, below 2**64, that a level's draws depend on, by whatever rows it is met in.

        Examples
        --------
        >>> Area(name="state", kind="number", levels=()).key("6")
        16753414107074671226
        """
        text = f"{self.name}\0{level}".encode(errors="surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def mismatch(self, kind: AreaKind | None) -> str | None:
        """Say that levels are of another kind."""
        if kind in (None, self.kind):
            return None
        return f"must be {WANTED[self.kind]}, as in training, not {WANTED[str(kind)]}"


def read_levels(array: pa.Array) -> tuple[AreaKind | None, list[str], NDArray[np.intp]] | str:
    """Read a column of areas.

    Parameters
    ----------
    array : pyarrow.Array

    Returns
    -------
    kind, levels, codes; or str
        Levels as text, whether or not they occur, and every record's place among them, -1 where it is
        missing; kind is None of a column without values. Or what is wrong with it.

    Examples
    --------
    >>> kind, levels, codes = read_levels(pa.array([7.0, None, 12.0, 7.0]))
    >>> kind, levels, codes.tolist()
    ('number', ['7', '12'], [0, -1, 1, 0])
    >>> read_levels(pa.array([0.5]))
    'numbers that are not whole (such as 0.5)'
    """
    if pa.types.is_null(array.type):
        return None, [], np.full(len(array), MISSING, dtype=np.intp)
    if not pa.types.is_dictionary(array.type):
        if not (is_text(array.type) or is_number(array.type)):
            return f"{describe(array)}; areas are text, categories or whole numbers"
        array = array.dictionary_encode()
    values, kind = array.dictionary, array.type.value_type
    if is_text(kind):
        texts: list[str | None] = values.to_pylist()
    elif pa.types.is_integer(kind):
        texts = [None if value is None else str(value) for value in values.to_pylist()]
    elif pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
        numbers = [None if value is None else float(value) for value in values.to_pylist()]
        odd = [n for n in numbers if n is not None and not (n.is_integer() and abs(n) <= MOST_WHOLE)]
        if odd:
            return f"numbers that are not whole (such as {odd[0]:g})"
        texts = [None if number is None else str(int(number)) for number in numbers]
    else:
        return f"{describe(array)}; areas are text, categories or whole numbers"
    levels = list(dict.fromkeys(text for text in texts if text is not None))
    place = {text: number for number, text in enumerate(levels)}
    # Behind the places of the levels stands that of records without one.
    table = np.array([MISSING if text is None else place[text] for text in texts] + [MISSING], dtype=np.intp)
    codes = table[array.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.intp)]
    return ("text" if is_text(kind) else "number") if levels else None, levels, codes


def learn_area(table: Table, name: str, used: NDArray[np.intp]) -> tuple[Area, Codes] | str:
    """Learn a column of areas of the donors, or say what is wrong with it.

    Parameters
    ----------
    table : Table
    name : str
    used : (n,) intp
        The rows that count.

    Returns
    -------
    Area, (n,) int32; or str
        Codes of those rows.
    """
    if name not in table.names:
        return NO_COLUMN + meant(name, table.names)
    try:
        found = read_levels(table.column(name))
    except Unreadable as error:
        return f"{error}; areas are text, categories or whole numbers"
    if isinstance(found, str):
        return found
    kind, texts, codes = found
    codes = codes[used]
    seen = [texts[code] for code in np.unique(codes[codes != MISSING])]
    if len(seen) < 2 or kind is None:
        return "one level only; there is nothing to learn of how they differ" if seen else "no values at all"
    area = Area(name=name, kind=kind, levels=tuple(sorted(seen, key=int if kind == "number" else None)))
    place = {text: number for number, text in enumerate(area.levels)}
    table_of = np.array([*(place.get(text, 0) for text in texts), len(area.levels)], dtype=np.int32)
    return area, table_of[codes]


class AreaCodes:
    """Codes of a recipient's areas, part by part; levels that no donor has get further codes as they come.

    Parameters
    ----------
    areas : sequence of Area
    """

    def __init__(self, areas: Sequence[Area]) -> None:
        self.areas = tuple(areas)
        self.problems: dict[str, str] = {}
        self._known: list[dict[str, int]] = [
            {text: number for number, text in enumerate(area.levels)} for area in areas
        ]
        self._n_known = [0] * len(self.areas)

    def encode(self, place: int, array: pa.Array) -> Codes:
        """Code some records of an area; what is wrong with them is noted in `problems`."""
        area, known = self.areas[place], self._known[place]
        found = read_levels(array)
        problem = found if isinstance(found, str) else area.mismatch(found[0])
        if isinstance(found, str) or problem is not None:
            self.problems.setdefault(area.name, str(problem))
            return np.full(len(array), len(area.levels), dtype=np.int32)
        _, texts, codes = found
        table = np.full(len(texts) + 1, len(area.levels), dtype=np.int32)  # missing ones at the end
        for code in np.unique(codes[codes != MISSING]):
            # The place of missing values is taken.
            table[code] = known.setdefault(texts[code], len(known) + 1)
        coded = table[codes]
        self._n_known[place] += int((coded < len(area.levels)).sum())
        return coded

    def unseen(self) -> tuple[NDArray[np.uint64], ...]:
        """List, for each area, the keys of levels that no donor has, in the order of their codes."""
        each = zip(self.areas, self._known, strict=True)
        return tuple(
            np.array([area.key(level) for level in list(known)[len(area.levels) :]], dtype=np.uint64)
            for area, known in each
        )

    def matched(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Count, for each area, the records at levels of donors, and name a few levels of the others."""
        return {
            area.name: (n_known, tuple(list(known)[len(area.levels) :][:3]))
            for area, n_known, known in zip(self.areas, self._n_known, self._known, strict=True)
        }


def area_problems(areas: Sequence[Area], table: Table) -> dict[str, str]:
    """Say what is wrong with a recipient's columns of areas.

    Parameters
    ----------
    areas : sequence of Area
    table : Table

    Returns
    -------
    dict of str to str
    """
    found = {}
    for area in areas:
        if area.name not in table.names:
            found[area.name] = f"{NO_COLUMN}, and an area that has effects{meant(area.name, table.names)}"
            continue
        try:
            levels = read_levels(table.column(area.name))
        except Unreadable as error:
            levels = f"must be {WANTED[area.kind]}, as in training, not {error}"
        problem = levels if isinstance(levels, str) else area.mismatch(levels[0])
        if problem is not None:
            found[area.name] = problem
    return found


def code_areas(areas: Sequence[Area], table: Table) -> tuple[Codes, AreaCodes]:
    """Code the areas of a whole table, which has them: (a, n), and what was met."""
    coder = AreaCodes(areas)
    codes = np.empty((len(areas), table.n_rows), dtype=np.int32)
    for place, area in enumerate(areas):
        codes[place] = coder.encode(place, table.column(area.name))
    return codes, coder
