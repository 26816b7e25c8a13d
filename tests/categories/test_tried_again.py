"""A server that fails at first is tried again, through each client, with default settings."""

import asyncio

import pytest

import holdfast as hf
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer, drop, reset

RESETTING = (drop, reset, answer(200))


def of_standard() -> hf.Pipeline:
    return hf.Pipeline.standard("server", backoff=hf.Constant(0))


def of_retry() -> hf.Retry:
    return hf.Retry("server", backoff=hf.Constant(0))


each_policy = pytest.mark.parametrize("policy", [of_standard, of_retry])


@each_policy
@pytest.mark.parametrize("client", ["httpx", "httpx2", "requests"])
def test_a_resetting_server_is_tried_again(client, policy):  # RT-20
    library = real_library(client)
    with Server(*RESETTING) as server:
        assert policy().call(library.get, server.url, verify=False).status_code == 200
    assert server.connections == 3


@each_policy
def test_a_resetting_server_is_tried_again_by_tasks(policy):  # RT-20
    aiohttp = real_library("aiohttp")

    async def get(url):
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status

    with Server(*RESETTING) as server:
        assert asyncio.run(policy().acall(get, server.url)) == 200
    assert server.connections >= 3  # aiohttp repeats a request of its own accord


@each_policy
@pytest.mark.parametrize(("status", "attempts"), [(503, 4), (429, 4), (401, 1), (404, 1)])
def test_an_error_made_of_a_response_is_tried_again_if_a_later_one_may_differ(
    status, attempts, policy
):
    httpx = real_library("httpx")

    def get(url):
        return httpx.get(url, verify=False).raise_for_status()

    with Server(answer(status)) as server, pytest.raises(httpx.HTTPStatusError):
        policy().call(get, server.url)
    assert server.connections == attempts


@pytest.mark.parametrize("make", [hf.Retry, hf.Pipeline.standard])
def test_a_result_with_a_failed_status_is_tried_again_if_results_of_http_are_judged(make):
    requests = real_library("requests")
    policy = make("server", on_result="http", backoff=hf.Constant(0))
    with Server(answer(503), answer(429), answer(200)) as server:
        assert policy.call(requests.get, server.url).status_code == 200
    with Server(answer(404)) as server:
        assert policy.call(requests.get, server.url).status_code == 404
    assert server.connections == 1


def test_the_pool_of_a_database_is_tried_again():  # RT-20
    sqlalchemy = real_library("sqlalchemy")
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )
    held, attempts = [engine.connect()], []

    def connect():
        attempts.append(None)
        if len(attempts) == 3:
            held.pop().close()
        return engine.connect()

    of_standard().call(connect).close()
    engine.dispose()
    assert len(attempts) == 3
