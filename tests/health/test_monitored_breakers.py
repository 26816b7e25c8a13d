"""A monitor whose checks close and open circuit breakers."""

import threading

import pytest

import holdfast as hf
from holdfast.health import (
    Check,
    CheckResult,
    CompositeCheck,
    HealthLevel,
    HealthMonitor,
    HealthState,
    PingCheck,
)
from holdfast.policies.breaker import State
from tests.health.monitored import Steered
from tests.waiting.parties import LIMIT, until


def down():
    raise ConnectionError("down")


@pytest.fixture
def breaker(clock):
    return hf.CircuitBreaker("db", failure_threshold=1, reset_timeout=60, clock=clock)


@pytest.fixture
def monitor(clock):
    monitor = HealthMonitor("shop", clock=clock, jitter=0, interval=10, adaptive=False)
    yield monitor
    assert monitor.stop()


def test_the_probe_and_no_user_finds_out_that_the_dependency_is_back(clock, breaker, monitor):
    # CB-30
    check = Steered("ping", says=ConnectionError("no route"), failures=2, successes=2)
    monitor.add(check, closes=breaker)
    monitor.start()
    breaker.try_call(down)
    clock.advance(20)
    assert monitor.status("ping").state is HealthState.UNHEALTHY
    assert (breaker.state, breaker.snapshot().rejected) == (State.OPEN, 0)
    check.says = True
    clock.advance(10)
    assert breaker.state is State.OPEN
    clock.advance(10)
    assert breaker.state is State.CLOSED
    assert monitor.status("ping").state is HealthState.HEALTHY
    assert breaker.snapshot().admitted == 1  # the call that has failed


def test_an_open_breaker_degrades_the_level_and_the_service_stays_ready(clock, breaker, monitor):
    check = Steered("ping", says=True)
    monitor.add(check, closes=breaker)
    told = []
    monitor.on_event(lambda event: told.append((event.kind, str(event.old), str(event.new))))
    monitor.start()
    assert monitor.level is HealthLevel.HEALTHY
    breaker.force_open()
    assert (monitor.level, monitor.is_ready) == (HealthLevel.DEGRADED, True)
    assert monitor.status("ping").breaker is State.FORCED_OPEN
    clock.advance(10)
    breaker.trip()
    clock.advance(10)
    assert (breaker.state, monitor.level) == (State.CLOSED, HealthLevel.HEALTHY)
    levels = [(old, new) for kind, old, new in told if kind == "health_level"]
    assert levels[-2:] == [("healthy", "degraded"), ("degraded", "healthy")]


def test_of_many_breakers_each_move_is_told_soon(clock, monitor):
    breakers = [hf.CircuitBreaker(f"b{n}", clock=clock) for n in range(40)]
    for breaker in breakers:
        monitor.add(Steered(breaker.name, interval=1), closes=breaker)
    told = []
    monitor.on_event(lambda event: event.kind == "health_level" and told.append(str(event.new)))
    monitor.start()
    breakers[7].force_open()
    assert monitor.level is HealthLevel.DEGRADED
    clock.advance(1)
    assert told[-1] == "degraded"
    breakers[7].reset()
    breakers[8].trip()
    clock.advance(2)
    assert breakers[8].state is State.CLOSED
    assert told[-1] == "healthy"


def test_a_breaker_that_only_observes_degrades_nothing(clock, monitor):
    breaker = hf.CircuitBreaker("db", mode="observe", clock=clock)
    monitor.add(PingCheck("ping", lambda: None), closes=breaker)
    monitor.start()
    breaker.force_open()
    assert monitor.level is HealthLevel.HEALTHY


def test_a_check_that_becomes_unhealthy_opens_the_breaker_if_asked_to(clock, breaker, monitor):
    # CB-30
    check = Steered("ping", says=True, failures=2)
    monitor.add(check, closes=breaker, opens=True)
    monitor.start()
    check.says = CheckResult.failed("no answer")
    clock.advance(10)
    assert breaker.state is State.CLOSED
    clock.advance(10)
    assert breaker.state is State.OPEN
    assert str(breaker.snapshot().trip) == "a health check is unhealthy: ping: no answer"


def test_a_run_during_which_the_breaker_opens_closes_nothing(clock, breaker, monitor):  # trap 65
    check = Steered("ping", says=True)
    check.does = lambda: breaker.try_call(down)
    monitor.add(check, closes=breaker)
    monitor.start()
    assert breaker.state is State.OPEN
    check.does = lambda: None
    clock.advance(10)
    assert breaker.state is State.CLOSED


def test_a_result_that_proves_nothing_closes_and_opens_nothing(clock, breaker, monitor):
    check = Steered("ping", says=CheckResult.unproven("late"), failures=1)
    monitor.add(check, closes=breaker, opens=True)
    monitor.start()
    clock.advance(50)
    assert breaker.state is State.CLOSED
    breaker.trip()
    clock.advance(50)
    assert breaker.state is State.OPEN


def test_a_composite_closes_a_breaker_by_what_began_after_the_opening(clock, breaker, monitor):
    one, other = Steered("one", says=True), Steered("other", says=True)
    one.does = lambda: breaker.try_call(down)
    monitor.add(CompositeCheck("both", one, other), closes=breaker)
    monitor.start()
    assert breaker.state is State.OPEN
    one.does = lambda: None
    clock.advance(10)
    assert breaker.state is State.CLOSED


def test_a_monitor_that_starts_anew_counts_no_pass_of_before(clock, breaker, monitor):  # trap 61
    monitor.add(PingCheck("ping", lambda: None, successes=2), closes=breaker)
    breaker.trip()
    monitor.start()
    monitor.stop()
    monitor.start()
    assert breaker.state is State.OPEN
    clock.advance(10)
    assert breaker.state is State.CLOSED


def test_while_passes_are_about_to_close_a_breaker_the_check_runs_more_often(clock, breaker):
    check = Steered("ping", clock, says=True, successes=3)
    with HealthMonitor("shop", clock=clock, jitter=0, interval=10) as monitor:
        monitor.add(check, closes=breaker)
        clock.advance(30)
        breaker.trip()
        clock.advance(10)
        began = clock.now()
        clock.advance(5)
        assert breaker.state is State.CLOSED
        assert len([at for at in check.times if at > began]) == 2


def test_a_check_that_is_removed_moves_and_degrades_nothing(clock, breaker, monitor):
    monitor.add(PingCheck("ping", lambda: None), closes=breaker)
    monitor.start()
    breaker.trip()
    monitor.remove("ping")
    clock.advance(50)
    assert (breaker.state, monitor.level) == (State.OPEN, HealthLevel.HEALTHY)


def test_of_two_checks_of_a_breaker_the_one_that_fails_counts(clock, breaker, monitor):
    port, query = Steered("port", successes=2), Steered("query", says=False, failures=1)
    for check in (port, query):
        monitor.add(check, closes=breaker, opens=True)
    with monitor:
        for _ in range(10):
            assert breaker.state is State.OPEN
            clock.advance(10)
        query.says = True
        clock.advance(10)
        assert breaker.state is State.CLOSED

    query.says = False
    with monitor:
        clock.advance(30)
        assert breaker.state is State.OPEN
        monitor.remove("query")
        clock.advance(60)
        assert breaker.state is State.CLOSED


def test_what_is_no_breaker_and_opens_alone_are_refused(monitor):
    with pytest.raises(hf.ConfigError, match="closes: got 7, allowed a CircuitBreaker or None"):
        monitor.add(PingCheck("a", lambda: None), closes=7)
    with pytest.raises(hf.ConfigError, match="opens: got True, allowed False without closes"):
        monitor.add(PingCheck("a", lambda: None), opens=True)
    assert not monitor.status()


class Slow(Check):
    """A check that a test holds up."""

    def __init__(self, name, interval=0.001):
        super().__init__(name, interval=interval)
        self.entered, self.go_on = threading.Event(), threading.Event()

    def probe(self):
        self.entered.set()
        assert self.go_on.wait(LIMIT)


def test_in_threads_a_pass_closes_the_breaker_that_opened_before_it_began():  # trap 65
    breaker = hf.CircuitBreaker("db", failure_threshold=1, reset_timeout=3600)
    closed = threading.Event()
    breaker.on_event(lambda event: event.new is State.CLOSED and closed.set())
    check = Slow("ping")
    with HealthMonitor("shop") as monitor:
        monitor.add(check, closes=breaker)
        assert check.entered.wait(LIMIT)
        breaker.try_call(down)  # amid the first run
        check.go_on.set()
        assert closed.wait(LIMIT)
        assert monitor.history("ping")[0].result.verdict == "passed"
        assert len(monitor.history("ping")) >= 2
    assert breaker.snapshot().state_changes["open->closed"] == 1


def test_a_composite_closes_nothing_by_a_run_that_it_joins(breaker):  # trap 65
    member = Slow("member", interval=3600)
    with HealthMonitor("shop") as monitor:
        monitor.add(member)
        assert member.entered.wait(LIMIT)
        breaker.trip()
        monitor.add(CompositeCheck("both", member, interval=3600), closes=breaker)
        until(lambda: monitor.status("both").running)  # it takes part in the run that goes on
        member.go_on.set()
        until(lambda: monitor.status("both").pass_count)
        assert breaker.state is State.OPEN
        monitor.check_now("both")
        until(lambda: breaker.state is State.CLOSED)


async def test_in_tasks_as_well(breaker, clock):  # CB-30
    async def ping():
        return True

    async with HealthMonitor("shop", clock=clock, interval=10, jitter=0) as monitor:
        monitor.add(PingCheck("ping", ping), closes=breaker)
        breaker.try_call(down)
        await monitor.acheck_now()
        assert breaker.state is State.CLOSED
