"""Clean-ups: each once, outside every lock, within a time, whatever they do."""

import asyncio
import logging
import subprocess
import sys
import threading
import time

import pytest

from holdfast import ConfigError, ManualClock, ResourceManager
from tests.apart import MAY_FORK

SOON = 20.0  # a generous limit for what happens at once


def errors(resources, kind="file"):
    return resources.snapshot().kinds[kind].cleanup_errors


# ---- what a clean-up may do ----


def test_a_cleanup_that_raises_is_counted_logged_and_changes_nothing_else(resources, caplog):
    closed = []

    def fail():
        raise ValueError("password=hunter2")

    resources.register("good", "file", lambda: closed.append("good"))
    resources.register("bad", "file", fail)
    with caplog.at_level(logging.ERROR, "holdfast"):
        assert resources.cleanup_all() == 2
    assert closed == ["good"]
    assert errors(resources) == 1
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "cleanup failed" in record.message
    assert "hunter2" not in record.message
    assert resources.count() == 0


def test_cleanup_says_whether_it_went_well(resources):
    resources.register("bad", "file", lambda: 1 / 0)
    resources.register("good", "file", lambda: None)
    assert resources.cleanup("bad") is False
    assert resources.cleanup("good") is True
    assert not resources.is_managed("bad")


@pytest.mark.parametrize("ends_process", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_cleanup_that_raises_what_ends_programs_ends_nothing(resources, ends_process):
    def fail():
        raise ends_process

    resources.register("bad", "file", fail)
    assert resources.cleanup_all() == 1
    assert errors(resources) == 1


def test_a_cleanup_that_hangs_is_given_up_and_delays_the_others_little(resources, gate):  # RS-07
    closed = []

    def hang():
        resources.set_times(cleanup_timeout=0.05)  # of this one, while it runs
        gate.wait(SOON)

    def patient(event):
        if event.kind == "cleanup_failed":
            resources.set_times(cleanup_timeout=60)

    resources.on_event(patient)
    resources.register("first", "file", lambda: closed.append("first"))
    resources.register("hangs", "file", hang)
    resources.register("last", "file", lambda: closed.append("last"))
    began = time.monotonic()
    assert resources.stop(SOON) is True
    assert time.monotonic() - began < SOON / 2
    assert closed == ["last", "first"]
    assert errors(resources) == 1
    assert resources.snapshot().kinds["file"].cleaned == 3


def test_a_shorter_limit_holds_for_a_cleanup_that_runs(resources, gate):  # RS-07
    began, answers = threading.Event(), []

    def hang():
        began.set()
        gate.wait(SOON)

    resources.register("hangs", "file", hang)
    thread = threading.Thread(target=lambda: answers.append(resources.cleanup_all()), daemon=True)
    thread.start()
    assert began.wait(SOON)
    resources.set_times(cleanup_timeout=0.05)
    thread.join(SOON / 2)
    assert answers == [1]
    assert errors(resources) == 1


def test_a_cleanup_that_ends_after_it_was_given_up_is_not_counted_again(resources, gate):
    ended = threading.Event()

    def hang():
        gate.wait(SOON)
        ended.set()
        raise ValueError

    resources.set_times(cleanup_timeout=0.05)
    resources.register("hangs", "file", hang)
    assert resources.cleanup_all() == 1
    assert errors(resources) == 1
    gate.set()
    assert ended.wait(SOON)
    resources.stop()
    assert errors(resources) == 1


def test_a_cleanup_may_call_its_manager(resources):  # D-C-8
    seen = []

    def close():
        seen.append(resources.count())
        resources.register("new", "file", lambda: seen.append("new"))
        resources.unregister("other")
        seen.append(resources.cleanup("third"))
        seen.append(resources.cleanup("old"))

    resources.register("other", "file", lambda: seen.append("other"))
    resources.register("third", "file", lambda: seen.append("third"))
    resources.register("old", "file", close)
    assert resources.cleanup("old") is True
    assert seen == [2, "third", True, False]
    assert resources.is_managed("new")


def test_a_cleanup_may_stop_its_manager(resources):  # D-C-8
    seen = []
    resources.register("other", "file", lambda: seen.append("other"))
    resources.register("old", "file", resources.stop)
    resources.start()
    assert resources.cleanup("old") is True
    assert resources.stop(SOON) is True
    assert seen == ["other"]


def test_a_listener_may_call_the_manager_and_raise(resources):  # D-C-8
    resources.on_event(lambda event: resources.unregister("other"))
    resources.on_event(lambda event: 1 / 0)
    resources.register("other", "file")
    resources.register("a", "file", lambda: None)
    assert resources.cleanup("a") is True
    assert resources.count() == 0
    assert resources.snapshot().callback_failures > 0


def test_a_listener_that_hangs_makes_no_cleanup_a_failed_one(resources, gate):
    closed = []

    def hang(event):
        if event.kind == "cleaned":
            resources.set_times(cleanup_timeout=0.05)
            gate.wait(SOON)

    resources.on_event(hang)
    resources.register("a", "file", lambda: closed.append("a"))
    assert resources.cleanup_all() == 1
    assert closed == ["a"]
    assert errors(resources) == 0


def test_cleanups_of_all_run_in_threads_of_the_manager(resources):
    threads = []
    resources.register("a", "file", lambda: threads.append(threading.current_thread()))
    resources.cleanup_all()
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


# ---- asynchronous clean-ups ----


class Loop:
    """An event loop in a thread of its own."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SOON)

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(SOON)
        self.loop.close()


def test_an_asynchronous_cleanup_runs_in_the_loop_where_it_was_registered(resources):
    threads = []

    async def close():
        threads.append(threading.current_thread())

    async def register():
        resources.register("a", "connection", close)
        resources.register("b", "connection", lambda: close())

    with Loop() as other:
        other.run(register())
        assert resources.cleanup_all() == 2
        assert threads == [other.thread] * 2


def test_an_asynchronous_cleanup_has_a_loop_of_its_own_if_that_one_is_gone(resources):
    threads = []

    async def close():
        await asyncio.sleep(0)
        threads.append(threading.current_thread())

    async def register():
        resources.register("a", "connection", close)

    asyncio.run(register())
    resources.register("b", "connection", close)
    assert resources.cleanup("a") is True
    assert resources.cleanup("b") is True
    assert threading.main_thread() not in threads


def test_an_asynchronous_cleanup_that_hangs_is_cancelled(resources):
    cancelled = threading.Event()

    async def close():
        try:
            await asyncio.sleep(SOON)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def register():
        resources.register("a", "connection", close)

    resources.set_times(cleanup_timeout=0.05)
    with Loop() as other:
        other.run(register())
        assert resources.cleanup("a") is False
        assert cancelled.wait(SOON)
    cancelled.clear()
    resources.register("b", "connection", close)
    assert resources.cleanup("b") is False
    assert cancelled.wait(SOON)
    assert errors(resources, "connection") == 2


def test_waiting_for_an_asynchronous_cleanup_in_its_own_loop_is_refused(resources):
    closed = []

    async def close():
        closed.append("a")

    async def use():
        one = resources.register("a", "connection", close)
        with pytest.raises(RuntimeError, match="use acleanup"):
            resources.cleanup("a")
        with pytest.raises(RuntimeError, match="use 'async with'"):
            one.__enter__()
        assert resources.is_managed("a")
        assert await resources.acleanup("a") is True
        resources.register("b", "connection", close)
        async with resources.register("c", "connection", close):
            pass
        assert resources.stop(SOON) is False  # it does not wait for its own loop
        await resources.astop(SOON)

    asyncio.run(use())
    assert closed == ["a"] * 3


async def test_the_event_loop_goes_on_during_a_cleanup(resources):
    turns = []
    go = threading.Event()
    resources.register("a", "file", lambda: go.wait(SOON))

    async def turn():
        turns.append("turn")
        go.set()

    task = asyncio.get_running_loop().create_task(turn())
    assert await resources.acleanup("a") is True
    await task
    assert turns == ["turn"]


# ---- idle resources ----


@pytest.fixture
def timed():
    clock = ManualClock()
    manager = ResourceManager("timed", clock=clock)
    manager.start()
    yield manager, clock
    manager.stop()


def test_only_what_was_used_and_is_not_in_use_is_cleaned_as_idle(timed):  # RS-03, RS-08, D-C-9
    resources, clock = timed
    closed = []
    never = resources.register("never used", "file", lambda: closed.append("never used"))
    used = resources.register("used", "file", lambda: closed.append("used"))
    busy = resources.register("busy", "file", lambda: closed.append("busy"))
    used.touch()
    with busy.using():
        clock.advance(3600)
        assert closed == ["used"]
        assert busy.in_use
    assert busy.last_used == 3600
    assert never.last_used is None
    clock.advance(240)
    assert closed == ["used"]
    clock.advance(120)
    assert closed == ["used", "busy"]
    assert resources.is_managed("never used")


def test_a_reported_use_keeps_a_resource(timed):  # RS-08
    resources, clock = timed
    resources.register("a", "file")
    assert resources.touch("a") is True
    for _ in range(10):
        clock.advance(290)
        assert resources.touch("a") is True
    clock.advance(360)
    assert resources.touch("a") is False


def test_two_users_of_a_resource_are_counted(timed):
    resources, _ = timed
    one = resources.register("a", "file")
    with one.using():
        with one.using():
            assert one.in_use
        assert one.in_use
    assert not one.in_use
    resources.unregister("a")
    with pytest.raises(RuntimeError, match="cannot be used"), one.using():
        pass


def test_settings_hold_at_once(timed):  # RS-08, D-C-9
    resources, clock = timed
    closed = []
    resources.register("a", "file", lambda: closed.append("a")).touch()
    resources.set_times(cleanup_interval=5, idle_after=20)
    clock.advance(19)
    assert closed == []
    clock.advance(6)
    assert closed == ["a"]
    with pytest.raises(ConfigError, match=r"cleanup_interval: got -1.*leak_age: got 'x'"):
        resources.set_times(idle_after=1, cleanup_interval=-1, leak_age="x")
    assert resources.times()["idle_after"] == 20


# ---- leaks ----


def open_something(resources):
    return resources.register("forgotten", "connection")


def test_a_leak_is_told_once_with_the_place_of_its_registration(timed, caplog):  # RS-04, D-C-9
    resources, clock = timed
    events = []
    resources.on_event(lambda event: events.append((event.kind, event.old, event.reason)))
    one = open_something(resources)
    with caplog.at_level(logging.WARNING, "holdfast"):
        clock.advance(600)
        assert not one.is_suspected_leak
        clock.advance(3600)
    assert one.is_suspected_leak
    leaks = [event for event in events if event[0] == "leak"]
    assert len(leaks) == 1
    assert "test_cleanup_round.py" in leaks[0][2]
    assert "in open_something" in leaks[0][2]
    assert "in test_a_leak_is_told_once" in leaks[0][2]
    [record] = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "holdfast.resources")
    assert "in open_something" in record.message
    assert resources.snapshot().kinds["connection"].leaks == 1
    assert resources.find_leaks() == (one,)
    assert resources.is_managed("forgotten")


def test_what_is_used_is_no_leak(timed):  # RS-04
    resources, clock = timed
    resources.set_times(idle_after=1e6)
    busy = resources.register("busy", "file")
    touched = resources.register("touched", "file")
    with busy.using():
        for _ in range(20):
            clock.advance(200)
            touched.touch()
        assert resources.find_leaks() == ()


def test_idle_cleanup_takes_away_no_leak_before_it_was_found(timed):  # D-C-9
    resources, clock = timed
    resources.set_times(leak_interval=1e6, idle_after=601)
    resources.register("a", "file").touch()
    clock.advance(700)
    assert not resources.is_managed("a")
    figures = resources.snapshot().kinds["file"]
    assert (figures.leaks, figures.cleaned) == (1, 1)


# ---- the end ----


def test_stop_cleans_everything_once_newest_first(resources):  # RS-07, D-C-9
    closed = []
    for number in range(200):
        resources.register(number, "file", lambda number=number: closed.append(number))
    resources.unregister(100)
    resources.start()
    assert resources.stop(600) is True  # with less time the next begins beside one that is slow
    assert resources.stop() is True
    assert closed == [number for number in reversed(range(200)) if number != 100]
    figures = resources.snapshot().kinds["file"]
    assert (figures.created, figures.cleaned, figures.unregistered) == (200, 199, 1)


def test_after_a_stop_nothing_is_registered_until_a_start(resources):
    resources.start()
    resources.stop()
    with pytest.raises(RuntimeError, match=r"was stopped: start\(\) it first"):
        resources.register("a", "file")
    assert resources.count() == 0
    resources.start()
    resources.register("a", "file")
    assert resources.count() == 1


def test_a_registration_that_a_stop_overtakes_is_refused(resources):
    def overtake():
        resources.stop()
        return 0

    resources._now_ns = overtake  # asked for the time just before it is in the book
    closed = []
    with pytest.raises(RuntimeError, match="was stopped"):
        resources.register("late", "file", lambda: closed.append("late"))
    assert resources.count() == 0
    assert closed == []


def test_two_stops_wait_for_the_same_cleanups(resources, gate):
    began, answers = threading.Event(), []

    def hang():
        began.set()
        gate.wait(SOON)

    resources.register("slow", "file", hang)
    first = threading.Thread(target=lambda: answers.append(resources.stop(SOON)))
    first.start()
    assert began.wait(SOON)
    assert resources.stop(0) is False
    gate.set()
    assert resources.stop(SOON) is True
    first.join(SOON)
    assert answers == [True]


def test_after_a_stop_no_thread_is_left(resources):
    before = set(threading.enumerate())
    resources.register("a", "file", lambda: None)
    resources.start()
    resources.stop()
    left = set(threading.enumerate()) - before
    assert not [one for one in left if "cleanup" in one.name]


def test_a_stop_that_does_not_wait_goes_on_in_the_background(resources, gate):
    closed = threading.Event()
    resources.register("first", "file", closed.set)
    resources.register("slow", "file", lambda: gate.wait(SOON))
    assert resources.stop(0) is False
    gate.set()
    assert closed.wait(SOON)
    assert resources.stop(SOON) is True


def test_a_stop_cleans_the_others_while_a_look_waits_for_a_cleanup_that_hangs(resources, gate):
    hangs, closed = threading.Event(), threading.Event()

    def hang():
        hangs.set()
        gate.wait(SOON)

    resources.set_times(cleanup_interval=0.001, idle_after=0.001, cleanup_timeout=SOON)
    resources.register("hangs", "file", hang).touch()
    resources.register("other", "file", closed.set)
    resources.start()
    assert hangs.wait(SOON)
    assert resources.stop(0) is False
    assert closed.wait(SOON / 2)
    gate.set()
    assert resources.stop(SOON) is True


async def test_the_loop_runs_in_a_task(resources):
    cleaned = threading.Event()
    resources.set_times(cleanup_interval=0.001, idle_after=0.001, cleanup_timeout=SOON)
    async with resources:
        assert resources.running
        resources.register("a", "file", cleaned.set).touch()
        assert await asyncio.to_thread(cleaned.wait, SOON)
        assert not resources.is_managed("a")
    assert not resources.running


def run(code):
    # Without what tests.apart watches with: a child that finalizes would wait for its thread.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", MAY_FORK, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_started_manager_cleans_at_the_end_of_the_interpreter():  # RS-07
    code = """
import holdfast as hf
started, other = hf.ResourceManager("a"), hf.ResourceManager("b")
started.start()
started.register(1, "file", lambda: print("first"))
started.register(2, "file", lambda: print("second"))
other.register(1, "file", lambda: print("never"))
"""
    assert run(code) == ["second", "first"]


def test_a_cleanup_that_hangs_does_not_keep_the_interpreter():
    code = """
import threading, logging
logging.getLogger("holdfast").setLevel(logging.CRITICAL)
import holdfast as hf
started = hf.ResourceManager("a", cleanup_timeout=60)
started.start()

def hang():
    started.set_times(cleanup_timeout=0.2)  # of this one, while it runs
    threading.Event().wait()

def patient(event):
    if event.kind == "cleanup_failed":
        started.set_times(cleanup_timeout=60)

started.on_event(patient)
started.register(1, "file", lambda: print("first"))
started.register(2, "file", hang)
"""
    assert run(code) == ["first"]


def test_without_new_threads_a_cleanup_that_hangs_keeps_neither_the_interpreter_nor_others():
    code = """
import atexit, threading, logging
logging.getLogger("holdfast").setLevel(logging.CRITICAL)
import holdfast as hf
started = hf.ResourceManager("a", cleanup_timeout=0.2)
started.start()
started.register(1, "file", lambda: print("first"))
started.register(2, "file", threading.Event().wait)

@atexit.register
def as_later_pythons_do():
    def start(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")
    threading.Thread.start = start
"""
    assert run(code) == ["first"]


def test_a_forked_child_has_nothing_registered_and_runs_nothing():
    code = """
import os, sys
import holdfast as hf
resources = hf.ResourceManager("a")
resources.start()
mine = resources.register("mine", "file", lambda: print("closed by", who, flush=True))
who = "parent"
child = os.fork()
if child == 0:
    who = "child"
    assert resources.count() == 0 and not resources.running and not mine.is_registered
    assert mine.cleanup() is False and resources.cleanup("mine") is False
    resources.register("mine", "file", lambda: print("closed by", who, flush=True))
    assert mine.unregister() is False and resources.count("file") == 1
    resources.stop()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert resources.count() == 1
"""
    assert run(code) == ["closed", "by", "child", "closed", "by", "parent"]
