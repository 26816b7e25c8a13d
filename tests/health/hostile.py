"""Ports and hosts on this machine that do what no port should do."""

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator

__all__ = ["backlogged_port", "few_descriptors", "no_sockets_left", "resolved", "seconds"]


@contextlib.contextmanager
def backlogged_port() -> Iterator[int]:
    """A port whose queue is full: the system drops further attempts, so that they hang."""
    with contextlib.ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(16):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.1)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue does not become full")
        yield address[1]


@contextlib.contextmanager
def few_descriptors() -> Iterator[None]:
    """No file descriptor is free for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def no_sockets_left() -> Iterator[None]:
    """As many sockets are open afterwards as before."""
    before = sockets()
    yield
    end = time.monotonic() + 5  # a server in another thread may just close one of its own
    while sockets() != before:
        assert time.monotonic() < end, "a socket was left open"
        time.sleep(0.01)


def sockets() -> int:
    """Return how many sockets this process has open, without those of its servers."""
    serving, others = set(), []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed by another thread meanwhile
            if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(number))) as sock:
                address = sock.getsockname()
                port = address[1] if isinstance(address, tuple) else None
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    serving.add(port)
                else:
                    others.append(port)
    return sum(port not in serving for port in others)


@contextlib.contextmanager
def resolved(monkeypatch, *addresses: tuple[str, int]) -> Iterator[str]:
    """A host name with these addresses."""
    lookup = socket.getaddrinfo

    def find(host, port, *rest, **more):
        if host != "several.example":
            return lookup(host, port, *rest, **more)
        if more.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return [one for address in addresses for one in lookup(*address, type=socket.SOCK_STREAM)]

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", find)
        yield "several.example"


@contextlib.contextmanager
def seconds(most: float) -> Iterator[None]:
    """The block takes at most so long; far more than it should on a quick machine."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began <= most
