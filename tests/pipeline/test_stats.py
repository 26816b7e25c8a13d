"""What one call took: ``call_with_stats``, and that it is an outcome in every case."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.policies.call_stats import CallStats

Call = Callable[..., tuple[hf.Outcome[Any], CallStats]]


def in_thread(policy: hf.Policy, fn: Callable[..., Any]) -> tuple[hf.Outcome[Any], CallStats]:
    return policy.call_with_stats(fn)


def in_task(policy: hf.Policy, fn: Callable[..., Any]) -> tuple[hf.Outcome[Any], CallStats]:
    async def afn() -> Any:
        return fn()

    return asyncio.run(policy.acall_with_stats(afn))


@pytest.fixture(params=[in_thread, in_task])
def call(request: pytest.FixtureRequest) -> Call:
    """Either driver."""
    return request.param


def failing(times: int, error: type[Exception] = ConnectionError) -> Callable[[], str]:
    """Return what raises so many times, and then returns."""
    left = [times]

    def fn() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise error
        return "a"

    return fn


def retry_of(clock: hf.ManualClock, **settings: Any) -> hf.Retry:
    settings = {"backoff": hf.Constant(0), "budget": None, **settings}
    return hf.Retry("r", clock=clock, **settings)


def test_a_call_that_succeeds_at_once_took_one_attempt(call, clock):  # RT-22
    outcome, stats = call(hf.Pipeline.standard("p", clock=clock), lambda: clock.advance(0.5))
    assert outcome.ok
    assert stats == CallStats(ok=True, attempts=1, duration=0.5, waited=0.0, fallback_used=False)
    assert not stats.recovered


def test_pauses_are_part_of_the_duration_and_shown_by_themselves(clock):  # RT-22, RT-23
    retry = retry_of(clock, backoff=hf.Linear(1, 1, jitter=False))
    flaky = failing(2)

    def fn() -> str:
        clock.advance(0.25)
        return flaky()

    outcome, stats = retry.call_with_stats(fn)
    assert outcome.unwrap() == "a"
    assert stats == CallStats(ok=True, attempts=3, duration=3.75, waited=3.0, fallback_used=False)
    assert stats.recovered


def test_a_call_that_is_given_up_is_an_error_with_its_attempts(call, clock):
    outcome, stats = call(retry_of(clock, attempts=3), failing(9))
    assert isinstance(outcome.error, ConnectionError)
    assert (stats.ok, stats.attempts, stats.recovered) == (False, 3, False)


def test_a_refused_call_took_no_attempt(call, clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, clock=clock)
    for policy in (bulkhead, hf.Pipeline("p", retry_of(clock), bulkhead)):
        with bulkhead:
            outcome, stats = call(policy, lambda: 1)
        assert isinstance(outcome.rejection, hf.BulkheadFullError)
        assert (stats.ok, stats.attempts) == (False, 0)


def test_a_fallback_is_no_recovery(call, clock):
    pipe = hf.Pipeline("p", hf.Fallback("cached", clock=clock), retry_of(clock, attempts=2))
    outcome, stats = call(pipe, failing(9))
    assert outcome.unwrap() == "cached"
    assert (stats.ok, stats.attempts, stats.fallback_used, stats.recovered) == (
        True,
        2,
        True,
        False,
    )


def test_every_policy_has_them(call, clock):
    policies = [
        hf.CircuitBreaker("b", clock=clock),
        hf.RateLimiter("l", rate=1, clock=clock),
        hf.Bulkhead("h", clock=clock),
        hf.Bulkhead("off", mode="off", clock=clock),
        hf.Timeout(1, clock=clock),
        hf.Fallback(2, clock=clock),
    ]
    for policy in policies:
        outcome, stats = call(policy, lambda: clock.advance(0.125))
        assert outcome.ok
        assert stats == CallStats(
            ok=True, attempts=1, duration=0.125, waited=0.0, fallback_used=False
        )


def test_time_is_that_of_the_outermost_policy():
    outer, inner = hf.ManualClock(), hf.ManualClock()
    pipe = hf.Pipeline(
        "p", hf.Pipeline("q", hf.Bulkhead("o", clock=outer)), hf.Bulkhead("i", clock=inner)
    )

    def fn() -> None:
        outer.advance(2)
        inner.advance(7)

    assert pipe.call_with_stats(fn)[1].duration == 2.0


def test_arguments_are_passed_on_and_the_figures_are_frozen(clock):
    bulkhead = hf.Bulkhead("b", clock=clock)
    outcome, stats = bulkhead.call_with_stats(int, "11", base=2)
    assert outcome.unwrap() == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.attempts = 2  # type: ignore[misc]


def test_figures_of_threads_do_not_mix(clock):  # trap 56
    pipe = hf.Pipeline("p", retry_of(clock, attempts=9), hf.Bulkhead("b", clock=clock))
    barrier = threading.Barrier(8)
    found: dict[int, CallStats] = {}

    def run(failures: int) -> None:
        flaky = failing(failures)
        barrier.wait()
        found[failures] = pipe.call_with_stats(flaky)[1]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: (stats.attempts, stats.recovered) for n, stats in found.items()} == {
        n: (n + 1, n > 0) for n in range(8)
    }


def test_figures_of_tasks_do_not_mix(clock):  # trap 56
    pipe = hf.Pipeline("p", hf.Fallback("cached", clock=clock), retry_of(clock, attempts=5))

    async def run(failures: int) -> CallStats:
        flaky = failing(failures)

        async def fn() -> str:
            await asyncio.sleep(0)
            return flaky()

        return (await pipe.acall_with_stats(fn))[1]

    async def main() -> list[CallStats]:
        return await asyncio.gather(*(run(n) for n in range(8)))

    figures = [(stats.attempts, stats.fallback_used) for stats in asyncio.run(main())]
    assert figures == [(min(n + 1, 5), n >= 5) for n in range(8)]


async def test_cancellation_and_interrupts_are_raised(clock):
    retry = retry_of(clock)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry.call_with_stats(interrupt)
    waits = asyncio.ensure_future(retry.acall_with_stats(asyncio.sleep, 3600))
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert retry.snapshot().gave_up["cancelled"] == 2


def test_what_it_cannot_see_the_end_of_is_refused(clock):
    breaker = hf.CircuitBreaker("b", clock=clock)

    async def afn() -> None: ...

    def stream() -> Iterator[int]:
        yield 1

    for fn in (afn, stream, 3):
        with pytest.raises(TypeError, match=r"call_with_stats\(\)"):
            breaker.call_with_stats(fn)
    with pytest.raises(TypeError, match="acall_with_stats"):
        asyncio.run(breaker.acall_with_stats(3))
    with pytest.raises(TypeError, match="use submit"):
        hf.PoolBulkhead("pool").call_with_stats(len, "a")
    assert breaker.snapshot().admitted == 0
