"""Processes that do not end, that leave others behind, that say too much, and worse."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from holdfast.supervision import Exit, ProcessComponent, child, exits, groups
from tests.apart import run_apart
from tests.supervision.processes import (
    SECONDS,
    Watched,
    children_here,
    files_here,
    in_group,
    is_running,
    program,
    wait_until,
)

SLEEPS = ["sleep", "600"]
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
READY = "print('ready', flush=True); import time; time.sleep(600)\n"
# Children of a child, each deaf as well, and one more that they start.
FAMILY = DEAF + "import os\nfor _ in range(3):\n    if os.fork() == 0: os.fork(); break\n" + READY


def start(component, lines=1):
    component.start()
    wait_until(lambda: len(component.last_lines) >= lines, f"it has said {component.last_lines}")
    return component.pid


def test_a_process_that_ignores_sigterm_is_killed_in_the_end(process):
    component = process(program(DEAF + READY))
    pid = start(component)
    component.stop()
    assert component.exit == Exit(signal=signal.SIGKILL)
    assert not is_running(pid)


def test_stop_leaves_no_process_of_the_group_that_its_children_have_started(process):
    component = process(program(FAMILY))
    group = start(component, lines=7)
    assert len(in_group(group)) == 7
    component.stop()
    assert in_group(group) == []


def test_children_that_outlive_a_killed_process_end_with_stop(process):
    watched = Watched(process(program(FAMILY)))
    watched.start()
    wait_until(lambda: len(watched.component.last_lines) == 7)
    group = watched.component.pid
    os.kill(group, signal.SIGKILL)
    watched.wait()  # though others still hold its output open
    assert len(in_group(group)) == 6
    watched.component.stop()
    assert in_group(group) == []


def test_children_may_end_themselves_in_time_after_their_parent(process, tmp_path):
    source = f"""
        import os, signal, sys, time
        if os.fork() == 0:
            def leave(*_):
                time.sleep(0.2)
                open({str(tmp_path / "left")!r}, "w").close()
                os._exit(0)
            signal.signal(signal.SIGTERM, leave)
        print("ready", flush=True)
        time.sleep(600)
    """
    component = process(program(source), kill_after=SECONDS)
    start(component, lines=2)
    component.stop()
    assert component.exit == Exit(signal=signal.SIGTERM)
    assert (tmp_path / "left").exists()


def test_a_new_start_first_ends_what_the_last_process_has_left(process):
    watched = Watched(process(program(FAMILY))).start()
    wait_until(lambda: len(watched.component.last_lines) == 7)
    group = watched.component.pid
    os.kill(group, signal.SIGKILL)
    watched.wait()
    watched.component.start()
    assert in_group(group) == []
    assert watched.component.running


def test_a_process_that_ends_at_once_is_told_each_time(process):
    watched = Watched(process(["true"]))
    for _ in range(50):
        assert watched.start().wait() == Exit(code=0)
        watched.component.stop()
    assert len(watched.exits) == 50


def test_a_process_that_hangs_at_its_start_is_stopped(process):
    component = process(program("import signal; signal.pause()"))
    component.start()
    component.stop()
    assert not component.running


@pytest.mark.parametrize("piece", [b"x\n", b"x" * 8192, b"y" * 50 + b"\n", b"\0\xff\n\r"])
def test_a_process_that_floods_its_output_is_neither_held_up_nor_kept_in_memory(process, piece):
    source = f"""
        import os
        data = {piece!r} * (65536 // {len(piece)})
        for _ in range(500):
            for fd in (1, 2):
                left = data
                while left: left = left[os.write(fd, left):]
    """
    watched = Watched(process(program(source))).start()
    assert watched.wait() == Exit(code=0)  # 64 MB
    watched.component.stop()
    assert sum(map(len, watched.component.last_lines)) < 20 * (4 * 8192 + 100)


def test_a_flood_ends_with_stop(process):
    component = process(program("import os\nwhile True: os.write(1, b'again and again\\n' * 1000)"))
    start(component, lines=20)
    component.stop()
    assert not component.running


def test_output_that_a_process_closes_is_waited_for_no_more(process):
    source = "import os, time; os.write(1, b'bye'); os.close(1); os.close(2); time.sleep(600)"
    component = process(program(source))
    start(component)
    began, used = time.monotonic(), time.process_time()
    wait_until(lambda: time.monotonic() - began > 0.2)
    assert component.running
    assert time.process_time() - used < 0.15  # nobody looks at a closed pipe again and again
    component.stop()


def test_output_that_a_stranger_holds_open_holds_nothing_up(process):
    source = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            while True:
                print(os.getpid(), flush=True)
        time.sleep(600)
    """
    component = process(program(source))
    start(component, lines=2)
    stranger = int(component.last_lines[0])
    component.stop()
    assert not component.running
    wait_until(lambda: not is_running(stranger), "its output has nowhere to go")


@pytest.fixture
def no_pidfd(monkeypatch):
    monkeypatch.setattr(exits, "open_pidfd", lambda _: None)
    monkeypatch.setattr(groups, "open_pidfd", lambda _: None)


@pytest.mark.usefixtures("no_pidfd")
def test_without_pidfd_the_end_is_noticed_by_a_thread(process):
    watched = Watched(process(program("raise SystemExit(4)"))).start()
    assert watched.wait() == Exit(code=4)
    watched.component.stop()
    component = process(program(FAMILY))
    group = start(component, lines=7)
    component.stop()
    assert in_group(group) == []
    wait_until(lambda: not [t for t in threading.enumerate() if "holdfast-process" in t.name])


@pytest.mark.usefixtures("no_pidfd")
def test_without_waitid_the_exit_code_is_right_as_well(process, monkeypatch):
    class Posix:
        def __getattr__(self, name):
            if name == "waitid":
                raise AttributeError(name)
            return getattr(os, name)

    monkeypatch.setattr(exits, "posix", Posix())
    watched = Watched(process(program("raise SystemExit(4)"))).start()
    assert watched.wait() == Exit(code=4)
    watched.start()
    watched.component.stop()
    assert not watched.component.running


REAPED = """
    import os, signal, sys, threading, time
    def reap(*_):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
    {before}
    from holdfast.supervision import Exit, ProcessComponent
    told = threading.Event()
    exits = []
    source = "import os, time; os.fork() or time.sleep(600); time.sleep(0.1); raise SystemExit(3)"
    component = ProcessComponent("peer", [sys.executable, "-I", "-S", "-c", source])
    component.watch(lambda ended: (exits.append(ended), told.set()))
    component.start()
    group = component.pid
    {after}
    assert told.wait(30)
    component.stop()
    assert not component.running
    from tests.supervision.processes import in_group
    assert in_group(group) == []
    print(exits[0].is_clean, exits[0])
    again = ProcessComponent("again", ["sleep", "600"])
    again.start()
    again.stop()
    assert not again.running
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("signal.signal(signal.SIGCHLD, signal.SIG_IGN)", ""),
        ("signal.signal(signal.SIGCHLD, reap)", "time.sleep(0.3)"),
    ],
    ids=["ignored", "handled"],
)
def test_an_exit_code_that_somebody_else_has_taken_is_no_clean_end(before, after):
    (line,) = run_apart(REAPED.format(before=before, after=after)).splitlines()
    clean, text = line.split(" ", 1)
    assert clean == "False"
    assert text == "exit code 3" or "something else in this program has taken its exit code" in text


def test_a_stop_while_it_starts_waits_and_ends_it(process, monkeypatch):
    began, may_go_on = threading.Event(), threading.Event()

    def slow(plan, spawn=child.spawn):
        began.set()
        assert may_go_on.wait(SECONDS)
        return spawn(plan)

    monkeypatch.setattr(child, "spawn", slow)
    component = process(SLEEPS)
    errors = []

    def run():
        try:
            component.start()
        except RuntimeError as error:
            errors.append(str(error))

    starter = threading.Thread(target=run)
    starter.start()
    assert began.wait(SECONDS)
    stopper = threading.Thread(target=component.stop)
    stopper.start()
    wait_until(lambda: component._run.is_stopping)
    may_go_on.set()
    starter.join(SECONDS)
    stopper.join(SECONDS)
    assert errors == ["<ProcessComponent 'peer'> was stopped while it started"]
    assert not component.running


def test_a_start_that_hangs_makes_stop_fail_and_what_comes_late_is_ended(process, monkeypatch):
    may_go_on, pids = threading.Event(), []

    def slow(plan, spawn=child.spawn):
        assert may_go_on.wait(SECONDS)
        spawned = spawn(plan)
        pids.append(spawned.pid)
        return spawned

    monkeypatch.setattr(child, "spawn", slow)
    monkeypatch.setattr(child, "_STARTS_NS", 1_000_000)
    component = process(SLEEPS)
    errors = []

    def run():
        try:
            component.start()
        except RuntimeError as error:
            errors.append(error)

    starter = threading.Thread(target=run)
    starter.start()
    wait_until(lambda: component._run is not None)
    with pytest.raises(RuntimeError, match="its start has not come to its end"):
        component.stop()
    with pytest.raises(RuntimeError, match="runs already"):
        component.start()
    may_go_on.set()
    starter.join(SECONDS)
    assert errors
    assert not is_running(pids[0])
    component.stop()


def test_a_process_that_cannot_be_killed_is_not_started_a_second_time(process, monkeypatch):
    monkeypatch.setattr(child, "signal_group", lambda *_: None)
    monkeypatch.setattr(child, "_DIES_NS", 1_000_000)
    component = process(SLEEPS, kill_after=0)
    component.start()
    with pytest.raises(RuntimeError, match="still runs 0 seconds after SIGKILL"):
        component.stop()
    with pytest.raises(RuntimeError, match="runs already"):
        component.start()
    monkeypatch.undo()
    os.kill(component.pid, signal.SIGKILL)
    component.stop()
    assert not component.running


@pytest.mark.parametrize("place", ["open_pidfd", "start_thread", "pipe"])
def test_a_start_that_fails_half_way_leaves_nothing(process, monkeypatch, place):
    def fail(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    component = process(SLEEPS)
    before, children = files_here(), children_here()
    with monkeypatch.context() as patch:
        if place == "open_pidfd":
            patch.setattr(exits, "open_pidfd", fail)
        elif place == "pipe":
            patch.setattr(child, "Stream", fail)
        else:
            patch.setattr("holdfast.supervision.watching.start_thread", fail)
        with pytest.raises(OSError, match="Too many open files"):
            component.start()
    component.stop()
    assert not component.running
    assert files_here() <= before
    assert children_here() <= children
    component.start()
    assert component.running


def test_an_interrupted_stop_can_be_called_again(process, monkeypatch):
    component = process(program(DEAF + READY), kill_after=SECONDS)
    start(component)

    class Interrupted(BaseException):
        pass

    def interrupt(*_):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(child.ThreadWaiter, "park", interrupt)
        with pytest.raises(Interrupted):
            component.stop()
    os.kill(component.pid, signal.SIGKILL)
    component.stop()
    assert not component.running


def test_an_end_is_told_once_there_is_a_thread_for_it_and_others_are_noticed(process, monkeypatch):
    def start(thread):
        if thread.name == "holdfast-exit" and refused.append(1) is None and len(refused) < 3:
            raise RuntimeError("can't start new thread")
        begin(thread)

    begin, refused, told = threading.Thread.start, [], []
    monkeypatch.setattr(threading.Thread, "start", start)
    for number in range(2):
        component = process(["true"])
        component.watch(told.append)
        component.start()
        wait_until(lambda n=number: len(told) == n + 1)
    assert len(refused) == 4


def test_a_listener_that_raises_or_hangs_holds_no_other_process_up(process, caplog):
    free = threading.Event()

    def hang(_):
        free.wait(SECONDS)

    def fail(_):
        raise ValueError("of the listener")

    for name, listener in (("hangs", hang), ("raises", fail)):
        component = process(["true"], name=name)
        component.watch(listener)
        component.start()
    assert Watched(process(["true"], name="third")).start().wait() == Exit(code=0)
    free.set()


def test_in_a_forked_child_no_process_of_its_parent_runs():
    run_apart(
        """
        import os, signal, sys, threading, time
        from holdfast.supervision import ProcessComponent
        told = threading.Event()
        component = ProcessComponent("peer", ["sleep", "600"])
        component.watch(lambda ended: told.set())
        component.start()
        pid = component.pid
        files = len(os.listdir("/proc/self/fd"))
        child = os.fork()
        if child == 0:
            try:
                assert not component.running and component.pid is None
                component.stop()
                assert len(os.listdir("/proc/self/fd")) < files - 4
                os.kill(pid, 0)
                other = ProcessComponent("other", ["sleep", "600"])
                other.start()
                assert other.running
                other.stop()
                component.start()
                assert component.pid != pid
                component.stop()
                os._exit(0)
            except BaseException:
                import traceback; traceback.print_exc()
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert component.pid == pid
        os.kill(pid, signal.SIGKILL)
        assert told.wait(30)
        component.stop()
        """
    )


def test_the_interpreter_ends_while_processes_run():
    out = run_apart(
        """
        from holdfast.supervision import ProcessComponent
        component = ProcessComponent("peer", ["sleep", "600"])
        component.start()
        print(component.pid)
        """
    )
    wait_until(lambda: not is_running(int(out)), "the guard has killed it")


def test_the_look_for_members_of_a_group_is_not_misled_by_names(process, tmp_path):
    tool = tmp_path / "a) S 1 1"
    tool.symlink_to(Path("/bin/sleep").resolve())
    component: ProcessComponent = process([tool, "600"])
    component.start()
    wait_until(lambda: groups.members(component.pid) == [component.pid])
