"""Work in pieces on several threads: a queue of tasks, of which some follow on others."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from itertools import count
from typing import NamedTuple, TypeVar

__all__ = ["Countdown", "Interrupted", "Task", "run_all", "run_tasks"]

AWAKE = 0.5  # seconds
T = TypeVar("T")
Interrupted = Callable[[], bool]  # tells whether to give up


class Task(NamedTuple):
    """A piece of work.

    Attributes
    ----------
    rank : int
        Of the tasks that are ready, the lowest rank is done first.
    run : callable
        Given a function that tells whether to give up; returns the tasks that can follow now. It must not
        wait for another task.
    """

    rank: int
    run: Callable[[Interrupted], Iterable[Task]]


class Countdown:
    """Count pieces of work that are done; whoever ends the last of them gets what is to follow.

    Parameters
    ----------
    number : int
        Of pieces, at least 1.
    then : callable
        Called once; returns the tasks that follow.

    Examples
    --------
    >>> both = Countdown(2, lambda: [Task(0, lambda interrupted: ())])
    >>> len(list(both())), len(list(both()))
    (0, 1)
    """

    def __init__(self, number: int, then: Callable[[], Iterable[Task]]) -> None:
        self._left, self._then, self._lock = number, then, threading.Lock()

    def __call__(self) -> Iterable[Task]:
        """Count one piece as done."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        return self._then() if last else ()


class _Queue:
    """Tasks that are ready, and the number that are being done."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._changed = threading.Condition()
        self._number = count()  # among equal ranks: the first come
        self._ready: list[tuple[int, int, Task]] = []
        self._busy, self._broken = 0, False
        self._add(tasks)

    def _add(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            heapq.heappush(self._ready, (task.rank, next(self._number), task))

    def work(self, interrupted: Interrupted) -> None:
        """Do tasks until there are none, and none can follow."""
        while (task := self._next(interrupted)) is not None:
            try:
                following = list(task.run(interrupted))
            except BaseException:
                with self._changed:
                    self._broken = True
                    self._changed.notify_all()
                raise
            with self._changed:
                self._busy -= 1
                self._add(following)
                self._changed.notify_all()

    def _next(self, interrupted: Interrupted) -> Task | None:
        with self._changed:
            while not self._ready and self._busy and not self._broken:
                self._changed.wait()
            if not self._ready or self._broken or interrupted():
                return None
            self._busy += 1
            return heapq.heappop(self._ready)[2]


def run_tasks(tasks: Iterable[Task], cores: int) -> None:
    """Do tasks, and those that follow on them, on `cores` threads; at the first failure stop them all.

    Parameters
    ----------
    tasks : iterable of Task
        Those that wait for nothing.
    cores : int

    Examples
    --------
    >>> done = []
    >>> last = Task(0, lambda interrupted: done.append("last") or ())
    >>> run_tasks([Task(1, lambda interrupted: done.append("first") or [last])], cores=2)
    >>> done
    ['first', 'last']
    """
    queue = _Queue(tasks)
    run_all([queue.work] * cores, cores)


def run_all(tasks: Iterable[Callable[[Interrupted], T]], cores: int) -> list[T]:
    """Run tasks on `cores` threads; at the first failure, or an interrupt, stop the others.

    Parameters
    ----------
    tasks : iterable of callable
        Each is given a function that tells whether it should give up.
    cores : int

    Returns
    -------
    list
        Results in the tasks' order.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(cores) as pool:
        try:  # an interrupt may come at any time
            futures: list[Future[T]] = [pool.submit(task, stop.is_set) for task in tasks]
            left = set(futures)
            while left:  # a signal that comes just before this thread blocks is seen only when it wakes
                ended, left = wait(left, timeout=AWAKE, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future in ended:
                        future.result()  # a failure is told at once, not after the tasks before it
            return [future.result() for future in futures]
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
