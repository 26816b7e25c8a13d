"""HTTP with clients that may be hostile: deadlines and bounds for each connection of uvicorn.

Owns how long a connection may take for a header, a body and an answer, and how many connections
there are. Elsewhere: what is answered (``admin``), and HTTP itself (h11).

What uvicorn lacks: it waits for the rest of a header without end, and for a client that does not
read; and its limit on connections refuses the honest client while slow ones hold all of them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from typing import Any

__all__ = ["MOST_CONNECTIONS", "MOST_HEADER", "BoundedProtocol"]

HEADER_SECONDS = 5.0  # from the first byte that may come to the last of the header
ANSWER_SECONDS = 5.0  # for the body, and for the client to take the answer
LINGER_SECONDS = 1.0  # in which what a refused client still sends is thrown away
MOST_CONNECTIONS = 32
MOST_HEADER = 8 * 1024  # bytes
MOST_LINGERING = 64 * 1024
STALLED_SECONDS = 0.25  # an answer takes milliseconds: a client that takes longer may have to go

# Invalid requests are no news: whoever sends them could fill the log.
_log = logging.getLogger("examples.market_collector.http")
_log.setLevel(logging.ERROR)

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class BoundedProtocol(H11Protocol):
    """One connection: a deadline for each thing that its client has to do.

    When there are more connections than ``MOST_CONNECTIONS``, the one that has waited longest for
    a request goes. So slow clients take no place away from others.

    For the thread of its event loop.
    """

    _deadline: asyncio.TimerHandle | None = None
    _since = 0.0  # when what the client has to do now began
    _is_waiting = True  # for the header of a request
    _lingers = False
    _thrown_away = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log

    # ---- what the transport says ----

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and make room for it."""
        super().connection_made(transport)
        self._begin(HEADER_SECONDS, waiting=True)
        if len(self.connections) > MOST_CONNECTIONS and not self._evict():
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Be told that it has ended."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, or throw them away."""
        if not self._lingers:
            super().data_received(data)
            return
        self._thrown_away += len(data)
        if self._thrown_away > MOST_LINGERING:
            self.transport.abort()

    # ---- what uvicorn says ----

    def handle_events(self) -> None:
        """Look at what has come; a header that is complete has met its deadline."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:  # a header is complete
            self._begin(ANSWER_SECONDS, waiting=False)

    def on_response_complete(self) -> None:
        """Wait for the next request, or end what was not read."""
        before = self.cycle
        super().on_response_complete()
        if self.transport.is_closing() or self.cycle is not before:
            return
        if self.conn.their_state is h11.SEND_BODY:  # of a request that has its answer already
            self._linger()
        else:
            self._begin(HEADER_SECONDS, waiting=True)

    def shutdown(self) -> None:
        """End, as soon as an answer that is on its way has left."""
        if self._is_waiting or self._lingers:
            self._end()
        else:
            super().shutdown()

    # ---- within ----

    def _begin(self, seconds: float, *, waiting: bool) -> None:
        self._is_waiting = waiting
        self._since = self.loop.time()
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        """Close the connection; a client that has not read its answers does not get them."""
        if self._is_waiting and self.transport.get_write_buffer_size() == 0:
            self.transport.close()
        else:
            self.transport.abort()

    def _linger(self) -> None:
        """Close the connection for the client, and throw away what it still sends.

        To close it at once would reset the connection, and with it the answer.
        """
        self._unset_keepalive_if_required()
        self._begin(LINGER_SECONDS, waiting=False)
        self._lingers = True
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _evict(self) -> bool:
        """Have the client go that was slowest; return whether there is one."""
        others = [cast("BoundedProtocol", one) for one in self.connections if one is not self]
        slow = [one for one in others if one._is_waiting or one._lingers]
        if not slow:
            now = self.loop.time()
            slow = [one for one in others if now - one._since > STALLED_SECONDS]
        if not slow:
            return False
        slowest = min(slow, key=lambda one: one._since)
        self.connections.discard(slowest)
        slowest.transport.abort()
        return True
