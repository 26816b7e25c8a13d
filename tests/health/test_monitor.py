"""HealthMonitor: states, levels, callbacks and turns, on a manual clock."""

import gc
import logging
import re
from itertools import pairwise

import pytest

import holdfast as hf
from holdfast import ConfigError, ManualClock, deadline
from holdfast.health import (
    CheckResult,
    CompositeCheck,
    HealthLevel,
    HealthMonitor,
    HealthState,
    PingCheck,
)
from tests.health.monitored import LIMPS, Steered
from tests.telemetry.scraped import Scrape


@pytest.fixture
def monitor(clock):
    with_no_jitter = HealthMonitor("shop", clock=clock, jitter=0, adaptive=False)
    yield with_no_jitter
    assert with_no_jitter.stop()
    assert clock.next_due_ns() is None  # no timer is left


# ---- what is asked for ----


def test_bad_settings_are_refused_all_at_once():
    with pytest.raises(ConfigError) as raised:
        HealthMonitor("", interval=0, timeout=-1, jitter=2, workers=0, on_healthy=print, history=0)
    text = str(raised.value)
    assert all(field in text for field in ("name", "interval", "timeout", "jitter", "workers"))


def test_what_is_no_check_and_a_second_check_of_a_name_are_refused(monitor):
    monitor.add(PingCheck("database", lambda: None))
    with pytest.raises(ConfigError, match=r"name other than 'database'"):
        monitor.add(PingCheck("database", lambda: None))
    with pytest.raises(ConfigError, match=r"a check of holdfast\.health"):
        monitor.add(lambda: None)
    assert list(monitor.status()) == ["database"]


def test_an_unknown_name_is_refused_with_the_name_that_was_meant(monitor):  # HC-03
    monitor.add(PingCheck("database", lambda: None))
    for method in (monitor.status, monitor.check_now, monitor.history, monitor.remove):
        with pytest.raises(LookupError, match="did you mean 'database'"):
            method("databse")


# ---- when checks run ----


def test_the_first_round_runs_at_once_and_the_next_ones_are_spread(monitor, clock):
    # HC-01, HC-04, trap 66
    checks = [Steered(f"c{n}", clock) for n in range(10)]
    for check in checks:
        monitor.add(check)
    with monitor:
        assert [check.times for check in checks] == [[0]] * 10
        clock.advance(40)
    for check in checks:
        _, second, *others = check.times
        assert 0 < second <= 10
        gaps = [round(b - a) for a, b in pairwise([second, *others])]
        assert gaps == [10] * len(gaps)
    seconds = sorted(check.times[1] for check in checks)
    assert max(b - a for a, b in pairwise(seconds)) < 3


def test_monitors_that_start_together_do_not_run_their_checks_together(clock):  # trap 66
    times = []
    monitors = [HealthMonitor("shop", clock=clock) for _ in range(60)]
    for monitor in monitors:
        monitor.add(PingCheck("database", lambda: times.append(clock.now())))
        monitor.start()
    clock.advance(40)
    for monitor in monitors:
        monitor.stop()
    later = [at for at in times if at >= 10]
    assert len(later) > 150
    for at in range(10, 40):
        assert sum(at <= one < at + 1 for one in later) < 30


def test_checks_that_are_due_within_a_tenth_of_a_second_share_a_wake_up(clock):
    monitor = HealthMonitor("shop", clock=clock, jitter=0, adaptive=False)
    checks = [Steered(f"c{n}", clock) for n in range(500)]
    for check in checks:
        monitor.add(check)
    with monitor:
        clock.advance(30)
    wakes = {at for check in checks for at in check.times}
    assert len(wakes) <= 301  # ten a second
    assert all(len(check.times) in (4, 5) for check in checks)


def test_each_check_has_its_own_interval(monitor, clock):  # HC-01, HC-13
    quick, slow = Steered("transport", clock, interval=5), Steered("prediction", clock, interval=30)
    monitor.add(quick)
    monitor.add(slow)
    with monitor:
        clock.advance(300)
    assert len(quick.times) in (60, 61)
    assert len(slow.times) in (10, 11)


def test_jitter_delays_turns_and_leaves_the_average(clock):
    check = Steered("c", clock)
    monitor = HealthMonitor("shop", clock=clock, jitter=0.5, adaptive=False)
    monitor.add(check)
    with monitor:
        clock.advance(10_000)
    assert len(check.times) == pytest.approx(1000, abs=2)
    gaps = [b - a for a, b in pairwise(check.times[1:])]
    assert all(5 <= gap <= 15 for gap in gaps)
    assert len({round(gap, 6) for gap in gaps}) > 900


def test_the_interval_is_short_while_a_check_is_about_to_change_or_ill(clock):  # HC-14
    check = Steered("c", clock, successes=2)
    monitor = HealthMonitor("shop", clock=clock, jitter=0, interval=16)
    monitor.add(check)
    with monitor:
        clock.advance(34)
        assert monitor.status("c").interval == 16
        check.says = False
        clock.advance(16)
        assert (monitor.status("c").state, monitor.status("c").interval) == ("healthy", 4)
        clock.advance(8)
        assert (monitor.status("c").state, monitor.status("c").interval) == ("unhealthy", 4)
        check.says = True
        clock.advance(8)
        assert monitor.status("c").state == "healthy"
        clock.advance(100)
        assert monitor.status("c").interval == 16
        check.says = LIMPS
        clock.advance(40)
        assert (monitor.status("c").state, monitor.status("c").interval) == ("degraded", 8)
    gaps = [round(b - a, 1) for a, b in pairwise(check.times[1:])]
    at = gaps.index(6)
    assert gaps[at - 1 : at + 4] == [4, 6, 9, 13.5, 16]  # a gradual return


def test_a_check_that_is_added_to_a_running_monitor_runs_at_once(monitor, clock):  # HC-03
    with monitor:
        clock.advance(5)
        check = Steered("c", clock)
        monitor.add(check)
        assert check.times == [5]
        assert monitor.status("c").state is HealthState.HEALTHY


def test_a_removed_check_runs_no_more_and_its_late_result_is_dropped(monitor, clock):  # trap 65
    check = Steered("c", clock, says=False, failures=1)
    seen = []
    monitor.on_event(lambda event: seen.append((event.name, event.new)))
    monitor.add(check)
    check.does = lambda: monitor.remove("c")
    with monitor:
        clock.advance(100)
    assert check.times == [0]
    assert seen == [("shop", "unknown"), ("shop", "healthy")]
    assert monitor.status() == {}


def test_a_check_may_be_added_again_once_it_was_removed(monitor, clock):
    check = Steered("c", clock)
    monitor.add(check)
    with monitor:
        monitor.remove("c")
        monitor.add(check)
        assert check.times == [0, 0]
        assert monitor.status("c").check_count == 1


# ---- states ----


def test_a_check_is_unknown_until_it_first_ran_and_one_pass_makes_it_healthy(monitor):  # D-HC-3
    monitor.add(PingCheck("c", lambda: None))
    status = monitor.status("c")
    assert (status.state, status.healthy, status.age) == (HealthState.UNKNOWN, False, None)
    assert not monitor.is_healthy
    assert not monitor.is_ready
    assert monitor.is_live
    assert monitor.level is HealthLevel.UNKNOWN
    with monitor:
        assert monitor.status("c").healthy
        assert monitor.is_healthy


def test_failures_in_a_row_make_a_check_unhealthy_and_a_pass_healthy_again(monitor, clock):
    check = Steered("c", clock, failures=3)  # HC-07, HC-08, D-HC-3
    monitor.add(check)
    with monitor:
        clock.advance(10)
        check.says = ConnectionError("refused")
        clock.advance(20)
        assert monitor.status("c").failures_in_a_row == 2
        assert monitor.is_healthy
        clock.advance(10)
        assert monitor.status("c").state is HealthState.UNHEALTHY
        assert monitor.status("c").error == "ConnectionError: refused"
        assert not monitor.is_healthy
        check.says = True
        clock.advance(10)
        assert monitor.is_healthy
        assert monitor.status("c").error is None


@pytest.mark.parametrize("error", [RuntimeError("no"), GeneratorExit(), AssertionError()])
def test_whatever_a_check_raises_is_a_failure(monitor, error):  # D-HC-4
    monitor.add(Steered("c", says=error, failures=1))
    with monitor:
        assert monitor.status("c").state is HealthState.UNHEALTHY


def test_an_interrupt_of_a_check_reaches_whoever_moves_the_clock(monitor, clock):  # D-HC-4
    check = Steered("c", clock)
    monitor.add(check)
    with monitor:
        check.says = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            clock.advance(10)
        check.says = True
        clock.advance(20)
        assert monitor.status("c").healthy
        assert monitor.status("c").fail_count == 0


def test_a_status_has_all_figures(monitor, clock):  # HC-05
    check = Steered("c", clock)
    monitor.add(check)
    with monitor:
        clock.advance(9)
        check.does = lambda: clock.advance(2)
        clock.advance(1)
        check.says = CheckResult.failed("disk is full", percent=99)
        clock.advance(8)
        status = monitor.status("c")
    assert status.name == "c"
    assert (status.check_count, status.pass_count, status.fail_count) == (3, 2, 1)
    assert status.success_rate == pytest.approx(2 / 3)
    assert status.message == status.error == "disk is full"
    assert status.details == {"percent": 99}
    assert status.duration == 2
    assert status.average_duration == pytest.approx(4 / 3)
    assert status.last_check == status.last_failure == clock.now() - status.age
    assert status.last_success < status.last_failure
    assert status.next_due > clock.now()
    assert not status.running
    assert status.interval == 10
    assert monitor.status("c").next_due is None  # it does not run any more


def test_every_status_carries_its_age_also_while_the_monitor_stands_still(monitor, clock):
    monitor.add(PingCheck("c", lambda: None))
    with monitor:
        pass
    clock.advance(90)
    assert monitor.status("c").age == 90
    assert monitor.status("c").healthy


def test_the_figures_of_all_checks(monitor, clock):  # HC-10
    monitor.add(Steered("good"))
    monitor.add(Steered("bad", says=False, failures=1, critical=False))
    with monitor:
        shown = monitor.snapshot()
    assert (shown.total_checks, shown.healthy_checks, shown.unhealthy_checks) == (2, 1, 1)
    assert (shown.total_check_runs, shown.total_failures) == (2, 1)
    assert shown.overall_success_rate == 0.5
    assert (shown.healthy, shown.ready, shown.live) == (False, True, True)
    assert shown.level is HealthLevel.DEGRADED
    assert shown.running
    assert list(shown.checks) == ["good", "bad"]


def test_the_history_is_bounded_and_has_the_newest_results(clock):
    monitor = HealthMonitor("shop", clock=clock, jitter=0, history=5, adaptive=False)
    check = Steered("c", clock, failures=1)
    monitor.add(check)
    with monitor:
        clock.advance(100)
        check.says = False
        clock.advance(10)
        history = monitor.history("c")
    assert [record.at for record in history] == check.times[-5:]
    assert [record.state for record in history[-2:]] == ["healthy", "unhealthy"]
    assert history[-1].result.verdict == "failed"


def test_metrics_have_each_check_under_the_name_of_its_monitor(clock):
    monitor = HealthMonitor("measured", clock=clock, jitter=0, adaptive=False)
    monitor.add(Steered("c", clock, says=False, failures=1))  # MX-10, MX-12, MX-13, D-HC-4
    labels = {"checker": "measured", "check": "c"}
    with monitor:
        clock.advance(20)
        seen = Scrape()
        assert seen("health_check_status", **labels) == 0
        assert seen("health_check_total", **labels, result="failure") == 3
        assert seen("health_check_failures_total", **labels) == 3
    monitor.remove("c")
    gc.collect()
    assert "measured" not in str(Scrape().series("health_check_status"))


# ---- levels ----


def level_of(clock, *checks):
    monitor = HealthMonitor("shop", clock=clock)
    for n, (says, critical) in enumerate(checks):
        monitor.add(Steered(f"c{n}", says=says, failures=1, critical=critical))
    with monitor:
        assert monitor.is_ready is monitor.level.is_ready
        return monitor.level


@pytest.mark.parametrize(
    ("checks", "level"),
    [
        ([(True, True), (True, False)], HealthLevel.HEALTHY),
        ([], HealthLevel.HEALTHY),
        ([(True, True), (False, False)], HealthLevel.DEGRADED),
        ([(LIMPS, True), (True, False)], HealthLevel.DEGRADED),
        ([(False, True), (True, True)], HealthLevel.CRITICAL),
        ([(False, True), (False, True), (True, False)], HealthLevel.FAILED),
        ([(CheckResult.unproven("?"), True), (True, True)], HealthLevel.UNKNOWN),
        ([(CheckResult.unproven("?"), False), (True, True)], HealthLevel.HEALTHY),
    ],
)
def test_the_level_follows_from_the_states_of_critical_and_other_checks(clock, checks, level):
    assert level_of(clock, *checks) is level  # HC-15


def test_only_a_liveness_check_takes_part_in_liveness(monitor, clock):
    alive = Steered("loop", liveness=True, failures=1, critical=False)
    monitor.add(Steered("database", says=False, failures=1))
    monitor.add(alive)
    with monitor:
        assert monitor.is_live
        assert not monitor.is_ready
        alive.says = False
        clock.advance(10)
        assert not monitor.is_live


# ---- who is told ----


def test_callbacks_are_called_on_change_only_and_in_order(clock):  # HC-06
    said = []
    monitor = HealthMonitor(
        "shop",
        clock=clock,
        jitter=0,
        on_healthy=lambda name: said.append((name, clock.now())),
        on_unhealthy=lambda name, error: said.append((name, error)),
    )
    check = Steered("c", clock, failures=1)
    monitor.add(check)
    with monitor:
        clock.advance(50)
        check.says = CheckResult.failed("gone")
        clock.advance(50)
        check.says = True
        clock.advance(50)
    assert [what for _, what in said][1] == "gone"
    assert len(said) == 3


def test_events_tell_of_each_change_of_a_check_and_of_the_level(monitor, clock):
    seen = []
    monitor.on_event(seen.append)
    check = Steered("c", says=CheckResult.failed("gone"), failures=1)
    monitor.add(check)
    with monitor:
        clock.advance(1)
    assert [(one.kind, one.name, one.old, one.new, one.reason) for one in seen] == [
        ("health_level", "shop", "healthy", "unknown", ""),
        ("health", "c", "unknown", "unhealthy", "gone"),
        ("health_level", "shop", "unknown", "failed", ""),
    ]
    assert seen[1].policy is monitor


def test_what_a_callback_raises_is_counted_and_logged_once(clock, caplog):
    def complain(*_):
        raise RuntimeError("no")

    monitor = HealthMonitor(
        "shop", clock=clock, jitter=0, on_healthy=complain, on_unhealthy=complain
    )
    check = Steered("c", clock, failures=1)
    monitor.add(check)
    with caplog.at_level(logging.ERROR), monitor:
        for says in (False, True, False, True):
            check.says = says
            clock.advance(10)
        assert monitor.is_healthy
        assert monitor.snapshot().callback_failures == 5
    assert len(caplog.records) == 2  # one for each of the callbacks


def test_a_callback_may_stop_the_monitor_and_start_it_again(monitor, clock):
    check = Steered("c", clock, failures=1)
    monitor.add(check)

    def restart(event):
        if event.new is HealthState.UNHEALTHY:
            assert monitor.stop()
            assert not monitor.running
            check.says = True
            monitor.start()

    monitor.on_event(restart)
    with monitor:
        check.says = False
        clock.advance(10)
        assert monitor.running
        assert monitor.status("c").healthy


# ---- restarts ----


def test_a_monitor_is_restartable_and_an_earlier_run_of_failures_is_forgotten(monitor, clock):
    check = Steered("c", clock, failures=3)  # D-HC-2, trap 61
    monitor.add(check)
    for _ in range(3):
        with monitor:
            assert monitor.running
            assert monitor.status("c").healthy
            check.says = False
            clock.advance(20)
            assert monitor.status("c").failures_in_a_row == 2
        assert not monitor.running
        check.says = True
    check.says = False
    with monitor:
        clock.advance(1)
        assert monitor.status("c").state is HealthState.UNKNOWN
        assert monitor.status("c").failures_in_a_row == 1


def test_starting_and_stopping_twice_does_nothing(monitor, clock):
    check = Steered("c", clock)
    monitor.add(check)
    monitor.start()
    monitor.start()
    assert check.times == [0]
    assert monitor.stop()
    assert monitor.stop()
    clock.advance(100)
    assert check.times == [0]


def test_a_result_of_a_run_that_began_before_a_restart_is_dropped(monitor, clock):  # trap 65
    check = Steered("c", clock, says=False, failures=1)

    def restart():
        check.does = lambda: None
        check.says = True
        monitor.stop()
        monitor.start()

    check.does = restart
    seen = []
    monitor.add(check)
    monitor.on_event(lambda event: seen.append(event.new))
    monitor.start()
    clock.advance(0.5)
    assert check.times == [0, 0]  # it had a run of its own once the old one had ended
    assert "unhealthy" not in seen
    assert monitor.status("c").healthy
    assert monitor.status("c").check_count == 1


# ---- looking now ----


def test_check_now_runs_one_check_or_all_whether_the_monitor_runs_or_not(monitor, clock):  # HC-03
    one, other = Steered("one", clock), Steered("other", clock)
    monitor.add(one)
    monitor.add(other)
    assert monitor.check_now("one").healthy
    assert (one.times, other.times) == ([0], [])
    with monitor:
        clock.advance(1)
        assert set(monitor.check_now()) == {"one", "other"}
        assert one.times[-1] == other.times[-1] == 1


def test_check_now_within_the_check_itself_does_not_wait_for_itself(monitor):
    check = Steered("c")
    check.does = lambda: monitor.check_now("c")
    monitor.add(check)
    with monitor:
        assert monitor.status("c").healthy


def test_checks_that_ask_for_each_other_do_not_wait_for_themselves(monitor):
    one, other = Steered("one"), Steered("other")
    one.does = lambda: monitor.check_now("other")
    other.does = lambda: monitor.check_now("one")
    monitor.add(one)
    monitor.add(other)
    with monitor:
        assert monitor.is_healthy


# ---- time limits ----


def test_a_check_that_took_longer_than_its_timeout_on_the_clock_has_failed(monitor, clock):
    check = Steered("c", clock, timeout=2, failures=1)  # D-HC-1
    check.does = lambda: clock.advance(3)
    monitor.add(check)
    with monitor:
        assert monitor.status("c").state is HealthState.UNHEALTHY
        assert "longer than 2 s" in monitor.status("c").message


def test_a_check_sees_how_much_time_it_has_left(monitor, clock):
    left = []
    check = Steered("c", clock, timeout=3)
    check.does = lambda: (clock.advance(1), left.append(deadline()))
    monitor.add(check)
    with monitor:
        assert left == [2]
    assert deadline() is None


# ---- composites ----


def test_a_composite_is_decided_by_its_quorum_and_names_what_failed(monitor):  # HC-02, HC-20
    workers = [Steered(f"worker-{n}", says=n < 2) for n in range(4)]
    monitor.add(CompositeCheck("workers", *workers, quorum=0.5, failures=1))
    monitor.add(CompositeCheck("all", *workers, failures=1))
    with monitor:
        assert monitor.status("workers").healthy
        assert monitor.status("all").state is HealthState.UNHEALTHY
        assert "worker-2" in monitor.status("all").error


def test_a_check_that_is_also_a_member_runs_once_for_both(monitor, clock):
    check = Steered("c", clock)
    monitor.add(check)
    monitor.add(CompositeCheck("all", check))
    with monitor:
        assert check.times == [0]
        assert monitor.is_healthy


def test_a_monitor_of_another_clock_is_independent(clock):
    other = ManualClock()
    one = HealthMonitor("one", clock=clock, jitter=0)
    check = Steered("c", other)
    one.add(check)
    with one:
        other.advance(100)
        assert len(check.times) == 1


# ---- several checks, and mistakes ----


def test_several_checks_are_added_together_or_not_at_all(clock):  # HC-03
    monitor = HealthMonitor("shop", clock=clock)
    with monitor:
        monitor.add(PingCheck("a", lambda: True), PingCheck("b", lambda: True))
        assert {name: str(one.state) for name, one in monitor.status().items()} == {
            "a": "healthy",
            "b": "healthy",
        }
        with pytest.raises(hf.ConfigError, match="other than 'b'"):
            monitor.add(PingCheck("c", lambda: True), PingCheck("b", lambda: True))
        with pytest.raises(hf.ConfigError, match="other than 'd'"):
            monitor.add(PingCheck("d", lambda: True), PingCheck("d", lambda: True))
        with pytest.raises(hf.ConfigError, match="a CompositeCheck of these"):
            monitor.add(PingCheck("e", print), PingCheck("f", print), closes=hf.CircuitBreaker("e"))
    assert [*monitor.status()] == ["a", "b"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "at least one check"),
        (("search", print), "checks[0]: got 'search', allowed a check of holdfast.health: write"),
        ((print,), "write PingCheck(name, function)"),
        (([PingCheck("a", print)],), "unpack it, as in *checks"),
    ],
)
def test_what_is_no_check_is_refused_with_what_to_write(args, said):
    with pytest.raises(hf.ConfigError) as caught:
        HealthMonitor("shop").add(*args)
    assert said in str(caught.value)


def test_a_callback_that_cannot_take_an_error_is_refused():  # HC-06
    with pytest.raises(hf.ConfigError, match=r"on_unhealthy: .* takes a name and an error"):
        HealthMonitor("shop", on_unhealthy=lambda name: name)


def test_names_of_other_libraries_lead_to_those_of_a_monitor():
    monitor = HealthMonitor("shop")
    for name, use in (("add_check", "use add(check)"), ("is_alive", "use is_live")):
        with pytest.raises(AttributeError, match=re.escape(use)):
            getattr(monitor, name)


def test_the_last_event_of_a_check_says_that_nothing_is_known_of_it(monitor, clock):
    seen = []
    monitor.add(PingCheck("database", lambda: False, failures=1))
    monitor.add(PingCheck("cache", lambda: True))
    with monitor:
        monitor.on_event(seen.append)
        monitor.remove("database")
    told, level = seen
    assert (told.kind, told.name, told.old, told.new) == (
        "health",
        "database",
        "unhealthy",
        "unknown",
    )
    assert told.reason == "the check was removed"
    assert (level.kind, level.new) == ("health_level", "healthy")
