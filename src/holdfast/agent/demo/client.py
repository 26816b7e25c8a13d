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

from holdfast.agent.demo.process import UpstreamError
from holdfast.agent.demo.tally import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

#: Both sides give up on a call after this long.
CALL_TIMEOUT_SECONDS = 0.35

FIRST_TIMEOUT_SECONDS = 10.0

# The calls go over plain HTTP to the loopback: no proxy of the environment is for them
# (trust_env=False), and loading the machine's authorities would only delay the start.
_NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def thread_calls(
    url: str,
    connections: int,
    guard: Callable[[Callable[[], None]], Callable[[], None]],
    limit_seconds: float = CALL_TIMEOUT_SECONDS,
) -> Iterator[Callable[[], None]]:
    """Yield the guarded call; the threads that use it share one client."""
    with httpx.Client(
        timeout=limit_seconds,
        limits=httpx.Limits(max_connections=connections),
        trust_env=False,
        verify=_NO_TRUST,
    ) as client:

        @guard
        def call() -> None:
            client.get(url).raise_for_status()

        yield call


@asynccontextmanager
async def task_calls(
    url: str,
    connections: int,
    guard: Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]],
    limit_seconds: float = CALL_TIMEOUT_SECONDS,
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yield the guarded coroutine function; the tasks that use it share one client."""
    async with httpx.AsyncClient(
        timeout=limit_seconds,
        limits=httpx.Limits(max_connections=connections),
        trust_env=False,
        verify=_NO_TRUST,
    ) as client:

        @guard
        async def call() -> None:
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
            await call()

    try:
        with thread_calls(url, 1, lambda call: call, FIRST_TIMEOUT_SECONDS) as call:
            call()
        asyncio.run(task_call())
    except httpx.HTTPError as error:
        raise UpstreamError(f"the upstream at {url} does not answer: {error}") from error


def judge(error: Exception) -> tuple[Verdict, str] | None:
    """Return what a call's exception means, or None when it is not one of the upstream's."""
    if isinstance(error, httpx.TimeoutException):
        return Verdict.TIMED_OUT, ""
    if isinstance(error, httpx.HTTPError):
        return Verdict.FAILED, ""
    return None
