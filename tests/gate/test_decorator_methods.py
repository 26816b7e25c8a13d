"""Guarded methods bind as functions do."""

import asyncio
import functools
import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from holdfast import CircuitBreaker
from tests.gate.parts import fates, places

guard = CircuitBreaker("methods")


class Service:
    """Methods of every kind."""

    answers: ClassVar[list[str]] = []

    @guard
    def method(self, number: int = 1) -> tuple[Any, int]:
        return self, number

    @guard
    async def coroutine(self, number: int = 1) -> tuple[Any, int]:
        return self, number

    @guard
    def generator(self) -> Iterator[Any]:
        yield self

    @classmethod
    @guard
    def inner_class(cls) -> Any:
        return cls

    @guard
    @classmethod
    def outer_class(cls) -> Any:
        return cls

    @staticmethod
    @guard
    def inner_static(number: int) -> int:
        return number

    @guard
    @staticmethod
    def outer_static(number: int) -> int:
        return number

    @guard
    @classmethod
    async def class_coroutine(cls) -> Any:
        return cls

    @property
    @guard
    def attribute(self) -> Any:
        return self

    @functools.cached_property
    @guard
    def once(self) -> Any:
        return self

    @guard
    def __call__(self) -> Any:
        return self

    @guard
    def __len__(self) -> int:
        return 7


class Derived(Service):
    def method(self, number: int = 1) -> tuple[Any, int]:
        return super().method(number + 1)


def test_methods_get_their_instance() -> None:
    service = Service()
    assert service.method() == (service, 1)
    assert service.method(number=5) == (service, 5)
    assert Service.method(service, 3) == (service, 3)
    assert service() is service
    assert len(service) == 7
    assert service.attribute is service.once is service
    assert asyncio.run(service.coroutine(4)) == (service, 4)
    assert list(service.generator()) == [service]


def test_class_and_static_methods_may_be_guarded_from_either_side() -> None:
    for service in (Service, Service(), Derived, Derived()):
        cls = service if isinstance(service, type) else type(service)
        assert service.inner_class() is service.outer_class() is cls
        assert service.inner_static(3) == service.outer_static(3) == 3
        assert asyncio.run(service.class_coroutine()) is cls
    assert isinstance(Service.__dict__["outer_class"], classmethod)
    assert isinstance(Service.__dict__["outer_static"], staticmethod)


def test_an_overriding_method_finds_the_guarded_one() -> None:
    derived = Derived()
    assert derived.method(1) == (derived, 2)


def test_a_bound_method_is_a_method_of_the_guard() -> None:
    service = Service()
    bound = service.method
    assert inspect.ismethod(bound)
    assert bound.__self__ is service
    assert bound.__func__ is Service.method is Service.__dict__["method"]
    assert bound == service.method
    assert bound != Service().method
    assert bound.__name__ == "method"
    assert bound.__qualname__ == "Service.method"
    assert str(inspect.signature(bound)) == "(number: int = 1) -> tuple[typing.Any, int]"
    assert inspect.iscoroutinefunction(service.coroutine)
    assert inspect.isgeneratorfunction(service.generator)
    assert bound.__wrapped__(service, 9) == (service, 9)


def test_a_guard_set_on_an_instance_does_not_bind() -> None:
    service: Any = Service()
    service.loose = guard(lambda *args: args)
    assert service.loose(1) == (1,)


def test_a_method_may_be_guarded_when_the_class_is_there_already() -> None:
    class Plain:
        def method(self) -> Any:
            return self

    Plain.method = places()(Plain.method)  # type: ignore[method-assign]
    it = Plain()
    assert it.method() is it
    assert places()(it.method)() is it


def test_what_a_class_makes_a_class_or_static_method_by_its_name_is_one() -> None:
    class Base:
        seen: ClassVar[list[Any]] = []

        @guard
        def __new__(cls, name: str) -> Any:
            self = super().__new__(cls)
            self.name = name
            return self

        @guard
        def __init_subclass__(cls, **options: Any) -> None:
            cls.seen.append((cls, options))

        @guard
        def __class_getitem__(cls, item: Any) -> Any:
            return cls, item

    class Sub(Base, option=1): ...

    assert Base.seen == [(Sub, {"option": 1})]
    assert (Base[1], Sub[2]) == ((Base, 1), (Sub, 2))
    assert Sub("x").name == "x"


class Traced:
    """A decorator that binds what it wraps, as wrapt's do, and so knows class methods."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> Any:
        return "traced", self.wrapped(*args)

    def __get__(self, obj: object, cls: type | None = None) -> Any:
        bound = self.wrapped.__get__(obj, cls)
        return self if bound is self.wrapped else Traced(bound)


def test_what_says_itself_how_it_binds_binds_so_when_guarded() -> None:
    breaker = CircuitBreaker("b")

    class Asked:
        @breaker
        @Traced
        def method(self, x: int) -> Any:
            return self, x

        @breaker
        @Traced
        @classmethod
        def of_class(cls, x: int) -> Any:
            return cls, x

        @breaker
        @Traced
        @staticmethod
        def static(x: int) -> Any:
            return x

        @breaker
        @Traced
        async def coroutine(self, x: int) -> Any:
            return self, x

    asked = Asked()
    assert asked.method(1) == Asked.method(asked, 1) == ("traced", (asked, 1))
    assert asked.of_class(2) == Asked.of_class(2) == ("traced", (Asked, 2))
    assert asked.static(3) == Asked.static(3) == ("traced", 3)
    assert vars(Asked)["static"].__wrapped__.name == "static"
    assert asyncio.run(asked.coroutine(4)[1]) == (asked, 4)
    assert fates(breaker)["succeeded"] >= 6
    alone = breaker(Traced(len))
    assert alone("ab") == ("traced", 2)


def test_only_what_binds_is_told_the_name_that_it_has_in_a_class() -> None:
    told: list[str] = []

    class Remote:
        """Has every attribute, as a proxy for another process has, and each of them is a call."""

        def __call__(self) -> str:
            return "called"

        def __getattr__(self, name: str) -> Any:
            return lambda *args: told.append(name)

    class Owner:
        of_class = CircuitBreaker("b")(Traced)  # its __set_name__ is for its instances
        of_object = CircuitBreaker("c")(Remote())

    assert Owner.of_class(len)(".") == ("traced", 1)
    assert Owner.of_object() == "called"
    assert "__set_name__" not in told


def test_what_binds_to_no_callable_says_so() -> None:
    class Value(Traced):
        def __get__(self, obj: object, cls: type | None = None) -> Any:
            return 1

    class Asked:
        value = CircuitBreaker("b")(Value(len))

    with pytest.raises(TypeError, match="guards callables, not int"):
        _ = Asked().value
