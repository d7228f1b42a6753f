"""Tasks that follow on others: all are done, each once, on no more threads than there are cores."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE, until

from fusionpy.training.queue import Countdown, Task, run_all, run_tasks


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_every_job_is_done_once(children, cores):
    """Task i is followed by so many new ones as the i-th number says."""
    done, threads, lock = [], set(), threading.Lock()
    left = list(children)

    def job(name):
        def run(_):
            with lock:
                done.append(name)
                threads.add(threading.get_ident())
                number = left.pop() if left else 0
            return [job((*name, i)) for i in range(number)]

        return Task(len(name), run)

    run_tasks([job((i,)) for i in range(3)], cores)
    assert len(done) == len(set(done)) == 3 + sum(children[len(left) :])
    assert len(threads) <= cores


def test_the_lowest_rank_is_first_then_the_first_come():
    done = []

    def job(rank, name, *following):
        return Task(rank, lambda _: done.append(name) or following)

    run_tasks([job(3, "c"), job(1, "a", job(2, "b1"), job(0, "a0")), job(2, "b2")], 1)
    assert done == ["a", "a0", "b2", "b1", "c"]


def test_no_more_at_once_than_cores():
    busy, most, lock = 0, 0, threading.Lock()
    barrier = threading.Barrier(3, timeout=PATIENCE)  # broken, and so a failure, unless three are at it

    def run(_):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        barrier.wait()
        with lock:
            busy -= 1
        return ()

    run_tasks([Task(0, run) for _ in range(300)], 3)
    assert most == 3


def test_jobs_that_follow_meet_on_all_cores():
    barrier = threading.Barrier(4, timeout=PATIENCE)  # broken, and so a failure, unless four are at it

    def meet(_):
        barrier.wait()
        return ()

    run_tasks([Task(0, lambda _: [Task(0, meet) for _ in range(4)])], 4)


def test_the_last_piece_goes_on():
    called = []
    count = Countdown(50, lambda: called.append(1) or [Task(1, lambda _: ())])
    followers = []
    run_tasks([Task(0, lambda _: followers.extend(found := list(count())) or found) for _ in range(50)], 4)
    assert len(called) == len(followers) == 1


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_a_failure_ends_all(cores):
    started = []

    def endless(interrupted):
        started.append(1)
        until(interrupted)
        raise RuntimeError("given up")

    def fail(_):
        until(lambda: len(started) == cores - 1)
        raise ValueError("the reason")

    never = Task(9, lambda _: pytest.fail("must not be begun"))
    with pytest.raises(ValueError, match="the reason"):
        run_tasks([*(Task(0, endless) for _ in range(cores - 1)), Task(1, fail), never], cores)


def test_a_failure_while_others_wait_for_work(monkeypatch):
    waiting = set()

    class Condition(threading.Condition):
        def wait(self, timeout=None):
            waiting.add(threading.get_ident())
            return super().wait(timeout)

    monkeypatch.setattr(threading, "Condition", Condition)

    def fail(_):
        until(lambda: len(waiting - {threading.main_thread().ident}) == 3)
        raise ValueError("alone")

    with pytest.raises(ValueError, match="alone"):
        run_tasks([Task(0, fail)], 4)


def test_no_jobs():
    run_tasks([], 3)


def test_an_interrupt_while_tasks_are_handed_out():
    ended = []

    def endless(interrupted):
        until(interrupted)
        ended.append(1)

    def tasks():
        yield endless
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(tasks(), 2)
    assert ended == [1]


def test_results_come_in_order():
    last = threading.Event()

    def task(i):
        if i == 0:  # it ends after all others
            assert last.wait(PATIENCE)
        if i == 4:
            last.set()
        return i

    assert run_all([lambda _, i=i: task(i) for i in range(5)], 3) == list(range(5))
