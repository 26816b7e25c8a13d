"""Every kernel: how it is made, the name of its capsule, and the memory it may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast._native.adaptive_rate import AdaptiveRate
from holdfast._native.adaptive_timeout import AdaptiveTimeout
from holdfast._native.backoff import Backoff
from holdfast._native.breaker import Breaker
from holdfast._native.bucket import SlidingWindow, TokenBucket
from holdfast._native.budget import Budget
from holdfast._native.bulkhead import Bulkhead
from holdfast._native.check import CheckState
from holdfast._native.clock import Clock, ManualClock
from holdfast._native.component import Component
from holdfast._native.error_budget import ErrorBudget
from holdfast._native.failure_rate import FailureRate
from holdfast._native.fallback import Fallback
from holdfast._native.hedge import Hedge
from holdfast._native.histogram import Histogram
from holdfast._native.latency_budget import LatencyBudget
from holdfast._native.level import Level
from holdfast._native.meter import Meter
from holdfast._native.quantile import Quantile
from holdfast._native.random import Random
from holdfast._native.resource import Resource
from holdfast._native.retry import Retry
from holdfast._native.timeout import Timeout
from holdfast._native.window import CountWindow, TimeWindow

SECOND = 10**9

# A breaker as most are: five failures in a row or half of the last ten seconds' calls.
BREAKER: dict[str, Any] = {
    "failure_threshold": 5,
    "success_threshold": 3,
    "half_open_max": 3,
    "min_calls": 10,
    "failure_rate_ppb": 500_000_000,
    "slow_rate_ppb": 0,
    "slow_ns": 0,
    "reset_ns": 60 * SECOND,
    "reset_max_ns": 0,
    "probe_ns": 30 * SECOND,
    "failure_reset_ns": 0,
    "reset_factor": 1.0,
    "reset_jitter": 0.0,
    "window_kind": 2,
    "window_n": 10,
    "slice_ns": SECOND,
    "seed": 1,
}

# Kind, base and longest, and the rest: a tenth of a second, doubled up to a minute.
BACKOFF: dict[str, Any] = {
    "kind": 2,
    "base_ns": SECOND // 10,
    "max_ns": 60 * SECOND,
    "increment_ns": 0,
    "factor": 2.0,
    "mode": 0,
    "jitter": 0.1,
    "seed": 1,
}

# How each kernel is made, the name of its capsule, and the memory it may take.
KERNELS: dict[str, tuple[Callable[[], Any], str, int]] = {
    "Clock": (Clock, "holdfast.clock", 64),
    "ManualClock": (ManualClock, "holdfast.clock", 64),
    "Random": (lambda: Random(1), "holdfast.random", 64),
    "CountWindow": (lambda: CountWindow(100), "holdfast.count_window", 256),
    "TimeWindow": (lambda: TimeWindow(10, SECOND), "holdfast.time_window", 512),
    "Breaker": (lambda: Breaker(**BREAKER), "holdfast.breaker", 1024),
    "TokenBucket": (lambda: TokenBucket(1000, SECOND, 100, 0), "holdfast.bucket", 256),
    "SlidingWindow": (lambda: SlidingWindow(1000, SECOND), "holdfast.sliding", 256),
    "Bulkhead": (lambda: Bulkhead(100, 10), "holdfast.bulkhead", 256),
    "Histogram": (Histogram, "holdfast.histogram", 10_000),
    "Backoff": (lambda: Backoff(**BACKOFF), "holdfast.backoff", 64),
    "FailureRate": (FailureRate, "holdfast.failure_rate", 64),
    "Budget": (lambda: Budget(200_000, 10_000_000, 100, 0), "holdfast.budget", 128),
    "ErrorBudget": (
        lambda: ErrorBudget(3600 * SECOND, 10**6, 1000, 10, False, True, False, 0),
        "holdfast.error_budget",
        5_000,
    ),
    "Quantile": (lambda: Quantile(0.95), "holdfast.quantile", 64),
    "Retry": (lambda: Retry(4), "holdfast.retry", 512),
    "Timeout": (lambda: Timeout(SECOND), "holdfast.timeout", 128),
    "CheckState": (lambda: CheckState(3, 1, 0), "holdfast.check", 256),
    "Component": (lambda: Component(False), "holdfast.component", 128),
    "Resource": (lambda: Resource(5), "holdfast.resource", 128),
    "Fallback": (Fallback, "holdfast.fallback", 64),
    "Hedge": (lambda: Hedge(None, 0.95, 20, 1), "holdfast.hedge", 192),
    "LatencyBudget": (
        lambda: LatencyBudget(SECOND // 10, 950_000, 1000, 20),
        "holdfast.latency_budget",
        6_500,
    ),
    "Level": (lambda: Level(SECOND, 0), "holdfast.level", 256),
    "Meter": (Meter, "holdfast.meter", 64),
    "AdaptiveRate": (
        lambda: AdaptiveRate(
            TokenBucket(1000, SECOND, 100, 0), 10**6, 1000, 10**7, 0, SECOND, SECOND, 100, 0
        ),
        "holdfast.adaptive_rate",
        256,
    ),
    "AdaptiveTimeout": (
        lambda: AdaptiveTimeout(SECOND, 1, 2 * SECOND, 2.0, 0.95),
        "holdfast.adaptive_timeout",
        128,
    ),
}

every_kernel = pytest.mark.parametrize("name", KERNELS)


def made(name: str) -> Any:
    return KERNELS[name][0]()
