"""Pipelines through their public face: order, giving back, describing, sharing."""

from __future__ import annotations

import asyncio

import pytest

import holdfast as hf


def three(clock: hf.ManualClock) -> tuple[hf.CircuitBreaker, hf.RateLimiter, hf.Bulkhead]:
    return (
        hf.CircuitBreaker("b", failure_threshold=2, reset_timeout=10, clock=clock),
        hf.RateLimiter("l", rate=5, clock=clock),
        hf.Bulkhead("h", max_concurrent=1, clock=clock),
    )


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
)
def test_any_order_admits_judges_and_gives_back(order, clock):  # trap 6, trap 55
    policies = three(clock)
    breaker, limiter, bulkhead = policies
    pipe = hf.Pipeline("p", *(policies[at] for at in order))
    assert pipe.call(lambda: bulkhead.in_flight) == 1
    assert (limiter.available, bulkhead.in_flight) == (4, 0)
    with bulkhead, pytest.raises(hf.BulkheadFullError):
        pipe.call(lambda: None)
    assert limiter.available == 4  # the refused call cost no token …
    shown = breaker.snapshot()
    assert (shown.admitted, shown.failed, shown.ignored) == (1, 0, 0)  # … and was no call at all
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            pipe.call(lambda: 1 / 0)
    with pytest.raises(hf.CircuitOpenError):
        pipe.call(lambda: None)
    assert (limiter.available, bulkhead.in_flight) == (2, 0)
    assert breaker.snapshot().failed == 2


def test_both_drivers_give_the_same(clock):
    pipe = hf.Pipeline("p", *three(clock))

    async def answer() -> str:
        await asyncio.sleep(0)
        return "a"

    async def main() -> list[object]:
        async with pipe as inside:
            full = await pipe.try_acall(answer)
        return [inside is pipe, full.rejection, await pipe.acall(answer)]

    inside, rejection, value = asyncio.run(main())
    assert inside
    assert isinstance(rejection, hf.BulkheadFullError)
    assert value == "a"


def test_it_says_what_is_in_force(clock):
    text = hf.Pipeline("p", *three(clock)).describe()
    lines = text.splitlines()
    assert lines[0] == "Pipeline 'p', outermost first:"
    assert lines[1].startswith("  1. CircuitBreaker 'b': failure_threshold=2, ")
    assert lines[2].startswith("  2. RateLimiter 'l': rate=5, ")
    assert lines[3].startswith("  3. Bulkhead 'h': max_concurrent=1, ")
    nested = hf.Pipeline("outer", hf.Pipeline("inner", hf.Bulkhead("x"))).describe()
    assert "     1. Bulkhead 'x'" not in nested.splitlines()[1]
    assert any(line.strip().startswith("1. Bulkhead 'x'") for line in nested.splitlines())


@pytest.mark.parametrize(
    ("policy", "costs"),
    [
        (lambda: hf.CircuitBreaker("b"), "native, reads the clock"),  # it records durations
        (lambda: hf.CircuitBreaker("b", latency=False), "native"),
        (
            lambda: hf.CircuitBreaker("b", slow_call_duration=1, is_failure=bool, latency=False),
            "native, reads the clock, calls Python for each result",
        ),
        (lambda: hf.RateLimiter("l", rate=5), "native, reads the clock"),
        (lambda: hf.RateLimiter("l", rate=5, max_wait=1), "native, reads the clock, may wait"),
        (lambda: hf.Bulkhead("h"), "native"),
        (lambda: hf.Bulkhead("h", max_waiting=1, max_wait=None), "native, may wait"),
        (lambda: hf.Bulkhead("h", mode="off"), "off: nothing"),
        (lambda: hf.Timeout(1), "native, reads the clock"),
        (lambda: hf.Timeout(1, thread=True), "native, reads the clock, own threads"),
        (lambda: hf.Retry("r"), "native, calls Python when it retries, may wait"),
        (
            lambda: hf.Retry("r", on_result=bool),
            "native, calls Python for each result, calls Python when it retries, may wait",
        ),
        (lambda: hf.Fallback(1), "native"),
        (lambda: hf.Fallback(str), "native, calls Python when it stands in"),
    ],
)
def test_it_says_what_each_policy_costs(policy, costs):
    one = policy()
    _, line = hf.Pipeline("p", one).describe().splitlines()
    assert line == f"  1. {one.describe()} [{costs}]"
    first, inner = hf.Pipeline("o", hf.Pipeline("p", one)).describe().splitlines()[1:]
    assert first == "  1. Pipeline 'p', outermost first:"  # its costs are those of its policies
    assert inner.strip() == line.strip()


def test_policies_of_every_kind_nest_in_any_order(clock):
    def every(name: str) -> list[hf.Policy]:
        return [
            hf.Fallback("cached", clock=clock, on=KeyError),
            hf.Timeout(30, clock=clock),
            hf.Retry(name, backoff=hf.Constant(0), clock=clock, attempts=2),
            hf.CircuitBreaker("b", failure_threshold=9, clock=clock),
            hf.RateLimiter("l", rate=99, clock=clock),
            hf.Bulkhead("h", clock=clock),
        ]

    for shift in range(6):
        outer, inner = every("outer"), every("inner")
        inner = inner[shift:] + inner[:shift]
        pipe = hf.Pipeline("p", *outer[:shift], hf.Pipeline("q", *inner), *outer[shift:])
        assert pipe.call(lambda: "a") == "a"
        assert pipe.try_call(lambda: {}["b"]).unwrap() == "cached"
        for policy in (*outer, *inner):
            assert getattr(policy, "in_flight", 0) == 0
        calls = [0]

        def fail(calls: list[int] = calls) -> None:
            calls[0] += 1
            raise ConnectionError

        assert isinstance(pipe.try_call(fail).error, ConnectionError)
        assert calls == [2 * 2]
        assert [finding.code for finding in pipe.lint()].count("nested_retries") == 1


def test_it_tells_the_events_of_its_policies_until_unsubscribed(clock):
    breaker, limiter, bulkhead = three(clock)
    pipe = hf.Pipeline("p", breaker, limiter, bulkhead)
    heard: list[tuple[str, str]] = []
    unsubscribe = pipe.on_event(lambda event: heard.append((event.kind, event.name)))
    breaker.trip()
    breaker.reset()
    with bulkhead:
        pipe.try_call(lambda: None)
    unsubscribe()
    breaker.trip()
    assert heard == [("transition", "b"), ("transition", "b"), ("rejection", "h")]


def test_reset_and_snapshot_reach_every_policy(clock):  # GEN-09
    breaker, limiter, bulkhead = three(clock)
    pipe = hf.Pipeline("p", breaker, limiter, bulkhead)
    pipe.call(lambda: None)
    breaker.trip()
    pipe.reset()
    assert breaker.state is hf.State.CLOSED
    assert limiter.available == 5
    shown = pipe.snapshot()
    assert shown.name == "p"
    assert [part.name for part in shown.policies] == ["b", "l", "h"]


def test_bad_parts_are_named(clock):
    with pytest.raises(hf.ConfigError, match=r"policies\[1\]: got 3, allowed a policy"):
        hf.Pipeline("p", hf.Bulkhead("h"), 3)
    with pytest.raises(hf.ConfigError, match="at least one policy"):
        hf.Pipeline("p")
    with pytest.raises(hf.ConfigError, match="17 policies"):
        hf.Pipeline("p", *(hf.Bulkhead(f"h{number}") for number in range(17)))
    with pytest.raises(hf.ConfigError, match="name: got ''"):
        hf.Pipeline("", hf.Bulkhead("h"))
    with pytest.raises(
        hf.ConfigError, match=r"policies\[0\]: got <PoolBulkhead 'pool' 0 of 8 running>"
    ):
        hf.Pipeline("p", hf.PoolBulkhead("pool"))
    sixteen = hf.Pipeline("p", *(hf.Bulkhead(f"h{number}") for number in range(16)))
    assert sixteen.call(lambda: 1) == 1


def test_an_observed_call_that_is_refused_further_in_is_taken_back(clock):  # trap 6
    limiter = hf.RateLimiter("watched", rate=1, clock=clock, mode="observe")
    bulkhead = hf.Bulkhead("full", max_concurrent=1, clock=clock)
    pipe = hf.Pipeline("p", limiter, bulkhead)
    with pipe:  # the only token, and the only place
        for _ in range(3):
            assert isinstance(pipe.try_call(lambda: 1).rejection, hf.BulkheadFullError)
    shown = limiter.snapshot()
    assert (shown.allowed, shown.observed, shown.rejected) == (1, 0, 0)
    assert pipe.call(lambda: 1) == 1
    assert limiter.snapshot().observed == 1
