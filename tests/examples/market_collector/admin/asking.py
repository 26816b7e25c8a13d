"""Requests to an admin server as they are written by hand, and what the server answers for."""

import json
import socket
from dataclasses import dataclass

import holdfast as hf

BREAKERS = "/api/v1/admin/circuit-breakers"


@dataclass
class Health:
    """How a collector is."""

    healthy: bool = True
    running: int = 4
    total: int = 4


class Collector:
    """What the server sees of a collector."""

    def __init__(self):
        self.rm = hf.ResilienceManager("market", presets="collector")
        self.begin()

    def begin(self):
        """Be as at the beginning."""
        self.running = True
        self.now = Health()
        self.health = lambda: self.now
        for breaker in self.rm.policies()["circuit_breaker"].values():
            breaker.reset()
        self.rm.keys("exchange").reset_all()


def address_of(server):
    """Return the host and the port of a server."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def asked(server, method, path, *headers, host=True):
    """Send a request as it is written here; return the status, the head and the body."""
    lines = [f"{method} {path} HTTP/1.1", *(["Host: localhost"] if host else []), *headers]
    request = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    with socket.create_connection(address_of(server), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    if method != "HEAD" and b"application/json" in head:
        json.loads(body)
    return int(head.split()[1]), head, body


def ended(connection):
    """Return whether the other end has closed the connection."""
    connection.settimeout(10)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True
