"""What a report says: the figures of the machine, percentiles, and the score with its reasons."""

import os
import threading
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.errors import MissingExtraError
from holdfast.machine import processors
from holdfast.machine import tree as machine
from holdfast.resources.performance import PerformanceMonitor
from holdfast.resources.report import OperationFigures, SystemFigures
from holdfast.resources.score import health_score
from holdfast.resources.system import System
from holdfast.resources.throughput import BOUNDS, percentile
from tests.machine.trees import GIB, IN_CONTAINER_V1, IN_CONTAINER_V2, SYSTEM, record

CALM = SystemFigures(
    *(0.1, 2.0, 0.1, 100 << 20, 1 << 30, "cgroup v2", 50 << 20, 10, 0, 10, 1024),
)
NO_CALLS = OperationFigures("", *(0,) * 6, 0.0, None, None, None, None)


def calls(succeeded, failed=0, timeouts=0, rejected=0, cancelled=0):
    total = succeeded + failed + timeouts + rejected + cancelled
    return replace(
        NO_CALLS,
        calls=total,
        succeeded=succeeded,
        failed=failed,
        timeouts=timeouts,
        rejected=rejected,
        cancelled=cancelled,
    )


# ---- the score ----


def test_a_calm_process_has_a_hundred_points():  # PM-05, TS-10
    assert health_score(CALM, NO_CALLS) == (100.0, ())


@pytest.mark.parametrize(
    ("share", "score"), [(0.80, 100.0), (0.81, 98.0), (0.90, 80.0), (1.0, 60.0), (1.6, 0.0)]
)
def test_each_percent_of_memory_above_eighty_costs_two_points(share, score):  # PM-05
    system = replace(CALM, memory_used=int(share * (1 << 30) + 0.5))
    assert health_score(system, NO_CALLS)[0] == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(("tasks", "score"), [(990, 100.0), (1_090, 99.0), (6_000, 49.9)])
def test_each_thread_or_task_above_a_thousand_costs_a_hundredth(tasks, score):  # PM-05
    assert health_score(replace(CALM, tasks=tasks), NO_CALLS)[0] == pytest.approx(score)


@pytest.mark.parametrize(
    ("counts", "score"),
    [
        (calls(95, 5), 100.0),
        (calls(94, 6), 98.0),
        (calls(90, 4, 3, 3), 90.0),
        (calls(95, 5, cancelled=1_000), 100.0),
        (calls(0, 0, 0, 7), 0.0),
    ],
)
def test_each_percent_of_failures_above_five_costs_two_points(counts, score):  # PM-05
    assert health_score(CALM, counts)[0] == pytest.approx(score)


def test_every_deduction_has_a_sentence_the_largest_first():  # PM-05
    system = replace(CALM, memory_used=950 << 20, tasks=1_990)
    score, reasons = health_score(system, calls(90, 10))
    assert score == pytest.approx(100 - 2 * (100 * 950 / 1024 - 80) - 10 - 10)
    assert reasons == (
        "memory is 92.8 % of 1 GiB (cgroup v2), above 80 %: -25.55",
        "2000 threads and tasks, above 1000: -10",
        "10.0 % failures (10 of 100 calls), above 5 %: -10",
    )


def test_what_is_not_known_deducts_nothing():
    system = replace(CALM, memory_used=None, memory_limit=None, memory_source=None)
    assert health_score(system, NO_CALLS) == (100.0, ())


def test_the_score_never_leaves_its_range():
    system = replace(CALM, memory_used=4 << 30, tasks=10**6)
    assert health_score(system, calls(0, 9))[0] == 0.0


# ---- percentiles ----


@given(st.lists(st.floats(0.0, 9.9), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_the_bucket_of_the_real_one(durations, share):  # PM-03
    upto = tuple(sum(one <= bound for one in durations) for bound in BOUNDS)
    buckets = (*upto, len(durations))
    found = percentile(buckets, share)
    rank = max(1, -int(-share * len(durations) // 1))
    real = sorted(durations)[rank - 1]
    bucket = next(at for at, bound in enumerate(BOUNDS) if real <= bound)
    assert (0.0, *BOUNDS)[bucket] <= found <= BOUNDS[bucket]


def test_percentiles_rise_and_end_at_the_last_bound():
    buckets = (0,) * 11 + (5,)
    assert percentile(buckets, 0.5) == percentile(buckets, 0.99) == 10.0
    assert percentile((0,) * 12, 0.5) is None


# ---- the machine ----


@pytest.fixture
def recorded(tmp_path, monkeypatch, clock):
    """Return what makes this machine another one, on a clock that the test moves."""
    monkeypatch.setattr("holdfast.resources.system.system_clock", clock)
    monkeypatch.setattr(processors, "system_clock", clock)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    return lambda files: monkeypatch.setattr(machine, "HERE", record(tmp_path, files))


def test_a_container_is_measured_by_its_own_limits(recorded, clock):  # PM-02
    recorded(IN_CONTAINER_V2)
    system = System()
    assert system.figures(None).cpu is None  # nothing was measured yet
    clock.advance(10)
    later = {"sys/fs/cgroup/cpu.stat": "usage_usec 9500000\n"}  # 2.5 s of half a processor
    recorded(IN_CONTAINER_V2 | later)
    seen = system.figures(None)
    assert (seen.cpu, seen.processors) == (0.5, 0.5)
    assert (seen.memory_used, seen.memory_limit) == (2 * GIB, 4 * GIB)
    assert (seen.memory, seen.memory_source) == (0.5, "cgroup v2")


def test_the_use_of_processors_is_that_between_two_looks(recorded, clock):  # PM-02, D-C-10, TS-10
    recorded(SYSTEM)
    system = System()
    clock.advance(30)
    busy = SYSTEM["proc/stat"].replace("cpu0 1000", "cpu0 1100").replace("22500", "22800")
    recorded(SYSTEM | {"proc/stat": busy})
    assert system.figures(None).cpu == 0.25
    clock.advance(0.05)
    assert system.figures(None).cpu == 0.25  # too soon to know better
    clock.advance(30)
    assert system.figures(None).cpu is None  # these counters stand still


def test_version_one_of_control_groups_counts_as_well(recorded):  # PM-02
    recorded(IN_CONTAINER_V1)
    assert System().figures(None).memory_source == "cgroup v1"


def test_a_machine_that_shows_nothing_is_not_known(recorded, monkeypatch):  # PM-02
    def missing(feature):
        raise MissingExtraError("system", feature)

    monkeypatch.setattr(machine, "psutil_for", missing)
    for module in ("memory", "handles", "processors"):
        monkeypatch.setattr(f"holdfast.machine.{module}.psutil_for", missing)
    recorded({})
    seen = System().figures(None)
    assert seen.cpu is None
    assert seen.memory is None
    assert seen.resident is None
    assert seen.threads == threading.active_count()
    assert health_score(seen, NO_CALLS)[0] == 100.0


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sys/fs/cgroup/cpu.max", "0 100000\n"),
        ("sys/fs/cgroup/cpu.max", "50000 x\n"),
        ("proc/stat", "cpu a b c\n"),
    ],
)
def test_a_machine_that_shows_something_odd_is_shown_but_for_that(recorded, clock, file, text):
    recorded(IN_CONTAINER_V2 | {file: text})  # as a container that imitates Linux may
    system = System()
    clock.advance(10)
    assert system.figures(None).cpu is None
    assert system.figures(None).memory_limit == 4 * GIB


def test_what_psutil_may_not_read_is_not_known(recorded, monkeypatch):  # PM-02
    class DeniedError(Exception):
        """As that of psutil, which is no OSError."""

    def refuse(feature):
        raise DeniedError

    monkeypatch.setattr(machine, "psutil_for", refuse)
    for module in ("memory", "handles", "processors"):
        monkeypatch.setattr(f"holdfast.machine.{module}.psutil_for", refuse)
    recorded({})
    seen = System().figures(None)
    assert (seen.cpu, seen.memory, seen.resident, seen.descriptors) == (None, None, None, None)


def test_this_machine_shows_its_figures():  # PM-02
    before = System()
    until = before._last.at_ns + 150_000_000
    while hf.SystemClock().now_ns() < until:
        pass
    seen = before.figures(None)
    assert 0 <= seen.own_cpu <= 1.5
    assert 0 < seen.processors <= (os.cpu_count() or 1)
    assert 0 < seen.resident < seen.memory_limit
    assert 0 < seen.memory < 2
    assert seen.threads >= threading.active_count()
    assert 0 < seen.descriptors < seen.descriptors_limit


# ---- a report as a whole ----


def test_a_report_is_plain_values_that_nothing_changes_later(clock):
    monitor = PerformanceMonitor("shop", clock=clock)
    monitor.record_worker_health("w", running=True, errors=1)
    report = monitor.collect()
    monitor.record_worker_health("w", running=False, errors=2)
    assert report.workers["w"].errors == 1
    with pytest.raises(FrozenInstanceError):
        report.score = 100.0


def test_resources_of_a_manager_are_shown_by_kind(clock):
    resources_of = pytest.importorskip("holdfast.resources.manager")
    resources = resources_of.ResourceManager("shop", limits={"connection": 5}, clock=clock)
    resources.register("db", "connection")
    monitor = PerformanceMonitor("shop", resources=resources, clock=clock)
    held = monitor.collect().resources["connection"]
    assert (held.active, held.limit, held.leaks) == (1, 5, 0)
    resources.stop()
