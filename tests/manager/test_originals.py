"""The tests of the original resilience layer, by their categories, on a manager (TS-04, TS-05)."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

import holdfast as hf
from holdfast.degradation import Level
from holdfast.testing.chaos import chaos_enabled


@pytest.fixture
def rm(clock):
    return hf.ResilienceManager("m", clock=clock)


def down():
    raise ConnectionError("down")


def trip(rm, name):
    for _ in range(3):
        with pytest.raises(ConnectionError):
            rm.execute_with_circuit_breaker(name, down)


# ---- circuit breaker: 3 ----


@pytest.fixture
def breaker(rm):
    return rm.register_circuit_breaker("op", max_failures=3, timeout=1, reset_timeout=10)


def test_a_closed_breaker_lets_calls_pass(rm, breaker):  # TS-04, TS-05, RM-03
    assert rm.execute_with_circuit_breaker("op", len, "ok") == 2
    assert breaker.state is hf.State.CLOSED


def test_a_breaker_opens_and_no_call_runs(rm, breaker):  # TS-04, TS-05
    trip(rm, "op")
    with pytest.raises(hf.CircuitOpenError):
        rm.execute_with_circuit_breaker("op", pytest.fail, "it ran")
    assert breaker.state is hf.State.OPEN


def test_a_half_open_breaker_closes_after_enough_successes(rm, breaker, clock):  # TS-04, TS-05
    trip(rm, "op")
    clock.advance(10)
    rm.execute_with_circuit_breaker("op", len, "")
    assert breaker.state is hf.State.HALF_OPEN
    for _ in range(2):
        rm.execute_with_circuit_breaker("op", len, "")
    assert breaker.state is hf.State.CLOSED


# ---- rate limiter: 3 ----


def test_a_limiter_allows_its_burst_and_then_its_rate(rm, clock):  # TS-04, TS-05
    rm.register_rate_limiter("out", rate=10, burst=5)
    assert [rm.check_rate_limit("out") for _ in range(6)] == [True] * 5 + [False]
    clock.advance(0.1)
    assert rm.check_rate_limit("out")


def test_a_limiter_takes_several_tokens_at_once(rm):  # TS-05, RL-06
    rm.register_rate_limiter("out", rate=10, burst=5)
    assert rm.check_rate_limit("out", 4)
    assert not rm.check_rate_limit("out", 2)


def test_an_adaptive_limiter_slows_down_when_calls_are_late(rm, clock):  # TS-05, RL-02
    limiter = rm.register_adaptive_rate_limiter(
        "send", rate=1000, min_rate=100, max_rate=10000, target_latency=0.1, window=100
    )
    rm.register_latency_budget("send", target=0.1, percentile=95, samples=100)
    for _ in range(100):
        clock.advance(0.05)
        rm.record_latency("send", 0.5)
    assert 100 <= limiter.snapshot().rate < 1000


# ---- bulkhead: 2 ----


def test_a_full_bulkhead_refuses_and_takes_calls_again(rm):  # TS-04, TS-05
    rm.register_bulkhead("places", 2, 0, 0)

    def inside(depth):
        return rm.execute_with_bulkhead("places", inside, depth - 1) if depth else "inside"

    assert inside(2) == "inside"
    with pytest.raises(hf.BulkheadFullError):
        inside(3)
    assert inside(2) == "inside"


async def test_who_waits_for_a_place_gets_the_one_that_is_given_back(rm):  # TS-05
    rm.register_bulkhead("places", 1, 1, 5.0)
    order = []

    async def work(name):
        await asyncio.sleep(0)
        order.append(name)

    await asyncio.gather(
        rm.aexecute_with_bulkhead("places", work, "first"),
        rm.aexecute_with_bulkhead("places", work, "second"),
    )
    assert order == ["first", "second"]


# ---- retry: 3 ----


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        (hf.Exponential(0.1), [0.1, 0.2, 0.4]),
        (hf.Linear(0.1, 0.1, 1.0), [0.1, 0.2, 0.3]),
        (hf.Fibonacci(0.1, 1.0), [0.1, 0.1, 0.2]),
    ],
    ids=["exponential", "linear", "fibonacci"],
)
def test_a_retry_waits_longer_each_time_and_then_succeeds(
    rm, clock, backoff, pauses
):  # TS-04, TS-05
    rm.register_retry_policy("net", attempts=4, backoff=backoff)
    times = []

    def fails_thrice():
        times.append(clock.now())
        return "ok" if len(times) == 4 else down()

    assert rm.execute_with_retry("net", fails_thrice) == "ok"
    waited = [later - earlier for earlier, later in pairwise(times)]
    # at most a tenth is added
    assert all(least <= one <= 1.1 * least for one, least in zip(waited, pauses, strict=True))


# ---- timeout: 2 ----


def test_a_call_that_outlasts_its_timeout_fails(rm, clock):  # TS-05, CB-22
    rm.register_timeout("slow", 2.0)
    with pytest.raises(hf.DeadlineExceededError):
        rm.execute("slow", clock.advance, 3)
    assert rm.execute("slow", clock.advance, 1) is None


def test_an_adaptive_timeout_follows_the_calls(clock):  # TS-05, TO-08
    timeout = hf.AdaptiveTimeout(30.0, name="learns", clock=clock)
    for _ in range(200):
        timeout.call(clock.advance, 1)
    assert timeout.snapshot().duration < 30


# ---- health: 2 ----


def test_a_manager_is_healthy_while_its_checks_are(rm):  # TS-04, TS-05, RM-06
    answers = iter([True, False, True])
    rm.register_health_check(hf.PingCheck("db", lambda: next(answers), failures=1))
    seen = []
    for _ in range(3):
        rm.health.check_now()
        seen.append(rm.is_healthy())
    assert seen == [True, False, True]


def test_a_threshold_includes_its_bounds(rm):  # TS-05, HC-02
    values = iter([80.0, 80.1])
    rm.register_health_check(hf.ThresholdCheck("cpu", lambda: next(values), 0, 80, failures=1))
    rm.health.check_now()
    assert rm.is_healthy()
    rm.health.check_now()
    assert not rm.is_healthy()


# ---- chaos: 3 ----


def test_a_fault_strikes_only_while_chaos_is_enabled(rm):  # TS-05, CH-01, CH-03
    rm.register_bulkhead("send", 9)
    rm.register_fault(hf.chaos.Error(ConnectionError("injected"), probability=1))
    assert rm.execute("send", len, "") == 0
    with chaos_enabled(), pytest.raises(ConnectionError, match="injected"):
        rm.execute("send", len, "")
    assert rm.execute("send", len, "") == 0


def test_a_latency_fault_delays_the_call(rm, clock):  # TS-05, CH-02
    rm.register_bulkhead("send", 9)
    rm.register_fault(hf.chaos.Latency(0.2, 0.2, probability=1, clock=clock))
    with chaos_enabled():
        rm.execute("send", len, "")
    assert clock.now() == pytest.approx(0.2)


# ---- degradation: 2 ----


def test_the_level_of_a_component_chooses_the_function(rm):  # TS-04, TS-05, DG-03
    component = rm.degradation.component("search")
    functions = (lambda: "normal", lambda: "degraded", lambda: "emergency")
    seen = []
    for level in (Level.NORMAL, Level.DEGRADED, Level.EMERGENCY):
        component.set(level)
        seen.append(rm.execute_with_degradation("search", *functions))
    assert seen == ["normal", "degraded", "emergency"]


# ---- error budget: 3; latency budget: 2 ----


def test_too_many_failures_exhaust_an_error_budget(rm, clock):  # TS-04, TS-05
    budget = rm.register_error_budget("send", slo=0.9, window=1000)
    rm.record_request("send", True, 80)
    assert not budget.exhausted
    rm.record_request("send", False, 20)
    assert budget.exhausted
    clock.advance(2000)
    assert not budget.exhausted


def test_a_tracker_asks_all_budgets(rm):  # TS-05, EB-07
    rm.register_error_budget("send", slo=0.9, window=1000)
    assert rm.slo.all_healthy()
    rm.record_request("send", False, 100)
    assert not rm.slo.all_healthy()


def test_slow_calls_exhaust_a_latency_budget(rm):  # TS-04, TS-05, LB-04
    budget = rm.register_latency_budget("send", target=0.1, percentile=95, samples=100)
    for _ in range(100):
        rm.record_latency("send", 0.05)
    assert not budget.exhausted
    for _ in range(10):
        rm.record_latency("send", 0.5)
    assert budget.exhausted
    shown = budget.snapshot()
    assert (shown.target_latency, shown.total_requests) == (0.1, 100)
    assert (shown.exceeding_requests, shown.compliance_rate) == (10, 0.9)
    assert shown.current_latency == pytest.approx(0.5, rel=0.02)


# ---- integration: 2 ----


def test_everything_together_lets_a_good_call_pass_and_counts_it(rm):  # TS-04, TS-05, RM-04
    everything = hf.ResilienceManager("node", presets="dwcp", clock=rm.clock)
    try:
        assert everything.execute("send", len, "sent") == 4
    finally:
        everything.stop()
    kinds = {
        kind: named["send"]
        for kind, named in everything.snapshot().policies.items()
        if "send" in named
    }
    assert kinds["circuit_breaker"].succeeded == 1
    assert kinds["error_budget"].total_requests == 1
    assert kinds["latency_budget"].total_requests == 1


def test_everything_together_tries_again_and_then_opens(rm):  # TS-04, TS-05
    rm.register_circuit_breaker("op", max_failures=6, timeout=1, reset_timeout=60)
    rm.register_retry_policy("op", max_retries=2, initial_delay=0.1)
    calls = []
    for _ in range(2):
        with pytest.raises(ConnectionError):
            rm.execute("op", lambda: calls.append(1) or down())
    assert len(calls) == 6
    with pytest.raises(hf.CircuitOpenError):
        rm.execute("op", pytest.fail, "it ran")
