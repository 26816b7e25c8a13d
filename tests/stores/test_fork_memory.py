"""A forked child has kernels of its own at once, and never writes in its parent's file."""

import os
import sys

import pytest

from tests.apart import run_apart
from tests.interpreters import forks_beside_threads

BEGIN = """
import ctypes, os, resource, threading
import holdfast as hf
from holdfast._native import ledger as native
breaker = hf.CircuitBreaker("b")
limiter = hf.RateLimiter("l", rate=1, per=3600, burst=100)
breaker.call(int)
assert native.is_shared()
fork = ctypes.PyDLL(None).fork
"""

# A child without memory; what it says on standard error is read from `out_of`.
FORK_WITHOUT_MEMORY = """
out_of, into = os.pipe()
stderr = os.dup(2)
os.dup2(into, 2)
resource.setrlimit(resource.RLIMIT_DATA, (1 << 12, resource.RLIM_INFINITY))
pid = fork()
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)
"""

ends_without_memory = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="the address sanitizer ends a process that has no memory",
)


@pytest.fixture
def shared(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path))
    return tmp_path


@forks_beside_threads
def test_a_thread_of_a_child_that_runs_first_counts_in_the_child_alone(shared):  # trap 58
    run_apart(
        BEGIN
        + """
from tests.runtimes.asleep import until_others_sleep

def run():  # no line of Python runs in the child's main thread: there is none
    until_others_sleep()
    pid = fork()
    if pid == 0:
        for _ in range(5):
            breaker.call(int)
        breaker.trip()
        while limiter.try_acquire():
            pass
        os._exit(breaker.snapshot().succeeded)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5

thread = threading.Thread(target=run)
thread.start()
thread.join()
assert breaker.snapshot().succeeded == 1 and breaker.state is hf.State.CLOSED
assert limiter.try_acquire()
"""
    )


@forks_beside_threads
@pytest.mark.parametrize(
    "step",
    [
        "breaker.call(int)",  # its first duration
        'hf.registry.get("circuit_breaker", "b")',
        "ledger.find()",
        "ledger.figures()",
        'hf.CircuitBreaker("another")',
    ],
)
def test_a_child_waits_for_no_lock_that_a_thread_of_the_parent_held(shared, step):  # trap 58
    """The child has no main thread before whose next line of Python the rest would be done."""
    run_apart(
        BEGIN.replace('"b")', '"b", latency=True)').replace("breaker.call(int)", "")
        + f"""
import signal
from holdfast.stores.ledger import ledger

def run():
    held.wait()
    pid = fork()
    if pid == 0:
        signal.alarm(10)
        {step}
        os._exit(0)
    exits.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    over.set()

held, over, exits = threading.Event(), threading.Event(), []
thread = threading.Thread(target=run)
thread.start()
with ledger._lock, hf.registry._lock:
    ledger._looked = {step!r} != "ledger.find()"
    held.set()
    over.wait()
ledger._looked = True
thread.join()
assert exits == [0]
"""
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@ends_without_memory
def test_a_child_without_memory_for_a_copy_has_kernels_of_its_own_all_the_same(shared):
    run_apart(
        BEGIN
        + """
from pathlib import Path
breaker.snapshot()  # imports what it needs
assert limiter.try_acquire(97)
crowd = [hf.CircuitBreaker("crowd") for _ in range(3_000)]
# Little more than there is now: the copy is refused, and what takes the place of the file is not.
lines = Path("/proc/self/status").read_text().splitlines()
(kib,) = [int(line.split()[1]) for line in lines if line.startswith("VmSize")]
resource.setrlimit(resource.RLIMIT_AS, (kib * 1024 + (512 << 10), resource.RLIM_INFINITY))
pid = fork()
if pid == 0:
    for _ in range(5):
        breaker.call(int)
    breaker.trip()
    left = sum(limiter.try_acquire() for _ in range(9))
    os._exit(10 * breaker.snapshot().succeeded + left)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 53
assert breaker.snapshot().succeeded == 1 and breaker.state is hf.State.CLOSED
assert limiter.try_acquire(3)
"""
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is that of Linux")
def test_a_fork_costs_its_parent_no_memory(shared):
    run_apart(
        BEGIN
        + """
from pathlib import Path

def mapped():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))

def forks(times):
    for _ in range(times):
        pid = fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return mapped()

forks(5)
before = mapped()
assert forks(20) <= before + 64, (before, mapped())  # KiB
"""
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@ends_without_memory
def test_a_child_without_any_memory_says_so_and_never_writes_in_the_parents_file(shared):
    run_apart(
        BEGIN
        + """
path = os.environ["HOLDFAST_DIR"]
os.rename(path, path + ".gone")  # nor does it get a file of its own
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
"""
        + FORK_WITHOUT_MEMORY
        + """
if pid == 0:
    try:
        breaker.call(int)
    finally:
        os._exit(99)
os.dup2(stderr, 2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) < 0
os.close(into)
assert b"no memory for its policies" in os.read(out_of, 1000)
assert breaker.snapshot().succeeded == 1
breaker.call(int)
"""
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@ends_without_memory
def test_a_child_without_any_memory_counts_from_zero_once_it_has_got_a_file(shared):
    run_apart(
        BEGIN
        + FORK_WITHOUT_MEMORY
        + """
if pid == 0:
    breaker.call(int)
    os._exit(breaker.snapshot().succeeded)
os.dup2(stderr, 2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
os.close(into)
assert b"no memory for its policies" in os.read(out_of, 1000)
assert breaker.snapshot().succeeded == 1
"""
    )


def test_a_program_that_is_started_is_no_fork_and_leaves_the_file_as_it_is(shared):
    run_apart(
        BEGIN
        + """
import subprocess
from holdfast._native import gate
before = gate._fork_number()
subprocess.run(["true"], check=True)
os.waitpid(os.posix_spawnp("true", ["true"], {}), 0)
assert native.is_shared() and gate._fork_number() == before
assert len([name for name in os.listdir(os.environ["HOLDFAST_DIR"]) if "worker" in name]) <= 1
"""
    )
