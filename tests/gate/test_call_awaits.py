"""A gate whose call() guards what is to be awaited, as a face of another library wants."""

import inspect
from typing import Any

import pytest

from holdfast import CircuitBreaker, CircuitOpenError


class Awaiting(CircuitBreaker):
    """A breaker whose call() takes any function."""

    __slots__ = ()

    def _bind(self, *args: Any, **equipment: Any) -> None:
        super()._bind(*args, calls_coroutines=True, **equipment)


async def fetch(value: str) -> str:
    if value == "down":
        raise ConnectionError
    return value


@pytest.mark.parametrize("fn", [fetch, lambda value: fetch(value)])
async def test_call_gives_a_guarded_awaitable_of_what_is_to_be_awaited(fn):
    breaker = Awaiting("payments", failure_threshold=1)
    made = breaker.call(fn, "up")
    assert inspect.isawaitable(made)
    assert breaker.snapshot().admitted == 0
    assert await made == "up"
    assert breaker.snapshot().succeeded == 1
    with pytest.raises(ConnectionError):
        await breaker.call(fn, "down")
    with pytest.raises(CircuitOpenError):
        await breaker.call(fn, "up")


async def test_wrong_arguments_fail_where_call_is_called():
    breaker = Awaiting("payments")
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        breaker.call(fetch)
    assert breaker.snapshot().admitted == 0


async def test_other_gates_refuse_a_coroutine_function_as_before():
    with pytest.raises(TypeError, match="acall"):
        CircuitBreaker("payments").call(fetch, "up")
