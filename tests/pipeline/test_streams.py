"""A guarded generator is admitted at its first item, settled at its end, and hides nothing."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast import Bulkhead, BulkheadFullError, CircuitBreaker, CircuitOpenError, ManualClock
from tests.pipeline.parties import auntil


@pytest.fixture
def bulkhead() -> Iterator[Bulkhead]:
    """One place; free again in the end."""
    bulkhead = Bulkhead("b", max_concurrent=1)
    yield bulkhead
    assert bulkhead.in_flight == 0


@pytest.fixture
def breaker() -> Iterator[CircuitBreaker]:
    """Opens at the first failure; nobody inside in the end."""
    breaker = CircuitBreaker("b", failure_threshold=1, on=(ValueError,), clock=ManualClock())
    yield breaker
    assert breaker.snapshot().in_flight == 0


def verdicts(breaker: CircuitBreaker) -> tuple[int, int, int, int]:
    """Return how the calls were settled: succeeded, failed, ignored, abandoned."""
    snapshot = breaker.snapshot()
    return snapshot.succeeded, snapshot.failed, snapshot.ignored, snapshot.abandoned


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


# ---- generators ----


def test_a_generator_is_admitted_at_its_first_item_and_leaves_at_its_end(
    bulkhead: Bulkhead,
) -> None:
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


def test_what_is_sent_thrown_and_returned_goes_through(bulkhead: Bulkhead) -> None:
    seen: list[object] = []
    stream = bulkhead(echo)(seen)
    error = LookupError("thrown")
    assert next(stream) == "first"
    assert stream.send(1) == 1
    assert stream.throw(error) == "caught"
    assert seen == [error]
    with pytest.raises(ZeroDivisionError):
        stream.throw(ZeroDivisionError())
    with pytest.raises(StopIteration):
        next(stream)


def test_yield_from_a_guarded_generator_gets_its_result(bulkhead: Bulkhead) -> None:
    def outer() -> Iterator[Any]:
        return (yield from bulkhead(echo)([]))

    stream = outer()
    next(stream)
    with pytest.raises(StopIteration) as ended:
        stream.send("end")
    assert ended.value.value == "result"


def test_a_generator_that_ends_succeeds_and_one_that_raises_fails(breaker: CircuitBreaker) -> None:
    @breaker
    def stream(error: Exception | None) -> Iterator[int]:
        yield 1
        if error is not None:
            raise error

    assert list(stream(None)) == [1]
    assert verdicts(breaker) == (1, 0, 0, 0)
    with pytest.raises(ValueError, match="broken"):
        list(stream(ValueError("broken")))
    assert verdicts(breaker) == (1, 1, 0, 0)
    with pytest.raises(CircuitOpenError):
        list(stream(None))


@pytest.mark.parametrize("end", ["close", "drop", "interrupt"])
def test_a_generator_left_half_way_frees_its_place_and_proves_nothing(
    bulkhead: Bulkhead, breaker: CircuitBreaker, end: str
) -> None:
    # trap 5
    for policy in (bulkhead, breaker):
        stream = policy(echo)([])
        next(stream)
        if end == "close":
            stream.close()
        elif end == "drop":
            del stream
            gc.collect()
        else:
            with pytest.raises(KeyboardInterrupt):
                stream.throw(KeyboardInterrupt())
    assert bulkhead.in_flight == 0
    assert verdicts(breaker)[:2] == (0, 0)


def test_a_generator_never_started_was_never_admitted(bulkhead: Bulkhead) -> None:
    stream = bulkhead(echo)([])
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)
    snapshot = bulkhead.snapshot()
    assert snapshot.admitted == 0


def test_closing_reaches_the_guarded_generator_before_its_place_is_free(
    bulkhead: Bulkhead,
) -> None:
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


def test_a_guarded_generator_looks_like_what_it_guards(bulkhead: Bulkhead) -> None:
    stream = bulkhead(echo)([])
    assert inspect.isgenerator(stream)
    assert (stream.__name__, stream.__qualname__) == ("echo", "echo")
    astream = bulkhead(aecho)([])
    assert inspect.isasyncgen(astream)
    assert (astream.__name__, astream.__qualname__) == ("aecho", "aecho")


# ---- asynchronous generators ----


def run(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


def test_an_async_generator_is_admitted_at_its_first_item_and_leaves_at_its_end(
    bulkhead: Bulkhead,
) -> None:
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


def test_what_is_sent_and_thrown_goes_through_to_an_async_generator(bulkhead: Bulkhead) -> None:
    async def main() -> None:
        seen: list[object] = []
        stream = bulkhead(aecho)(seen)
        error = LookupError("thrown")
        assert await anext(stream) == "first"
        assert await stream.asend(1) == 1
        assert await stream.athrow(error) == "caught"
        assert seen == [error]
        with pytest.raises(ZeroDivisionError):
            await stream.athrow(ZeroDivisionError())
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(main)


def test_an_async_generator_that_ends_succeeds_and_one_that_raises_fails(
    breaker: CircuitBreaker,
) -> None:
    @breaker
    async def stream(error: Exception | None) -> AsyncIterator[int]:
        yield 1
        if error is not None:
            raise error

    async def main() -> None:
        assert [item async for item in stream(None)] == [1]
        assert verdicts(breaker) == (1, 0, 0, 0)
        with pytest.raises(ValueError, match="broken"):
            async for _ in stream(ValueError("broken")):
                pass
        assert verdicts(breaker) == (1, 1, 0, 0)
        with pytest.raises(CircuitOpenError):
            await anext(stream(None))

    run(main)


@pytest.mark.parametrize("end", ["close", "break", "cancel", "loop"])
def test_an_async_generator_left_half_way_frees_its_place_and_proves_nothing(
    bulkhead: Bulkhead, breaker: CircuitBreaker, end: str
) -> None:
    # trap 5
    async def left(policy: Any) -> None:
        stream = policy(aecho)([])
        await anext(stream)
        if end == "close":
            await stream.aclose()
        elif end == "break":
            async for _ in stream:
                break
            del stream
            gc.collect()
            await auntil(lambda: policy.snapshot() and inside(policy) == 0)
        elif end == "cancel":
            task = asyncio.ensure_future(stream.asend(2))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # "loop": the end of the loop closes what is left

    def inside(policy: Any) -> int:
        return bulkhead.in_flight if policy is bulkhead else breaker.snapshot().in_flight

    for policy in (bulkhead, breaker):
        asyncio.run(left(policy))
        gc.collect()
        assert inside(policy) == 0
    assert verdicts(breaker)[:2] == (0, 0)


def test_closing_reaches_the_guarded_async_generator_before_its_place_is_free(
    bulkhead: Bulkhead,
) -> None:
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


def test_an_async_generator_waits_for_its_place_without_holding_up_the_loop() -> None:
    bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)

    async def main() -> None:
        one, other = bulkhead(aecho)([]), bulkhead(aecho)([])
        await anext(one)
        task = asyncio.ensure_future(anext(other))
        await auntil(lambda: bulkhead.waiting == 1)
        assert await one.asend(5) == 5
        await one.aclose()
        assert await task == "first"
        await other.aclose()

    run(main)
    assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)


def test_an_async_generator_cancelled_while_it_waits_takes_no_place() -> None:
    # trap 33, trap 50
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
