"""Real processes under a supervisor: killed again and again, and stopped in the middle."""

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

import holdfast as hf
from holdfast.supervision import ProcessComponent, Supervisor
from tests.supervision.processes import (
    ALONE,
    SECONDS,
    children_here,
    in_group,
    is_running,
    program,
    wait_until,
)


def instances(log):
    """Return the pids that instances have written, each once it had its lock."""
    return log.read_text().split() if log.exists() else []


@pytest.mark.parametrize("kind", ["plain", "family"])
def test_killed_fifty_times_in_a_row_it_comes_back_and_there_are_never_two(tmp_path, kind):
    """MG-08: the lock is held by the kernel for the instance, so a second one would see it."""
    source = ALONE + ("    os.fork()\n" if kind == "family" else "") + "    time.sleep(600)"
    log = tmp_path / "log"
    supervisor = Supervisor("service", max_restarts=None)
    component = ProcessComponent("peer", program(source, tmp_path), kill_after=0.1)
    supervisor.add(component, first_delay=0, backoff=hf.Constant(0.001), attempts=100)
    kills = 50 if kind == "plain" else 10
    with supervisor:
        for number in range(kills):
            wait_until(lambda n=number: len(instances(log)) > n, "there is an instance")
            os.kill(int(instances(log)[-1]), signal.SIGKILL)
        wait_until(lambda: len(instances(log)) > kills, "there is an instance")
        wait_until(lambda: supervisor.status("peer").state == "running")
    found = instances(log)
    assert len(found) == len(set(found)) == kills + 1
    assert "two" not in found
    assert not is_running(int(found[-1]))


def test_a_process_that_ends_is_restarted_without_a_check(tmp_path):
    supervisor = Supervisor("service", interval=3600, max_restarts=None)
    component = ProcessComponent("peer", ["sleep", "600"])
    supervisor.add(component, first_delay=0)
    with supervisor:
        wait_until(lambda: component.running)
        first = component.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: component.pid not in {None, first}, "another process")


def test_on_a_manual_clock_a_process_comes_back_when_the_clock_moves(clock):
    supervisor = Supervisor("service", clock=clock)
    component = ProcessComponent("peer", ["sleep", "600"])
    supervisor.add(component)
    with supervisor:
        first = component.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: supervisor.status("peer").state == "recovering")
        assert not component.running
        clock.advance(1)
        wait_until(lambda: component.pid not in {None, first}, "another process")


def test_stop_in_the_middle_of_restarts_leaves_no_process():
    """Processes that end at once, stopped at any moment of their restarts."""
    children = children_here()
    for delay in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        supervisor = Supervisor("service", max_restarts=None, cool_down=None)
        components = [
            ProcessComponent(f"peer-{n}", ["sh", "-c", "sleep 0.01; exit 1"]) for n in range(4)
        ]
        for component in components:
            supervisor.add(component, first_delay=0, backoff=hf.Constant(0), attempts=1000)
        supervisor.start()
        time.sleep(delay)
        assert supervisor.stop()
        assert not any(component.running for component in components)
        assert children_here() <= children


def test_a_component_whose_command_does_not_exist_fails_with_its_name(caplog):
    supervisor = Supervisor("service", cool_down=None)
    supervisor.add(ProcessComponent("peer", ["no-such-program"]), attempts=1, first_delay=0)
    supervisor.start()
    wait_until(lambda: supervisor.status("peer").state == "given_up")
    supervisor.stop()
    assert "command: got 'no-such-program'" in caplog.text


def test_killing_the_whole_tree_at_random_never_leaves_one_behind(tmp_path):
    """Kills of leaders and of children, from two threads, while the supervisor restarts."""
    source = ALONE + "    os.fork()\n    time.sleep(600)"
    supervisor = Supervisor("service", max_restarts=None)
    component = ProcessComponent("peer", program(source, tmp_path), kill_after=0.05)
    supervisor.add(component, first_delay=0, backoff=hf.Constant(0), attempts=1000)
    groups = set()
    done = threading.Event()

    def kill():
        while not done.is_set():
            if (pid := component.pid) is not None:
                groups.add(pid)
                for one in in_group(pid)[:1]:
                    with suppress(ProcessLookupError):  # the other thread was faster
                        os.kill(one, signal.SIGKILL)
            done.wait(0.01)

    with supervisor:
        killers = [threading.Thread(target=kill) for _ in range(2)]
        for killer in killers:
            killer.start()
        wait_until(lambda: len(groups) > 10, seconds=SECONDS)
        done.set()
        for killer in killers:
            killer.join()
    assert "two" not in instances(tmp_path / "log")
    assert [pid for group in groups for pid in in_group(group)] == []
