"""Memory: what this process may use, what it and its neighbours use, and what is free."""

import os
import sys

import pytest

from holdfast import MissingExtraError
from holdfast.machine.disk import disk_use, free_disk
from holdfast.machine.memory import free_memory, memory_use
from holdfast.machine.processors import processors
from tests.machine.trees import (
    GIB,
    IN_CONTAINER_V1,
    IN_CONTAINER_V2,
    IN_SLICE_V2,
    RECORDED_V1,
    SYSTEM,
    record,
)

V2 = {"app/memory.max": f"{4 * GIB}\n", "app/memory.current": f"{GIB}\n"}
V1 = {
    "memory/app/memory.limit_in_bytes": f"{4 * GIB}\n",
    "memory/app/memory.usage_in_bytes": f"{GIB}\n",
    "memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
    "memory/memory.usage_in_bytes": f"{2 * GIB}\n",
}


def groups(folder, own, files):
    """Record control groups of a machine with 8 GiB of free memory."""
    found = {f"sys/fs/cgroup/{path}": text for path, text in files.items()}
    system = {"proc/self/cgroup": own, "proc/meminfo": f"MemAvailable: {8 << 20} kB\n"}
    return record(folder, found | system)


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/app\n", V2),
        ("0::/app/worker\n", V2),  # the limit of a group holds for those in it
        ("0::/app\n", {f"unified/{path}": text for path, text in V2.items()}),
        ("5:cpu,cpuacct:/\n4:memory:/app\n0::/app\n", V1),
    ],
)
def test_the_limit_of_a_container_limits_what_is_free(tmp_path, own, files):  # CH-14
    assert free_memory(groups(tmp_path, own, files)) == 3 * GIB


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/app\n", V2 | {"app/memory.max": "max\n"}),
        ("0::/../app\n", V2),  # a group outside of the namespace of this process
        ("4:memory:/host/of/the/container\n", {}),
        ("nonsense\n", V2),
        ("", {}),
    ],
)
def test_without_a_limit_the_memory_of_the_machine_counts(tmp_path, own, files):
    assert free_memory(groups(tmp_path, own, files)) == 8 * GIB


def test_a_container_above_its_limit_has_nothing_free(tmp_path):
    files = V2 | {"app/memory.current": f"{5 * GIB}\n"}
    assert free_memory(groups(tmp_path, "0::/app\n", files)) == 0


@pytest.mark.parametrize(
    ("files", "used", "limit", "source"),
    [
        (IN_CONTAINER_V2, 2 * GIB, 4 * GIB, "cgroup v2"),
        (IN_SLICE_V2, GIB, 2 * GIB, "cgroup v2"),
        (IN_CONTAINER_V1, 2 * GIB, 4 * GIB, "cgroup v1"),
        (SYSTEM, 4 * GIB, 16 * GIB, "system"),
        (RECORDED_V1, (24683656 - 23782488) * 1024, 24683656 * 1024, "system"),
    ],
)
def test_memory_in_use_is_the_working_set_of_the_nearest_limit(  # HC-17
    tmp_path, files, used, limit, source
):
    assert memory_use(record(tmp_path, files)) == (used, limit, source)


def test_a_recorded_group_with_a_limit_does_not_count_what_can_be_dropped(tmp_path):  # HC-17
    limit = {"sys/fs/cgroup/memory/jobs/a3f7/memory.limit_in_bytes": f"{GIB}\n"}
    use = memory_use(record(tmp_path, RECORDED_V1 | limit))
    assert use == (325021696 - 163926016, GIB, "cgroup v1")


def test_of_groups_within_each_other_the_fullest_counts(tmp_path):  # HC-17
    inner = "sys/fs/cgroup/app.slice/app.service/"
    files = IN_SLICE_V2 | {f"{inner}memory.max": f"{GIB + GIB // 8}\n"}
    assert memory_use(record(tmp_path, files)).limit == GIB + GIB // 8


def test_a_group_of_version_2_counts_before_one_of_version_1(tmp_path):  # HC-17
    both = IN_CONTAINER_V1 | IN_CONTAINER_V2 | {"proc/self/cgroup": "4:memory:/docker/7f\n0::/\n"}
    assert memory_use(record(tmp_path, both)).source == "cgroup v2"


def test_a_limit_above_the_memory_of_the_machine_limits_nothing(tmp_path):  # HC-17
    files = IN_CONTAINER_V2 | {"sys/fs/cgroup/memory.max": f"{64 * GIB}\n"}
    assert memory_use(record(tmp_path, files)).source == "system"


def test_a_limit_of_0_is_full(tmp_path):
    files = IN_CONTAINER_V2 | {"sys/fs/cgroup/memory.max": "0\n"}
    assert memory_use(record(tmp_path, files)).share == 1.0


def test_an_old_kernel_that_does_not_count_available_memory_is_understood(tmp_path):
    lines = SYSTEM["proc/meminfo"].splitlines(keepends=True)
    old = "".join(line for line in lines if "Available" not in line)
    used = memory_use(record(tmp_path, SYSTEM | {"proc/meminfo": old})).used
    assert used == (16 - 1 - 0.5 - 8) * GIB


def test_figures_of_this_machine_are_plausible(tmp_path):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory() < memory
    assert 0 < memory_use().used < memory_use().limit <= memory * 1.01
    assert free_disk(str(tmp_path)) > 0
    assert 0 < disk_use(str(tmp_path)).share <= 1
    assert 1 <= processors() <= os.cpu_count()


def test_psutil_shows_the_memory_of_a_machine_without_files(tmp_path, require_real):
    try:
        import psutil
    except ImportError:
        require_real("psutil is not installed")
    use = memory_use(record(tmp_path, {}))
    assert use.limit == psutil.virtual_memory().total
    assert 0 < use.used < use.limit


def test_a_machine_without_files_and_without_psutil_needs_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtraError, match=r"holdfast\[system\]") as caught:
        memory_use(record(tmp_path, {}))
    assert caught.value.extra == "system"
