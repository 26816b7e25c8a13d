"""The ASGI application: its thread, requests that end early, and what is no GET."""

import asyncio
import importlib.util
import threading
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.telemetry.prometheus import asgi_app
from tests.telemetry.test_serving import REQUEST, answer_of, http


class Slow:
    """A collector that waits until it is released, and records the threads that run it."""

    def __init__(self):
        self.free, self.entered, self.threads = threading.Event(), threading.Event(), set()
        self.registry = CollectorRegistry()
        self.free.set()
        self.registry.register(self)
        self.free.clear()
        self.entered.clear()
        self.scrapes = 0

    def collect(self):
        self.threads.add(threading.current_thread())
        self.entered.set()
        assert self.free.wait(60)
        self.scrapes += 1
        return []


async def until(event):
    while not event.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0)


async def ask(app, sent):
    async def send(message):
        sent.append(message)

    await app(http(), lambda: None, send)


def new_loops():
    yield asyncio.new_event_loop
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        yield uvloop.new_event_loop


@pytest.fixture(params=new_loops(), ids=lambda make: make.__module__)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run


def test_a_scrape_is_answered_while_the_default_executor_is_full(run):
    sent, free = [], threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        waits = [loop.run_in_executor(None, free.wait) for _ in range(64)]
        await ask(asgi_app(), sent)
        free.set()
        await asyncio.gather(*waits)

    run(main())
    assert sent[0]["status"] == 200


def test_many_scrapes_at_once_share_one_thread_that_ends_with_the_last(run):
    slow = Slow()
    app, sent = asgi_app(slow.registry), []

    async def main():
        asked = [asyncio.ensure_future(ask(app, sent)) for _ in range(20)]
        await until(slow.entered)
        slow.free.set()
        await asyncio.gather(*asked)

    slow.threads.clear()
    run(main())
    assert [message["status"] for message in sent[::2]] == [200] * 20
    [thread] = slow.threads
    thread.join(60)
    assert thread.daemon
    assert not thread.is_alive()


def test_a_request_that_is_cancelled_is_not_read_and_the_next_is_answered(run):
    slow = Slow()
    app, sent = asgi_app(slow.registry), []

    async def main():
        first, second = (asyncio.ensure_future(ask(app, sent)) for _ in range(2))
        await until(slow.entered)
        for one in first, second:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one
        slow.free.set()
        await ask(app, sent)

    before = slow.scrapes
    run(main())
    assert slow.scrapes - before == 2  # the first was running, the second was never begun
    assert len(sent) == 2


def test_a_loop_that_is_closed_during_a_scrape_does_no_harm(run):
    slow = Slow()
    app, sent = asgi_app(slow.registry), []

    async def main():
        asyncio.ensure_future(ask(app, sent))  # noqa: RUF006 - the loop ends first
        await until(slow.entered)

    slow.threads.clear()
    run(main())
    slow.free.set()
    for thread in list(slow.threads):
        thread.join(60)
    run(ask(app, sent))
    assert len(sent) == 2


def test_a_scrape_in_a_task_of_trio_is_answered(require_real):
    if importlib.util.find_spec("trio") is None:
        require_real("trio is not installed")
    import trio

    sent = []
    trio.run(ask, asgi_app(), sent)
    assert sent[0]["status"] == 200


def test_a_web_socket_is_refused_as_the_protocol_says():
    sent = answer_of(asgi_app(), {"type": "websocket"}, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_head_is_answered_with_headers_and_no_body():
    breaker = hf.CircuitBreaker("b")
    start, body = answer_of(asgi_app(), http() | {"method": "HEAD"}, REQUEST)
    assert (start["status"], body["body"]) == (200, b"")
    assert int(dict(start["headers"])[b"content-length"]) > 0
    assert breaker.name == "b"


def test_other_methods_are_refused():
    assert answer_of(asgi_app(), http() | {"method": "POST"}, REQUEST)[0]["status"] == 405
