"""Files written aside and moved into place, so that nothing half-written is ever found."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusionpy.errors import OutputError, few, shown
from fusionpy.formats.leftovers import own_file, sweep

__all__ = ["absolute", "check_apart", "check_writable", "shown_path", "written_aside"]

PRIVATE, OPEN = 0o600, 0o666  # of which the umask takes its part


def check_writable(
    path: str | os.PathLike[str],
    argument: str,
    endings: Sequence[str],
    inputs: Mapping[str, Any] | None = None,
    *,
    folders: bool = False,
) -> Path:
    """Refuse a path that could not be written, or that is read from, before any work is done.

    What killed processes have left in its folder is removed.

    Parameters
    ----------
    path : path
    argument : str
        The argument it came in.
    endings : sequence of str
        Allowed file name endings.
    inputs : mapping, optional
        What other arguments, by their names, are read from; what is no path is passed over.
    folders : bool
        Whether folders that are not there will be made, as `written_aside` does: here it is only seen to it
        that they can be.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    OutputError
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not str(path):
        hint = f"Name a file, such as 'result{endings[0]}'."
        raise OutputError(f"`{argument}` must be the path of a file, not {shown(path)}.", hint=hint)
    headline = f"`{argument}` cannot be written: {shown_path(path)}"
    target = absolute(path, headline)
    headline = f"`{argument}` cannot be written: {shown_path(target)}"
    if target.suffix.lower() not in endings and not _is_folder(target):
        instead = f", not '{target.suffix}'" if target.suffix else ""
        problem = f"Its name must end with {few(endings)}{instead}."
        example = target.with_suffix(endings[0]).name[-100:]
        raise OutputError(headline, [problem], f"Write to '{example}', for instance.")
    try:
        if target.is_dir():
            raise OutputError(headline, ["It is a folder."], "Name a file.")
        place = _followed(target)
        check_apart(target, argument, inputs or {})
        if folders and (absent := _absent(place.parent)):
            _check_folder(absent[0].parent, headline)
            return target
        _check_place(place, headline)
        sweep(place.parent)
        with own_file(place):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(headline, [_reason(error)], "Choose another folder or name.") from None
    return target


def _absent(folder: Path) -> list[Path]:
    """List the folders that are not there, the outermost first."""
    absent: list[Path] = []
    while not os.path.lexists(folder):
        absent.insert(0, folder)
        folder = folder.parent
    return absent


def _check_folder(folder: Path, headline: str) -> None:
    """Refuse a folder in which no folder can be made: it is tried."""
    if not folder.is_dir():
        raise OutputError(headline, [f"'{folder}' is a file, not a folder."], "Choose another folder.")
    Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".part")).rmdir()


@contextmanager
def _folders_made(folder: Path) -> Iterator[None]:
    """Make the folders that are not there; if nothing comes of it, they go again."""
    absent = _absent(folder)
    try:
        for each in absent:
            with contextlib.suppress(FileExistsError):  # another process was quicker
                each.mkdir()
        yield
    except BaseException:
        for each in reversed(absent):
            with contextlib.suppress(OSError):  # not there yet, or not empty: another's
                each.rmdir()
        raise


def _check_place(place: Path, headline: str) -> None:
    """Refuse a place that no file can have, or of which another kind of thing has hold."""
    folder = place.parent
    if not folder.exists():
        raise OutputError(
            headline, ["Its folder does not exist."], "Create the folder first, or choose another."
        )
    if not folder.is_dir():
        raise OutputError(headline, [f"'{folder}' is a file, not a folder."], "Choose another folder.")
    if place.exists() and not place.is_file():
        raise OutputError(headline, ["It is a pipe, a socket or a device, not a file."], "Name a file.")
    if place.exists() and not os.access(place, os.W_OK):
        problem, hint = (
            "It may not be written to (it is read-only).",
            "Name another file, or change its mode.",
        )
        raise OutputError(headline, [problem], hint)


def absolute(path: str | os.PathLike[str], headline: str) -> Path:
    """Make a path absolute, or say why it cannot be written to.

    Parameters
    ----------
    path : path
    headline : str
        Of the error.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        If its ``~`` or the working directory leads nowhere, or if it is no text in UTF-8, which the
        libraries want that write files.
    """
    try:
        target = Path(path).expanduser().absolute()
        str(target).encode()
    except RuntimeError:  # no such user
        raise OutputError(headline, ["Its '~' leads nowhere."], "Write the folder out.") from None
    except FileNotFoundError:
        problem = "The working directory does not exist any more."
        raise OutputError(headline, [problem], "Change to another, or write the path out.") from None
    except UnicodeError:
        problem = "Its name, or that of a folder that it is in, is not in UTF-8."
        raise OutputError(headline, [problem], "Choose another folder or name.") from None
    return target


def check_apart(target: Path, argument: str, inputs: Mapping[str, Any], *, folder: bool = False) -> None:
    """Refuse to write where something is read from.

    Parameters
    ----------
    target : Path
        Absolute; of a file, or of a folder.
    argument : str
        The argument it came in.
    inputs : mapping
        What other arguments, by their names, are read from; what is no path is passed over.
    folder : bool
        Whether all of the folder `target` is to be written.

    Raises
    ------
    OutputError
        If `target` is an input, by whatever name or link, or lies in the folder of one; or if an input lies
        in the folder `target`.
    """
    for name, source in inputs.items():
        if not isinstance(source, str | os.PathLike):
            continue
        try:
            place = Path(source).expanduser()
            if _is_same(target, place):
                problem = f"It is the {'folder' if folder else 'file'} of `{name}`, which would be lost."
            elif place.is_dir() and _is_within(target, place):
                problem = f"It is inside the folder of `{name}`, and would be taken for a part of it."
            elif folder and _is_within(place, target):
                problem = f"It is the folder that `{name}` is in."
            else:
                continue
        except (OSError, ValueError, RuntimeError):  # whoever reads it will complain
            continue
        headline = f"`{argument}` cannot be written: {shown_path(target)}"
        raise OutputError(headline, [problem], f"Name another {'folder' if folder else 'file'}.")


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths are of the same thing, by whatever names and links."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _is_within(inner: Path, folder: Path) -> bool:
    return any(place.exists() and place.samefile(folder) for place in Path(os.path.realpath(inner)).parents)


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


def _followed(target: Path) -> Path:
    """Follow a link: what it leads to is written, and the link stays."""
    if not target.is_symlink():
        return target
    place = Path(os.path.realpath(target))
    if place.is_symlink():
        raise OSError("It is a link that leads to itself")
    return place


def _reason(error: OSError | ValueError) -> str:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else "It is not a valid file name"
    return f"{reason.rstrip('.')}."


@contextmanager
def written_aside(target: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it into place only if all went well.

    Folders that are not there are made; they go again if it fails.

    Parameters
    ----------
    target : Path
        A link is followed. What is there keeps its permissions.
    private : bool
        Whether it holds microdata: a new file then is for its owner only.

    Yields
    ------
    Path
        Ends with ``.part``: no reader takes it for a finished file, even if the process is killed; and
        `fusionpy.formats.leftovers.sweep` removes it then.

    Raises
    ------
    OutputError
        If it could not be written.
    """
    try:
        place = _followed(target)
        before = place.stat() if place.exists() else None
        # While it is written its owner may do so, whatever the other's permissions are.
        mode = (
            (PRIVATE if private else OPEN)
            if before is None
            else stat.S_IMODE(before.st_mode) & OPEN | PRIVATE
        )
        with _folders_made(place.parent), own_file(place, mode) as own:
            yield own.path
            own.move(place, own.mode if before is None else _taken_over(own.path, before))
    except OSError as error:
        hint = "Make room there, or choose another place."
        raise OutputError(f"{shown_path(target)} could not be written.", [_reason(error)], hint) from error


def _taken_over(path: Path, before: os.stat_result) -> int:
    """Give a file the owner and group that another has; tell the permissions that it can have then."""
    mode, mine = stat.S_IMODE(before.st_mode) & 0o777, path.stat()
    if hasattr(os, "chown") and (mine.st_uid, mine.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(path, before.st_uid, before.st_gid)
        except OSError:  # another's file: its group is not to become that of ours
            with contextlib.suppress(OSError):
                os.chown(path, -1, before.st_gid)
            if path.stat().st_gid != before.st_gid:
                mode &= ~0o070
    return mode
