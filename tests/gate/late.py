"""Plain functions that give what is to run later, and what drives each to its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, NamedTuple


class LostError(ConnectionError):
    """What the work ends with."""


class Work:
    """Counts how often it ran; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.ran = 0
        self.failures = failures

    def run(self) -> str:
        self.ran += 1
        if self.ran <= self.failures:
            raise LostError
        return "done"

    async def coroutine(self) -> str:
        await asyncio.sleep(0)
        return self.run()

    def generator(self) -> Iterator[str]:
        yield self.run()

    async def async_generator(self) -> AsyncIterator[str]:
        yield await self.coroutine()


class Awaitable:
    """An awaitable, and nothing else."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __await__(self) -> Generator[Any, Any, str]:
        return self.work.coroutine().__await__()


class Request(Awaitable):
    """An awaitable that may be entered instead, as a request of aiohttp."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.url = "/"
        self.left: list[Any] = []

    async def __aenter__(self) -> str:
        return await self

    async def __aexit__(self, *raised: Any) -> None:
        self.left.append(raised[1])

    def __len__(self) -> int:
        return 3


class Query(Request):
    """One that may be iterated as well, as of an object mapper."""

    async def __aiter__(self) -> AsyncIterator[str]:
        yield await self


class Kind(NamedTuple):
    """A function of the work, and what drives what it gives to its end, and returns what came."""

    give: Callable[[Work], Any]
    drive: Callable[[Any], Any]


async def awaited(given: Any) -> Any:
    return await given


async def iterated(given: Any) -> Any:
    (item,) = [item async for item in given]
    return item


async def entered(given: Any) -> Any:
    async with given as value:
        return value


async def listed(given: Any) -> Any:
    (item,) = list(given)
    return item


async def within(given: Any) -> Any:
    with given as value:
        return value


def in_executor(work: Work) -> Any:
    return asyncio.get_running_loop().run_in_executor(None, work.run)


AWAITABLES = {
    "coroutine": Kind(lambda work: work.coroutine(), awaited),
    "awaited only": Kind(Awaitable, awaited),
    "awaitable": Kind(Request, awaited),
    "awaitable, entered": Kind(Request, entered),
    "awaitable, iterated": Kind(Query, iterated),
}
STREAMS = {
    "generator": Kind(lambda work: work.generator(), listed),
    "async generator": Kind(lambda work: work.async_generator(), iterated),
    "context manager": Kind(lambda work: contextlib.contextmanager(work.generator)(), within),
    "async context manager": Kind(
        lambda work: contextlib.asynccontextmanager(work.async_generator)(), entered
    ),
}
TASKS = {
    "task": Kind(lambda work: asyncio.ensure_future(work.coroutine()), awaited),
    "gather": Kind(lambda work: asyncio.gather(work.coroutine()), awaited),
    "run_in_executor": Kind(in_executor, awaited),
    "shielded": Kind(lambda work: asyncio.shield(work.coroutine()), awaited),
}
LATE = AWAITABLES | STREAMS
