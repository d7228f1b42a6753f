"""Entries of R's metadata, each with the place where it stands, so that what is wrong with it can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import few
from fusionpy.formats.rds.values import NA_INTEGER, RValue
from fusionpy.model.archive.entries import damaged

__all__ = ["METADATA", "Entry"]

METADATA = "metadata.rds"


class Entry:
    """One value of the metadata, and where it stands."""

    def __init__(self, value: RValue | None, place: str = METADATA) -> None:
        self.value = value
        self.place = place

    def must(self, fits: bool, wanted: str) -> None:
        """Refuse what does not fit."""
        if not fits:
            raise damaged(f"{self.place} must be {wanted}")

    @property
    def is_null(self) -> bool:
        """Whether it is NULL."""
        return self.value is None

    def of_kind(self, kinds: Sequence[str], wanted: str) -> RValue:
        """Take it if it is of one of these kinds."""
        self.must(self.value is not None and self.value.kind in kinds, wanted)
        assert self.value is not None
        return self.value

    def __getitem__(self, key: str) -> Entry:
        found = self.of_kind(("list",), "a list").entries()
        if key not in found:
            raise damaged(f"{self.place} has no entry '{key}'")
        return Entry(found[key], f"{self.place}{'/' if self.place == METADATA else '$'}{key}")

    def get(self, key: str) -> Entry:
        """Take an entry that R does without; NULL if it is not there."""
        found = self.of_kind(("list",), "a list").entries()
        return self[key] if key in found else Entry(None, f"{self.place}/{key}")

    def each(self) -> list[Entry]:
        """Read a list."""
        found = self.of_kind(("list",), "a list")
        return [Entry(value, f"{self.place}[[{number}]]") for number, value in enumerate(found.values, 1)]

    def steps(self, n_steps: int, optional: bool = False) -> list[Entry]:
        """Read a list with an element for each step; NULL for all, if that is allowed."""
        if optional and self.is_null:
            return [self] * n_steps
        found = self.each()
        self.must(len(found) == n_steps, f"a list of {n_steps} steps")
        return found

    def named(self) -> dict[str, Entry]:
        """Read a list with names."""
        found = self.of_kind(("list",), "a list")
        names = () if not len(found) else found.names or ()
        unique = len(names) == len(found) and len(set(names)) == len(names)
        self.must(unique and None not in names and "" not in names, "a list with names, none of them twice")
        return {str(name): self[str(name)] for name in names}

    def texts(self) -> tuple[str, ...]:
        """Read text, none of it missing."""
        found = self.of_kind(("character",), "text").values
        self.must(all(text is not None for text in found), "text, none of it missing")
        return tuple(str(text) for text in found)

    def names_among(self, known: Sequence[str]) -> tuple[str, ...]:
        """Read names, none twice, all of them among those known."""
        found = self.texts()
        self.must(bool(found) and len(set(found)) == len(found), "names, none of them twice")
        strange = [name for name in found if name not in known]
        if strange:
            raise damaged(f"{self.place} names {few(strange)}, which are not known by then")
        return found

    def numbers(self) -> NDArray[np.float64]:
        """Read numbers; every missing one is NaN."""
        found = self.of_kind(("double", "integer"), "numbers")
        values: Any = found.values
        if found.kind == "integer":
            return np.asarray(np.where(values == NA_INTEGER, np.nan, values.astype(np.float64)))
        return np.asarray(np.where(np.isnan(values), np.nan, values))  # R's NA is a signalling NaN

    def matrix(self, kind: str, wanted: str) -> NDArray[Any]:
        """Read a matrix of numbers."""
        found = self.of_kind((kind,), wanted)
        sides = found.dim
        self.must(len(sides) == 2 and min(sides) >= 0 and sides[0] * sides[1] == len(found), wanted)
        return np.asarray(found.values).reshape(sides, order="F")

    def whole_matrix(self) -> NDArray[np.int32]:
        """Read a matrix of whole numbers, which R may keep as any; `NA_INTEGER` where one is missing."""
        wanted = "a matrix of whole numbers"
        if self.value is not None and self.value.kind == "integer":
            return self.matrix("integer", wanted)
        found = self.matrix("double", wanted)
        given = np.where(np.isnan(found), 0, found)
        self.must(bool(((given == np.round(given)) & (np.abs(given) < 2**31)).all()), wanted)
        return np.where(np.isnan(found), NA_INTEGER, given).astype(np.int32)

    def columns(self) -> tuple[str, ...] | None:
        """Names of a matrix's columns, if they have any."""
        names = self.value and self.value.attributes.get("dimnames")
        if not isinstance(names, RValue):
            return None
        pair = Entry(names, f"the names in {self.place}").each()
        return pair[1].texts() if len(pair) == 2 and not pair[1].is_null else None
