"""A scrape that fails is answered with 500 and the reason, and the next one works."""

import io
import urllib.error
import urllib.request
from wsgiref.util import setup_testing_defaults

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.telemetry.prometheus import asgi_app, serve_metrics, wsgi_app
from tests.telemetry.test_serving import REQUEST, answer_of, http

REASONS = [
    (
        OSError(24, "Too many open files", "/run/shop"),
        "[Errno 24] Too many open files: '/run/shop'",
    ),
    (hf.ConfigError("HOLDFAST_DIR: got '/run/shop'"), "HOLDFAST_DIR: got '/run/shop'"),
    (ZeroDivisionError("of the application"), "ZeroDivisionError: of the application"),
    (MemoryError(), "MemoryError: "),
]


@pytest.fixture(params=REASONS, ids=lambda reason: type(reason[0]).__name__)
def troubled(request):
    """A registry that fails until its trouble is over, and the reason."""

    class Troubled:
        error = None

        def collect(self):
            if self.error is not None:
                raise self.error
            return []

    registry, collector = CollectorRegistry(), Troubled()
    registry.register(collector)
    collector.error = request.param[0]
    return registry, collector, f"the scrape failed: {request.param[1]}\n".encode()


def test_a_server_answers_500_with_the_reason(troubled):
    registry, collector, reason = troubled
    with serve_metrics(0, registry=registry) as server:
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(server.url, timeout=60)
        with raised.value as answer:
            assert (answer.code, answer.read()) == (500, reason)
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        collector.error = None
        with urllib.request.urlopen(server.url, timeout=60) as answer:
            assert answer.status == 200


def test_the_wsgi_application_answers_500_with_the_reason(troubled):
    registry, collector, reason = troubled
    environ = {"PATH_INFO": "/", "QUERY_STRING": "", "wsgi.errors": io.StringIO()}
    setup_testing_defaults(environ)
    started, app = [], wsgi_app(registry)
    assert b"".join(app(environ, lambda *given: started.append(given))) == reason
    collector.error = None
    assert b"".join(app(environ, lambda *given: started.append(given))) == b""
    assert [status for status, _ in started] == ["500 Internal Server Error", "200 OK"]


def test_the_asgi_application_answers_500_with_the_reason(troubled):
    registry, collector, reason = troubled
    app = asgi_app(registry)
    start, body = answer_of(app, http(), REQUEST)
    assert (start["status"], body["body"]) == (500, reason)
    assert (b"content-type", b"text/plain; charset=utf-8") in start["headers"]
    collector.error = None
    assert answer_of(app, http(), REQUEST)[0]["status"] == 200


def test_each_failed_scrape_is_logged(troubled, caplog):
    registry, _, _ = troubled
    app = asgi_app(registry)
    for _ in range(2):
        answer_of(app, http(), REQUEST)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert caplog.messages[0].startswith("a scrape failed: ")


def test_without_a_thread_the_asgi_application_answers_500(monkeypatch):
    from holdfast.telemetry import serving

    def no_thread(*_, **__):
        raise RuntimeError("can't start new thread")

    app = asgi_app()
    with monkeypatch.context() as patched:
        patched.setattr(serving.threading.Thread, "start", no_thread)
        start, body = answer_of(app, http(), REQUEST)
    assert start["status"] == 500
    assert b"can't start new thread" in body["body"]
    assert answer_of(app, http(), REQUEST)[0]["status"] == 200
