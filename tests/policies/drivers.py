"""Drivers: each of the ways in which a call passes a policy.

A driver gets a policy and ``work``, a function without arguments. It runs ``work`` once inside of
the policy, returns its value, and raises what the call raises. Asynchronous drivers return an
awaitable; ``drive`` runs both.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

Work = Callable[[], Any]
Driver = Callable[[Any, Work], Any]


def of_generator(policy: Any, work: Work) -> Any:
    @policy
    def items() -> Iterator[Any]:
        yield work()

    (item,) = items()
    return item


def of_contextmanager(policy: Any, work: Work) -> Any:
    @policy
    @contextlib.contextmanager
    def block() -> Iterator[Any]:
        yield work()

    with block() as value:
        return value


def of_method(policy: Any, work: Work) -> Any:
    class Client:
        @policy
        def ask(self) -> Any:
            return work()

    return Client().ask()


def in_with(policy: Any, work: Work) -> Any:
    with policy:
        return work()


def under_permit(policy: Any, work: Work) -> Any:
    with policy._permit():
        return work()


def in_attempts(policy: Any, work: Work) -> Any:
    for attempt in policy.attempts():
        with attempt:
            return work()
    raise AssertionError("no attempt was made")


def coroutine_of(work: Work) -> Callable[[], Awaitable[Any]]:
    """Return a coroutine function that gives its turn away before and after the work."""

    async def run() -> Any:
        await asyncio.sleep(0)
        value = work()
        await asyncio.sleep(0)
        return value

    return run


def of_async_method(policy: Any, work: Work) -> Any:
    class Client:
        @policy
        async def ask(self) -> Any:
            return await coroutine_of(work)()

    return Client().ask()


async def of_async_generator(policy: Any, work: Work) -> Any:
    @policy
    async def items() -> AsyncIterator[Any]:
        yield await coroutine_of(work)()

    (item,) = [item async for item in items()]
    return item


async def of_asynccontextmanager(policy: Any, work: Work) -> Any:
    @policy
    @contextlib.asynccontextmanager
    async def block() -> AsyncIterator[Any]:
        yield await coroutine_of(work)()

    async with block() as value:
        return value


async def in_async_with(policy: Any, work: Work) -> Any:
    async with policy:
        return await coroutine_of(work)()


async def under_awaited_permit(policy: Any, work: Work) -> Any:
    with await policy._apermit():
        return await coroutine_of(work)()


async def in_async_attempts(policy: Any, work: Work) -> Any:
    async for attempt in policy.attempts():
        with attempt:
            return await coroutine_of(work)()
    raise AssertionError("no attempt was made")


async def unwrapped(awaitable: Any) -> Any:
    answer = await awaitable
    return (answer[0] if isinstance(answer, tuple) else answer).unwrap()


CALLS: dict[str, Driver] = {
    "call": lambda policy, work: policy.call(work),
    "try_call": lambda policy, work: policy.try_call(work).unwrap(),
    "call_with_stats": lambda policy, work: policy.call_with_stats(work)[0].unwrap(),
    "def": lambda policy, work: policy(lambda: work())(),
    "method": of_method,
}
ACALLS: dict[str, Driver] = {
    "acall": lambda policy, work: policy.acall(coroutine_of(work)),
    "try_acall": lambda policy, work: unwrapped(policy.try_acall(coroutine_of(work))),
    "acall_with_stats": lambda policy, work: unwrapped(policy.acall_with_stats(coroutine_of(work))),
    "async def": lambda policy, work: policy(coroutine_of(work))(),
    "async method": of_async_method,
    "def that returns an awaitable": lambda policy, work: policy(lambda: coroutine_of(work)())(),
}
STREAMS: dict[str, Driver] = {
    "generator": of_generator,
    "contextmanager": of_contextmanager,
    "async generator": of_async_generator,
    "asynccontextmanager": of_asynccontextmanager,
}
# The body of a block runs once: nothing can run it again.
BLOCKS: dict[str, Driver] = {
    "with": in_with,
    "permit": under_permit,
    "async with": in_async_with,
    "awaited permit": under_awaited_permit,
}
ATTEMPTS: dict[str, Driver] = {"attempts": in_attempts, "async attempts": in_async_attempts}

DRIVERS = CALLS | ACALLS | STREAMS | BLOCKS | ATTEMPTS
ASYNC = (*ACALLS, "async generator", "asynccontextmanager", "async with", "awaited permit")
ASYNC = (*ASYNC, "async attempts")


def drive(driver: Driver, policy: Any, work: Work) -> Any:
    """Run a call through a driver, in an event loop where it awaits; no task may be left there."""

    async def awaited() -> Any:
        try:
            return await answer
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left: {left}"

    answer = driver(policy, work)
    return asyncio.run(awaited()) if hasattr(answer, "__await__") else answer
