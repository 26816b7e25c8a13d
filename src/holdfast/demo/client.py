"""One HTTP call to the upstream, for threads and for asyncio, and what its ending means.

Needs httpx (extra ``demo``). The guarded and the unguarded side make exactly this call; a
``guard`` is what wraps it, the identity on the unguarded side.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from holdfast._native.gate import deadline
from holdfast.demo.process import UpstreamError
from holdfast.demo.tally import Trip, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Self

    from holdfast.demo.tally import TaskCall, ThreadCall

#: Both sides give up on a call after this long.
CALL_TIMEOUT_SECONDS = 0.35

FIRST_TIMEOUT_SECONDS = 10.0
LEAST_TIMEOUT_SECONDS = 0.001

#: So much before a guard's deadline the client itself gives up, and closes its own connection.
MARGIN_SECONDS = 0.01

#: What a call raises that another attempt may not: no connection, no answer in time, a 503.
TRANSIENT = (httpx.TransportError, httpx.HTTPStatusError, TimeoutError)

# The calls go over plain HTTP to the loopback: no proxy of the environment is for them
# (trust_env=False), and loading the machine's authorities would only delay the start.
_NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def thread_calls(
    url: str,
    connections: int,
    guard: Callable[[ThreadCall], ThreadCall],
    limit_seconds: float = CALL_TIMEOUT_SECONDS,
) -> Iterator[ThreadCall]:
    """Yield the guarded call; the threads that use it share one client.

    A thread cannot be interrupted, so the request is told of the deadline that a guard set.
    """
    with httpx.Client(
        limits=httpx.Limits(max_connections=connections),
        trust_env=False,
        verify=_NO_TRUST,
    ) as client:

        @guard
        def call(trip: Trip) -> None:
            trip.requests += 1
            patience = Patience(_time_left(limit_seconds))
            client.get(url, extensions={"timeout": patience}).raise_for_status()

        yield call


@asynccontextmanager
async def task_calls(
    url: str,
    connections: int,
    guard: Callable[[TaskCall], TaskCall],
    limit_seconds: float = CALL_TIMEOUT_SECONDS,
) -> AsyncIterator[TaskCall]:
    """Yield the guarded coroutine function; the tasks that use it share one client."""
    async with TaskClient(connections, limit_seconds) as client:

        @guard
        async def call(trip: Trip) -> None:
            trip.requests += 1
            await client.get(url)

        yield call


class Patience(dict[str, float]):
    """What httpx is given as timeouts: for each step of a request, what is left for all of it."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        super().__init__()

    def get(self, _step: str, _default: object = None) -> float:
        """Return the seconds that are left."""
        return max(self._until - time.monotonic(), LEAST_TIMEOUT_SECONDS)


@dataclass(slots=True, eq=False)
class _Used:
    """A client, and how many requests it has under way."""

    client: httpx.AsyncClient
    requests: int = 0


class TaskClient:
    """A client whose calls may be cancelled at any point, for as long as one likes.

    httpcore 1.0 loses a connection whose request was cancelled while it waited for it or opened it;
    some hundred cancelled calls use the pool up. So each request is a task of its own: cancelled is
    who waits for it, and the request ends by its own timeouts. Should the pool refuse a request all
    the same while it must have room, another client takes its place.

    Used by the tasks of one event loop.
    """

    def __init__(self, connections: int, limit_seconds: float) -> None:
        self._connections = connections
        self._limit_seconds = limit_seconds
        self._under_way: set[asyncio.Task[None]] = set()
        self._used = self._open()
        self.replaced = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._used.client.aclose()

    async def get(self, url: str) -> None:
        """Get a page; raises what ``httpx`` does, also for an answer that is an error."""
        request = asyncio.create_task(self._request(url, _time_left(self._limit_seconds)))
        self._under_way.add(request)
        request.add_done_callback(self._ended)
        await asyncio.shield(request)

    def _ended(self, request: asyncio.Task[None]) -> None:
        self._under_way.discard(request)
        if not request.cancelled():
            request.exception()  # seen, also where nobody waits for it any more

    def _open(self) -> _Used:
        return _Used(
            httpx.AsyncClient(
                limits=httpx.Limits(max_connections=self._connections),
                trust_env=False,
                verify=_NO_TRUST,
            )
        )

    async def _request(self, url: str, seconds: float) -> None:
        used = self._used
        used.requests += 1
        try:
            response = await used.client.get(url, extensions={"timeout": Patience(seconds)})
            response.raise_for_status()
        except httpx.PoolTimeout:
            # A request has one connection at most, so one more was there to be had.
            if used is self._used and len(self._under_way) <= self._connections:
                self._used = self._open()
                self.replaced += 1
            raise
        finally:
            used.requests -= 1
            if used is not self._used and used.requests == 0:
                await used.client.aclose()


def first_calls(url: str) -> None:
    """Make one patient call of each kind, so that the traffic finds everything loaded.

    Raises:
        UpstreamError: the upstream does not answer.
    """

    async def task_call() -> None:
        async with task_calls(url, 1, lambda call: call, FIRST_TIMEOUT_SECONDS) as call:
            await call(Trip())

    try:
        with thread_calls(url, 1, lambda call: call, FIRST_TIMEOUT_SECONDS) as call:
            call(Trip())
        asyncio.run(task_call())
    except httpx.HTTPError as error:
        raise UpstreamError(f"the upstream at {url} does not answer: {error}") from error


def _time_left(limit_seconds: float) -> float:
    left = deadline()
    if left is None:
        return limit_seconds
    return min(limit_seconds, max(left - MARGIN_SECONDS, LEAST_TIMEOUT_SECONDS))


def judge(error: Exception) -> tuple[Verdict, str] | None:
    """Return what a call's exception means, or None when it is not one of the upstream's."""
    if isinstance(error, httpx.TimeoutException):
        return Verdict.TIMED_OUT, ""
    if isinstance(error, httpx.HTTPError):
        return Verdict.FAILED, ""
    return None
