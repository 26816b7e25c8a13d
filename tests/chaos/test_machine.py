"""What is free: for this process, in its container, on the file system of a folder."""

import os

import pytest

from holdfast.chaos import machine
from holdfast.chaos.machine import free_disk, free_memory, processors

GIB = 1 << 30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Make recorded files of control groups the ones that are read."""

    def record(own, files):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tmp_path / "own").write_text(own)
        monkeypatch.setattr(machine, "_CGROUPS", str(tmp_path))
        monkeypatch.setattr(machine, "_OWN_GROUPS", str(tmp_path / "own"))
        monkeypatch.setattr(machine, "_available", lambda: 8 * GIB)

    return record


V2 = {"app/memory.max": f"{4 * GIB}\n", "app/memory.current": f"{GIB}\n"}
V1 = {
    "memory/app/memory.limit_in_bytes": f"{4 * GIB}\n",
    "memory/app/memory.usage_in_bytes": f"{GIB}\n",
    "memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
    "memory/memory.usage_in_bytes": f"{2 * GIB}\n",
}


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/app\n", V2),
        ("0::/app/worker\n", V2),  # the limit of a group holds for those in it
        ("5:cpu,cpuacct:/\n4:memory:/app\n0::/app\n", V1),
    ],
)
def test_the_limit_of_a_container_limits_what_is_free(groups, own, files):  # CH-14
    groups(own, files)
    assert free_memory() == 3 * GIB


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/app\n", V2 | {"app/memory.max": "max\n"}),
        ("4:memory:/host/of/the/container\n", {}),
        ("", {}),
    ],
)
def test_without_a_limit_the_memory_of_the_machine_counts(groups, own, files):
    groups(own, files)
    assert free_memory() == 8 * GIB


def test_a_container_above_its_limit_has_nothing_free(groups):
    groups("0::/app\n", V2 | {"app/memory.current": f"{5 * GIB}\n"})
    assert free_memory() == 0


def test_figures_of_this_machine_are_plausible(tmp_path):
    assert 0 < free_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert free_disk(str(tmp_path)) > 0
    assert 1 <= processors() <= os.cpu_count()
