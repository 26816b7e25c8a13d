"""The same work, as each library does it: a case for each scenario it takes part in.

All breakers count failures in a row and never trip in the timed rounds; all retries make no pause;
all limiters have tokens for every call but where a rejection is timed. A library is imported by its
own functions only, so that one that is missing keeps no other from being compared.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from itertools import count
from threading import BoundedSemaphore
from typing import Any

import holdfast as hf
from holdfast.bench.cases import Case, bare, bare_async

Make = Callable[[], Case]

PLENTY = 100_000_000
NEVER = 1_000_000
HOUR = 3_600
_serials = count()
TRY = "try:\n    {call}\nexcept error:\n    pass"


def fail() -> None:
    raise ConnectionError


def twice() -> Callable[[], None]:
    """Return a function that fails twice, then succeeds, and again."""
    count = 0

    def fail_twice() -> None:
        nonlocal count
        count += 1
        if count % 3:
            raise ConnectionError

    return fail_twice


def called(guarded: object) -> Case:
    return Case("f()", f=guarded)


def awaited(guarded: object) -> Case:
    return Case("await f()", in_loop=True, f=guarded)


def failing(guarded: object, error: type[BaseException] = ConnectionError) -> Case:
    return Case(TRY.format(call="f()"), f=guarded, error=error)


def tripped(guarded: Callable[[], object], rejection: type[BaseException]) -> Case:
    """Let a breaker of one failure open."""
    for _ in range(2):
        try:
            guarded()
        except Exception:  # noqa: BLE001 - the failure, then the rejection
            continue
    return failing(guarded, rejection)


# ---- breakers: success, failure, rejection ----


def holdfast_breaker(threshold: int = NEVER) -> hf.CircuitBreaker:
    return hf.CircuitBreaker("compared", failure_threshold=threshold, reset_timeout=HOUR)


def pybreaker_breaker(threshold: int = NEVER) -> Callable[..., Callable[[], None]]:
    import pybreaker

    return pybreaker.CircuitBreaker(fail_max=threshold, reset_timeout=HOUR)


def circuitbreaker_breaker(threshold: int = NEVER) -> Callable[..., Callable[[], None]]:
    import circuitbreaker

    return circuitbreaker.CircuitBreaker(failure_threshold=threshold, recovery_timeout=HOUR)


def purgatory_breaker(threshold: int = NEVER) -> Callable[..., Callable[[], None]]:
    import purgatory

    return purgatory.SyncCircuitBreakerFactory(default_threshold=threshold, default_ttl=HOUR)(
        "compared"
    )


def interlock_breaker(threshold: int = NEVER) -> Callable[..., Callable[[], None]]:
    import interlock

    # It judges a rate over as many calls as it waits for.
    config = interlock.Config(
        failure_rate_threshold=1.0,
        minimum_number_of_calls=threshold,
        window_size=threshold,
        wait_duration_in_open=HOUR,
    )
    breaker = interlock.CircuitBreaker(name="compared", config=config)
    return lambda fn: lambda: breaker.call_sync(fn)


@cache
def prepare_baldur() -> tempfile.TemporaryDirectory[str]:
    """Have baldur log nothing, and write its files where nobody looks: neither is compared."""
    import structlog

    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    folder = tempfile.TemporaryDirectory()
    for setting in "METRICS_SNAPSHOT_DIR", "SYSTEM_CONTROL_DIR", "RESILIENT_STORAGE_WAL_DIR":
        os.environ[f"BALDUR_{setting}"] = folder.name
    return folder


def baldur_policy(threshold: int = NEVER, reset: int = HOUR) -> Any:
    prepare_baldur()
    from baldur.resilience.policies import CircuitBreakerPolicy
    from baldur.services.circuit_breaker.config import CircuitBreakerConfig

    config = CircuitBreakerConfig(
        failure_threshold=threshold,
        failure_rate_threshold=0,
        recovery_timeout=reset,
        half_open_max_calls=1,
    )
    # It keeps what it knows of a name for the process.
    return CircuitBreakerPolicy(f"compared {next(_serials)}", config=config)


def baldur_breaker(threshold: int = NEVER) -> Callable[..., Callable[[], None]]:
    policy = baldur_policy(threshold)
    return lambda fn: lambda: policy.execute(fn)


def rejection_of(library: str) -> type[BaseException]:
    module, name = {
        "holdfast": ("holdfast", "CircuitOpenError"),
        "pybreaker": ("pybreaker", "CircuitBreakerError"),
        "circuitbreaker": ("circuitbreaker", "CircuitBreakerError"),
        "purgatory": ("purgatory.domain.model", "OpenedState"),
        "interlock-cb": ("interlock", "CircuitOpenError"),
        "baldur-framework": ("baldur", "CircuitBreakerError"),  # which it returns
    }[library]
    found: type[BaseException] = getattr(__import__(module, fromlist=[name]), name)
    return found


BREAKERS: dict[str, Callable[..., Callable[..., Callable[[], None]]]] = {
    "holdfast": holdfast_breaker,
    "pybreaker": pybreaker_breaker,
    "circuitbreaker": circuitbreaker_breaker,
    "purgatory": purgatory_breaker,
    "interlock-cb": interlock_breaker,
    "baldur-framework": baldur_breaker,
}


def _rejection(library: str) -> Make:
    return lambda: tripped(BREAKERS[library](1)(fail), rejection_of(library))


SUCCESS: dict[str, Make] = {
    "bare call": lambda: called(bare),
    **{name: lambda make=make: called(make()(bare)) for name, make in BREAKERS.items()},
}
FAILURE: dict[str, Make] = {
    "bare call": lambda: failing(fail),
    **{name: lambda make=make: failing(make()(fail)) for name, make in BREAKERS.items()},
}
REJECTION: dict[str, Make] = {
    **{name: _rejection(name) for name in BREAKERS},
}


def aiobreaker_async() -> Case:
    import aiobreaker

    breaker = aiobreaker.CircuitBreaker(fail_max=NEVER, timeout_duration=timedelta(hours=1))
    return Case("await call(f)", in_loop=True, call=breaker.call_async, f=bare_async)


def circuitbreaker_async() -> Case:
    import circuitbreaker

    breaker = circuitbreaker.CircuitBreaker(failure_threshold=NEVER, recovery_timeout=HOUR)
    return awaited(breaker(bare_async))


def purgatory_async() -> Case:
    import purgatory

    breaker = purgatory.AsyncCircuitBreakerFactory(default_threshold=NEVER, default_ttl=HOUR)
    return awaited(breaker("compared")(bare_async))


def interlock_async() -> Case:
    import interlock

    breaker = interlock.CircuitBreaker(name="compared")
    return Case("await call(f)", in_loop=True, call=breaker.call_async, f=bare_async)


def hyx_async() -> Case:
    from hyx.circuitbreaker import consecutive_breaker

    breaker = consecutive_breaker(failure_threshold=NEVER, recovery_time_secs=HOUR)
    return awaited(breaker(bare_async))


def grelmicro_async() -> Case:
    from grelmicro.resilience import CircuitBreaker

    breaker = CircuitBreaker("compared", error_threshold=NEVER, reset_timeout=HOUR)
    return awaited(breaker(bare_async))


def baldur_async() -> Case:
    policy = baldur_policy()
    from baldur.resilience.policies import AsyncCircuitBreakerPolicy

    breaker = AsyncCircuitBreakerPolicy(policy)
    return Case("await call(f)", in_loop=True, call=breaker.execute, f=bare_async)


ASYNC_SUCCESS: dict[str, Make] = {
    "bare await": lambda: awaited(bare_async),
    "holdfast": lambda: awaited(holdfast_breaker()(bare_async)),
    "aiobreaker": aiobreaker_async,
    "circuitbreaker": circuitbreaker_async,
    "purgatory": purgatory_async,
    "interlock-cb": interlock_async,
    "hyx": hyx_async,
    "grelmicro": grelmicro_async,
    "baldur-framework": baldur_async,
}


# ---- retries ----


def holdfast_retry(fn: Callable[[], None]) -> Case:
    return called(hf.Retry("compared", on=ConnectionError, backoff=hf.Constant(0), budget=None)(fn))


def tenacity_retry(fn: Callable[[], None]) -> Case:
    import tenacity

    return called(
        tenacity.retry(
            stop=tenacity.stop_after_attempt(4),
            wait=tenacity.wait_none(),
            retry=tenacity.retry_if_exception_type(ConnectionError),
            sleep=lambda _: None,
            reraise=True,
        )(fn)
    )


def stamina_retry(fn: Callable[[], None]) -> Case:
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # it would log each retry
    return called(
        stamina.retry(
            on=ConnectionError, attempts=4, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
        )(fn)
    )


def backoff_retry(fn: Callable[[], None]) -> Case:
    import backoff

    return called(
        backoff.on_exception(
            backoff.constant, ConnectionError, max_tries=4, interval=0, jitter=None, logger=None
        )(fn)
    )


def baldur_retry(fn: Callable[[], None]) -> Case:
    prepare_baldur()
    from baldur.core.backoff import ConstantBackoff
    from baldur.resilience.policies import retry

    return called(
        retry(max_attempts=4, retryable_exceptions=(ConnectionError,), backoff=ConstantBackoff(0))(
            fn
        )
    )


def loop_by_hand(fn: Callable[[], None]) -> Case:
    def guarded() -> None:
        for attempt in range(4):
            try:
                return fn()
            except ConnectionError:
                if attempt == 3:
                    raise
        return None

    return called(guarded)


RETRIES = {
    "a loop by hand": loop_by_hand,
    "holdfast": holdfast_retry,
    "tenacity": tenacity_retry,
    "stamina": stamina_retry,
    "backoff": backoff_retry,
    "baldur-framework": baldur_retry,
}
RETRY_SUCCESS: dict[str, Make] = {
    name: lambda make=make: make(bare) for name, make in RETRIES.items()
}
RETRY_FAILURES: dict[str, Make] = {
    name: lambda make=make: make(twice()) for name, make in RETRIES.items()
}


# ---- limiters ----


def holdfast_limiter(rate: int) -> Case:
    limiter = hf.RateLimiter("compared", rate=rate, per=HOUR)
    return Case("take()", take=limiter.try_acquire)


def limits_limiter(rate: int) -> Case:
    import limits

    strategy = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
    item = limits.RateLimitItemPerHour(rate)
    return Case("take(item, 'a')", take=strategy.hit, item=item)


def pyrate_limiter(rate: int) -> Case:
    from pyrate_limiter import GCRA, Limiter, Rate, StateBucket

    try:
        limiter = Limiter(StateBucket(GCRA([Rate(rate, HOUR * 1000)])))
    except TypeError:
        limiter = Limiter(Rate(rate, HOUR * 1000))
    return Case("take('a', blocking=False)", take=limiter.try_acquire)


def throttled_limiter(rate: int) -> Case:
    import throttled

    limiter = throttled.Throttled(
        key="a",
        using=throttled.RateLimiterType.GCRA.value,
        quota=throttled.rate_limiter.per_hour(rate, burst=rate),
    )
    return Case("take()", take=limiter.limit)


def grelmicro_limiter(rate: int) -> Case:
    from grelmicro.resilience import MemoryTokenBucket

    bucket = MemoryTokenBucket(capacity=rate, refill_rate=rate / HOUR)
    return Case("take('a')", take=bucket.try_acquire)


LIMITERS = {
    "holdfast": holdfast_limiter,
    "limits": limits_limiter,
    "pyrate-limiter": pyrate_limiter,
    "throttled-py": throttled_limiter,
    "grelmicro": grelmicro_limiter,
}
LIMIT: dict[str, Make] = {name: lambda make=make: make(PLENTY) for name, make in LIMITERS.items()}
LIMIT_REJECTION: dict[str, Make] = {
    name: lambda make=make: _used_up(make(1)) for name, make in LIMITERS.items()
}


def _used_up(case: Case) -> Case:
    exec(case.statement, dict(case.names))
    return case


def holdfast_async_limiter() -> Case:
    limiter = hf.RateLimiter("compared", rate=PLENTY, burst=PLENTY, max_wait=1)
    return Case("await take()", in_loop=True, take=limiter.aacquire)


def aiolimiter_async() -> Case:
    import aiolimiter

    limiter = aiolimiter.AsyncLimiter(PLENTY, 1)
    return Case("await take()", in_loop=True, take=limiter.acquire)


def hyx_async_limiter() -> Case:
    from hyx.ratelimit import tokenbucket

    made: list[object] = []

    async def take() -> None:
        if not made:  # it wants a loop to be made in
            made.append(tokenbucket(max_executions=PLENTY, per_time_secs=1, bucket_size=PLENTY))
        async with made[0]:  # type: ignore[attr-defined]
            pass

    return Case("await take()", in_loop=True, take=take)


ASYNC_LIMIT: dict[str, Make] = {
    "holdfast": holdfast_async_limiter,
    "aiolimiter": aiolimiter_async,
    "hyx": hyx_async_limiter,
}


# ---- bulkheads, timeouts, and tasks that wait ----


def hyx_bulkhead(places: int = 1_000) -> object:
    from hyx.bulkhead import bulkhead

    return bulkhead(max_concurrency=places, max_capacity=10_000)


def baldur_bulkhead(places: int = 1_000) -> Any:
    prepare_baldur()
    from baldur.services.bulkhead import SemaphoreBulkhead

    return SemaphoreBulkhead("compared", max_concurrent=places)


def entered(place: object) -> Case:
    return Case("async with place:\n    pass", in_loop=True, place=place)


BULKHEAD: dict[str, Make] = {
    "threading.BoundedSemaphore": lambda: Case("with place:\n    pass", place=BoundedSemaphore(9)),
    "holdfast": lambda: Case("with place:\n    pass", place=hf.Bulkhead("compared")),
    "baldur-framework": lambda: Case("with place():\n    pass", place=baldur_bulkhead().acquire),
}
ASYNC_BULKHEAD: dict[str, Make] = {
    "asyncio.Semaphore": lambda: entered(asyncio.Semaphore(1_000)),
    "holdfast": lambda: entered(hf.Bulkhead("compared", max_concurrent=1_000)),
    "hyx": lambda: entered(hyx_bulkhead()),
    "baldur-framework": lambda: Case(
        "async with place():\n    pass", in_loop=True, place=baldur_bulkhead().acquire_async
    ),
}
TASKS = 100


def crowd(place: object) -> Case:
    """A hundred tasks through one place: all but one wait for it."""

    async def one() -> None:
        async with place:  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(TASKS)))

    return Case("await crowd()", in_loop=True, crowd=all_of_them)


WAITING: dict[str, Make] = {
    "asyncio.Semaphore": lambda: crowd(asyncio.Semaphore(1)),
    "holdfast": lambda: crowd(
        hf.Bulkhead("compared", max_concurrent=1, max_waiting=TASKS, max_wait=None)
    ),
    "hyx": lambda: crowd(hyx_bulkhead(1)),
}


# ---- hedges: a function that hedges what it is given, at one percentile ----

Hedged = Callable[[Callable[[], Any]], Callable[[], Any]]


def holdfast_hedge() -> Hedged:
    return hf.Hedge("compared", delay=hf.Quantile(0.945))


def hedge_python() -> Hedged:
    """Return what its transports are built on: they differ in the client that they call."""
    from hedge import HedgeConfig
    from hedge.transport._base import HedgeScheduler

    # Neither limits the extra load.
    config = HedgeConfig(percentile=0.945, budget_percent=100.0, estimated_rps=1e6)
    scheduler = HedgeScheduler(config)

    def guard(fn: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            sketch = scheduler.sketch_for("compared")  # starts a task, which needs the loop

            def record(_: object, seconds: float) -> None:
                sketch.add(seconds)

            return scheduler.execute_with_hedge("compared", fn, fn, record)

        return call

    return guard


HEDGES: dict[str, Callable[[], Hedged]] = {
    "bare await": lambda: lambda fn: fn,
    "hedge-python": hedge_python,
    "holdfast": holdfast_hedge,
}
HEDGE: dict[str, Make] = {
    library: lambda make=make: awaited(make()(bare_async)) for library, make in HEDGES.items()
}


def asyncio_timeout() -> Case:
    return Case(
        "async with timeout(60):\n    await f()",
        in_loop=True,
        timeout=asyncio.timeout,
        f=bare_async,
    )


def baldur_timeout() -> Case:
    prepare_baldur()
    from baldur.resilience.policies import AsyncTimeoutPolicy

    timeout = AsyncTimeoutPolicy(60)
    return Case("await call(f)", in_loop=True, call=timeout.execute, f=bare_async)


TIMEOUT: dict[str, Make] = {
    "asyncio.timeout": asyncio_timeout,
    "holdfast": lambda: awaited(hf.Timeout(60)(bare_async)),
    "baldur-framework": baldur_timeout,
}


# ---- all protection under one name ----


def holdfast_manager() -> hf.ResilienceManager:
    from holdfast.manager.presets.dwcp import DWCP

    plenty = {"rate": PLENTY, "min_rate": 100, "max_rate": PLENTY}
    preset = DWCP.but(adaptive_rate_limiters={"send": plenty}, monitoring=False)
    return hf.ResilienceManager("compared", presets=preset)


def holdfast_executed() -> Case:
    return Case("rm.execute('send', f)", rm=holdfast_manager(), f=bare)


def holdfast_operation(fn: Callable[[], object]) -> Case:
    rm = holdfast_manager()
    guarded = rm.operation("send")(fn)
    case = awaited(guarded) if fn is bare_async else called(guarded)
    case.names["rm"] = rm  # it lives as long as its operation is timed
    return case


def baldur_protected(fn: Callable[[], object]) -> Case:
    """Breaker, retry and timeout, as `protected` composes them."""
    prepare_baldur()
    import baldur

    guarded = baldur.protected(f"compared {next(_serials)}", retry=True, timeout=30.0)(fn)
    return awaited(guarded) if fn is bare_async else called(guarded)


def grelmicro_shield() -> Case:
    """Timeout, retry with a budget and a limit that adapts, as the profile `api` has them."""
    from grelmicro import resilience

    return awaited(resilience.shield.api("compared")(bare_async))


FULL: dict[str, Make] = {
    "bare call": lambda: called(bare),
    "holdfast": holdfast_executed,
    "baldur-framework": lambda: baldur_protected(bare),
}
ASYNC_FULL: dict[str, Make] = {
    "bare await": lambda: awaited(bare_async),
    "holdfast": lambda: holdfast_operation(bare_async),
    "grelmicro": grelmicro_shield,
    "baldur-framework": lambda: baldur_protected(bare_async),
}
