"""Guards pass for functions: the standard library asks for what functions have."""

import abc
import asyncio
import dataclasses
import functools
import inspect
import pydoc
import sys
import types
import typing
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from holdfast import CircuitBreaker
from holdfast._native.gate import Guard
from tests.gate.parts import fates

guard = CircuitBreaker("passes")
NAMES = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__type_params__")
PARTS = ("__code__", "__defaults__", "__kwdefaults__", "__globals__", "__builtins__")


def add(a: int, b: int = 2, *, c: int = 3) -> int:
    """Add."""
    return a + b + c


async def fetch(key: str) -> str:
    return key


class Shop:
    @guard
    def sell(self, item: str, n: int = 1) -> Any:
        return self, item, n

    @guard
    async def ask(self, item: str) -> str:
        return item

    @staticmethod
    @guard
    def static(item: str) -> str:
        return item

    @guard
    @classmethod
    def of(cls, item: str) -> str:
        return item


def answers(it: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(it, name) for name in names if hasattr(it, name)}


@pytest.mark.parametrize("fn", [add, fetch, lambda: 1, guard(add), Shop.sell])
def test_a_guard_of_a_function_passes_for_a_function(fn: Callable[..., Any]) -> None:
    it = guard(fn)
    assert isinstance(it, types.FunctionType)
    assert inspect.isfunction(it)
    assert isinstance(it, Guard)
    assert type(it) is Guard
    assert it.__class__ is types.FunctionType
    assert answers(it, NAMES + PARTS) == answers(fn, NAMES + PARTS)
    assert inspect.getfullargspec(it) == inspect.getfullargspec(fn)
    assert inspect.signature(it, follow_wrapped=False) == inspect.signature(fn)
    assert inspect.getclosurevars(it) == inspect.getclosurevars(fn)
    assert inspect.getfile(it) == __file__
    assert set(dir(it)) >= {*dir(fn), "policy", "with_options"}


def test_a_guard_of_a_bound_method_passes_for_a_function_without_self() -> None:
    it = guard(Shop().ask)
    assert inspect.isfunction(it)
    assert inspect.iscoroutinefunction(it)
    assert inspect.getfullargspec(it).args == ["item"]
    assert str(inspect.signature(it)) == "(item: str) -> str"


@pytest.mark.parametrize("fn", [int, (2).__mul__, mock.Mock(), functools.lru_cache(add)])
def test_a_guard_of_what_is_no_function_does_not_pass_for_one(fn: Callable[..., Any]) -> None:
    it = guard(fn)
    assert not inspect.isfunction(it)
    assert it.__class__ is Guard


def test_a_guard_of_a_builtin_function_passes_for_one() -> None:
    it = guard(len)
    assert inspect.isbuiltin(it)
    assert inspect.isroutine(it)
    assert not inspect.isfunction(it)
    assert not hasattr(it, "__code__")
    assert "__code__" not in dir(it)
    assert inspect.signature(it, follow_wrapped=False) == inspect.signature(len)
    assert pydoc.plain(pydoc.render_doc(it)).count("len(obj, /)") == 1


def test_a_proxy_of_a_function_is_guarded_as_one() -> None:
    class Proxy:
        __class__ = types.FunctionType  # type: ignore[assignment]

        def __call__(self) -> int:
            return 1

    assert inspect.isfunction(guard(Proxy()))
    assert guard(Proxy())() == 1


def test_what_wraps_a_guard_keeps_its_own_code_and_kind() -> None:
    @functools.wraps(guard(fetch))
    def facade(key: str) -> str:
        return f"<{key}>"

    assert facade.__dict__ == {"__wrapped__": facade.__wrapped__}  # type: ignore[attr-defined]
    assert facade("k") == "<k>"
    assert not inspect.iscoroutinefunction(facade)
    assert facade.__code__.co_name == "facade"
    assert facade.__name__ == "fetch"
    assert guard(facade)("k") == "<k>"


def test_its_dict_holds_what_that_of_a_function_would() -> None:
    def fn() -> None: ...

    fn.label = "x"  # type: ignore[attr-defined]
    it = guard(fn)
    assert vars(it) == {"label": "x", "__wrapped__": fn}
    it.__name__ = "other"
    assert vars(it) == {"label": "x", "__wrapped__": fn}


def test_names_may_be_set_on_the_guard_alone() -> None:
    def fn(a: int) -> None:
        """Do."""

    it = guard(fn)
    for name, value in (("__name__", "n"), ("__qualname__", "q"), ("__module__", "m")):
        before = getattr(fn, name)
        setattr(it, name, value)
        assert getattr(it, name) == getattr(guard(it), name) == value
        assert getattr(fn, name) == before
        delattr(it, name)
        assert getattr(it, name) == before
        with pytest.raises(AttributeError, match=name):
            delattr(it, name)
    it.__doc__ = None
    assert (it.__doc__, fn.__doc__) == (None, "Do.")
    for name in ("__name__", "__qualname__"):
        with pytest.raises(TypeError, match=f"{name} must be set to a string"):
            setattr(it, name, 42)


def test_a_guard_may_be_the_facade_of_another_function() -> None:
    it = functools.update_wrapper(guard(lambda *args: args), add)
    assert (it.__name__, it.__doc__, it.__module__) == ("add", "Add.", __name__)
    assert inspect.signature(it) == inspect.signature(add)
    assert typing.get_type_hints(it) == typing.get_type_hints(add)
    assert it.__annotations__ == add.__annotations__


def test_defaults_and_code_are_those_that_a_call_has() -> None:
    def fn(a: int = 1) -> int:
        return a

    it = guard(guard(fn))
    it.__defaults__ = (2,)
    assert (it(), fn(), inspect.signature(it).parameters["a"].default) == (2, 2, 2)
    it.__code__ = (lambda a: -a).__code__
    assert it() == -2
    del it.__defaults__
    assert it.__defaults__ is None
    for name in ("__globals__", "__closure__", "__builtins__"):
        with pytest.raises(AttributeError):
            setattr(it, name, None)
    with pytest.raises(AttributeError):
        guard(len).__defaults__ = ()


def test_a_function_made_anew_of_its_parts_is_not_silently_unguarded() -> None:
    offset = 1

    def closed() -> int:
        return offset

    for fn in (add, closed):
        it = guard(fn)
        cells = it.__closure__
        assert cells[:-1] == (fn.__closure__ or ())  # type: ignore[attr-defined]
        assert cells[-1].cell_contents is guard
        with pytest.raises(ValueError, match="closure of length"):
            types.FunctionType(it.__code__, it.__globals__, closure=cells)


def test_an_autospec_checks_arguments_and_gives_methods_their_self() -> None:
    fake = mock.create_autospec(guard(add), return_value=7)
    assert fake(1, c=2) == 7
    fake.assert_called_once_with(1, c=2)
    with pytest.raises(TypeError):
        fake(1, d=2)
    shop = mock.create_autospec(Shop, instance=True)
    shop.sell("tea", n=2)
    shop.sell.assert_called_once_with("tea", 2)
    for wrong in (shop.sell, shop.static, shop.of):
        with pytest.raises(TypeError):
            wrong("a", 1, 2)
    shop.ask.return_value = "there"
    assert asyncio.run(shop.ask("tea")) == "there"
    with pytest.raises(TypeError):
        shop.ask()


def test_a_guarded_method_may_be_patched_with_its_autospec() -> None:
    shop = Shop()
    with mock.patch.object(Shop, "sell", autospec=True) as sell:
        shop.sell("tea")
        sell.assert_called_once_with(shop, "tea")
        with pytest.raises(TypeError):
            shop.sell()
    assert shop.sell("tea") == (shop, "tea", 1)
    with mock.patch(f"{__name__}.guarded_here", autospec=True) as fake:
        fake(1)
        with pytest.raises(TypeError):
            fake()


@guard
def guarded_here(a: int) -> int:
    return a


def test_an_autospec_of_a_guarded_coroutine_function_is_awaited() -> None:
    fake = mock.create_autospec(guard(fetch), return_value="v")
    assert asyncio.run(fake("k")) == "v"
    fake.assert_awaited_once_with("k")


def test_generic_functions_may_be_guarded_and_have_guarded_cases() -> None:
    @functools.singledispatch
    @guard
    def show(it: object) -> str:
        return "object"

    @show.register
    @guard
    def _(it: int) -> str:
        return "int"

    @show.register(str)
    @guard
    def _(it: str) -> str:
        return "str"

    assert [show(it) for it in (1.0, 1, "")] == ["object", "int", "str"]
    assert guard(show)(1) == "int"
    assert guard(show).register is show.register

    class Shown:
        @functools.singledispatchmethod
        @guard
        def show(self, it: object) -> Any:
            return self, "object"

        @show.register
        @guard
        def _(self, it: int) -> Any:
            return self, "int"

    shown = Shown()
    assert (shown.show(""), shown.show(1)) == ((shown, "object"), (shown, "int"))


def test_caches_stand_over_guards_and_under_them() -> None:
    breaker, calls = CircuitBreaker("b"), []

    @functools.lru_cache
    @breaker
    def over(n: int) -> int:
        calls.append(n)
        return n

    assert (over(1), over(1), calls) == (1, 1, [1])
    assert fates(breaker) == {"succeeded": 1}
    under = breaker(functools.lru_cache(add))
    assert (under(1), under(1)) == (6, 6)
    assert under.__name__ == "add"
    assert under.cache_info().hits == 1
    under.cache_clear()
    assert under.cache_info().hits == 0

    class Once:
        @functools.cached_property
        @breaker
        def value(self) -> list[int]:
            return []

    once = Once()
    assert once.value is once.value


def test_a_partial_method_of_a_guard_has_its_self() -> None:
    class Lamp:
        @guard
        def turn(self, to: bool) -> Any:
            return self, to

        on = functools.partialmethod(turn, True)

    lamp = Lamp()
    assert lamp.on() == (lamp, True)
    assert str(inspect.signature(lamp.on)) == "() -> Any"


def test_overrides_finals_and_abstract_methods_keep_their_marks() -> None:
    class Base(abc.ABC):
        @abc.abstractmethod
        @guard
        def outer(self) -> None: ...

        @property
        @guard
        @abc.abstractmethod
        def inner(self) -> None: ...

        @typing.final
        @guard
        def last(self) -> int:
            return 1

    assert Base.__abstractmethods__ == {"outer", "inner"}
    assert Base.last.__final__  # type: ignore[attr-defined]
    assert not hasattr(guard(add), "__isabstractmethod__")


def test_a_guarded_method_of_a_dataclass_finds_the_class_it_is_in() -> None:
    class Base:
        def price(self) -> int:
            return 1

    @dataclasses.dataclass(slots=sys.version_info >= (3, 14))
    class Item(Base):
        n: int = 2

        @guard
        def price(self) -> int:
            return self.n * super().price()

    assert Item(3).price() == 3


def test_a_class_has_the_signature_of_its_guarded_constructor() -> None:
    class Made:
        @guard
        def __init__(self, a: int, *, b: str = "") -> None:
            self.a = a

    assert str(inspect.signature(Made)) == "(a: int, *, b: str = '') -> None"
    assert Made(1).a == 1


def test_dir_names_annotations_that_cannot_be_had_yet() -> None:
    namespace: dict[str, Any] = {}
    exec("def fn(a: Later): ..." if sys.version_info >= (3, 14) else "def fn(a): ...", namespace)
    assert "__annotations__" in dir(guard(namespace["fn"]))


def test_ten_thousand_guards_of_guards_are_looked_at_without_recursion() -> None:
    it: Any = add
    for _ in range(10_000):
        it = guard(it)
    assert inspect.isfunction(it)
    assert (it.__name__, it.__code__, it.__annotations__) == (
        "add",
        add.__code__,
        add.__annotations__,
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="markcoroutinefunction came with 3.12")
def test_a_guard_may_be_marked_as_a_coroutine_function() -> None:
    it = guard(lambda key: fetch(key))
    assert not inspect.iscoroutinefunction(it)
    assert inspect.iscoroutinefunction(inspect.markcoroutinefunction(it))
    assert asyncio.run(it("k")) == "k"
