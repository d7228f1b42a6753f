"""The bytes of an fst file, by offset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import BinaryIO

from fusionpy.formats import Damaged

__all__ = ["CUT", "Source"]

CUT = "it is cut off, or says that something lies where it cannot"


@dataclass(frozen=True)
class Source:
    """The part of an open file before `end`; nothing behind it is read."""

    file: BinaryIO
    end: int

    def read(self, position: int, size: int) -> bytes:
        """Read exactly so many bytes.

        Raises
        ------
        Damaged
            If there are not so many.
        """
        self.check(position, size)
        self.file.seek(position)
        content = self.file.read(size)
        if len(content) != size:
            raise Damaged(CUT)
        return content

    def check(self, position: int, size: int) -> None:
        """Refuse bytes that are not there."""
        if position < 0 or size < 0 or position + size > self.end:
            raise Damaged(CUT)

    def before(self, end: int) -> Source:
        """Narrow it."""
        return replace(self, end=min(end, self.end))
