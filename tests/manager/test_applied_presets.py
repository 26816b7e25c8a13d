"""What a manager does that has a preset."""

import threading

import pytest

import holdfast as hf
from holdfast.degradation import Level
from holdfast.manager import presets

DWCP, COLLECTOR = presets.get("dwcp"), presets.get("collector")
KINDS = {
    "circuit_breakers": "circuit_breaker",
    "retry_policies": "retry",
    "rate_limiters": "rate_limiter",
    "adaptive_rate_limiters": "adaptive_rate_limiter",
    "bulkheads": "bulkhead",
    "timeouts": "timeout",
    "error_budgets": "error_budget",
    "latency_budgets": "latency_budget",
    "faults": "fault",
}


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def rm(clock):
    rm = hf.ResilienceManager("dwcp", presets="dwcp", clock=clock)
    yield rm
    rm.stop()


def fail():
    raise ConnectionRefusedError


# ---- a node ----


@pytest.mark.parametrize("preset", [DWCP, COLLECTOR], ids=["dwcp", "collector"])
def test_all_that_a_preset_names_is_registered(preset, clock):  # RM-08, RM-02
    rm = hf.ResilienceManager("node", presets=preset, clock=clock)
    registered = {kind: set(named) for kind, named in rm.policies().items() if named}
    assert registered == {
        kind: set(getattr(preset, of)) for of, kind in KINDS.items() if getattr(preset, of)
    }
    assert rm.health.status().keys() == preset.checks.keys()
    assert rm.running is preset.monitoring
    assert "policy_not_registered" not in {finding.code for finding in rm.lint()}
    rm.stop()


@pytest.mark.parametrize("name", ["send", "receive"])
def test_an_operation_of_a_node_passes_everything_in_the_recommended_order(rm, name):
    # RM-04, RM-10
    passed = [(policy.kind, policy.name) for policy in rm.operation(name).policies]
    assert passed[:-3] == [
        ("error_budget", name),
        ("error_budget", "system"),
        ("latency_budget", name),
        ("timeout", name),
        ("retry", name),
        ("circuit_breaker", name),
        ("rate_limiter", name),
        ("bulkhead", name),
        ("timeout", name),
    ]
    assert {kind for kind, _ in passed[-3:]} == {"fault"}


@pytest.mark.parametrize("name", sorted(DWCP.operations))
def test_every_operation_of_a_node_runs_its_call(rm, name):
    assert rm.execute(name, len, "ok") == 2


@pytest.mark.parametrize("name", sorted({*COLLECTOR.operations, *COLLECTOR.timeouts}))
def test_every_operation_of_a_collector_runs_its_call(name, clock):  # ER-06
    rm = hf.ResilienceManager("collector", presets="collector", clock=clock)
    assert rm.execute(name, len, "ok") == 2


def test_each_request_counts_once_against_its_budget_and_once_against_the_systems(rm):
    # D-RM-5, D-RM-6, EB-02
    for name in ("send", "receive", "sync", "consensus", "message"):
        rm.execute(name, len, "ok")
    assert rm.error_budget("send").snapshot().total_requests == 1
    assert rm.error_budget("slo-availability").snapshot().total_requests == 1
    assert rm.error_budget("system").snapshot().total_requests == 5
    assert rm.latency_budget("send").snapshot().total_requests == 1


def test_every_check_of_a_node_can_fail(rm):  # D-RM-6, HC-12
    assert set(map(str, (s.state for s in rm.health.check_now().values()))) == {"healthy"}
    for _ in range(12):  # each is a request that has failed, also when the breaker refuses it
        rm.operation("send").try_call(fail)
    assert rm.circuit_breaker("send").state is hf.State.OPEN
    for _ in range(3):
        status = rm.health.check_now()
    assert {name: one.healthy for name, one in status.items()} == dict.fromkeys(status, False)
    assert status["transport"].error == "circuit breakers are open: send"
    assert status["send-error-rate"].error == "value 1.00 exceeds maximum threshold 0.01"
    assert not rm.is_healthy()


def test_one_early_failure_proves_no_error_rate(rm):  # D-EB-3
    rm.operation("sync").try_call(fail)
    for _ in range(3):
        status = rm.health.check_now("system-error-rate")
    assert status.healthy


def test_an_exhausted_budget_degrades_its_component_until_it_recovers(rm, clock):  # EB-05
    budget, component = rm.error_budget("sync"), rm.degradation.component("sync")
    assert component.level is Level.NORMAL
    budget.record(ok=False, n=100)
    assert component.level is Level.DEGRADED
    assert rm.degradation.component("send").level is Level.NORMAL
    clock.advance(3601)
    budget.record(ok=True)
    clock.advance(rm.degradation.stable_time + 1)
    assert component.level is Level.NORMAL
    other = rm.register_error_budget("sync", slo=0.9)
    other.record(ok=False, n=100)
    assert component.level is Level.DEGRADED


def test_the_faults_of_a_node_strike_nothing(rm):  # CH-01, RM-08
    for _ in range(200):
        rm.execute("sync", len, "ok")
    assert [rm.fault(name).snapshot().injected for name in DWCP.faults] == [0, 0, 0]


def test_a_slow_call_is_a_failure_of_the_breaker_and_tried_again(rm, clock):  # CB-22, CB-13
    durations = iter([10, 0.01])

    def act():
        clock.advance(next(durations))
        return "answer"

    assert rm.execute("sync", act) == "answer"
    breaker = rm.circuit_breaker("sync").snapshot()
    assert (breaker.failed, breaker.succeeded) == (1, 1)


def test_what_is_registered_later_replaces_what_the_preset_has(rm):
    rm.register_retry_policy("send", max_retries=0)
    with pytest.raises(ConnectionRefusedError):
        rm.execute("send", fail)
    assert rm.circuit_breaker("send").snapshot().failed == 1


def test_a_preset_that_was_changed_protects_with_its_changes(clock):
    mine = DWCP.but(circuit_breakers={"send": {"max_failures": 1}}, monitoring=False)
    rm = hf.ResilienceManager("node", presets=mine, clock=clock)
    assert not rm.running
    with pytest.raises(hf.CircuitOpenError):
        rm.execute("send", fail)


def test_a_setting_that_is_refused_is_named_as_it_was_given(rm):
    with pytest.raises(hf.ConfigError, match="'x': max_failures: got 0, allowed"):
        rm.register_circuit_breaker("x", max_failures=0)
    with pytest.raises(hf.ConfigError, match="'x': requests_per_second: got -1, allowed"):
        rm.register_rate_limiter("x", requests_per_second=-1)


def test_a_check_may_be_ones_own(clock):  # D-RM-6
    ping = {"check": "ping", "fn": lambda: False, "failures": 1}
    mine = DWCP.but(
        checks={
            "transport": ping,
            "send-error-rate": hf.PingCheck("send-error-rate", lambda: True),
            "system-error-rate": None,
        },
        monitoring=False,
    )
    rm = hf.ResilienceManager("node", presets=mine, clock=clock)
    status = rm.health.check_now()
    assert {name: one.healthy for name, one in status.items()} == {
        "transport": False,
        "send-error-rate": True,
    }


def test_several_presets_stand_side_by_side(clock):
    rm = hf.ResilienceManager("both", presets=["dwcp", COLLECTOR], clock=clock)
    assert rm.execute("send", len, "ok") == rm.execute("market_data", len, "ok") == 2
    rm.stop()


@pytest.mark.parametrize("wrong", ["dwpc", ["dwcp", "dwpc"]])
def test_an_unknown_preset_is_refused_with_the_nearest(wrong):
    with pytest.raises(hf.ConfigError, match=r"presets: got 'dwpc'.*did you mean 'dwcp'"):
        hf.ResilienceManager("node", presets=wrong)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"checks": {"x": {"check": "pong"}}}, "'ping'"),
        ({"faults": {"x": {"fault": "latencies"}}}, "'latency'"),
        ({"faults": {"x": {"fault": "latency", "max": -1}}}, "max"),
    ],
)
def test_a_check_or_fault_that_does_not_exist_is_refused(changes, words):
    with pytest.raises(hf.ConfigError, match=words):
        hf.ResilienceManager("node", presets=DWCP.but(monitoring=False, **changes))


# ---- a collector ----


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("api_call", 10), ("market_data", 8), ("signal_processor", 30), ("exchange", 10)],
)
def test_an_operation_of_a_collector_has_its_time_and_any_other_the_default(name, seconds, clock):
    # TO-03, TO-01
    rm = hf.ResilienceManager("collector", presets="collector", clock=clock)
    assert rm.execute(name, hf.deadline) == seconds


def test_a_name_that_a_collector_does_not_have_is_said(clock):  # D-C-13
    rm = hf.ResilienceManager("collector", presets="collector", clock=clock)
    with pytest.raises(LookupError, match="market_data"):
        rm.execute("marketdata", len, "ok")


def test_a_breaker_of_a_collector_stays_open_for_its_timeout(clock):  # CB-12, section 6 row 3
    rm = hf.ResilienceManager("collector", presets="collector", clock=clock)
    breaker = rm.circuit_breaker("redis")
    breaker.trip()
    clock.advance(14.9)
    assert not breaker.peek()
    clock.advance(0.1)
    assert breaker.peek()


# ---- one call, no configuration ----


def test_protect_guards_a_function_and_prints_with_what():
    operation = hf.protect("test-geocoding")

    @operation
    def double(number):
        """Twice as much."""
        return 2 * number

    assert double(4) == 8
    assert double.__doc__ == "Twice as much."
    assert operation.call(len, "ok") == 2
    assert [policy.kind for policy in operation.policies] == [
        "error_budget",
        "latency_budget",
        "timeout",
        "retry",
        "circuit_breaker",
        "bulkhead",
        "timeout",
    ]
    text = operation.describe()
    for setting in ("slo=0.999", "duration=30.0", "attempts=4", "failure_rate=0.1", "max=10"):
        assert setting in text


async def test_protect_guards_coroutine_functions():
    async def answer():
        return hf.deadline()

    assert 9 < await hf.protect("test-async").acall(answer) <= 10


def test_protect_retries_what_is_transient_and_nothing_else():
    calls = []

    def wrong():
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        hf.protect("test-wrong").call(wrong)
    assert len(calls) == 1


def test_a_name_that_is_protected_twice_in_many_threads_is_one_operation():
    found, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait()
        found.append(hf.protect("test-shared"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_what_is_registered_with_the_default_manager_stays(clock):
    from holdfast.manager.protect import default_manager

    hf.protect("test-own")
    default_manager().register_retry_policy("test-own", max_retries=0)
    with pytest.raises(ConnectionRefusedError):
        hf.protect("test-own").call(fail)
    assert default_manager().circuit_breaker("test-own").snapshot().failed == 1


def test_what_was_registered_with_the_default_manager_before_stays():
    from holdfast.manager.protect import default_manager

    mine = default_manager().register_retry_policy("test-before", max_retries=0)

    operation = hf.protect("test-before")

    assert mine in operation.policies
    assert len(operation.policies) == len(hf.protect("test-other").policies)


@pytest.mark.parametrize("wrong", ["", 5, None, ["a"]])
def test_protect_refuses_what_is_no_name(wrong):
    with pytest.raises(hf.ConfigError, match="name"):
        hf.protect(wrong)


def test_a_function_that_is_protected_without_a_name_is_told_to_give_one():
    with pytest.raises(hf.ConfigError, match=r"allowed a name, as in @hf\.protect"):
        hf.protect(len)  # type: ignore[arg-type]
