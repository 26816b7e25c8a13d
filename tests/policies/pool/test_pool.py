"""A pool runs what it accepted, refuses what it cannot hold, and gives every place back."""

import asyncio
import concurrent.futures
import math
import threading
from typing import Any

import pytest

from holdfast import (
    BulkheadFullError,
    BulkheadTimeoutError,
    ConfigError,
    DeadlineExceededError,
    ManualClock,
    Timeout,
)
from holdfast.policies.pool import PoolBulkhead
from holdfast.waiting.rooms import WaitingRoom
from holdfast.waiting.worker_threads import WorkerThreads
from tests.waiting.houses import occupied
from tests.waiting.parties import LIMIT, Party, until

# ---- running ----


def test_a_task_runs_in_a_thread_of_the_pool_and_its_result_comes_by_the_future(make):  # BH-05
    pool = make()
    future = pool.submit(lambda *a, **k: (a, k, threading.current_thread().name), 1, fn=2)
    assert isinstance(future, concurrent.futures.Future)
    args, kwargs, thread = future.result(LIMIT)
    assert (args, kwargs) == ((1,), {"fn": 2})
    assert thread.startswith("holdfast-jobs")


def test_tasks_run_in_the_order_they_were_submitted(make, job):
    pool, order = make(), []
    occupied(pool, job)
    futures = [pool.submit(order.append, number) for number in range(20)]
    job.open.set()
    concurrent.futures.wait(futures, LIMIT)
    assert order == list(range(20))


def test_as_many_tasks_run_at_once_as_there_are_workers(make):
    pool, together = make(workers=3, max_waiting=10), threading.Barrier(3)
    futures = [pool.submit(together.wait, LIMIT) for _ in range(9)]
    assert sorted(future.result(LIMIT) for future in futures) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len({thread.name for thread in pool._worker_threads._executor._threads}) == 3


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_a_task_raises_is_in_its_future_and_the_worker_goes_on(make, kind):
    # D-BH-1: a panicking task must not kill the process
    def fail() -> None:
        raise kind("task")

    pool = make()
    worker = pool.submit(threading.get_ident).result(LIMIT)
    for _ in range(3):
        assert isinstance(pool.submit(fail).exception(LIMIT), kind)
    assert pool.submit(threading.get_ident).result(LIMIT) == worker
    snapshot = pool.snapshot()
    assert (snapshot.completed, snapshot.failed) == (5, 3)


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_what_a_callback_of_a_future_raises_does_not_kill_the_worker(make, job, kind, caplog):
    def callback(_: object) -> None:
        raise kind("callback")

    pool = make()
    occupied(pool, job).add_done_callback(callback)
    job.open.set()
    assert pool.submit(int, "5").result(LIMIT) == 5
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "callback"


def test_a_result_is_told_when_the_place_is_already_free(make):
    pool = make(max_waiting=0)
    for number in range(40):
        assert pool.submit(int, number).result(LIMIT) == number


def test_a_coroutine_awaits_a_task_like_any_future(make):
    async def main() -> object:
        return await asyncio.wrap_future(make().submit(int, "7"))

    assert asyncio.run(main()) == 7


# ---- refusing ----


def test_a_full_pool_refuses_at_once(make, job):  # BH-05
    pool = make(max_waiting=1)
    events: list[str] = []
    pool.on_event(lambda event: events.append(f"{event.kind} {event.reason}"))
    occupied(pool, job)
    waiting = pool.submit(int)
    with pytest.raises(BulkheadFullError) as caught:
        pool.submit(int)
    assert (caught.value.policy, caught.value.name, caught.value.reason) == (pool, "jobs", "full")
    assert events == ["rejection full"]
    assert pool.snapshot().rejected == 1
    job.open.set()
    assert waiting.result(LIMIT) == 0


def test_a_submitter_waits_for_a_place_as_long_as_max_wait(make, job):
    # BH-02, BH-05: SubmitWithTimeout
    pool = make(max_waiting=0, max_wait=2.0)
    occupied(pool, job)
    party = Party(pool.submit, int)
    until(lambda: pool.snapshot().submitting == 1)
    pool._clock.advance(1.999)
    assert party.is_alive()
    pool._clock.advance(0.001)
    with pytest.raises(BulkheadTimeoutError) as caught:
        party.result()
    assert caught.value.reason == "timeout"
    assert pool.snapshot().timed_out == 1


def test_a_submitter_gets_the_place_that_comes_free(make, job):
    pool = make(max_waiting=0, max_wait=None)
    occupied(pool, job)
    parties = []
    for number in range(3):
        parties.append(Party(lambda number=number: pool.submit(int, number).result(LIMIT)))
        until(lambda number=number: pool.snapshot().submitting == number + 1)
    job.open.set()
    assert [party.result() for party in parties] == [0, 1, 2]


@pytest.mark.parametrize("fn", [None, 5, "print"])
def test_what_cannot_be_called_is_no_task(make, fn):
    with pytest.raises(TypeError, match="fn: got "):
        make().submit(fn)


def test_a_coroutine_function_is_no_task():
    async def coroutine() -> None: ...

    async def generator() -> Any:
        yield

    pool = PoolBulkhead("jobs")
    for fn in (coroutine, generator):
        with pytest.raises(TypeError, match="not a coroutine or generator function"):
            pool.submit(fn)
    assert pool.snapshot().accepted == 0


def test_a_pool_guards_nothing_in_the_calling_thread(make):
    pool = make()
    for use in (pool, pool.call, pool.acall, pool.try_call, pool.try_acall):
        with pytest.raises(TypeError, match=r"use submit\(fn, …\)"):
            use(int)
    with pytest.raises(TypeError, match="use submit"), pool:
        pass


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("workers", 0, "an integer from 1 to 10000"),
        ("workers", 2.0, "an integer from 1 to 10000"),
        ("workers", True, "an integer from 1 to 10000"),
        ("workers", 10**400, "an integer from 1 to 10000"),
        ("max_waiting", -1, "an integer from 0 to 1000000"),
        ("max_wait", math.nan, "seconds or a timedelta"),
        ("max_wait", -1, "seconds or a timedelta"),
        ("clock", 5, "a SystemClock or a ManualClock"),
        ("mode", "on", "one of enforce, observe, off"),
        ("shared", 1, "True or False"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, value, allowed):
    with pytest.raises(ConfigError, match=rf"{setting}: got .*allowed {allowed}"):
        PoolBulkhead("jobs", **{setting: value})  # type: ignore[arg-type]


def test_no_thread_is_started_for_a_pool_that_is_refused_or_unused():
    before = set(threading.enumerate())
    PoolBulkhead("jobs")
    with pytest.raises(ConfigError):
        PoolBulkhead("jobs", workers=0)
    assert set(threading.enumerate()) <= before


# ---- cancelling ----


def test_a_cancelled_future_gives_its_place_back_at_once_and_its_task_never_runs(make, job):
    # trap 33
    pool, ran = make(max_waiting=1), []
    occupied(pool, job)
    for number in range(100):  # nothing piles up behind a worker that is busy
        assert pool.submit(ran.append, number).cancel()
    assert pool.snapshot().queued == 0
    assert pool.snapshot().cancelled == 100
    assert pool._worker_threads._executor._work_queue.qsize() == 0
    last = pool.submit(ran.append, "last")
    job.open.set()
    last.result(LIMIT)
    assert ran == ["last"]


def test_whoever_waits_for_a_cancelled_future_is_told(make, job):
    pool = make()
    occupied(pool, job)
    future = pool.submit(int)
    party = Party(lambda: list(concurrent.futures.as_completed([future], LIMIT)))
    until(lambda: future._waiters)
    future.cancel()
    assert party.result() == [future]


def test_a_running_task_cannot_be_cancelled(make, job):
    future = occupied(make(), job)
    assert not future.cancel()
    job.open.set()
    assert future.result(LIMIT) == "done"


def test_a_cancelled_future_gives_its_place_to_who_waits_to_submit(make, job):  # trap 33
    pool = make(max_waiting=1, max_wait=None)
    occupied(pool, job)
    future = pool.submit(int)
    party = Party(pool.submit, int, "6")
    until(lambda: pool.snapshot().submitting == 1)
    future.cancel()
    accepted = party.result()
    job.open.set()
    assert accepted.result(LIMIT) == 6


def test_a_future_cancelled_after_a_worker_took_its_task_is_not_run(make, monkeypatch):
    # trap 33: neither lost nor given back twice
    begin = concurrent.futures.Future.set_running_or_notify_cancel

    def cancel_and_begin(future: concurrent.futures.Future[object]) -> bool:
        if pool._worker_threads.is_here():  # not a future of the executor below
            assert future.cancel()
        return begin(future)

    pool, ran = make(max_waiting=0), []
    with monkeypatch.context() as patch:
        patch.setattr(concurrent.futures.Future, "set_running_or_notify_cancel", cancel_and_begin)
        future = pool.submit(ran.append, 1)
        concurrent.futures.wait([future], LIMIT)
    assert (ran, pool._kernel.in_flight(), pool.snapshot().cancelled) == ([], 0, 1)
    assert pool.submit(int, "5").result(LIMIT) == 5


def test_a_place_comes_back_when_a_worker_drops_a_task_before_its_canceller_tells(make, job):
    # trap 33: neither lost nor given back twice
    pool = make(max_waiting=2)
    occupied(pool, job)
    future, last = pool.submit(int), pool.submit(int)
    tell = future._invoke_callbacks  # what `cancel` does last, when the future is cancelled

    def drop_and_tell() -> None:
        job.open.set()
        assert last.result(LIMIT) == 0
        tell()

    future._invoke_callbacks = drop_and_tell
    assert future.cancel()
    assert (pool._kernel.in_flight(), pool.snapshot().cancelled) == (0, 1)
    assert pool._kernel.counters()[6] == 0


@pytest.mark.parametrize(
    ("owner", "step"),
    [(PoolBulkhead, "_cancelled"), (WaitingRoom, "admit"), (WorkerThreads, "take_back")],
)
def test_a_cancellation_cut_short_is_finished_by_a_worker(make, job, monkeypatch, owner, step):
    # trap 33, trap 35
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    pool, ran = make(max_waiting=1), []
    occupied(pool, job)
    future = pool.submit(ran.append, 1)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            future.cancel()
    job.open.set()
    concurrent.futures.wait([future], LIMIT)
    until(lambda: pool._kernel.in_flight() == 0)
    assert (ran, pool.snapshot().cancelled, pool._kernel.counters()[6]) == ([], 1, 0)


def test_a_wait_for_a_place_ends_with_the_time_of_the_call_it_is_part_of(make, job):  # GEN-04
    clock = ManualClock()
    pool = make(workers=1, max_waiting=0, max_wait=60, clock=clock)
    held = pool.submit(job)
    with pytest.raises(DeadlineExceededError):
        Timeout(5, clock=clock).call(pool.submit, len, "never")
    assert clock.now() == 5
    job.open.set()
    held.result(LIMIT)
