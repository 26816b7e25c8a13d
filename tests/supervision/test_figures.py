"""What metrics and other workers see of the components of a supervisor."""

import gc
import itertools
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
import holdfast.health.figures
import holdfast.supervision.figures
from holdfast._native.figures import read
from holdfast.stores.ledger import Ledger
from holdfast.supervision import Component, ComponentState, Supervisor
from holdfast.supervision.figures import Figures
from holdfast.telemetry import prometheus
from tests.apart import in_child, run_apart
from tests.telemetry.scraped import Scrape

SECOND = 10**9
serials = itertools.count(1)
LABELS = {"supervisor": "shop", "component": "db"}


@pytest.fixture(autouse=True)
def ledger(monkeypatch):
    """A ledger without what other tests have left to the collector."""
    fresh = Ledger()
    for module in (holdfast.supervision.figures, holdfast.health.figures, prometheus):
        monkeypatch.setattr(module, "ledger", fresh)


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def made(clock):
    return Figures("shop", "db", clock)


def test_all_counters_begin_at_zero_and_a_stopped_component_is_not_down(made):  # MX-28
    seen = Scrape()
    for counter in (
        "component_recovery_attempts_total",
        "component_restarts_total",
        "component_downtime_seconds_total",
        "supervisor_escalations_total",
    ):
        assert seen(counter, **LABELS) == 0
    for result in ("recovered", "failed"):
        assert seen("component_recoveries_total", **LABELS, result=result) == 0
    assert seen("component_state", **LABELS) == 0
    assert not seen.series("component_up")


def test_a_component_tells_attempts_recoveries_restarts_and_escalations(made):  # MX-28, MG-15
    for event, times in (
        (made.attempt, 5),
        (made.recovered, 2),
        (made.failed, 1),
        (made.restarted, 4),
        (made.escalated, 3),
    ):
        for _ in range(times):
            event()
    seen = Scrape()
    assert seen("component_recovery_attempts_total", **LABELS) == 5
    assert seen("component_recoveries_total", **LABELS, result="recovered") == 2
    assert seen("component_recoveries_total", **LABELS, result="failed") == 1
    assert seen("component_restarts_total", **LABELS) == 4
    assert seen("supervisor_escalations_total", **LABELS) == 3
    own = (made.attempts, made.recoveries, made.failures, made.restarts, made.escalations)
    assert own == (5, 2, 1, 4, 3)


@pytest.mark.parametrize(
    ("order", "up", "state"),
    [("stopped", None, 0), ("up", 1, 1), ("down", 0, 2), ("cooling_down", 0, 3), ("gave_up", 0, 4)],
)
def test_a_component_tells_whether_it_is_up_and_what_becomes_of_it(made, order, up, state):
    getattr(made, order)(0)
    seen = Scrape()
    assert seen("component_state", **LABELS) == state
    if up is None:
        assert not seen.series("component_up")
    else:
        assert seen("component_up", **LABELS) == up


def test_every_state_of_a_component_is_shown(clock, made):
    shown = {}
    for state in ComponentState:
        for is_down in (False, True):
            made.show(state, clock.now_ns(), is_down=is_down)
            shown.setdefault(state.value, []).append(Scrape()("component_state", **LABELS))
    assert shown == {
        "stopped": [0, 2], "starting": [0, 2], "running": [1, 2], "unhealthy": [0, 2],
        "recovering": [0, 2], "cooling_down": [3, 3], "given_up": [4, 4], "finished": [0, 2],
        "stopping": [0, 2],
    }  # fmt: skip


def test_downtime_grows_while_a_component_is_down(clock, made):  # MX-28, MG-15
    def downtime():
        assert made.down_ns(clock.now_ns()) == Scrape()(name, **LABELS) * SECOND
        return Scrape()(name, **LABELS)

    name = "component_downtime_seconds_total"
    made.up(clock.now_ns())
    clock.advance(10)
    made.down(clock.now_ns())
    clock.advance(2)
    assert downtime() == 2
    clock.advance(1)
    made.cooling_down(clock.now_ns())
    clock.advance(60)
    assert downtime() == 63
    made.up(clock.now_ns())
    clock.advance(100)
    assert downtime() == 63
    made.gave_up(clock.now_ns())
    clock.advance(5)
    made.stopped(clock.now_ns())
    clock.advance(100)
    assert downtime() == 68


def test_of_components_of_one_name_the_worst_is_shown_and_counts_are_added_up(clock, made):
    other = Figures("shop", "db", clock)
    made.up(0)
    made.restarted()
    assert Scrape()("component_up", **LABELS) == 1  # the other one is stopped
    other.down(0)
    other.restarted()
    clock.advance(3)
    seen = Scrape()
    assert seen("component_up", **LABELS) == 0
    assert seen("component_state", **LABELS) == 2
    assert seen("component_restarts_total", **LABELS) == 2
    assert seen("component_downtime_seconds_total", **LABELS) == 3


def test_components_of_two_supervisors_have_their_own_series(clock, made):
    other = Figures("search", "db", clock)
    made.up(0)
    other.down(0)
    assert Scrape()("component_up", supervisor="shop", component="db") == 1
    assert Scrape()("component_up", supervisor="search", component="db") == 0


def test_the_series_of_a_component_go_with_it(clock):
    made = Figures("shop", "db", clock)
    made.down(0)
    assert Scrape().series("component_up")
    del made
    gc.collect()
    for name in ("component_up", "component_state", "component_downtime_seconds_total"):
        assert not Scrape().series(name)


def test_what_nobody_keeps_any_more_is_not_down_for_longer(clock):
    """Its downtime stays in the sum while another of its name lives, and ends."""
    lives, gone = (Figures("shop", "db", hf.SystemClock()) for _ in range(2))
    gone.down(time.monotonic_ns() - 5 * SECOND)
    del gone
    gc.collect()
    first, again = (Scrape()("component_downtime_seconds_total", **LABELS) for _ in range(2))
    assert 5 <= first == again
    assert lives.down_ns(time.monotonic_ns()) == 0


def test_a_forked_child_runs_no_component_and_has_counted_nothing(made):  # trap 58
    made.restarted()
    made.down(0)

    def in_it():
        assert made.restarts == 0
        assert Scrape()("component_state", **LABELS) == 0

    in_child(in_it)
    assert made.restarts == 1


def test_another_worker_sees_the_downtime_grow_until_the_process_dies(tmp_path):  # MX-28
    source = f"""
        import os, time
        os.environ["HOLDFAST_DIR"] = {os.fspath(tmp_path)!r}
        import holdfast as hf
        from holdfast.supervision.figures import Figures
        from tests.telemetry.scraped import Scrape

        def seen(metric):
            return Scrape()(metric, supervisor="shop", component="db")

        downtime = "component_downtime_seconds_total"
        hf.Bulkhead("makes a file", max_concurrent=1)
        there, gone = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            made = Figures("shop", "db", hf.SystemClock())
            made.restarted()
            made.down(time.monotonic_ns() - 10**9)
            os.write(there[1], b"x")
            os.read(gone[0], 1)
            os._exit(0)
        os.read(there[0], 1)
        first = seen(downtime)
        time.sleep(0.01)
        second = seen(downtime)
        assert 1 <= first <= second - 0.01, (first, second)
        assert (seen("component_up"), seen("component_state")) == (0, 2)
        os.write(gone[1], b"x")
        os.waitpid(child, 0)
        last = seen(downtime)  # it has died, and its counts are merged
        assert last >= second
        assert not Scrape().series("component_up")
        time.sleep(0.01)
        assert seen(downtime) == last
        assert seen("component_restarts_total") == 1
    """
    run_apart(source)


def test_a_process_that_only_reads_sees_the_downtime_of_a_dead_one_end(tmp_path):
    source = f"""
        import os, time
        os.environ["HOLDFAST_DIR"] = {os.fspath(tmp_path)!r}
        child = os.fork()
        if child == 0:
            import holdfast as hf
            from holdfast.supervision.figures import Figures
            made = Figures("shop", "db", hf.SystemClock())
            made.down(time.monotonic_ns() - 10**9)
            os._exit(0)
        os.waitpid(child, 0)
        from prometheus_client import CollectorRegistry
        from holdfast.stores.ledger import ledger
        from holdfast.telemetry.prometheus import Collector
        registry = CollectorRegistry()
        registry.register(Collector())
        def seen():
            return registry.get_sample_value(
                "holdfast_component_downtime_seconds_total",
                {{"supervisor": "shop", "component": "db"}},
            )
        first = seen()
        assert first >= 1
        time.sleep(0.01)
        assert ledger.file is None
        assert seen() == first
    """
    run_apart(source)


# ---- of a supervisor ----


class Part(Component):
    """Starts and works, or not."""

    def __init__(self, name="db"):
        self.name = name
        self.starts = self.works = True

    def start(self):
        if not self.starts:
            raise OSError("no")

    def stop(self):
        pass

    def check(self):
        return self.works


def shown_of(seen):
    """Return state, attempts, recoveries, failed ones, restarts, downtime."""
    return (
        seen("component_state", **LABELS),
        seen("component_recovery_attempts_total", **LABELS),
        seen("component_recoveries_total", **LABELS, result="recovered"),
        seen("component_recoveries_total", **LABELS, result="failed"),
        seen("component_restarts_total", **LABELS),
        seen("component_downtime_seconds_total", **LABELS),
    )


def test_a_supervisor_tells_of_a_component_from_its_failure_to_its_recovery(clock):  # MX-28, MG-15
    part = Part()
    supervisor = Supervisor("shop", clock=clock, cool_down=60)
    supervisor.add(part, healthy_after=5)
    assert shown_of(Scrape()) == (0, 0, 0, 0, 0, 0)
    supervisor.start()
    clock.advance(30)
    assert shown_of(Scrape()) == (1, 0, 0, 0, 0, 0)
    part.starts = part.works = False
    while supervisor.status("db").healthy:
        clock.advance(1)
    clock.advance(0.5)
    state, *_, downtime = shown_of(Scrape())
    assert (state, downtime) == (2, supervisor.status("db").downtime)
    clock.advance(10)  # after 1, 2 and 4 s it was tried
    state, *counts, _ = shown_of(Scrape())
    assert (state, counts) == (3, [3, 0, 1, 3])
    part.starts = part.works = True
    clock.advance(70)
    state, *counts, downtime = shown_of(Scrape())
    assert (state, counts) == (1, [4, 1, 1, 4])
    status = supervisor.status("db")
    assert status.downtime == downtime > 60
    figures = (status.recovery_attempts, status.recoveries, status.failed_recoveries)
    assert (*figures, status.restarts) == (4, 1, 1, 4)
    assert Scrape()("health_check_total", checker="shop", check="db", result="success") >= 1
    clock.advance(30)
    assert shown_of(Scrape())[-1] == downtime
    supervisor.stop()
    clock.advance(30)
    assert shown_of(Scrape())[0] == 0
    assert shown_of(Scrape())[-1] == downtime


def test_a_supervisor_tells_of_a_component_that_it_gives_up(clock):  # MX-28
    part = Part()
    part.starts = False
    supervisor = Supervisor("shop", clock=clock, cool_down=None, max_restarts=None)
    supervisor.add(part)
    supervisor.start()
    clock.advance(30)
    assert supervisor.status("db").state is ComponentState.GIVEN_UP
    before = shown_of(Scrape())
    clock.advance(30)
    after = shown_of(Scrape())
    assert before[0] == after[0] == 4
    assert after[-1] == before[-1] + 30 == supervisor.status("db").downtime
    part.starts = True
    supervisor.restart("db")
    clock.advance(1)
    assert shown_of(Scrape())[0] == 1
    supervisor.stop()


ORDERS = ("fail", "work", "refuse", "start well", "restart", "stop", "start", "wait", "wait")


@settings(max_examples=20)
@given(orders=st.lists(st.sampled_from(ORDERS), max_size=20), data=st.data())
def test_the_metrics_say_what_the_status_says_whatever_happens(orders, data):  # MX-28, MG-15
    clock, part = hf.ManualClock(), Part()
    name = f"shop {next(serials)}"
    supervisor = Supervisor(name, clock=clock, interval=1, cool_down=20, max_restarts=5)
    supervisor.add(part, first_delay=0.5, healthy_after=10, start_timeout=3)
    figures = supervisor._members["db"].figures
    supervisor.start()
    last = 0
    for order in orders:
        if order in ("fail", "work"):
            part.works = order == "work"
        elif order in ("refuse", "start well"):
            part.starts = order == "start well"
        elif order == "restart" and supervisor.running:
            supervisor.restart("db")
        elif order == "stop":
            supervisor.stop()
        elif order == "start":
            supervisor.start()
        clock.advance(data.draw(st.sampled_from([0, 0.3, 1, 7, 40])))
        status = supervisor.status("db")
        (attempts, recovered, failed, _, _, down_ns), _ = read(figures._kernel)
        now_ns = clock.now_ns()
        assert (attempts, recovered, failed) == (
            status.recovery_attempts, status.recoveries, status.failed_recoveries,
        )  # fmt: skip
        assert figures.down_ns(now_ns) == round(status.downtime * SECOND)
        assert last <= down_ns <= figures.down_ns(now_ns)
        last = down_ns
    supervisor.stop()


def test_a_supervisor_tells_of_escalations(clock):  # MX-28, MG-15
    part = Part()
    supervisor = Supervisor("shop", clock=clock, max_restarts=1, within=60)
    supervisor.add(part, attempts=10, first_delay=0, backoff=0.1)
    supervisor.start()
    clock.advance(1)
    part.works = False
    clock.advance(60)
    assert Scrape()("supervisor_escalations_total", **LABELS) == 1
    assert Scrape()("component_state", **LABELS) == 3
    supervisor.stop()


def test_the_series_of_a_removed_component_go(clock):
    supervisor = Supervisor("shop", clock=clock)
    supervisor.add(Part())
    supervisor.add(Part("cache"))
    supervisor.start()
    clock.advance(1)
    supervisor.remove("db")
    gc.collect()
    assert {dict(labels)["component"] for labels in Scrape().series("component_up")} == {"cache"}
    supervisor.stop()
    del supervisor
    gc.collect()
    assert not Scrape().series("component_state")


# ---- in the snapshot of all ----


def supervisors_shown():
    return {one.name: one for one in hf.snapshot().supervisors}


def test_the_snapshot_of_all_shows_every_supervisor_that_lives(clock):  # MG-15
    supervisor = Supervisor("in the snapshot", clock=clock)
    supervisor.add(Part())
    supervisor.start()
    clock.advance(1)
    shown = supervisors_shown()["in the snapshot"]
    assert (shown.kind, shown.running, shown.healthy) == ("supervisor", True, True)
    assert shown.components["db"].state is ComponentState.RUNNING
    supervisor.stop()
    assert supervisors_shown()["in the snapshot"].running is False
    del supervisor
    gc.collect()
    assert "in the snapshot" not in supervisors_shown()
