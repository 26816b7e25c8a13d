"""ExchangeClient: asks one exchange, under the policies that the manager has for it.

Owns what is asked, and when. Elsewhere: what is believed (``answers``), how long a wait lasts
(``connections``), which errors there are (``errors``), and which of them count (``policies``).
"""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

import holdfast as hf
from examples.market_collector.answers import Answers
from examples.market_collector.connections import Connections
from examples.market_collector.errors import (
    BusyError,
    ClosedError,
    GarbageError,
    RefusedError,
    UnavailableError,
)
from examples.market_collector.policies import ATTEMPT
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.market_collector.market import Candle, Ticker

    R = TypeVar("R")

__all__ = ["MOST_CANDLES", "ExchangeClient"]

MOST_CANDLES = 1000
#: An exchange may ask to be left alone for so many seconds; then it is asked once more.
MOST_REST = 60.0
_MOST_BYTES = 1 << 20


class ExchangeClient:
    """Asks one exchange.

    Each request passes ``rm.keyed("exchange", name)``: the exchange has its own circuit breaker,
    and the retry and the timeout of "api_call". Once the exchange has said ``Retry-After``, no
    request is sent to it before that, by whichever thread: they wait, or fail if the time of the
    call ends before.

    Args:
        rm: The manager, with the preset "collector", best as ``policies.adapted`` has it.
        name: The name of the exchange.
        url: Where it is, such as "http://127.0.0.1:8000".
        attempt: Seconds that one attempt may wait for the exchange, above 0 to 3600.
        connections: How many requests may be on their way at the same time, 1 to 1000.

    Raises:
        ConfigError: An argument is invalid; the message lists all that are.

    Its methods raise ``BusyError``, ``UnavailableError``, ``RefusedError`` and ``GarbageError``,
    errors of httpx for a connection that fails, ``holdfast.CircuitOpenError`` if the exchange is
    left alone because of earlier failures, and ``holdfast.DeadlineExceededError``.

    Safe to share between threads.
    """

    def __init__(
        self,
        rm: hf.ResilienceManager,
        name: str,
        url: str,
        *,
        attempt: float = ATTEMPT,
        connections: int = 16,
    ) -> None:
        problems = Problems("ExchangeClient", name)
        self.name = problems.name(name)
        if not _is_url(url):
            problems.refuse("url", url, "an http URL with a host")
        seconds = problems.number("attempt", attempt, above=0.0, most=3600.0)
        most = problems.integer("connections", connections, least=1, most=1000)
        problems.done()
        self.url = url
        self._guarded = rm.keyed("exchange", name)
        self._clock = rm.clock
        self._rests_until = 0.0  # seconds of the clock
        self._lock = Lock()
        self._answers = Answers(name)
        self._closed = False
        self._connections = Connections(url, most)
        self._http = httpx.Client(
            base_url=url,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=seconds,
            transport=self._connections,
            trust_env=False,
        )

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def rests_for(self) -> float:
        """Seconds for which the exchange wants to be left alone; 0 if it does not."""
        return max(0.0, self._rests_until - self._clock.now())

    # ---- what is asked ----

    def symbols(self) -> list[str]:
        """Return the symbols that are traded."""
        return self._get(self._answers.symbols, "/symbols", {})

    def ticker(self, symbol: str) -> Ticker:
        """Return what a symbol costs."""
        return self._get(
            lambda body: self._answers.ticker(body, symbol), "/ticker", {"symbol": symbol}
        )

    def candles(self, symbol: str, since: int, limit: int = MOST_CANDLES) -> list[Candle]:
        """Return what has become of a price, in ascending minutes that are over.

        Args:
            symbol: The symbol.
            since: The number of the first minute.
            limit: How many minutes at most, 1 to 1000.

        Raises:
            ConfigError: A number is out of range.
        """
        problems = Problems("candles", self.name)
        problems.integer("since", since, least=0, most=2**53)
        problems.integer("limit", limit, least=1, most=MOST_CANDLES)
        problems.done()
        return self._get(
            lambda body: self._answers.candles(body, symbol, since, limit),
            "/candles",
            {"symbol": symbol, "since": str(since), "limit": str(limit)},
        )

    def close(self) -> None:
        """Close all connections. Calls on their way fail; twice is harmless."""
        self._closed = True
        self._http.close()

    # ---- one request ----

    def _get(self, read: Callable[[Any], R], path: str, query: dict[str, str]) -> R:
        return self._guarded.call(self._ask, read, path, query)

    def _ask(self, read: Callable[[Any], R], path: str, query: dict[str, str]) -> R:
        """Make one attempt."""
        if self._closed:
            raise ClosedError(self.name)
        if rest := self.rests_for:
            raise BusyError(self.name, rest, was_asked=False)
        try:
            body = self._fetch(path, query)
        except (httpx.TransportError, RuntimeError) as error:
            if self._closed:
                raise ClosedError(self.name) from error
            raise
        return read(self._answers.json(body))

    def _fetch(self, path: str, query: dict[str, str]) -> bytes:
        """Return the body of an answer."""
        with self._http.stream("GET", path, params=query) as response:
            if response.status_code != 200:
                error = self._refusal(response, f"{path} {' '.join(query.values())}".rstrip())
                with suppress(httpx.TransportError, GarbageError):  # the status is what counts
                    self._body(response)  # so that the connection can be used again
                raise error
            return self._body(response)

    def _refusal(self, response: httpx.Response, asked: str) -> Exception:
        """Return the error for a status that is not 200."""
        status, rest = response.status_code, hf.retry_after(response)
        if status == 429 or (status == 503 and rest is not None):
            if rest is not None:
                rest = min(rest, MOST_REST)
                with self._lock:
                    self._rests_until = max(self._rests_until, self._clock.now() + rest)
            return BusyError(self.name, rest)
        if status == 408 or 500 <= status < 600:
            return UnavailableError(self.name, status)
        if 300 <= status < 500:
            return RefusedError(self.name, status, asked)
        return GarbageError(self.name, f"status {status}")

    def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise GarbageError(self.name, "a compressed answer, which was not asked for")
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > _MOST_BYTES:
                raise GarbageError(self.name, f"an answer of more than {_MOST_BYTES} bytes")
        return bytes(body)


def _is_url(url: str) -> bool:
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return False
    return read.scheme in ("http", "https") and bool(read.host)
