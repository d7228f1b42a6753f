"""Processes forked from others, in which libraries wait for threads that they have lost."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

__all__ = ["INSTEAD", "LOST", "has_lost_polars"]

TASKS = Path("/proc/self/task")
POOL = re.compile(r"polars-\d")  # name of a thread that computes
LOST = "This process was forked from one in which polars had threads; here it would wait for them for ever."
INSTEAD = "Start processes by 'spawn', or pass a pyarrow Table (`.to_arrow()`, called before the fork)."


class _Forks:
    """Whether polars had threads in the process that was forked, and so has none here."""

    def __init__(self) -> None:
        self.are_at_work = self.are_lost = False

    def look(self) -> None:
        """See before a fork whether polars' threads are there."""
        self.are_at_work = "polars" in sys.modules and any(map(_is_of_polars, TASKS.glob("*/comm")))

    def lose(self) -> None:
        """Note in the child that they are not."""
        self.are_lost |= self.are_at_work


def _is_of_polars(name: Path) -> bool:
    try:
        return POOL.match(name.read_text()) is not None
    except OSError:  # it has ended
        return False


_forks = _Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forks.look, after_in_child=_forks.lose)


def has_lost_polars() -> bool:
    """Tell whether polars would wait for ever here.

    Returns
    -------
    bool
        On systems that do not tell names of threads: False.

    Notes
    -----
    polars, user guide, "Multiprocessing": its thread pool does not survive ``fork``.

    Examples
    --------
    >>> has_lost_polars()
    False
    """
    return _forks.are_lost
