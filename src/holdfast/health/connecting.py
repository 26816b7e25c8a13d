"""Connecting to a host within a limit of time, whatever its addresses do.

Owns the look-up of names, and which address is tried when. Elsewhere: what is said over the
connection (``tcp``, ``http``).
"""

from __future__ import annotations

import errno
import os
import select
import socket

from holdfast.clock import system_clock
from holdfast.health.result import CheckResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from holdfast.health.check import Allowance
    from holdfast.validation import Problems

    # The family and the address of a socket.
    Address: TypeAlias = tuple[int, Any]

__all__ = [
    "OWN_ERRORS",
    "NoPortLeftError",
    "SelfConnectedError",
    "aconnect",
    "addresses_of",
    "check_host",
    "check_port",
    "connect",
    "is_name",
    "literal_address",
    "of_own_fault",
    "told",
]

_MOST_ADDRESSES = 16
_STAGGER_NS = 250_000_000  # the "Connection Attempt Delay" of RFC 8305
_MOST_HOST = 253
#: What fails for want of something that this process or this machine has no more of.
OWN_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class SelfConnectedError(ConnectionError):
    """The port was free, the system has chosen it for our end, and so we met ourselves."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNREFUSED, "nobody listens: the socket met itself")


class NoPortLeftError(OSError):
    """All ports that the system may choose for our end are in use: the peer was not asked."""

    def __init__(self) -> None:
        super().__init__(errno.EADDRNOTAVAIL, "no local port is free")


# ---- settings ----


def check_host(problems: Problems, host: object) -> str:
    """Check a host name or an address; that of IPv6 may be in brackets."""
    if isinstance(host, str):
        name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if 0 < len(name) <= _MOST_HOST and not set(name) & set("/@?#[] ") and name.isprintable():
            if ":" not in name and is_name(name):
                return name
            if ":" in name and _is_ipv6(name):
                return name
    problems.refuse("host", host, "a host name, or an address of IPv4 or IPv6")
    return "localhost"


def check_port(problems: Problems, port: object) -> int:
    """Check the number of a port."""
    return problems.integer("port", port, least=1, most=65535)


def is_name(name: str) -> bool:
    """Return whether a host could have this name: of labels that are neither empty nor too long."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_ipv6(name: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, name.partition("%")[0])
    except OSError:
        return False
    return True


def literal_address(host: str, port: int) -> Address | None:
    """Return where to connect to if the host is an address, so that nothing is looked up."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return None
    return found[0][0], found[0][4]


# ---- connecting ----


def addresses_of(host: str, port: int) -> list[Address]:
    """Return where a host can be reached, the families in turns, as RFC 8305 has it.

    Takes as long as the system's resolver does, which nothing can interrupt.

    Raises:
        OSError: The name is unknown, or no resolver answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, list[Address]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    turns = [
        (at, family, address)
        for family, addresses in enumerate(families.values())
        for at, address in enumerate(addresses)
    ]
    turns.sort(key=lambda turn: turn[:2])
    return [address for _, _, address in turns][:_MOST_ADDRESSES]


def connect(addresses: list[Address], allowance: Allowance) -> socket.socket:
    """Return a connection to the address that answers first.

    The addresses are tried one after the other. The next one begins when one has failed, or has
    not answered for a quarter of a second (sooner, if there is little time); those before it go
    on meanwhile.

    Args:
        addresses: Where to connect to, at least one.
        allowance: How long this may take.

    Raises:
        TimeoutError: Time is up.
        NoPortLeftError: No local port is free for one of the addresses, and no other answers.
        OSError: No address can be connected to; the error of the first.
    """
    if len(addresses) != 1 or allowance.left_ns() == 0:
        return _Race(addresses, allowance).run()
    # One to a literal address within a machine is there at once: it needs no race.
    [(family, address)] = addresses
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        code = _begin_to_connect(sock, address)
        if code != errno.EALREADY:
            _prove(sock, address, code)
            return sock
    except BaseException:
        sock.close()
        raise
    race = _Race([], allowance)
    race.wait_for(sock, address)
    return race.run()


class _Race:
    """Attempts to connect to several addresses; for one thread."""

    __slots__ = ("_allowance", "_errors", "_left", "_next_ns", "_pending", "_stagger_ns")

    def __init__(self, addresses: list[Address], allowance: Allowance) -> None:
        self._allowance = allowance
        self._left = addresses[::-1]
        self._stagger_ns = min(_STAGGER_NS, allowance.left_ns() // (2 * max(1, len(addresses))))
        self._next_ns = 0
        self._pending: dict[int, tuple[socket.socket, Any]] = {}
        self._errors: list[OSError] = []

    def run(self) -> socket.socket:
        try:
            while self._left or self._pending:
                left_ns = self._allowance.left_ns()
                if left_ns == 0:
                    raise TimeoutError
                # When it is the turn of the next address.
                turn_ns = self._next_ns - system_clock.now_ns() if self._left else left_ns
                if self._left and turn_ns <= 0:
                    connected = self._begin(*self._left.pop())
                else:
                    connected = self._wait(min(left_ns, turn_ns))
                if connected is not None:
                    return connected
            own = (error for error in self._errors if isinstance(error, NoPortLeftError))
            raise next(own, self._errors[0])
        finally:
            for sock, _ in self._pending.values():
                sock.close()

    def _begin(self, family: int, address: Any) -> socket.socket | None:
        self._next_ns = system_clock.now_ns() + self._stagger_ns
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # a family that this machine does not have
            self._failed(error)
            return None
        self._pending[sock.fileno()] = sock, address
        code = _begin_to_connect(sock, address)
        return None if code == errno.EALREADY else self._end(sock, address, code)

    def wait_for(self, sock: socket.socket, address: Any) -> None:
        """Let a connection that has begun take part."""
        self._pending[sock.fileno()] = sock, address

    def _wait(self, wait_ns: int) -> socket.socket | None:
        for number in _wait_for_any(self._pending, wait_ns):
            sock, address = self._pending[number]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if (connected := self._end(sock, address, code)) is not None:
                return connected
        return None

    def _end(self, sock: socket.socket, address: Any, code: int) -> socket.socket | None:
        """Return the socket if it is connected; else note why not, and close it."""
        del self._pending[sock.fileno()]
        try:
            _prove(sock, address, code)
        except OSError as error:
            sock.close()
            self._failed(error)
            return None
        except BaseException:
            sock.close()
            raise
        return sock

    def _failed(self, error: OSError) -> None:
        self._errors.append(error)
        self._next_ns = 0  # the next address need not wait


def _wait_for_any(numbers: Iterable[int], wait_ns: int) -> list[int]:
    """Wait until sockets that connect have ended that; return their file numbers."""
    # Asked of its module, which may have been patched since: eventlet's has no poll().
    if not hasattr(select, "poll"):
        return select.select([], list(numbers), [], wait_ns / 1e9)[1]
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLOUT)
    return [number for number, _ in poll.poll(-(-wait_ns // 1_000_000))]


async def aconnect(family: int, address: Any) -> socket.socket:
    """Return a connection to an address, for the task that awaits it; it may be cancelled.

    Raises:
        OSError: The address cannot be connected to.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        code = _begin_to_connect(sock, address)
        if code == errno.EALREADY:
            code = await _code_of(sock)
        _prove(sock, address, code)
    except BaseException:
        sock.close()
        raise
    return sock


async def _code_of(sock: socket.socket) -> int:
    """Return the error that an attempt to connect ends with, 0 for none."""
    from asyncio import get_running_loop

    loop = get_running_loop()
    ended = loop.create_future()

    def end() -> None:
        if not ended.done():  # the task may be cancelled before this is called
            ended.set_result(None)

    loop.add_writer(sock, end)
    try:
        await ended
    finally:
        loop.remove_writer(sock)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _begin_to_connect(sock: socket.socket, address: Any) -> int:
    """Return 0 for a connection, EALREADY while it takes time, or the error that it ended with."""
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        # Within a machine the connection is there at once: to ask again saves a wait.
        code = sock.connect_ex(address)
    return 0 if code == errno.EISCONN else code


def _prove(sock: socket.socket, address: Any, code: int) -> None:
    """Raise unless the socket is connected to somebody else.

    The system may choose the very port that is connected to for our end. Then a port on this
    machine on which nobody listens accepts the connection.
    """
    if code == errno.EADDRNOTAVAIL and _has_address_for(sock.family, address):
        raise NoPortLeftError
    if code:
        raise OSError(code, os.strerror(code))
    if sock.getsockname()[:2] == address[:2]:
        raise SelfConnectedError


def _has_address_for(family: int, address: Any) -> bool:
    """Return whether this machine has an address of its own for connections to another one.

    Then it is for want of a port that the system has none for our end. Nothing is sent.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(address)
    except OSError:
        return False
    return True


# ---- what a failure shows ----


def of_own_fault(error: BaseException) -> CheckResult | None:
    """Return that nothing is proved, if an error says that this process itself is at its limits."""
    is_own = isinstance(error, OSError) and error.errno in OWN_ERRORS
    if is_own or isinstance(error, NoPortLeftError):
        return CheckResult.unproven(f"this process cannot open a socket: {told(error)}")
    return None


def told(error: BaseException) -> str:
    """Return the text of an error without the number of the system's error."""
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) and text else f"{error}" or type(error).__name__
