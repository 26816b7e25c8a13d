"""Run exchanges and a collector of them, and show what it collects."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from examples.market_collector.collector import MarketCollector
    from examples.market_collector.summary import Summary
    from holdfast.agent.config import CollectorSettings

_EXCHANGES = ("alpha", "beta", "gamma", "delta")
_MINUTE = 1.0  # seconds of a minute of the market


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return 0 if everything went as it has to."""
    from examples.market_collector.settings import FILE, read_settings
    from holdfast import ConfigError

    options = _parser(FILE).parse_args(arguments)
    logging.getLogger().addHandler(logging.NullHandler())  # the lines say what matters
    try:
        settings = read_settings(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="market-") as folder:
        collector = _collect(settings, Path(folder), options.seconds)
    left = collector.resources.count()
    print(f"at rest: {left} resources, {collector.rm.timeouts.active_count} operations")
    return 0 if left == 0 else 1


def _collect(settings: CollectorSettings, folder: Path, seconds: float) -> MarketCollector:
    from examples.market_collector.cache import open_cache
    from examples.market_collector.collector import MarketCollector, make_manager
    from examples.market_collector.exchange import start_exchange
    from examples.market_collector.redis_server import installed, start_redis
    from examples.market_collector.store import Store
    from holdfast.supervision import Supervisor

    rm = make_manager(settings)
    with ExitStack() as opened:
        market = opened.enter_context(Supervisor("market", max_restarts=None))
        urls = {name: start_exchange(market, name, minute=_MINUTE).url for name in _EXCHANGES}
        cache = open_cache(rm, start_redis(market).url if installed() else None)
        opened.callback(cache.close)
        store = opened.enter_context(Store(folder / "prices.db", rm))
        collector = MarketCollector(settings, urls, cache=cache, store=store, rm=rm)
        opened.enter_context(collector)
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(1.0, left))
                print(_line(collector.report()), flush=True)
        except KeyboardInterrupt:
            print("stopped")
    return collector


def _line(seen: Summary) -> str:
    exchanges = ", ".join(
        f"{name} {one.worker.collected} ({one.breaker}, {one.missing} missing)"
        for name, one in seen.exchanges.items()
    )
    return f"{seen.health.message}; {exchanges}; {seen.errors.failed} errors"


def _parser(config: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m examples.market_collector",
        description="Four exchanges on this machine, and what collects their prices.",
    )
    parser.add_argument("--config", type=Path, default=config, help="the file with the settings")
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long it runs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
