"""Fallbacks of streams, and of calls and streams that are dropped."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import holdfast as hf
from tests.policies.fallback.fallbacks import counts, later


def test_items_stand_in_for_a_generator_that_has_yielded_none():
    @hf.Fallback(lambda error: ["a", "b"])
    def count(fails: bool) -> Iterator[str]:
        if fails:
            raise ConnectionError
        yield "own"

    assert list(count(True)) == ["a", "b"]
    assert list(count(False)) == ["own"]


def test_nothing_stands_in_once_an_item_is_there():
    fallback = hf.Fallback([])

    @fallback
    def count() -> Iterator[int]:
        yield 1
        raise ConnectionError

    stream = count()
    assert next(stream) == 1
    with pytest.raises(ConnectionError):
        next(stream)
    assert counts(fallback) == (1, 0, 0, 0)


@pytest.mark.parametrize("kind", ["list", "generator", "asynchronous generator", "awaited"])
def test_items_of_either_kind_stand_in_for_an_asynchronous_generator(kind):
    async def items() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def awaited(error: Exception) -> list[int]:
        return [1, 2]

    values = {
        "list": [1, 2],
        "generator": lambda error: iter([1, 2]),
        "asynchronous generator": lambda error: items(),
        "awaited": awaited,
    }

    @hf.Fallback(values[kind])
    async def ticks() -> AsyncIterator[int]:
        raise ConnectionError
        yield 0

    async def main() -> list[int]:
        return [tick async for tick in ticks()]

    assert asyncio.run(main()) == [1, 2]


async def test_a_stream_that_stands_in_is_closed_with_its_consumer():
    closed: list[str] = []

    def items(error: Exception) -> Iterator[int]:
        try:
            yield from (1, 2)
        finally:
            closed.append("sync")

    async def aitems(error: Exception) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    @hf.Fallback(items)
    def count() -> Iterator[int]:
        raise ConnectionError
        yield 0

    @hf.Fallback(aitems)
    async def ticks() -> AsyncIterator[int]:
        raise ConnectionError
        yield 0

    stream = count()
    assert next(stream) == 1
    stream.close()
    assert closed == ["sync"]
    stream = ticks()
    assert await anext(stream) == 1
    await stream.aclose()
    assert closed == ["sync", "async"]


class Pending:
    """Suspends whoever awaits it."""

    def __await__(self) -> Iterator[None]:
        yield


def end(coroutine: Any, how: str) -> None:
    coroutine.send(None)
    if how == "closed":
        coroutine.close()
    elif how == "thrown into":
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
    del coroutine
    gc.collect()


@pytest.mark.parametrize("how", ["closed", "thrown into", "dropped"])
def test_a_call_that_is_dropped_is_counted_once(how, clock):
    async def wait(_: object = None) -> None:
        await Pending()

    async def afail() -> None:
        raise ConnectionError

    outer, inner = hf.Fallback("outer"), hf.Fallback(wait)
    breaker = hf.CircuitBreaker("b", clock=clock)
    bulkhead = hf.Bulkhead("h", max_concurrent=1, clock=clock)
    pipe = hf.Pipeline("p", outer, breaker, bulkhead, inner)
    end(pipe.acall(wait), how)
    assert (counts(outer), counts(inner)) == ((1, 0, 0, 0), (1, 0, 0, 0))
    end(pipe.acall(afail), how)  # while what stands in is awaited
    assert (counts(outer), counts(inner)) == ((2, 0, 0, 0), (1, 0, 1, 0))
    shown = breaker.snapshot()
    assert (shown.admitted, shown.ignored + shown.abandoned) == (2, 2)
    assert (breaker.in_flight, bulkhead.in_flight) == (0, 0)


@pytest.mark.parametrize("how", ["closed", "thrown into", "dropped"])
def test_one_that_is_dropped_while_it_stands_in_for_a_refusal_has_been_a_call(how, clock):
    async def wait(error: Exception) -> None:
        await Pending()

    outside = hf.CircuitBreaker("outside", clock=clock)
    full = hf.Bulkhead("full", max_concurrent=1, clock=clock)
    fallback = hf.Fallback(wait)
    with full:
        end(hf.Pipeline("p", outside, fallback, full).acall(later, ValueError()), how)
    assert counts(fallback) == (0, 0, 1, 0)
    shown = outside.snapshot()
    assert (shown.admitted, shown.ignored + shown.abandoned) == (1, 1)


def test_a_stream_is_counted_at_its_first_item_and_not_when_it_is_dropped():
    fallback = hf.Fallback([])

    @fallback
    def count() -> Iterator[int]:
        yield from (1, 2)

    stream = count()
    assert next(stream) == 1
    assert counts(fallback) == (1, 0, 0, 0)
    del stream
    gc.collect()
    assert counts(fallback) == (1, 0, 0, 0)
