"""File descriptors and threads: what this process has of them, and what it may have."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

from holdfast.errors import MissingExtraError
from holdfast.machine.handles import HandleUse, descriptor_use, thread_use
from tests.machine.trees import record

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max processes             {processes:<20} 96364                processes
Max open files            {files:<20} 524288               files
"""
SYSTEM = {
    "proc/self/limits": LIMITS.format(processes="unlimited", files=1024),
    "proc/self/status": "Name:\tpython\nThreads:\t7\n",
    "proc/loadavg": "0.20 0.18 0.12 3/400 11206\n",
    "proc/sys/kernel/threads-max": "8000\n",
}


def test_the_descriptors_of_this_process_are_counted():
    before = descriptor_use()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
    after = descriptor_use()
    for one in opened:
        os.close(one)
    assert after == HandleUse(before.used + 5, before.limit)
    assert descriptor_use() == before


def test_the_limit_of_descriptors_is_the_soft_one(tmp_path):
    folder = {f"proc/self/fd/{number}": "" for number in range(4)}
    assert descriptor_use(record(tmp_path, SYSTEM | folder)) == HandleUse(3, 1024)
    assert HandleUse(3, 1024).share == 3 / 1024
    assert HandleUse(0, 0).share == 1


def test_without_a_limit_there_is_no_use(tmp_path):
    unlimited = {"proc/self/limits": LIMITS.format(processes="unlimited", files="unlimited")}
    assert descriptor_use(record(tmp_path / "files", unlimited)) is None
    assert thread_use(record(tmp_path / "threads", unlimited)) is None


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, (400, 8000)),
        # the user's limit is compared with the threads of this process
        ({"proc/self/limits": LIMITS.format(processes=70, files=1)}, (7, 70)),
        ({"proc/self/limits": LIMITS.format(processes=7000, files=1)}, (400, 8000)),
        (  # version 2, of which the slice around has the limit
            {
                "proc/self/cgroup": "0::/app.slice/app\n",
                "sys/fs/cgroup/app.slice/pids.max": "100\n",
                "sys/fs/cgroup/app.slice/pids.current": "60\n",
                "sys/fs/cgroup/app.slice/app/pids.max": "max\n",
                "sys/fs/cgroup/app.slice/app/pids.current": "9\n",
            },
            (60, 100),
        ),
        (
            {
                "proc/self/cgroup": "8:pids:/docker/7f\n0::/\n",
                "sys/fs/cgroup/pids/docker/7f/pids.max": "50\n",
                "sys/fs/cgroup/pids/docker/7f/pids.current": "20\n",
            },
            (20, 50),
        ),
    ],
)
def test_of_all_limits_of_threads_the_one_that_is_nearest_counts(tmp_path, more, found):
    assert thread_use(record(tmp_path, SYSTEM | more)) == found


def test_the_threads_of_this_machine_are_within_their_limit():
    use = thread_use()
    assert use.used >= threading.active_count()
    assert use.used <= use.limit


def test_without_proc_psutil_counts(tmp_path, monkeypatch):
    process = SimpleNamespace(num_fds=lambda: 12, num_threads=lambda: 3)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(Process=lambda: process))
    limits = {"RLIMIT_NOFILE": (256, 512), "RLIMIT_NPROC": (30, 30), "RLIM_INFINITY": -1}
    here = SimpleNamespace(getrlimit=lambda which: which, **limits)
    monkeypatch.setitem(sys.modules, "resource", here)
    nowhere = record(tmp_path, {})
    assert descriptor_use(nowhere) == (12, 256)
    assert thread_use(nowhere) == (3, 30)
    here.RLIMIT_NPROC = (-1, -1)
    assert thread_use(nowhere) is None
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtraError):
        descriptor_use(nowhere)
