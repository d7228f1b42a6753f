"""Progress of long work: a bar in a terminal, lines in a log, nothing when quiet."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Ticker", "announce", "track"]

LINE_EVERY = 15.0  # seconds between the lines of a log


class Ticker(Protocol):
    """What long work calls when a piece of it is done."""

    def __call__(self, done: int = 1, doing: str | None = None) -> None:
        """Advance by `done` pieces; `doing` names the piece now in hand."""


def announce(message: str, quiet: bool) -> None:
    """Say one line on standard error, unless quiet."""
    if not quiet:
        print(message, file=sys.stderr)


@contextmanager
def track(title: str, total: int, quiet: bool) -> Iterator[Ticker]:
    """Follow `total` pieces of work.

    Parameters
    ----------
    title : str
        What is being done.
    total : int
        Number of pieces.
    quiet : bool
        Say nothing.

    Yields
    ------
    Ticker
        Safe to call from several threads.
    """
    if quiet or total == 0:
        yield lambda done=1, doing=None: None
    elif sys.stderr.isatty():
        yield from _bar(title, total)
    else:
        yield from _lines(title, total)


def _bar(title: str, total: int) -> Iterator[Ticker]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, doing="")

        def tick(done: int = 1, doing: str | None = None) -> None:
            bar.advance(task, done)
            if doing is not None:
                bar.update(task, doing=doing)

        yield tick


def _lines(title: str, total: int) -> Iterator[Ticker]:
    lock = threading.Lock()
    start = said = time.monotonic()
    count = 0

    def tick(done: int = 1, doing: str | None = None) -> None:
        nonlocal count, said
        with lock:
            count += done
            now = time.monotonic()
            if count < total and now - said < LINE_EVERY:
                return
            said = now
            print(f"{title}: {count}/{total} ({now - start:.0f} s) {doing or ''}".rstrip(), file=sys.stderr)

    yield tick
