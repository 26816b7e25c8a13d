"""A guarded `async def` under asyncio: whatever takes a coroutine takes what it returns."""

import asyncio
import collections.abc
import inspect
import sys
import types
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast import CircuitBreaker, CircuitOpenError
from tests.gate.parts import fates, half_open, pipe, places, tripping, waiting_work
from tests.pipeline.parties import auntil

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


async def by_task(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.create_task(coroutine)


async def by_gather(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return (await asyncio.gather(coroutine))[0]


async def by_wait_for(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wait_for(coroutine, 60)


async def by_shield(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.shield(coroutine)


async def by_group(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
    return task.result()


async def by_timeout(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.timeout(60):
        return await coroutine


async def by_future(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.ensure_future(coroutine)


async def by_name(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.create_task(coroutine, name="named")


async def eagerly(coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    try:
        return await loop.create_task(coroutine)
    finally:
        loop.set_task_factory(None)


async def as_completed(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await next(iter(asyncio.as_completed([coroutine])))


async def plainly(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


WAYS = [
    plainly,
    by_task,
    by_gather,
    by_wait_for,
    by_shield,
    by_group,
    by_timeout,
    by_future,
    by_name,
    eagerly,
    as_completed,
]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_awaited_as_any_coroutine_is(way: Runner) -> None:
    async def main() -> None:
        assert await way(work(1)) == 2
        error = None
        try:
            await way(work(-1))
        except* ValueError as group:
            error = group.exceptions[0]
        assert isinstance(error, ValueError | ExceptionGroup)

    breaker, bulkhead = CircuitBreaker("b"), places()

    @pipe(breaker, bulkhead)
    async def work(number: int) -> int:
        assert bulkhead.in_flight == 1
        await asyncio.sleep(0)
        if number < 0:
            raise ValueError
        return number + 1

    asyncio.run(main())
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"succeeded": 1, "failed": 1}


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_never_suspends_is_awaited_too(way: Runner) -> None:
    breaker = CircuitBreaker("b")

    @breaker
    async def at_once() -> str:
        return "value"

    assert asyncio.run(way(at_once())) == "value"
    assert fates(breaker) == {"succeeded": 1}


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_reaches_whoever_awaits(way: Runner) -> None:
    breaker = tripping()
    breaker.force_open()

    @breaker
    async def work() -> None:
        pytest.fail("ran")

    async def main() -> None:
        with pytest.raises((CircuitOpenError, ExceptionGroup)):
            await way(work())

    asyncio.run(main())
    assert breaker.snapshot().rejected == 1


def test_asyncio_run_takes_it_directly() -> None:
    @places()
    async def work() -> str:
        await asyncio.sleep(0)
        return "value"

    assert asyncio.run(work()) == "value"
    with asyncio.Runner() as runner:
        assert runner.run(work()) == "value"


@pytest.mark.parametrize("verb", ["decorator", "acall", "try_acall", "acall_with_stats"])
def test_it_passes_for_a_native_coroutine(verb: str) -> None:
    bulkhead = places()

    async def work() -> int:
        return 1

    coroutine = bulkhead(work)() if verb == "decorator" else getattr(bulkhead, verb)(work)
    assert inspect.iscoroutine(coroutine)
    assert isinstance(coroutine, types.CoroutineType)
    assert types.coroutine(lambda: coroutine)() is coroutine
    asyncio.run(coroutine)
    assert bulkhead.snapshot().completed == 1


def test_it_satisfies_the_abstract_coroutine() -> None:
    @places()
    async def work() -> None: ...

    coroutine = work()
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert isinstance(coroutine, collections.abc.Awaitable)
    assert asyncio.iscoroutine(coroutine)
    assert inspect.isawaitable(coroutine)
    coroutine.close()


@pytest.mark.parametrize("way", [by_task, by_gather, by_wait_for, by_group, by_timeout, eagerly])
def test_cancelled_in_its_body_it_gives_back_and_proves_nothing(way: Runner) -> None:  # trap 5
    async def main() -> None:
        task = asyncio.create_task(way(work()))
        await auntil(lambda: bulkhead.in_flight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    breaker, bulkhead = half_open(), places()

    @pipe(breaker, bulkhead)
    async def work() -> None:
        await asyncio.Event().wait()

    asyncio.run(main())
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"ignored": 1}
    assert breaker.snapshot().probes == 0


def test_cancelled_before_its_first_step_it_was_never_admitted() -> None:
    async def main() -> None:
        task = asyncio.create_task(work())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    breaker = half_open()

    @breaker
    async def work() -> None:
        pytest.fail("ran")

    asyncio.run(main())
    assert breaker.snapshot().admitted == 0


def test_cancelled_while_it_waits_for_a_place_it_gives_everything_back() -> None:  # trap 33, trap 6
    async def main() -> None:
        async with bulkhead:
            task = asyncio.create_task(work())
            await auntil(lambda: bulkhead.waiting == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (bulkhead.waiting, limiter.available) == (0, 3)

    breaker, limiter, bulkhead, work = waiting_work()
    asyncio.run(main())
    assert breaker.snapshot().admitted == breaker.snapshot().probes == 0


def test_a_body_that_swallows_its_cancellation_decides_by_its_result() -> None:
    async def main() -> None:
        task = asyncio.create_task(work())
        await auntil(lambda: breaker.in_flight == 1)
        task.cancel()
        assert await task == "stayed"

    breaker = CircuitBreaker("b")

    @breaker
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "stayed"
        return "never"

    asyncio.run(main())
    assert fates(breaker) == {"succeeded": 1}


def test_a_timeout_around_it_is_a_cancellation_and_one_inside_it_a_failure() -> None:  # trap 51
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await forever()
        assert fates(breaker) == {"ignored": 1}
        with pytest.raises(TimeoutError):
            await limited()

    breaker = CircuitBreaker("b")

    @breaker
    async def forever() -> None:
        await asyncio.Event().wait()

    @breaker
    async def limited() -> None:
        await asyncio.wait_for(asyncio.Event().wait(), 0)

    asyncio.run(main())
    assert fates(breaker) == {"ignored": 1, "failed": 1}


def test_a_shielded_call_goes_on_and_is_counted_when_it_ends() -> None:
    async def main() -> None:
        done = asyncio.Event()
        inner = asyncio.ensure_future(work(done))
        outer = asyncio.create_task(by_shield(inner))  # type: ignore[arg-type]
        await auntil(lambda: breaker.in_flight == 1)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert breaker.in_flight == 1
        done.set()
        assert await inner == "value"

    breaker = CircuitBreaker("b")

    @breaker
    async def work(done: asyncio.Event) -> str:
        await done.wait()
        return "value"

    asyncio.run(main())
    assert fates(breaker) == {"succeeded": 1}


def test_a_hundred_tasks_share_three_places_in_turn() -> None:
    async def main() -> None:
        assert sorted(await asyncio.gather(*map(work, range(100)))) == list(range(100))

    bulkhead = places(3, max_waiting=100, max_wait=None)
    most = 0

    @bulkhead
    async def work(number: int) -> int:
        nonlocal most
        most = max(most, bulkhead.in_flight)
        await asyncio.sleep(0)
        return number

    asyncio.run(main())
    assert most == 3
    assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)


def test_guards_of_guards_are_entered_outermost_first() -> None:
    outer, inner = places(), places()

    @outer
    @inner
    async def work() -> tuple[int, int]:
        await asyncio.sleep(0)
        return outer.in_flight, inner.in_flight

    assert asyncio.run(work()) == (1, 1)
    assert (outer.in_flight, inner.in_flight) == (0, 0)
