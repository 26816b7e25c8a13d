"""HealthMonitor with real threads: what hangs, what is left, who waits for whom."""

import asyncio
import logging
import os
import threading
import time
from itertools import pairwise

import pytest

from holdfast import deadline, records
from holdfast.health import CompositeCheck, HealthMonitor, HealthState, PingCheck
from holdfast.health.rounds import Rounds
from tests.apart import run_apart
from tests.health.monitored import Hanging, Steered, threads_of
from tests.waiting.parties import LIMIT, Party, until


@pytest.fixture
def made():
    """Make monitors; what they leave behind fails the test."""
    monitors, hanging = [], []

    def make(*checks, **settings):
        monitor = HealthMonitor("shop", **settings)
        for check in checks:
            monitor.add(check)
        monitors.append(monitor)
        hanging.extend(check for check in checks if isinstance(check, Hanging))
        return monitor

    yield make
    for check in hanging:
        check.out.set()
    for monitor in monitors:
        monitor.stop()
    until(lambda: not threads_of("shop"))
    until_nothing_is_periodic()


def until_nothing_is_periodic():
    """Wait for the threads of all loops to end: that of records that repeat lasts ten seconds."""
    records.alone().close()
    until(lambda: not threads_of("periodic"))


def count(monitor, name):
    return monitor.status(name).check_count


# ---- what hangs ----


def test_a_check_that_ignores_its_timeout_is_given_up_and_never_runs_twice_at_once(made):
    hangs = Hanging("hangs", timeout=0.05, interval=0.05, failures=2)  # D-HC-1
    with made(hangs) as monitor:
        until(lambda: monitor.status("hangs").state is HealthState.UNHEALTHY)
        status = monitor.status("hangs")
        assert status.abandoned_count == 1
        assert status.running
        assert monitor.snapshot().abandoned == 1
        assert hangs.entered == hangs.most == 1
        hangs.out.set()
        until(lambda: monitor.status("hangs").healthy)
        assert hangs.most == 1
        assert monitor.snapshot().abandoned == 0


def test_the_result_of_a_run_that_was_given_up_is_dropped(made):  # D-HC-1, trap 65
    hangs = Hanging("hangs", timeout=0.02, interval=1000, failures=1)
    with made(hangs, adaptive=False) as monitor:
        until(lambda: monitor.status("hangs").state is HealthState.UNHEALTHY)
        hangs.out.set()
        until(lambda: not monitor.status("hangs").running)
        assert monitor.status("hangs").state is HealthState.UNHEALTHY
        assert count(monitor, "hangs") == 1


def test_checks_that_hang_delay_no_other(made):  # D-HC-1
    hanging = [Hanging(f"h{n}", timeout=0.2) for n in range(6)]
    quick = [PingCheck(f"q{n}", lambda: None, interval=0.05) for n in range(20)]
    with made(*hanging, *quick, workers=4, jitter=0) as monitor:
        until(lambda: min(count(monitor, check.name) for check in quick) >= 20)
        until(lambda: monitor.snapshot().abandoned == 6)
        assert all(monitor.status(check.name).healthy for check in quick)


def test_threads_that_were_given_up_are_bounded_and_what_then_waits_is_unproven(made):
    hanging = [Hanging(f"h{n}", timeout=0.02, interval=1000) for n in range(12)]
    late = PingCheck("late", lambda: None, interval=0.02, timeout=0.02)
    monitor = made(*hanging, workers=1)

    def is_quiet():
        # While a thread tells of results, another one may take its place for checks.
        rounds = monitor._rounds
        return not (monitor._has_news or rounds._tells_apart or rounds._tellers)

    with monitor:
        # Four more than there are workers, each within a check that hangs: a thread that begins so
        # late that its check was given up before is free then.
        until(lambda: monitor.snapshot().abandoned == sum(check.now for check in hanging) == 5)
        until(is_quiet)
        monitor.add(late)
        until(lambda: monitor.status("late").unproven_count > 0)
        assert monitor.status("late").state is HealthState.UNKNOWN
        assert "no thread was free" in monitor.status("late").message
        assert len(threads_of("shop")) <= 6
        for check in hanging:
            check.out.set()
        until(lambda: monitor.status("late").healthy)


def test_a_quick_check_that_hangs_one_day_delays_those_of_its_thread_by_little(made):
    tick = Steered("tick", interval=0.05, timeout=30)
    others = [PingCheck(f"q{n}", lambda: None, interval=0.05) for n in range(50)]
    released = threading.Event()
    with made(tick, *others, jitter=0) as monitor:
        until(lambda: min(count(monitor, check.name) for check in others) >= 3)
        tick.does = lambda: released.wait(LIMIT)
        until(lambda: monitor.status("tick").running)
        before = [count(monitor, check.name) for check in others]
        began = time.monotonic()
        until(
            lambda: all(
                count(monitor, check.name) > seen + 2
                for check, seen in zip(others, before, strict=True)
            )
        )
        assert time.monotonic() - began < LIMIT / 2
        assert monitor.status("tick").running
        released.set()


def test_a_callback_that_hangs_delays_no_check(made):
    released, entered = threading.Event(), threading.Event()

    def hang(_name):
        entered.set()
        released.wait(LIMIT)

    checks = [PingCheck(f"q{n}", lambda: None, interval=0.05) for n in range(10)]
    with made(*checks, workers=1, on_healthy=hang) as monitor:
        assert entered.wait(LIMIT)
        until(lambda: min(count(monitor, check.name) for check in checks) >= 5)
        assert not released.is_set()
        released.set()


def test_a_callback_that_hangs_because_a_check_does_delays_no_check(made):
    released, entered = threading.Event(), threading.Event()

    def hang(_name, _message):
        entered.set()
        released.wait(LIMIT)

    hangs = Hanging("hangs", timeout=0.02, failures=1)
    quick = PingCheck("quick", lambda: None, interval=0.02)
    monitor = made(hangs, quick, on_unhealthy=hang)
    monitor.start()
    assert entered.wait(LIMIT)
    before = count(monitor, "quick")
    until(lambda: count(monitor, "quick") >= before + 5)
    began = time.monotonic()
    assert not monitor.stop(0.05)
    assert time.monotonic() - began < LIMIT / 2
    released.set()


@pytest.mark.parametrize("via", ["on_healthy", "on_event"])
def test_an_interrupt_in_a_callback_takes_no_thread_and_no_change(made, via, caplog):
    heard = []

    def hear(told):
        heard.append(told)
        raise SystemExit

    checks = [PingCheck(f"c{n}", lambda: None, interval=0.02) for n in range(6)]
    monitor = made(*checks, workers=2, **({"on_healthy": hear} if via == "on_healthy" else {}))
    if via == "on_event":
        monitor.on_event(lambda event: event.kind == "health" and hear(event.name))
    with monitor:
        until(lambda: min(count(monitor, check.name) for check in checks) >= 5)
        until(lambda: sorted(heard) == [check.name for check in checks])
    assert monitor.snapshot().callback_failures == 6
    assert "SystemExit" in caplog.text


@pytest.mark.parametrize("via", ["both", "on_healthy", "on_event"])
def test_interrupts_in_callbacks_that_one_thread_calls_are_all_counted(made, via):
    heard, released = [], threading.Event()

    def hear(told):
        assert released.wait(LIMIT)  # the first one, while the others become healthy
        heard.append(told)
        raise SystemExit

    checks = [PingCheck(f"c{n}", lambda: None, interval=1000) for n in range(6)]
    monitor = made(*checks, workers=4, on_healthy=None if via == "on_event" else hear)
    if via != "on_healthy":
        monitor.on_event(lambda event: event.kind == "health" and hear(event.name))
    with monitor:
        until(lambda: monitor.is_healthy)
        released.set()
        until(lambda: len(heard) == (12 if via == "both" else 6))
    assert monitor.snapshot().callback_failures == len(heard)


@pytest.mark.parametrize(
    ("judged", "error"),
    [
        (True, None),
        (SystemExit(), None),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (None, "judge() gave None, though no result is missing"),
        (5, "the check gave result 5, not None, True, False or a CheckResult"),
    ],
    ids=["true", "interrupt", "cancelled", "none", "wrong"],
)
def test_whatever_a_composite_of_a_user_judges_it_goes_on(made, judged, error):  # D-HC-4
    class Own(CompositeCheck):
        __slots__ = ()

        def judge(self, _results):
            if isinstance(judged, BaseException):
                raise judged
            return judged

    member = PingCheck("member", lambda: None)
    with made(Own("own", member, interval=0.02), workers=1) as monitor:
        until(lambda: count(monitor, "own") >= 3)
        assert monitor.status("own").error == error


# ---- how checks run ----


def test_a_check_in_a_thread_sees_the_time_that_it_has_left(made):
    left = []
    check = Steered("c", timeout=7)
    check.does = lambda: left.append(deadline())
    with made(check) as monitor:
        until(lambda: count(monitor, "c"))
    assert 6 < left[0] <= 7


def test_checks_run_at_the_same_time(made):  # HC-04
    barrier = threading.Barrier(8)
    checks = [PingCheck(f"c{n}", lambda: barrier.wait(LIMIT) >= 0) for n in range(8)]
    with made(*checks, workers=8) as monitor:
        until(lambda: monitor.is_healthy)


def test_members_of_a_composite_run_at_the_same_time_and_their_quorum_decides(made):
    barrier = threading.Barrier(3)  # HC-02, HC-20
    members = [PingCheck(f"m{n}", lambda: barrier.wait(LIMIT) >= 0) for n in range(3)]
    hangs = Hanging("hangs", timeout=30)
    with made(CompositeCheck("all", *members, hangs, quorum=0.75), workers=4) as monitor:
        until(lambda: monitor.is_healthy)  # the fourth still hangs
        assert hangs.inside.wait(LIMIT)
        hangs.out.set()


def test_a_member_that_hangs_fails_its_composite_in_time(made):
    members = [Hanging("hangs", timeout=0.05), PingCheck("good", lambda: None)]
    check = CompositeCheck("all", *members, failures=1)
    with made(check) as monitor:
        until(lambda: monitor.status("all").state is HealthState.UNHEALTHY)
        assert "hangs" in monitor.status("all").error
        members[0].out.set()


def test_an_asynchronous_check_runs_in_a_loop_of_its_own_and_is_cut_at_its_timeout(made):
    ended = []

    async def ping():
        await asyncio.sleep(0)

    async def hang():
        try:
            await asyncio.sleep(LIMIT)
        finally:
            ended.append(True)

    checks = PingCheck("good", ping), PingCheck("bad", hang, timeout=0.05, failures=1)
    with made(*checks) as monitor:
        until(lambda: monitor.status("bad").state is HealthState.UNHEALTHY)
        until(lambda: monitor.status("good").healthy)
        assert ended
        assert monitor.status("bad").abandoned_count == 0


def test_an_interrupt_in_a_thread_proves_nothing_and_the_thread_goes_on(made):  # D-HC-4
    check = Steered("c", says=SystemExit(), interval=0.02, failures=1)
    with made(check, workers=1) as monitor:
        until(lambda: monitor.status("c").unproven_count >= 2)
        assert monitor.status("c").state is HealthState.UNKNOWN
        check.says = True
        until(lambda: monitor.is_healthy)


def test_context_variables_of_a_check_stay_in_its_run(made):
    from contextvars import ContextVar

    seen, variable = [], ContextVar("variable", default=0)
    check = Steered("c", interval=0.02)
    check.does = lambda: (seen.append(variable.get()), variable.set(1))
    with made(check, workers=1):
        until(lambda: len(seen) >= 3)
    assert set(seen) == {0}


def test_callbacks_come_in_the_order_of_the_changes_from_all_threads(made):  # HC-06
    seen = []
    checks = [Steered(f"c{n}", interval=0.01, failures=1) for n in range(8)]
    for check in checks:
        check.does = lambda check=check: setattr(check, "says", not check.says)

    def hear(event):
        if event.kind == "health":
            seen.append((event.name, event.old, event.new))

    monitor = made(*checks, workers=8, jitter=0)
    monitor.on_event(hear)
    with monitor:
        until(lambda: len(seen) > 400)
    for check in checks:
        moves = [(old, new) for name, old, new in seen if name == check.name]
        assert all(a[1] == b[0] for a, b in pairwise(moves))


# ---- check_now ----


def test_check_now_joins_the_run_in_progress(made):
    hangs = Hanging("c")
    with made(hangs) as monitor:
        assert hangs.inside.wait(LIMIT)
        asking = [Party(monitor.check_now, "c") for _ in range(3)]
        until(lambda: len(monitor._checks["c"].turn.waiting) == 3)
        hangs.out.set()
        assert all(party.result().healthy for party in asking)
        assert hangs.entered == 1


def test_check_now_without_a_start_waits_no_longer_than_the_timeout_and_leaves_no_thread(made):
    hangs = Hanging("hangs", timeout=0.05, failures=1)
    monitor = made(hangs, PingCheck("good", lambda: None))
    statuses = monitor.check_now()
    assert statuses["good"].healthy
    # A run that this process has held up itself proves nothing.
    until(lambda: monitor.check_now("hangs").state is HealthState.UNHEALTHY)
    assert not monitor.running
    assert "has not ended" in monitor.check_now("hangs").message
    hangs.out.set()
    until(lambda: not threads_of("shop"))
    assert monitor.check_now("hangs").healthy


def test_check_now_ends_when_the_monitor_is_stopped(made):
    hangs = Hanging("c", timeout=0.2)
    monitor = made(hangs)
    monitor.start()
    asking = Party(monitor.check_now, "c")
    assert hangs.inside.wait(LIMIT)
    monitor.stop()
    assert asking.result().state is HealthState.UNKNOWN


def test_a_start_during_check_now_answers_it_and_runs_all_checks_on(made):
    hangs, quick = Hanging("c", interval=0.02), PingCheck("quick", lambda: None, interval=0.02)
    monitor = made(hangs, quick, workers=1, jitter=0)  # D-HC-2
    asking = Party(monitor.check_now)
    assert hangs.inside.wait(LIMIT)
    monitor.start()
    hangs.out.set()
    assert all(status.healthy for status in asking.result().values())
    until(lambda: min(count(monitor, "c"), count(monitor, "quick")) >= 3)


def test_a_member_that_waits_in_a_look_that_ends_runs_for_the_other_look(made):
    gate, shared = Hanging("gate"), PingCheck("shared", lambda: None)
    first = CompositeCheck("first", gate, shared, quorum=0.5)
    second = CompositeCheck("second", shared, timeout=LIMIT)
    monitor = made(first, second, workers=1)
    answered = threading.Event()
    monitor.on_event(lambda _event: answered.wait(LIMIT))  # keeps the only thread
    asking = Party(monitor.check_now, "first")
    assert gate.inside.wait(LIMIT)
    also = Party(monitor.check_now, "second")
    until(lambda: monitor.status("second").running)
    gate.out.set()
    assert asking.result().healthy
    answered.set()
    assert also.result().healthy


# ---- stop ----


def test_stop_during_a_check_that_hangs_returns_within_its_timeout(made, caplog):
    hangs = Hanging("c", timeout=100)
    monitor = made(hangs)
    monitor.start()
    assert hangs.inside.wait(LIMIT)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert not monitor.stop(timeout=0.1)
    assert time.monotonic() - began < LIMIT / 2
    assert "still runs" in caplog.text
    assert not monitor.stop(0)
    hangs.out.set()
    assert monitor.stop()
    assert monitor.status("c").check_count == 0


def test_stop_does_not_wait_for_a_check_that_is_out_of_time(made):
    hangs = Hanging("c", timeout=0.05)
    monitor = made(hangs)
    monitor.start()
    assert hangs.inside.wait(LIMIT)
    assert not monitor.stop(timeout=1000)


def test_stop_waits_for_a_check_that_ends_and_drops_its_result(made):  # trap 65
    hangs = Hanging("c")
    monitor = made(hangs)
    monitor.start()
    assert hangs.inside.wait(LIMIT)
    stopping = Party(monitor.stop)
    until(lambda: not monitor.running)
    hangs.out.set()
    assert stopping.result()
    assert count(monitor, "c") == 0
    assert not threads_of("shop")


@pytest.mark.parametrize("where", ["check", "callback"])
def test_a_check_or_a_callback_may_stop_the_monitor(made, where):
    stopped = []
    check = Steered("c")
    monitor = made(check)
    if where == "check":
        check.does = lambda: stopped.append(monitor.stop())
    else:
        monitor.on_event(lambda event: event.kind == "health" and stopped.append(monitor.stop()))
    monitor.start()
    until(lambda: stopped)
    assert stopped == [True]
    until(lambda: not threads_of("shop"))
    assert not monitor.running


def test_a_restart_while_a_check_hangs_gives_it_a_run_of_its_own_once_it_ends(made):
    hangs = Hanging("c", timeout=100)  # D-HC-2, trap 65
    monitor = made(hangs)
    monitor.start()
    assert hangs.inside.wait(LIMIT)
    assert not monitor.stop(0)
    monitor.start()
    assert hangs.entered == 1
    hangs.out.set()
    until(lambda: monitor.status("c").healthy)
    assert hangs.most == 1
    assert hangs.entered == count(monitor, "c") + 1


def test_what_hangs_since_before_a_restart_fails_when_its_time_is_up(made):
    hangs = Hanging("c", timeout=0.3, failures=1)
    monitor = made(hangs)
    monitor.start()
    assert hangs.inside.wait(LIMIT)
    assert not monitor.stop(0)
    monitor.start()
    assert monitor.status("c").state is HealthState.UNKNOWN
    until(lambda: monitor.status("c").state is HealthState.UNHEALTHY)
    assert hangs.entered == 1


def test_a_hundred_starts_and_stops_from_several_threads_leave_no_thread(made):
    checks = [PingCheck(f"c{n}", lambda: None, interval=0.01) for n in range(5)]

    async def ping():
        await asyncio.sleep(0)

    monitor = made(*checks, PingCheck("async", ping, interval=0.01))
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    barrier = threading.Barrier(4)

    def restart():
        barrier.wait(LIMIT)
        for _ in range(25):
            monitor.start()
            monitor.check_now("c0")
            monitor.stop()

    parties = [Party(restart) for _ in range(4)]
    for party in parties:
        party.result()
    monitor.stop()
    until(lambda: not threads_of("shop"))
    until_nothing_is_periodic()
    if files is not None:
        until(lambda: len(os.listdir("/proc/self/fd")) <= files)
    with monitor:
        until(lambda: monitor.is_healthy)


def stopped_as_it_starts(made):
    """Return a monitor that a listener stops while its start is told of, and the rounds of it."""
    monitor, rounds = made(PingCheck("c", lambda: None)), []
    with monitor:
        until(lambda: monitor.is_healthy)

    def stop(event):
        if event.kind == "health" and event.new is HealthState.UNKNOWN:
            rounds.append(monitor._rounds)
            assert monitor.stop()

    monitor.on_event(stop)
    return monitor, rounds


def test_a_stop_during_a_start_leaves_no_thread(made):
    monitor, rounds = stopped_as_it_starts(made)
    monitor.start()
    assert not monitor.running
    assert not rounds[0]._periodic.running
    until_nothing_is_periodic()
    assert not monitor.running
    assert count(monitor, "c") == 1


def test_a_stop_during_a_start_leaves_no_task(made):
    monitor, rounds = stopped_as_it_starts(made)

    async def start():
        await monitor.astart()
        assert not monitor.running
        assert not rounds[0]._periodic.running
        await asyncio.wait_for(asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}), 9)

    asyncio.run(start())
    assert count(monitor, "c") == 1


@pytest.mark.parametrize("asks", ["start", "check_now"])
def test_a_start_that_another_thread_meets_as_it_returns_is_not_taken_for_dead(
    made, monkeypatch, asks
):
    begun, released = threading.Event(), threading.Event()
    make, running = Rounds._make_periodic, Rounds.running.fget

    def make_late(self):
        begun.set()
        assert released.wait(LIMIT)
        return make(self)

    def running_a_moment_ago(self):
        was = running(self)
        released.set()
        until(lambda: self.has_started)
        return was

    monitor = made(PingCheck("c", lambda: None))
    monkeypatch.setattr(Rounds, "_make_periodic", make_late)
    starting = Party(monitor.start)
    assert begun.wait(LIMIT)
    rounds = monitor._rounds
    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "running", property(running_a_moment_ago))
        asking = Party(getattr(monitor, asks))
        until(lambda: released.is_set() or not asking.is_alive() or rounds.waiting)
        released.set()
        asking.result()
        starting.result()
    assert monitor._rounds is rounds
    assert monitor.running


# ---- forks ----


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_checks_nothing_until_it_starts_the_monitor_itself(made):
    hangs, good = Hanging("hangs"), Steered("good", interval=0.01)
    with made(hangs, good) as monitor:
        assert hangs.inside.wait(LIMIT)
        until(lambda: count(monitor, "good"))
        child = os.fork()
        if child == 0:
            try:
                assert not monitor.running
                good.times.clear()
                good.does = lambda: good.times.append(1)
                time.sleep(0.1)
                assert not good.times
                hangs.out.set()
                monitor.start()
                until(lambda: monitor.is_healthy)
                assert monitor.stop()
                assert good.times
                os._exit(0)
            except BaseException:
                logging.exception("in the child")
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert status == 0
        assert monitor.running
        hangs.out.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_what_the_parent_has_found_out_makes_no_child_ready(made):  # D-HC-3, trap 61
    with made(Steered("database"), Steered("cache", critical=False)) as monitor:
        until(lambda: monitor.is_healthy)
        child = os.fork()
        if child == 0:
            try:
                assert monitor.level == "unknown"
                assert not monitor.is_ready
                assert not monitor.is_healthy
                status = monitor.status("database")
                assert (status.state, status.age, status.check_count) == ("unknown", None, 0)
                assert not monitor.history("database")
                assert monitor.check_now("database").healthy
                assert monitor.is_ready
                os._exit(0)
            except BaseException:
                logging.exception("in the child")
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert status == 0
        assert monitor.is_ready


# ---- crowds ----


@pytest.mark.parametrize("number", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_thousands_of_checks_are_all_run(made, number):
    checks = [PingCheck(f"c{n}", lambda: None, interval=1000) for n in range(number)]
    monitor = made(*checks, history=1)
    with monitor:
        until(lambda: monitor.is_healthy)
    assert monitor.snapshot().total_check_runs >= number


def test_a_check_that_is_added_again_has_a_run_of_its_own(made):  # trap 65
    hangs = Hanging("c")
    monitor = made(hangs)
    with monitor:
        assert hangs.inside.wait(LIMIT)
        monitor.remove("c")
        monitor.add(hangs)
        assert hangs.entered == 1
        hangs.out.set()
        until(lambda: monitor.status("c").healthy)
        assert hangs.most == 1
        assert hangs.entered == count(monitor, "c") + 1


def test_a_signal_handler_that_interrupts_the_monitor_stops_it_at_once():
    run_apart("""
    import logging
    import signal
    import threading
    import time
    import holdfast as hf
    from holdfast.health import HealthMonitor, PingCheck

    logging.disable(logging.WARNING)
    begun, free, stopped = threading.Event(), threading.Event(), []

    class Clock(hf.SystemClock):
        is_armed = False

        def now_ns(self):
            if self.is_armed and threading.current_thread() is threading.main_thread():
                self.is_armed = False
                signal.raise_signal(signal.SIGTERM)
            return super().now_ns()

    def stop(*_):
        stopped.append(monitor.stop(30))

    signal.signal(signal.SIGTERM, stop)
    clock = Clock()
    monitor = HealthMonitor("shop", timeout=60, clock=clock)
    monitor.add(PingCheck("db", lambda: (begun.set(), free.wait())))
    monitor.start()
    assert begun.wait(60)
    began = time.monotonic()
    clock.is_armed = True
    monitor.status()  # the clock is read while the monitor's lock is held
    assert stopped == [False]
    assert not monitor.running
    assert time.monotonic() - began < 25
    free.set()
    assert monitor.stop(60)
    """)
