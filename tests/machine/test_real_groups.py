"""Real control groups of this machine: a process that is in one sees its limits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
MIB = 1 << 20

IN_GROUP = """
import json, os, sys, time
for folder in sys.argv[2:]:
    with open(folder + "/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
from holdfast.health import CpuCheck, MemoryCheck
check = {"memory": MemoryCheck, "cpu": CpuCheck}[sys.argv[1]](sys.argv[1], 50, 90)
began = time.process_time()
taken = b"1" * (60 << 20)
end = time.monotonic() + 0.5
while time.monotonic() < end:  # more than the quota
    pass
result = check.run()
print(json.dumps([result.verdict, result.details, time.process_time() - began]))
"""


# The limits of 200 MiB and of a fifth of a processor, by the version of the groups.
IS_V2 = (ROOT / "cgroup.controllers").exists()
MEMORY = {"memory": {"memory.limit_in_bytes": str(200 * MIB)}}
CPU = {"cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000"}, "cpuacct": {}}
if IS_V2:
    MEMORY, CPU = {"": {"memory.max": str(200 * MIB)}}, {"": {"cpu.max": "20000 100000"}}
SOURCE = "cgroup v2" if IS_V2 else "cgroup v1"


@pytest.fixture
def in_group(require_real):
    """Run a check in new groups, with limits in their files; return its verdict and
    details, and the time that it used processors."""
    made = []

    def run(what, controllers):
        try:
            for controller, limits in controllers.items():
                folder = ROOT / controller / f"holdfast-test-{os.getpid()}"
                folder.mkdir(exist_ok=True)  # two controllers may share one
                made.append(folder)
                for name, text in limits.items():
                    (folder / name).write_text(text)
        except OSError as error:
            require_real(f"no control groups can be made: {error}")
        command = [sys.executable, "-c", IN_GROUP, what, *map(str, made)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    yield run
    for folder in made:
        if folder.exists():
            folder.rmdir()


def test_the_memory_of_a_real_group_is_measured_against_its_limit(in_group):  # HC-17
    verdict, details, _ = in_group("memory", MEMORY)
    assert (details["limit_bytes"], details["source"]) == (200 * MIB, SOURCE)
    assert 60 * MIB < details["used_bytes"] < 150 * MIB
    assert verdict == ("degraded" if details["percent"] > 50 else "passed")


def test_the_processors_of_a_real_group_are_measured_against_its_quota(in_group):  # HC-16
    verdict, details, used = in_group("cpu", CPU)
    assert (details["processors"], details["source"]) == (0.2, SOURCE)
    expected = 100 * used / details["seconds"] / 0.2
    assert details["percent"] == pytest.approx(expected, abs=20)
    assert (verdict == "passed") is (details["percent"] <= 50)
