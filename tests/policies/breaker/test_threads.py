"""One breaker, many threads: nothing is lost, nothing happens twice, and nobody waits for another.

The stress tests go on for millions of calls; here each race is brought about on purpose.
"""

import asyncio
import threading
from collections.abc import Callable

import pytest

import holdfast as hf
from holdfast import State, TimeWindow
from holdfast.registry import registry
from tests.policies.calls import (
    OutageError,
    breaker_of,
    changes,
    fail,
    half_open_breaker,
    rejection,
    succeed,
)
from tests.waiting.parties import LIMIT, Party

THREADS = 8


def at_once(work: Callable[[], object], threads: int = THREADS) -> list[object]:
    """Run work in many threads that start together; return what each returned."""
    start = threading.Barrier(threads)

    def run() -> object:
        start.wait(LIMIT)
        return work()

    parties = [Party(run) for _ in range(threads)]
    return [party.result() for party in parties]


class Blocked:
    """A call that is inside until it is let go."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, *_: object) -> str:
        self.inside.set()
        assert self.go_on.wait(LIMIT)
        return "done"


@pytest.mark.parametrize("state", [State.CLOSED, State.HALF_OPEN, State.METRICS_ONLY])
def test_calls_run_side_by_side(clock, state):
    # D-C-1: they only come out of the barrier when all ten are inside at the same time
    breaker = breaker_of(clock, half_open_max_calls=10, failure_rate=0.5, latency=True)
    if state is not State.CLOSED:
        (breaker.half_open if state is State.HALF_OPEN else breaker.metrics_only)()
    inside = threading.Barrier(10)
    parties = [Party(breaker.call, inside.wait, LIMIT) for _ in range(10)]
    assert sorted(party.result() for party in parties) == list(range(10))


def test_everything_can_be_read_and_ordered_while_a_call_is_inside(clock):  # D-C-1, GEN-14
    breaker = breaker_of(clock, failure_rate=0.5, window=TimeWindow(10), latency=True)
    call = Blocked()
    party = Party(breaker.call, call)
    assert call.inside.wait(LIMIT)
    assert breaker.state is State.CLOSED
    assert breaker.peek()
    assert breaker.in_flight == breaker.snapshot().in_flight == 1
    assert breaker.retry_after == 0.0
    succeed(breaker)
    breaker.trip()
    assert rejection(breaker) is not None
    breaker.reset()
    assert not call.go_on.is_set()
    call.go_on.set()
    assert party.result() == "done"


def test_a_call_runs_in_its_callers_thread_and_leaves_no_thread_behind(clock):  # D-CB-4, D-CB-6
    breaker = breaker_of(clock, failure_rate=1, min_calls=100, latency=True, slow_call_duration=1)
    before = set(threading.enumerate())
    for _ in range(20):
        assert breaker.call(threading.get_ident) == threading.get_ident()
        assert breaker.try_call(threading.get_ident).value == threading.get_ident()
    error = OutageError()

    def outage() -> None:
        raise error

    with pytest.raises(OutageError) as caught:
        breaker.call(outage)
    assert caught.value is error
    assert set(threading.enumerate()) <= before


def test_an_awaited_call_sets_no_timer_and_makes_no_task(clock, monkeypatch):
    # D-CB-4, D-CB-5: refused where it is made, were there any
    breaker = breaker_of(clock, latency=True, slow_call_duration=1)

    async def who() -> object:
        return asyncio.current_task()

    async def main() -> None:
        with monkeypatch.context() as loop:
            for made in ("call_at", "create_task"):
                loop.setattr(asyncio.get_running_loop(), made, None)
            for _ in range(20):
                assert await breaker.acall(who) is asyncio.current_task()
                async with breaker:
                    pass

    asyncio.run(main())


def test_a_listener_that_blocks_delays_its_own_call_only(clock):  # GEN-14, trap 13
    breaker = breaker_of(clock, failure_threshold=1, reset_timeout=60, success_threshold=1)
    listener = Blocked()
    stop = breaker.on_event(listener)
    party = Party(fail, breaker)
    assert listener.inside.wait(LIMIT)
    stop()
    assert breaker.state is State.OPEN
    assert rejection(breaker) is not None
    clock.advance(60)
    succeed(breaker)
    assert breaker.state is State.CLOSED
    assert not listener.go_on.is_set()
    listener.go_on.set()
    party.result()
    assert breaker.state is State.CLOSED


def test_no_call_takes_a_lock_of_ours(clock):
    # GEN-14, D-CB-1, CB-28: all there are, in every state, are held by another thread
    breaker = breaker_of(
        clock, failure_rate=0.5, window=TimeWindow(10), min_calls=1, latency=True, reset_timeout=1
    )
    breaker.on_event(lambda _: None)
    held, let_go = threading.Event(), threading.Event()

    def hold_every_lock() -> None:
        with breaker._listeners._lock, registry._lock, clock._lock:
            held.set()
            assert let_go.wait(LIMIT)

    def use_it() -> State:
        fail(breaker)
        assert rejection(breaker) is not None
        breaker.half_open()
        succeed(breaker, 3)
        breaker.trip()
        breaker.reset()
        breaker.acquire().ignore()
        assert breaker.peek()
        assert breaker.snapshot().in_flight == 0
        return breaker.state

    holder = Party(hold_every_lock)
    assert held.wait(LIMIT)
    try:
        assert Party(use_it).result() is State.CLOSED
    finally:
        let_go.set()
        holder.result()


def test_of_many_failures_at_once_one_opens_it(clock):  # trap 8, CB-03, CB-28
    breaker = breaker_of(clock, failure_threshold=THREADS)
    events: list[hf.Event] = []
    breaker.on_event(events.append)
    for turn in range(1, 16):
        inside = threading.Barrier(THREADS)

        def call(inside: threading.Barrier = inside) -> None:
            inside.wait(LIMIT)
            raise OutageError

        results = at_once(lambda call=call: breaker.try_call(call))
        assert all(isinstance(outcome.error, OutageError) for outcome in results)
        assert breaker.state is State.OPEN
        assert changes(breaker)[State.CLOSED, State.OPEN] == turn
        breaker.reset()
    assert len(events) == 30


def test_of_many_probes_that_end_at_once_the_first_to_decide_decides(clock):
    # trap 8, CB-05, CB-06, CB-28
    breaker = half_open_breaker(clock, half_open_max_calls=8, success_threshold=8, reset_timeout=60)
    for _ in range(15):
        probes = [breaker.acquire() for _ in range(8)]
        start = threading.Barrier(8)

        def end(probe: hf.Permit, failing: bool, start: threading.Barrier = start) -> None:
            start.wait(LIMIT)
            (probe.failure if failing else probe.success)()

        for party in [Party(end, probe, n == 0) for n, probe in enumerate(probes)]:
            party.result()
        assert breaker.state is State.OPEN
        assert breaker.retry_after == 60
        clock.advance(60)
        breaker.acquire().ignore()
    assert changes(breaker)[State.HALF_OPEN, State.OPEN] == 15
    assert (State.HALF_OPEN, State.CLOSED) not in changes(breaker)


def test_a_permit_settled_by_many_threads_at_once_is_settled_once(clock):  # CB-17, CB-28
    breaker = breaker_of(clock)
    for turn in range(1, 16):
        permit = breaker.acquire()
        answers = at_once(permit.success, threads=4)
        assert sorted(answers) == [False, False, False, True]
        s = breaker.snapshot()
        assert (s.succeeded, s.settled_twice, s.in_flight) == (turn, 3 * turn, 0)


def test_a_call_may_end_in_another_thread_than_it_began(clock):  # CB-17, CB-28
    breaker = half_open_breaker(clock, half_open_max_calls=1, success_threshold=2)
    for state in (State.HALF_OPEN, State.CLOSED):
        Party(Party(breaker.acquire).result().success).result()
        assert breaker.state is state
