"""How much memory there is to work with, in a container too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fusionpy.errors import Problems, is_whole, shown

__all__ = ["free_memory", "shown_bytes", "take_memory"]

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:(k|M|G|T|Ki|Mi|Gi|Ti)?B?)\s*", re.IGNORECASE)
UNKNOWN = 2**30  # a modest guess where the system does not say
_GROUPS = Path("/sys/fs/cgroup")


def take_memory(given: Any, problems: Problems) -> int:
    """Take an amount of memory; half of what is free if none is given.

    Parameters
    ----------
    given : float, str or None
        Bytes, or text such as "2GB", "500 MB" (powers of 1000) or "2GiB" (of 1024).
    problems : Problems
        Where to note what is wrong with it.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> problems = Problems(ArgumentError, "No.")
    >>> take_memory("1.5 GB", problems), take_memory("2GiB", problems), take_memory(1e6, problems)
    (1500000000, 2147483648, 1000000)
    """
    if given is None:
        return free_memory() // 2
    if isinstance(given, str) and (found := _SIZE.fullmatch(given)):
        units = {name.lower(): size for name, size in (_UNITS | _BINARY).items()}
        size = float(found[1]) * units[(found[2] or "").lower()]
    else:
        size = float(given) if is_whole(given, 1) else 0.0
    if size < 1 or size > 2**62:
        problems.add(f"`memory` must be a number of bytes, or text such as '2GB', not {shown(given)}.")
        return 0
    return int(size)


def shown_bytes(size: float) -> str:
    """Say a number of bytes.

    Examples
    --------
    >>> shown_bytes(1_500_000), shown_bytes(999)
    ('1.5 MB', '999 bytes')
    """
    for unit, each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= each:
            return f"{size / each:.3g} {unit}"
    return f"{size:.0f} bytes"


def free_memory() -> int:
    """Bytes that this process may still take: what the system, its containers and its own limits leave.

    Returns
    -------
    int
        Never below 0; 2**30 where nothing is known.
    """
    return max(0, min([*_system(), *_containers(), *_limits()], default=UNKNOWN))


def _system() -> Iterator[int]:
    """Tell what the whole machine has."""
    fields = _fields(Path("/proc/meminfo"))
    if "MemAvailable" in fields:
        yield fields["MemAvailable"]
        return
    try:
        yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return


def _containers() -> Iterator[int]:
    """Tell what control groups leave: this process's own, and all that it is in."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = _GROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = _GROUPS / "memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = root / path.strip("/")
        # In a container of its own the path may be one that only the host sees.
        for place in [group, *group.parents]:
            limit, used = (_text(place / name).strip() for name in names[:2])
            if limit.isdigit() and used.isdigit():
                # Pages of files that were read count as used, but are given up when they are needed.
                yield int(limit) - int(used) + _fields(place / "memory.stat").get(names[2], 0)
            if place == root:
                break


def _limits() -> Iterator[int]:
    """Tell what this process's own limits leave (`ulimit -v`, `ulimit -d`)."""
    try:
        import resource
    except ImportError:  # Windows
        return
    fields = _fields(Path("/proc/self/status"))
    for limit, used in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            yield most - fields.get(used, 0)


def _fields(path: Path) -> dict[str, int]:
    """Read numbers by name, in bytes."""
    found = {}
    for line in _text(path).splitlines():
        name, *rest = line.replace(":", " ").split()
        if rest and rest[0].isdigit():
            found[name] = int(rest[0]) * (1024 if rest[-1] == "kB" else 1)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
