"""What becomes of processes whose supervisor ends without having stopped them."""

import os
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from holdfast.supervision.guard import Guard, guard
from tests.supervision.processes import SECONDS, in_group, is_running, program, wait_until

SUPERVISOR = """
import os, sys, time
from holdfast.supervision import ProcessComponent
from holdfast.supervision.guard import Guard, guard
family = "import os, time; os.fork(); print('ready', flush=True); time.sleep(600)"
component = ProcessComponent("peer", [sys.executable, "-I", "-S", "-c", family], {settings})
component.start()
while len(component.last_lines) < 2:
    time.sleep(0.01)
others = []
{more}
print(component.pid, guard.pid or 0, *others, flush=True)
{end}
"""


def supervise(*, settings="", more="", end="time.sleep(600)"):
    """Start a supervisor; return it, the group of its process, its guard, and what it has more."""
    source = SUPERVISOR.format(settings=settings, more=textwrap.dedent(more), end=end)
    supervisor = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    return (supervisor, *map(int, supervisor.stdout.readline().split()))


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGSEGV, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_processes_end_with_a_supervisor_that_is_killed(number):
    supervisor, group, guard_pid = supervise()
    with supervisor:
        assert len(in_group(group)) == 2
        os.kill(supervisor.pid, number)
        assert supervisor.wait() == -number
    wait_until(lambda: not in_group(group), "the group is killed")
    wait_until(lambda: not is_running(guard_pid), "the guard has ended")


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(3)",
        pytest.param("os._exit(3)", marks=pytest.mark.slow),
        pytest.param("raise ValueError", marks=pytest.mark.slow),
    ],
)
def test_processes_end_with_a_supervisor_that_ends_without_stop(end):
    supervisor, group, guard_pid = supervise(end=f"sys.stderr = None; {end}")
    with supervisor:
        supervisor.wait()
    wait_until(lambda: not in_group(group), "the group is killed")
    wait_until(lambda: not is_running(guard_pid), "the guard has ended")


def test_the_whole_group_of_the_supervisor_may_be_killed_but_not_the_guard():
    supervisor, group, guard_pid = supervise(more="os.setsid()")
    with supervisor:
        os.killpg(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not in_group(group), "the group is killed")
    wait_until(lambda: not is_running(guard_pid), "the guard has ended")


def test_a_process_that_may_outlive_its_supervisor_does():
    supervisor, group, guard_pid = supervise(settings="outlives=True")
    with supervisor:
        assert guard_pid == 0
        supervisor.kill()
    try:
        assert len(in_group(group)) == 2
    finally:
        os.killpg(group, signal.SIGKILL)


def test_a_forked_child_of_the_supervisor_does_not_keep_the_processes_alive():
    more = "others.append(os.fork() or time.sleep(600))"
    supervisor, group, _, forked = supervise(more=more)
    supervisor.kill()
    supervisor.wait()
    try:
        wait_until(lambda: not in_group(group), "the group is killed")
        assert is_running(forked)
    finally:
        os.kill(forked, signal.SIGKILL)
        supervisor.stdout.close()


def test_a_guard_that_was_killed_is_replaced_at_the_next_start(process):
    first, second = process(["sleep", "600"]), process(["sleep", "600"], name="second")
    first.start()
    old = guard.pid
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: not is_running(old))
    second.start()
    assert guard.pid not in {None, old}
    assert is_running(guard.pid)


def test_a_guard_whose_end_nobody_has_noticed_yet_is_replaced(monkeypatch):
    unnoticed = lambda pid, _: SimpleNamespace(pid=pid, exit=None)  # noqa: E731
    monkeypatch.setattr("holdfast.supervision.guard.ChildExit", unnoticed)
    sleeping = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(3)]
    first, second, third = (one.pid for one in sleeping)
    guarding, pids = Guard(), []

    def kill():
        pids.append(guarding.pid)
        os.kill(guarding.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pids[-1]))

    guarding.add(first)
    kill()
    guarding.add(second)
    guarding.add(third)
    kill()
    guarding.remove(first)
    pids.append(guarding.pid)
    assert len({*pids, None}) == 4
    guarding.leave()  # as the end of this process does, so that it kills those that it guards
    assert [one.wait(SECONDS) for one in sleeping[1:]] == [-signal.SIGKILL] * 2
    sleeping[0].kill()
    sleeping[0].wait()
    for pid in pids:
        os.waitpid(pid, 0)


def test_a_guard_that_has_lasted_is_replaced_at_once(process, monkeypatch):
    monkeypatch.setattr("holdfast.supervision.guard._LASTING_NS", 0)
    component = process(["sleep", "600"])
    component.start()
    old = guard.pid
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: guard.pid not in {None, old} and is_running(guard.pid))


def test_the_guard_ends_with_the_last_process(process):
    components = [process(["sleep", "600"], name=f"peer-{n}") for n in range(3)]
    for component in components:
        component.start()
    pid = guard.pid
    for component in components[1:]:
        component.stop()
        assert guard.pid == pid
    components[0].stop()
    assert guard.pid is None
    assert not is_running(pid)


def test_the_guard_kills_those_groups_that_are_left():
    more = """
    others = [ProcessComponent(f"other-{n}", ["sleep", "600"]) for n in range(3)]
    for other in others: other.start()
    others[1].stop()
    others = [others[0].pid, others[2].pid]
    """
    supervisor, *pids = supervise(more=more)
    with supervisor:
        assert len(pids) == 4
        assert all(map(is_running, pids))
        supervisor.kill()
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid), f"{pid} has ended")


def test_without_a_shell_processes_start_and_a_warning_is_logged(process, monkeypatch, caplog):
    def fail(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "/bin/sh")

    shell_less = SimpleNamespace(Popen=fail, DEVNULL=-3)
    monkeypatch.setattr("holdfast.supervision.guard.original_module", lambda _: shell_less)
    component = process(program("raise SystemExit(0)"))
    component.start()
    component.stop()
    assert "no guard can be started" in caplog.text
