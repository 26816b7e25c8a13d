"""Metrics over HTTP: served alone on the loopback, and mounted in WSGI and ASGI applications."""

import asyncio
import errno
import gzip
import socket
import threading
import urllib.error
import urllib.request
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import holdfast as hf
from holdfast.telemetry.prometheus import asgi_app, serve_metrics, wsgi_app
from tests.telemetry.scraped import registry_of, samples_in
from tests.waiting.parties import Party

KEY = ("holdfast_circuit_breaker_state", frozenset({("name", "b")}))
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(autouse=True)
def breaker():
    return hf.CircuitBreaker("b")


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as got:
        return got.headers, got.read()


def test_one_call_serves_metrics_on_the_loopback(breaker):
    with serve_metrics(0) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"
        headers, body = get(server.url)
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")  # MR-12
        assert samples_in(parse_text(body.decode()))[KEY] == 0
        headers, body = get(server.url, Accept=OPENMETRICS)
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        assert samples_in(parse_openmetrics(body.decode()))[KEY] == 0
        breaker.trip()
        assert samples_in(parse_text(get(server.url)[1].decode()))[KEY] == 2  # it reads anew
        with pytest.raises(urllib.error.HTTPError) as raised:
            get(server.url.replace("/metrics", "/"))
        assert raised.value.code == 404
        assert b"/metrics" in raised.value.read()
        raised.value.close()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(server.url, data=b"x", timeout=60)
        assert raised.value.code == 405
        raised.value.close()


def test_it_serves_a_registry_of_the_application():
    registry = registry_of(namespace="shop")
    with serve_metrics(0, registry=registry) as server:
        assert b"shop_circuit_breaker_state" in get(server.url)[1]


def test_a_stopped_server_gives_its_port_and_its_threads_back():
    before = set(threading.enumerate())
    server = serve_metrics(0)
    get(server.url)
    server.stop()
    server.stop()
    assert set(threading.enumerate()) <= before
    with serve_metrics(server.port) as again:
        assert again.port == server.port


def test_a_taken_port_is_an_error_that_says_how_several_workers_serve():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            OSError, match=f"in use: another process listens on .*:{port}"
        ) as raised:
            serve_metrics(port)
    assert raised.value.errno == errno.EADDRINUSE
    for way in "HOLDFAST_DIR", "master process", "one worker", "asgi_app()", "port=0":
        assert way in str(raised.value)


def test_two_servers_never_share_a_port():
    with serve_metrics(0) as server, pytest.raises(OSError, match="in use"):
        serve_metrics(server.port)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("port", port) for port in (-1, 65_536, 1.5, "9464", None)),
        *(("host", h) for h in ("", None, 7)),
    ],
)
def test_an_address_that_is_none_is_refused(field, value):
    with pytest.raises(hf.ConfigError, match=f"serve_metrics: {field}: got "):
        serve_metrics(**{"port": 0, field: value})


def test_concurrent_scrapes_all_answer():
    with serve_metrics(0) as server:
        parties = [Party(get, server.url) for _ in range(8)]
        assert len({party.result()[1] for party in parties}) == 1


def test_the_wsgi_application_keeps_to_the_protocol():
    environ = {"PATH_INFO": "/anywhere", "SCRIPT_NAME": "/metrics", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    said = []
    answer = validator(wsgi_app())(environ, lambda *given: said.append(given))
    body = b"".join(answer)
    answer.close()
    assert said[0][0] == "200 OK"
    assert samples_in(parse_text(body.decode()))[KEY] == 0


def answer_of(app, scope, *events):
    """Run an ASGI application on its own; return what it sent."""
    sent, coming = [], list(events)

    async def receive():
        return coming.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def http(**headers):
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), to.encode()) for name, to in headers.items()],
    }


REQUEST = {"type": "http.request", "body": b"", "more_body": False}


def test_the_asgi_application_answers_in_both_formats():
    start, body = answer_of(asgi_app(), http(), REQUEST)
    assert start["status"] == 200
    assert samples_in(parse_text(body["body"].decode()))[KEY] == 0
    start, body = answer_of(asgi_app(), http(accept=OPENMETRICS), REQUEST)
    assert samples_in(parse_openmetrics(body["body"].decode()))[KEY] == 0


def test_the_asgi_application_compresses_for_those_who_ask():
    start, body = answer_of(asgi_app(), http(accept_encoding="gzip"), REQUEST)
    assert (b"content-encoding", b"gzip") in start["headers"]
    assert b"holdfast_circuit_breaker_state" in gzip.decompress(body["body"])


def test_policies_are_read_outside_of_the_event_loop(monkeypatch):
    from prometheus_client import CollectorRegistry

    threads = []

    class Own:
        def collect(self):
            threads.append(threading.current_thread())
            return []

    registry = CollectorRegistry()
    registry.register(Own())
    threads.clear()
    answer_of(asgi_app(registry), http(), REQUEST)
    assert threads
    assert threading.main_thread() not in threads


def test_served_by_itself_it_acknowledges_the_life_of_the_server():
    life = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    sent = answer_of(asgi_app(), {"type": "lifespan"}, *life)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_what_is_no_request_is_refused():
    with pytest.raises(ValueError, match="'udp', allowed http"):
        answer_of(asgi_app(), {"type": "udp"})
