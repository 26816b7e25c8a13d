"""Starlette: guarded endpoints are endpoints."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from holdfast import CircuitBreaker
from tests.frameworks.asgi import get
from tests.gate.parts import fates

breaker = CircuitBreaker("starlette")


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("home")


def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("home")


async def greet(word: str, request: Request) -> PlainTextResponse:
    return PlainTextResponse(word)


class Pages:
    word = "home"

    @breaker
    async def inside(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(self.word)

    async def outside(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(self.word)

    @breaker
    def plain(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(self.word)


ENDPOINTS = [
    breaker(home), breaker(breaker(home)), breaker(plain), Pages().inside, Pages().plain,
    breaker(Pages().outside), breaker(functools.partial(greet, "home")),
    breaker(functools.partial(functools.partial(greet), "home")),
    functools.partial(breaker(greet), "home"), breaker(functools.partial(Pages.outside, Pages())),
]  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_guarded_endpoint_answers_requests(endpoint: Callable[..., Any]) -> None:
    before = breaker.snapshot().succeeded
    assert get(Starlette(routes=[Route("/", endpoint)])).text == "home"
    assert breaker.snapshot().succeeded > before
    assert get(Starlette(routes=[Route("/", endpoint)]), "/other").status_code == 404


def test_a_route_has_the_name_and_the_schema_of_the_function() -> None:
    assert Route("/", breaker(home)).name == "home"
    assert Route("/", breaker(home)).methods == {"GET", "HEAD"}


def test_methods_of_a_class_of_endpoints_may_be_guarded_and_so_may_the_class() -> None:
    class Page(HTTPEndpoint):
        @breaker
        async def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("home")

    for endpoint in (Page, breaker(Page)):
        assert get(Starlette(routes=[Route("/", endpoint)])).text == "home"


def test_an_application_may_be_guarded_and_stays_one() -> None:
    own = CircuitBreaker("b")

    class App:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("home")(scope, receive, send)

    assert get(Starlette(routes=[Route("/", own(App()))])).text == "home"
    assert get(own(Starlette(routes=[Route("/", home)]))).text == "home"
    assert fates(own) == {"succeeded": 2}


@pytest.mark.parametrize("kind", ["def", "async def", "partial", "callable"])
def test_a_guarded_background_task_runs(kind: str) -> None:
    own, done = CircuitBreaker("b"), []

    class Callable_:  # noqa: N801
        async def __call__(self, it: int) -> None:
            done.append(it)

    async def work(it: int) -> None:
        done.append(it)

    tasks = {
        "def": done.append,
        "async def": work,
        "partial": functools.partial(work),
        "callable": Callable_(),
    }

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("home", background=BackgroundTask(own(tasks[kind]), 1))

    assert get(Starlette(routes=[Route("/", page)])).text == "home"
    assert done == [1]
    assert fates(own) == {"succeeded": 1}
