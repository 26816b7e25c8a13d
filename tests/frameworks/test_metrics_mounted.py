"""The metrics in applications of Starlette and FastAPI, added as the documents show."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

import holdfast as hf
from holdfast.telemetry.prometheus import asgi_app


@pytest.fixture(params=[Starlette, FastAPI])
def app(request: pytest.FixtureRequest) -> Any:
    return request.param()


def mount(app: Any) -> list[str]:
    app.mount("/metrics", asgi_app())
    return ["/metrics", "/metrics/"]


def add_route(app: Any) -> list[str]:
    app.add_route("/metrics", asgi_app())
    return ["/metrics"]


def ask(app: Any, method: str, path: str, *, root_path: str = "", follow: bool = True) -> Any:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, follow_redirects=follow)

    return asyncio.run(main())


@pytest.mark.parametrize("add", [mount, add_route])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("root_path", ["", "/shop"], ids=["alone", "behind-a-proxy"])
def test_the_metrics_are_at_their_path(app: Any, add: Any, method: str, root_path: str) -> None:
    breaker = hf.CircuitBreaker("b")
    for path in add(app):
        found = ask(app, method, root_path + path, root_path=root_path)
        assert found.status_code == 200
        assert (f'state{{name="{breaker.name}"}}' in found.text) == (method == "GET")


def test_a_route_answers_at_once_and_a_mount_redirects_to_the_path_with_a_slash(app: Any) -> None:
    mount(app)
    found = ask(app, "GET", "/metrics", follow=False)
    assert (found.status_code, found.headers["location"]) == (307, "http://here/metrics/")
    other = type(app)()
    add_route(other)
    assert ask(other, "GET", "/metrics", follow=False).status_code == 200


@pytest.mark.parametrize("add", [mount, add_route])
def test_a_web_socket_to_the_metrics_is_refused(app: Any, add: Any) -> None:
    path = add(app)[-1]
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert sent == ["websocket.close"]


def test_the_life_of_the_application_is_not_affected(app: Any) -> None:
    mount(app)
    coming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
