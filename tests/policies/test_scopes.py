"""A policy of a manager: plain in messages, ``manager/name`` in the registry and metrics."""

from __future__ import annotations

import gc

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.policies.base import full_name, made_within, scope_of
from holdfast.telemetry.prometheus import Collector


def samples(*sources):
    registry = CollectorRegistry()
    registry.register(Collector(*sources))
    return registry.get_sample_value


def test_a_policy_within_a_scope_keeps_its_name_and_is_registered_by_both():  # D-RM-1
    breaker = made_within("dwcp", hf.CircuitBreaker, "scoped-network", failure_threshold=1)
    assert (breaker.name, scope_of(breaker), full_name(breaker)) == (
        "scoped-network", "dwcp", "dwcp/scoped-network",
    )  # fmt: skip
    assert hf.registry.get("circuit_breaker", "dwcp/scoped-network") is breaker
    assert hf.registry.get("circuit_breaker", "scoped-network") is None
    breaker.try_call(int, "x")
    with pytest.raises(hf.CircuitOpenError) as caught:
        breaker.call(int)
    assert caught.value.name == "scoped-network"


def test_policies_of_two_scopes_are_two_series_and_those_without_one_are_as_ever():
    one = made_within("first", hf.RateLimiter, "scoped-out", rate=1, burst=3)
    other = made_within("second", hf.RateLimiter, "scoped-out", rate=1, burst=3)
    free = made_within(None, hf.RateLimiter, "scoped-out", rate=1, burst=3)
    assert scope_of(free) is None
    for n, limiter in enumerate((one, other, free), 1):
        for _ in range(n):
            assert limiter.try_acquire()
    value = samples()
    names = ("first/scoped-out", "second/scoped-out", "scoped-out")
    counts = [value("holdfast_rate_limiter_allowed_total", {"limiter": name}) for name in names]
    assert counts == [1, 2, 3]
    assert samples(one)("holdfast_rate_limiter_allowed_total", {"limiter": names[0]}) == 1
    assert samples(one)("holdfast_rate_limiter_allowed_total", {"limiter": names[2]}) is None


def test_a_pipeline_within_a_scope_counts_its_calls_under_both_names():
    pipe = made_within("dwcp", hf.Pipeline, "scoped-send", hf.Bulkhead("scoped-b"))
    calls, labels = "holdfast_pipeline_calls_total", {"pipeline": "dwcp/scoped-send"}
    labels["outcome"] = "success"
    assert samples()(calls, labels) == 0
    pipe.call(int)
    assert samples(pipe)(calls, labels) == 1


@pytest.mark.parametrize("timeout", [3.0, hf.Timeout(2.0)])
def test_what_with_options_makes_of_a_policy_is_within_its_scope(timeout):
    retry = made_within("dwcp", hf.Retry, "scoped-r", attempts=2)
    hedge = made_within("dwcp", hf.Hedge, "scoped-h", delay=1.0)
    total = made_within("dwcp", hf.Timeout, 5.0, name="scoped-t")
    pipe = made_within("dwcp", hf.Pipeline, "scoped-p", total, retry)
    other = pipe.with_options(attempts=3, total_timeout=timeout)
    made = [retry.with_options(attempts=3), hedge.with_options(delay=2.0), other, other.policies[1]]
    if timeout == 3.0:
        made.append(other.policies[0])
    assert [scope_of(one) for one in made] == ["dwcp"] * len(made)
    assert scope_of(hf.Retry("scoped-r").with_options(attempts=3)) is None


def test_the_series_of_a_scoped_policy_goes_with_it():
    gone = made_within("dwcp", hf.Bulkhead, "scoped-gone")
    assert samples()("holdfast_bulkhead_concurrent", {"bulkhead": "dwcp/scoped-gone"}) is not None
    del gone
    gc.collect()
    assert samples()("holdfast_bulkhead_concurrent", {"bulkhead": "dwcp/scoped-gone"}) is None


def test_wrong_arguments_within_a_scope_are_explained_as_elsewhere():
    with pytest.raises(TypeError, match="failure_threshold"):
        made_within("dwcp", hf.CircuitBreaker, "scoped-w", failure_treshold=3)
