"""Memory, processors and disks as checks: a share in use, and what is too much."""

import subprocess
import sys

import pytest

import holdfast as hf
from holdfast.health import CpuCheck, DiskCheck, MemoryCheck
from holdfast.health import disk as disk_module
from holdfast.machine import processors, tree
from holdfast.machine.disk import DiskUse
from tests.machine.trees import GIB, IN_CONTAINER_V1, IN_CONTAINER_V2, SYSTEM, record


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make the checks read the files of a recorded machine; each call changes some of them."""

    def become(files):
        monkeypatch.setattr(tree, "HERE", record(tmp_path, files))

    return become


# ---- memory ----


@pytest.mark.parametrize(
    ("used", "verdict"),
    [(3.5, "passed"), (3.6, "passed"), (3.7, "degraded"), (3.9, "failed"), (4.0, "failed")],
)
def test_memory_above_its_limits_in_percent_degrades_or_fails(machine, used, verdict):  # HC-16
    cached = GIB  # which the kernel can drop
    current = f"{round(used * GIB) + cached}\n"
    machine(IN_CONTAINER_V2 | {"sys/fs/cgroup/memory.current": current})
    result = MemoryCheck("memory", 90, 95).run()
    assert result.verdict == verdict
    assert result.details["limit_bytes"] == 4 * GIB


@pytest.mark.parametrize(
    ("files", "source", "percent"),
    [
        (IN_CONTAINER_V2, "cgroup v2", 50),
        (IN_CONTAINER_V1, "cgroup v1", 50),
        (SYSTEM, "system", 25),
    ],
)
def test_the_limit_of_a_container_comes_before_the_memory_of_the_machine(  # HC-17
    machine, files, source, percent
):
    machine(files)
    details = MemoryCheck("memory").run().details
    assert (details["source"], details["percent"]) == (source, percent)


def test_a_message_says_of_what_too_much_is_in_use(machine):
    machine(IN_CONTAINER_V2)
    said = MemoryCheck("memory", 40).run().message
    assert said == "50.0 % of 4.0 GiB (cgroup v2) in use, more than 40 %"


def test_a_percentage_just_above_the_limit_is_shown_as_above_it(machine):
    machine(IN_CONTAINER_V2 | {"sys/fs/cgroup/memory.current": f"{3 * GIB + (1 << 20)}\n"})
    said = MemoryCheck("memory", 50).run().message
    assert said.startswith("50.02 % of")


def test_the_memory_of_this_machine_can_be_checked():
    result = MemoryCheck("memory", 100).run()
    assert result.verdict == "passed"
    assert 0 < result.details["percent"] < 100


@pytest.mark.parametrize("kind", [MemoryCheck, CpuCheck])
def test_a_check_says_when_it_is_made_that_psutil_is_missing(machine, monkeypatch, kind):
    machine({})
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(hf.MissingExtraError, match=r"holdfast\[system\]"):
        kind("machine")


# ---- processors ----


@pytest.fixture
def passing(clock, monkeypatch):
    monkeypatch.setattr(processors, "system_clock", clock)
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    return clock


def used(seconds):
    return {"sys/fs/cgroup/cpu.stat": f"usage_usec {round(seconds * 1e6)}\n"}


def test_processors_are_judged_by_their_use_since_the_run_before(machine, passing):  # HC-16
    machine(IN_CONTAINER_V2 | used(7))  # a quota of half a processor
    check = CpuCheck("cpu", 95, 99)
    found = []
    for seconds in (11.0, 15.8, 20.8):  # 4.0, 4.8 and 5.0 s of 5 s in 10 s
        passing.advance(10)
        machine(used(seconds))
        found.append(check.run())
    assert [result.verdict for result in found] == ["passed", "degraded", "failed"]
    assert [result.details["percent"] for result in found] == [80, 96, 100]
    assert found[1].message == "96.0 % of 0.5 processors (cgroup v2) in use, more than 95 %"


def test_the_first_run_right_after_the_check_was_made_proves_nothing(machine, passing):  # D-HC-3
    machine(IN_CONTAINER_V2 | used(7))
    check = CpuCheck("cpu")
    passing.advance(0.09)
    machine(used(9))
    assert check.run().verdict == "unproven"
    passing.advance(9.91)
    assert check.run().details["percent"] == 40


def test_a_run_soon_after_another_looks_back_for_a_second(machine, passing):
    machine(IN_CONTAINER_V2 | used(0))
    check = CpuCheck("cpu")
    for tenth in range(1, 41):  # a burst in the last tenth of a second
        passing.advance(0.1)
        machine(used(0.4 if tenth == 40 else 0))
        result = check.run()
    assert result.details == {
        "percent": 80.0, "processors": 0.5, "source": "cgroup v2", "seconds": 1.0,
    }  # fmt: skip
    assert len(check._looks) < 15


def test_a_use_is_known_also_if_the_quota_is_set_later(machine, passing):
    machine(SYSTEM)
    check = CpuCheck("cpu")
    passing.advance(10)
    machine(IN_CONTAINER_V2)
    assert check.run().verdict == "unproven"
    passing.advance(10)
    assert check.run().verdict == "passed"


def test_the_processors_of_this_machine_can_be_checked(monkeypatch):
    check = CpuCheck("cpu", 100)
    began = check._looks[0]
    while processors.look_at_processors().at_ns - began.at_ns < 150_000_000:
        sum(range(1000))
    result = check.run()
    assert result.verdict in ("passed", "degraded")  # 100 % and a little, as counters jump
    assert result.details["percent"] > 0


# ---- disks ----


@pytest.fixture
def disk(monkeypatch):
    def become(**changes):
        use = DiskUse(40 * GIB, 100 * GIB, 0.6, 0.1)._replace(**changes)
        monkeypatch.setattr(disk_module, "disk_use", lambda path: use)

    return become


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"share": 0.90}, "passed", ""),
        ({"share": 0.91}, "degraded", "91.0 % of 100.0 GiB at /data in use, more than 90 %"),
        ({"share": 0.98}, "failed", "98.0 % of 100.0 GiB at /data in use, more than 97 %"),
        ({"files_share": 0.95}, "degraded", "95.0 % of the files at /data in use, more than 90 %"),
        ({"free": 10 * GIB}, "passed", ""),
        ({"free": 9 * GIB}, "degraded", "9.0 GiB free at /data, less than 10.0 GiB"),
        ({"free": 100}, "failed", "100 B free at /data, less than 1.0 GiB"),
        ({"free": 9 * GIB, "share": 0.98}, "failed", "98.0 % of 100.0 GiB at /data in use"),
    ],
)
def test_a_disk_is_judged_by_percent_files_and_free_bytes(disk, changes, verdict, said):  # HC-16
    disk(**changes)
    check = DiskCheck("disk", "/data", 90, 97, degraded_free=10 * GIB, failed_free=GIB)
    result = check.run()
    assert (result.verdict, result.message[: len(said)]) == (verdict, said)


def test_free_bytes_alone_are_enough_as_a_limit(tmp_path):
    free = DiskCheck("disk", tmp_path, None, failed_free=1)
    assert free.run().verdict == "passed"
    assert free.path == str(tmp_path)
    assert DiskCheck("disk", tmp_path, None, failed_free=1 << 60).run().verdict == "failed"


def test_a_disk_shows_what_df_shows(tmp_path):
    shown = subprocess.run(["df", "-P", tmp_path], capture_output=True, text=True, check=True)
    line = shown.stdout.splitlines()[1].split()
    percent = DiskCheck("disk", tmp_path, 100).run().details["percent"]
    assert abs(percent - int(line[4].rstrip("%"))) <= 1.5  # df rounds up


def test_a_path_that_is_not_there_fails_the_check(tmp_path):
    result = DiskCheck("disk", tmp_path / "gone").run()
    assert result.verdict == "failed"
    assert result.message.startswith("FileNotFoundError")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MemoryCheck("m", 0), "degraded_percent: got 0"),
        (lambda: MemoryCheck("m", 101), "degraded_percent: got 101"),
        (lambda: MemoryCheck("m", 95, 90), "degraded_percent: got 95.0, allowed less than failed"),
        (lambda: CpuCheck("c", None), "degraded_percent: got None, allowed a number, if no other"),
        (lambda: DiskCheck("d", ""), "path: got ''"),
        (lambda: DiskCheck("d", 7), "path: got 7"),
        (lambda: DiskCheck("d", "/", None), "degraded_percent: got None"),
        (lambda: DiskCheck("d", "/", failed_free=0), "failed_free: got 0"),
        (lambda: DiskCheck("d", "/", failed_free=9, degraded_free=8), "failed_free: got 9"),
        (lambda: DiskCheck("", "/", failed_free=1.5), "failed_free: got 1.5"),
    ],
)
def test_limits_that_make_no_sense_are_refused(make, said):
    with pytest.raises(hf.ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_a_share_in_place_of_a_percentage_is_refused():
    with pytest.raises(hf.ConfigError, match=r"degraded_percent: got 0.9, .*: write 90"):
        MemoryCheck("memory", 0.9)
