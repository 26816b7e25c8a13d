"""What an exchange answers, and what of it is believed.

Each method returns a value that is complete and plausible, or raises ``GarbageError``. Elsewhere:
how the answer came here (``client``).
"""

from __future__ import annotations

import json
import math
from typing import Any, cast

from examples.market_collector.errors import GarbageError
from examples.market_collector.market import MOST_SYMBOLS, Candle, Ticker

__all__ = ["Answers"]

_MOST_NAME = 64
_MOST_MINUTE = 2**53


class Answers:
    """Reads the answers of one exchange.

    Args:
        exchange: Its name.

    Safe to share between threads.
    """

    def __init__(self, exchange: str) -> None:
        self.name = exchange

    def json(self, body: bytes) -> Any:
        """Return what is in the body of an answer."""
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            beginning = body[:40].decode("ascii", "replace")
            raise GarbageError(self.name, f"no JSON: {beginning!r}") from error

    def symbols(self, body: Any) -> list[str]:
        """Return the symbols that it lists."""
        listed = self._field(body, "symbols", list)
        if not listed:  # nobody would notice that nothing is collected any more
            raise GarbageError(self.name, "no symbols")
        if len(listed) > MOST_SYMBOLS or len({*map(str, listed)}) != len(listed):
            raise GarbageError(self.name, f"{len(listed)} symbols, or some of them twice")
        for symbol in listed:
            if not isinstance(symbol, str) or not 0 < len(symbol) <= _MOST_NAME:
                raise GarbageError(self.name, f"symbol {str(symbol)[:40]!r}")
            if not (symbol.isascii() and symbol.isprintable()):
                raise GarbageError(self.name, f"symbol {symbol!a}")
        return [*listed]

    def ticker(self, body: Any, symbol: str) -> Ticker:
        """Return the ticker of a symbol."""
        self._is_about(body, symbol)
        return Ticker(
            self.name,
            symbol,
            self._minute(body),
            self._number(body, "price", above=0.0),
            self._number(body, "volume"),
        )

    def candles(self, body: Any, symbol: str, since: int, limit: int) -> list[Candle]:
        """Return the candles of a symbol, from a minute on."""
        self._is_about(body, symbol)
        rows = self._field(body, "candles", list)
        if len(rows) > limit:
            raise GarbageError(self.name, f"{len(rows)} candles instead of {limit} at most")
        candles = [self._candle(row, symbol) for row in rows]
        least = since
        for candle in candles:
            if candle.minute < least:
                raise GarbageError(self.name, f"minute {candle.minute} where {least} may come")
            least = candle.minute + 1
        return candles

    def _candle(self, row: Any, symbol: str) -> Candle:
        first, high, low, last = (
            self._number(row, field, above=0.0) for field in ("open", "high", "low", "close")
        )
        if not (low <= first <= high and low <= last <= high):
            raise GarbageError(self.name, f"a candle of {symbol} beyond its own limits")
        return Candle(
            self.name,
            symbol,
            self._minute(row),
            first,
            high,
            low,
            last,
            self._number(row, "volume"),
        )

    def _is_about(self, body: Any, symbol: str) -> None:
        """Refuse an answer to another question, or of another exchange."""
        for field, expected in (("exchange", self.name), ("symbol", symbol)):
            if self._field(body, field, str) != expected:
                raise GarbageError(self.name, f"{field} {body[field][:40]!r}, not {expected!r}")

    def _minute(self, body: Any) -> int:
        minute: int = self._field(body, "minute", int)
        if not 0 <= minute < _MOST_MINUTE:
            raise GarbageError(self.name, "a minute that never comes")
        return minute

    def _number(self, body: Any, field: str, *, above: float | None = None) -> float:
        try:
            number = float(self._field(body, field, (int, float)))
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or number < 0 or (above is not None and number <= above):
            raise GarbageError(self.name, f"{field} is {number:g}")
        return number

    def _field(self, body: Any, field: str, kind: Any) -> Any:
        value = cast("dict[str, Any]", body).get(field) if isinstance(body, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise GarbageError(self.name, f"{field!r} is missing, or of another type")
        return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
