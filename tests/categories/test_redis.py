"""Errors of redis and valkey, as a server that speaks their protocol causes them."""

import errno
import importlib
import socket

import pytest

from holdfast.categories import Category, classify
from tests.categories.libraries import real_library
from tests.categories.servers import Behaviour, Server, close, refused_port, reset, silence


@pytest.fixture(params=["redis", "valkey"])
def library(request):
    real_library(request.param)
    return importlib.import_module(request.param)


def replies(*, to: bytes = b"GET", with_: bytes) -> Behaviour:
    """Answer one command with an error, and all others with OK."""

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            while header := lines.readline():
                words = []
                for _ in range(int(header[1:])):
                    words.append(lines.read(int(lines.readline()[1:])))
                    lines.readline()
                wrong = words[0].upper() == to or (to == b"AUTH" and b"AUTH" in words)
                connection.sendall(b"-" + with_ + b"\r\n" if wrong else b"+OK\r\n")

    return serve


def error_of(library, port: int, **settings) -> Exception:
    retry = importlib.import_module(f"{library.__name__}.retry").Retry
    no_pause = importlib.import_module(f"{library.__name__}.backoff").NoBackoff()
    client = getattr(library, library.__name__.title())(
        port=port, retry=retry(no_pause, 0), socket_timeout=0.15, protocol=2, **settings
    )
    try:
        client.get("x")
    except Exception as error:
        return error
    finally:
        client.close()
    raise AssertionError("the command did not fail")


@pytest.mark.parametrize("behaviour", [
    close, reset, silence, replies(with_=b"LOADING Redis is loading the dataset in memory"),
    replies(with_=b"BUSY Redis is busy running a script"),
    replies(with_=b"READONLY You can't write against a read only replica."),
    replies(with_=b"MASTERDOWN Link with MASTER is down"),
    replies(with_=b"ERR max number of clients reached"),
])  # fmt: skip
def test_what_may_succeed_later_is_transient(library, behaviour):  # ER-04, RT-20
    with Server(behaviour) as server:
        assert classify(error_of(library, server.port)) is Category.TRANSIENT


def test_a_server_that_is_not_there_is_transient(library):  # RT-20
    with refused_port() as port:
        assert classify(error_of(library, port)) is Category.TRANSIENT


@pytest.mark.parametrize("behaviour", [
    replies(to=b"AUTH", with_=b"WRONGPASS invalid username-password pair or user is disabled."),
    replies(with_=b"NOPERM this user has no permissions to run the 'get' command"),
    replies(with_=b"NOAUTH Authentication required."),
    replies(with_=b"WRONGTYPE Operation against a key holding the wrong kind of value"),
])  # fmt: skip
def test_a_bad_password_and_a_wrong_command_are_permanent(library, behaviour):  # ER-04
    with Server(behaviour) as server:
        error = error_of(library, server.port, username="me", password="x")
    assert classify(error) is Category.PERMANENT


def test_a_server_without_memory_is_a_resource(library):  # ER-04
    with Server(
        replies(with_=b"OOM command not allowed when used memory > 'maxmemory'.")
    ) as server:
        assert classify(error_of(library, server.port)) is Category.RESOURCE


def test_an_exhausted_pool_is_transient(library):  # RT-20
    pool = library.ConnectionPool(max_connections=1)
    pool._in_use_connections.add(object())
    pool._created_connections = 1
    with pytest.raises(library.ConnectionError, match="Too many connections") as raised:
        getattr(library, library.__name__.title())(connection_pool=pool).get("x")
    assert classify(raised.value) is Category.TRANSIENT


@pytest.mark.parametrize(("number", "category"), [
    (socket.gaierror(socket.EAI_NONAME, "unknown"), Category.PERMANENT),
    (OSError(errno.EMFILE, "full"), Category.RESOURCE),
], ids=repr)  # fmt: skip
def test_the_error_inside_decides(library, monkeypatch, number, category):
    def fail(*_, **__):
        raise number

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert classify(error_of(library, 1)) is category


def test_an_untrusted_certificate_is_permanent(library, certificate):
    with Server(close, certificate=certificate) as server:
        error = error_of(library, server.port, host="127.0.0.1", ssl=True)
    assert classify(error) is Category.PERMANENT
