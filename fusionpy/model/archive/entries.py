"""Entries of the manifest, each with the place where it stands: what is wrong with one can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusionpy.engines.base import MOST_VALUE
from fusionpy.errors import ArchiveError, few, is_whole, shown
from fusionpy.model.archive.manifest import MANIFEST

__all__ = ["ManifestEntry", "damaged"]


def damaged(what: str) -> ArchiveError:
    """Make the error for an archive that cannot be what it claims to be."""
    return ArchiveError("", [f"It is damaged: {what}."])


class ManifestEntry:
    """One value of the manifest, and where it stands."""

    def __init__(self, value: Any, place: str = MANIFEST) -> None:
        self.value = value
        self.place = place

    def must(self, fits: bool, wanted: str) -> None:
        """Refuse a value that does not fit."""
        if not fits:
            raise damaged(f"{self.place} must be {wanted}, not {shown(self.value)}")

    def __getitem__(self, key: str) -> ManifestEntry:
        self.must(isinstance(self.value, dict), "an object")
        if key not in self.value:
            raise damaged(f"{self.place} has no entry '{key}'")
        return ManifestEntry(self.value[key], f"{self.place}{'/' if self.place == MANIFEST else '.'}{key}")

    def each(self) -> list[ManifestEntry]:
        """Take the entries of a list."""
        self.must(isinstance(self.value, list), "a list")
        return [ManifestEntry(value, f"{self.place}[{number}]") for number, value in enumerate(self.value)]

    def named(self) -> dict[str, ManifestEntry]:
        """Take the entries of an object, by name."""
        self.must(isinstance(self.value, dict), "an object")
        return {key: self[key] for key in self.value}

    def text(self) -> str:
        """Read text."""
        self.must(isinstance(self.value, str), "text")
        return str(self.value)

    def texts(self, known: Sequence[str] | None = None) -> tuple[str, ...]:
        """Read names, none twice, all of them among those known."""
        found = tuple(each.text() for each in self.each())
        self.must(len(set(found)) == len(found), "names, none of them twice")
        strange = [] if known is None else [name for name in found if name not in known]
        if strange:
            raise damaged(f"{self.place} names {few(strange)}, which are not known by then")
        return found

    def one_of(self, values: Sequence[str]) -> Any:
        """Read one of the values that are possible."""
        self.must(isinstance(self.value, str) and self.value in values, f"one of {few(values)}")
        return self.value

    def flag(self) -> bool:
        """Read true or false."""
        self.must(isinstance(self.value, bool), "true or false")
        return bool(self.value)

    def whole(self, low: int, high: int) -> int:
        """Read a whole number within bounds."""
        self.must(is_whole(self.value, low), f"a whole number of at least {low}")
        self.must(self.value <= high, "smaller")
        return int(self.value)

    def number(self, low: float = -MOST_VALUE, high: float = MOST_VALUE, at_all: bool = False) -> float:
        """Read a number within bounds; `at_all` allows what is not a number, too."""
        fits = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        self.must(
            fits and (at_all or low <= self.value <= high),
            "a number" if at_all else f"a number of at least {low:g}",
        )
        return float(self.value)

    def plain(self) -> Any:
        """Read a value, or a list of values, that is only ever shown."""
        values = self.value if isinstance(self.value, list) else [self.value]
        self.must(all(v is None or isinstance(v, str | int | float) for v in values), "a plain value")
        return self.value
