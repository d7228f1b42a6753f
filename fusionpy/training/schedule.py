"""In which order targets are tuned, fitted and refitted, so that no core waits and memory is let go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count

from fusionpy.engines.base import Bins, Search, expand_grid
from fusionpy.training.donor_predictions import predict_by_folds, predict_donors
from fusionpy.training.queue import Countdown, Interrupted, Task
from fusionpy.training.targets import Fit, Work, seed_of

__all__ = ["schedule"]


class Course:
    """The work on one target: it is tuned, fitted and refitted, and predicts the donors.

    Each method below is done by one task, in this order, and returns the tasks that can follow.

    Parameters
    ----------
    work : Work
    fit : Fit
        The target, which gets its models.
    place : int
        Among all targets, in the order in which they begin.
    line : deque of Course
        Of which the next can begin once this one is tuned.
    done : sequence of Countdown
        Told in the end.
    followers : deque of Course
        Of which the first can begin in the end: percentiles that start at this mean.
    """

    def __init__(
        self,
        work: Work,
        fit: Fit,
        place: int,
        line: deque[Course],
        done: Sequence[Countdown],
        followers: deque[Course] | None = None,
    ) -> None:
        self.work, self.fit, self.line, self.done = work, fit, line, done
        self.followers: deque[Course] = deque() if followers is None else followers
        # What ends a step, and frees memory, has rank 0. Refits are done before the next target but one.
        self.tuned, self.refitted = 2 * place + 1, 2 * place + 4
        self.countdown: Countdown

    def first(self) -> Task:
        """Return the task with which all begins."""
        return Task(self.tuned, self._begin)

    def _begin(self, _: Interrupted) -> list[Task]:
        work, fit = self.work, self.fit
        fit.start()
        grid = expand_grid(work.options.hyper)
        work.engine.bin(fit.problem, grid[0])
        seed = seed_of(work.seed, fit.number)
        folds = fit.sample.folds()
        return self._boost_all(work.engine.search(fit.problem, grid, folds, work.options.patience, seed))

    def _boost_all(self, search: Search) -> list[Task]:
        self.countdown = Countdown(search.n_folds, partial(self._settle, search))
        return [Task(self.tuned, partial(self._boost, search, fold)) for fold in range(search.n_folds)]

    def _boost(self, search: Search, fold: int, interrupted: Interrupted) -> Iterable[Task]:
        search.boost(fold, interrupted)
        return self.countdown()

    def _settle(self, search: Search) -> list[Task]:
        """Once all folds are boosted: go on with the search, or fit what it found best."""
        if not search.settle():
            return self._boost_all(search)
        work, fit = self.work, self.fit
        fit.tuning = search.tuning
        predict_by_folds(work, fit, search)
        work.tick(doing=f"tuned {fit.target.name}")
        fit.refits = [None] * len(work.counts)
        self.countdown = Countdown(1 + len(fit.refits), lambda: [Task(self.refitted, self._predict)])
        refits = (Task(self.refitted, partial(self._fit, refit)) for refit in range(-1, len(fit.refits)))
        return [*refits, *_next(self.line)]

    def _fit(self, refit: int, interrupted: Interrupted) -> Iterable[Task]:
        """Fit the final model (refit -1), or a refit."""
        work, fit = self.work, self.fit
        assert fit.tuning is not None
        counts = work.counts[refit][fit.sample.rows] if refit >= 0 else None
        seed = seed_of(work.seed, fit.number, refit + 1)
        model = work.engine.fit(fit.problem, fit.tuning, seed, counts, interrupted)
        fit.keep(model, refit, work.engine)
        work.tick(doing=f"{'fitted' if refit < 0 else 'refitted'} {fit.target.name}")
        return self.countdown()

    def _predict(self, _: Interrupted) -> list[Task]:
        predict_donors(self.work, self.fit)
        return [*_next(self.followers), *(task for each in self.done for task in each())]


def schedule(
    work: Work,
    fits: Sequence[Fit],
    finish: Callable[[int], Iterable[Task]],
    cores: int,
) -> list[Task]:
    """Order the work: the costliest step first, so that no core waits long at the end.

    Cross-validation has a copy of the data for every fold, and waits for the slowest of them now and then.
    So no more targets are cross-validated at once than give every core a fold, while refits of those before
    keep cores busy that would wait. Percentiles that start at a mean wait for it, and for each other.
    """

    def cost(part: Iterable[Fit]) -> int:
        return -sum(len(fit.sample.rows) * fit.target.n_classes for fit in part)

    steps = [[fit for fit in fits if fit.step == number] for number in range(len(work.plans))]
    waiting: deque[Course] = deque()
    place = count()
    for step in sorted(steps, key=cost):
        finished = Countdown(len(step), partial(finish, step[0].step))
        by_bins: dict[int, list[Fit]] = {}
        for fit in step:
            by_bins.setdefault(id(fit.sample.bins), []).append(fit)
        for group in sorted(by_bins.values(), key=cost):
            done = Countdown(len(group), partial(_release, group[0].sample.bins)), finished
            for fit in (each for each in group if each.base is None):
                followers: deque[Course] = deque()
                waiting.append(Course(work, fit, next(place), waiting, done, followers))
                for percentile in (each for each in group if each.base is fit):
                    followers.append(Course(work, percentile, next(place), followers, done))
    at_once = -(-cores // fits[0].sample.n_folds) + (not work.options.refits)
    return [task for _ in range(at_once) for task in _next(waiting)]


def _next(line: deque[Course]) -> list[Task]:
    """Begin the next of the targets in a line, if there is one."""
    try:
        return [line.popleft().first()]
    except IndexError:
        return []


def _release(bins: Bins) -> tuple[Task, ...]:
    bins.release()
    return ()
