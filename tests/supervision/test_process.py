"""A child process as a component: its start, its end, its stop."""

import gc
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import holdfast as hf
from holdfast.supervision import Exit, ProcessComponent
from tests.supervision.processes import (
    ALONE,
    SECONDS,
    Watched,
    children_here,
    files_here,
    in_group,
    is_running,
    program,
    wait_until,
)

SLEEPS = program("import time; time.sleep(600)")


def test_a_process_runs_from_start_until_stop(process):  # MG-13
    component = process(SLEEPS)
    assert (component.running, component.pid, component.exit) == (False, None, None)
    component.start()
    pid = component.pid
    assert component.running
    assert os.getpgid(pid) == os.getsid(pid) == pid
    component.stop()
    assert not is_running(pid)
    assert (component.running, component.exit) == (False, Exit(signal=signal.SIGTERM))


def test_the_end_of_a_process_is_told_with_its_exit_code(process):
    watched = Watched(process(program("raise SystemExit(3)"))).start()
    assert watched.wait() == Exit(code=3)
    assert watched.component.exit == Exit(code=3)
    assert not watched.component.running


def test_the_end_of_a_process_is_told_with_the_signal_that_killed_it(process):
    watched = Watched(process(SLEEPS)).start()
    os.kill(watched.component.pid, signal.SIGKILL)
    assert watched.wait() == Exit(signal=signal.SIGKILL)


def test_an_end_by_stop_is_not_told(process):
    watched = Watched(process(SLEEPS)).start()
    watched.component.stop()
    assert watched.exits == []


def test_an_end_is_told_once_and_for_its_own_start(process):  # trap 65
    component = process(program("raise SystemExit(0)"))
    first, second = Watched(component), Watched(component)
    first.start().wait()
    component.stop()
    second.start().wait()
    component.stop()
    assert (len(first.exits), len(second.exits)) == (1, 1)


def test_a_start_without_watch_tells_nobody(process):
    component = process(program("raise SystemExit(0)"))
    watched = Watched(component).start()
    watched.wait()
    component.start()  # also removes what is left of the first
    wait_until(lambda: not component.running)
    assert len(watched.exits) == 1


def test_the_leader_stays_a_zombie_until_stop_so_that_nobody_gets_its_pid(process):
    watched = Watched(process(program("raise SystemExit(0)"))).start()
    pid = watched.component._run.pid
    watched.wait()
    os.kill(pid, 0)  # still there
    assert not is_running(pid)
    watched.component.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_second_start_is_refused_while_it_runs(process):
    component = process(SLEEPS)
    component.start()
    with pytest.raises(RuntimeError, match=f"runs already, with the pid {component.pid}"):
        component.start()
    assert component.running


def test_stop_may_be_called_before_a_start_and_twice(process):
    component = process(SLEEPS)
    component.stop()
    component.start()
    component.stop()
    component.stop()
    assert not component.running


def test_stop_may_be_called_by_many_threads_at_once(process):
    component = process(SLEEPS)
    component.start()
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: component.stop(), range(8))) == [None] * 8
    assert not component.running


def test_stop_may_be_called_by_what_is_told_of_the_end(process):
    component = process(SLEEPS)
    stopped = threading.Event()
    component.watch(lambda _: (component.stop(), stopped.set()))
    component.start()
    os.kill(component.pid, signal.SIGKILL)  # before it has started, a stop would end the start
    assert stopped.wait(SECONDS)


def test_a_process_may_end_itself_in_time_after_sigterm(process):
    source = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(600)
    """
    component = process(program(source), kill_after=SECONDS)
    component.start()
    wait_until(lambda: component.last_lines == ("ready",))
    component.stop()
    assert component.exit == Exit(code=7)


def test_another_stop_signal_may_be_chosen(process):
    component = process(SLEEPS, stop_signal=signal.SIGUSR1)
    component.start()
    component.stop()
    assert component.exit == Exit(signal=signal.SIGUSR1)


def test_a_stopped_process_is_woken_to_end(process):
    source = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(600)
    """
    component = process(program(source), kill_after=SECONDS)
    component.start()
    wait_until(lambda: component.last_lines == ("ready",))
    os.kill(component.pid, signal.SIGSTOP)
    component.stop()
    assert component.exit == Exit(code=7)


def test_a_signal_can_be_sent_to_the_whole_group(process):
    watched = Watched(process(SLEEPS)).start()
    assert watched.component.signal(signal.SIGINT)
    watched.wait()
    assert not watched.component.signal(signal.SIGINT)
    watched.component.stop()
    assert not watched.component.signal(signal.SIGINT)


def test_environment_and_folder_are_those_that_were_given(process, tmp_path):
    source = "import os, sys; print(os.getcwd(), sorted(os.environ), flush=True)"
    component = process(program(source), env={"ONLY": "this", "LC_ALL": "C"}, cwd=tmp_path)
    Watched(component).start().wait()
    component.stop()
    assert component.last_lines == (f"{tmp_path} ['LC_ALL', 'ONLY']",)


def test_the_program_is_looked_for_in_the_path_that_it_gets(process, tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nexit 5\n")
    tool.chmod(0o755)
    watched = Watched(process(["tool"], env={"PATH": str(tmp_path)})).start()
    assert watched.wait() == Exit(code=5)


@pytest.mark.parametrize("limits", [{"nofile": 77, "core": 0}, {"nofile": (77, 99), "core": 0}])
def test_limits_hold_when_the_program_begins(process, limits):
    source = """
        import resource
        import sys
        for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
            print(*resource.getrlimit(limit))
        print("input:", repr(sys.stdin.read()), flush=True)
    """
    component = process(program(source), limits=limits)
    Watched(component).start().wait()
    component.stop()
    hard = 99 if isinstance(limits["nofile"], tuple) else 77
    assert component.last_lines == (f"77 {hard}", "0 0", "input: ''")


def test_a_limit_that_cannot_be_set_starts_nothing(process):
    component = process(SLEEPS, limits={"nofile": (1 << 62, None)})
    before = files_here()
    with pytest.raises((OSError, ValueError), match="the limit 'nofile' cannot be set to"):
        component.start()
    assert not component.running
    assert files_here() <= before


@pytest.mark.parametrize("limits", [None, {"core": 0}])
@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"command": ["no-such-program"]}, FileNotFoundError, "command: got 'no-such-program'"),
        ({"command": ["/nowhere/it"]}, FileNotFoundError, "command: got '/nowhere/it'"),
        ({"command": ["ls"], "cwd": "/nowhere"}, FileNotFoundError, "cwd: got '/nowhere'"),
    ],
)
def test_a_command_that_does_not_exist_is_named(process, settings, error, text, limits):
    component = process(**settings, limits=limits)
    with pytest.raises(error, match=text):
        component.start()
    component.stop()
    assert not component.running


def test_a_file_that_is_no_program_is_named(process, tmp_path):
    (tmp_path / "data").write_text("?")
    component = process([tmp_path / "data"])
    with pytest.raises(PermissionError, match=r"command: got .*data': Permission denied"):
        component.start()


def test_nothing_of_a_process_is_left_after_its_stop(process):
    gc.collect()
    children, files, threads = children_here(), files_here(), set(threading.enumerate())
    component = process(SLEEPS)
    for _ in range(5):
        component.start()
        component.stop()
    assert files_here() <= files
    assert set(threading.enumerate()) <= threads
    assert children_here() <= children


def test_killed_again_and_again_there_are_never_two_instances_nor_none(process, tmp_path):
    component = process(program(ALONE + "    time.sleep(600)", tmp_path))
    log = tmp_path / "log"
    watched = Watched(component)
    for number in range(20):
        watched.start()
        wait_until(lambda n=number: log.exists() and log.read_text().count("\n") > n)
        os.kill(component.pid, signal.SIGKILL)
        assert watched.wait() == Exit(signal=signal.SIGKILL)
        component.stop()
    lines = log.read_text().split()
    assert len(lines) == len(set(lines)) == 20
    assert "two" not in lines


def test_a_hundred_processes_are_watched_by_one_thread(process):
    watched = [Watched(process(["sleep", "600"], name=f"peer-{n}")) for n in range(100)]
    for one in watched:
        one.start()
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("holdfast-processes") == 1
    for one in watched:
        os.kill(one.component.pid, signal.SIGKILL)
    assert {one.wait() for one in watched} == {Exit(signal=signal.SIGKILL)}


def test_components_may_be_started_and_stopped_by_many_threads(process):
    children = children_here()
    components = [process(["sleep", "600"], name=f"peer-{n}") for n in range(20)]

    def live(component):
        for _ in range(5):
            component.start()
            component.stop()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(live, components))
    assert not any(component.running for component in components)
    assert children_here() <= children


def test_the_exit_code_of_each_of_many_processes_that_end_at_once_is_its_own(process):
    watched = [
        Watched(process(["sh", "-c", f"exit {n}"], name=f"peer-{n}")).start() for n in range(50)
    ]
    assert [one.wait() for one in watched] == [Exit(code=n) for n in range(50)]


def test_its_repr_and_its_name_are_for_messages(process):
    component = process(SLEEPS)
    assert repr(component) == "<ProcessComponent 'peer'>"
    assert component.command[0] == sys.executable


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": ""}, "name: got ''"),
        ({"command": "ls -l"}, "command: got 'ls -l', allowed a list of strings"),
        ({"command": []}, r"command: got \[\], allowed a list of strings"),
        ({"command": ["ls", 3]}, "command: got"),
        ({"command": ["l\0s"]}, "command: got"),
        ({"env": {"A": 3}}, "env: got {'A': 3}, allowed a dict of strings"),
        ({"env": "A=3"}, "env: got 'A=3'"),
        ({"env": {"A=B": "3"}}, "env: got"),
        ({"env": {"A": "\0"}}, "env: got 'A', allowed strings without a null character"),
        ({"cwd": 3}, "cwd: got 3, allowed the path of a folder"),
        ({"output": "file"}, "output: got 'file', allowed one of 'log', 'inherit', 'discard'"),
        ({"stdin": "pipe"}, "stdin: got 'pipe', allowed one of 'discard', 'inherit'"),
        ({"limits": 3}, "limits: got 3, allowed a dict"),
        ({"limits": {"files": 3}}, "limits: got 'files', allowed names out of"),
        ({"limits": {"nofile": -1}}, r"limits\['nofile'\]: got -1"),
        ({"limits": {"nofile": (9, 3)}}, "allowed a soft limit that is not above the hard one"),
        ({"stop_signal": 0}, "stop_signal: got 0"),
        ({"kill_after": -1}, "kill_after: got -1"),
        ({"outlives": 1}, "outlives: got 1"),
    ],
)
def test_bad_settings_are_refused_with_what_is_allowed(settings, text):
    given = {"name": "peer", "command": ["ls"], **settings}
    with pytest.raises(hf.ConfigError, match=text):
        ProcessComponent(**given)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(hf.ConfigError) as error:
        ProcessComponent("", "ls", cwd=3, kill_after="soon")
    assert len(error.value.problems) == 4


def test_stop_returns_soon_after_the_process_has_ended(process):
    component = process(SLEEPS, kill_after=SECONDS)
    component.start()
    group = component.pid
    began = time.monotonic()
    component.stop()
    assert time.monotonic() - began < SECONDS / 3
    assert in_group(group) == []
