"""The preset of a market-data collector: exchanges, their API, a database, Redis.

Its breakers are in the collector's own words (``spellings.collector_breaker``): ``timeout`` is how
long one stays open, and ``reset_timeout`` after how long failures are forgotten.
"""

from __future__ import annotations

from holdfast.manager.presets.preset import Preset
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["COLLECTOR", "REGISTERED", "for_workers"]

MAX_PROBES = 32  # that a breaker has at the same time
WORKERS = 10

#: What the breakers have that are registered with a number of failures and an open time only.
REGISTERED = {"success_threshold": 2, "max_requests": 5, "reset_timeout": 120.0}


def _breaker(failures: int, timeout: float, requests: int, reset_timeout: float) -> dict[str, Any]:
    return {
        "failure_threshold": failures,
        "success_threshold": 3,
        "timeout": timeout,
        "max_requests": min(requests, MAX_PROBES),
        "reset_timeout": reset_timeout,
    }


def _retry(retries: int, first: float, longest: float, factor: float) -> dict[str, Any]:
    return {
        "max_retries": retries,
        "base_delay": first,
        "max_delay": longest,
        "backoff_factor": factor,
        "jitter": 0.25,
        "jitter_mode": "around",
    }


# Besides, an operation has what bears its own name.
_OF_AN_EXCHANGE = {"circuit_breaker": "ccxt", "retry": "api_call"}


def for_workers(workers: int = WORKERS) -> Preset:
    """Return the preset of a collector with so many workers, 1 to 1,000,000.

    Half-open breakers admit as many requests at a time as there are workers, or twice as many,
    but never more than 32.

    Raises:
        ConfigError: The number of workers is out of range.
    """
    problems = Problems("for_workers")
    workers = problems.integer("workers", workers, least=1, most=1_000_000)
    problems.done()
    return Preset(
        "collector",
        "a market-data collector",
        circuit_breakers={
            "ccxt": _breaker(50, 30.0, 2 * workers, 60.0),
            "redis": _breaker(10, 15.0, workers, 30.0),
            "exchange": _breaker(20, 30.0, 10, 60.0),  # one per exchange: rm.keyed("exchange", …)
            "signal_processor": _breaker(5, 30.0, 10, 60.0),
        },
        retry_policies={
            "api_call": _retry(3, 0.1, 5.0, 2.0),
            "database_operation": _retry(5, 0.05, 2.0, 1.5),
            "redis_operation": _retry(3, 0.025, 1.0, 2.0),
            "concurrent_operation": _retry(2, 0.2, 3.0, 2.5),
            "default": _retry(3, 0.1, 5.0, 2.0),
        },
        timeouts={
            "api_call": 10.0,
            "database_query": 5.0,
            "redis_operation": 2.0,
            "concurrent_op": 15.0,
            "health_check": 3.0,
            "backfill": 60.0,
            "symbol_fetch": 20.0,
            "market_data": 8.0,
        },
        operations={
            "database_query": {"retry": "database_operation"},
            "redis_operation": {"circuit_breaker": "redis"},
            "concurrent_op": {"retry": "concurrent_operation"},
            "backfill": _OF_AN_EXCHANGE,
            "symbol_fetch": _OF_AN_EXCHANGE,
            "market_data": _OF_AN_EXCHANGE,
            "exchange": {"retry": "api_call", "timeout": "api_call"},
            "signal_processor": {"retry": "default"},
        },
    )


COLLECTOR = for_workers()
