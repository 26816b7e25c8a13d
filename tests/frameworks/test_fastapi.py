"""FastAPI: guarded path functions and dependencies, of every kind."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel

from holdfast import CircuitBreaker
from tests.frameworks.asgi import get
from tests.gate.parts import fates

breaker = CircuitBreaker("fastapi")


class Item(BaseModel):
    """Named in annotations that are text here, and resolved in the globals of the function."""

    name: str
    price: float = 1.0


async def limit(default: int, n: int = 0) -> int:
    return n or default


def limit_plain(default: int, n: int = 0) -> int:
    return n or default


def lent(default: int, n: int = 0) -> Iterator[int]:
    yield n or default


async def alent(default: int, n: int = 0) -> AsyncIterator[int]:
    yield n or default


class Limit:
    def __init__(self, default: int) -> None:
        self.default = default

    def plain(self, n: int = 0) -> int:
        return n or self.default

    async def coroutine(self, n: int = 0) -> int:
        return n or self.default

    @breaker
    async def guarded(self, n: int = 0) -> int:
        return n or self.default


class Plain(Limit):
    def __call__(self, n: int = 0) -> int:
        return n or self.default


class Coroutine(Limit):
    async def __call__(self, n: int = 0) -> int:
        return n or self.default


class Lent(Limit):
    def __call__(self, n: int = 0) -> Iterator[int]:
        yield n or self.default


class AsyncLent(Limit):
    async def __call__(self, n: int = 0) -> AsyncIterator[int]:
        yield n or self.default


DEPENDENCIES = [
    *(functools.partial(fn, 50) for fn in (limit, limit_plain, lent, alent)),
    functools.partial(functools.partial(limit), 50),
    functools.partial(breaker(limit), 50),
    functools.partial(Limit.coroutine, Limit(50)),
    functools.partial(Limit(50).coroutine),
    *(kind(50) for kind in (Plain, Coroutine, Lent, AsyncLent)),
    functools.partial(Coroutine(50)),
    Limit(50).plain,
    Limit(50).coroutine,
    Limit(50).guarded,
    lambda n=50: int(n),
]


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_a_guarded_dependency_gives_what_it_gives_unguarded(dependency: Callable[..., Any]) -> None:
    own = CircuitBreaker("b")

    def answers(fn: Callable[..., Any]) -> list[Any]:
        app = FastAPI()

        @app.get("/")
        async def page(n: Any = Depends(fn)) -> Any:  # noqa: B008 - as people write it
            return {"n": n, "type": type(n).__name__}

        return [get(app, path).json() for path in ("/", "/?n=7")]

    assert answers(own(dependency)) == answers(dependency)
    assert fates(own) == {"succeeded": 2}


@pytest.mark.parametrize("order", ["def", "async def"])
def test_a_guarded_path_function_is_read_as_the_function(order: str) -> None:
    app, own = FastAPI(), CircuitBreaker("b")

    def show(name: str, q: float = 2, agent: Annotated[str, Header()] = "-") -> Item:
        """Show one."""
        return Item(name=f"{name}{agent}", price=q)

    async def ashow(name: str, q: float = 2, agent: Annotated[str, Header()] = "-") -> Item:
        """Show one."""
        return Item(name=f"{name}{agent}", price=q)

    app.get("/{name}")(own(show if order == "def" else ashow))
    assert get(app, "/tea?q=3").json() == {"name": "tea-", "price": 3.0}
    assert get(app, "/tea?q=x").status_code == 422
    assert fates(own) == {"succeeded": 1}
    operation = app.openapi()["paths"]["/{name}"]["get"]
    assert operation["description"] == "Show one."
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Item"
    }


def test_a_dependency_is_cached_overridden_and_closed_as_without_a_guard() -> None:
    app, log = FastAPI(), []

    @breaker
    def session() -> Iterator[str]:
        log.append("open")
        yield "session"
        log.append("closed")

    @app.get("/")
    async def page(one: str = Depends(session), two: str = Depends(session)) -> list[str]:
        log.append("used")
        return [one, two]

    assert get(app).json() == ["session", "session"]
    assert log == ["open", "used", "closed"]
    app.dependency_overrides[session] = lambda: "other"
    assert get(app).json() == ["other", "other"]


def test_a_guard_over_the_path_decorator_and_under_it() -> None:
    app, own = FastAPI(), CircuitBreaker("b")

    class Pages:
        @own
        async def page(self, n: int) -> int:
            return n

    app.get("/{n}")(Pages().page)
    app.get("/other/{n}")(own(Pages().page))
    assert get(app, "/3").json() == get(app, "/other/3").json() == 3
    assert get(app, "/x").status_code == 422
    assert fates(own) == {"succeeded": 3}
