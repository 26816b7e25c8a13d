"""A guarded function looks like the function: to people, inspect, copy, pickle and weakref."""

import contextlib
import copy
import doctest
import functools
import gc
import inspect
import io
import pickle
import pydoc
import sys
import types
import typing
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from holdfast import CircuitBreaker
from holdfast._native.gate import Guard
from tests.gate.parts import places, tripping

guard = CircuitBreaker("face")


def original(a: int, /, b: str = "x", *args: float, c: bool, **kwargs: Any) -> list[str]:
    """Do this.

    And that.
    """
    return []


@guard
def plain(a: int, b: str = "x") -> list[str]:
    """Return a list."""
    return [b] * a


@guard
async def coroutine() -> None:
    """Wait."""


@guard
def generator() -> Iterator[int]:
    yield 1


@guard
async def async_generator() -> AsyncIterator[int]:
    yield 1


class Holder:
    @guard
    def method(self) -> Any:
        return self

    @guard
    @classmethod
    def of_class(cls) -> Any:
        return cls

    class Inner:
        @staticmethod
        @guard
        def static() -> None: ...


def test_its_source_is_that_of_the_function() -> None:
    it = guard(guard(original))
    assert inspect.unwrap(it) is original
    for look in (inspect.signature, inspect.getsource, inspect.getdoc, typing.get_type_hints):
        assert look(it) == look(original)


def test_annotations_are_looked_at_when_somebody_looks() -> None:
    """One that names what is not there yet is no obstacle to guarding the function."""
    namespace: dict[str, Any] = {"guard": guard}
    exec(
        "from __future__ import annotations\n" * (sys.version_info < (3, 14))
        + "@guard\ndef fn(a: Later) -> Later: ...\nclass Later: ...",
        namespace,
    )
    fn, later = namespace["fn"], namespace["Later"]
    assert typing.get_type_hints(fn, namespace) == {"a": later, "return": later}
    expected = "Later" if sys.version_info < (3, 14) else later
    assert fn.__annotations__ == {"a": expected, "return": expected}
    fn.__annotations__ = {"a": int}
    assert fn.__annotations__ == {"a": int}
    del fn.__annotations__
    assert fn.__annotations__ == {"a": expected, "return": expected}
    with pytest.raises(AttributeError):
        del fn.__annotations__


def test_a_callable_without_a_name_is_guarded_without_one() -> None:
    wrapped = guard(functools.partial(original, 1))
    for name in ("__name__", "__qualname__", "__annotations__", "nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(wrapped, name)
    assert "partial" in repr(wrapped)


class Evasive:
    """Called, it answers; looked at, it raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self.__dict__["error"] = error

    def __getattr__(self, name: str) -> Any:
        raise self.error

    def __call__(self) -> str:
        return "answer"


def test_an_attribute_that_is_missing_is_looked_up_without_a_repr() -> None:
    class Unprintable:
        def __call__(self) -> str:
            return "answer"

        def __repr__(self) -> str:
            raise RuntimeError

    wrapped = guard(Unprintable())
    assert not inspect.iscoroutinefunction(wrapped)
    assert not any(hasattr(wrapped, name) for name in ("__name__", "__code__", "__annotations__"))


@pytest.mark.parametrize("fn", [str.upper, object.__repr__, (5).__add__])
def test_a_guard_has_a_module_even_if_its_callable_has_none(fn: Any) -> None:
    module = types.ModuleType("somewhere")
    module.guarded = guard(fn)  # type: ignore[attr-defined]
    assert doctest.DocTestFinder().find(module) == []
    assert typing.get_overloads(module.guarded) == []


def test_a_callable_whose_attributes_raise_is_guarded_without_them() -> None:
    for answer in (guard(Evasive(RuntimeError))(), guard.call(Evasive(RuntimeError))):
        assert answer == "answer"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_while_a_callable_is_looked_at_is_not_lost(error: type[BaseException]) -> None:
    evasive = Evasive(error)
    for look in (guard, guard.call, guard.try_call, lambda fn: guard.call(functools.partial(fn))):
        with pytest.raises(error):
            look(evasive)


def test_what_is_no_code_tells_nothing_of_its_callable() -> None:
    class Forged:
        class __code__:  # noqa: N801 - the name inspect asks for
            co_flags = 1 << 100

        def __call__(self) -> str:
            return "answer"

    assert guard(Forged())() == "answer"


def test_its_repr_names_function_and_policy() -> None:
    assert repr(guard(original)) == f"<{original!r} guarded by <CircuitBreaker 'face' closed>>"
    assert plain.policy is guard


def test_help_shows_the_function() -> None:
    text = pydoc.plain(pydoc.render_doc(plain))
    assert "plain(a: int, b: str = 'x') -> list[str]" in text
    assert "Return a list." in text
    assert "method(self)" in pydoc.plain(pydoc.render_doc(Holder))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        help(coroutine)
    assert "coroutine()" in out.getvalue()


def test_attributes_may_be_set_and_are_its_own() -> None:
    wrapped = guard(original)
    wrapped.mark = 1
    wrapped.__name__ = "renamed"
    assert (wrapped.mark, wrapped.__name__, wrapped.__dict__["mark"]) == (1, "renamed", 1)
    assert not hasattr(original, "mark")
    assert original.__name__ == "original"
    del wrapped.mark
    assert not hasattr(wrapped, "mark")
    for name in ("policy", "__dict__"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(wrapped, name, 42)


def test_its_type_cannot_be_made_derived_or_changed() -> None:
    with pytest.raises(TypeError):
        Guard()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        type("Sub", (Guard,), {})
    with pytest.raises(TypeError):
        Guard.__call__ = None  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_pickled_by_its_qualified_name(protocol: int) -> None:
    things = [plain, coroutine, generator, Holder.method, Holder.Inner.static]
    if protocol < 4:  # no dots in names
        things = [plain, coroutine]
    for thing in things:
        assert pickle.loads(pickle.dumps(thing, protocol)) is thing


def test_bound_methods_are_pickled_with_their_instance() -> None:
    revived = pickle.loads(pickle.dumps(Holder().method))
    assert isinstance(revived(), Holder)
    assert pickle.loads(pickle.dumps(Holder.of_class))() is Holder


def test_what_has_no_name_to_be_found_by_is_refused_by_pickle() -> None:
    for nameless in (guard(functools.partial(int)), guard(lambda: 1), guard(original)):
        with pytest.raises((pickle.PicklingError, TypeError, AttributeError)) as refusal:
            pickle.dumps(nameless)
        assert "pickle" in str(refusal.value).lower()


def test_copies_are_the_guard_itself_as_with_functions() -> None:
    for it in (plain, guard(functools.partial(int)), guard(lambda: 1)):
        assert copy.copy(it) is it
        assert copy.deepcopy(it) is it
        assert copy.deepcopy([it])[0] is it


def test_it_may_be_referenced_weakly_hashed_and_compared() -> None:
    wrapped = guard(original)
    ref = weakref.ref(wrapped)
    assert {wrapped: 1}[wrapped] == 1
    assert wrapped == wrapped
    assert wrapped != guard(original)
    del wrapped
    gc.collect()
    assert ref() is None


def test_it_keeps_policy_and_function_alive_and_in_a_cycle_dies_with_them() -> None:
    def make() -> tuple[Any, Any]:
        breaker = tripping()

        def fn() -> Any:
            return fn.guard  # type: ignore[attr-defined]

        fn.guard = breaker(fn)  # type: ignore[attr-defined]
        fn.guard.itself = fn.guard  # type: ignore[attr-defined]
        assert fn.guard() is fn.guard  # type: ignore[attr-defined]
        return weakref.ref(breaker), weakref.ref(fn)

    refs = make()
    assert all(ref() is not None for ref in refs)
    gc.collect()
    assert all(ref() is None for ref in refs)

    guarded = places()(original)
    gc.collect()
    assert guarded(1, c=True) == []


def test_a_callable_that_is_a_tuple_has_its_own_signature():
    class Point(tuple[int, ...]):
        __slots__ = ()

        def __call__(self, scale: int) -> int:
            return scale

    guard = CircuitBreaker("b")(Point((1, 2)))
    assert str(inspect.signature(guard)) == "(scale: int) -> int"
    assert guard(3) == 3
