"""Guarded generators, plain and asynchronous: what passes through, and how they may end."""

import asyncio
import contextlib
import gc
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast import CircuitBreaker, CircuitOpenError, Rejected, Retry, State
from tests.gate.parts import fates, half_open, pipe, places, tokens, tripping
from tests.waiting.parties import auntil


def talk(*items: Any) -> Iterator[Any]:
    """Yield items; answer what is sent or thrown with it; return everything heard."""
    heard = []
    for item in items:
        try:
            heard.append((yield item))
        except LookupError as error:
            heard.append(error)
    return heard


async def atalk(*items: Any) -> AsyncIterator[Any]:
    heard = []
    for item in items:
        await asyncio.sleep(0)
        try:
            heard.append((yield item))
        except LookupError as error:
            heard.append(error)
    yield heard


# What stands around a policy: nothing, or what controls the call until the first item.
AROUND = pytest.mark.parametrize("around", [(), (Retry("r"),)], ids=["plain", "controlled"])


# ---- plain ----


@AROUND
def test_what_is_sent_thrown_yielded_and_returned_passes_through(around: Any) -> None:
    breaker = CircuitBreaker("b")
    stream = pipe(*around, breaker)(talk)(1, 2, 3)
    error = KeyError()
    assert next(stream) == 1
    assert stream.send("a") == 2
    assert stream.throw(error) == 3
    with pytest.raises(StopIteration) as stop:
        stream.send("c")
    assert stop.value.value == ["a", error, "c"]
    assert fates(breaker) == {"succeeded": 1}


def test_it_looks_like_the_generator_it_guards() -> None:
    stream = places()(talk)(1)
    assert inspect.isgenerator(stream)
    assert (stream.__name__, stream.__qualname__) == ("talk", "talk")
    assert inspect.getgeneratorstate(stream) == "GEN_CREATED"
    next(stream)
    assert inspect.getgeneratorstate(stream) == "GEN_SUSPENDED"
    stream.close()
    assert inspect.getgeneratorstate(stream) == "GEN_CLOSED"


@AROUND
@pytest.mark.parametrize(("end", "fate"), [
    (lambda s: s.close(), "ignored"), (lambda s: s.throw(ValueError), "failed"),
    (lambda s: s.throw(KeyboardInterrupt), "ignored"),
    (lambda s: s.throw(GeneratorExit), "ignored"), (lambda s: list(s), "succeeded"),
])  # fmt: skip
def test_each_end_is_judged_as_it_is(
    end: Callable[[Any], Any], fate: str, around: Any
) -> None:  # trap 5
    breaker, bulkhead = half_open(), places()
    stream = pipe(*around, breaker, bulkhead)(talk)(1, 2)
    next(stream)
    with contextlib.suppress(ValueError, KeyboardInterrupt, GeneratorExit):
        end(stream)
    assert fates(breaker) == {fate: 1}
    assert (bulkhead.in_flight, breaker.snapshot().probes) == (0, 0)


def test_dropped_half_way_it_ends_without_a_verdict() -> None:  # trap 5
    breaker, bulkhead, ended = half_open(), places(), []

    @pipe(breaker, bulkhead)
    def stream() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            ended.append(bulkhead.in_flight)

    items = stream()
    assert [next(items), next(items)] == [0, 1]
    del items
    assert (ended, bulkhead.in_flight, fates(breaker)) == ([1], 0, {"ignored": 1})

    def cycle() -> None:
        kept: list[Any] = [stream()]
        kept.append(kept)
        next(kept[0])

    cycle()
    gc.collect()
    assert (ended, bulkhead.in_flight, fates(breaker)) == ([1, 1], 0, {"ignored": 2})


def test_never_started_it_was_never_admitted() -> None:
    breaker = half_open()
    breaker(talk)(1)
    breaker(talk)(1).close()
    with pytest.raises(KeyError):
        breaker(talk)(1).throw(KeyError)
    assert breaker.snapshot().admitted == 0


def test_refused_at_the_first_item_it_never_runs() -> None:  # trap 6
    breaker, bulkhead, full = half_open(), places(), places(1)
    full.enter()
    stream = pipe(breaker, bulkhead, full)(talk)(1)
    with pytest.raises(Rejected):
        next(stream)
    assert (bulkhead.in_flight, breaker.snapshot().admitted) == (0, 0)
    with pytest.raises(StopIteration):
        next(stream)


def test_a_loop_over_it_holds_one_place_at_a_time() -> None:
    bulkhead = places(1)
    stream = bulkhead(talk)
    for _ in range(3):
        assert [bulkhead.in_flight for _ in stream(1, 2, 3)] == [1, 1, 1]
        assert bulkhead.in_flight == 0


# ---- asynchronous ----


@AROUND
async def test_what_is_sent_thrown_and_yielded_passes_through_an_asynchronous_one(
    around: Any,
) -> None:
    breaker = CircuitBreaker("b")
    stream = pipe(*around, breaker)(atalk)(1, 2, 3)
    error = KeyError()
    assert await anext(stream) == 1
    assert await stream.asend("a") == 2
    assert await stream.athrow(error) == 3
    assert await stream.asend("c") == ["a", error, "c"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert fates(breaker) == {"succeeded": 1}


async def test_an_asynchronous_one_looks_like_the_generator_it_guards() -> None:
    stream = places()(atalk)(1)
    assert inspect.isasyncgen(stream)
    assert (stream.__name__, stream.__qualname__) == ("atalk", "atalk")
    assert [item async for item in stream] == [1, [None]]


@AROUND
@pytest.mark.parametrize(("end", "fate"), [
    (lambda s: s.aclose(), "ignored"), (lambda s: s.athrow(ValueError), "failed"),
    (lambda s: s.athrow(asyncio.CancelledError), "ignored"),
    (lambda s: s.athrow(GeneratorExit), "ignored"), (lambda s: s.athrow(StopIteration), "failed"),
    (lambda s: s.athrow(StopAsyncIteration), "failed"),
])  # fmt: skip
async def test_each_end_of_an_asynchronous_one_is_judged_as_it_is(
    end: Callable[[Any], Any], fate: str, around: Any
) -> None:  # trap 5
    """And reaches the consumer as it would from the generator itself."""

    async def outcome(stream: Any) -> type[BaseException] | None:
        await anext(stream)
        try:
            await end(stream)
        except BaseException as error:
            return type(error)
        return None

    breaker, bulkhead = half_open(), places()
    guarded = pipe(*around, breaker, bulkhead)(atalk)
    assert await outcome(guarded(1, 2)) is await outcome(atalk(1, 2))
    assert fates(breaker) == {fate: 1}
    assert (bulkhead.in_flight, breaker.snapshot().probes) == (0, 0)


async def test_a_consumer_cancelled_inside_the_generator_gives_back_and_proves_nothing() -> None:
    async def consume() -> None:
        async for _ in stream():
            pass

    breaker, bulkhead = half_open(), places()

    @pipe(breaker, bulkhead)
    async def stream() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    task = asyncio.create_task(consume())
    await auntil(lambda: bulkhead.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"ignored": 1})


async def test_dropped_half_way_an_asynchronous_one_is_closed_by_its_loop() -> None:  # trap 5
    breaker, bulkhead, ended = half_open(), places(), []

    @pipe(breaker, bulkhead)
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
            yield 3
        finally:
            await asyncio.sleep(0)
            ended.append(bulkhead.in_flight)

    items = stream()
    assert [await anext(items), await anext(items)] == [1, 2]
    del items
    await auntil(lambda: bulkhead.in_flight == 0)
    assert (ended, bulkhead.in_flight, fates(breaker)) == ([1], 0, {"ignored": 1})


def test_one_left_open_at_the_end_of_its_loop_is_closed_once() -> None:
    """The loop closes what is open; it must not meet the guarded generator beside its guard."""

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        for _ in range(20):
            items = stream()
            await anext(items)
            kept.append(items)

    breaker, bulkhead = CircuitBreaker("b"), places(20)
    ended, told, kept = [], [], []

    @pipe(breaker, bulkhead)
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append(bulkhead.in_flight)

    asyncio.run(main())
    assert told == []
    assert len(ended) == 20
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"ignored": 20})


async def test_an_asynchronous_one_never_started_or_refused_never_ran() -> None:
    breaker = tripping()
    breaker(atalk)(1)
    await breaker(atalk)(1).aclose()
    breaker.force_open()
    stream = breaker(atalk)(1)
    with pytest.raises(CircuitOpenError):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert breaker.snapshot().admitted == 0


async def test_an_asynchronous_one_waits_for_its_place_without_blocking_the_loop() -> None:
    async def consume(number: int) -> list[int]:
        return [item async for item in stream(number)]

    breaker, limiter = half_open(), tokens(5)
    bulkhead = places(1, max_waiting=5, max_wait=None)

    @pipe(limiter, bulkhead)
    async def stream(number: int) -> AsyncIterator[int]:
        for _ in range(2):
            assert bulkhead.in_flight == 1
            await asyncio.sleep(0)
            yield number

    assert await asyncio.gather(*map(consume, range(5))) == [[n, n] for n in range(5)]
    assert (bulkhead.in_flight, bulkhead.waiting, limiter.available) == (0, 0, 0)
    assert breaker.state is State.HALF_OPEN


def test_a_generator_without_a_loop_may_be_driven_by_hand() -> None:
    async def stream() -> AsyncIterator[int]:
        yield 1
        yield 2

    bulkhead = places()
    items = bulkhead(stream)()
    for expected in (1, 2):
        with pytest.raises(StopIteration) as stop:
            anext(items).send(None)  # type: ignore[attr-defined]
        assert stop.value.value == expected
    with pytest.raises(StopAsyncIteration):
        anext(items).send(None)  # type: ignore[attr-defined]
    assert bulkhead.in_flight == 0
