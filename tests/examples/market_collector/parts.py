"""What tests of the collector use: exchanges in this process that do as they are told."""

import threading
from collections.abc import Callable

from examples.market_collector.market import candle_at, symbols_of, ticker_at
from holdfast.manager import presets

FIRST = 1000  # the minute in which tests begin


class Settings:
    """The settings of a collector: those of the preset, with waits that a test has time for."""

    def __init__(self, **timeouts: float) -> None:
        self._timeouts = timeouts

    def preset(self):
        quick = {"base_delay": 0.001, "max_delay": 0.002}
        named = ("api_call", "database_operation", "redis_operation", "concurrent_operation")
        return presets.get("collector").but(
            retry_policies=dict.fromkeys(named, quick), timeouts=self._timeouts
        )


class Exchange:
    """An exchange that answers from this process: what a market says, or an error.

    Attributes:
        minute: The minute that it is.
        fault: What each request does before it is answered, with the name of what is asked; it
            may raise, or wait.
        asked: What was asked, in order.
        at_once: How many requests are inside, and the most that there were.
    """

    def __init__(self, name: str, symbols: int = 4) -> None:
        self.name = name
        self.listed = symbols_of(symbols)
        self.minute = FIRST
        self.fault: Callable[[str], object] = lambda _: None
        self.asked: list[str] = []
        self.inside = self.most = 0
        self.closed = 0
        self.free = threading.Event()  # of what hangs
        self._lock = threading.Lock()

    def _answer(self, what: str, answer):
        with self._lock:
            self.asked.append(what)
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            self.fault(what)
            return answer()
        finally:
            with self._lock:
                self.inside -= 1

    def symbols(self):
        return self._answer("symbols", lambda: list(self.listed))

    def ticker(self, symbol):
        return self._answer(symbol, lambda: ticker_at(self.name, symbol, self.minute))

    def candles(self, symbol, since, limit):
        until = min(since + limit, self.minute)
        return self._answer(
            f"candles {symbol}",
            lambda: [candle_at(self.name, symbol, minute) for minute in range(since, until)],
        )

    def hang(self, _: str = "") -> None:
        """Be a fault: give no answer until it is set free, or the connection is closed."""
        self.free.wait()
        if self.closed:
            raise ConnectionError("closed")

    def close(self):
        self.closed += 1
        self.free.set()


def fails(error: Exception) -> Callable[[str], object]:
    """Return a fault that raises."""

    def fail(_: str) -> None:
        raise error

    return fail


class Guarded:
    """An exchange behind the policies that a client has."""

    def __init__(self, rm, exchange: Exchange) -> None:
        self._guarded = rm.keyed("exchange", exchange.name)
        self._exchange = exchange

    def symbols(self):
        return self._guarded.call(self._exchange.symbols)

    def ticker(self, symbol):
        return self._guarded.call(self._exchange.ticker, symbol)

    def candles(self, symbol, since, limit):
        return self._guarded.call(self._exchange.candles, symbol, since, limit)

    def close(self):
        self._exchange.close()
