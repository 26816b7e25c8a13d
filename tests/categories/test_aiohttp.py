"""Errors of aiohttp, as real servers cause them."""

import asyncio

import pytest

import holdfast as hf
from holdfast.categories import Category, classify
from tests.categories.http_failures import TIMEOUT, each_failure
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer

aiohttp = real_library("aiohttp")


async def read(url: str, **settings):
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
        session.get(url, **settings) as response,
    ):
        await response.read()
        return response


@each_failure
def test_an_error_has_the_category_of_its_failure(fails_at, place, category):  # ER-04, RT-20
    error = fails_at(place, lambda url: asyncio.run(read(url, raise_for_status=True)))
    assert classify(error) is category


def test_another_format_is_permanent_unless_it_is_an_error_page():
    def error_of(status):
        return aiohttp.ContentTypeError(None, (), status=status)

    assert classify(error_of(502)) is Category.TRANSIENT
    assert classify(error_of(200)) is Category.PERMANENT


def test_a_body_that_cannot_be_decompressed_is_logic_as_for_other_clients():
    damaged = answer(200, b"no gzip", Content_Encoding="gzip")
    with Server(damaged) as server, pytest.raises(aiohttp.ClientPayloadError) as raised:
        asyncio.run(read(server.url))
    assert classify(raised.value) is Category.LOGIC


def test_a_closed_session_is_logic_and_a_wrong_url_is_permanent():
    async def late():
        async with aiohttp.ClientSession() as session:
            pass
        await session.get("http://127.0.0.1/")

    with pytest.raises(RuntimeError, match="closed") as raised:
        asyncio.run(late())
    assert classify(raised.value) is None
    with pytest.raises(aiohttp.InvalidURL) as raised:
        asyncio.run(read("http:///x"))
    assert classify(raised.value) is Category.PERMANENT


def test_a_response_and_its_error_request_a_delay():
    with Server(answer(429, Retry_After="7")) as server:
        response = asyncio.run(read(server.url))
    with pytest.raises(aiohttp.ClientResponseError) as raised:
        response.raise_for_status()
    assert hf.retry_after(response) == hf.retry_after(raised.value) == 7.0
