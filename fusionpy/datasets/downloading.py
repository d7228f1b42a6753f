"""Download a file into the cache: resumed where it broke, checked, and never there by half."""

from __future__ import annotations

import errno
import http.client
import json
import math
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

from fusionpy.datasets.caching import (
    CacheRecord,
    DownloadError,
    beside,
    cache_folder,
    digest_of,
    locked,
    read_cache_record,
    unwritable,
    write_whole,
)
from fusionpy.progress import announce, track

__all__ = ["OfficialFile", "bring"]

CHUNK = 2**16  # bytes
MEGABYTE = 10**6
MOST_BYTES = 8 * 10**9  # no file that is fetched here is nearly as large
TIMEOUT = 60.0  # seconds without a byte
PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before another try; more tries than that without a byte are none
MOST_PAUSE = 60.0
OFFLINE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
PASSING = {408, 425, 429, 500, 502, 503, 504}  # states of a server that may change


class OfficialFile(NamedTuple):
    """An official file.

    Attributes
    ----------
    url : str
        Where it is.
    folder : str
        Where it is kept, below the cache's folder, under the name that it has at its source.
    sha256 : str or None
        Its checksum, if it is known beforehand.
    wrong : callable
        Given a path, says what shows that the file there cannot be this one; None if nothing does.
    """

    url: str
    folder: str
    sha256: str | None
    wrong: Callable[[Path], str | None]

    @property
    def name(self) -> str:
        """The file's name, at its source and in the cache."""
        return self.url.rsplit("/", 1)[-1]


class _Broken(Exception):  # noqa: N818 - a state to be mended, not an error
    """A download stopped early; another try may do."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _Started(NamedTuple):
    """What is known of a download that has begun, kept beside its part."""

    url: str
    validator: str  # an ETag or a date by which the server knows whether its file is still the same one
    total: int | None

    @classmethod
    def read(cls, part: Path, url: str) -> _Started | None:
        """Read it, if the part can be gone on with."""
        try:
            started = cls(**json.loads(beside(part, ".json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return started if started.url == url and started.validator and part.exists() else None


def bring(source: OfficialFile, cache: str | os.PathLike[str] | None, quiet: bool) -> Path:
    """Return the path of a file in the cache, downloading it unless it is there.

    Parameters
    ----------
    source : OfficialFile
    cache : path or None
        See `cache_folder`.
    quiet : bool
        No progress, no notes.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DownloadError
        If the file cannot be had, or is not the one that it should be.
    """
    path = cache_folder(cache) / source.folder / source.name
    if path.exists() and (record := read_cache_record(path)) is not None:
        _verify(path, record, source)  # without a lock: a cache may be read-only
        return path
    with locked(path, quiet):
        record = read_cache_record(path)
        if path.exists() and record is not None:  # another process was faster
            _verify(path, record, source)
        elif path.exists():
            _adopt(path, source, quiet)
        else:
            _fetch(path, source, record, quiet)
    return path


def _verify(path: Path, record: CacheRecord, source: OfficialFile) -> None:
    """Check a file of the cache against its record, and against the checksum that is known beforehand."""
    size = path.stat().st_size
    if size != record.size:
        problem = f"It has {size:,} bytes, not {record.size:,} as when it was recorded."
    elif (digest := digest_of(path)) != record.sha256:
        problem = f"Its SHA-256 is {digest}, not {record.sha256} as when it was recorded."
    elif source.sha256 not in (None, digest):
        problem = f"Its SHA-256 is {digest}, not {source.sha256} as it should be."
    else:
        return
    raise DownloadError(
        f"'{path}' is not the file that it should be.",
        [problem],
        f"Delete it and '{path.name}.json' beside it to download the file anew.",
    )


def _adopt(path: Path, source: OfficialFile, quiet: bool) -> None:
    """Take a file that was put into the cache by hand."""
    problem = source.wrong(path)
    record = CacheRecord.of(path, source.url, "found in the cache")
    if problem is None and source.sha256 not in (None, record.sha256):
        problem = f"Its SHA-256 is {record.sha256}, not {source.sha256} as it should be."
    if problem is not None:
        hint = f"Put the file from {source.url} in its place, or delete it to have it downloaded."
        raise DownloadError(f"'{path}' is not the file that it should be.", [problem], hint)
    _keep(path, record, quiet)


def _fetch(path: Path, source: OfficialFile, record: CacheRecord | None, quiet: bool) -> None:
    """Download a file aside, check it, and move it in place."""
    part = beside(path, ".part")
    _download(source.url, part, path, quiet)
    found = CacheRecord.of(part, source.url, "downloaded")
    problem, hint = source.wrong(part), _by_hand(path)
    if problem is None and source.sha256 not in (None, found.sha256):
        problem = f"Its SHA-256 is {found.sha256}, not {source.sha256} as it should be."
    elif problem is None and record is not None and record.sha256 != found.sha256:
        problem = f"Its SHA-256 is {found.sha256}, not {record.sha256} as recorded on {record.recorded[:10]}."
        hint = f"If its source replaced the file on purpose, delete '{beside(path, '.json')}' and try again."
    if problem is not None:
        _discard(part)
        raise DownloadError(f"What {source.url} sent is not the file that it should be.", [problem], hint)
    try:
        if record is None:
            _keep(path, found, quiet)
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    _discard(part)


def _keep(path: Path, record: CacheRecord, quiet: bool) -> None:
    record.write(path)
    announce(
        f"{path.name}: its SHA-256 was recorded ({record.sha256[:12]}...) and is checked from now on.",
        quiet,
    )


def _discard(part: Path) -> None:
    """Delete what is left of a download."""
    part.unlink(missing_ok=True)
    beside(part, ".json").unlink(missing_ok=True)


def _by_hand(path: Path) -> str:
    return f"Try again later, or download the file yourself and save it as '{path}'."


def _download(url: str, part: Path, path: Path, quiet: bool) -> None:
    """Bring a file's bytes into `part`, trying again as long as there is hope."""
    n_vain = 0
    while True:
        before = _size(part)
        try:
            return _transfer(url, part, path, quiet)
        except _Broken as broken:
            n_vain = 0 if _size(part) > before else n_vain + 1
            if n_vain > len(PAUSES):
                raise DownloadError(
                    f"'{path.name}' could not be downloaded.", [f"{url}: {broken}."], _by_hand(path)
                ) from None
            pause = min(max(PAUSES[max(n_vain - 1, 0)], broken.pause), MOST_PAUSE)
            announce(f"{path.name}: {broken}; trying again in {pause:.0f} s.", quiet)
        time.sleep(pause)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _transfer(url: str, part: Path, path: Path, quiet: bool) -> None:
    """Ask once for what is missing of a file, and append what comes."""
    started = _Started.read(part, url)
    if started is None:
        _discard(part)
    elif started.total == _size(part):  # stopped after the last byte
        return
    with _ask(url, part, path, started) as answer:
        have = _size(part) if answer.status == 206 else 0
        if answer.status == 206:
            total = _rest(answer, started, have)
            if total is None:
                _discard(part)
                raise _Broken("the server sent another part of the file than was asked for")
        else:
            total = _length(url, answer, path)
            started = _Started(url, _validator(answer), total)
        if (total or 0) > MOST_BYTES:
            raise DownloadError(
                f"'{path.name}' is far too large.", [f"{url}: {total:,} bytes."], _by_hand(path)
            )
        try:
            write_whole(beside(part, ".json"), json.dumps(started._asdict() if started else {}))
            file = part.open("ab" if have else "wb")
        except OSError as error:
            raise unwritable(path, error) from None
        with file:
            _copy(answer, file, have, total, path, quiet)


def _ask(url: str, part: Path, path: Path, started: _Started | None) -> Any:
    """Open the address; the answer's status is 200 or 206."""
    headers = {"User-Agent": f"fusionpy/{version('fusionpy')}", "Accept-Encoding": "identity"}
    if started is not None and _size(part):
        headers |= {"Range": f"bytes={_size(part)}-", "If-Range": started.validator}
    try:
        opener = urllib.request.build_opener(_Redirects())
        answer = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                _discard(part)
                raise _Broken("the server has less of the file than is here") from None
            if error.code in PASSING:
                raise _Broken(f"{error.code} {error.reason}", _wait(error.headers)) from None
            problem = f"{url}: {error.code} {error.reason}."
        raise DownloadError(f"'{path.name}' cannot be downloaded.", [problem], _by_hand(path)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        lasting = socket.gaierror | ssl.SSLCertVerificationError | ValueError
        if isinstance(reason, lasting) or getattr(reason, "errno", None) in OFFLINE:
            problem = f"{url}: {getattr(reason, 'strerror', None) or reason}."
            raise DownloadError(f"'{path.name}' cannot be downloaded.", [problem], _by_hand(path)) from None
        raise _Broken(_broken_by(reason)) from None
    if answer.status in (200, 206) and (answer.headers.get("Content-Encoding") or "identity") == "identity":
        return answer
    answer.close()
    problem = f"{url}: the server's answer ({answer.status} {answer.reason}) is not the plain file."
    raise DownloadError(f"'{path.name}' cannot be downloaded.", [problem], _by_hand(path))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not out of HTTPS."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.HTTPError(req.full_url, code, "leads out of HTTPS", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _broken_by(error: object) -> str:
    """Say what went wrong on the line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _wait(headers: Any) -> float:
    """Seconds that a server asks to wait; a date is taken for none."""
    asked = (headers.get("Retry-After") or "").strip()
    return float(asked) if asked.isdigit() else 0.0


def _validator(answer: Any) -> str:
    """By what the server knows its file: a strong ETag, or the date of the last change; empty if neither."""
    etag = answer.headers.get("ETag") or ""
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified") or ""


def _length(url: str, answer: Any, path: Path) -> int | None:
    """Bytes of a whole answer; None if it comes in chunks, the last of which is marked."""
    stated = answer.headers.get("Content-Length") or ""
    if stated.isdigit():
        return int(stated)
    if not answer.chunked:
        problem = (
            f"{url}: the server does not say how long the file is, so that a part would pass for all of it."
        )
        raise DownloadError(f"'{path.name}' cannot be downloaded.", [problem], _by_hand(path))
    return None


def _rest(answer: Any, started: _Started | None, have: int) -> int | None:
    """Bytes of the whole file whose rest is being sent; None if it is not the rest that was asked for."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range") or "")
    if found is None or started is None:
        return None
    first, last, total = map(int, found.groups())
    fits = first == have and last == total - 1 and started.total in (None, total)
    return total if fits else None


def _copy(answer: Any, file: IO[bytes], have: int, total: int | None, path: Path, quiet: bool) -> None:
    """Append an answer's bytes to a file, following the progress in megabytes."""
    n_all = math.ceil((total or 0) / MEGABYTE)
    with track(f"{path.name}, MB", n_all, quiet) as tick:
        tick(have // MEGABYTE)
        while total is None or have < total:
            try:
                block = answer.read(CHUNK if total is None else min(CHUNK, total - have))
            except (OSError, http.client.HTTPException) as error:
                raise _Broken(f"the connection broke after {have:,} bytes ({_broken_by(error)})") from None
            if not block:
                break
            try:
                file.write(block)
            except OSError as error:
                raise unwritable(path, error) from None
            tick((have + len(block)) // MEGABYTE - have // MEGABYTE)
            have += len(block)
            if have > MOST_BYTES:
                raise DownloadError(f"'{path.name}' is far too large.", [], _by_hand(path))
        if total is not None and have < total:
            raise _Broken(f"the connection broke after {have:,} of {total:,} bytes")
        tick(n_all - have // MEGABYTE)
