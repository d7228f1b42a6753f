"""Files written aside and moved into place, so that nothing half-written is ever found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fusionpy.errors import OutputError, few

__all__ = ["check_writable", "written_aside"]


def check_writable(path: str | os.PathLike[str], argument: str, endings: Sequence[str]) -> Path:
    """Refuse a path that could not be written, before any work is done.

    Parameters
    ----------
    path : path
    argument : str
        The argument it came in.
    endings : sequence of str
        Allowed file name endings.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    OutputError
    """
    try:
        target = Path(path).expanduser().absolute()
    except TypeError:
        raise OutputError(f"`{argument}` must be a path, not {type(path).__name__}.") from None
    headline = f"`{argument}` cannot be written: {target}"
    if target.suffix.lower() not in endings:
        hint = f"End the file name with {few(endings)}."
        raise OutputError(headline, [f"It ends with '{target.suffix}'."], hint)
    if target.is_dir():
        raise OutputError(headline, ["It is a folder."], "Name a file.")
    if not target.parent.is_dir():
        raise OutputError(headline, ["Its folder does not exist."], f"Create {target.parent} first.")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(headline, ["Its folder cannot be written to."], "Choose another folder.")
    return target


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it into place only if all went well.

    Parameters
    ----------
    target : Path

    Yields
    ------
    Path
        Ends with ``.part``: no reader takes it for a finished file, even if the process is killed.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield aside
        aside.replace(target)
    except OSError as error:
        problem = error.strerror or str(error)
        raise OutputError(f"`{target}` could not be written.", [f"{problem}."]) from error
    finally:
        aside.unlink(missing_ok=True)
