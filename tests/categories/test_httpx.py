"""Errors of httpx and httpx2, sync and async, as real servers cause them."""

import asyncio
import importlib

import pytest

import holdfast as hf
from holdfast.categories import Category, classify
from tests.categories.http_failures import TIMEOUT, each_failure
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer, silence


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request):
    real_library(request.param)
    return importlib.import_module(request.param)


@each_failure
def test_an_error_of_a_client_has_the_category_of_its_failure(  # ER-04, RT-20
    httpx, fails_at, trusts, place, category
):
    def get(url):
        httpx.get(url, timeout=TIMEOUT, verify=trusts, trust_env=False).raise_for_status()

    assert classify(fails_at(place, get)) is category


@each_failure
def test_an_error_of_an_asynchronous_client_has_the_category_of_its_failure(
    httpx, fails_at, trusts, place, category
):
    async def get(url):
        async with httpx.AsyncClient(timeout=TIMEOUT, verify=trusts, trust_env=False) as client:
            (await client.get(url)).raise_for_status()

    assert classify(fails_at(place, lambda url: asyncio.run(get(url)))) is category


def test_an_exhausted_pool_is_transient(httpx):  # RT-20
    async def get_twice(url):
        async with httpx.AsyncClient(
            limits=httpx.Limits(max_connections=1),
            timeout=httpx.Timeout(None, pool=0.01),
            trust_env=False,
        ) as client:
            with pytest.raises(httpx.PoolTimeout) as raised:
                await asyncio.gather(client.get(url), client.get(url))
        return raised.value

    with Server(silence) as server:
        assert classify(asyncio.run(get_twice(server.url))) is Category.TRANSIENT


@pytest.mark.parametrize("error", ["UnsupportedProtocol", "TooManyRedirects", "InvalidURL"])
def test_a_malformed_request_is_permanent(httpx, error):
    assert classify(getattr(httpx, error)("x")) is Category.PERMANENT


def test_a_response_and_its_error_request_a_delay(httpx):
    with Server(answer(429, Retry_After="7")) as server:
        response = httpx.get(server.url, trust_env=False)
    with pytest.raises(httpx.HTTPStatusError) as raised:
        response.raise_for_status()
    assert hf.retry_after(response) == hf.retry_after(raised.value) == 7.0
