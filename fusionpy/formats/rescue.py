"""What was computed and cannot be written where it was asked for is written elsewhere, not lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from fusionpy.errors import OutputError
from fusionpy.formats.atomic import shown_path

__all__ = ["rescued"]


def rescued(error: OutputError, write: Callable[[Path], None], ending: str) -> OutputError:
    """Write to another place, and say in an error where.

    Parameters
    ----------
    error : OutputError
        What went wrong in the place that was asked for.
    write : callable
        Writes to a path.
    ending : str
        Of the file's name.

    Returns
    -------
    OutputError
        With what became of it.
    """
    for find in (Path, Path.home, tempfile.gettempdir):
        try:
            descriptor, name = tempfile.mkstemp(ending, "fusionpy-rescued-", find())  # for its owner only
        except (OSError, RuntimeError):  # no such folder, no home
            continue
        os.close(descriptor)
        path = Path(name).absolute()
        try:
            write(path)
        except Exception:  # whatever a full disk makes the libraries raise
            path.unlink(missing_ok=True)
            continue
        told = f"What was computed is not lost: it is in {shown_path(path)}"
        return OutputError(error.headline, [*error.problems, told], "Move it to where you want it.")
    return OutputError(
        error.headline, [*error.problems, "It could not be written elsewhere either."], error.hint
    )
