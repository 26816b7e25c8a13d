"""Generators behind a retry: begun again until their first item is there, and never after it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from tests.policies.calls import OutageError
from tests.policies.retry.retries import budget_of, retry_of, run_async, waits, why
from tests.waiting.parties import auntil


class Streams:
    """Generators of both kinds that fail so many times before their first item, or at another."""

    def __init__(self, failures: int, at: int = 0) -> None:
        self.made = 0
        self.closed = 0
        self._failures = failures
        self._at = at

    def _check(self, n: int) -> None:
        if n == self._at and self.made <= self._failures:
            raise OutageError(n)

    def plain(self, items: int = 3) -> Iterator[int]:
        self.made += 1
        try:
            for n in range(items):
                self._check(n)
                yield n
        finally:
            self.closed += 1
        return

    async def asynchronous(self, items: int = 3) -> AsyncIterator[int]:
        self.made += 1
        try:
            for n in range(items):
                await asyncio.sleep(0)
                self._check(n)
                yield n
        finally:
            self.closed += 1


def all_plain(guard: Any, streams: Streams, clock: ManualClock, **kw: Any) -> list[int]:
    return list(guard(streams.plain)(**kw))


def all_asynchronous(guard: Any, streams: Streams, clock: ManualClock, **kw: Any) -> list[int]:
    async def consume() -> list[int]:
        return [item async for item in guard(streams.asynchronous)(**kw)]

    items: list[int] = run_async(clock, consume())
    return items


both_kinds = pytest.mark.parametrize("take", [all_plain, all_asynchronous])


@both_kinds
def test_a_stream_begins_again_until_its_first_item_is_there(take, clock):  # trap 55
    streams, retry = Streams(2), retry_of(clock)
    assert take(retry, streams, clock) == [0, 1, 2]
    assert (streams.made, streams.closed, clock.now()) == (3, 3, 2.0)
    snapshot = retry.snapshot()
    assert (snapshot.succeeded, snapshot.recovered, snapshot.failed) == (1, 1, 0)


@both_kinds
def test_a_stream_that_never_begins_is_given_up(take, clock):
    streams, retry = Streams(9), retry_of(clock)
    with pytest.raises(OutageError) as raised:
        take(retry, streams, clock)
    assert raised.value.__notes__ == ["3 attempts in 2 s, policy 'network'"]
    assert (streams.made, streams.closed) == (3, 3)
    assert why(retry) == {"exhausted": 1}


@both_kinds
@pytest.mark.parametrize("at", [1, 2])
def test_after_its_first_item_a_stream_never_begins_again(take, at, clock):
    # trap 55: what was consumed cannot be taken back
    streams, retry = Streams(9, at), retry_of(clock)
    with pytest.raises(OutageError) as raised:
        take(retry, streams, clock)
    assert not hasattr(raised.value, "__notes__")
    assert (streams.made, clock.now()) == (1, 0.0)
    assert (retry.snapshot().succeeded, retry.snapshot().failed) == (1, 0)


@both_kinds
def test_a_stream_without_items_is_a_success(take, clock):
    streams, retry = Streams(0), retry_of(clock, on_result=lambda result: True)
    assert take(retry, streams, clock, items=0) == []
    assert (streams.made, retry.snapshot().succeeded) == (1, 1)


@both_kinds
def test_each_beginning_of_a_stream_passes_the_policies_inside_and_holds_them_to_its_end(
    take, clock
):
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    breaker = hf.CircuitBreaker("c", clock=clock)
    streams = Streams(2)
    assert take(hf.Pipeline("p", retry_of(clock), breaker, bulkhead), streams, clock) == [0, 1, 2]
    assert (bulkhead.in_flight, bulkhead.snapshot().admitted) == (0, 3)
    assert (breaker.snapshot().succeeded, breaker.snapshot().failed) == (1, 2)


def test_a_first_item_is_no_result_that_anybody_judges(clock):
    judged: list[Any] = []
    streams = Streams(1)
    breaker = hf.CircuitBreaker("b", clock=clock, is_failure=judged.append)
    retry = retry_of(clock, on_result=judged.append)
    pipe = hf.Pipeline("p", hf.Timeout(9, clock=clock), retry, breaker)

    def late() -> Iterator[int]:
        try:
            clock.advance(9)
            yield 1
        finally:
            streams.closed += 1

    assert all_plain(pipe, streams, clock) == [0, 1, 2]
    judged.clear()  # the error of the first beginning, which the breaker has judged
    assert streams.closed == 2
    with pytest.raises(hf.DeadlineExceededError):
        list(pipe(late)())
    assert (judged, streams.closed) == ([], 3)
    assert (retry.snapshot().succeeded, breaker.snapshot().in_flight) == (2, 0)


def test_what_is_sent_thrown_and_returned_goes_through_to_the_stream_that_began(clock):
    seen: list[Any] = []
    made: list[int] = []

    @retry_of(clock)
    def echo() -> Any:
        made.append(1)
        if len(made) == 1:
            raise OutageError
        item: Any = "first"
        while item != "end":
            try:
                item = yield item
            except LookupError as error:
                seen.append(error)
                item = "caught"
        return "result"

    error = LookupError()
    stream = echo()
    assert next(stream) == "first"
    assert stream.send(1) == 1
    assert stream.send(2) == 2
    assert stream.throw(error) == "caught"
    assert next(stream) is None
    with pytest.raises(StopIteration) as stop:
        stream.send("end")
    assert (stop.value.value, seen) == ("result", [error])


def test_a_generator_that_returns_without_an_item_returns_its_value(clock):
    @retry_of(clock)
    def stream() -> Any:
        if False:
            yield
        return "value"

    def outer() -> Any:
        return (yield from stream())

    with pytest.raises(StopIteration) as stop:
        next(outer())
    assert stop.value.value == "value"


async def test_a_consumer_that_is_cancelled_in_the_pause_ends_at_once(clock):  # trap 50
    budget = budget_of(clock, 5)
    streams, retry = Streams(9), retry_of(clock, budget=budget)
    task = asyncio.ensure_future(anext(retry(streams.asynchronous)()))
    await auntil(lambda: waits(clock))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (streams.made, waits(clock), budget.balance) == (1, [], 5.0)
    assert why(retry) == {"cancelled": 1}


@pytest.mark.parametrize("end", ["close", "drop"])
def test_a_stream_left_half_way_closes_what_it_guards(end, clock):
    streams, retry = Streams(1), retry_of(clock)
    stream = retry(streams.plain)()
    assert next(stream) == 0
    if end == "close":
        stream.close()
    del stream
    gc.collect()
    assert streams.closed == 2
    assert retry.snapshot().succeeded == 1


class Thing:
    """Something to see die."""


async def test_once_a_stream_has_begun_its_arguments_and_items_are_its_own_business(clock):
    retry = retry_of(clock)

    @retry
    def stream(thing: Thing) -> Iterator[Thing]:
        del thing
        for _ in range(3):
            yield Thing()

    @retry
    async def astream(thing: Thing) -> AsyncIterator[Thing]:
        del thing
        for _ in range(3):
            yield Thing()

    def watch() -> tuple[Thing, weakref.ref[Thing]]:
        thing = Thing()
        return thing, weakref.ref(thing)

    thing, argument = watch()
    items = stream(thing)
    del thing
    first = weakref.ref(next(items))
    next(items)
    assert (argument(), first()) == (None, None)
    thing, argument = watch()
    items = astream(thing)
    del thing
    first = weakref.ref(await anext(items))
    await anext(items)
    assert (argument(), first()) == (None, None)
    await items.aclose()  # type: ignore[attr-defined]
