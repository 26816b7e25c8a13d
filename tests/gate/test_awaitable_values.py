"""Whatever a guarded coroutine returns or raises arrives as it is, however it is awaited."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import CircuitBreaker, CircuitOpenError
from tests.gate.parts import fates, pipe, places, suspend, tripping

VALUES = [
    None, 0, False, (), (1,), (1, 2), ValueError("value"), StopIteration(), StopIteration(7),
    StopIteration((1, 2)), StopAsyncIteration(), GeneratorExit(), KeyboardInterrupt(),
    asyncio.CancelledError(), StopIteration, ValueError, [StopIteration(1)], NotImplemented,
    Ellipsis,
]  # fmt: skip
ERRORS = [
    ValueError("own"), KeyError(), StopAsyncIteration("own"), asyncio.CancelledError("own"),
    KeyboardInterrupt("own"), SystemExit(3), GeneratorExit("own"), CircuitOpenError("another's"),
    ExceptionGroup("own", [ValueError()]), BaseExceptionGroup("own", [KeyboardInterrupt()]),
]  # fmt: skip


def run(coroutine: Any) -> Any:
    """Drive by send(), as the C of asyncio does, and by next(), as `await` does, in turns."""
    for step in iter(lambda: 0, 1):
        try:
            coroutine.send(None) if step else next(coroutine)
        except StopIteration as stop:
            return stop.value
    return None


async def awaited(coroutine: Any) -> Any:
    return await coroutine


def by_task(coroutine: Any) -> Any:
    async def main() -> Any:
        return await asyncio.create_task(coroutine)

    return asyncio.run(main())


def by_await(coroutine: Any) -> Any:
    try:
        it = awaited(coroutine)
        while True:
            it.send(None)
    except StopIteration as stop:
        return stop.value


def by_nesting(coroutine: Any) -> Any:
    return by_await(awaited(awaited(coroutine)))


RUNNERS = [run, by_await, by_nesting, asyncio.run, by_task]
WRAPPERS: list[Callable[[Any], Callable[[], Any]]] = [
    lambda work: CircuitBreaker("b")(work),
    lambda work: lambda: pipe(CircuitBreaker("b"), places()).acall(work),
    lambda work: places()(CircuitBreaker("b")(work)),
    lambda work: CircuitBreaker("b")(lambda: work()),
]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_value_arrives_as_it_is(wrapper: Any, runner: Callable[[Any], Any]) -> None:
    for value in VALUES:
        for steps in (0, 2):

            async def work(value: Any = value, steps: int = steps) -> Any:
                for _ in range(steps):
                    await suspend()
                return value

            assert runner(wrapper(work)()) is value


@pytest.mark.parametrize("runner", [run, by_await, by_nesting])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_an_exception_arrives_as_it_is(wrapper: Any, runner: Callable[[Any], Any]) -> None:
    for error in ERRORS:
        for steps in (0, 2):

            async def work(error: BaseException = error, steps: int = steps) -> Any:
                for _ in range(steps):
                    await suspend()
                raise error

            error.__traceback__ = None
            with pytest.raises(type(error)) as caught:
                runner(wrapper(work)())
            assert caught.value is error
            assert error.__context__ is None
            names = [frame.name for frame in caught.traceback]
            assert "work" in names


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_stop_iteration_in_the_body_is_a_runtime_error(runner: Callable[[Any], Any]) -> None:
    breaker = CircuitBreaker("b")

    @breaker
    async def work() -> None:
        raise StopIteration(7)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        runner(work())
    assert fates(breaker) == {"failed": 1}


def test_a_plain_function_given_to_acall_may_raise_stop_iteration() -> None:
    def work() -> Any:
        raise StopIteration(7)

    breaker = CircuitBreaker("b")
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        asyncio.run(breaker.acall(work))
    outcome = asyncio.run(breaker.try_acall(work))
    assert isinstance(outcome.error, StopIteration)
    assert fates(breaker) == {"failed": 2}


def test_a_trace_of_an_exception_shows_the_body_and_not_the_machinery() -> None:
    @tripping()
    async def work() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - only its traceback matters
        by_await(work())
    assert [frame.name for frame in caught.traceback][-2:] == ["awaited", "work"]
