"""One HTTP call to the upstream, for threads and for asyncio, and what its ending means.

Needs httpx (extra ``demo``). The guarded and the unguarded side make exactly this call; a
``guard`` is what wraps it, the identity on the unguarded side.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import httpx

from holdfast._native.gate import deadline
from holdfast.agent.demo.process import UpstreamError
from holdfast.agent.demo.tally import Trip, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from holdfast.agent.demo.tally import TaskCall, ThreadCall

#: Both sides give up on a call after this long.
CALL_TIMEOUT_SECONDS = 0.35

FIRST_TIMEOUT_SECONDS = 10.0
LEAST_TIMEOUT_SECONDS = 0.001

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
        timeout=limit_seconds,
        limits=httpx.Limits(max_connections=connections),
        trust_env=False,
        verify=_NO_TRUST,
    ) as client:

        @guard
        def call(trip: Trip) -> None:
            trip.requests += 1
            client.get(url, timeout=_time_left(limit_seconds)).raise_for_status()

        yield call


@asynccontextmanager
async def task_calls(
    url: str,
    connections: int,
    guard: Callable[[TaskCall], TaskCall],
    limit_seconds: float = CALL_TIMEOUT_SECONDS,
) -> AsyncIterator[TaskCall]:
    """Yield the guarded coroutine function; the tasks that use it share one client."""
    async with httpx.AsyncClient(
        timeout=limit_seconds,
        limits=httpx.Limits(max_connections=connections),
        trust_env=False,
        verify=_NO_TRUST,
    ) as client:

        @guard
        async def call(trip: Trip) -> None:
            trip.requests += 1
            response = await client.get(url)
            response.raise_for_status()

        yield call


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
    return limit_seconds if left is None else min(limit_seconds, max(left, LEAST_TIMEOUT_SECONDS))


def judge(error: Exception) -> tuple[Verdict, str] | None:
    """Return what a call's exception means, or None when it is not one of the upstream's."""
    if isinstance(error, httpx.TimeoutException):
        return Verdict.TIMED_OUT, ""
    if isinstance(error, httpx.HTTPError):
        return Verdict.FAILED, ""
    return None
