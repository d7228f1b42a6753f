"""The command `clean`."""

from __future__ import annotations

import os
from pathlib import Path

from fusionpy.errors import ArgumentError, Problems, counted
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.leftovers import sweep

__all__ = ["clean"]


def clean(problems: Problems, *, folder: str, everyone: bool) -> None:
    """Remove the unfinished files (.part) that killed runs have left; they hold microdata.

    Files of running processes stay. The next run that writes to a folder does the same for that folder.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        problem = "It is a file." if place.exists() else "There is no such folder."
        raise ArgumentError(f"'{shown_path(folder)}' cannot be cleaned.", [problem], "Name a folder.")
    removed = [path for each, _, _ in os.walk(place) for path in sweep(Path(each), everyone=everyone)]
    for path in removed:
        print(shown_path(path))
    print(f"{counted(len(removed), 'file')} removed.")
