"""What only listening, waiting and timing need is made when it is first used."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

import holdfast as hf
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
