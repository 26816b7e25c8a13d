"""Whatever a pipeline is made of: it can be linted, described, changed and called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.pipeline.steps import ATTEMPT, PLACES, TOTAL, flat, places

SECONDS = st.sampled_from([0.5, 1.0, 2.0, 5.0, 30.0])
ON = st.sampled_from([Exception, ConnectionError, TimeoutError, KeyError, hf.Rejected])
BACKOFFS = st.sampled_from([hf.Constant(0), hf.Exponential(0.1), hf.Linear(1, 2), hf.Fibonacci(1)])
WINDOWS = st.sampled_from([hf.CountWindow(10), hf.TimeWindow(1), hf.TimeWindow(60)])

POLICIES = st.one_of(
    st.builds(hf.Fallback, st.just("cached"), on=ON),
    st.builds(hf.Timeout, SECONDS),
    st.builds(
        hf.Retry,
        st.just("r"),
        attempts=st.integers(1, 4),
        on=ON,
        backoff=BACKOFFS,
        budget=st.sampled_from(["own", None]),
        max_time=st.one_of(st.none(), SECONDS),
    ),
    st.builds(
        hf.CircuitBreaker,
        st.just("b"),
        failure_rate=st.sampled_from([None, 0.5]),
        window=WINDOWS,
        on=ON,
        probe_timeout=st.one_of(st.none(), SECONDS),
    ),
    st.builds(hf.RateLimiter, st.just("l"), rate=st.just(1000), max_wait=st.none() | SECONDS),
    st.builds(hf.Bulkhead, st.just("h"), max_waiting=st.just(1), max_wait=st.none() | SECONDS),
    st.builds(hf.ErrorBudget, st.just("e"), slo=st.sampled_from([0.9, 1.0]), window=st.just(60)),
    st.builds(hf.LatencyBudget, st.just("m"), target=SECONDS),
    st.builds(hf.Hedge, st.just("g"), delay=SECONDS, max=st.integers(1, 2)),
)
PIPELINES = st.recursive(
    st.builds(lambda parts: hf.Pipeline("p", *parts), st.lists(POLICIES, min_size=1, max_size=3)),
    lambda inner: st.builds(
        lambda parts: hf.Pipeline("o", *parts),
        st.lists(st.one_of(POLICIES, inner), min_size=1, max_size=3),
    ),
    max_leaves=3,
).filter(lambda pipe: len(flat(pipe.policies)) <= 9)


@settings(max_examples=50)
@given(PIPELINES)
def test_any_pipeline_can_be_looked_at_and_called(pipe):
    steps = flat(pipe.policies)
    findings = pipe.lint()
    assert all(set(finding.policies) <= set(steps) for finding in findings)
    assert all(str(finding).startswith(f"{finding.code}: ") for finding in findings)
    assert len(pipe.describe().splitlines()) >= len(steps) + 1
    outcome, stats = pipe.call_with_stats(lambda: 1)
    assert (outcome.unwrap(), stats.attempts) == (1, 1)


MADE: dict[str, Any] = {
    "error_budget": lambda: hf.ErrorBudget("other", slo=0.999, window=3600),
    "latency_budget": lambda: hf.LatencyBudget("other", target=0.1),
    "fallback": lambda: hf.Fallback("other"),
    TOTAL: lambda: hf.Timeout(9),
    "retry": lambda: hf.Retry("other"),
    "hedge": lambda: hf.Hedge("other"),
    "circuit_breaker": lambda: hf.CircuitBreaker("other"),
    "rate_limiter": lambda: hf.RateLimiter("other", rate=1000),
    "bulkhead": lambda: hf.Bulkhead("other"),
    ATTEMPT: lambda: hf.Timeout(1),
    "chaos": lambda: hf.chaos.Latency(0.1, 0.2),
}


@settings(max_examples=50)
@given(PIPELINES, st.sampled_from(PLACES), st.booleans())
def test_an_option_changes_its_place_and_no_other(pipe, option, removes):
    before = places(pipe.policies)
    there = [policy for policy, place in before if place == option]
    value = None if removes else MADE[option]()
    is_last = removes and there == [policy for policy, _ in before]
    if len(there) > 1 or is_last:
        with pytest.raises(hf.ConfigError):
            pipe.with_options(**{option: value})
        return
    other = pipe.with_options(**{option: value})
    after = flat(other.policies)
    assert [step for step in after if step is not value] == [
        step for step, _ in before if step not in there
    ]
    assert after.count(value) == (0 if removes else 1)
    if there and not removes:
        assert after.index(value) == [step for step, _ in before].index(there[0])
    elif value is not None and option == TOTAL:
        kinds = [step.kind for step in after]
        assert "retry" not in kinds[: after.index(value)]
    assert other.call(lambda: 2) == 2
    assert flat(pipe.policies) == [step for step, _ in before]  # the original is untouched
