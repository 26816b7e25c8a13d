"""The failures that every HTTP client is shown, and the category that their errors must have."""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import pytest

from holdfast.categories import Category
from tests.categories import servers
from tests.categories.servers import Server, answer

TIMEOUT = 0.15

_ANSWERED = [
    (servers.reset, Category.TRANSIENT),
    (servers.close, Category.TRANSIENT),
    (servers.break_off, Category.TRANSIENT),
    (servers.nonsense, Category.TRANSIENT),
    (servers.silence, Category.TRANSIENT),
    *((answer(status), Category.TRANSIENT) for status in (429, 503)),
    *((answer(status), Category.PERMANENT) for status in (401,)),
]


@contextlib.contextmanager
def of_server(behaviour, **_) -> Iterator[str]:
    with Server(behaviour) as server:
        yield server.url


@contextlib.contextmanager
def of_nobody(**_) -> Iterator[str]:
    with servers.refused_port() as port:
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def of_untrusted(certificate, **_) -> Iterator[str]:
    with Server(answer(200), certificate=certificate) as server:
        yield server.url


@contextlib.contextmanager
def of_no_tls(**_) -> Iterator[str]:
    with Server(servers.nonsense) as server:
        yield server.url.replace("http:", "https:")


def of_resolver(error: OSError) -> Callable[..., contextlib.AbstractContextManager[str]]:
    @contextlib.contextmanager
    def place(monkeypatch, **_) -> Iterator[str]:
        def fail(*_, **__):
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", fail)
            yield "http://shop.example/"

    return place


def _name_of(behaviour: servers.Behaviour, number: int) -> str:
    name = behaviour.__name__
    return f"{name}-{number}" if name == "reply" else name


FAILURES = [
    *(
        pytest.param(
            lambda behaviour=behaviour, **more: of_server(behaviour, **more),
            category,
            id=_name_of(behaviour, number),
        )
        for number, (behaviour, category) in enumerate(_ANSWERED)
    ),
    pytest.param(of_nobody, Category.TRANSIENT, id="refused"),
    pytest.param(of_untrusted, Category.PERMANENT, id="untrusted certificate"),
    pytest.param(of_no_tls, Category.PERMANENT, id="no TLS"),
    pytest.param(
        of_resolver(socket.gaierror(socket.EAI_NONAME, "unknown")), Category.PERMANENT, id="no host"
    ),
    pytest.param(
        of_resolver(socket.gaierror(socket.EAI_AGAIN, "again")),
        Category.TRANSIENT,
        id="no resolver",
    ),
    pytest.param(of_resolver(OSError(errno.EMFILE, "full")), Category.RESOURCE, id="no descriptor"),
]
each_failure = pytest.mark.parametrize(("place", "category"), FAILURES)
