"""Errors of PyMySQL, as a server that speaks the first words of its protocol causes them."""

import socket
import struct

import pytest

from holdfast.categories import Category, classify
from tests.categories.libraries import real_library
from tests.categories.servers import Behaviour, Server, drop, exactly, refused_port, silence

pymysql = real_library("pymysql")

# https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
_GREETING = (
    b"\x0a8.0.0\0" + bytes(4) + b"saltsalt\0" + b"\xff\xf7\x21\x02\x00\xff\x81\x15" + bytes(10)
    + b"saltsaltsalt\0mysql_native_password\0"
)  # fmt: skip


def mysql(number: int, *, greets: bool = True) -> Behaviour:
    """Refuse the login, or the connection itself, with the number of an error."""

    def serve(connection: socket.socket) -> None:
        if greets:
            connection.sendall(struct.pack("<i", len(_GREETING)) + _GREETING)
            size = struct.unpack("<i", exactly(connection, 3) + b"\0")[0]
            exactly(connection, size + 1)
        error = b"\xff" + struct.pack("<H", number) + b"#HY000refused"
        connection.sendall(struct.pack("<i", len(error) | (2 << 24 if greets else 0)) + error)
        connection.close()

    return serve


def error_of(port: int) -> Exception:
    with pytest.raises(pymysql.Error) as raised:
        pymysql.connect(host="127.0.0.1", port=port, user="me", password="x", read_timeout=0.1)
    return raised.value


@pytest.mark.parametrize(("behaviour", "category"), [
    (mysql(1040, greets=False), Category.TRANSIENT), (mysql(1203), Category.TRANSIENT),
    (mysql(1045), Category.PERMANENT), (mysql(1049), Category.PERMANENT),
    (mysql(1037), Category.RESOURCE), (drop, Category.TRANSIENT), (silence, Category.TRANSIENT),
])  # fmt: skip
def test_a_refused_connection_has_the_category_of_its_number(behaviour, category):  # ER-04, RT-20
    with Server(behaviour) as server:
        assert classify(error_of(server.port)) is category


def test_a_server_that_is_not_there_is_transient():  # RT-20
    with refused_port() as port:
        assert classify(error_of(port)) is Category.TRANSIENT
