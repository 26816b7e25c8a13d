"""Processors: how busy those were that this process may use, between two looks."""

import pytest

from holdfast.machine import processors as module
from holdfast.machine.processors import look_at_processors, use_between
from tests.machine.trees import (
    IN_CONTAINER_V1,
    IN_CONTAINER_V2,
    IN_SLICE_V2,
    RECORDED_V1,
    SYSTEM,
    record,
)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Make a machine with the two processors of the recorded files, of which both are used."""
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)


def look(folder, files, clock, **later):
    old = look_at_processors(record(folder, files))
    clock.advance(10)
    return use_between(old, look_at_processors(record(folder, files | later["later"])))


@pytest.fixture
def passing(clock, monkeypatch):
    monkeypatch.setattr(module, "system_clock", clock)
    return clock


@pytest.mark.parametrize(
    ("files", "later", "source"),
    [
        (
            IN_CONTAINER_V2,
            {"sys/fs/cgroup/cpu.stat": "usage_usec 11000000\n"},
            "cgroup v2",
        ),
        (
            IN_CONTAINER_V1,
            {"sys/fs/cgroup/cpu,cpuacct/docker/7f/cpuacct.usage": "11000000000\n"},
            "cgroup v1",
        ),
    ],
)
def test_the_use_of_processors_is_a_share_of_the_quota_of_the_container(  # HC-16
    tmp_path, passing, files, later, source
):
    # 4 s in 10 s, of a quota of half a processor.
    share, processors, found = look(tmp_path, files, passing, later=later)
    assert (round(share, 6), processors, found) == (0.8, 0.5, source)


def test_a_recorded_machine_without_quotas_counts_its_processors(tmp_path, passing):
    seen = look_at_processors(record(tmp_path, RECORDED_V1))
    total = 509870 + 5605 + 69382 + 52111 + 1616 + 2437 + 6999
    assert (seen.groups, seen.total, seen.busy) == ({}, total, total - 52111 - 1616)


@pytest.mark.parametrize("files", [SYSTEM, IN_SLICE_V2])
def test_without_a_quota_the_processors_of_the_machine_count(tmp_path, passing, files):  # HC-16
    busy = "cpu  1 1 1 1\ncpu0 1600 25 225 22900 250 0 0 0 50 0\ncpu1 3000 75 675 68500 750\n"
    use = look(tmp_path, files, passing, later={"proc/stat": busy})
    assert use == (pytest.approx(0.3), 2.0, "system")


def test_processors_that_this_process_may_not_use_do_not_count(tmp_path, passing, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0})
    busy = "cpu  1 1 1 1\ncpu0 1600 25 225 22900 250 0 0 0 50 0\ncpu1 3000 75 675 68500 750\n"
    use = look(tmp_path, SYSTEM, passing, later={"proc/stat": busy})
    assert use == (pytest.approx(0.6), 1.0, "system")


def test_a_quota_of_more_than_the_machine_has_limits_nothing(tmp_path, passing):
    files = IN_CONTAINER_V2 | {"sys/fs/cgroup/cpu.max": "900000 100000\n"}
    assert look_at_processors(record(tmp_path, files)).groups == {}


def test_controllers_in_two_trees_are_read_together(tmp_path, passing):
    files = SYSTEM | {
        "proc/self/cgroup": "2:cpuacct:/app\n1:cpu:/app\n",
        "sys/fs/cgroup/cpu/app/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/app/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpuacct/app/cpuacct.usage": "1000000000\n",
    }
    later = {"sys/fs/cgroup/cpuacct/app/cpuacct.usage": "6000000000\n"}
    assert look(tmp_path, files, passing, later=later) == (pytest.approx(0.5), 1.0, "cgroup v1")


def test_two_looks_without_time_between_show_nothing(tmp_path, passing):
    for files in (SYSTEM, IN_CONTAINER_V2):
        seen = look_at_processors(record(tmp_path, files))
        assert use_between(seen, seen) is None


def test_a_machine_without_files_shows_its_processors_through_psutil(tmp_path, require_real):
    try:
        import psutil  # noqa: F401
    except ImportError:
        require_real("psutil is not installed")
    seen = look_at_processors(record(tmp_path, {}))
    assert 0 < seen.busy < seen.total
    later = seen._replace(busy=seen.busy + 30, total=seen.total + 60)
    assert use_between(seen, later).share == pytest.approx(0.5)
