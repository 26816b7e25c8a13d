"""The rows of the cost table: what each measures, and what it may cost.

A row compares nanoseconds of one run with yardsticks of the same run: C, one read of
CLOCK_MONOTONIC in a compiled loop, and P, what ``functools.partial`` adds to a call. Elsewhere: the
statements (``cases.py``), their timing (``timing.py``).
"""

from __future__ import annotations

import sys

from holdfast.bench.cases import READS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Least = Mapping[str, float]

__all__ = ["GIL", "ROWS", "Row", "clock_cost", "partial_cost"]

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
OLD_AWAIT = sys.version_info < (3, 12)  # later interpreters treat foreign awaitables worse


def clock_cost(ns: Least) -> float:
    """C: nanoseconds of one clock read."""
    return ns["clock_reads"] / READS


def partial_cost(ns: Least) -> float:
    """P: nanoseconds that functools.partial adds to a call."""
    return ns["partial_call"] - ns["bare_call"]


class Row:
    """One row.

    Args:
        label: What is measured.
        cost: Its nanoseconds, over what would be paid without it.
        unit: What a figure of this row is a multiple of, in words.
        yardstick: The same in nanoseconds.
        target: The most it may be, in that unit.
        essential: Whether it is one of the few that are shown where there is no room for all.
    """

    def __init__(
        self,
        label: str,
        cost: Callable[[Least], float],
        unit: str,
        yardstick: Callable[[Least], float],
        target: float,
        essential: bool = False,
    ) -> None:
        self.label = label
        self.cost = cost
        self.unit = unit
        self.yardstick = yardstick
        self.target = target
        self.essential = essential

    def figure(self, ns: Least) -> float:
        """The cost in the row's unit."""
        return self.cost(ns) / self.yardstick(ns)


def over(case: str, base: str) -> Callable[[Least], float]:
    return lambda ns: ns[case] - ns[base]


def window_allowance(ns: Least) -> float:
    return 2 * partial_cost(ns) + 0.6 * clock_cost(ns)


def take_allowance(ns: Least) -> float:
    return 1.5 * clock_cost(ns) + ns["method_call"] - ns["empty"]


def execute_allowance(ns: Least) -> float:
    return 12 * clock_cost(ns) + ns["bare_call"] - ns["empty"]


def microsecond(_: Least) -> float:
    return 1_000.0


LOCK = over("with_lock", "empty")

ROWS = (
    Row(
        "closed breaker, decorated `def`",
        over("closed_breaker", "bare_call"),
        "P",
        partial_cost,
        2 if GIL else 2.5,
        essential=True,
    ),
    Row(
        "… with a failure rate over a `CountWindow`",
        over("count_window", "bare_call"),
        "(2 P + 0.6 C)",
        window_allowance,
        1,
    ),
    Row(
        "… with a failure rate over a `TimeWindow`",
        over("time_window", "bare_call"),
        "(2 P + 0.6 C)",
        window_allowance,
        1,
    ),
    Row(
        "breaker + rate limiter + bulkhead + latency histogram",
        over("gate", "bare_call"),
        "C",
        clock_cost,
        5,
        essential=True,
    ),
    Row(
        "standard pipeline, first attempt succeeds",
        over("standard_pipeline", "bare_call"),
        "C",
        clock_cost,
        6.5,
        essential=True,
    ),
    Row(
        "error budget + latency budget, around a breaker",
        over("budgets", "breaker_pipeline"),
        "C",
        clock_cost,
        1.5,
    ),
    Row(
        "snapshot of an error budget", over("error_budget_snapshot", "empty"), "µs", microsecond, 10
    ),
    Row(
        "snapshot of a latency budget of 100,000 calls",
        over("latency_budget_snapshot", "empty"),
        "µs",
        microsecond,
        10,
    ),
    Row(
        "open breaker, `try_call`",
        over("open_try_call", "bare_call"),
        "C",
        clock_cost,
        1.5,
        essential=True,
    ),
    Row(
        "open breaker, raising",
        over("open_raise", "empty"),
        "× raise and catch a ready exception",
        over("ready_raise", "empty"),
        2,
        essential=True,
    ),
    Row(
        "`with breaker:`",
        over("with_breaker", "empty"),
        "× `with Lock():`",
        LOCK,
        1,
        essential=True,
    ),
    Row("`with breaker.acquire():`", over("with_acquire", "empty"), "× `with Lock():`", LOCK, 1),
    Row(
        "closed breaker, decorated `async def`",
        over("guarded_await", "bare_await"),
        "× a bare `await`",
        over("bare_await", "empty"),
        0.55 if OLD_AWAIT else 1.4,
        essential=True,
    ),
    Row(
        "decorated `async def`, standard pipeline",
        over("standard_await", "bare_await"),
        "× a bare `await`",
        over("bare_await", "empty"),
        2.5 if OLD_AWAIT else 3.3,
        essential=True,
    ),
    Row(
        "asyncio `Timeout`, not hit",
        over("timeout_await", "bare_await"),
        "× `asyncio.timeout`",
        over("asyncio_timeout", "bare_await"),
        1 / 20 if OLD_AWAIT else 1 / 8,
        essential=True,
    ),
    Row(
        "… of a call that is suspended",
        over("timeout_suspended", "suspended"),
        "× `asyncio.timeout`",
        over("asyncio_timeout_suspended", "suspended"),
        1 / 5 if OLD_AWAIT else 1 / 4,
    ),
    Row(
        "… two of them, within the standard pipeline",
        over("standard_await", "standard_await_untimed"),
        "× `asyncio.timeout`",
        over("asyncio_timeout", "bare_await"),
        1 / 20,
    ),
    Row(
        "asyncio `Hedge`, answered before its delay",
        over("hedge_await", "bare_await"),
        "× asyncio `Timeout`",
        over("timeout_await", "bare_await"),
        1.2,
    ),
    Row(
        "… with a delay by `Quantile`",
        over("hedge_quantile_await", "bare_await"),
        "× asyncio `Timeout`",
        over("timeout_await", "bare_await"),
        1.2,
    ),
    Row(
        "retry of two failures, without a pause",
        over("retry_two_failures", "empty"),
        "× a loop with `try`",
        over("two_failures_by_hand", "empty"),
        3,
        essential=True,
    ),
    Row(
        "`async with bulkhead:`, uncontended",
        over("async_with_bulkhead", "empty"),
        "× `asyncio.Semaphore`",
        over("async_with_semaphore", "empty"),
        0.25,
        essential=True,
    ),
    Row(
        "`limiter.try_acquire()`",
        over("try_acquire", "empty"),
        "(1.5 C + a method call)",
        take_allowance,
        1,
        essential=True,
    ),
    Row(
        "adaptive rate limiter: a sample, in a pipeline with a breaker",
        over("pipeline_with_adaptive_limiter", "pipeline_with_limiter"),
        "C",
        clock_cost,
        1,
    ),
    Row(
        "`rm.execute(name, f)`, the whole `dwcp` preset",
        over("manager_execute", "bare_call"),
        "(12 C + a call)",
        execute_allowance,
        1,
        essential=True,
    ),
    Row(
        "… `operation.call(f)`",
        over("manager_operation", "bare_call"),
        "C",
        clock_cost,
        10,
    ),
    Row("… decorated `def`", over("manager_decorated", "bare_call"), "C", clock_cost, 9),
    Row("`component.level`", over("component_level", "empty"), "P", partial_cost, 2),
    Row("`feature.enabled`", over("feature_enabled", "empty"), "P", partial_cost, 2),
    Row("`manager.is_enabled(name)`", over("feature_by_name", "empty"), "P", partial_cost, 2),
    Row("back-off delay", over("backoff_delay", "empty"), "C", clock_cost, 4),
)
