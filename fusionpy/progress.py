"""Progress of long work: a bar in a terminal, lines in a log, nothing when quiet."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fusionpy.errors import warn

__all__ = ["Listener", "Ticker", "announce", "heard_by", "note", "tell_of_seed", "track"]

LINE_EVERY = 15.0  # seconds between the lines of a log


class Ticker(Protocol):
    """What long work calls when a piece of it is done."""

    def __call__(self, done: int = 1, doing: str | None = None) -> None:
        """Advance by `done` pieces; `doing` names the piece now in hand."""


class Listener(Protocol):
    """Who is told instead of standard error; what it raises stops the work."""

    def announce(self, message: str) -> None:
        """Hear one line."""

    def follow(self, title: str, done: int, total: int, doing: str) -> None:
        """Hear how far the work is; called from several threads."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Tell a listener of what this thread does meanwhile."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def announce(message: str, quiet: bool) -> None:
    """Say one line on standard error, unless quiet."""
    if quiet:
        return
    if (listener := _listener.get()) is not None:
        listener.announce(message)
    else:
        print(message, file=sys.stderr)


def tell_of_seed(verb: str, seed: int, quiet: bool) -> None:
    """Say which seed was drawn.

    Parameters
    ----------
    verb : str
    seed : int
    quiet : bool
        Say nothing.
    """
    announce(f"{verb}: seed {seed} was drawn; give it again to repeat this result", quiet)


def note(message: str) -> None:
    """Tell what must not go unheard: to a listener as a line, else as a warning.

    Parameters
    ----------
    message : str
    """
    if (listener := _listener.get()) is not None:
        listener.announce(message)
    else:
        warn(message)


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
    elif (listener := _listener.get()) is not None:
        yield from _to_listener(title, total, listener)
    elif sys.stderr.isatty():
        yield from _bar(title, total)
    else:
        yield from _lines(title, total)


def _to_listener(title: str, total: int, listener: Listener) -> Iterator[Ticker]:
    lock = threading.Lock()
    count = 0

    def tick(done: int = 1, doing: str | None = None) -> None:
        nonlocal count
        with lock:
            count += done
            listener.follow(title, count, total, doing or "")

    yield tick


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
