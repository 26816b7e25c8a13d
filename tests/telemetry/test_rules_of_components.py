"""Alerts on components of supervisors: each fires when it must, and is silent when it must not."""

import shutil

import pytest

import holdfast.supervision.figures
from holdfast.stores.ledger import Ledger
from holdfast.supervision.figures import Figures
from holdfast.telemetry import prometheus
from tests.telemetry.promtool import Watch, firing

MINUTE = 60
LABELS = {"supervisor": "shop", "component": "db"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch, require_real):
    """Without promtool there is no test; and no components of other tests."""
    if shutil.which("promtool") is None:
        require_real("promtool is not installed: make system-packages")
    fresh = Ledger()
    for module in (holdfast.supervision.figures, prometheus):
        monkeypatch.setattr(module, "ledger", fresh)


@pytest.fixture
def made(clock):
    made = Figures("shop", "db", clock)
    made.up(clock.now_ns())
    return made


@pytest.fixture
def watch(clock, made):
    watch = Watch(clock)
    watch.add()
    watch.during(5 * MINUTE)
    return watch


def test_a_component_that_stays_down_fires_after_five_minutes(clock, made, watch, tmp_path):
    fails = watch.now
    made.down(clock.now_ns())
    watch.during(10 * MINUTE)
    works = watch.now
    made.up(clock.now_ns())
    watch.during(10 * MINUTE)
    watch.check(
        tmp_path,
        firing("ComponentDown", fails + 5 * MINUTE, works, **LABELS),
        texts=[(works - MINUTE, "ComponentDown", "Component db is down")],
    )


def test_a_component_that_recovers_now_and_then_is_silent(clock, made, watch, tmp_path):
    for _ in range(5):
        made.down(clock.now_ns())
        watch.during(4 * MINUTE)
        made.recovered()
        made.up(clock.now_ns())
        watch.during(9 * MINUTE)
    watch.check(tmp_path)


def test_a_component_that_is_stopped_or_has_finished_is_silent(clock, made, watch, tmp_path):
    made.down(clock.now_ns())
    watch.during(3 * MINUTE)
    made.stopped(clock.now_ns())
    watch.during(30 * MINUTE)
    watch.check(tmp_path)


def test_spent_attempts_fire_until_the_component_is_up(clock, made, watch, tmp_path):
    fails = watch.now
    for pause in (1, 2, 4, 8, 10):  # as long as a supervisor waits at most
        made.down(clock.now_ns())
        watch.during(2 * MINUTE)
        made.cooling_down(clock.now_ns())
        watch.during(pause * MINUTE)
    works = watch.now
    made.up(clock.now_ns())
    watch.during(20 * MINUTE)
    summary = "All attempts to recover db have failed"
    watch.check(
        tmp_path,
        firing("ComponentCoolingDown", fails + 2 * MINUTE, works, **LABELS),
        firing("ComponentDown", fails + 5 * MINUTE, works, **LABELS),
        texts=[(works - MINUTE, "ComponentCoolingDown", summary)],
    )


def test_a_component_that_is_given_up_fires_at_once_until_an_order(clock, made, watch, tmp_path):
    made.cooling_down(clock.now_ns())
    fails = watch.now
    watch.during(2 * MINUTE)
    given_up = watch.now
    made.gave_up(clock.now_ns())
    watch.during(10 * MINUTE)
    restarted = watch.now
    made.down(clock.now_ns())
    watch.during(MINUTE)
    works = watch.now
    made.up(clock.now_ns())
    watch.during(10 * MINUTE)
    watch.check(
        tmp_path,
        firing("ComponentCoolingDown", fails, given_up, **LABELS),
        firing("ComponentGivenUp", given_up, restarted, **LABELS),
        firing("ComponentDown", fails + 5 * MINUTE, works, **LABELS),
        texts=[(given_up, "ComponentGivenUp", "Component db is given up")],
    )


@pytest.mark.parametrize(("every", "fires"), [(7, True), (12, False)])
def test_four_recoveries_within_half_an_hour_fire(every, fires, clock, made, watch, tmp_path):
    began = watch.now
    for _ in range(60 // every):
        made.down(clock.now_ns())
        watch.during(MINUTE)
        made.recovered()
        made.up(clock.now_ns())
        watch.during((every - 1) * MINUTE)
    summary = "Component db comes back and fails again"
    flaps = firing(
        "ComponentFlapping", began + (1 + 3 * every) * MINUTE, slack=5 * MINUTE, **LABELS
    )
    texts = [(began + 50 * MINUTE, "ComponentFlapping", summary)]
    watch.check(tmp_path, *([flaps] if fires else []), texts=texts if fires else ())


def test_an_escalation_fires_for_a_quarter_of_an_hour(clock, made, watch, tmp_path):
    escalates = watch.now
    made.escalated()
    watch.during(30 * MINUTE)
    ends = escalates + 15 * MINUTE
    fires = firing("SupervisorEscalated", escalates, ends, slack=MINUTE, **LABELS)
    summary = "db fails more often than shop allows"
    watch.check(tmp_path, fires, texts=[(escalates + 5 * MINUTE, "SupervisorEscalated", summary)])
