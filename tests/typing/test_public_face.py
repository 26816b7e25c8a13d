"""What type checkers say of the public face: `make types` checks this file with mypy --strict.

Run as tests, the same lines show that what is typed also works. Lines that must be refused carry
an ignore, and an ignore that is not needed is itself an error.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from datetime import timedelta
from typing import TypeVar, assert_type

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.categories import Category, classify, register
from holdfast.telemetry.prometheus import (
    Collector,
    MetricsServer,
    asgi_app,
    serve_metrics,
    wsgi_app,
)
from holdfast.testing import use_clock

breaker = hf.CircuitBreaker("payments", failure_threshold=5, reset_timeout=30.0)
limiter = hf.RateLimiter("outbound", rate=1000, per=1.0, burst=100)
bulkhead = hf.Bulkhead("connections", max_concurrent=10, max_waiting=5, max_wait=0.5)
pipeline = hf.Pipeline("all", breaker, limiter, bulkhead)
T = TypeVar("T")


@breaker
def charge(card: str, amount: int = 1) -> float:
    return len(card) * float(amount)


@pipeline
async def fetch(url: str) -> bytes:
    return url.encode()


@limiter
def count(least: int) -> Generator[int, None, str]:
    yield least
    return "done"


@bulkhead
async def ticks(n: int) -> AsyncGenerator[int, None]:
    for tick in range(n):
        yield tick


class Shop:
    @breaker
    def sell(self, item: str) -> int:
        return len(item)

    @pipeline
    async def restock(self, item: str) -> bytes:
        return item.encode()

    @classmethod
    @breaker
    def open(cls, city: str) -> str:
        return city.upper()

    @staticmethod
    @limiter
    def price(item: str) -> int:
        return len(item)

    @property
    @breaker
    def stock(self) -> int:
        return 3


@bulkhead
def same(value: T) -> T:
    return value


def test_policies_are_of_their_classes() -> None:
    assert_type(breaker, hf.CircuitBreaker)
    assert_type(limiter, hf.RateLimiter)
    assert_type(bulkhead, hf.Bulkhead)
    assert_type(pipeline, hf.Pipeline)
    every: list[hf.Policy] = [breaker, limiter, bulkhead, pipeline]
    assert all(isinstance(policy, hf.Policy) for policy in every)


def test_a_decorated_callable_keeps_its_signature() -> None:
    assert_type(charge("4711", amount=2), float)
    assert_type(count(1), Generator[int, None, str])
    assert_type(Shop().sell("tea"), int)
    taken: Callable[[str], Coroutine[object, object, bytes]] = fetch
    assert asyncio.run(taken("a")) == b"a"


def test_methods_of_every_kind_and_generic_functions_keep_theirs() -> None:
    assert_type(Shop.open("rome"), str)
    assert_type(Shop.price("tea"), int)
    assert_type(Shop().stock, int)
    assert_type(same(1.5), float)
    assert_type(same("tea"), str)


def test_what_is_awaited_may_be_a_task_gathered_or_timed() -> None:
    async def main() -> None:
        restock = Shop().restock
        assert_type(await asyncio.create_task(breaker.acall(fetch, "a")), bytes)
        assert_type(await asyncio.gather(fetch("a"), restock("b")), tuple[bytes, bytes])
        assert_type(await asyncio.wait_for(restock("c"), 60), bytes)
        async with bulkhead as entered:
            assert_type(entered, hf.Bulkhead)

    asyncio.run(main())


def test_a_task_of_a_pool_has_a_future_of_its_type() -> None:
    pool = hf.PoolBulkhead("workers", workers=1)
    assert_type(pool.submit(charge, "4711", amount=2).result(), float)
    with pytest.raises(TypeError):
        pool.submit(charge, colour="red").result()  # type: ignore[call-arg]
    assert_type(pool.stop(), bool)


def test_arguments_of_a_decorated_callable_are_checked() -> None:
    with pytest.raises(TypeError):
        charge(4711)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        charge("4711", colour="red")  # type: ignore[call-arg]


def test_asynchronous_callables_keep_what_they_yield_and_return() -> None:
    async def main() -> list[int]:
        assert_type(await fetch("a"), bytes)
        return [tick async for tick in ticks(3)]

    assert asyncio.run(main()) == [0, 1, 2]


def test_call_and_acall_return_what_the_function_does() -> None:
    async def main() -> None:
        assert_type(await breaker.acall(fetch, "a"), bytes)
        outcome = await breaker.try_acall(fetch, "a")
        assert_type(outcome, hf.Outcome[bytes])

    assert_type(breaker.call(charge, "4711", amount=3), float)
    asyncio.run(main())


def test_arguments_of_call_are_checked_against_the_function() -> None:
    with pytest.raises(TypeError):
        breaker.call(charge, "4711", colour="red")  # type: ignore[call-arg]


def test_an_outcome_knows_the_type_of_its_value() -> None:
    outcome = breaker.try_call(charge, "4711")
    assert_type(outcome, hf.Outcome[float])
    assert_type(outcome.value, float | None)
    assert_type(outcome.unwrap(), float)
    assert outcome.rejection is None


def test_with_gives_the_policy_itself() -> None:
    with breaker as entered:
        assert_type(entered, hf.CircuitBreaker)
    with breaker.acquire() as permit:
        assert_type(permit, hf.Permit)


def test_a_body_of_with_is_not_thought_to_swallow_exceptions() -> None:
    def value() -> int:
        with breaker:
            return 1

    assert value() == 1


def test_states_and_answers_have_exact_types() -> None:
    assert_type(breaker.state, hf.State)
    assert_type(breaker.retry_after, float | None)
    assert_type(breaker.peek(), bool)
    assert_type(limiter.try_acquire(), bool)
    assert_type(limiter.stats().remaining, int)
    assert_type(breaker.snapshot().state, hf.State)
    assert_type(bulkhead.in_flight, int)
    assert_type(breaker.on_event(print), Callable[[], None])


def test_the_registry_knows_the_class_of_each_kind() -> None:
    assert_type(hf.registry.get("circuit_breaker", "payments"), hf.CircuitBreaker | None)
    assert_type(hf.registry.get("pipeline", "all"), hf.Pipeline | None)
    assert_type(hf.registry.all("retry"), list[hf.Retry])
    assert_type(hf.registry.all(), list[hf.Policy])
    own = hf.CircuitBreaker("own")
    kind: str = own.kind
    assert hf.registry.get(kind, "own") is own


class Shorter(hf.Pipeline):
    __slots__ = ()


class Doubling(hf.Backoff):
    def delay(self, attempt: int, previous: float | timedelta | None = None) -> float:
        return 2.0**attempt


def test_back_offs_are_made_composed_and_derived_from() -> None:
    exponential = hf.Exponential(0.1, factor=2, max=timedelta(seconds=10), jitter=True)
    assert_type(exponential, hf.Exponential)
    assert_type(exponential.delay(0), float)
    assert_type(exponential.delay(3, previous=timedelta(seconds=1)), float)
    assert_type(exponential + Doubling(), hf.Backoff)
    assert_type(hf.chain(hf.Constant(1), hf.Linear(1, 0.5), hf.Fibonacci(1)), hf.Backoff)
    adaptive = hf.AdaptiveBackoff(hf.Decorrelated(0.1) + Doubling(), k=2, max=30)
    assert_type(adaptive.failure_rate, float)
    assert_type(adaptive.record(failed=True), None)
    every: list[hf.Backoff] = [exponential, Doubling(), adaptive]
    assert all(isinstance(backoff, hf.Backoff) for backoff in every)


def test_what_is_no_back_off_is_refused() -> None:
    with pytest.raises(hf.ConfigError):
        hf.chain("1")  # type: ignore[arg-type]
    with pytest.raises(hf.ConfigError):
        hf.AdaptiveBackoff("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hf.Constant(1) + 1  # type: ignore[operator]


def test_a_retry_budget_answers_with_plain_types() -> None:
    budget = hf.RetryBudget(ratio=0.2, min_per_second=10, burst=5)
    assert_type(budget.balance, float)
    assert_type(budget.try_withdraw(), bool)
    assert_type(budget.snapshot().withdrawn, int)
    with pytest.raises(TypeError):
        hf.RetryBudget(retries=5)  # type: ignore[call-arg]


def test_what_policies_are_for_is_classes_categories_or_a_predicate() -> None:
    several: list[type[OSError]] = [ConnectionError, TimeoutError]
    hf.Retry("r", on="transient", ignore=several, on_result="http")
    hf.Retry("r", on=("transient", OSError), ignore=lambda error: error.args == ())
    hf.CircuitBreaker("b", on=["resource", Category.LOGIC], ignore={OSError}, on_result=bool)
    hf.Fallback(1, on=lambda error: isinstance(error, OSError), ignore=hf.Rejected)
    with pytest.raises(hf.ConfigError):
        hf.Retry("r", on="transiet")  # type: ignore[arg-type]
    with pytest.raises(hf.ConfigError):
        hf.Fallback(1, on=KeyboardInterrupt)  # a class is a callable
    with pytest.raises(hf.ConfigError):
        hf.CircuitBreaker("b", on_result="https")  # type: ignore[arg-type]


def test_budgets_of_a_tracker_have_their_classes() -> None:
    tracker = hf.SloTracker(hf.LatencyBudget("y", target=timedelta(seconds=1), percentile=99))
    assert_type(tracker.register(hf.ErrorBudget("y")), hf.ErrorBudget)
    assert_type(tracker.get("y"), hf.ErrorBudget | None)
    assert_type(tracker.get("y", "latency_budget"), hf.LatencyBudget | None)
    assert_type(hf.registry.get("latency_budget", "y"), hf.LatencyBudget | None)
    assert_type(tracker.is_exhausted("y"), bool)
    tracker.record("y", ok=True, seconds=0.5)
    with pytest.raises(hf.ConfigError):
        tracker.register(hf.Bulkhead("b"))  # type: ignore[type-var]


def test_a_standard_pipeline_is_of_the_class_it_was_asked_of() -> None:
    total = timedelta(seconds=90)
    standard = hf.Pipeline.standard("all", total_timeout=total, rate=5, fallback=None)
    assert_type(standard, hf.Pipeline)
    assert_type(Shorter.standard("all", breaker=breaker, on=OSError), Shorter)
    with pytest.raises(hf.ConfigError):
        hf.Pipeline.standard("all", attempts="four")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hf.Pipeline.standard("all", retries=4)  # type: ignore[call-arg]
    hf.Pipeline.standard(
        "all", breaker={"reset_timeout": 30}, attempts=None, backoff=0.5, rate="9/s"
    )
    with pytest.raises(hf.ConfigError):
        hf.Pipeline.standard("all", breaker={"reset_timout": 9})  # type: ignore[arg-type]


def test_settings_of_a_retry_and_attempts_are_those_of_pipelines_too() -> None:
    retry = hf.Retry("r").with_options(attempts=5, backoff=0.5, mode="observe")
    assert_type(retry, hf.Retry)
    assert_type(Shorter.standard("all").with_options(attempts=5, on="transient"), Shorter)
    numbers = [attempt.number for attempt in hf.Pipeline.standard("all").attempts()]
    assert_type(numbers, list[int])
    with pytest.raises(TypeError):
        retry.with_options(tries=5)  # type: ignore[call-arg]
    with pytest.raises(hf.ConfigError):
        hf.Pipeline.standard("all").with_options(attempts="five")  # type: ignore[arg-type]


def test_options_are_known_by_name_and_kind() -> None:
    other = pipeline.with_options(limiter=None, bulkhead=bulkhead, total_timeout=5)
    assert_type(other, hf.Pipeline)
    with pytest.raises(hf.ConfigError):
        pipeline.with_options(limiter=bulkhead)  # type: ignore[arg-type]
    with pytest.raises(hf.ConfigError):
        pipeline.with_options(retries=4)  # type: ignore[call-arg]


def test_findings_have_a_code_a_message_and_policies() -> None:
    for finding in hf.Pipeline("nested", hf.Retry("outer"), hf.Retry("inner")).lint():
        assert_type(finding.code, str)
        assert_type(finding.message, str)
        assert_type(finding.policies, tuple[hf.Policy, ...])


def test_a_call_with_stats_has_the_outcome_of_the_function_and_plain_figures() -> None:
    outcome, stats = breaker.call_with_stats(charge, "4711", amount=2)
    assert_type(outcome, hf.Outcome[float])
    assert_type(stats.attempts, int)
    assert_type(stats.duration, float)
    assert_type(stats.recovered, bool)
    with pytest.raises(TypeError):
        breaker.call_with_stats(charge, colour="red")[0].unwrap()  # type: ignore[call-arg]

    async def main() -> None:
        outcome, stats = await pipeline.acall_with_stats(fetch, "a")
        assert_type(outcome, hf.Outcome[bytes])
        assert_type(stats.waited, float)

    asyncio.run(main())


def test_a_guarded_function_is_guarded_anew_with_its_own_type() -> None:
    guard = pipeline(charge)
    assert_type(guard.with_options(limiter=None)("4711", amount=2), float)
    assert_type(guard.with_options(limiter=None).policy, hf.Pipeline)
    with pytest.raises(hf.ConfigError):
        guard.with_options(limiter=bulkhead)  # type: ignore[arg-type]
    with pytest.raises(hf.ConfigError):
        guard.with_options(limits=None)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        guard.with_options(limiter=None)(4711)  # type: ignore[arg-type]


def test_errors_have_categories_and_responses_request_delays() -> None:
    assert_type(classify(TimeoutError()), Category | None)
    assert_type(hf.retry_after({"Retry-After": "1"}), float | None)
    removals = [
        register(KeyError, "transient"),
        register("shop.errors.Declined", lambda error: Category.PERMANENT),
    ]
    for remove in removals:
        assert_type(remove, Callable[[], None])
        remove()
    with pytest.raises(hf.ConfigError):
        register(5, "transient")  # type: ignore[arg-type]


def test_unknown_arguments_of_a_policy_are_refused() -> None:
    with pytest.raises(TypeError):
        hf.CircuitBreaker("payments", treshold=5)  # type: ignore[call-arg]
    with pytest.raises((TypeError, hf.ConfigError)):
        hf.Bulkhead("connections", max_concurrent="ten")  # type: ignore[arg-type]


def test_metrics_are_for_prometheus_and_for_applications_to_mount() -> None:
    registry = CollectorRegistry()
    registry.register(Collector(breaker, pipeline, hf.registry, namespace="shop", max_names=10))
    with serve_metrics(0, registry=registry) as server:
        assert_type(server, MetricsServer)
        assert_type(server.port, int)
        assert_type(server.url, str)
    assert callable(asgi_app(registry))
    assert callable(wsgi_app())
    with pytest.raises(hf.ConfigError):
        Collector(charge)  # type: ignore[arg-type]


def test_the_clock_of_a_test_is_the_one_it_was_given_or_a_manual_one() -> None:
    with use_clock() as manual:
        assert_type(manual, hf.ManualClock)
    with use_clock(hf.SystemClock()) as system:
        assert_type(system, hf.SystemClock)
