"""The parts of a manager: health, degradation, chaos, objectives; and its life."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import threading
import weakref

import pytest
from prometheus_client import CollectorRegistry

import holdfast as hf
from holdfast.degradation.level import Level
from holdfast.telemetry.prometheus import Collector
from holdfast.testing.chaos import chaos_enabled
from tests.apart import run_apart
from tests.policies.test_forked import IN_CHILD
from tests.waiting.parties import until


@pytest.fixture
def rm(clock):
    return hf.ResilienceManager("m", clock=clock)


def down():
    raise ConnectionError("down")


def value(metric, **labels):
    registry = CollectorRegistry()
    registry.register(Collector())
    return registry.get_sample_value(metric, labels)


# ---- health ----


def test_the_health_monitor_looks_every_10_seconds_for_5_at_most(rm, clock):  # RM-01
    states = iter([True, False, False, False])
    rm.register_health_check(hf.PingCheck("database", lambda: next(states, True)))
    assert not rm.is_healthy()  # RM-06
    with rm:
        assert rm.running
        assert rm.health.running
        assert rm.is_healthy()
        for _ in range(40):
            clock.advance(1)
            if not rm.is_healthy():
                break
        else:
            pytest.fail("the check was not repeated")
    assert not rm.running
    assert not rm.health.running
    assert (rm.health._interval_ns, rm.health._timeout_ns) == (10 * 10**9, 5 * 10**9)


def test_a_check_of_the_same_name_replaces_the_one_before(rm):
    rm.register_health_check(hf.PingCheck("database", lambda: False))
    new = hf.PingCheck("database", lambda: True)
    assert rm.register_health_check(new) is new
    rm.health.check_now()
    assert rm.is_healthy()
    rm.unregister("health_check", "database")
    assert rm.health.snapshot().total_checks == 0


def test_a_check_closes_the_breaker_of_a_name_also_after_that_was_replaced(rm, clock):
    rm.register_circuit_breaker("db", max_failures=1, reset_timeout=600)
    rm.register_health_check(hf.PingCheck("db", lambda: True), closes="db")
    breaker = rm.register_circuit_breaker("db", max_failures=2, reset_timeout=600)
    with rm:
        breaker.trip()
        clock.advance(30)
        assert breaker.state is hf.State.CLOSED
    with pytest.raises(LookupError, match="no circuit breaker 'database'"):
        rm.register_health_check(hf.PingCheck("other", lambda: True), closes="database")


# ---- its life ----


def test_a_manager_starts_and_stops_any_number_of_times(rm, clock):  # D-MG-1
    looks = []
    rm.register_health_check(hf.PingCheck("count", lambda: looks.append(1) or True))
    assert rm.stop()
    for _ in range(3):
        rm.start()
        rm.start()
        assert rm.running
        seen = len(looks)
        assert seen
        assert rm.stop()
        assert rm.stop()
        clock.advance(100)
        assert len(looks) == seen
    rm.register_bulkhead("send", 3)
    assert rm.execute("send", len, "ok") == 2  # calls need nothing that runs


def test_a_part_that_is_first_used_while_the_manager_runs_runs_too(rm, clock):
    looks = []
    rm.start()
    rm.register_health_check(hf.PingCheck("late", lambda: looks.append(1) or True))
    clock.advance(20)
    assert looks
    assert rm.stop()


def test_stop_holds_no_lock_while_it_waits_for_a_check_that_needs_the_manager():  # D-MG-1
    rm = hf.ResilienceManager("real")
    rm.register_bulkhead("send", 3)
    began, go_on, ended = (threading.Event() for _ in range(3))

    def look():
        began.set()
        assert go_on.wait(30)
        rm.register_bulkhead("send", 4)  # would wait for ever, if stop() held a lock
        rm.snapshot()
        rm.execute("send", int)
        ended.set()
        return True

    rm.register_health_check(hf.PingCheck("needs", look))
    rm.start()
    assert began.wait(30)
    stopper = threading.Thread(target=rm.stop, args=(30,))
    stopper.start()
    go_on.set()
    stopper.join(30)
    assert not stopper.is_alive()
    assert ended.is_set()


def test_stop_waits_no_longer_than_it_may():  # D-MG-1
    rm = hf.ResilienceManager("real")
    began, go_on = threading.Event(), threading.Event()

    def hang():
        began.set()
        go_on.wait(60)
        return True

    rm.register_health_check(hf.PingCheck("hangs", hang))
    rm.start()
    assert began.wait(30)
    assert rm.stop(0) is False
    assert not rm.running
    go_on.set()
    assert rm.stop(30) is True


def test_a_check_may_stop_the_manager_that_runs_it(rm):
    rm.register_health_check(hf.PingCheck("stops", lambda: rm.stop() is not None))
    rm.start()
    assert not rm.running
    assert not rm.health.running


async def test_in_an_event_loop_its_checks_are_tasks():
    rm = hf.ResilienceManager("loop")
    looked = asyncio.Event()

    async def look():
        looked.set()
        return True

    rm.register_health_check(hf.PingCheck("async", look))
    async with rm:
        assert rm.running
        await looked.wait()
    assert not rm.running


# ---- objectives ----


def test_each_budget_exists_once_and_counts_a_request_once(rm):  # D-RM-5, RM-10
    early = rm.register_error_budget("send", slo=0.9)
    assert rm.slo.get("send") is early
    latency = rm.register_latency_budget("send", target=0.1)
    assert rm.slo.get("send", "latency_budget") is latency
    rm.execute("send", int)
    assert early.snapshot().total_requests == 1
    assert latency.snapshot().total_requests == 1
    other = rm.register_error_budget("send", slo=0.99)
    assert rm.slo.get("send") is other
    rm.unregister("error_budget", "send")
    assert rm.slo.get("send") is None


def test_requests_and_latencies_are_recorded_by_hand(rm):  # RM-07
    budget = rm.register_error_budget("send", slo=0.9, min_requests=1)
    rm.register_latency_budget("send", target=0.1)
    rm.register_latency_budget("client", target=0.1)
    near, far = (
        rm.register_adaptive_rate_limiter(name, rate=10, window=10) for name in ("send", "receive")
    )
    rm.record_request("send", ok=True, n=3)
    rm.record_request("send", ok=False)
    assert (budget.snapshot().total_requests, budget.snapshot().failed_requests) == (4, 1)
    rm.record_latency("send", 0.2)
    assert (near.snapshot().samples, far.snapshot().samples) == (1, 0)
    rm.record_latency("client", 0.2)  # no limiter of this name: all of them hear of it
    assert (near.snapshot().samples, far.snapshot().samples) == (2, 1)
    for record in (rm.record_request, rm.record_latency):
        with pytest.raises(LookupError, match="did you mean 'send'"):
            record("sned", True)


def test_rejections_and_injected_errors_spend_the_error_budget_and_cancellations_do_not(
    rm, clock
):  # D-RM-8, RL-08
    budget = rm.register_error_budget("send", slo=0.9)
    rm.register_rate_limiter("send", rate=1, burst=1)
    rm.execute("send", int)
    with pytest.raises(hf.RateLimitedError):
        rm.execute("send", int)
    assert budget.snapshot().failed_requests == 1
    clock.advance(10)
    rm.register_fault(hf.chaos.Error(probability=1.0, clock=clock))
    with chaos_enabled(clock=clock), pytest.raises(hf.chaos.InjectedError):
        rm.execute("send", int)
    assert budget.snapshot().failed_requests == 2
    clock.advance(10)

    def cancel():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        rm.execute("send", cancel)
    assert (budget.snapshot().total_requests, budget.snapshot().failed_requests) == (3, 2)


# ---- chaos ----


def test_faults_are_registered_but_off_and_strike_where_they_are_to(rm, clock):  # RM-01, RM-03
    fault = hf.chaos.Error(name="broken", probability=1.0, clock=clock)
    rm.register_bulkhead("send", 3)
    rm.register_bulkhead("receive", 3)
    assert rm.execute("send", len, "ok") == 2
    assert rm.register_fault(fault, ["send"]) is fault
    assert rm.chaos.faults == {"broken": fault}
    assert hf.chaos.Latency(0.05, 0.2, clock=clock).snapshot().probability == 0.01
    assert not rm.chaos.enabled
    assert rm.execute("send", len, "ok") == 2
    rm.maybe_inject_fault()
    with chaos_enabled(clock=clock):
        assert rm.chaos.enabled
        with pytest.raises(hf.chaos.InjectedError):
            rm.execute("send", len, "ok")
        assert rm.execute("receive", len, "ok") == 2
        with pytest.raises(hf.chaos.InjectedError):
            rm.maybe_inject_fault("send")
        rm.maybe_inject_fault("receive")
        rm.register_fault(fault)
        with pytest.raises(hf.chaos.InjectedError):
            rm.execute("receive", len, "ok")
    rm.unregister("fault", "broken")
    assert [one.kind for one in rm.operation("send").policies] == ["timeout", "bulkhead"]
    for wrong in (lambda: rm.register_fault("latency"), lambda: rm.register_fault(fault, "send")):
        with pytest.raises(hf.ConfigError):
            wrong()


def test_a_manager_enables_chaos_only_where_the_process_may(rm, monkeypatch):
    rm.register_fault(hf.chaos.Error(name="broken"))
    assert rm.chaos.enable(seed=1) is False
    monkeypatch.setenv("HOLDFAST_CHAOS", "1")
    try:
        assert rm.chaos.enable(seed=1, duration=5) is True
        rm.clock.advance(6)
        assert not rm.chaos.enabled
    finally:
        rm.chaos.disable()


# ---- degradation ----


def test_a_component_follows_the_breaker_and_the_budget_of_an_operation(rm, clock):
    rm.register_circuit_breaker("send", max_failures=1, reset_timeout=60)
    rm.register_operation("send", degradation="outbound")
    component = rm.degradation.component("outbound")
    rm.execute("send", int)
    assert component.level is Level.NORMAL
    with pytest.raises(ConnectionError):
        rm.execute("send", down)
    assert component.level is Level.DEGRADED
    rm.register_circuit_breaker("send", max_failures=2, reset_timeout=60)
    clock.advance(31)  # the component's stable time
    assert component.level is Level.NORMAL  # the open breaker is no part of it any more
    budget = rm.register_error_budget("send", slo=0.5, min_requests=1)
    rm.record_request("send", ok=False, n=5)
    assert budget.exhausted
    assert component.level is Level.DEGRADED
    rm.register_operation("send")
    clock.advance(31)
    assert component.level is Level.NORMAL


def test_calls_under_one_kind_of_protection(rm, clock):  # RM-03, CB-22
    breaker = rm.register_circuit_breaker("send", max_failures=1, timeout=5)
    rm.register_retry_policy("send", max_retries=2, initial_delay=0.1)
    rm.register_bulkhead("send", 1)
    rm.degradation.set("send", "degraded")
    assert rm.execute_with_circuit_breaker("send", len, "ok") == 2
    assert rm.execute_with_bulkhead("send", len, "ok") == 2
    assert rm.execute_with_degradation("send", int, lambda: "degraded") == "degraded"
    fates = [ConnectionError(), ConnectionError(), None]

    def flaky():
        if (error := fates.pop(0)) is not None:
            raise error
        return "ok"

    assert rm.execute_with_retry("send", flaky) == "ok"

    with pytest.raises(hf.DeadlineExceededError):
        rm.execute_with_circuit_breaker("send", lambda: (clock.advance(6), hf.check_deadline()))
    assert breaker.state is hf.State.OPEN
    assert breaker.snapshot().failed == 1
    for execute in (
        rm.execute_with_circuit_breaker,
        rm.execute_with_retry,
        rm.execute_with_bulkhead,
    ):
        with pytest.raises(LookupError, match="did you mean 'send'"):
            execute("sned", int)


async def test_awaited_calls_under_one_kind_of_protection(rm):  # RM-03
    breaker = rm.register_circuit_breaker("send", max_failures=1, timeout=5)
    rm.register_circuit_breaker("bare", max_failures=1)
    rm.register_retry_policy("send", max_retries=2, initial_delay=0.1)
    rm.register_bulkhead("send", 1)

    async def ok(value="ok"):
        return value

    for name in ("send", "bare"):
        assert await rm.aexecute_with_circuit_breaker(name, ok, 5) == 5
    assert await rm.aexecute_with_bulkhead("send", ok) == "ok"
    assert await rm.aexecute_with_retry("send", ok) == "ok"
    assert await rm.aexecute_with_degradation("send", ok, ok) == "ok"
    assert breaker.snapshot().succeeded == 1


def test_a_name_without_a_limiter_is_allowed_and_an_unknown_one_is_an_error(rm):  # RL-09
    rm.register_bulkhead("free", 3)
    assert all(rm.check_rate_limit("free") for _ in range(10))
    rm.register_adaptive_rate_limiter("send", rate=100, min_rate=1, max_rate=100, burst=1)
    assert [rm.check_rate_limit("send") for _ in range(2)] == [True, False]
    rm.register_rate_limiter("send", rate=1, burst=3)
    assert [rm.check_rate_limit("send", 2) for _ in range(2)] == [True, False]
    rm.register_operation("free", rate_limiter="send")
    assert [rm.check_rate_limit("free") for _ in range(2)] == [True, False]
    with pytest.raises(hf.UnprotectedError, match="did you mean 'send'"):
        rm.check_rate_limit("sned")


# ---- looking ----


def test_a_snapshot_has_everything_and_is_plain_data(rm, clock):  # RM-06, GEN-09
    rm.register_circuit_breaker("send", max_failures=1, timeout=3)
    rm.register_adaptive_rate_limiter("send", rate=100)
    rm.register_error_budget("send", slo=0.9)
    rm.register_fault(hf.chaos.Latency(0.05, 0.2, clock=clock))
    rm.register_health_check(hf.PingCheck("ping", lambda: True))
    rm.register_operation("send", critical=True, degradation="send")
    rm.execute("send", int)
    assert rm.slo.all_healthy()
    seen = rm.snapshot()
    assert seen.policies["circuit_breaker"]["send"].succeeded == 1
    assert seen.policies["adaptive_rate_limiter"]["send"].allowed == 1
    assert seen.operations["send"].critical
    assert seen.operations["send"].policies == (
        ("error_budget", "send"), ("timeout", "send"), ("circuit_breaker", "send"),
        ("rate_limiter", "send"), ("timeout", "send"), ("fault", "latency"),
    )  # fmt: skip
    assert seen.chaos["latency"].injected == 0
    assert seen.health.total_checks == 1
    assert [one.name for one in seen.degradation.components] == ["send"]
    assert seen.slo.healthy
    free = hf.Bulkhead("free")
    everything = hf.snapshot()
    assert rm.name in [one.name for one in everything.managers]
    assert everything.policies == (free.snapshot(),)
    json.dumps(dataclasses.asdict(everything))


def test_lint_finds_what_no_operation_uses_and_what_defeats_itself(rm):
    rm.register_circuit_breaker("network-send", max_failures=5)
    rm.register_retry_policy("network-retry", max_retries=3, budget=None)
    found = rm.lint()
    assert [one.code for one in found] == ["policy_not_used", "policy_not_used"]
    assert "no operation uses retry policy 'network-retry'" in found[0].message
    rm.register_operation(
        "send", circuit_breaker="network-send", retry="network-retry", bulkhead="conections"
    )
    rm.register_bulkhead("connections", 3)
    codes = {one.code: one.message for one in rm.lint()}
    assert codes.keys() == {"policy_not_registered", "policy_not_used"}
    assert "did you mean 'connections'" in codes["policy_not_registered"]
    rm.register_operation("send", circuit_breaker="network-send", retry="network-retry")
    rm.unregister("bulkhead", "connections")
    assert [str(one) for one in rm.lint()] == [
        f"retry_without_budget: operation 'send': {rm.operation('send').lint()[0].message}"
    ]


def test_listeners_hear_of_all_policies_also_of_those_that_come_later(rm):
    heard = []
    rm.register_circuit_breaker("early", max_failures=1)
    unsubscribe = rm.on_event(lambda event: heard.append((event.kind, event.name)))
    rm.register_circuit_breaker("late", max_failures=1)
    old = rm.circuit_breaker("early")
    for name in ("early", "late"):
        with pytest.raises(ConnectionError):
            rm.execute(name, down)
    assert heard == [("transition", "early"), ("transition", "late")]
    rm.register_circuit_breaker("early", max_failures=2)
    old.reset()
    assert len(heard) == 2
    unsubscribe()
    rm.circuit_breaker("late").reset()
    assert len(heard) == 2
    with pytest.raises(TypeError):
        rm.on_event(lambda: None)


def test_a_manager_says_what_it_is(rm):
    rm.register_circuit_breaker("send", max_failures=1)
    rm.execute("send", int)
    assert repr(rm) == "<ResilienceManager 'm': 1 policies, 1 operations>"
    operation = rm.operation("send")
    assert repr(operation) == "<Operation 'send' of 'm': timeout, circuit_breaker>"
    assert operation.describe().startswith("Operation 'send' of manager 'm', outermost first:\n")
    assert "1. Timeout 'send': duration=30.0" in operation.describe()


def test_a_manager_that_is_dropped_goes_with_its_policies_and_series(clock):
    rm = hf.ResilienceManager("gone", clock=clock)
    rm.register_circuit_breaker("send", max_failures=1, timeout=3)
    rm.register_operation("message", circuit_breaker="send", degradation="message")
    rm.execute("message", int)
    operation = rm.operation("send")
    assert value("holdfast_operations_total", operation="gone/message", result="success") == 1
    breaker, manager = weakref.ref(rm.circuit_breaker("send")), weakref.ref(rm)
    rm.degradation.recover_all()
    del rm
    gc.collect()
    assert manager() is None
    assert value("holdfast_operations_total", operation="gone/message", result="success") is None
    assert operation.call(len, "ok") == 2  # what somebody holds goes on
    del operation
    gc.collect()
    assert breaker() is None
    assert value("holdfast_circuit_breaker_state", name="gone/send") is None


def test_workers_that_share_a_directory_show_the_operations_of_all(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path))
    run_apart(
        IN_CHILD
        + """
    from prometheus_client import CollectorRegistry
    from holdfast.telemetry.prometheus import Collector

    rm = hf.ResilienceManager("shared")
    rm.register_bulkhead("send", 3)
    send = rm.operation("send")
    send.call(int)
    assert in_child(lambda: rm.execute("send", int)) == "0"
    rm.register_bulkhead("send", 4)
    rm.execute("send", int)
    registry = CollectorRegistry()
    registry.register(Collector())
    labels = {"operation": "shared/send", "result": "success"}
    assert registry.get_sample_value("holdfast_operations_total", labels) == 3
    """
    )


@pytest.mark.parametrize("wrong", [{"closes": 5}, {"opens": True}, {"closes": "nobody"}])
def test_a_check_that_is_refused_leaves_the_one_before(rm, wrong):
    before = rm.register_health_check(hf.PingCheck("p", lambda: True))

    with pytest.raises((hf.ConfigError, LookupError)):
        rm.register_health_check(hf.PingCheck("p", lambda: True), **wrong)

    assert rm.health._checks["p"].check is before


def test_a_breaker_is_replaced_also_after_the_check_that_closed_it_was_removed(rm):
    rm.register_circuit_breaker("b", max_failures=3)
    rm.register_health_check(hf.PingCheck("p", lambda: True), closes="b")
    rm.health.remove("p")

    again = rm.register_circuit_breaker("b", max_failures=4)

    assert rm.circuit_breaker("b") is again
    assert not rm.health.snapshot().checks


def test_nothing_runs_on_of_a_manager_whose_second_preset_is_refused():  # RM-08
    with pytest.raises(hf.ConfigError, match="for any operation"):
        hf.ResilienceManager("half", presets=("dwcp", "standard"))

    until(lambda: not any("half" in thread.name for thread in threading.enumerate()))


def test_a_component_leaves_a_budget_that_is_registered_no_longer(rm, clock):  # EB-05
    budget = rm.register_error_budget("b", slo=0.9, window=1000)
    rm.degrade_while_exhausted("b")
    rm.record_request("b", False, 50)
    component = rm.degradation.component("b")
    assert component.level is Level.DEGRADED

    rm.unregister("error_budget", "b")

    clock.advance(60)
    assert component.level is Level.NORMAL
    assert budget.exhausted
