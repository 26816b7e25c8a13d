"""A server that speaks enough of PostgreSQL's protocol to refuse what it is asked.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import socket
import struct

from tests.categories.servers import Behaviour, exactly


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _error(said: str, severity: str) -> bytes:
    code, _, text = said.partition(" ")
    fields = {"S": severity, "V": severity, "C": code, "M": text}
    body = b"".join(f"{key}{value}\0".encode() for key, value in fields.items())
    return _message(b"E", body + b"\0")


_READY = _message(b"Z", b"I")


def postgres(*, login: str = "", query: str = "", then_close: bool = False) -> Behaviour:
    """Refuse the login, after a password, or each query, with a SQLSTATE and a text."""

    def serve(connection: socket.socket) -> None:
        _startup(connection)
        connection.sendall(_message(b"R", struct.pack("!i", 3)))  # a password, in clear text
        _read(connection)
        if login:
            connection.sendall(_error(login, "FATAL"))
            connection.close()
            return
        parameters = {"server_version": "15.0", "client_encoding": "UTF8", "DateStyle": "ISO, MDY"}
        said = b"".join(
            _message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items()
        )
        ready = _message(b"R", struct.pack("!i", 0)) + said + _message(b"K", bytes(8)) + _READY
        connection.sendall(ready)
        while (kind := _read(connection)) != b"X":
            if kind in b"QS":  # a query, or the end of the messages that one consists of
                connection.sendall(_error(query, "FATAL" if then_close else "ERROR"))
                if then_close:
                    connection.close()
                    return
                connection.sendall(_READY)
        connection.close()

    return serve


def _startup(connection: socket.socket) -> bytes:
    """Read the first message; a wish for TLS is refused before it."""
    while True:
        size = struct.unpack("!i", exactly(connection, 4))[0]
        body = exactly(connection, size - 4)
        if struct.unpack("!i", body[:4])[0] != 80877103:
            return body
        connection.sendall(b"N")


def _read(connection: socket.socket) -> bytes:
    kind = exactly(connection, 1)
    exactly(connection, struct.unpack("!i", exactly(connection, 4))[0] - 4)
    return kind
