"""What the types of the face of aiobreaker are, as users see them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_type

from holdfast.compat.aiobreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
)
from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage
from holdfast.compat.aiobreaker.storage.redis import CircuitRedisStorage


class Told(CircuitBreakerListener):
    def before_call(
        self, breaker: CircuitBreaker, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        assert_type(breaker.fail_counter, int)

    def failure(self, breaker: CircuitBreaker, exception: Exception) -> None: ...


breaker = CircuitBreaker(
    fail_max=5,
    timeout_duration=timedelta(seconds=60),
    exclude=[LookupError, lambda error: error.args == ()],
    listeners=[Told()],
    state_storage=CircuitMemoryStorage(CircuitBreakerState.CLOSED),
    name="payments",
)


@breaker
def charge(card: str, *, amount: int = 1) -> str:
    return card * amount


@breaker(ignore_on_call=False)
async def fetch(url: str) -> bytes:
    return url.encode()


def shared(client: object) -> CircuitBreaker:
    storage = CircuitRedisStorage(CircuitBreakerState.CLOSED, client, namespace="payments")
    return CircuitBreaker(state_storage=storage)


assert_type(charge("4242", amount=2), str)
assert_type(breaker.call(charge, "4242"), str)


async def use() -> None:
    assert_type(await fetch("/"), bytes)
    assert_type(await breaker.call_async(fetch, "/"), bytes)
    breaker.fail_max = 10
    breaker.timeout_duration = timedelta(minutes=1)
    assert_type(breaker.current_state, CircuitBreakerState)
    assert_type(breaker.state.state, CircuitBreakerState)
    assert_type(breaker.opens_at, datetime | None)
    assert_type(breaker.time_until_open, timedelta | None)
    assert_type(breaker.listeners, tuple[CircuitBreakerListener, ...])
    assert_type(breaker.name, str | None)
    try:
        await fetch("/")
    except CircuitBreakerError as error:
        assert_type(error.message, str)
        assert_type(error.reopen_time, datetime | None)
        assert_type(error.time_remaining, timedelta)
        await error.sleep_until_open()
