"""Requests to an ASGI application, without a server."""

import asyncio
from typing import Any

import httpx


def get(app: Any, path: str = "/", **settings: Any) -> httpx.Response:
    """Answer one request."""

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app, **settings)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(main())
