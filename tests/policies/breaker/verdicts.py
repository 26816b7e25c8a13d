"""How a breaker counts what a call came to."""

import contextlib
from collections.abc import Callable
from typing import Any

import holdfast as hf
from tests.policies.calls import raising


def verdict(breaker: hf.CircuitBreaker, call: Callable[[], Any]) -> str:
    """Make a call and return how it was counted."""
    before = breaker.snapshot()
    with contextlib.suppress(BaseException):
        call()
    after = breaker.snapshot()
    assert after.admitted == before.admitted + 1
    kinds = ("succeeded", "failed", "ignored", "abandoned")
    counted = [kind for kind in kinds if getattr(after, kind) > getattr(before, kind)]
    assert len(counted) == 1
    return counted[0]


def verdict_on(breaker: hf.CircuitBreaker, error: BaseException) -> str:
    """Return how every way of making a call that raises ``error`` is counted: all the same."""

    async def araise() -> None:
        raise error

    async def in_block() -> None:
        async with breaker:
            raise error

    def with_block() -> None:
        with breaker:
            raise error

    def with_permit() -> None:
        with breaker.acquire():
            raise error

    def drive(awaitable: Any) -> None:
        awaitable.send(None)

    ways: list[Callable[[], Any]] = [
        lambda: breaker.call(raising(error)),
        lambda: breaker.try_call(raising(error)),
        breaker(raising(error)),
        with_block,
        with_permit,
        lambda: breaker.acquire().failure(error),
        lambda: drive(breaker.acall(araise)),
        lambda: drive(breaker.try_acall(araise)),
        lambda: drive(breaker(araise)()),
        lambda: drive(in_block()),
    ]
    counted = [verdict(breaker, way) for way in ways]
    assert len(set(counted)) == 1, counted
    return counted[0]
