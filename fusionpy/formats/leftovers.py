"""Files of a process's own beside those that it writes, and what killed processes have left of them.

A file of one's own is locked for as long as its process lives: the system lets go of the lock, however the
process ends. So whoever can lock such a file knows that its owner is dead.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which does not remove files that are open
    fcntl = None  # type: ignore[assignment]

__all__ = ["OwnFile", "is_left", "own_file", "scratch_folder", "sweep", "sync_folder"]

LONGEST = 200  # bytes of the target's name: a file's may have 255
_LEFT = re.compile(
    r"\..+\.(?:([0-9a-f]{8})-)?[0-9a-f]{4,8}\.part", re.DOTALL
)  # older releases tell no machine
_LOCK = ".lock"


def _machine() -> str:
    """Tell this machine, or container, from others that may write to the same folders."""
    try:
        number = Path("/etc/machine-id").read_text()
    except (OSError, ValueError):
        number = ""
    return hashlib.sha256(f"{platform.node()} {number}".encode()).hexdigest()[:8]


MACHINE = _machine()


class OwnFile:
    """A file of one's own, open and locked.

    Attributes
    ----------
    path : Path
        Ends with ``.part``.
    mode : int
        That it was made with.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self.mode = stat.S_IMODE(os.fstat(descriptor).st_mode)

    def move(self, target: Path, mode: int) -> None:
        """Put it, whole and on the disk, into the place of another.

        Parameters
        ----------
        target : Path
        mode : int
            Permissions that it gets.
        """
        descriptor = os.open(self.path, os.O_RDWR)  # other programs may have put another file there
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fcntl is None:
            self.close()
        self.path.replace(target)  # locked still: nobody takes it for a dead process's meanwhile
        sync_folder(target.parent)

    def close(self) -> None:
        """Let go of the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def sync_folder(folder: Path) -> None:
    """See to it that a folder's names are on the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def own_file(target: Path, mode: int = 0o600, ending: str = "") -> Iterator[OwnFile]:
    """Make a file of one's own beside another; it is removed in the end, unless it was moved.

    Parameters
    ----------
    target : Path
        The other, whose name stands in its own.
    mode : int
        Permissions, of which the umask may take some.
    ending : str
        What comes before ``.part``.

    Yields
    ------
    OwnFile

    Raises
    ------
    OSError
        If it cannot be made.
    """
    own = None
    while own is None:  # until nobody has taken it for a dead process's, before it was locked
        own = _make(target, mode, ending)
    try:
        yield own
    finally:
        own.path.unlink(missing_ok=True)
        own.close()


def _make(target: Path, mode: int, ending: str) -> OwnFile | None:
    name = target.name.encode("utf-8", "surrogateescape")[:LONGEST].decode(errors="ignore")
    path = target.with_name(f".{name}{ending}.{MACHINE}-{secrets.token_hex(4)}.part")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    _lock(descriptor, wait=True)
    if _is_at(descriptor, path):
        return OwnFile(path, descriptor)
    os.close(descriptor)
    return None


def _lock(descriptor: int, *, wait: bool) -> bool | None:
    """Lock a file: False if another process has, None where that cannot be told."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def is_left(name: str) -> bool:
    """Tell by its name whether a file is some process's own.

    Examples
    --------
    >>> is_left(".fused.parquet.0123abcd-0123abcd.part"), is_left(".fused.parquet.01234567.part")
    (True, True)
    >>> is_left("fused.parquet"), is_left("fused.parquet.part")
    (False, False)
    """
    return _LEFT.fullmatch(name) is not None


def sweep(folder: Path, *, everyone: bool = False) -> list[Path]:
    """Remove from a folder the files that dead processes have left.

    Parameters
    ----------
    folder : Path
    everyone : bool
        Those of other machines too, and those of which nobody can tell whose they are. Only for when none of
        them can be at work there.

    Returns
    -------
    list of Path
        Those that were removed. Files of living processes of this machine, and what cannot be removed, stay.
    """
    removed = []
    with contextlib.suppress(OSError, ValueError):
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".part")]
        for path in sorted(Path(folder, name) for name in names):
            match = _LEFT.fullmatch(path.name)
            if match is None or not (everyone or match[1] == MACHINE):
                continue
            with contextlib.suppress(OSError):
                if _remove(path, everyone):
                    removed.append(path)
    return removed


def _remove(path: Path, everyone: bool) -> bool:
    """Remove a file unless its process lives."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        free = _lock(descriptor, wait=False)
        if free is False or (free is None and not everyone) or not _is_at(descriptor, path):
            return False
        if fcntl is None:
            os.close(descriptor)
            descriptor = -1
        path.unlink()
        return True
    finally:
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for temporary files, of which nobody else can read anything, and remove it in the end.

    Those that dead processes of this machine have left are removed first.

    Yields
    ------
    Path
    """
    root, prefix = Path(tempfile.gettempdir()), f"fusionpy-{MACHINE}-"
    for left in root.glob(f"{prefix}*/{_LOCK}"):
        with contextlib.suppress(OSError):
            if left.stat().st_uid == (os.getuid() if hasattr(os, "getuid") else 0) and _remove(left, False):
                shutil.rmtree(left.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        lock = os.open(Path(name, _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        _lock(lock, wait=True)
        try:
            yield Path(name)
        finally:
            os.close(lock)
