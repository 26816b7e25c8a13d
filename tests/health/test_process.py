"""Processes as checks: alive, ended, not waited for, or another one with the same pid."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.health import CompositeCheck, ProcessCheck
from holdfast.machine import tree
from holdfast.machine.processes import look_at_process
from tests.machine.trees import SYSTEM, record

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


@pytest.fixture
def start():
    """Start processes that wait until the test ends them."""
    running = []

    def begin():
        running.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stdin.close()


def end(process):
    """Kill a process, and return when it is a zombie: nobody has waited for it."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def stat_of(pid, *, started, state="S"):
    return {f"proc/{pid}/stat": f"{pid} (worker) {state} {' '.join(['1'] * 18)} {started} 1 1\n"}


def test_a_process_passes_until_it_ends(start):
    process = start()
    check = ProcessCheck("peer", process.pid)
    assert check.run().verdict == "passed"
    end(process)
    assert check.run().message == (
        f"process {process.pid} has ended, and its parent has not waited for it"
    )
    process.wait()
    assert check.run().message == f"no process has the pid {process.pid}"


def test_another_process_that_got_the_same_pid_is_not_the_one(start, require_real):
    process = start()
    check = ProcessCheck("peer", process.pid)
    pid, started = process.pid, look_at_process(process.pid).started
    end(process)
    process.wait()
    while (other := start()) and look_at_process(other.pid).started <= started:
        pass  # until another start is told apart
    for _ in range(20):  # others may start processes as well
        try:
            LAST_PID.write_text(str(pid - 1))
        except OSError as error:
            require_real(f"no process can be given a pid: {error}")
        if start().pid == pid:
            break
    else:
        require_real("another program always was faster")
    assert check.run().message == f"another process has the pid {pid}"
    assert ProcessCheck("peer", pid).run().verdict == "passed"


def test_a_function_names_the_process_anew_after_a_restart(tmp_path, monkeypatch):  # trap 65
    named = [None]
    files = SYSTEM | stat_of(70, started=100)
    monkeypatch.setattr(tree, "HERE", record(tmp_path, files))
    check = ProcessCheck("peer", lambda: named[0])
    assert check.run().message == "there is no process"
    named[0] = 70
    assert check.run().verdict == "passed"
    record(tmp_path, stat_of(70, started=900))  # the file with the pid is an old one
    assert check.run().message == "another process has the pid 70"
    record(tmp_path, stat_of(71, started=901))
    named[0] = 71
    assert check.run().verdict == "passed"


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_process_that_has_ended_fails_whatever_its_name(tmp_path, monkeypatch, state):
    monkeypatch.setattr(
        tree, "HERE", record(tmp_path, SYSTEM | stat_of(70, started=1, state=state))
    )
    assert ProcessCheck("peer", 70).run().verdict == "failed"


@pytest.mark.parametrize("state", ["R", "S", "D", "T", "t", "I"])
def test_a_process_that_waits_or_is_stopped_is_alive(tmp_path, monkeypatch, state):
    monkeypatch.setattr(
        tree, "HERE", record(tmp_path, SYSTEM | stat_of(70, started=1, state=state))
    )
    assert ProcessCheck("peer", 70).run().verdict == "passed"


def test_a_process_that_was_not_there_at_first_is_never_the_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "HERE", record(tmp_path, SYSTEM))
    check = ProcessCheck("peer", 2**22 + 5)
    assert check.run().verdict == "failed"
    record(tmp_path, stat_of(2**22 + 5, started=900))
    assert check.run().message == f"another process has the pid {2**22 + 5}"


def test_a_process_that_the_system_hides_proves_nothing(tmp_path, monkeypatch):  # trap 62
    monkeypatch.setattr(tree, "HERE", record(tmp_path, SYSTEM))
    result = ProcessCheck("parent", os.getpid()).run()
    assert (result.verdict, result.message) == (
        "unproven",
        f"the system hides process {os.getpid()}",
    )


def test_half_of_the_workers_are_enough_if_there_is_one(start):  # HC-20
    workers = [start() for _ in range(4)]
    checks = [ProcessCheck(f"worker-{n}", one.pid) for n, one in enumerate(workers)]
    service = CompositeCheck("service", *checks, quorum=0.5)
    verdicts = [service.run().verdict]
    for worker in workers:
        end(worker)
        verdicts.append(service.run().verdict)
    assert verdicts == ["passed", "passed", "passed", "failed", "failed"]
    alone = start()
    single = CompositeCheck("single", ProcessCheck("worker", alone.pid), quorum=0.5)
    end(alone)
    assert single.run().verdict == "failed"


@pytest.mark.parametrize("named", ["70", True, 0, -1, 2.0, 2**40])
def test_a_function_that_returns_no_pid_fails_the_check(named):
    result = ProcessCheck("peer", lambda: named).run()
    assert result.verdict == "failed"
    assert result.message.endswith("which is no pid")


async def named_later():
    return 1


@pytest.mark.parametrize("pid", [0, -1, True, "1", None, 2**40, named_later, lambda pid: pid])
def test_what_is_no_pid_is_refused(pid):
    with pytest.raises(hf.ConfigError, match="pid: got"):
        ProcessCheck("peer", pid)


def test_a_check_of_a_process_says_that_psutil_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "HERE", record(tmp_path, {}))
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(hf.MissingExtraError) as caught:
        ProcessCheck("peer", os.getpid())
    assert caught.value.extra == "system"
