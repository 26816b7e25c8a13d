"""ResilienceManager: what is registered under a name protects the calls of that name."""

from __future__ import annotations

import gc

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import holdfast as hf
from holdfast.telemetry.prometheus import Collector


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def rm(clock):
    return hf.ResilienceManager("m", clock=clock)


def samples(*sources):
    registry = CollectorRegistry()
    registry.register(Collector(*sources))
    return lambda metric, **labels: registry.get_sample_value(metric, labels)


def kinds(operation):
    return [policy.kind for policy in operation.policies]


class Failing:
    """Fails so often, then returns."""

    def __init__(self, times, error=ConnectionError):
        self.left, self.error, self.calls = times, error, 0

    def __call__(self, *args):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error("down")
        return args


# ---- executing ----


def test_a_call_passes_everything_that_bears_its_name(rm):  # RM-04, GEN-01, GEN-02
    rm.register_bulkhead("send", 10)
    rm.register_circuit_breaker("send", max_failures=2, timeout=3, reset_timeout=60)
    rm.register_rate_limiter("send", rate=100, burst=100)
    rm.register_retry_policy("send", max_retries=2, initial_delay=0.1)
    rm.register_error_budget("send", slo=0.9)
    rm.register_latency_budget("send", target=0.1)
    rm.register_fallback("send", "instead")
    rm.register_hedge("send", delay=5.0)
    fn = Failing(1)
    assert rm.execute("send", fn, 1, 2) == (1, 2)
    assert fn.calls == 2
    operation = rm.operation("send")
    assert kinds(operation) == [
        "error_budget", "latency_budget", "fallback", "timeout", "retry", "hedge",
        "circuit_breaker", "rate_limiter", "bulkhead", "timeout",
    ]  # fmt: skip
    assert [one.duration for one in operation.policies if one.kind == "timeout"] == [30.0, 3.0]
    assert rm.bulkhead("send").snapshot().completed == 2
    assert rm.circuit_breaker("send").snapshot().failed == 1
    assert rm.error_budget("send").snapshot().total_requests == 1


def test_what_fails_under_full_protection_fails_for_the_caller(rm):  # D-RM-1
    rm.register_circuit_breaker("send", max_failures=5)
    rm.register_retry_policy("send", max_retries=1, initial_delay=0.1)
    with pytest.raises(ConnectionError, match="down"):
        rm.execute("send", Failing(9))


@pytest.mark.parametrize("call", ["execute", "operation"])
def test_a_name_without_protection_is_an_error_and_runs_nothing(rm, call):  # D-RM-2, trap 55
    rm.register_circuit_breaker("network-send", max_failures=5)
    rm.register_retry_policy("network-retry", max_retries=1)
    fn = Failing(0)
    with pytest.raises(hf.UnprotectedError) as caught:
        rm.execute("network-sent", fn) if call == "execute" else rm.operation("network-sent")
    assert fn.calls == 0
    assert "did you mean 'network-send'?" in str(caught.value)
    assert caught.value.code == "UNPROTECTED"
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("name", [None, 7, b"send", (), ("send",), ("send", "send")])
def test_what_is_no_name_names_no_operation(rm, name):
    rm.register_circuit_breaker("send")
    fn = Failing(0)
    for call in (lambda: rm.execute(name, fn), lambda: rm.operation(name)):
        with pytest.raises(hf.UnprotectedError) as caught:
            call()
        assert f"no operation {name!r}" in str(caught.value)
    assert fn.calls == 0


def test_an_operation_that_has_lost_all_its_policies_says_so(rm):  # D-RM-2
    rm.register_circuit_breaker("send", max_failures=5)
    operation = rm.register_operation("send", critical=True)
    rm.unregister("circuit_breaker", "send")
    with pytest.raises(hf.UnprotectedError, match=r"operation 'send' .* has no policy: the call"):
        operation.call(len, "a")


def test_an_operation_that_nothing_is_registered_for_leaves_nothing_behind(rm):
    def count():
        gc.collect()
        series = generate_latest(registry).decode()
        return len(rm.operations), len(rm._users), series.count("passing")

    registry = CollectorRegistry()
    registry.register(Collector(rm))
    before = count()
    for number in range(20):
        rm.register_circuit_breaker(f"passing-{number}")
        rm.execute(f"passing-{number}", len, "a")
        rm.unregister("circuit_breaker", f"passing-{number}")
        rm.register_operation(f"passing-by-{number}", retry=f"later-{number}", timeout=1)
        rm.unregister("operation", f"passing-by-{number}")
    assert count() == before


def test_an_operation_that_somebody_holds_follows_what_is_registered_for_it_again(rm):
    rm.register_circuit_breaker("send", max_failures=5)
    operation = rm.operation("send")
    guarded = operation(Failing(9))
    rm.unregister("circuit_breaker", "send")
    assert rm.operations == ()
    with pytest.raises(hf.UnprotectedError):
        guarded()
    breaker = rm.register_circuit_breaker("send", max_failures=1)
    assert breaker in operation.policies
    assert rm.operation("send") is operation
    with pytest.raises(ConnectionError):
        guarded()
    assert breaker.state is hf.State.OPEN


async def test_aexecute_awaits_under_the_same_policies(rm):  # RM-04
    rm.register_circuit_breaker("send", max_failures=1)

    async def fail():
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        await rm.aexecute("send", fail)
    with pytest.raises(hf.CircuitOpenError):
        await rm.aexecute("send", fail)
    with pytest.raises(hf.UnprotectedError):
        await rm.aexecute("sned", fail)


# ---- registering ----


def test_equal_settings_keep_the_living_policy_and_its_counts(rm):
    breaker = rm.register_circuit_breaker("send", max_failures=2, timeout=5, reset_timeout=60)
    with pytest.raises(ConnectionError):
        rm.execute("send", Failing(9))
    gate = rm.operation("send")._gate
    assert rm.register_circuit_breaker("send", failure_threshold=2, timeout=5.0) is breaker
    assert rm.operation("send")._gate is gate
    assert breaker.snapshot().failed == 1


def test_other_settings_put_a_new_policy_into_every_operation_that_uses_it(rm):
    rm.register_bulkhead("pool", 1)
    rm.register_operation("one", bulkhead="pool")
    rm.register_operation("other", bulkhead="pool")
    rm.register_bulkhead("apart", 1)
    for name in ("one", "other", "apart"):
        rm.execute(name, int)
    apart = rm.operation("apart")._gate
    new = rm.register_bulkhead("pool", 2)
    assert new in rm.operation("one").policies
    assert new in rm.operation("other").policies
    assert rm.operation("apart")._gate is apart


def test_a_breaker_with_another_call_timeout_is_another(rm):  # CB-22
    breaker = rm.register_circuit_breaker("send", max_failures=2, timeout=5)
    assert rm.register_circuit_breaker("send", max_failures=2, timeout=6) is not breaker
    assert [one.duration for one in rm.operation("send").policies if one.kind == "timeout"] == [
        30.0, 6.0,
    ]  # fmt: skip


def test_a_call_that_takes_longer_than_the_breakers_timeout_is_its_failure(rm, clock):  # CB-22
    rm.register_circuit_breaker("send", max_failures=2, timeout=5)
    with pytest.raises(hf.DeadlineExceededError):
        rm.execute("send", lambda: (clock.advance(6), hf.check_deadline()))
    assert rm.circuit_breaker("send").snapshot().failed == 1


def test_a_fixed_limiter_wins_over_an_adaptive_one_and_the_log_says_so_once(rm, caplog):  # RL-09
    adaptive = rm.register_adaptive_rate_limiter("send", rate=1000, min_rate=100, max_rate=10000)
    assert adaptive in rm.operation("send").policies
    fixed = rm.register_rate_limiter("send", rate=1, burst=1)
    rm.execute("send", int)
    with pytest.raises(hf.RateLimitedError):
        rm.execute("send", int)
    assert fixed in rm.operation("send").policies
    assert adaptive not in rm.operation("send").policies
    assert rm.rate_limiter("send") is fixed
    said = [one for one in caplog.records if one.name == "holdfast.manager"]
    assert len(said) == 1
    rm.unregister("rate_limiter", "send")
    assert adaptive in rm.operation("send").policies
    assert "two_rate_limiters" not in {finding.code for finding in rm.lint()}


def test_a_ready_policy_keeps_its_own_name_and_is_shared(rm, clock):
    breaker = hf.CircuitBreaker("ready", clock=clock)
    assert rm.register(breaker) is breaker
    assert breaker in rm.operation("ready").policies
    assert rm.register(breaker) is breaker
    other = hf.CircuitBreaker("ready", clock=clock)
    assert rm.register(other) is other
    assert other in rm.operation("ready").policies
    for wrong in (hf.PoolBulkhead("p"), hf.Pipeline("p", breaker), hf.Timeout(1.0), "p"):
        with pytest.raises(hf.ConfigError, match="a policy with a name"):
            rm.register(wrong)
    hf.registry.get("pool_bulkhead", "p") and hf.registry.get("pool_bulkhead", "p").stop()


def test_what_is_registered_is_scoped_by_the_managers_name(rm):  # RM-01
    breaker = rm.register_circuit_breaker("scoped", max_failures=2)
    rm.execute("scoped", int)
    assert hf.registry.get("circuit_breaker", "m/scoped") is breaker
    assert hf.registry.get("circuit_breaker", "scoped") is None
    value = samples()
    assert value("holdfast_operations_total", operation="m/scoped", result="success") == 1
    assert value("holdfast_circuit_breaker_requests_total", name="m/scoped", result="success") == 1
    assert breaker.name == "scoped"


# ---- operations ----


def test_an_operation_joins_policies_of_other_names(rm):
    rm.register_circuit_breaker("network", max_failures=5)
    rm.register_retry_policy("network-retry", max_retries=3, initial_delay=0.1)
    rm.register_bulkhead("send", 10)
    ready = hf.RateLimiter("ready", rate=10)
    rm.register_operation(
        "send", circuit_breaker="network", retry="network-retry", rate_limiter=ready, timeout=4
    )
    fn = Failing(3)
    assert rm.execute("send", fn) == ()
    assert fn.calls == 4
    assert kinds(rm.operation("send")) == [
        "timeout", "retry", "circuit_breaker", "rate_limiter", "bulkhead",
    ]  # fmt: skip
    assert rm.operation("send").policies[0].duration == 4.0


def test_none_leaves_out_what_bears_the_operations_name(rm):
    rm.register_bulkhead("send", 10)
    rm.register_circuit_breaker("send", max_failures=5)
    rm.register_operation("send", bulkhead=None, timeout=None)
    assert kinds(rm.operation("send")) == ["circuit_breaker"]


def test_names_may_be_registered_in_any_order_but_all_before_a_call(rm):
    operation = rm.register_operation("send", circuit_breaker="network", bulkhead="places")
    rm.register_circuit_breaker("network", max_failures=5)
    rm.register_bulkhead("placess", 5)
    fn = Failing(0)
    with pytest.raises(hf.UnprotectedError, match=r"no bulkhead 'places'.*did you mean 'placess'"):
        rm.execute("send", fn)
    assert fn.calls == 0
    assert next(finding.code for finding in rm.lint()) == "policy_not_registered"
    rm.register_bulkhead("places", 5)
    assert rm.execute("send", fn) == ()
    assert rm.operation("send") is operation


def test_the_same_definition_again_changes_nothing_and_another_one_does(rm):
    rm.register_circuit_breaker("network", max_failures=5)
    operation = rm.register_operation("send", circuit_breaker="network", timeout=3)
    gate = operation._gate
    assert rm.register_operation("send", circuit_breaker="network", timeout=3) is operation
    assert operation._gate is gate
    assert rm.register_operation("send", circuit_breaker="network", timeout=5) is operation
    assert operation.policies[0].duration == 5.0
    rm.unregister("operation", "send")
    with pytest.raises(hf.UnprotectedError):
        rm.execute("send", int)


def test_what_an_operation_names_cannot_be_unregistered(rm):
    rm.register_circuit_breaker("network", max_failures=5)
    rm.register_operation("send", circuit_breaker="network")
    with pytest.raises(hf.ConfigError, match="one that operation 'send' does not name"):
        rm.unregister("circuit_breaker", "network")
    rm.unregister("operation", "send")
    rm.unregister("circuit_breaker", "network")
    with pytest.raises(LookupError, match="no circuit breaker 'network'"):
        rm.unregister("circuit_breaker", "network")


def test_the_classic_order_admits_and_judges_all_attempts_as_one(clock):  # RM-05
    rm = hf.ResilienceManager("classic", order="classic", clock=clock)
    for register in (rm.register_error_budget, rm.register_latency_budget):
        register("send", **({} if register == rm.register_error_budget else {"target": 1.0}))
    rm.register_circuit_breaker("send", max_failures=2, timeout=30)
    rm.register_retry_policy("send", max_retries=3, initial_delay=0.1)
    rm.register_rate_limiter("send", rate=10)
    rm.register_bulkhead("send", 10)
    rm.register_timeout("send", 7)
    fault = hf.chaos.Latency(0.05, 0.2)
    rm.register_fault(fault)
    operation = rm.operation("send")
    assert kinds(operation) == [
        "error_budget", "latency_budget", "fault", "rate_limiter", "bulkhead", "circuit_breaker",
        "timeout", "retry", "timeout",
    ]  # fmt: skip
    assert [one.duration for one in operation.policies if one.kind == "timeout"] == [30.0, 7.0]
    rm.execute("send", Failing(3))
    assert rm.bulkhead("send").snapshot().completed == 1
    assert rm.circuit_breaker("send").snapshot().failed == 0
    recommended = rm.register_operation("send", order="recommended")
    assert kinds(recommended)[-1] == "fault"
    assert recommended.order == "recommended"


# ---- wrong input ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": "clasic"}, "order: got 'clasic', allowed one of 'recommended', 'classic'"),
        ({"default_timeout": -1}, "default_timeout"),
        ({"mode": "loud"}, "mode"),
        ({"clock": 5}, "clock"),
    ],
)
def test_a_manager_refuses_wrong_arguments(settings, message):
    with pytest.raises(hf.ConfigError, match=message):
        hf.ResilienceManager("m", **settings)


def test_registrations_that_contradict_or_do_not_exist_are_refused(rm):
    with pytest.raises(hf.ConfigError, match="max_failures: got 3"):
        rm.register_circuit_breaker("send", max_failures=3, failure_threshold=4)
    with pytest.raises(hf.ConfigError, match="did you mean"):
        rm.register_circuit_breaker("send", max_failure=3)
    with pytest.raises(hf.ConfigError, match="on: got 'transeint'"):
        rm.register_retry_policy("send", on="transeint")
    with pytest.raises(hf.ConfigError, match="bulkhead: got <CircuitBreaker"):
        rm.register_operation("send", bulkhead=hf.CircuitBreaker("b"))
    with pytest.raises(hf.ConfigError, match="timeout: got -1"):
        rm.register_operation("send", timeout=-1)
    with pytest.raises(hf.ConfigError, match="kind: got 'breaker'"):
        rm.unregister("breaker", "send")
    with pytest.raises(hf.UnprotectedError):
        rm.execute("send", int)


def test_what_an_operation_has_no_room_for_is_not_registered(rm, clock):
    rm.register_bulkhead("send", 3)
    before = rm.operation("send").policies
    budgets = [hf.ErrorBudget(f"b{n}", clock=clock) for n in range(12)]
    rm.register_operation("send", error_budget=budgets)
    full = rm.operation("send").policies
    assert len(full) == len(before) + 12
    for n in range(2):
        rm.register_fault(hf.chaos.Error(name=f"fault-{n}", clock=clock))
    with pytest.raises(hf.ConfigError, match="at most 16"):
        rm.register_fault(hf.chaos.Error(name="one-too-many", clock=clock))
    assert len(rm.operation("send").policies) == 16
    with pytest.raises(LookupError):
        rm.fault("one-too-many")
    with pytest.raises(hf.ConfigError, match="at most 16"):
        rm.register_operation("send", error_budget=[*budgets, hf.ErrorBudget("c", clock=clock)])
    assert rm.execute("send", len, "ok") == 2
    assert len(rm.operation("send").policies) == 16


def test_faults_that_strike_no_operation_and_wrong_operations_are_told(rm):
    rm.register_bulkhead("send", 3)
    fault = hf.chaos.Latency(name="slow", min=0.1, max=0.2)
    with pytest.raises(hf.ConfigError, match="operations: got 5, allowed a list of names"):
        rm.register_fault(fault, 5)

    rm.register_fault(fault, ["sned"])

    assert "did you mean 'send'" in str([one.message for one in rm.lint()])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda rm: rm.register_retry_policy("x", on="ConnectionEror"), "class ConnectionError"),
        (lambda rm: rm.register_operation("x", circut_breaker="x"), "circuit_breaker"),
        (lambda rm: rm.execute(5, len, "x"), "no operation 5"),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(rm, wrong, said):
    with pytest.raises((hf.ConfigError, TypeError, LookupError), match=said):
        wrong(rm)
