"""Summary: what the collector has come to so far; data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from examples.market_collector.health import Health
    from examples.market_collector.worker import WorkerState

__all__ = ["ErrorCounts", "ExchangeSummary", "Summary"]


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """The errors of all operations that have ended.

    Attributes:
        total: How many operations have ended.
        failed: How many of them have failed.
        by_category: The failures by category: "transient", "permanent", "resource", "logic", or
            "unknown".
        by_operation: The failures by operation, such as "binance.ticker".
        message: All of it in a sentence with the first error; None if nothing has failed.
    """

    total: int
    failed: int
    by_category: Mapping[str, int]
    by_operation: Mapping[str, int]
    message: str | None


@dataclass(frozen=True, slots=True)
class ExchangeSummary:
    """One exchange.

    Attributes:
        breaker: The state of its circuit breaker, such as "closed".
        worker: What its worker has done.
        filled: How many rows were filled in afterwards.
        missing: How many minutes are missing in the store; None if that cannot be told now.
    """

    breaker: str
    worker: WorkerState
    filled: int
    missing: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole collector at one moment.

    Attributes:
        health: How it is.
        collected: Prices that were collected, of all exchanges.
        filled: Rows that were filled in afterwards.
        deleted: Rows that were too old.
        exchanges: Each exchange.
        errors: All errors.
        cache: What the cache says of itself.
        resources: How many resources of each kind are registered.
        active: How many timed operations run.
    """

    health: Health
    collected: int
    filled: int
    deleted: int
    exchanges: Mapping[str, ExchangeSummary]
    errors: ErrorCounts
    cache: Any
    resources: Mapping[str, int]
    active: int
