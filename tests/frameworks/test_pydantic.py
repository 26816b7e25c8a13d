"""pydantic: guards in models, and over and under ``validate_call``."""

from __future__ import annotations

import asyncio
from typing import Any

import pydantic
import pytest

from holdfast import CircuitBreaker
from tests.gate.parts import fates


class Item(pydantic.BaseModel):
    """Named in annotations that are text here."""

    name: str


def sell(item: Item, n: int = 1) -> str:
    return item.name * n


def test_validation_stands_over_a_guard_and_under_it() -> None:
    breaker = CircuitBreaker("b")
    over = pydantic.validate_call(breaker(sell))
    under = breaker(pydantic.validate_call(sell))
    for fn in (over, under):
        assert fn({"name": "ab"}, n="2") == "abab"
        with pytest.raises(pydantic.ValidationError):
            fn({"name": 1}, "x")
        assert fn.__name__ == "sell"
    assert fates(breaker) == {"succeeded": 2, "failed": 1}


def test_guarded_coroutine_functions_and_methods_are_validated() -> None:
    breaker = CircuitBreaker("b")

    class Shop:
        @pydantic.validate_call
        @breaker
        async def sell(self, item: Item, n: int = 1) -> Any:
            return self, item, n

        @breaker
        @pydantic.validate_call
        def lend(self, item: Item) -> Any:
            return self, item

    shop, item = Shop(), Item(name="a")
    assert asyncio.run(shop.sell({"name": "a"}, "2")) == (shop, item, 2)
    assert shop.lend({"name": "a"}) == (shop, item)
    with pytest.raises(pydantic.ValidationError):
        shop.lend(1)


def test_guards_are_validators_serializers_and_methods_of_a_model() -> None:
    breaker = CircuitBreaker("b")

    class Order(pydantic.BaseModel):
        name: str
        size: int = 1

        @pydantic.field_validator("name")
        @classmethod
        @breaker
        def upper(cls, value: str) -> str:
            return value.upper()

        @pydantic.model_validator(mode="after")
        @breaker
        def check(self) -> Order:
            return self

        @pydantic.field_serializer("size")
        @breaker
        def shown(self, value: int) -> str:
            return f"#{value}"

        @pydantic.computed_field
        @property
        @breaker
        def twice(self) -> int:
            return 2 * self.size

        @breaker
        def method(self) -> int:
            return self.size

    order = Order(name="tea")
    assert order.model_dump() == {"name": "TEA", "size": "#1", "twice": 2}
    assert order.method() == 1
    assert fates(breaker)["succeeded"] == 5


def test_what_validates_itself_takes_a_guard_for_a_callable() -> None:
    adapter = pydantic.TypeAdapter(CircuitBreaker("b")(sell))
    assert adapter.validate_python(pydantic_core_args({"name": "a"}, 3)) == "aaa"


def pydantic_core_args(*args: Any, **kwargs: Any) -> Any:
    import pydantic_core

    return pydantic_core.ArgsKwargs(args, kwargs)
