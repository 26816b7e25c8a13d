"""The refusal of an open breaker: what it says, what it costs, what it keeps alive."""

import asyncio
import gc
import traceback
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, breaker_of, fail, fine, outage


@pytest.fixture
def breaker(clock: hf.ManualClock) -> hf.CircuitBreaker:
    """A breaker that is open for another 59.5 seconds."""
    breaker = breaker_of(clock, reset_timeout=60)
    breaker.trip()
    clock.advance(0.5)
    return breaker


def refused(breaker: hf.CircuitBreaker) -> hf.CircuitOpenError:
    with pytest.raises(hf.CircuitOpenError) as caught:
        breaker.call(fine)
    return caught.value


def test_a_refusal_is_a_class_of_its_own_with_a_stable_code(breaker):  # GEN-08
    error = refused(breaker)
    assert type(error) is hf.CircuitOpenError
    assert error.code == "CIRCUIT_OPEN"
    assert isinstance(error, hf.Rejected)
    assert isinstance(error, hf.HoldfastError)
    assert error.policy is breaker
    assert (error.name, error.reason, error.retry_after) == ("payments", "open", 59.5)


def test_the_message_says_what_is_open_and_when_to_come_again(breaker):  # GEN-08
    text = "circuit breaker is open: 'payments' (open), retry in 59.500 s"
    assert str(refused(breaker)) == text
    breaker.force_open()
    assert str(refused(breaker)) == "circuit breaker is open: 'payments' (forced-open)"


def by_with(breaker: hf.CircuitBreaker) -> None:
    with breaker:
        raise AssertionError


def by_async_with(breaker: hf.CircuitBreaker) -> None:
    async def block() -> None:
        async with breaker:
            raise AssertionError

    asyncio.run(block())


def by_generator(breaker: hf.CircuitBreaker) -> None:
    @breaker
    def numbers() -> Generator[int, None, None]:
        raise AssertionError
        yield

    next(numbers())


def by_async_generator(breaker: hf.CircuitBreaker) -> None:
    @breaker
    async def numbers() -> AsyncGenerator[int, None]:
        raise AssertionError
        yield

    async def drive() -> None:
        await anext(numbers())

    asyncio.run(drive())


def raise_assertion() -> None:
    raise AssertionError


async def never() -> None:
    raise AssertionError


def awaited(awaitable: Any) -> Any:
    async def drive() -> Any:
        return await awaitable

    return asyncio.run(drive())


EVERY_WAY: dict[str, Callable[[hf.CircuitBreaker], Any]] = {
    "call": lambda breaker: breaker.call(raise_assertion),
    "decorated": lambda breaker: breaker(raise_assertion)(),
    "acquire": lambda breaker: breaker.acquire(),
    "with": by_with,
    "acall": lambda breaker: awaited(breaker.acall(never)),
    "decorated async": lambda breaker: awaited(breaker(never)()),
    "async with": by_async_with,
    "generator": by_generator,
    "async generator": by_async_generator,
    "try_call": lambda breaker: breaker.try_call(raise_assertion).unwrap(),
    "try_acall": lambda breaker: awaited(breaker.try_acall(never)).unwrap(),
    "pipeline": lambda breaker: hf.Pipeline("p", breaker).call(raise_assertion),
}


@pytest.mark.parametrize("way", EVERY_WAY.values(), ids=EVERY_WAY)
def test_every_way_in_refuses_alike_and_runs_nothing(breaker, way):  # CB-02, GEN-08
    with pytest.raises(hf.CircuitOpenError) as caught:
        way(breaker)
    assert caught.value.policy is breaker
    assert (caught.value.reason, caught.value.retry_after) == ("open", 59.5)
    s = breaker.snapshot()
    assert (s.rejected, s.admitted, s.in_flight) == (1, 0, 0)


def test_a_refusal_keeps_no_earlier_exception_alive(clock):  # trap 14
    breaker = breaker_of(clock, failure_threshold=1)

    class EarlierError(OutageError):
        pass

    def break_down() -> None:
        raise EarlierError

    def be_refused_while_handling() -> hf.Rejected:
        try:
            raise EarlierError
        except EarlierError:
            return refused(breaker)

    with pytest.raises(EarlierError) as caught:
        breaker.call(break_down)
    earlier = weakref.ref(caught.value)
    del caught
    error = be_refused_while_handling()
    assert error.__context__ is None
    assert error.__cause__ is None
    gc.collect()
    assert earlier() is None
    alive = [one for one in gc.get_objects() if isinstance(one, EarlierError)]
    assert alive == []


def test_refusals_do_not_grow_with_their_number(breaker):  # trap 14
    first = refused(breaker)
    for _ in range(1000):
        last = refused(breaker)
    assert last is not first
    assert last.__traceback__ is not first.__traceback__
    frames = [len(traceback.extract_tb(error.__traceback__)) for error in (first, last)]
    assert frames[0] == frames[1] <= 2
    assert last.__context__ is None


def test_a_refusal_does_not_keep_its_breaker_registered_for_ever(clock):
    breaker = breaker_of(clock)
    breaker.trip()
    error = refused(breaker)
    there = weakref.ref(breaker)
    del breaker
    assert there() is error.policy
    del error
    gc.collect()
    assert there() is None


def test_an_open_breaker_is_not_bypassed_by_trying_another_way(clock):  # CB-02, D-C-3
    breaker = breaker_of(clock, failure_threshold=1)
    fail(breaker)
    calls: list[int] = []
    guarded = breaker(calls.append)
    for attempt in (
        lambda: guarded(1),
        lambda: breaker.call(guarded, 1),
        lambda: breaker.call(calls.append, 1),
        lambda: hf.Pipeline("again", breaker).call(calls.append, 1),
    ):
        with pytest.raises(hf.CircuitOpenError):
            attempt()
    assert calls == []
    assert breaker.try_call(outage).error is None
