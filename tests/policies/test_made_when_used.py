"""What only listening, waiting and timing need is made when it is first used."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

import holdfast as hf
from holdfast.policies import base
from holdfast.stores.figures import LATENCY, PLACES
from holdfast.stores.ledger import ledger
from tests.waiting.parties import Party

THREADS = 8


def waits(*, clock: hf.ManualClock) -> list[hf.Policy]:
    return [
        hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=None, clock=clock),
        hf.RateLimiter("l", rate=1, per=10, max_wait=None, clock=clock),
        hf.RateLimiter("s", rate=1, per=10, window="sliding", max_wait=None, clock=clock),
    ]


def test_calls_that_neither_wait_nor_are_listened_to_make_no_room_and_no_listeners(clock):
    pipe = hf.Pipeline("p", *waits(clock=clock), hf.Retry("r"), hf.Timeout(1))
    pipe.call(int)
    assert pipe.policies[1].try_acquire() is False
    policies = (pipe, *pipe.policies)
    assert [(one._queue, one._listeners) for one in policies] == [(None, None)] * len(policies)


@pytest.mark.parametrize("at", range(3))
def test_who_waits_first_and_who_comes_meanwhile_stand_in_one_line(at):
    still = hf.ManualClock(auto=False)
    policy = waits(clock=still)[at]
    ready = threading.Barrier(THREADS)

    def wait() -> int:
        ready.wait()
        return id(policy._room if at == 0 else policy._line)

    parties = [Party(wait) for _ in range(THREADS)]
    assert {party.result() for party in parties} == {id(policy._queue)}


def test_all_who_listen_first_at_one_moment_are_told(clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    ready, heard = threading.Barrier(THREADS), []

    def listen(number: int) -> None:
        ready.wait()
        breaker.on_event(lambda event: heard.append(number))

    for party in [Party(listen, number) for number in range(THREADS)]:
        party.result()
    breaker.trip()
    assert sorted(heard) == list(range(THREADS))


def test_all_whose_calls_are_the_first_to_be_timed_are_in_one_histogram(clock):
    breaker = hf.CircuitBreaker("b", latency=True, clock=clock)
    assert (breaker._histogram, breaker.snapshot().latency.count) == (None, 0)
    ready = threading.Barrier(THREADS)

    def call() -> None:
        ready.wait()
        breaker.call(int)

    for party in [Party(call) for _ in range(THREADS)]:
        party.result()
    assert breaker.snapshot().latency.count == THREADS
    [sums] = [sums for (role, _), sums in ledger.figures([breaker]).items() if role == LATENCY]
    assert sums.counts[PLACES[LATENCY]["upto"]][-1] == THREADS


def test_a_call_without_memory_for_its_histogram_succeeds_and_a_later_one_is_timed(clock):
    breaker = hf.CircuitBreaker("b", latency=True, clock=clock)
    bulkhead = waits(clock=clock)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "Histogram", out_of_memory)
        assert breaker.call(int) == 0
        bulkhead._waited(1)
    assert (breaker.snapshot().succeeded, breaker.snapshot().latency.count) == (1, 0)
    assert breaker.call(int) == 0
    bulkhead._waited(1)
    assert (breaker.snapshot().latency.count, bulkhead._waits.count()) == (1, 1)


def out_of_memory() -> None:
    raise MemoryError


@pytest.mark.parametrize(("fn", "context"), [(int, type(None)), (open, TypeError)])
def test_an_interrupt_while_a_histogram_is_made_reaches_the_caller(clock, monkeypatch, fn, context):
    breaker = hf.CircuitBreaker("b", latency=True, clock=clock)
    monkeypatch.setattr(base, "Histogram", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        breaker.call(fn)
    assert type(caught.value.__context__) is context
    shown = breaker.snapshot()
    assert (shown.succeeded + shown.failed, shown.in_flight) == (1, 0)


def interrupted() -> None:
    raise KeyboardInterrupt


def test_a_policy_that_only_its_listener_and_its_line_know_is_collected():
    def leave_one() -> weakref.ref[hf.RateLimiter]:
        limiter = hf.RateLimiter("l", rate=1, per=10, max_wait=None)
        limiter.on_event(lambda event: limiter.name)
        limiter.try_acquire()
        loop = asyncio.new_event_loop()
        task = loop.create_task(limiter.aacquire())
        loop.run_until_complete(asyncio.sleep(0))
        assert not limiter._line.is_empty
        loop.close()
        task._log_destroy_pending = False
        return weakref.ref(limiter)

    gone = leave_one()
    gc.collect()
    assert gone() is None


def test_policies_that_are_made_with_the_same_settings_keep_them_once():
    first, second = (hf.Pipeline.standard(name, rate=10) for name in ("a", "b"))
    for one, other in zip(first.policies, second.policies, strict=True):
        assert one._settings is other._settings
    assert hf.Bulkhead("c", max_concurrent=2)._settings[0] == 2
    assert hf.Bulkhead("d")._settings[0] == 100
    kept = [hf.Retry("r", wrap=wrap)._setting("wrap") for wrap in (False, True, False)]
    assert kept == [False, True, False]


def test_settings_are_not_asked_whether_they_are_the_same():
    class Predicate:
        def __call__(self, result: object) -> bool:
            return False

        def __eq__(self, other: object) -> bool:
            raise AssertionError

        __hash__ = None  # type: ignore[assignment]

    made = [hf.CircuitBreaker("b", is_failure=Predicate()) for _ in range(2)]
    assert made[0]._setting("is_failure") is not made[1]._setting("is_failure")
