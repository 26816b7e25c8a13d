"""Guards of partials, bound methods and callable objects stay what those are."""

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from holdfast import CircuitBreaker, CircuitOpenError, Pipeline
from tests.gate.parts import fates, tripping

guard = CircuitBreaker("partials")
KINDS = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    *([asyncio.iscoroutinefunction] if sys.version_info < (3, 14) else []),
)


def plain(a: int, b: int = 2, *, c: int = 3) -> int:
    return a + b + c


async def coroutine(a: int, b: int = 2, *, c: int = 3) -> int:
    return a + b + c


def generator(a: int, b: int = 2, *, c: int = 3) -> Iterator[int]:
    yield a + b + c


async def async_generator(a: int, b: int = 2, *, c: int = 3) -> AsyncIterator[int]:
    yield a + b + c


class Held:
    def plain(self, a: int, b: int = 2, *, c: int = 3) -> int:
        return a + b + c

    async def coroutine(self, a: int, b: int = 2, *, c: int = 3) -> int:
        return a + b + c

    @guard
    async def guarded(self, a: int, b: int = 2, *, c: int = 3) -> int:
        return a + b + c

    turned = functools.partialmethod(coroutine, 1)


class Called:
    async def __call__(self, a: int, b: int = 2, *, c: int = 3) -> int:
        return a + b + c


class Partial(functools.partial):  # type: ignore[type-arg]
    """A class of one's own."""


FUNCTIONS = [plain, coroutine, generator, async_generator]
PARTIALS: list[Any] = [
    *(functools.partial(fn, 1, c=4) for fn in FUNCTIONS),
    *(functools.partial(guard(fn), 1, c=4) for fn in FUNCTIONS),
    *(functools.partial(guard(functools.partial(fn, 1)), c=4) for fn in FUNCTIONS),
    functools.partial(Held().coroutine, 1),
    functools.partial(Held().guarded, 1),
    functools.partial(Held.coroutine, Held(), 1),
    functools.partial(functools.partial(Held().plain), 1),
    Partial(coroutine, 1),
]
METHODS = [Held().plain, Held().coroutine, Held().guarded, Held().turned]


@pytest.mark.parametrize("bare", PARTIALS + METHODS + FUNCTIONS)
def test_guarded_it_is_of_the_same_kind_and_signature(bare: Any) -> None:
    for it in (guard(bare), guard(guard(bare)), functools.partial(guard(bare))):
        assert [kind(it) for kind in KINDS] == [kind(bare) for kind in KINDS]
        assert inspect.signature(it) == inspect.signature(bare)
    assert inspect.signature(guard(bare), follow_wrapped=False) == inspect.signature(bare)


@pytest.mark.parametrize("bare", PARTIALS)
def test_a_guard_of_a_partial_passes_for_a_partial(bare: Any) -> None:
    it = guard(bare)
    assert isinstance(it, functools.partial)
    assert not inspect.isfunction(it)
    assert (it.args, it.keywords) == (bare.args, bare.keywords)
    assert not hasattr(it, "__name__")
    assert not hasattr(it, "__code__")
    assert "guarded by" in repr(it)
    assert hasattr(type(it), "__get__") == (sys.version_info >= (3, 14))
    for name in ("func", "args", "keywords"):
        with pytest.raises(AttributeError, match=name):
            setattr(it, name, None)


def test_what_looks_behind_a_partial_finds_a_guard() -> None:
    """Whoever takes it apart and calls what is in it, calls it guarded."""
    breaker = tripping()
    inner = breaker(functools.partial(plain, 1)).func
    assert inspect.isfunction(inner)
    assert inspect.unwrap(inner) is plain
    assert inner(1) == 6
    assert fates(breaker) == {"succeeded": 1}
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        inner(1)


def test_a_function_may_have_attributes_that_are_named_as_those_of_a_partial() -> None:
    it = guard(plain)
    for name in ("func", "args", "keywords"):
        assert not hasattr(it, name)
        setattr(it, name, 1)
        assert getattr(it, name) == 1
        assert not hasattr(plain, name)


@pytest.mark.parametrize("wrap", [lambda fn: fn, functools.partial])
def test_a_callable_object_is_asked_for_its_call(wrap: Callable[..., Any]) -> None:
    """As Starlette and FastAPI do, where they meet no function."""
    breaker = CircuitBreaker("b")
    it = breaker(wrap(Called()))
    behind = it.func if isinstance(it, functools.partial) else it
    assert not inspect.iscoroutinefunction(behind)
    assert inspect.iscoroutinefunction(behind.__call__)
    assert asyncio.run(behind.__call__(1)) == asyncio.run(it(1)) == 6
    assert fates(breaker) == {"succeeded": 2}
    assert inspect.getfullargspec(it).kwonlyargs == ["c"]


@pytest.mark.parametrize(
    "bare",
    [
        *(mock.AsyncMock(), mock.MagicMock(), mock.create_autospec(coroutine), Called()),
        *(functools.partial(mock.AsyncMock()), functools.lru_cache(coroutine)),
        *(functools.singledispatch(coroutine), functools.partial(coroutine), coroutine),
        *(len, [].append, str.upper, int.from_bytes, object.__init__),
    ],
)
def test_inspect_tells_of_a_guard_what_it_tells_of_what_is_guarded(bare: Any) -> None:
    more = (inspect.isfunction, inspect.ismethod, inspect.isbuiltin, inspect.isroutine, callable)
    for kind in KINDS + more:
        assert kind(guard(bare)) == kind(bare), kind


def test_a_partial_that_holds_itself_is_guarded_too() -> None:
    it = functools.partial(plain)
    it.__setstate__((it, (), {}, {}))
    assert isinstance(guard(it).func.func.func, functools.partial)


def test_a_guard_is_a_method_where_what_it_guards_is_one() -> None:
    def method(self: Any) -> Any:
        return self

    class Object:
        def __call__(self, *args: Any) -> Any:
            return args

    class Holder:
        function = guard(method)
        of_lambda = guard(lambda self: self)
        cached = guard(functools.lru_cache(method))
        kind = guard(list)
        builtin = guard(len)
        called = guard(Object())
        twice = guard(guard(list))
        elsewhere = guard("abc".upper)

    it = Holder()
    assert it.function() is it.of_lambda() is it.cached() is it
    assert it.kind("ab") == it.twice("ab") == ["a", "b"]
    assert it.builtin("ab") == 2
    assert it.called(1) == (1,)
    assert it.elsewhere() == "ABC"
    assert not inspect.isroutine(it.kind)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="a partial is a method since 3.14")
def test_a_guard_of_a_partial_is_no_method() -> None:
    class Holder:
        add = guard(functools.partial(plain, 1))

    assert Holder().add(1) == 5


def test_a_partial_method_may_be_guarded_in_its_class() -> None:
    breaker = CircuitBreaker("b")

    class Lamp:
        def turn(self, to: bool, *, by: str = "") -> Any:
            return self, to, by

        async def ask(self, what: str) -> Any:
            return self, what

        on = breaker(functools.partialmethod(turn, True, by="hand"))
        who = breaker(functools.partialmethod(ask, "who"))

    lamp = Lamp()
    assert lamp.on() == (lamp, True, "hand")
    assert asyncio.run(lamp.who()) == (lamp, "who")
    assert str(inspect.signature(lamp.on)) == "(*, by: str = 'hand') -> Any"
    assert inspect.iscoroutinefunction(lamp.who) == inspect.iscoroutinefunction(
        functools.partial(lamp.ask)
    )
    assert fates(breaker) == {"succeeded": 2}


def test_a_pipeline_exchanges_policies_of_a_guarded_partial() -> None:
    breaker = tripping()
    it = Pipeline("p", breaker)(functools.partial(plain, 1))
    breaker.force_open()
    assert it.with_options(breaker=guard)(1) == 5
