"""A guarded generator is admitted at its first item, settled at its end, and hides nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast import Bulkhead, BulkheadFullError
from tests.waiting.parties import auntil


@pytest.fixture
def bulkhead() -> Iterator[Bulkhead]:
    """One place; free again in the end."""
    bulkhead = Bulkhead("b", max_concurrent=1)
    yield bulkhead
    assert bulkhead.in_flight == 0


def echo(seen: list[object]) -> Iterator[Any]:
    """Yield what is sent, note what is thrown, return a result."""
    item: object = "first"
    while item != "end":
        try:
            item = yield item
        except LookupError as error:
            seen.append(error)
            item = "caught"
    return "result"


async def aecho(seen: list[object]) -> AsyncIterator[Any]:
    """Do what ``echo`` does, going through the event loop each time."""
    item: object = "first"
    while item != "end":
        try:
            await asyncio.sleep(0)
            item = yield item
        except LookupError as error:
            seen.append(error)
            item = "caught"


def test_a_generator_is_admitted_at_its_first_item_and_leaves_at_its_end(bulkhead):
    guarded = bulkhead(echo)
    one, other = guarded([]), guarded([])
    assert bulkhead.in_flight == 0
    assert next(one) == "first"
    assert bulkhead.in_flight == 1
    with pytest.raises(BulkheadFullError):
        next(other)
    with pytest.raises(StopIteration) as ended:
        one.send("end")
    assert ended.value.value == "result"
    assert bulkhead.in_flight == 0


def test_closing_reaches_the_guarded_generator_before_its_place_is_free(bulkhead):
    inside: list[int] = []

    @bulkhead
    def stream() -> Iterator[int]:
        try:
            yield 1
        finally:
            inside.append(bulkhead.in_flight)

    one = stream()
    next(one)
    one.close()
    assert inside == [1]


def run(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


def test_an_async_generator_is_admitted_at_its_first_item_and_leaves_at_its_end(bulkhead):
    async def main() -> None:
        guarded = bulkhead(aecho)
        one, other = guarded([]), guarded([])
        assert bulkhead.in_flight == 0
        assert await anext(one) == "first"
        assert bulkhead.in_flight == 1
        with pytest.raises(BulkheadFullError):
            await anext(other)
        with pytest.raises(StopAsyncIteration):
            await one.asend("end")
        assert bulkhead.in_flight == 0

    run(main)


def test_closing_reaches_the_guarded_async_generator_before_its_place_is_free(bulkhead):
    inside: list[int] = []

    @bulkhead
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            inside.append(bulkhead.in_flight)

    async def main() -> None:
        one = stream()
        await anext(one)
        await one.aclose()
        assert inside == [1]

    run(main)


def test_an_async_generator_cancelled_while_it_waits_takes_no_place():  # trap 33
    bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)

    async def main() -> None:
        bulkhead.enter()
        task = asyncio.ensure_future(anext(bulkhead(aecho)([])))
        await auntil(lambda: bulkhead.waiting == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (bulkhead.in_flight, bulkhead.waiting) == (1, 0)
        bulkhead.leave()

    run(main)
    assert bulkhead.in_flight == 0
