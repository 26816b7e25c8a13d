"""Driven by hand, a guarded coroutine answers in every state what a native one answers."""

import asyncio
import collections.abc
import contextlib
import inspect
import traceback
import types
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from holdfast import CircuitBreaker, Timeout
from tests.gate.parts import fates, pipe, places, suspend


class Bare:
    """Awaits an iterator that has neither send, throw nor close."""

    def __await__(self) -> Iterator[Any]:
        return iter(["bare", "again"])


async def on_a_generator() -> Any:
    return await suspend("first"), await suspend("second")


async def on_what_is_bare() -> Any:
    return await Bare()


async def on_nothing() -> str:
    return "at once"


async def running() -> Any:
    return OPERATIONS_INSIDE.pop()(INSIDE[-1])


async def stubborn() -> Any:
    with contextlib.suppress(ValueError):
        await suspend("first")
    return await suspend("second")


INSIDE: list[Any] = []
OPERATIONS_INSIDE: list[Callable[[Any], Any]] = []


def awaited(coroutine: Any) -> Any:
    async def awaits() -> Any:
        return await coroutine

    outer = awaits()
    try:
        return outer.send(None)
    finally:
        outer.close()


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "send None": lambda c: c.send(None),
    "send a value": lambda c: c.send("value"),
    "throw": lambda c: c.throw(ValueError("thrown")),
    "throw a class": lambda c: c.throw(ValueError),
    "throw a class and a value": lambda c: c.throw(ValueError, "two"),
    "throw GeneratorExit": lambda c: c.throw(GeneratorExit),
    "throw StopIteration": lambda c: c.throw(StopIteration("thrown")),
    "throw no exception": lambda c: c.throw(42),
    "throw another class": lambda c: c.throw(int),
    "throw an instance and a value": lambda c: c.throw(ValueError(), "two"),
    "throw no traceback": lambda c: c.throw(ValueError, None, 42),
    "throw a traceback": lambda c: c.throw(ValueError("thrown"), None, FRAMES),
    "throw a class, a value and a traceback": lambda c: c.throw(ValueError, "two", FRAMES),
    "throw a class and arguments": lambda c: c.throw(ValueError, ("two", 2)),
    "throw a class and an instance": lambda c: c.throw(ValueError, ValueError("two")),
    "throw too much": lambda c: c.throw(ValueError, None, None, None),
    "throw nothing": lambda c: c.throw(),
    "close": lambda c: c.close(),
    "await": awaited,
    "iterate": lambda c: list(c),
    "yield from": lambda c: list(delegates(c)),
    "steps": lambda c: next(c.__await__()),
    "steps, iterated": lambda c: next(iter(c.__await__())),
    "throw into steps": lambda c: c.__await__().throw(ValueError("thrown")),
}


def frames_of(error: Exception) -> Any:
    try:
        raise error
    except Exception as raised:
        return raised.__traceback__


FRAMES = frames_of(LookupError())


def delegates(coroutine: Any) -> Iterator[Any]:
    yield from coroutine


def shown(operation: Callable[[Any], Any], coroutine: Any) -> tuple[str, str]:
    """What it answers or raises, without what names the kind of object."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            outcome = "answered", repr(operation(coroutine))
        except BaseException as error:
            text = str(error.value) if isinstance(error, StopIteration) else str(error)
            frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            outcome = type(error).__name__, said(text) + " (elsewhere)" * frames.count("frames_of")
    deprecated = any(one.category is DeprecationWarning for one in warned)
    return outcome[0] + " after a warning" * deprecated, outcome[1]


def said(text: str) -> str:
    for same in ("is not iterable", "cannot 'yield from' a coroutine object"):
        if same in text:
            return "is not iterable"
    if "throw" in text and "argument" in text and "third" not in text:
        return "wrong number of arguments"
    return text


BODIES = [on_a_generator, on_what_is_bare, on_nothing, stubborn]
STATES = ["created", "suspended", "ended", "closed"]


def put(coroutine: Any, state: str) -> Any:
    if state == "suspended":
        with contextlib.suppress(StopIteration):
            coroutine.send(None)
    elif state == "ended":
        with contextlib.suppress(StopIteration):
            for _ in range(4):
                coroutine.send(None)
    elif state == "closed":
        coroutine.close()
    return coroutine


def policies() -> list[Any]:
    return [CircuitBreaker("b"), places(), pipe(Timeout(60), CircuitBreaker("b"))]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("state", STATES)
def test_each_operation_answers_as_natively_and_leaves_it_as_natively(
    state: str, name: str, which: int
) -> None:
    for body in BODIES:
        native, guarded = put(body(), state), put(policies()[which](body)(), state)
        for turn in (name, "send None", "throw", "send None", "close"):
            operation = OPERATIONS[turn]
            assert shown(operation, guarded) == shown(operation, native), (body, turn)
        for each in (native, guarded):
            with contextlib.suppress(RuntimeError):
                each.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_while_it_runs_each_operation_answers_as_natively(name: str) -> None:
    seen = []
    for make in (running, CircuitBreaker("b")(running), pipe(Timeout(60), places())(running)):
        INSIDE[:] = [make()]
        OPERATIONS_INSIDE[:] = [lambda c: shown(OPERATIONS[name], c)]
        with pytest.raises(StopIteration) as stop:
            INSIDE[0].send(None)
        seen.append(stop.value.value)
    assert seen[0] == seen[1] == seen[2]


# ---- iterating: an await that was forgotten ----


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize(
    "iterate", [list, tuple, set, iter, sorted, lambda c: [*c], lambda c: dict(c), "".join, any]
)
def test_a_forgotten_await_is_an_error_and_runs_nothing(iterate: Callable[[Any], Any]) -> None:
    breaker = CircuitBreaker("b")

    async def forgets() -> None:
        with pytest.raises(TypeError, match=r"iterable|can only join an iterable"):
            iterate(breaker(on_nothing)())
        with pytest.raises(TypeError, match=r"not iterable.*<CircuitBreaker 'b'>"):
            list(breaker(on_nothing)())

    asyncio.run(forgets())
    assert breaker.snapshot().admitted == 0


def test_nothing_takes_it_for_an_iterator() -> None:
    coroutine = CircuitBreaker("b")(on_nothing)()
    for kind in (collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator):
        assert not isinstance(coroutine, kind)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert inspect.isawaitable(coroutine)
    assert not hasattr(coroutine, "__next__")
    assert isinstance(coroutine.__await__(), collections.abc.Iterator)
    coroutine.close()


def test_each_way_to_await_it_still_does() -> None:
    breaker = CircuitBreaker("b")
    guarded = breaker(on_a_generator)

    @types.coroutine
    def by_yield_from() -> Generator[Any, Any, Any]:
        return (yield from guarded())

    class ByAwait:
        def __await__(self) -> Generator[Any, Any, Any]:
            return (yield from guarded().__await__())

    async def by_await() -> Any:
        return await guarded()

    async def of_an_object() -> Any:
        return await ByAwait()

    for make in (guarded, by_yield_from, by_await, of_an_object):
        coroutine = make()
        assert coroutine.send(None) == "first"
        assert coroutine.send(1) == "second"
        with pytest.raises(StopIteration) as stop:
            coroutine.send(2)
        assert stop.value.value == (1, 2)
    assert fates(breaker) == {"succeeded": 4}
