"""Exchanges that are real processes, and a collector of them, all started and ended together."""

from contextlib import contextmanager

from examples.market_collector.cache import MemoryCache
from examples.market_collector.collector import MarketCollector, make_manager
from examples.market_collector.exchange import start_exchange
from examples.market_collector.store import Store
from holdfast.supervision import Supervisor


class Running:
    """What runs.

    Attributes:
        exchanges: The exchanges, by name.
        store: The store of the collector.
        collector: The collector.
    """

    def __init__(self, exchanges, store, collector):
        self.exchanges = exchanges
        self.store = store
        self.collector = collector


@contextmanager
def running(folder, settings, names, *, symbols=4, minute=0.5, **collector):
    """Start exchanges and a collector of them, and end both."""
    with Supervisor("market", max_restarts=None) as market:
        exchanges = {
            name: start_exchange(market, name, symbols=symbols, minute=minute) for name in names
        }
        rm = make_manager(settings)
        urls = {name: exchange.url for name, exchange in exchanges.items()}
        with (
            Store(folder / "prices.db", rm) as store,
            MarketCollector(
                settings, urls, cache=MemoryCache(), store=store, rm=rm, **collector
            ) as made,
        ):
            yield Running(exchanges, store, made)
