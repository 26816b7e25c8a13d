"""What type checkers say of guarded functions and methods: `make types` checks this file.

A function becomes a ``Guard`` with its parameters and result. A method keeps its exact type.
"""

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, assert_type, overload

import pytest

import holdfast as hf

breaker = hf.CircuitBreaker("payments")
pipeline = hf.Pipeline("all", breaker)
T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


@breaker
def charge(card: str, amount: int = 1, *, note: str = "") -> float:
    return len(card) * float(amount)


@pipeline
async def fetch(url: str) -> bytes:
    return url.encode()


@breaker
def count(least: int) -> Generator[int, None, str]:
    yield least
    return "done"


@breaker
async def ticks(n: int) -> AsyncIterator[int]:
    yield n


@breaker
def same(value: T) -> T:
    return value


@breaker
def loose(data: dict[str, Any], **options: Any) -> list[Any]:
    return [*data, *options]


@overload
def double(value: int) -> int: ...
@overload
def double(value: str) -> str: ...
@breaker
def double(value: int | str) -> int | str:
    return value * 2


@contextmanager
@breaker
def session(name: str) -> Generator[str, None, None]:
    yield name


@hf.Retry("network", on=OSError)
def read(path: str) -> str:
    return path


class Seller(Protocol):
    def sell(self, item: str, n: int = 1) -> int: ...


class Shop(ABC, Generic[T]):
    def __init__(self, kept: T) -> None:
        self.kept = kept

    @abstractmethod
    def sell(self, item: str, n: int = 1) -> int: ...

    @breaker
    def get(self) -> T:
        return self.kept

    @breaker
    def itself(self) -> Self:
        return self

    @overload
    def put(self, thing: int) -> int: ...
    @overload
    def put(self, thing: str) -> str: ...
    @breaker
    def put(self, thing: int | str) -> int | str:
        return thing


class Corner(Shop[float]):
    @breaker
    def sell(self, item: str, n: int = 1) -> int:
        return n

    @pipeline
    async def restock(self, item: str) -> bytes:
        return item.encode()

    @classmethod
    @breaker
    def open(cls, city: str) -> Self:
        return cls(len(city))

    @breaker
    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @staticmethod
    @breaker
    def price(item: str) -> int:
        return len(item)

    @breaker
    @staticmethod
    def weight(item: str) -> int:
        return len(item)

    @property
    @breaker
    def stock(self) -> int:
        return 3

    @breaker
    def __call__(self, item: str) -> int:
        return len(item)


class Cheap(Corner):
    def sell(self, item: str, n: int = 2) -> int:
        return n


def test_a_guarded_function_knows_its_policy_and_the_function() -> None:
    assert_type(charge.policy, hf.CircuitBreaker)
    assert_type(fetch.policy, hf.Pipeline)
    assert_type(charge.policy.state, hf.State)
    assert_type(charge.__wrapped__("4711"), float)
    assert_type(charge.__name__, str)
    assert_type(read.with_options(attempts=2)("a"), str)
    with pytest.raises(TypeError):
        charge.with_options(retry=None)  # type: ignore[arg-type, misc]


def test_its_arguments_are_checked_and_its_result_is_known() -> None:
    assert_type(charge("4711", amount=2, note="a"), float)
    assert_type(same("tea"), str)
    assert_type(double(2), int)
    assert_type(double("a"), str)
    assert_type(loose({}, a=1), list[Any])
    assert_type(count(1), Generator[int, None, str])
    with session("a") as name:
        assert_type(name, str)
    with pytest.raises(TypeError):
        charge(4711)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        charge("4711", colour="red")  # type: ignore[call-arg]


def test_it_goes_where_a_callable_goes() -> None:
    taken: Callable[[str], float] = charge
    assert_type(functools.partial(charge, "4711")(), float)
    assert taken("4711") == 4.0
    assert_type(breaker(charge)("4711"), float)
    assert_type(breaker(lambda: 3)(), int)
    assert_type(breaker(len)("abc"), int)

    def annotated(fn: hf.Guard[P, R]) -> Callable[P, R]:
        return fn.__wrapped__

    assert_type(annotated(charge)("4711"), float)


def test_what_is_awaited_and_iterated_keeps_its_type() -> None:
    async def main() -> None:
        assert_type(await fetch("a"), bytes)
        assert_type(await Corner(1).restock("a"), bytes)
        assert_type([tick async for tick in ticks(1)], list[int])

    asyncio.run(main())


def test_methods_keep_their_exact_type() -> None:
    corner = Corner(1.5)
    seller: Seller = corner
    assert_type(seller.sell("tea"), int)
    assert_type(corner.get(), float)
    assert_type(corner.itself(), Corner)
    assert_type(corner.put("a"), str)
    assert_type(corner("tea"), int)
    assert_type(corner.stock, int)
    assert_type(Corner.open("rome"), Corner)
    assert_type(Corner.name(), str)
    assert_type((Corner.price("tea"), corner.price("tea")), tuple[int, int])
    assert_type((Corner.weight("tea"), corner.weight("tea")), tuple[int, int])
    assert_type(Cheap(1).sell("tea"), int)
    with pytest.raises(TypeError):
        corner.sell("tea", colour="red")  # type: ignore[call-arg]


def test_a_decorator_of_the_user_may_use_a_policy() -> None:
    def guarded(fn: Callable[P, R]) -> Callable[P, R]:
        return breaker(fn)

    def kept(fn: F) -> F:
        return breaker(fn)  # type: ignore[no-any-return] # to mypy it may be of either kind

    assert_type(guarded(len)("abc"), int)
    assert kept(len)("abc") == 3


def test_acall_takes_whatever_can_be_awaited() -> None:
    class Page:
        def __await__(self) -> Generator[Any, None, bytes]:
            return fetch("a").__await__()

    def later(url: str) -> "asyncio.Future[bytes]":
        return asyncio.ensure_future(fetch(url))

    def page() -> Page:
        return Page()

    def either(url: str) -> Awaitable[bytes]:
        return fetch(url)

    async def main() -> None:
        for policy in (breaker, pipeline):
            assert_type(await policy.acall(later, "a"), bytes)
            assert_type(await policy.acall(page), bytes)
            assert_type(await policy.acall(fetch, "a"), bytes)
            assert_type(await policy.try_acall(either, "a"), hf.Outcome[bytes])
            assert_type((await policy.acall_with_stats(later, "a"))[0], hf.Outcome[bytes])
            gathered = await policy.acall(lambda: asyncio.gather(fetch("a"), fetch("b")))
            assert_type(gathered, tuple[bytes, bytes])
            with pytest.raises(TypeError):
                await policy.acall(ticks, 1)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                await policy.acall(charge, "4711")  # type: ignore[arg-type]

    asyncio.run(main())


def test_an_outcome_has_the_value_or_the_default() -> None:
    outcome = breaker.try_call(charge, "4711")
    assert_type(outcome.value_or(None), float | None)
    assert_type(outcome.value_or("none"), float | str)
