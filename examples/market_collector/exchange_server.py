"""The process of an exchange: it answers over HTTP, as well as the fault lets it that it was told.

It answers ``/symbols``, ``/ticker?symbol=`` and ``/candles?symbol=&since=&limit=``. Whoever has the
token sets a fault and reads the counts under ``/control/…``, which no fault touches. Elsewhere:
what is answered (``market``), the faults (``faults``), and who starts the process (``exchange``).
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from examples.market_collector.faults import Fault, Suffering
from examples.market_collector.market import candle_at, minute_at, symbols_of, ticker_at
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MOST_CANDLES", "TOKEN", "ExchangeServer", "main"]

#: The environment variable with the token of those who may control it.
TOKEN = "MARKET_EXCHANGE_TOKEN"
MOST_CANDLES = 1000
_HOST = "127.0.0.1"
_MOST_HEAD = 16 << 10
_MOST_BODY = 64 << 10
_IDLE = 60.0  # seconds that a client may take to send a request, or to read an answer
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}


class _RequestError(Exception):
    """A request that is refused.

    Attributes:
        status: The status of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: dict[str, str]
    token: str
    body: bytes


class ExchangeServer:
    """An exchange, for one event loop.

    Args:
        name: Its name.
        symbols: How many symbols it has.
        minute: How many seconds a minute of the market has.
        token: What those have to send who control it.
    """

    def __init__(self, name: str, *, symbols: int, minute: float, token: str) -> None:
        self.name = name
        self._symbols = symbols_of(symbols)
        self._minute = minute
        self._token = token
        self._fault: Fault | None = None
        self._served: Counter[str] = Counter()
        self._suffered: Counter[str] = Counter()
        self._requests = self._connections = self._open = 0
        self._answers: dict[str, Callable[[dict[str, str]], Any]] = {
            "/symbols": self._list_symbols,
            "/ticker": self._ticker,
            "/candles": self._candles,
        }

    # ---- connections ----

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self._connections += 1
        self._open += 1
        try:
            with suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    async with asyncio.timeout(_IDLE):
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer the next request; return whether the connection is of use for another."""
        try:
            async with asyncio.timeout(_IDLE):
                request = await _read(reader)
            if request.path.startswith("/control/"):
                _write(writer, 200, self._control(request))
                return True
            self._requests += 1
            fault = self._fault
            if fault is not None and fault.strikes(request.path):
                self._suffered[fault.kind] += 1
                suffering = Suffering(reader, writer, json.dumps(self._find(request)).encode())
                if not await fault.harm(suffering):
                    return False
                if suffering.is_answered:
                    return True
            answer = self._find(request)
        except _RequestError as error:
            _write(writer, error.status, {"error": str(error)})
            return error.status != 400
        self._served[request.path[1:]] += 1
        _write(writer, 200, answer)
        return True

    # ---- what it is asked ----

    def _find(self, request: _Request) -> Any:
        answer = self._answers.get(request.path)
        if answer is None or request.method != "GET":
            raise _RequestError(404, f"no {request.method} {request.path[:100]}")
        return answer(request.query)

    def _list_symbols(self, _: dict[str, str]) -> Any:
        return {"exchange": self.name, "symbols": self._symbols}

    def _ticker(self, query: dict[str, str]) -> Any:
        return asdict(ticker_at(self.name, self._symbol(query), minute_at(minute=self._minute)))

    def _candles(self, query: dict[str, str]) -> Any:
        symbol = self._symbol(query)
        since = _number(query, "since", 0)
        limit = min(_number(query, "limit", MOST_CANDLES), MOST_CANDLES)
        minutes = range(since, min(since + limit, minute_at(minute=self._minute)))
        candles = [asdict(candle_at(self.name, symbol, minute)) for minute in minutes]
        return {"exchange": self.name, "symbol": symbol, "candles": candles}

    def _symbol(self, query: dict[str, str]) -> str:
        symbol = query.get("symbol", "")
        if symbol not in self._symbols:
            raise _RequestError(404, f"no symbol {symbol[:100]!r}")
        return symbol

    # ---- those who control it ----

    def _control(self, request: _Request) -> Any:
        if not hmac.compare_digest(request.token.encode(), self._token.encode()):
            raise _RequestError(403, "the token is missing or wrong")
        asked = (request.method, request.path)
        if asked == ("PUT", "/control/fault"):
            self._fault = _fault_in(request.body)
        elif asked == ("DELETE", "/control/fault"):
            self._fault = None
        elif asked != ("GET", "/control/counts"):
            raise _RequestError(404, f"no {request.method} {request.path[:100]}")
        return self._counts()

    def _counts(self) -> dict[str, Any]:
        return {
            "requests": self._requests,
            "served": {"symbols": 0, "ticker": 0, "candles": 0, **self._served},
            "suffered": dict(self._suffered),
            "connections": self._connections,
            "open": self._open,
            "fault": None if self._fault is None else self._fault.kind,
        }


# ---- requests and answers ----


async def _read(reader: asyncio.StreamReader) -> _Request:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise _RequestError(400, "a head that is too long") from None
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _RequestError(400, "no request")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()) or int(length[:9]) > _MOST_BODY:
        raise _RequestError(400, "a body that is too long")
    body = await reader.readexactly(int(length))
    try:
        url = urlsplit(words[1])
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    except ValueError:
        raise _RequestError(400, "no path") from None
    return _Request(words[0], url.path, query, headers.get("x-token", ""), body)


def _write(writer: asyncio.StreamWriter, status: int, answer: Any) -> None:
    body = json.dumps(answer).encode()
    writer.write(
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    writer.write(body)


def _number(query: dict[str, str], field: str, default: int) -> int:
    text = query.get(field, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        raise _RequestError(400, f"{field}={text[:40]!r} is no number")
    return int(text)


def _fault_in(body: bytes) -> Fault:
    try:
        given = json.loads(body)
        return Fault(**given)
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise _RequestError(400, str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Be an exchange, until the process is ended."""
    parser = argparse.ArgumentParser("python -m examples.market_collector.exchange_server")
    parser.add_argument("name")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--minute", type=float, default=60.0)
    options = parser.parse_args(arguments)
    token = os.environ.get(TOKEN)
    if not token:
        parser.error(f"the environment variable {TOKEN} is missing")
    exchange = ExchangeServer(
        options.name, symbols=options.symbols, minute=options.minute, token=token
    )

    async def serve() -> None:
        server = await asyncio.start_server(
            exchange.serve, _HOST, options.port, limit=_MOST_HEAD, backlog=1024
        )
        print(f"{options.name} answers on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()

    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
