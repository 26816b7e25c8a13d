"""What comes at a bad moment: listeners that stop or exit, starts and looks at the same time."""

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time
from collections import deque
from functools import partial
from types import MappingProxyType

import pytest

from holdfast import ConfigError, PerformanceMonitor, ResourceLimitError

SOON = 20.0  # a generous limit for what happens at once

# ---- listeners ----


def test_a_listener_of_a_cleanup_may_stop_the_manager(resources):  # D-C-8
    resources.on_event(lambda event: resources.stop(SOON) if event.kind == "cleaned" else None)
    resources.register("a", "file", lambda: None)
    began = time.monotonic()
    assert resources.cleanup("a") is True
    assert time.monotonic() - began < SOON / 2  # it has not waited for itself


def test_a_listener_of_a_cleanup_that_hangs_may_stop_the_manager(resources, gate):  # D-C-8
    seen = []
    resources.set_times(cleanup_timeout=0.05)
    resources.on_event(
        lambda event: seen.append(resources.stop(None)) if event.kind == "cleanup_failed" else None
    )
    resources.register("b", "file", lambda: seen.append("b"))
    resources.register("a", "file", gate.wait)
    assert resources.cleanup_all() == 2
    assert "b" in seen
    assert len(seen) == 2


def test_a_listener_that_exits_delays_no_cleanup(resources):  # D-C-8
    seen = []

    def leave(event):
        if event.kind == "cleaned":
            raise SystemExit

    resources.on_event(leave)
    for i in range(3):
        resources.register(i, "file", lambda i=i: seen.append(i))
    began = time.monotonic()
    assert resources.cleanup_all() == 3
    assert time.monotonic() - began < SOON / 2
    assert seen == [2, 1, 0]


def test_what_is_left_is_cleaned_though_a_listener_exits_where_it_is_waited_for(resources, gate):
    closed = threading.Event()

    def leave(event):
        if event.kind == "cleanup_failed":
            raise SystemExit

    resources.set_times(cleanup_timeout=0.05)
    resources.on_event(leave)
    resources.register("last", "file", closed.set)
    resources.register("hangs", "file", gate.wait)
    resources.register("hangs too", "file", gate.wait)
    with pytest.raises(SystemExit):
        resources.cleanup_all()
    assert closed.wait(SOON)
    assert resources.stop(SOON) is True


def test_a_listener_of_a_refusal_may_make_room(resources):  # RS-06
    resources.set_limit("file", 1)
    resources.register("old", "file")
    made = []

    def make_room(event):
        if event.kind == "refused":
            resources.unregister("old")
            made.append(resources.register("new", "file"))

    resources.on_event(make_room)
    with pytest.raises(ResourceLimitError):
        resources.register("new", "file")
    assert resources.get("new") is made[0]


# ---- several threads ----


def test_starts_at_the_same_time_begin_one_loop(resources):
    for _ in range(20):
        barrier = threading.Barrier(3)

        def start(barrier=barrier):
            barrier.wait(SOON)
            resources.start()

        threads = [threading.Thread(target=start) for _ in range(2)]
        made = []
        begin = resources._begin

        def recorded(tick, begin=begin, made=made):
            one = begin(tick)
            made.append(one)
            return one  # not made[-1], which may be the other thread's

        resources._begin = recorded
        for thread in threads:
            thread.start()
        barrier.wait(SOON)
        for thread in threads:
            thread.join(SOON)
        assert resources.running
        assert sum(one is not None and one.running for one in made) == 1
        resources.stop()
        assert not any(one is not None and one.running for one in made)
        resources._begin = begin


def test_a_cleanup_that_is_about_to_begin_is_waited_for(resources):  # RS-07
    """A round is never over between the queue and the run, which is asked without a lock."""
    seen = []

    class Queue(deque):
        def popleft(self):
            job = super().popleft()
            seen.append(one.is_over)
            return job

    resource = resources.register("a", "file", lambda: None)
    resources.unregister("a")
    one = resources._round(Queue([resource]), 10**9)
    assert one.drive()
    assert seen == [False]


def test_what_the_event_loop_has_to_await_is_not_lost_by_waiting_in_it(resources):
    async def close(closed):
        closed.set()

    async def use():
        first, second = asyncio.Event(), asyncio.Event()
        resources.register("a", "connection", partial(close, first))
        resources.register("b", "connection", lambda: close(second))
        assert resources.cleanup_all() == 2
        await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), SOON)
        await resources.astop(SOON)

    asyncio.run(use())
    assert resources.snapshot().kinds["connection"].cleanup_errors == 0


# ---- what makes no sense ----


def test_an_amount_beyond_all_is_refused(resources):
    with pytest.raises(ConfigError, match="amount: got"):
        resources.register("a", "memory", amount=1 << 60)
    assert not resources.is_managed("a")


# ---- the monitor ----


def test_any_mapping_tells_the_figures_of_a_cache():  # PM-04
    monitor = PerformanceMonitor("shop")
    monitor.watch_cache("prices", lambda: MappingProxyType({"hits": 1, "misses": 2}))
    assert monitor.collect().caches["prices"].misses == 2


def test_looks_at_the_same_time_call_no_cache_a_silent_one():  # PM-04
    monitor, errors = PerformanceMonitor("shop"), []
    monitor.watch_cache("prices", lambda: {"hits": 1, "misses": 2})

    def look():
        errors.extend([monitor.collect().caches["prices"].error for _ in range(50)])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [None] * 200


def test_processor_time_of_a_forked_child_begins_anew():  # PM-02
    while time.process_time() < 0.5:
        pass
    monitor = PerformanceMonitor("shop")
    child = os.fork()
    if child == 0:
        try:
            until = time.process_time() + 0.15
            while time.process_time() < until:
                pass
            assert monitor.collect().system.own_cpu > 0
        except BaseException:  # pytest must not go on in the child
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_every_folder_that_is_made_for_a_file_is_for_this_user_alone(tmp_path):  # PM-06
    before = os.umask(0o022)
    try:
        PerformanceMonitor("shop", publish=f"file:{tmp_path}/a/b/c.json").collect()
    finally:
        os.umask(before)
    for made in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


# ---- Ctrl-C ----


def test_ctrl_c_at_any_moment_loses_nothing_and_counts_nothing_twice():  # RS-05, RS-07
    code = """
import logging, random, signal, time
from functools import partial
import holdfast as hf

logging.disable(logging.CRITICAL)  # clean-ups that Ctrl-C has ended
resources = hf.ResourceManager("shop", max_resources=100_000, cleanup_timeout=60)
runs, armed, interrupts = [], False, 0

def interrupt(number, frame):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

def work(n):
    for i in range(100):
        for j in range(4):
            resources.register((n, i, j), "file", partial(runs.append, (n, i, j)))
        resources.unregister((n, i, 0))
        resources.cleanup((n, i, 1))
        with resources.get((n, i, 2)):
            pass
        resources.cleanup_all()

signal.signal(signal.SIGALRM, interrupt)
until = time.monotonic() + 60
for n in range(2000):
    armed = True
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 5e-4))
        work(n)
    except KeyboardInterrupt:
        interrupts += 1
    armed = False
    if time.monotonic() > until:
        break
signal.setitimer(signal.ITIMER_REAL, 0)
assert resources.stop(60) is True
file = resources.snapshot().kinds["file"]
assert resources.count() == resources.count("file") == file.active == 0
assert not resources._living and not resources._rounds
assert file.created == file.cleaned + file.unregistered
assert len(runs) == len(set(runs)) == file.cleaned, (len(runs), file)
assert file.cleanup_errors <= interrupts
print("interrupted" if interrupts else "never")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_the_end_of_the_interpreter_waits_for_a_stop_that_was_interrupted():  # RS-07
    code = """
import os, signal, time
import holdfast as hf

def close():
    time.sleep(0.3)  # the interpreter would have ended by then
    print("closed")

resources = hf.ResourceManager("shop", cleanup_timeout=60)
resources.start()
resources.register("a", "file", close)
resources.register("b", "file", lambda: os.kill(os.getpid(), signal.SIGINT))
resources.stop(60)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "closed\n"
    assert "KeyboardInterrupt" in done.stderr
