"""Threads of timeouts end with their policy, and there are never too many."""

from __future__ import annotations

import gc
import random
import threading
import weakref

import pytest

import holdfast as hf
from holdfast.waiting.daemons import DaemonThreads
from tests.apart import run_apart
from tests.waiting.left_behind import Held, begin, leave_behind, threaded, worker_threads
from tests.waiting.parties import LIMIT, Party, until


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


def test_timeouts_one_after_another_leave_no_thread_behind(clock):
    # D-CB-4, D-C-5: there each left one for ever, and its work went on in the background.
    timeout = threaded(clock, workers=4, name="leaky")
    for _ in range(10):
        works = [Held() for _ in range(4)]
        for held in works:
            leave_behind(timeout, held, clock)
        for held in works:
            held.go.set()
        until(lambda: timeout.snapshot().running == 0)
    assert timeout.snapshot().abandoned == 40
    assert len(worker_threads("leaky")) <= 4


def test_timeouts_of_work_that_hangs_leave_no_more_threads_than_workers(clock, held):  # D-CB-4
    timeout = threaded(clock, workers=4, name="hung")
    for _ in range(4):
        leave_behind(timeout, held, clock)
    parties = [Party(timeout.call, held) for _ in range(40)]
    until(lambda: timeout._worker_threads.queued == 40)
    clock.advance(1)
    for party in parties:
        with pytest.raises(hf.DeadlineExceededError):
            party.result()
    assert len(worker_threads("hung")) == 4
    assert timeout._worker_threads.queued == 0
    shown = timeout.snapshot()
    assert (shown.expired, shown.abandoned, shown.running) == (44, 4, 4)
    assert not clock._callbacks  # D-CB-5: nor a timer


def test_no_thread_is_started_before_the_first_call(clock):
    timeout = threaded(clock, name="idle")
    assert timeout._worker_threads is None
    assert not worker_threads("idle")


def test_threads_keep_nothing_of_the_context_of_whoever_they_were_started_for(monkeypatch):
    monkeypatch.setenv("PYTHON_THREAD_INHERIT_CONTEXT", "1")
    assert (
        run_apart("""
        import contextvars, gc, weakref
        import holdfast as hf

        variable = contextvars.ContextVar("variable")

        class Request:
            pass

        def serve(call):
            request = Request()
            variable.set(request)
            call(int)
            return weakref.ref(request)

        timeout, pool = hf.Timeout(60, thread=True), hf.PoolBulkhead("p", workers=1)
        for call in timeout.call, lambda fn: pool.submit(fn).result():
            request = contextvars.copy_context().run(serve, call)
            gc.collect()
            print(request() is None)
    """)
        == "True\nTrue\n"
    )


def test_dropped_its_threads_end(clock, held):
    timeout = threaded(clock, name="dropped")
    parties = [begin(timeout, held) for _ in range(3)]
    held.go.set()
    for party in parties:
        party.result()
    threads = worker_threads("dropped")
    assert len(threads) == 3
    del timeout, parties, party
    gc.collect()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_dropped_while_work_goes_on_they_end_after_it(clock, held):
    timeout = threaded(clock, name="going")
    leave_behind(timeout, held, clock)
    (thread,) = worker_threads("going")
    gone = weakref.ref(timeout)
    del timeout
    gc.collect()
    assert thread.is_alive()
    held.go.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    gc.collect()
    assert gone() is None


def test_a_pipeline_that_is_dropped_while_work_goes_on_gives_its_place_back(clock, held):
    bulkhead = hf.Bulkhead("b")
    pipe = hf.Pipeline("p", bulkhead, threaded(clock))
    leave_behind(pipe, held, clock)
    del pipe
    gc.collect()
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)


def test_daemons_start_a_thread_only_where_none_is_free():
    threads = DaemonThreads("daemons-few", 5)
    for _ in range(20):
        done = threading.Event()
        threads.submit(done.set)
        assert done.wait(LIMIT)
        until(lambda: threads._jobs.unfinished == 0)
    assert len(threads._threads) == 1
    assert threads._threads[0].daemon


def test_a_prepared_daemon_does_the_first_job_where_no_other_can_be_started(monkeypatch):
    threads = DaemonThreads("daemons-ready", 5)
    threads.prepare()
    threads.prepare()

    def refuse(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = threading.Event()
    threads.submit(done.set)
    assert done.wait(LIMIT)
    assert len(threads._threads) == 1


def test_daemons_end_when_they_are_told_to_and_have_done_what_they_had():
    threads = DaemonThreads("daemons-end", 2)
    done: list[int] = []
    for n in range(50):
        threads.submit(lambda n=n: done.append(n))
    threads.shutdown(wait=True)
    assert sorted(done) == list(range(50))
    assert not worker_threads("daemons-end")


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(2))
def test_whatever_the_threads_do_every_work_ends_and_every_place_comes_home(seed, stress_scale):

    clock = hf.ManualClock(auto=False)
    outside, inside = (hf.Bulkhead(name, max_concurrent=10_000) for name in ("outside", "inside"))
    small = hf.Bulkhead("small", max_concurrent=3, max_waiting=2, max_wait=2, clock=clock)
    breaker = hf.CircuitBreaker("c", failure_threshold=10**6, clock=clock)
    retry = hf.Retry(
        "r", attempts=3, on=TimeoutError, backoff=hf.Constant(0), budget=None, clock=clock
    )
    first, second = threaded(clock, 3, workers=6), threaded(clock, 2, workers=5)
    pipe = hf.Pipeline("p", outside, breaker, first, retry, inside, second, small)
    outcomes: list[str] = []
    go = threading.Event()

    def work(rng: random.Random) -> None:
        if rng.random() < 0.3:
            until(lambda: go.is_set() or rng.random() < 0.01)
        if rng.random() < 0.2:
            raise ValueError

    def caller(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(12 * stress_scale):
            try:
                pipe.call(work, rng)
                outcomes.append("done")
            except Exception as error:
                outcomes.append(type(error).__name__)

    parties = [Party(caller, seed * 100 + n) for n in range(8)]
    while any(party.is_alive() for party in parties):
        clock.advance(0.01)
    go.set()
    for party in parties:
        party.result()
    until(lambda: first.snapshot().running == second.snapshot().running == 0)
    until(lambda: (outside.in_flight, inside.in_flight, small.in_flight) == (0, 0, 0))
    assert len(outcomes) == 8 * 12 * stress_scale
    assert set(outcomes) <= {
        "done",
        "ValueError",
        "DeadlineExceededError",
        "BulkheadFullError",
        "BulkheadTimeoutError",
    }
    for bulkhead in (outside, inside, small):
        shown = bulkhead.snapshot()
        assert shown.over_released == 0
        assert shown.admitted == shown.completed + shown.undone
    assert small.waiting == 0
    shown = breaker.snapshot()
    assert shown.in_flight == 0
    assert shown.admitted == shown.succeeded + shown.failed + shown.ignored + shown.abandoned
    for timeout in (first, second):
        threads = timeout._worker_threads
        # None: where the clock runs ahead of the threads, every call was over before it came there.
        assert threads is None or threads.queued == threads.active == 0
    until(lambda: not clock._callbacks)
