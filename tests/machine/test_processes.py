"""Processes: which one has a pid, and whether it still runs."""

import os
import subprocess
import sys

import pytest

from holdfast import MissingExtraError
from holdfast.machine.processes import look_at_process
from tests.machine.trees import SYSTEM, record

SLEEP = [sys.executable, "-c", "input()"]


def test_a_process_that_runs_is_alive_and_has_one_start():
    seen = look_at_process(os.getpid())
    assert seen.is_alive
    assert look_at_process(os.getpid()) == seen


def test_two_processes_that_start_at_different_times_are_told_apart():
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as child:
        assert look_at_process(child.pid).started > look_at_process(1).started


def test_a_process_that_nobody_has_waited_for_is_not_alive():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not look_at_process(child).is_alive
    os.waitpid(child, 0)
    assert look_at_process(child) is None


@pytest.mark.parametrize("pid", [2**22 + 1, 10**30])
def test_a_pid_of_no_process_is_seen(pid):
    assert look_at_process(pid) is None


def test_a_name_with_parentheses_and_spaces_confuses_nothing(tmp_path):
    columns = " ".join(map(str, range(4, 40)))
    tree = record(tmp_path, SYSTEM | {"proc/99/stat": f"99 (a) Z (b) S {columns}\n"})
    assert look_at_process(99, tree) == (True, 22.0)


def test_a_process_that_the_system_hides_is_alive_as_far_as_is_known(tmp_path):
    assert look_at_process(os.getpid(), record(tmp_path, SYSTEM)) == (True, None)


def test_psutil_shows_processes_where_there_are_no_files(tmp_path, require_real):
    try:
        import psutil
    except ImportError:
        require_real("psutil is not installed")
    tree = record(tmp_path, {})
    mine = psutil.Process().create_time()
    assert look_at_process(os.getpid(), tree) == (True, mine)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not look_at_process(child, tree).is_alive
    os.waitpid(child, 0)
    assert look_at_process(child, tree) is None


def test_without_files_and_without_psutil_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'holdfast\[system\]'"):
        look_at_process(os.getpid(), record(tmp_path, {}))
