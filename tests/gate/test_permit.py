"""A permit is an admission held by hand: settled once, by whoever holds it, or never."""

import asyncio
import contextlib
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import BulkheadFullError, CircuitBreaker, CircuitOpenError, Permit, State
from tests.gate.parts import fates, half_open, pipe, places, tokens, tripping
from tests.waiting.parties import Party


def test_a_permit_is_inside_until_it_is_settled() -> None:
    breaker, bulkhead = CircuitBreaker("b"), places()
    permit = pipe(breaker, bulkhead).acquire()
    assert isinstance(permit, Permit)
    assert (bulkhead.in_flight, breaker.in_flight, permit.settled) == (1, 1, False)
    assert (
        repr(permit) == "<Permit of <Pipeline 'pipe': CircuitBreaker 'b', Bulkhead 'places'>, held>"
    )
    assert permit.success() is True
    assert (bulkhead.in_flight, breaker.in_flight, permit.settled) == (0, 0, True)
    assert (
        repr(permit)
        == "<Permit of <Pipeline 'pipe': CircuitBreaker 'b', Bulkhead 'places'>, settled>"
    )
    assert fates(breaker) == {"succeeded": 1}


@pytest.mark.parametrize(("settle", "fate"), [
    (lambda p: p.success(), "succeeded"), (lambda p: p.failure(), "failed"),
    (lambda p: p.failure(None), "failed"), (lambda p: p.failure(OSError()), "failed"),
    (lambda p: p.failure(KeyError()), "succeeded"),
    (lambda p: p.failure(BlockingIOError()), "ignored"),
    (lambda p: p.failure(asyncio.CancelledError()), "ignored"),
    (lambda p: p.failure(KeyboardInterrupt()), "ignored"),
    (lambda p: p.failure(CircuitOpenError()), "ignored"), (lambda p: p.ignore(), "ignored"),
])  # fmt: skip
def test_each_way_to_settle_says_what_came_of_the_call(
    settle: Callable[[Permit], bool], fate: str
) -> None:
    breaker = CircuitBreaker("b", on=OSError, ignore=BlockingIOError)
    assert settle(breaker.acquire()) is True
    assert fates(breaker) == {fate: 1}


def test_settling_twice_is_refused_counted_and_harmless() -> None:  # trap 34
    breaker, bulkhead = CircuitBreaker("b"), places(1)
    for policy in (breaker, bulkhead, pipe(breaker, bulkhead)):
        permit = policy.acquire() if policy is not bulkhead else policy._permit()
        assert permit.ignore() is True
        for again in (permit.success, permit.failure, permit.ignore):
            assert again() is False
        assert permit.failure(OSError()) is False
    assert breaker.snapshot().settled_twice == 4
    assert fates(breaker) == {"ignored": 2}
    assert (bulkhead.in_flight, bulkhead.snapshot().over_released) == (0, 0)


def test_a_block_settles_it_by_how_it_ends() -> None:
    breaker = CircuitBreaker("b")
    with breaker.acquire() as permit:
        assert isinstance(permit, Permit)
    error = OSError("down")
    with pytest.raises(OSError, match="down") as caught, breaker.acquire():
        raise error
    assert caught.value is error
    with pytest.raises(KeyboardInterrupt), breaker.acquire():
        raise KeyboardInterrupt
    assert fates(breaker) == {"succeeded": 1, "failed": 1, "ignored": 1}


def test_what_is_settled_inside_a_block_stands() -> None:
    breaker = CircuitBreaker("b")
    with breaker.acquire() as permit:
        permit.failure()
    with contextlib.suppress(OSError), breaker.acquire() as permit:
        permit.ignore()
        raise OSError
    assert fates(breaker) == {"failed": 1, "ignored": 1}
    assert breaker.snapshot().settled_twice == 0


def test_collected_unsettled_it_frees_its_place_and_proves_nothing() -> None:  # trap 4
    breaker, bulkhead, limiter = half_open(), places(1), tokens(2)
    pipeline = pipe(breaker, bulkhead, limiter)
    permit = pipeline.acquire()
    with pytest.raises(CircuitOpenError):
        pipeline.acquire()
    del permit
    assert fates(breaker) == {"abandoned": 1}
    assert (breaker.state, breaker.snapshot().probes) == (State.HALF_OPEN, 0)
    assert (bulkhead.in_flight, limiter.available) == (0, 1)
    pipeline.acquire().success()
    assert breaker.state is State.CLOSED


def test_collected_in_a_cycle_it_frees_its_place() -> None:
    bulkhead = places(1)

    def lose() -> None:
        cycle: list[Any] = [bulkhead._permit()]
        cycle.append(cycle)

    lose()
    gc.collect()
    assert bulkhead.in_flight == 0
    bulkhead._permit().success()


def test_of_many_threads_one_settles_it() -> None:
    breaker, start = CircuitBreaker("b"), threading.Barrier(8)

    def settle(permit: Permit) -> bool:
        start.wait()
        return permit.success()

    for _ in range(50):
        permit = breaker.acquire()
        parties = [Party(settle, permit) for _ in range(8)]
        assert sorted(party.result() for party in parties) == [False] * 7 + [True]
    assert fates(breaker) == {"succeeded": 50}
    assert breaker.snapshot().settled_twice == 350


async def test_an_asynchronous_one_is_the_same() -> None:
    bulkhead, breaker = places(1), CircuitBreaker("b")
    pipeline = pipe(breaker, bulkhead)
    permit = await pipeline._apermit()
    assert bulkhead.in_flight == 1
    with pytest.raises(BulkheadFullError):
        await pipeline._apermit()
    assert permit.success() is True
    with await pipeline._apermit():
        assert bulkhead.in_flight == 1
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"succeeded": 2})


def test_it_keeps_its_policy_alive() -> None:
    breaker = tripping()
    ref, permit = weakref.ref(breaker), breaker.acquire()
    del breaker
    gc.collect()
    assert ref() is not None
    permit.success()
    del permit
    gc.collect()
    assert ref() is None


def test_it_may_be_referenced_weakly() -> None:
    bulkhead = places()
    permit = bulkhead._permit()
    seen: list[int] = []
    ref = weakref.ref(permit, lambda _: seen.append(bulkhead.in_flight))
    del permit
    assert ref() is None
    assert seen == [1]
    assert bulkhead.in_flight == 0


def test_it_cannot_be_made_changed_copied_or_misused() -> None:
    permit: Any = places()._permit()
    with pytest.raises(TypeError):
        Permit()
    with pytest.raises(TypeError):
        type("Sub", (Permit,), {})
    with pytest.raises(AttributeError):
        permit.settled = True
    with pytest.raises(TypeError):
        pickle.dumps(permit)
    for wrong in ("exc", OSError, 42):
        with pytest.raises(TypeError, match="at most one exception instance"):
            permit.failure(wrong)
    with pytest.raises(TypeError, match="at most one exception instance"):
        permit.failure(OSError(), OSError())
    for wrong in ((), (None, None)):
        with pytest.raises(TypeError, match="takes three"):
            permit.__exit__(*wrong)
    assert permit.settled is False


def test_a_predicate_judges_what_a_permit_is_told() -> None:
    breaker = CircuitBreaker("b", is_failure=lambda error: "down" in str(error))
    breaker.acquire().failure(OSError("down"))
    breaker.acquire().failure(OSError("busy"))
    assert fates(breaker) == {"failed": 1, "succeeded": 1}
    broken = CircuitBreaker("b", is_failure=lambda error: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.acquire().failure(OSError())
    with pytest.raises(ZeroDivisionError) as caught, broken.acquire():
        raise OSError
    assert isinstance(caught.value.__context__, OSError)
    assert fates(broken) == {"ignored": 2}


def test_a_permit_given_back_while_others_wait_lets_the_next_in() -> None:  # trap 33
    bulkhead = places(1, max_waiting=1, max_wait=None)
    permit = bulkhead._permit()
    party = Party(bulkhead.call, lambda: bulkhead.in_flight)
    while bulkhead.waiting == 0:
        pass
    del permit
    assert party.result() == 1
    assert bulkhead.in_flight == 0
