"""Figures agree with an independent count, and never show what cannot be."""

import asyncio
from collections import Counter
from threading import Barrier, Thread

import pytest

import holdfast as hf
from tests.telemetry.scraped import Scrape, registry_of

THREADS = 16


def work(pipe, call, rounds):
    counted = Counter()
    for n in range(rounds):
        outcome = pipe.try_call(call, n)
        counted["success" if outcome.ok else "failure" if outcome.error else "rejected"] += 1
    return counted


def sometimes(n):
    if n % 7 == 0:
        raise ConnectionError
    return n


async def asometimes(n):
    await asyncio.sleep(0)
    return sometimes(n)


@pytest.mark.stress
def test_sixteen_threads_and_their_loops_count_what_is_exported(stress_scale):
    rounds = 400 * stress_scale
    breaker = hf.CircuitBreaker("b", failure_threshold=20, reset_timeout=1e-9, latency=True)
    limiter = hf.RateLimiter("l", rate=100_000, burst=2_000)
    bulkhead = hf.Bulkhead("h", max_concurrent=8)
    retry = hf.Retry("r", attempts=2, backoff=hf.Constant(0), budget=None)
    pipe = hf.Pipeline("p", breaker, limiter, bulkhead)
    registry = registry_of()
    counts = [Counter() for _ in range(THREADS)]
    barrier = Barrier(THREADS)

    def threads(at):
        barrier.wait()
        counts[at] += work(pipe, sometimes, rounds)
        for n in range(rounds // 10):
            retry.try_call(sometimes, n)

    async def tasks(counted):
        for n in range(rounds):
            outcome = await pipe.try_acall(asometimes, n)
            counted["success" if outcome.ok else "failure" if outcome.error else "rejected"] += 1

    def loops(at):
        barrier.wait()

        async def main():
            await asyncio.gather(*(tasks(counts[at]) for _ in range(2)))

        asyncio.run(main())

    running = [Thread(target=(threads, loops)[at % 2], args=(at,)) for at in range(THREADS)]
    for thread in running:
        thread.start()
    while any(thread.is_alive() for thread in running):
        list(registry.collect())
    for thread in running:
        thread.join()
    total = sum(counts, Counter())
    seen = Scrape()
    ended = {
        outcome: seen("pipeline_calls_total", pipeline="p", outcome=outcome)
        for outcome in ("success", "failure", "rejected", "timeout", "cancelled")
    }
    assert {outcome: count for outcome, count in ended.items() if count} == total
    ran = seen("pipeline_call_duration_seconds_count", pipeline="p")
    assert ran == total["success"] + total["failure"]
    success = seen("circuit_breaker_requests_total", name="b", result="success")
    failure = seen("circuit_breaker_requests_total", name="b", result="failure")
    rejected = seen("circuit_breaker_requests_total", name="b", result="rejected")
    turned_away = seen("rate_limiter_rejected_total", limiter="l")
    turned_away += seen("bulkhead_rejected_total", bulkhead="h")
    assert success == total["success"]
    assert failure == total["failure"] == seen("circuit_breaker_failures_total", name="b")
    assert rejected + turned_away == total["rejected"]
    durations = seen("circuit_breaker_request_duration_seconds_count", name="b")
    assert durations == success + failure
    ran = seen("rate_limiter_allowed_total", limiter="l")
    assert ran - seen("rate_limiter_refunded_total", limiter="l") == success + failure
    assert seen("bulkhead_concurrent", bulkhead="h") == 0
    retried = THREADS // 2 * len(range(0, rounds // 10, 7))
    assert seen("retry_attempts_total", policy="r", attempt="1") == retried
    assert seen("retry_failures_total", policy="r", reason="exhausted") == retried


def led_to(seen, name):
    """Return the state that the counted changes lead to."""
    times = Counter({"closed": 1})
    for labels in seen.series("circuit_breaker_state_changes_total"):
        pair = dict(labels)
        if pair["name"] == name:
            count = seen.samples["holdfast_circuit_breaker_state_changes_total", labels]
            times[pair["to"]] += count
            times[pair["from"]] -= count
    [state] = [state for state, entered in times.items() if entered]
    return {"closed": 0, "half-open": 1, "open": 2}[state]


@pytest.mark.stress
def test_a_scrape_during_transitions_shows_no_impossible_combination(stress_scale):
    breaker = hf.CircuitBreaker(
        "b", failure_threshold=1, success_threshold=1, reset_timeout=1e-9, half_open_max_calls=1
    )
    done = []

    def move():
        for n in range(3_000 * stress_scale):
            breaker.try_call(sometimes, n % 2)
        done.append(True)

    threads = [Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    scrapes = 0
    last: dict[object, float] = {}
    while not scrapes or len(done) < len(threads):
        seen = Scrape(breaker)
        assert led_to(seen, "b") == seen("circuit_breaker_state", name="b")
        failures = seen("circuit_breaker_failures_total", name="b")
        assert failures == seen("circuit_breaker_requests_total", name="b", result="failure")
        opened = seen("circuit_breaker_state_changes_total", name="b", from_="closed", to="open")
        opened += seen(
            "circuit_breaker_state_changes_total", name="b", from_="half-open", to="open"
        )
        assert opened <= failures
        for key, value in seen.samples.items():
            if key[0].endswith("_total"):
                assert value >= last.get(key, 0), key
        last = seen.samples
        scrapes += 1
    for thread in threads:
        thread.join()
