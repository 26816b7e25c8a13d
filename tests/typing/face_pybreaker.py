"""What type checkers make of the face of pybreaker."""

from typing import Any, assert_type

from holdfast.compat import pybreaker
from holdfast.compat.pybreaker import (
    STATE_CLOSED,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitMemoryStorage,
)


class Listener(CircuitBreakerListener):
    def failure(self, cb: CircuitBreaker, exc: BaseException) -> None:
        print(cb.name, cb.fail_counter, exc)

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        print(old_state.name if old_state else "-", new_state.name)


class Quiet(CircuitBreaker):
    def is_system_error(self, exception: BaseException) -> bool:
        return not isinstance(exception, KeyError)

    def open(self) -> bool:
        return super().open()


def is_business(error: Exception) -> bool:
    return error.args == ("business",)


breaker = CircuitBreaker(
    fail_max=1,
    reset_timeout=1000,
    success_threshold=2,
    exclude=[lambda e: isinstance(e, RuntimeError), is_business, KeyError],
    listeners=[Listener()],
    state_storage=CircuitMemoryStorage(STATE_CLOSED),
    name="payments",
    throw_new_error_on_trip=False,
)
assert_type(breaker.fail_counter, int)
assert_type(breaker.reset_timeout, float)
assert_type(breaker.name, str | None)
assert_type(breaker.current_state, str)
assert_type(breaker.state.name, str)
assert_type(breaker.listeners, tuple[CircuitBreakerListener, ...])
assert_type(breaker.open(), bool)
assert_type(breaker.policy.name, str)
breaker.fail_max, breaker.reset_timeout, breaker.success_threshold = 3, 0.5, 1
breaker.add_excluded_exceptions(LookupError, is_business)


@breaker
def double(value: int) -> int:
    return 2 * value


@breaker()
async def fetch(url: str) -> bytes:
    return url.encode()


class Client:
    @breaker
    def get(self, key: str) -> str:
        return key


async def main() -> None:
    assert_type(double(2), int)
    assert_type(await fetch("x"), bytes)
    assert_type(Client().get("a"), str)
    assert_type(breaker.call(double, 2), int)
    assert_type(await breaker.acall(fetch, "x"), bytes)
    with breaker.calling() as nothing:
        assert_type(nothing, None)
    try:
        double(1)
    except CircuitBreakerError as error:
        assert_type(error.code, str)
    future: Any = breaker.call_async(fetch, "x")
    await future
