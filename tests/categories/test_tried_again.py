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


LARGE = (answer(503, b"x" * 10_000_000), answer(200))  # more than a client takes unread


def test_a_response_that_is_not_returned_gives_its_connection_back():
    urllib3 = real_library("urllib3")
    with Server(*LARGE) as server:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1, block=True)
        retry = hf.Retry("server", on_result="http", backoff=0)
        response = retry.call(
            pool.urlopen, "GET", "/", preload_content=False, pool_timeout=0, retries=False
        )
        assert (response.status, response.closed) == (200, False)


def test_a_response_that_is_not_returned_gives_its_connection_back_to_tasks():
    aiohttp = real_library("aiohttp")

    async def get(url):
        connector = aiohttp.TCPConnector(limit=1)
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            retry = hf.Retry("server", attempts=2, on_result="http", backoff=0)
            return (await retry.acall(session.get, url)).status

    with Server(*LARGE) as server:
        assert asyncio.run(get(server.url)) == 200


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_a_stream_of_a_task_that_is_not_returned_gives_its_connection_back(client):
    library = real_library(client)

    async def get(url):
        limits = library.Limits(max_connections=1)
        async with library.AsyncClient(limits=limits, timeout=5, verify=False) as pool:
            retry = hf.Retry("server", attempts=2, on_result="http", backoff=0)
            request = pool.build_request("GET", url)
            response = await retry.acall(pool.send, request, stream=True)
            await response.aclose()
            return response.status_code

    with Server(*LARGE) as server:
        assert asyncio.run(get(server.url)) == 200


class Response:
    """What a user makes, with a close() that may do anything."""

    status_code = 503

    def __init__(self, close):
        self.close = close


def test_each_response_but_the_last_is_closed_whatever_comes_of_it():
    closed = []

    async def late():
        raise AssertionError("no task is there to wait for it")

    def fail():
        closed.append("failed")
        raise RuntimeError("a stream of a task")

    last = Response(lambda: closed.append("last"))
    responses = [last, Response(late), Response(fail), Response(lambda: closed.append("first"))]
    retry = hf.Retry("server", on_result="http", backoff=0)
    assert retry.call(responses.pop) is last
    assert closed == ["first", "failed"]
    own = hf.Retry("own", on_result=lambda _: True, attempts=2, backoff=0)
    own.call(lambda: Response(fail))
    assert closed == ["first", "failed"]


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
