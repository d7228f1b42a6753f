"""The cache: where downloaded files are kept, what is known of them, and whose turn it is."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from fusionpy.errors import FusionError
from fusionpy.progress import announce

__all__ = [
    "CacheRecord",
    "DownloadError",
    "cache_folder",
    "digest_of",
    "locked",
    "read_cache_record",
    "unwritable",
]

BLOCK = 2**20  # bytes read at a time
TURN = 0.1  # seconds between two looks at a lock


class DownloadError(FusionError):
    """A file cannot be downloaded, or is not the file that it should be."""


class CacheRecord(NamedTuple):
    """What the cache knows of a file, kept beside it as ``<name>.json``.

    Attributes
    ----------
    url : str
        Where the file is from.
    size : int
        Bytes.
    sha256 : str
        Checksum, in hexadecimal digits.
    recorded : str
        When, by UTC.
    how : str
        "downloaded" or "found in the cache".
    """

    url: str
    size: int
    sha256: str
    recorded: str
    how: str

    @classmethod
    def of(cls, path: Path, url: str, how: str) -> CacheRecord:
        """Record a file as it is now."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(url, path.stat().st_size, digest_of(path), now, how)

    def write(self, path: Path) -> None:
        """Write the record of the file `path`, whole or not at all."""
        write_whole(beside(path, ".json"), json.dumps(self._asdict(), indent=1) + "\n")


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    r"""Find the folder in which downloaded files are kept.

    Parameters
    ----------
    cache : path, optional
        The folder. Missing: the environment variable FUSIONPY_CACHE, or else the platform's place for such
        files: ``$XDG_CACHE_HOME/fusionpy`` or ``~/.cache/fusionpy`` on Linux, ``~/Library/Caches/fusionpy``
        on macOS, ``%LOCALAPPDATA%\fusionpy\Cache`` on Windows.

    Returns
    -------
    pathlib.Path
        Absolute; it need not exist.

    Examples
    --------
    >>> cache_folder("/tmp/surveys").as_posix()[-12:]
    '/tmp/surveys'
    """
    if cache is not None:
        return Path(cache).expanduser().absolute()
    if named := os.environ.get("FUSIONPY_CACHE"):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "fusionpy" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fusionpy"
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "fusionpy"


def beside(path: Path, ending: str) -> Path:
    """Name a file beside another.

    Examples
    --------
    >>> beside(Path("csv_hwa.zip"), ".part").name
    'csv_hwa.zip.part'
    """
    return path.with_name(path.name + ending)


def write_whole(path: Path, text: str) -> None:
    """Write a small text file aside, and move it in place."""
    aside = beside(path, f".{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def digest_of(path: Path) -> str:
    """Compute a file's SHA-256, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_cache_record(path: Path) -> CacheRecord | None:
    """Read what is known of the file `path`; None if nothing is.

    Raises
    ------
    DownloadError
        If the record is damaged: what it said is not taken for nothing.
    """
    place = beside(path, ".json")
    try:
        record = CacheRecord(**json.loads(place.read_text(encoding="utf-8")))
        if not (isinstance(record.size, int) and isinstance(record.sha256, str)):
            raise TypeError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        raise DownloadError(
            f"What the cache knows of '{path.name}' cannot be read.",
            [f"'{place}' is damaged."],
            "Delete it, and the file beside it, to download the file anew.",
        ) from None
    return record


def unwritable(path: Path, error: OSError) -> DownloadError:
    """Say that the cache cannot be written."""
    return DownloadError(
        f"The cache cannot be written: '{path.parent}'.",
        [f"{error.strerror or error}."],
        "Make room, or choose another folder with `cache` or the environment variable FUSIONPY_CACHE.",
    )


@contextmanager
def locked(path: Path, quiet: bool) -> Iterator[None]:
    """Wait until no other thread or process is fetching the file `path`, and keep others waiting.

    The system lifts the lock when its holder ends, however that happens.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = beside(path, ".lock").open("ab")
    except OSError as error:
        raise unwritable(path, error) from None
    with file:
        told = False
        while not _take(file, path):
            if not told:
                announce(f"{path.name}: another process is fetching it; waiting.", quiet)
                told = True
            time.sleep(TURN)
        yield


def _take(file: IO[bytes], path: Path) -> bool:
    """Try to lock an open file, until it is closed; tell whether that went well."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:  # some network file systems
        raise unwritable(path, error) from None
    return True
