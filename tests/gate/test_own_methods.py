"""Subclasses of the gate have native methods of their own, which are cheaper to call."""

from typing import Generic, TypeVar

import pytest

import holdfast
from holdfast.manager.keyed import KeyedOperation
from holdfast.manager.operation import Operation

T = TypeVar("T")


class Telling(holdfast.CircuitBreaker):
    __slots__ = ()

    def call(self, fn, /, *args, **kwargs):
        return "told", super().call(fn, *args, **kwargs)


class TellingToo(Telling):
    __slots__ = ()


@pytest.mark.parametrize("cls", [holdfast.CircuitBreaker, holdfast.RateLimiter, holdfast.Pipeline])
@pytest.mark.parametrize("name", ["call", "try_call", "acall", "try_acall"])
def test_each_policy_has_native_methods_of_its_own(cls, name):
    assert vars(cls)[name].__objclass__ is cls


@pytest.mark.parametrize("cls", [Operation, KeyedOperation])
@pytest.mark.parametrize("name", ["call", "try_call", "acall", "try_acall"])
def test_an_operation_has_them_too_and_also_that_of_one_key(cls, name):
    assert vars(cls)[name].__objclass__ is cls


def test_so_have_the_methods_that_a_policy_gave_a_name_of_its_own():
    assert holdfast.RateLimiter.try_acquire.__objclass__ is holdfast.RateLimiter
    assert holdfast.Bulkhead.try_enter.__objclass__ is holdfast.Bulkhead
    assert holdfast.CircuitBreaker.acquire.__objclass__ is holdfast.CircuitBreaker


def test_a_class_of_the_users_has_them_too():
    assert TellingToo.try_call.__objclass__ is TellingToo
    assert TellingToo("a").try_call(len, "four").value == 4


def test_a_method_that_a_subclass_replaced_stays_replaced_in_its_subclasses():
    assert "call" not in vars(TellingToo)
    assert TellingToo("a").call(len, "four") == ("told", 4)


def test_a_class_statement_takes_no_keywords():
    with pytest.raises(TypeError, match="__init_subclass__"):
        type("Wrong", (holdfast.CircuitBreaker,), {"__slots__": ()}, keyword=1)


def test_other_bases_are_told_of_the_subclass_too() -> None:
    told = []

    class Mixin:
        def __init_subclass__(cls, word="", **kwargs):
            super().__init_subclass__(**kwargs)
            told.append((cls.__name__, word))

    class First(Mixin, holdfast.CircuitBreaker, word="first"): ...

    class Last(holdfast.CircuitBreaker, Mixin, Generic[T], word="last"): ...

    assert told == [("First", "first"), ("Last", "last")]
    assert Last[int].__args__ == (int,)
    for cls in (First, Last):
        assert cls("b").try_call(int).value == 0
        assert vars(cls)["call"].__objclass__ is cls
