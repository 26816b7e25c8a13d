"""What the types of the face of circuitbreaker are, as users see them."""

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import assert_type

from holdfast.compat.circuitbreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    circuit,
)


@circuit
def bare(card: str) -> int:
    return len(card)


@circuit(failure_threshold=10, recovery_timeout=2.5, expected_exception=ConnectionError)
def charge(card: str, *, amount: int = 1) -> str:
    return card * amount


def is_limited(cls: type[Exception], error: Exception) -> bool:
    return "429" in str(error)


@circuit(expected_exception=is_limited, name="slow", fallback_function=lambda: "cached")
async def fetch() -> str:
    return "fresh"


class Ours(CircuitBreaker):
    FAILURE_THRESHOLD = 10
    RECOVERY_TIMEOUT = 60
    EXPECTED_EXCEPTION = (ConnectionError, TimeoutError)


@Ours()
async def items() -> AsyncGenerator[int, None]:
    yield 1


@circuit(cls=Ours)
def ours() -> None: ...


assert_type(bare("4242"), int)
assert_type(charge("4242", amount=2), str)


async def use() -> None:
    assert_type(await fetch(), str)
    async for item in items():
        assert_type(item, int)
    breaker = CircuitBreaker(3, 10, [OSError], "payments", None)
    assert_type(breaker.call(len, "ab"), int)
    assert_type(await breaker.call_async(fetch), str)
    with breaker as entered:
        assert_type(entered, None)
    assert_type(breaker.state, str)
    assert_type(breaker.opened, bool)
    assert_type(breaker.open_until, datetime)
    assert_type(breaker.open_remaining, int)
    assert_type(breaker.name, str | None)
    assert_type(breaker.last_failure, BaseException | None)
    assert_type(CircuitBreakerMonitor.get("payments"), CircuitBreaker | None)
    assert_type(CircuitBreakerMonitor.get_circuits(), Iterable[CircuitBreaker])
    assert_type(CircuitBreakerMonitor.all_closed(), bool)
    try:
        breaker.call(print)
    except CircuitBreakerError as refused:
        assert_type(refused.retry_after, float | None)
