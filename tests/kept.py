"""Archives of every released format, kept for ever."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "archives"


ARCHIVES = sorted(FOLDER.glob("format-*.fsn"))
