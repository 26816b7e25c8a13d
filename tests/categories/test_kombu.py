"""Errors of kombu and amqp, as a server that speaks the first words of AMQP causes them."""

import socket
import struct

import pytest

from holdfast.categories import Category, classify
from tests.categories.libraries import real_library
from tests.categories.servers import Server, close, exactly, refused_port, reset

kombu = real_library("kombu")
amqp = real_library("amqp")


def frame(class_: int, method: int, arguments: bytes) -> bytes:
    body = struct.pack("!HH", class_, method) + arguments
    return struct.pack("!BHI", 1, 0, len(body)) + body + b"\xce"


def broker(code: int):
    """Begin a connection, and close it with a reply code as soon as the client logs in."""

    def serve(connection: socket.socket) -> None:
        exactly(connection, 8)
        start = b"\0\x09" + struct.pack("!I", 0)
        start += b"".join(struct.pack("!I", len(word)) + word for word in (b"PLAIN", b"en_US"))
        connection.sendall(frame(10, 10, start))
        size = struct.unpack("!BHI", exactly(connection, 7))[2]
        exactly(connection, size + 1)
        connection.sendall(frame(10, 50, struct.pack("!HB", code, 4) + b"said" + bytes(4)))
        connection.recv(65536)
        connection.close()

    return serve


def error_of(port: int, *, wrapped: bool) -> Exception:
    connection = kombu.Connection(f"amqp://me:x@127.0.0.1:{port}//", connect_timeout=2)
    try:
        connection._ensure_connection(
            max_retries=1, interval_start=0, interval_step=0, reraise_as_library_errors=wrapped
        )
    except Exception as error:
        return error
    finally:
        connection.release()
    raise AssertionError("the connection did not fail")


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(("behaviour", "category"), [
    (close, Category.TRANSIENT), (reset, Category.TRANSIENT), (broker(320), Category.TRANSIENT),
    (broker(403), Category.PERMANENT), (broker(530), Category.PERMANENT),
    (broker(506), Category.RESOURCE),
])  # fmt: skip
def test_a_failed_connection_has_the_category_of_its_reason(behaviour, category, wrapped):  # ER-04
    with Server(behaviour) as server:
        error = error_of(server.port, wrapped=wrapped)
    assert not wrapped or category is Category.PERMANENT or _is_wrapper(error)
    assert classify(error) is category


def _is_wrapper(error: Exception) -> bool:
    return isinstance(error, kombu.exceptions.OperationalError)


def test_a_broker_that_is_not_there_is_transient():  # RT-20
    with refused_port() as port:
        error = error_of(port, wrapped=True)
    assert _is_wrapper(error)
    assert classify(error) is Category.TRANSIENT


def test_wrong_content_is_logic():
    assert classify(kombu.exceptions.DecodeError()) is Category.LOGIC
