"""A call in a thread of a timeout at its deadline, and where there are too few threads."""

from __future__ import annotations

import threading

import pytest

import holdfast as hf
from tests.policies.calls import OutageError
from tests.waiting.left_behind import Held, begin, house, leave_behind, threaded, worker_threads
from tests.waiting.parties import Party, until


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


def test_at_the_deadline_the_caller_goes_on_and_so_does_the_work(clock, held):  # TO-10, D-CB-4
    timeout = threaded(clock, name="t")
    events = []
    timeout.on_event(lambda event: events.append(event.kind))
    party = begin(timeout, held)
    clock.advance(0.999)
    assert party.is_alive()
    clock.advance(0.001)
    with pytest.raises(hf.DeadlineExceededError, match="timed out after 1 s, timeout 't'"):
        party.result()
    assert events == ["timeout"]
    shown = timeout.snapshot()
    assert (shown.expired, shown.late, shown.abandoned, shown.running) == (1, 0, 1, 1)
    held.go.set()
    until(lambda: timeout.snapshot().running == 0)
    assert timeout.snapshot().abandoned == 1
    assert held.ended == 1


def test_the_error_is_that_of_the_timeout_whose_deadline_it_was(clock, held):
    outer, inner = hf.Timeout(1, name="outer", clock=clock), threaded(clock, 5, name="inner")
    party = begin(hf.Pipeline("p", outer, inner), held)
    clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError, match="timeout 'outer'"):
        party.result()
    assert (outer.snapshot().expired, inner.snapshot().expired) == (1, 0)
    assert (outer.snapshot().abandoned, inner.snapshot().abandoned) == (0, 1)


def test_the_deadline_of_a_block_around_it_ends_the_wait(clock, held):
    inner = threaded(clock, 5, name="inner")

    def call():
        with hf.Timeout(1, name="block", clock=clock):
            inner.call(held)

    party = begin(inner, held, lambda _: call())
    clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError, match="timeout 'block'"):
        party.result()


def test_the_deadline_of_another_clock_ends_the_wait(clock, held):
    other = hf.ManualClock(auto=False)
    outer, inner = hf.Timeout(1, name="outer", clock=other), threaded(clock, 5)
    party = begin(hf.Pipeline("p", outer, inner), held)
    clock.advance(4)
    assert party.is_alive()
    other.advance(1)
    with pytest.raises(hf.DeadlineExceededError, match="timeout 'outer'"):
        party.result()


def test_a_value_that_comes_as_time_runs_out_is_dropped_and_told_of_once(clock):
    timeout = threaded(clock)
    events = []
    timeout.on_event(lambda event: events.append(event.kind))
    with pytest.raises(hf.DeadlineExceededError):
        timeout.call(clock.advance, 1)
    until(lambda: timeout.snapshot().running == 0)
    shown = timeout.snapshot()
    assert shown.expired == 1
    assert shown.late + shown.abandoned == 1  # whichever was first
    assert events == ["timeout"]


def test_what_was_left_behind_fails_for_nobody(clock, capsys, caplog):
    held = Held(error=OutageError("nobody hears this"))
    timeout = threaded(clock)
    leave_behind(timeout, held, clock)
    held.go.set()
    until(lambda: timeout.snapshot().running == 0)
    assert timeout.call(len, "ok") == 2
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


def test_a_retry_around_it_tries_again_with_the_time_of_an_attempt(clock, held):
    retry = hf.Retry("r", attempts=2, on=TimeoutError, backoff=hf.Constant(0), clock=clock)
    timeout = threaded(clock)
    pipe = hf.Pipeline("p", retry, timeout)
    party = begin(pipe, held)
    clock.advance(1)
    until(lambda: len(held.begun) == 2)
    assert timeout.snapshot().running == 1
    held.go.set()
    assert party.result() == "done"
    until(lambda: timeout.snapshot().running == 0)
    assert retry.snapshot().recovered == 1


def test_a_call_that_gets_no_thread_in_time_never_runs(clock, held):  # trap 52
    timeout = threaded(clock, workers=2)
    for _ in range(2):
        leave_behind(timeout, held, clock)
    ran: list[int] = []
    party = Party(timeout.call, ran.append, 1)
    until(lambda: timeout._worker_threads.queued == 1)
    clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    assert timeout._worker_threads.queued == 0
    held.go.set()
    until(lambda: timeout.snapshot().running == 0)
    assert timeout.call(len, "ok") == 2
    assert ran == []
    shown = timeout.snapshot()
    assert (shown.expired, shown.abandoned, shown.in_time) == (3, 2, 1)


def test_a_call_that_waited_for_a_thread_runs_once_one_is_free(clock, held):
    timeout = threaded(clock, workers=1)
    leave_behind(timeout, held, clock)
    party = Party(timeout.call, len, "ok")
    until(lambda: timeout._worker_threads.queued == 1)
    held.go.set()
    assert party.result() == 2


def test_there_are_no_more_threads_than_workers(clock, held):
    timeout = threaded(clock, workers=3, name="three")
    parties = [begin(timeout, held) for _ in range(3)]
    parties += [Party(timeout.call, held) for _ in range(5)]
    until(lambda: timeout._worker_threads.queued == 5)
    assert len(worker_threads("three")) == 3
    held.go.set()
    assert [party.result() for party in parties] == ["done"] * 8
    assert len(worker_threads("three")) == 3


def test_threads_are_used_again(clock):
    timeout = threaded(clock, name="again")
    names = {timeout.call(lambda: threading.current_thread().name) for _ in range(50)}
    assert len(names) <= 2  # the second call may come before the first one's thread is free


def test_when_no_thread_can_be_started_the_call_says_so_and_leaves_nothing(clock, monkeypatch):
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    timeout = threaded(clock)
    pipe = hf.Pipeline("p", bulkhead, timeout)

    def no_more(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="can't start"):
            pipe.call(len, "ok")
    assert bulkhead.in_flight == 0
    assert timeout.snapshot().abandoned == 0
    assert pipe.call(len, "ok") == 2


def both_wait(clock):
    """Return whether the caller and the thread that works for it both wait for the clock."""
    return len(clock._callbacks) == 2


def test_a_wait_for_a_place_inside_ends_with_the_deadline_and_nothing_runs(clock):
    full = house(places=1, max_waiting=1, max_wait=100, clock=clock)
    outside, timeout = house("outside"), threaded(clock)
    pipe = hf.Pipeline("p", outside, timeout, full)
    ran: list[int] = []
    with full:
        party = Party(pipe.call, ran.append, 1)
        until(lambda: full.waiting == 1 and both_wait(clock))
        clock.advance(1)
        with pytest.raises(hf.DeadlineExceededError):
            party.result()
        until(lambda: timeout.snapshot().running == 0)
        assert full.waiting == 0
    until(lambda: outside.in_flight == 0)
    assert ran == []
    assert full.in_flight == 0
    assert pipe.call(len, "ok") == 2


def test_a_wait_for_tokens_inside_that_would_be_too_long_is_refused_at_once(clock):
    limiter = hf.RateLimiter("l", rate=0.1, burst=1, max_wait=100, clock=clock)
    timeout = threaded(clock)
    pipe = hf.Pipeline("p", timeout, limiter)
    assert pipe.call(len, "ok") == 2
    with pytest.raises(hf.RateLimitedError):
        pipe.call(len, "ok")
    assert timeout.snapshot().in_time == 1


def test_tokens_inside_that_come_in_time_are_waited_for(clock):
    limiter = hf.RateLimiter("l", rate=10, burst=1, max_wait=100, clock=clock)
    pipe = hf.Pipeline("p", threaded(clock), limiter)
    assert pipe.call(len, "ok") == 2
    party = Party(pipe.call, len, "ok")
    until(lambda: both_wait(clock))
    clock.advance(0.1)
    assert party.result() == 2
