"""A guarded `async def` under asyncio: whatever takes a coroutine takes what it returns."""

import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast import CircuitBreaker, CircuitOpenError, Timeout
from tests.gate.parts import fates, half_open, pipe, places, tripping
from tests.waiting.parties import auntil

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
    plainly, by_task, by_gather, by_wait_for, by_shield, by_group, by_timeout, by_future, by_name,
    eagerly, as_completed,
]  # fmt: skip


@pytest.mark.parametrize("controlled", [False, True])
@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_it_is_awaited_as_any_coroutine_is(
    way: Runner, suspends: bool, controlled: bool
) -> None:
    breaker, bulkhead = CircuitBreaker("b"), places()

    @pipe(*[Timeout(60)] * controlled, breaker, bulkhead)
    async def work(number: int) -> int:
        assert bulkhead.in_flight == 1
        if suspends:
            await asyncio.sleep(0)
        if number < 0:
            raise ValueError
        return number + 1

    assert await way(work(1)) == 2
    error = None
    try:
        await way(work(-1))
    except* ValueError as group:
        error = group.exceptions[0]
    assert isinstance(error, ValueError | ExceptionGroup)
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"succeeded": 1, "failed": 1}


@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_reaches_whoever_awaits(way: Runner) -> None:
    breaker = tripping()
    breaker.force_open()

    @breaker
    async def work() -> None:
        pytest.fail("ran")

    with pytest.raises((CircuitOpenError, ExceptionGroup)):
        await way(work())
    assert breaker.snapshot().rejected == 1


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


@pytest.mark.parametrize("way", [by_task, by_gather, by_wait_for, by_group, by_timeout, eagerly])
async def test_cancelled_in_its_body_it_gives_back_and_proves_nothing(
    way: Runner,
) -> None:  # trap 5
    breaker, bulkhead = half_open(), places()

    @pipe(breaker, bulkhead)
    async def work() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(way(work()))
    await auntil(lambda: bulkhead.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"ignored": 1}
    assert breaker.snapshot().probes == 0


async def test_cancelled_before_its_first_step_it_was_never_admitted() -> None:
    breaker = half_open()

    @breaker
    async def work() -> None:
        pytest.fail("ran")

    task = asyncio.create_task(work())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.snapshot().admitted == 0


async def test_a_body_that_swallows_its_cancellation_decides_by_its_result() -> None:
    breaker = CircuitBreaker("b")

    @breaker
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "stayed"
        return "never"

    task = asyncio.create_task(work())
    await auntil(lambda: breaker.in_flight == 1)
    task.cancel()
    assert await task == "stayed"
    assert fates(breaker) == {"succeeded": 1}


async def test_a_timeout_around_it_is_a_cancellation_and_one_inside_it_a_failure() -> (
    None
):  # trap 51
    breaker = CircuitBreaker("b")

    @breaker
    async def forever() -> None:
        await asyncio.Event().wait()

    @breaker
    async def limited() -> None:
        await asyncio.wait_for(asyncio.Event().wait(), 0)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await forever()
    assert fates(breaker) == {"ignored": 1}
    with pytest.raises(TimeoutError):
        await limited()
    assert fates(breaker) == {"ignored": 1, "failed": 1}


async def test_a_shielded_call_goes_on_and_is_counted_when_it_ends() -> None:
    breaker = CircuitBreaker("b")

    @breaker
    async def work(done: asyncio.Event) -> str:
        await done.wait()
        return "value"

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
    assert fates(breaker) == {"succeeded": 1}
