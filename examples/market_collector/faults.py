"""What can be wrong with an exchange, each as it comes over the wire.

Used by the process of the exchange (``exchange_server``), and by those who tell it (``exchange``).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.validation import Problems, nearest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["FORMS", "KINDS", "Fault", "Suffering"]

#: The kinds of faults, and which options each has besides ``share`` and ``only``.
KINDS = {
    "slow": ("seconds",),
    "busy": ("retry_after",),
    "error": ("status",),
    "reset": (),
    "garbage": ("form",),
    "hang": (),
    "drip": ("seconds",),
}
_HUNG_SECONDS = 300.0  # after which a connection that hangs is closed
_DRIP = 0.1  # seconds between two bytes


@dataclass(slots=True)
class Suffering:
    """One request that is answered badly.

    Attributes:
        reader: What the client sends.
        writer: What it receives.
        answer: The right answer.
        is_answered: Whether it was answered, and the connection can be used on.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answer: bytes
    is_answered: bool = False

    def write(self, body: bytes, status: str = "200 OK", *, length: int | None = None) -> None:
        """Send an answer; its header may tell another length than it has."""
        length = len(body) if length is None else length
        self.writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        self.is_answered = True

    async def until_gone(self) -> None:
        """Wait until the client closes the connection."""
        async with asyncio.timeout(_HUNG_SECONDS):
            while await self.reader.read(1024):
                pass


class Fault:
    """What happens to requests.

    Args:
        kind: "slow": the right answer comes after ``seconds``. "busy": status 429, with
            ``retry_after`` in seconds or without. "error": ``status``. "reset": the connection is
            reset. "garbage": an answer in one of ``FORMS``, or in each of them in turn. "hang":
            nothing is answered. "drip": a byte of an endless header every tenth of ``seconds``.
        share: Which part of the requests, above 0 to 1, evenly spread.
        only: The path that it strikes, such as "/ticker"; None: all.
        seconds: How slow, 0 to 3600.
        retry_after: Seconds, 0 to 3600; None: no such header.
        status: 500 to 599.
        form: One of ``FORMS``; None: all in turn.

    Raises:
        ConfigError: An argument is invalid, or of another kind; the message lists all that are.
    """

    def __init__(
        self,
        kind: str,
        *,
        share: float = 1.0,
        only: str | None = None,
        seconds: float | None = None,
        retry_after: float | None = None,
        status: int | None = None,
        form: str | None = None,
    ) -> None:
        problems = Problems("Fault", kind)
        if kind not in KINDS:
            words = ", ".join(map(repr, KINDS))
            problems.refuse("kind", kind, f"one of {words}{nearest(kind, tuple(KINDS))}")
        options = {"seconds": seconds, "retry_after": retry_after, "status": status, "form": form}
        for option, value in options.items():
            if value is not None and option not in KINDS.get(kind, options):
                problems.refuse(option, value, f"nothing for the kind {kind!r}")
        self.kind = kind
        self.share = problems.number("share", share, above=0.0, most=1.0)
        self.only = None if only is None else problems.choice("only", only, _PATHS)
        pause = 1.0 if seconds is None else seconds
        self.seconds = problems.number("seconds", pause, least=0.0, most=3600.0)
        self.retry_after = problems.number(
            "retry_after", retry_after, least=0.0, most=3600.0, none=True
        )
        number = 503 if status is None else status
        self.status = problems.integer("status", number, least=500, most=599)
        self.form = None if form is None else problems.choice("form", form, tuple(FORMS))
        problems.done()
        self._asked = 0
        self.forms = itertools.cycle(FORMS)

    def strikes(self, path: str) -> bool:
        """Return whether it strikes the next request for a path."""
        if self.only is not None and path != self.only:
            return False
        self._asked += 1
        return int(self._asked * self.share) > int((self._asked - 1) * self.share)

    async def harm(self, request: Suffering) -> bool:
        """Harm a request; return whether the connection is of use for another."""
        return await _WAYS[self.kind](self, request)


# ---- the ways ----


async def _slow(fault: Fault, _: Suffering) -> bool:
    await asyncio.sleep(fault.seconds)
    return True


async def _busy(fault: Fault, request: Suffering) -> bool:
    status = "429 Too Many Requests"
    if fault.retry_after is not None:
        status += f"\r\nRetry-After: {fault.retry_after:g}"
    request.write(b"too many requests", status)
    return True


async def _error(fault: Fault, request: Suffering) -> bool:
    request.write(b"<h1>Something went wrong</h1>", f"{fault.status} Wrong")
    return True


async def _reset(_: Fault, request: Suffering) -> bool:
    link = request.writer.get_extra_info("socket")
    # Closed with this, a connection is reset, and not ended in order.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.writer.transport.abort()
    return False


async def _garbage(fault: Fault, request: Suffering) -> bool:
    form = fault.form or next(fault.forms)
    FORMS[form](request)
    return request.is_answered


async def _hang(_: Fault, request: Suffering) -> bool:
    await request.until_gone()
    return False


async def _drip(fault: Fault, request: Suffering) -> bool:
    request.writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not request.reader.at_eof():
        request.writer.write(b"x")
        await request.writer.drain()
        await asyncio.sleep(fault.seconds * _DRIP)
    return False


_WAYS: dict[str, Callable[[Fault, Suffering], Awaitable[bool]]] = {
    "slow": _slow,
    "busy": _busy,
    "error": _error,
    "reset": _reset,
    "garbage": _garbage,
    "hang": _hang,
    "drip": _drip,
}
_PATHS = ("/symbols", "/ticker", "/candles")


def _page(request: Suffering) -> None:
    request.write(b"<!doctype html><title>Maintenance</title><p>We are back soon.")


def _truncated(request: Suffering) -> None:
    request.write(request.answer[: len(request.answer) // 2])


def _other_fields(request: Suffering) -> None:
    request.write(b'{"symbol": ["BTC/USDT"], "symbols": {}, "candles": 7, "price": "12"}')


def _no_number(request: Suffering) -> None:
    request.write(b'{"exchange": NaN, "symbols": [NaN], "price": Infinity}')


def _deep(request: Suffering) -> None:
    request.write(b"[" * 100_000)


def _huge(request: Suffering) -> None:
    request.write(b" " * (2 << 20))


def _empty(request: Suffering) -> None:
    request.write(b"")


def _bytes(request: Suffering) -> None:
    request.write(bytes(range(128, 256)))


def _short(request: Suffering) -> None:
    request.write(request.answer, length=len(request.answer) + 100)
    request.is_answered = False  # the connection ends before the answer does


def _no_http(request: Suffering) -> None:
    request.writer.write(b"\x16\x03\x01" + os.urandom(200) + b"\r\n\r\n")


#: The forms of garbage. The last two break HTTP itself, which may pass; the others do not.
FORMS: dict[str, Callable[[Suffering], Any]] = {
    "page": _page,
    "truncated": _truncated,
    "other_fields": _other_fields,
    "no_number": _no_number,
    "deep": _deep,
    "huge": _huge,
    "empty": _empty,
    "bytes": _bytes,
    "short": _short,
    "no_http": _no_http,
}
