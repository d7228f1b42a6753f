"""Files written aside and moved into place, so that nothing half-written is ever found."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fusionpy.errors import OutputError, few, shown

__all__ = ["check_writable", "shown_path", "written_aside"]


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
    if not isinstance(path, str | os.PathLike) or not str(path):
        hint = f"Name a file, such as 'result{endings[0]}'."
        raise OutputError(f"`{argument}` must be the path of a file, not {shown(path)}.", hint=hint)
    try:
        target = Path(path).expanduser().absolute()
    except RuntimeError:  # no such user
        headline = f"`{argument}` cannot be written: {path}"
        raise OutputError(headline, ["Its '~' leads nowhere."], "Write the folder out.") from None
    headline = f"`{argument}` cannot be written: {shown_path(target)}"
    if target.suffix.lower() not in endings and not _is_folder(target):
        instead = f", not '{target.suffix}'" if target.suffix else ""
        problem = f"Its name must end with {few(endings)}{instead}."
        example = target.with_suffix(endings[0]).name[-100:]
        raise OutputError(headline, [problem], f"Write to '{example}', for instance.")
    folder = target.parent
    try:
        if target.is_dir():
            raise OutputError(headline, ["It is a folder."], "Name a file.")
        if not folder.exists():
            raise OutputError(
                headline, ["Its folder does not exist."], "Create the folder first, or choose another."
            )
        if not folder.is_dir():
            raise OutputError(headline, [f"'{folder}' is a file, not a folder."], "Choose another folder.")
        probe = _aside(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(headline, [_reason(error)], "Choose another folder or name.") from None
    return target


def shown_path(path: str | os.PathLike[str]) -> str:
    """Show a path on a line."""
    text = os.fspath(path) if isinstance(os.fspath(path), str) else repr(os.fspath(path))
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 150 else f"{text[:60]}...{text[-87:]}"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _reason(error: OSError | ValueError) -> str:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else "It is not a valid file name"
    return f"{reason.rstrip('.')}."


def _aside(target: Path) -> Path:
    """Name a file of one's own beside the target, no longer than the target's name may be."""
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")


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
    aside = _aside(target)
    try:
        yield aside
        aside.replace(target)
    except OSError as error:
        hint = "Make room there, or choose another place."
        raise OutputError(f"{shown_path(target)} could not be written.", [_reason(error)], hint) from error
    finally:
        aside.unlink(missing_ok=True)
