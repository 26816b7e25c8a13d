"""The statements that are timed: a case for each figure of the results, and their yardsticks.

Each case stands on objects of its own. What the figures mean is in ``rows.py``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import cycle
from threading import Lock

from holdfast._native.clock import Clock, read_repeatedly
from holdfast.degradation import DegradationManager
from holdfast.errors import CircuitOpenError
from holdfast.manager.manager import ResilienceManager
from holdfast.manager.presets.dwcp import DWCP
from holdfast.pipeline.pipeline import Pipeline
from holdfast.policies.backoff import Constant, Exponential
from holdfast.policies.breaker import CircuitBreaker, CountWindow, State, TimeWindow
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.error_budget import ErrorBudget
from holdfast.policies.hedge import Hedge, Quantile
from holdfast.policies.latency_budget import LatencyBudget
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry, RetryBudget
from holdfast.policies.timeout import AdaptiveTimeout, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["CASES", "ORIGINAL", "READS", "Case"]

# Reads of the clock in one statement: the statement itself is then not seen beside them.
READS = 1_000

# More than a loop can use up: a token every 10 ns, and a second of them at once.
PLENTY = 100_000_000


class Case:
    """A statement, the names it uses, and what has to be true however often it has run.

    Args:
        statement: Python source; may be several lines.
        awaits: Whether it is to run in a coroutine.
        in_loop: Whether that is to be a task of an event loop: it is suspended, or asks for it.
        most: Repeats in a round at most.
        tidy: Called after each round, outside the timed loop.
        holds: Asked after it has run ``n`` times.
        **names: What the statement's names mean.
    """

    def __init__(
        self,
        statement: str,
        *,
        awaits: bool = False,
        in_loop: bool = False,
        most: int = 1_000_000,
        tidy: Callable[[], object] | None = None,
        holds: Callable[[int], bool] = lambda _: True,
        **names: Any,
    ) -> None:
        self.statement = statement
        self.awaits = awaits or in_loop
        self.in_loop = in_loop
        self.most = most
        self.tidy = tidy
        self.holds = holds
        self.names = names


def bare() -> None:
    """The function that is guarded: as little as there can be."""


async def bare_async() -> bool:
    """The coroutine function that is guarded; it answers, as most do."""
    return True


# ---- yardsticks ----


def empty() -> Case:
    """The loop itself."""
    return Case("pass")


def bare_call() -> Case:
    return Case("f()", f=bare)


def partial_call() -> Case:
    return Case("p()", p=partial(bare))


def clock_reads() -> Case:
    """As many reads of CLOCK_MONOTONIC as ``READS`` says, in one compiled loop."""
    return Case("read(clock, READS)", read=read_repeatedly, clock=Clock(), READS=READS)


def method_call() -> Case:
    return Case("lock.locked()", lock=Lock())


def ready_raise() -> Case:
    error = ValueError()

    def tidy() -> None:
        error.__traceback__ = None

    # Its traceback grows by an entry with each raise: few of them, or memory is what is measured.
    return Case("try: raise error\nexcept ValueError: pass", most=300, tidy=tidy, error=error)


def with_lock() -> Case:
    return Case("with lock: pass", lock=Lock())


def bare_await() -> Case:
    return Case("await f()", awaits=True, f=bare_async)


def asyncio_timeout() -> Case:
    return Case(
        "async with timeout(30): await f()", in_loop=True, timeout=asyncio.timeout, f=bare_async
    )


def suspended() -> Case:
    """A turn of the event loop."""
    return Case("await sleep(0)", in_loop=True, sleep=asyncio.sleep)


def asyncio_timeout_suspended() -> Case:
    return Case(
        "async with timeout(30): await sleep(0)",
        in_loop=True,
        timeout=asyncio.timeout,
        sleep=asyncio.sleep,
    )


def two_failures_by_hand() -> Case:
    """What is written where there is no retry."""
    return Case(
        """\
for _ in range(4):
    try:
        f()
        break
    except ConnectionError:
        pass""",
        f=_third_time_lucky(),
    )


def async_with_semaphore() -> Case:
    return Case("async with semaphore: pass", awaits=True, semaphore=asyncio.Semaphore(100))


# ---- what is measured ----


def closed_breaker() -> Case:
    breaker = CircuitBreaker("closed")
    return Case("g()", g=breaker(bare), holds=_succeeded(breaker))


def count_window() -> Case:
    breaker = CircuitBreaker("count", failure_rate=0.5, window=CountWindow(100))
    return Case("g()", g=breaker(bare), holds=_succeeded(breaker))


def time_window() -> Case:
    breaker = CircuitBreaker("time", failure_rate=0.5, window=TimeWindow(10.0))
    return Case("g()", g=breaker(bare), holds=_succeeded(breaker))


def gate() -> Case:
    breaker = CircuitBreaker("gate")
    limiter = RateLimiter("gate", rate=PLENTY)
    bulkhead = Bulkhead("gate", max_concurrent=100)
    pipe = Pipeline("gate", breaker, limiter, bulkhead)
    return Case("g()", g=pipe(bare), holds=_succeeded(breaker))


def breaker_pipeline() -> Case:
    breaker = CircuitBreaker("piped")
    return Case("g()", g=Pipeline("piped", breaker)(bare), holds=_succeeded(breaker))


def budgets() -> Case:
    breaker, latency = CircuitBreaker("budgets"), LatencyBudget("budgets")
    pipe = Pipeline("budgets", ErrorBudget("budgets"), latency, breaker)
    return Case("g()", g=pipe(bare), holds=lambda n: latency.snapshot().recorded == n)


def error_budget_snapshot() -> Case:
    budget = ErrorBudget("shown")
    for _ in range(1_000):
        budget.call(bare)
    return Case("budget.snapshot()", most=10_000, budget=budget)


def latency_budget_snapshot() -> Case:
    budget = LatencyBudget("shown", samples=100_000)
    for n in range(100_000):
        budget.record(n % 1_000 / 1_000)
    return Case("budget.snapshot()", most=10_000, budget=budget)


def standard_pipeline() -> Case:
    pipe = Pipeline.standard("standard")
    return Case("g()", g=pipe(bare), holds=_all_succeeded(pipe))


def standard_await() -> Case:
    pipe = Pipeline.standard("standard await")
    return Case("await g()", awaits=True, g=pipe(bare_async), holds=_all_succeeded(pipe))


def standard_await_untimed() -> Case:
    pipe = Pipeline.standard("untimed", total_timeout=None, attempt_timeout=None)
    return Case("await g()", awaits=True, g=pipe(bare_async), holds=_all_succeeded(pipe))


def timeout_await() -> Case:
    timeout = Timeout(30)
    return Case("await g()", awaits=True, g=timeout(bare_async), holds=_in_time(timeout))


def timeout_suspended() -> Case:
    timeout = Timeout(30)
    return Case("await g(0)", in_loop=True, g=timeout(asyncio.sleep), holds=_in_time(timeout))


def hedge_await() -> Case:
    return _hedged(Hedge("prompt", delay=30))


def hedge_quantile_await() -> Case:
    """Its delay follows each call."""
    return _hedged(Hedge("following", delay=Quantile(0.95)))


def _hedged(hedge: Hedge) -> Case:
    return Case(
        "await g()", awaits=True, g=hedge(bare_async), holds=lambda n: hedge.snapshot().calls == n
    )


def retry_two_failures() -> Case:
    retry = Retry("two", on=ConnectionError, backoff=Constant(0), budget=RetryBudget(ratio=2.0))
    return Case(
        "g()",
        g=retry(_third_time_lucky()),
        holds=lambda n: retry.snapshot().recovered == n == retry.snapshot().succeeded,
    )


def open_try_call() -> Case:
    breaker = _opened()
    return Case("b.try_call(f)", b=breaker, f=bare, holds=_rejected(breaker))


def open_raise() -> Case:
    breaker = _opened()
    return Case(
        "try: g()\nexcept E: pass", g=breaker(bare), E=CircuitOpenError, holds=_rejected(breaker)
    )


def with_breaker() -> Case:
    breaker = CircuitBreaker("with")
    return Case("with b: pass", b=breaker, holds=_succeeded(breaker))


def with_acquire() -> Case:
    breaker = CircuitBreaker("acquire")
    return Case("with b.acquire(): pass", b=breaker, holds=_succeeded(breaker))


def guarded_await() -> Case:
    breaker = CircuitBreaker("await")
    return Case("await g()", awaits=True, g=breaker(bare_async), holds=_succeeded(breaker))


def async_with_bulkhead() -> Case:
    bulkhead = Bulkhead("async with", max_concurrent=100)
    return Case(
        "async with bulkhead: pass",
        awaits=True,
        bulkhead=bulkhead,
        holds=lambda n: bulkhead.snapshot().completed == n,
    )


def try_acquire() -> Case:
    limiter = RateLimiter("take", rate=PLENTY)
    return Case(
        "limiter.try_acquire()", limiter=limiter, holds=lambda n: limiter.snapshot().allowed == n
    )


def pipeline_with_limiter() -> Case:
    """A breaker that times its calls, and a limiter of a fixed rate."""
    limiter = RateLimiter("fixed", rate=PLENTY)
    return _behind_breaker(limiter, lambda n: limiter.snapshot().allowed == n)


def pipeline_with_adaptive_limiter() -> Case:
    """The same with a limiter that learns from each call; its rate is the highest."""
    from holdfast.policies.limiter.adaptive import AdaptiveRateLimiter

    limiter = AdaptiveRateLimiter("adaptive", rate=PLENTY, max_rate=PLENTY)
    return _behind_breaker(limiter, lambda n: limiter.snapshot().samples == n)


def _behind_breaker(limiter: RateLimiter, holds: Callable[[int], bool]) -> Case:
    pipe = Pipeline(limiter.name, CircuitBreaker(limiter.name), limiter)
    return Case("pipe.call(bare)", pipe=pipe, bare=bare, holds=holds)


def adaptive_timeout() -> Case:
    timeout = AdaptiveTimeout(30)
    return Case(
        "timeout.call(bare)",
        timeout=timeout,
        bare=bare,
        holds=lambda n: timeout.snapshot().samples == n,
    )


def backoff_delay() -> Case:
    backoff = Exponential(0.1, factor=2, max=10, jitter=0.1)
    return Case("backoff.delay(3)", backoff=backoff)


def component_level() -> Case:
    component = DegradationManager("bench").component("bench")
    return Case("component.level", component=component)


def feature_enabled() -> Case:
    feature = DegradationManager("bench").feature("bench", "bench")
    return Case("feature.enabled", feature=feature)


def feature_by_name() -> Case:
    manager = DegradationManager("bench")
    manager.feature("bench", "bench")
    return Case("manager.is_enabled('bench')", manager=manager)


def manager_execute() -> Case:
    """Everything that the preset has for the operation "send", and all that is counted of it."""
    rm = _manager()
    return Case("rm.execute('send', f)", rm=rm, f=bare, holds=_all_sent(rm))


def manager_operation() -> Case:
    """The same, by a name that was resolved before."""
    rm = _manager()
    return Case("send.call(f)", send=rm.operation("send"), f=bare, holds=_all_sent(rm))


def manager_decorated() -> Case:
    rm = _manager()
    return Case("g()", g=rm.operation("send")(bare), holds=_all_sent(rm))


def _manager() -> ResilienceManager:
    plenty = {"rate": PLENTY, "min_rate": 100, "max_rate": PLENTY}
    preset = DWCP.but(adaptive_rate_limiters={"send": plenty}, monitoring=False)
    return ResilienceManager("bench", presets=preset)


def _all_sent(rm: ResilienceManager) -> Callable[[int], bool]:
    retry, breaker, latency = (
        rm.retry("send"),
        rm.circuit_breaker("send"),
        rm.latency_budget("send"),
    )
    return lambda n: (
        retry.snapshot().succeeded
        == n
        == breaker.snapshot().succeeded
        == latency.snapshot().recorded
    )


def limiter_rejects() -> Case:
    limiter = RateLimiter("used up", rate=1e-6, burst=1)
    limiter.try_acquire()
    return Case(
        "limiter.try_acquire()", limiter=limiter, holds=lambda n: limiter.snapshot().rejected == n
    )


def bulkhead_call() -> Case:
    bulkhead = Bulkhead("places", max_concurrent=100)
    return Case(
        "bulkhead.call(f)",
        bulkhead=bulkhead,
        f=bare,
        holds=lambda n: bulkhead.snapshot().completed == n,
    )


def _third_time_lucky() -> Callable[[], None]:
    """Return a function that fails twice of three times."""
    calls = cycle((True, True, False))

    def call() -> None:
        if next(calls):
            raise ConnectionError

    return call


def _all_succeeded(pipe: Pipeline) -> Callable[[int], bool]:
    retry, breaker = (
        next(policy for policy in pipe.policies if isinstance(policy, kind))
        for kind in (Retry, CircuitBreaker)
    )
    return lambda n: retry.snapshot().succeeded == n == breaker.snapshot().succeeded


def _in_time(timeout: Timeout) -> Callable[[int], bool]:
    return lambda n: timeout.snapshot().in_time == n


def _opened() -> CircuitBreaker:
    breaker = CircuitBreaker("open", reset_timeout=86_400)
    breaker.trip()
    return breaker


def _succeeded(breaker: CircuitBreaker) -> Callable[[int], bool]:
    return lambda n: breaker.snapshot().succeeded == n and breaker.state is State.CLOSED


def _rejected(breaker: CircuitBreaker) -> Callable[[int], bool]:
    return lambda n: breaker.snapshot().rejected == n and breaker.state is State.OPEN


YARDSTICKS = (
    empty,
    bare_call,
    partial_call,
    clock_reads,
    method_call,
    ready_raise,
    with_lock,
    bare_await,
    async_with_semaphore,
    asyncio_timeout,
    suspended,
    asyncio_timeout_suspended,
    two_failures_by_hand,
)
MEASURED = (
    closed_breaker,
    count_window,
    time_window,
    gate,
    breaker_pipeline,
    budgets,
    error_budget_snapshot,
    latency_budget_snapshot,
    standard_pipeline,
    standard_await,
    standard_await_untimed,
    timeout_await,
    timeout_suspended,
    hedge_await,
    hedge_quantile_await,
    retry_two_failures,
    open_try_call,
    open_raise,
    with_breaker,
    with_acquire,
    guarded_await,
    async_with_bulkhead,
    try_acquire,
    pipeline_with_limiter,
    pipeline_with_adaptive_limiter,
    adaptive_timeout,
    backoff_delay,
    component_level,
    feature_enabled,
    feature_by_name,
    manager_execute,
    manager_operation,
    manager_decorated,
    limiter_rejects,
    bulkhead_call,
)
#: The benchmarks of the original system, by their names there.
ORIGINAL: dict[str, Callable[[], Case]] = {
    "CircuitBreakerClosed": closed_breaker,
    "RateLimiterAllowed": try_acquire,
    "RateLimiterRejected": limiter_rejects,
    "Bulkhead": bulkhead_call,
    "ResilienceManagerFullStack": manager_execute,
}
CASES: dict[str, Callable[[], Case]] = {case.__name__: case for case in (*YARDSTICKS, *MEASURED)}
