"""A policy as a decorator: for every kind of callable, it is guarded when it runs."""

import asyncio
import functools
import inspect
import operator
import pyexpat
import types
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from holdfast import Bulkhead, CircuitBreaker, CircuitOpenError
from tests.gate.parts import fates, places, tripping


class Callables:
    """Callables of every kind, that all return twice what they are given."""

    def plain(self, number: int) -> int:
        return 2 * number

    async def coroutine(self, number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    def generator(self, number: int) -> Iterator[int]:
        yield 2 * number

    async def async_generator(self, number: int) -> AsyncIterator[int]:
        yield 2 * number

    @types.coroutine
    def old_coroutine(self, number: int) -> Any:
        yield
        return 2 * number

    def of_a_future(self, number: int) -> Awaitable[int]:
        future = asyncio.get_running_loop().create_future()
        future.set_result(2 * number)
        return future

    class Plain:
        def __call__(self, number: int) -> int:
            return 2 * number

    class Coroutine:
        async def __call__(self, number: int) -> int:
            return 2 * number

    class Generator:
        def __call__(self, number: int) -> Iterator[int]:
            yield 2 * number


class Partial(functools.partial):  # type: ignore[type-arg]
    """A class of one's own."""


the = Callables()
PLAIN = [
    the.plain, Callables.Plain(), functools.partial(the.plain),
    functools.partial(operator.mul, 2), Partial(operator.mul, 2), lambda number: 2 * number,
    (2).__mul__, functools.lru_cache(the.plain), functools.singledispatch(the.plain),
    mock.Mock(side_effect=the.plain), mock.MagicMock(side_effect=the.plain),
    mock.create_autospec(the.plain, side_effect=the.plain), operator.methodcaller("__mul__", 2),
]  # fmt: skip
COROUTINES = [
    the.coroutine, the.old_coroutine, Callables.Coroutine(), functools.partial(the.coroutine),
    functools.partial(functools.partial(the.coroutine)), functools.partial(Callables.Coroutine()),
    Partial(the.coroutine), mock.AsyncMock(side_effect=the.plain),
    mock.create_autospec(the.coroutine, side_effect=the.plain),
]  # fmt: skip
if hasattr(inspect, "markcoroutinefunction"):  # 3.12
    COROUTINES += [
        inspect.markcoroutinefunction(lambda number: the.coroutine(number)),
        inspect.markcoroutinefunction(lambda number: the.of_a_future(number)),
    ]
GENERATORS = [the.generator, Callables.Generator(), functools.partial(the.generator)]
ASYNC_GENERATORS = [the.async_generator, functools.partial(the.async_generator)]


def watched(fn: Callable[..., Any]) -> tuple[Bulkhead, CircuitBreaker, Any]:
    bulkhead, breaker = places(), CircuitBreaker("b")
    return bulkhead, breaker, bulkhead(breaker(fn))


@pytest.mark.parametrize("fn", PLAIN)
def test_a_plain_callable_is_guarded_while_it_runs(fn: Callable[..., Any]) -> None:
    bulkhead, breaker, guard = watched(fn)
    assert guard(21) == 42
    assert fates(breaker) == {"succeeded": 1}
    assert bulkhead.snapshot().completed == 1
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        guard(21)


@pytest.mark.parametrize("fn", COROUTINES)
async def test_a_coroutine_function_is_guarded_while_it_is_awaited(fn: Callable[..., Any]) -> None:
    bulkhead, breaker, guard = watched(fn)
    coroutine = guard(21)
    assert breaker.snapshot().admitted == 0
    assert await coroutine == 42
    assert fates(breaker) == {"succeeded": 1}
    breaker.force_open()
    coroutine = guard(21)
    with pytest.raises(CircuitOpenError):
        await coroutine
    assert bulkhead.in_flight == 0


@pytest.mark.parametrize("fn", GENERATORS + ASYNC_GENERATORS)
async def test_a_generator_is_guarded_from_its_first_item_to_its_end(fn: Any) -> None:
    bulkhead, breaker, guard = watched(fn)
    stream = guard(21)
    is_async = fn in ASYNC_GENERATORS
    assert inspect.isasyncgen(stream) if is_async else inspect.isgenerator(stream)
    assert bulkhead.snapshot().admitted == 0
    assert (await anext(stream) if is_async else next(stream)) == 42
    assert (bulkhead.in_flight, breaker.in_flight) == (1, 1)
    assert ([item async for item in stream] if is_async else list(stream)) == []
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"succeeded": 1})


def test_a_class_may_be_guarded_as_the_callable_it_is() -> None:
    class Connection:
        def __init__(self, host: str, port: int = 80) -> None:
            self.where = (host, port)

    breaker = CircuitBreaker("b")
    connect = breaker(Connection)
    assert connect("here", port=8).where == ("here", 8)
    assert connect.__wrapped__ is Connection
    assert str(inspect.signature(connect)) == str(inspect.signature(Connection))
    with pytest.raises(TypeError):
        connect()
    assert fates(breaker) == {"succeeded": 1, "failed": 1}


def test_arguments_pass_through_as_they_are() -> None:
    def echo(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    guard = places()(echo)
    assert guard() == ((), {})
    assert guard(1, 2, a=3) == ((1, 2), {"a": 3})
    assert guard(*range(40), **{f"k{n}": n for n in range(40)}) == (
        tuple(range(40)),
        {f"k{n}": n for n in range(40)},
    )
    odd = {"self": 1, "fn": 2, "policy": 3, "args": 4}
    assert guard(**odd) == ((), odd)


def test_wrong_arguments_fail_as_they_do_unguarded() -> None:
    def plain(a: int) -> int:
        return a

    async def coroutine(a: int) -> int:
        return a

    breaker = tripping()
    with pytest.raises(TypeError, match=r"plain\(\) missing 1 required"):
        CircuitBreaker("b")(plain)()
    with pytest.raises(TypeError, match=r"coroutine\(\) missing 1 required"):
        breaker(coroutine)()
    assert breaker.snapshot().admitted == 0


@pytest.mark.parametrize("wrong", [None, 42, "name", property(int), object()])
def test_what_cannot_be_called_cannot_be_guarded(wrong: Any) -> None:
    with pytest.raises(TypeError, match="<Bulkhead 'places'> guards callables, not"):
        places()(wrong)


def test_a_decorator_takes_one_function_and_goes_without_parentheses() -> None:
    with pytest.raises(
        TypeError, match=r"<Bulkhead 'places'> as a decorator .* without parentheses"
    ):
        places()()
    with pytest.raises(TypeError, match="decorator"):
        places()(int, int)
    with pytest.raises(TypeError, match="decorator"):
        places()(int, a=1)


def test_a_guarded_function_may_recurse() -> None:
    bulkhead = places(100)

    @bulkhead
    def factorial(n: int) -> int:
        assert bulkhead.in_flight == 51 - n
        return n * factorial(n - 1) if n > 1 else 1

    assert factorial(50) == functools.reduce(operator.mul, range(1, 51))
    assert bulkhead.in_flight == 0


def test_a_guarded_callback_may_be_called_from_c() -> None:
    breaker = CircuitBreaker("b")
    assert sorted([3, 1, 2], key=breaker(operator.neg)) == [3, 2, 1]
    assert list(map(breaker(operator.add), [1, 2], [3, 4])) == [4, 6]
    assert functools.reduce(breaker(operator.add), range(5)) == 10
    assert fates(breaker) == {"succeeded": 9}


def test_a_guard_lives_until_its_call_has_ended_whoever_lets_go_of_it() -> None:
    breaker = CircuitBreaker("b")
    alive = []

    def item() -> int:
        # The call inside exhausts the iterator, which drops what it calls: the guard outside.
        if breaker.in_flight == 1:
            next(items, None)
            alive.append(called() is not None)
        return 0

    guard = breaker(item)
    items, called = iter(guard, 0), weakref.ref(guard)
    del guard
    assert next(items, "no more") == "no more"

    def start(name: str, attributes: dict[str, str]) -> None:
        parser.StartElementHandler = None
        alive.append(handler() is not None)

    parser = pyexpat.ParserCreate()
    parser.StartElementHandler = breaker(start)
    handler = weakref.ref(parser.StartElementHandler)
    parser.Parse("<a><b/></a>", True)
    assert alive == [True, True]
    assert (called(), handler()) == (None, None)
    assert fates(breaker) == {"succeeded": 3}
