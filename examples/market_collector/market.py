"""The market: which symbols there are, and what each costs in each minute.

Everything is computed from the exchange, the symbol and the number of the minute. So anybody can
tell what an exchange must have said, also long after it was asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b

__all__ = [
    "MINUTE",
    "MOST_SYMBOLS",
    "Candle",
    "Ticker",
    "candle_at",
    "minute_at",
    "symbols_of",
    "ticker_at",
]

#: Seconds of a minute of the market; demos have shorter ones.
MINUTE = 60.0
MOST_SYMBOLS = 1000

_BASES = ["BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK", "LTC", "BCH", "ATOM"]


@dataclass(frozen=True, slots=True)
class Ticker:
    """What a symbol costs in a minute.

    Attributes:
        exchange: The name of the exchange.
        symbol: The symbol, such as "BTC/USDT".
        minute: The number of the minute since 1970.
        price: The price at its begin.
        volume: How much is traded in it.
    """

    exchange: str
    symbol: str
    minute: int
    price: float
    volume: float


@dataclass(frozen=True, slots=True)
class Candle:
    """What has become of a price in a minute that is over.

    Its ``open`` and ``volume`` are the price and the volume of the ticker of this minute, so a
    ticker that was missed can be had from the candle.
    """

    exchange: str
    symbol: str
    minute: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def minute_at(seconds: float | None = None, *, minute: float = MINUTE) -> int:
    """Return the number of a minute.

    Args:
        seconds: The time since 1970; None: now.
        minute: How many seconds a minute has.
    """
    return int((time.time() if seconds is None else seconds) / minute)


def symbols_of(count: int) -> list[str]:
    """Return the first so many symbols."""
    bases = _BASES[:count] + [f"C{number}" for number in range(len(_BASES) + 1, count + 1)]
    return [f"{base}/USDT" for base in bases]


def ticker_at(exchange: str, symbol: str, minute: int) -> Ticker:
    """Return what an exchange says about a symbol in a minute."""
    return Ticker(
        exchange,
        symbol,
        minute,
        _price(exchange, symbol, minute),
        _volume(exchange, symbol, minute),
    )


def candle_at(exchange: str, symbol: str, minute: int) -> Candle:
    """Return what an exchange says about a symbol in a minute that is over."""
    first, last = _price(exchange, symbol, minute), _price(exchange, symbol, minute + 1)
    swing = 1 + _number("swing", exchange, symbol, minute) % 1000 / 200_000
    return Candle(
        exchange,
        symbol,
        minute,
        open=first,
        high=round(max(first, last) * swing, 2),
        low=round(min(first, last) / swing, 2),
        close=last,
        volume=_volume(exchange, symbol, minute),
    )


def _price(exchange: str, symbol: str, minute: int) -> float:
    usual = 10 + _number("base", symbol) % 6_000_000 / 100
    swing = _number("price", exchange, symbol, minute) % 10_001 / 100_000 - 0.05
    return round(usual * (1 + swing), 2)


def _volume(exchange: str, symbol: str, minute: int) -> float:
    return 1 + _number("volume", exchange, symbol, minute) % 1_000_000 / 1000


def _number(*of: object) -> int:
    text = "\n".join(map(str, of)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
