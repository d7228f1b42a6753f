"""A Dask cluster to work on: the one that is there, or one of this machine for the call."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, pairwise
from typing import Any

import dask
import distributed

from fusionpy.errors import FusionError, Problems, shown

__all__ = ["at_work", "check_cluster", "n_threads", "ranges", "results"]


def check_cluster(client: Any, n_workers: Any, problems: Problems) -> None:
    """Note a client or a number of workers that cannot be."""
    if client is not None and not isinstance(client, distributed.Client):
        problems.add(f"`client` must be a dask.distributed.Client, not {shown(client)}.")
    elif isinstance(client, distributed.Client) and client.asynchronous:
        problems.add("`client` must not be asynchronous.")
    if n_workers is not None:
        problems.whole("n_workers", n_workers, 1)


@contextmanager
def at_work(client: Any, n_workers: int | None) -> Iterator[Any]:
    """Give a client: the caller's, the one that is open, or one of a new local cluster.

    Parameters
    ----------
    client : dask.distributed.Client or None
    n_workers : int or None
        Processes of a local cluster; None: as many as there are cores. A cluster that is there is used as it
        is.

    Yields
    ------
    dask.distributed.Client
        A local cluster is closed in the end; others stay as they are.
    """
    if client is None:
        with suppress(ValueError):  # none is open
            client = distributed.default_client()
    if client is not None:
        yield client
        return
    quiet = {"silence_logs": logging.ERROR, "dashboard_address": "127.0.0.1:0"}
    size = {"n_workers": None if n_workers is None else int(n_workers), "threads_per_worker": 1}
    # A worker that dies is started again; where that takes longer than this, Dask would give it up for good.
    patient = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
    with (
        dask.config.set(patient),
        distributed.LocalCluster(processes=True, **size, **quiet) as cluster,
        distributed.Client(cluster, set_as_default=False) as mine,
    ):
        yield mine


def n_threads(client: Any) -> int:
    """Count the threads of all workers that are there by now; at least one."""
    return max(1, int(sum(client.nthreads().values())))


def ranges(numbers: Sequence[int], parts: int) -> list[list[int]]:
    """Divide numbers into at most so many ranges of about the same length.

    Examples
    --------
    >>> ranges([1, 2, 3, 5, 6], 2), ranges([1, 2], 9), ranges([], 3)
    ([[1, 2, 3], [5, 6]], [[1], [2]], [])
    """
    least, longer = divmod(len(numbers), max(1, min(parts, len(numbers))))
    ends = list(accumulate(least + (part < longer) for part in range(min(parts, len(numbers)))))
    return [list(numbers[low:high]) for low, high in pairwise([0, *ends])]


def results(client: Any, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Run tasks on the cluster, and tell each result as soon as it is there.

    Parameters
    ----------
    client : dask.distributed.Client
    tasks : sequence of dask.delayed
        If a worker dies, Dask runs again what it had in hand.

    Yields
    ------
    int, object
        Number of the task, and what it returned.

    Raises
    ------
    FusionError
        If workers died time after time, or the cluster was closed.
    Exception
        What a task raised; the others are cancelled.
    """
    futures = client.compute(list(tasks))
    place = {future.key: number for number, future in enumerate(futures)}
    try:
        with client.as_current():
            done = distributed.as_completed(futures, with_results=True)
        for future, found in done:
            yield place[future.key], found
    except distributed.KilledWorker as error:
        hint = "Give workers more memory, or make smaller partitions; the same call goes on where it stopped."
        raise FusionError("Workers died, time after time.", [_line(error)], hint) from error
    except distributed.CancelledError as error:
        hint = "Start the cluster again; the same call goes on where it stopped."
        raise FusionError("The cluster was lost.", [_line(error)], hint) from error
    finally:
        client.cancel(futures, force=True)


def _line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{line[:200].rstrip('.')}."
