"""A pool shows its figures; stopped, forked, dropped or interrupted, it leaves nothing behind."""

import concurrent.futures
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import BulkheadFullError, ConfigError, ManualClock, PoolStoppedError, registry
from holdfast.policies.pool import PoolBulkhead
from tests.apart import run_apart
from tests.waiting.houses import occupied
from tests.waiting.parties import LIMIT, Party, until

Make = Callable[..., PoolBulkhead]


# ---- figures ----


def test_a_snapshot_shows_threads_queue_and_counts(make, job):  # BH-07
    pool = make(workers=2, max_waiting=4, clock=ManualClock())
    occupied(pool, job)
    pool.submit(pool._clock.advance, 3).result(LIMIT)
    pool.submit(job)
    futures = [pool.submit(int) for _ in range(3)]
    until(lambda: pool.snapshot().active == 2)
    snapshot = pool.snapshot()
    assert (snapshot.name, snapshot.workers, snapshot.active) == ("jobs", 2, 2)
    assert snapshot.utilization == 1.0
    assert (snapshot.queued, snapshot.queue_capacity, snapshot.queue_utilization) == (3, 4, 0.75)
    assert (snapshot.capacity, snapshot.accepted, snapshot.completed) == (6, 6, 1)
    assert snapshot.average_execution_time == 3.0
    assert not snapshot.stopped
    futures[0].cancel()
    assert (pool.snapshot().queued, pool.snapshot().cancelled) == (2, 1)
    with pytest.raises(AttributeError):
        snapshot.active = 0  # type: ignore[misc]


def test_figures_of_an_unused_pool_without_a_queue_are_numbers(make):  # D-BH-3, trap 29
    snapshot = make(max_waiting=0).snapshot()
    assert (snapshot.utilization, snapshot.queue_utilization) == (0.0, 0.0)
    assert snapshot.average_execution_time is None


def test_reset_sets_the_counts_back_and_disturbs_no_task(make, job):  # BH-03
    pool = make(max_waiting=0)
    future = occupied(pool, job)
    with pytest.raises(BulkheadFullError):
        pool.submit(int)
    pool.reset()
    snapshot = pool.snapshot()
    assert (snapshot.accepted, snapshot.rejected, snapshot.active) == (0, 0, 1)
    job.open.set()
    assert future.result(LIMIT) == "done"
    assert pool.snapshot().completed == 1


def test_observing_takes_every_task_and_counts_those_it_would_have_refused(make, job):
    pool = make(max_waiting=0, mode="observe")
    occupied(pool, job)
    futures = [pool.submit(int) for _ in range(5)]
    snapshot = pool.snapshot()
    assert (snapshot.observed, snapshot.rejected, snapshot.queued) == (5, 0, 5)
    assert snapshot.queue_utilization == 0.0
    job.open.set()
    assert [future.result(LIMIT) for future in futures] == [0] * 5


def test_switched_off_it_takes_every_task_and_counts_nothing(make, job):
    pool = make(max_waiting=0, mode="off")
    occupied(pool, job)
    futures = [pool.submit(int) for _ in range(5)]
    futures[0].cancel()
    job.open.set()
    assert [future.result(LIMIT) for future in futures[1:]] == [0] * 4
    snapshot = pool.snapshot()
    assert (snapshot.accepted, snapshot.completed, snapshot.cancelled) == (0, 0, 0)


def test_a_pool_is_in_the_registry_and_may_be_shared(make):
    pool = make()
    assert registry.get("pool_bulkhead", "jobs") is pool
    shared = make(shared=True, clock=None)
    assert make(shared=True, clock=None) is shared
    with pytest.raises(ConfigError, match="workers: got 2"):
        make(shared=True, clock=None, workers=2)


# ---- stopping ----


def test_accepted_tasks_still_run_when_the_pool_is_stopped(job):  # D-BH-2
    pool, ran = PoolBulkhead("jobs", workers=1), []
    occupied(pool, job)
    for number in range(10):
        pool.submit(ran.append, number)
    assert pool.stop(wait=False) is False
    assert ran == []
    job.open.set()
    assert pool.stop() is True
    assert ran == list(range(10))


def test_submitting_to_a_stopped_pool_is_a_clear_error():  # D-BH-2
    pool = PoolBulkhead("jobs")
    assert pool.stop() is True
    assert pool.stopped
    with pytest.raises(PoolStoppedError, match="accepts no more tasks") as caught:
        pool.submit(int)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.code == "POOL_STOPPED"
    assert pool.stop(wait=False) is True


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"wait": 5}, "wait"), ({"timeout": -1}, "timeout"), ({"timeout": "5"}, "timeout")],
)
def test_what_cannot_be_waited_for_is_refused_and_stops_nothing(asked, field):
    pool = PoolBulkhead("jobs")
    with pytest.raises(ConfigError, match=f"PoolBulkhead 'jobs': {field}: got "):
        pool.stop(**asked)
    assert not pool.stopped
    assert pool.submit(int).result() == 0
    assert pool.stop()


def test_stopping_strands_nobody_who_waits_to_submit(make, job):
    pool = make(max_waiting=0, max_wait=None)
    occupied(pool, job)
    parties = [Party(pool.submit, int) for _ in range(3)]
    until(lambda: pool.snapshot().submitting == 3)
    assert pool.stop(wait=False) is False
    for party in parties:
        with pytest.raises(PoolStoppedError):
            party.result()
    assert pool.snapshot().completed == 0


def test_a_stop_waits_no_longer_than_it_is_told(make, job):
    pool = make()
    future = occupied(pool, job)
    party = Party(pool.stop, True, 5.0)
    until(lambda: pool._clock._callbacks)
    pool._clock.advance(5)
    assert party.result() is False
    assert not pool._worker_threads._watchers
    job.open.set()
    assert pool.stop() is True
    assert future.result(0) == "done"


def test_after_a_stop_the_threads_have_ended():
    pool = PoolBulkhead("jobs", workers=3)
    concurrent.futures.wait([pool.submit(int) for _ in range(9)], LIMIT)
    threads = list(pool._worker_threads._executor._threads)
    assert pool.stop()
    assert not any(thread.is_alive() for thread in threads)


def test_threads_that_nobody_waits_for_end_when_their_tasks_have_run(job):
    pool = PoolBulkhead("jobs", workers=2)
    occupied(pool, job)
    threads = list(pool._worker_threads._executor._threads)
    pool.stop(wait=False)
    job.open.set()
    until(lambda: not any(thread.is_alive() for thread in threads))
    assert not pool._worker_threads._threads


def test_a_task_that_stops_its_own_pool_must_not_wait_for_itself():
    pool = PoolBulkhead("jobs")
    with pytest.raises(RuntimeError, match="cannot wait for itself"):
        pool.submit(pool.stop).result(LIMIT)
    assert not pool.stopped
    assert pool.submit(pool.stop, False).result(LIMIT) is False
    assert pool.stopped
    assert pool.stop()


def test_a_pool_that_nobody_keeps_ends_with_its_tasks(job):  # trap 67
    pool = PoolBulkhead("jobs", workers=1)
    future = occupied(pool, job)
    threads = list(pool._worker_threads._executor._threads)
    gone = weakref.ref(pool)
    del pool
    job.open.set()
    assert future.result(LIMIT) == "done"

    def is_gone() -> bool:
        gc.collect()
        return gone() is None and not any(thread.is_alive() for thread in threads)

    until(is_gone)


def test_a_kept_future_keeps_neither_the_pool_nor_what_the_task_was_given():
    class Argument:
        pass

    def fail(argument: Argument) -> None:
        del argument
        raise ValueError

    for fn in (id, fail):
        pool, argument = PoolBulkhead("jobs"), Argument()
        gone = [weakref.ref(pool), weakref.ref(argument)]
        future = pool.submit(fn, argument)
        error = future.exception(LIMIT)
        assert pool.stop()
        del pool, argument
        gc.collect()
        assert [reference() for reference in gone] == [None, None]
        assert (error is None) == (fn is id)


def test_tasks_accepted_before_the_interpreter_ends_are_run():  # D-BH-2
    assert run_apart("""
        import threading
        from holdfast.policies.pool import PoolBulkhead
        pool, go_on = PoolBulkhead("jobs", workers=1), threading.Event()
        pool.submit(go_on.wait)
        for number in range(3):
            pool.submit(print, number)
        go_on.set()
        """).split() == ["0", "1", "2"]


# ---- fork and failure ----


def test_a_forked_child_has_an_empty_pool_with_threads_of_its_own():  # trap 58
    printed = run_apart("""
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is the point
        from holdfast.policies.pool import PoolBulkhead

        pool, go_on = PoolBulkhead("jobs", workers=1, max_waiting=1), threading.Event()
        stopped = PoolBulkhead("stopped")
        stopped.stop()
        begun = threading.Event()
        pool.submit(lambda: (begun.set(), go_on.wait()))
        begun.wait()
        waiting = pool.submit(int)
        child = os.fork()
        if child == 0:
            snapshot = pool.snapshot()
            assert (snapshot.active, snapshot.queued, pool._kernel.in_flight()) == (0, 0, 0)
            assert pool.submit(int, "3").result(10) == 3
            assert pool.stop() and stopped.stopped
            os._exit(7)
        go_on.set()
        assert waiting.result(10) == 0
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """)
    assert printed.split() == ["7"]


def test_a_task_for_which_no_thread_can_be_started_holds_no_place(make, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    pool = make(max_waiting=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(int)
    assert pool._kernel.in_flight() == 0
    assert pool.submit(int, "4").result(LIMIT) == 4


def test_a_thread_that_starts_although_its_start_was_cut_short_ends_no_wait_for_another(
    make, job, monkeypatch
):
    pool = make(workers=2)
    running = occupied(pool, job)
    started: list[concurrent.futures.Future[None]] = []
    submit = concurrent.futures.ThreadPoolExecutor.submit

    def submit_and_interrupt(executor: Any, work: Any) -> None:
        started.append(submit(executor, work))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", submit_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            pool.submit(int)
    concurrent.futures.wait(started, LIMIT)
    assert pool.stop(wait=False) is False
    job.open.set()
    assert pool.stop() is True
    assert running.done()


def test_ctrl_c_in_a_waiting_submit_leaves_no_task_and_no_place():  # trap 33
    printed = run_apart("""
        import threading
        from holdfast.policies.pool import PoolBulkhead
        from tests.ctrl_c import CtrlC

        go_on = threading.Event()
        pool = PoolBulkhead("jobs", workers=1, max_waiting=0, max_wait=None)
        pool.submit(go_on.wait)

        sender = CtrlC().when(lambda: pool.snapshot().submitting == 1)
        try:
            pool.submit(print, "never")
        except KeyboardInterrupt:
            snapshot = pool.snapshot()
            print("interrupted", snapshot.submitting, snapshot.queued, pool._kernel.in_flight())
        sender.result()
        go_on.set()
        pool.submit(print, "next")
        pool.stop()
        """)
    assert printed.splitlines() == ["interrupted 0 0 1", "next"]
