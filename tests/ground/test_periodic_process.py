"""Loops in the background when their process forks, is interrupted or ends, and under greenlets."""

import importlib.util
import os

import pytest

from tests.apart import run_apart
from tests.interpreters import forks_beside_threads
from tests.runtimes.greenlets import run_scenes

BEGIN = """
import os, signal, sys, threading
sys.path.insert(0, ".")
import holdfast as hf
from holdfast.periodic import Periodic
from tests.apart import in_child
from tests.waiting.parties import LIMIT, until

def threads():
    return [thread.name for thread in threading.enumerate() if "periodic" in thread.name]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@forks_beside_threads
def test_a_forked_child_runs_no_loop_until_it_starts_one():
    run_apart(
        BEGIN
        + """
clock = hf.ManualClock()
seen = []
def tick():
    seen.append(os.getpid())
def hang():
    inside.set()
    out.wait()
inside, out = threading.Event(), threading.Event()
hanging = Periodic(hang, 0.001, name="hangs")
hanging.start()
inside.wait()
loops = [Periodic(tick, 0.001, name="thread"), Periodic(tick, 1, name="m", clock=clock)]
for loop in loops:
    loop.start()
until(lambda: loops[0].ticks > 2)

def check():
    here = len(seen)
    assert not any(loop.running for loop in [*loops, hanging])
    clock.advance(10)
    loops[0].wake()
    assert all(loop.stop() for loop in [*loops, hanging])
    assert os.getpid() not in seen[here:]
    for loop in loops:
        loop.start()
    until(lambda: loops[0].ticks > 2)
    before = loops[1].ticks
    clock.advance(3)
    assert loops[1].ticks == before + 3 and os.getpid() in seen
    assert all(loop.stop() for loop in loops)

in_child(check)
assert all(loop.running for loop in loops)
there = loops[0].ticks
until(lambda: loops[0].ticks > there)
out.set()
assert all(loop.stop() for loop in [*loops, hanging]) and threads() == []
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_python_is_not_told_of_runs_no_loop_until_it_starts_one():
    """Without threads: after such a fork, CPython may wait for ever for threads of the parent."""
    run_apart(
        BEGIN
        + """
import ctypes
os.fork = ctypes.PyDLL(None).fork
clock = hf.ManualClock()
seen = []
loop = Periodic(lambda: seen.append(os.getpid()), 1, name="m", clock=clock)
loop.start()

def check():
    assert not loop.running
    clock.advance(10)
    loop.wake()
    assert loop.stop() and os.getpid() not in seen
    loop.start()
    clock.advance(3)
    assert seen.count(os.getpid()) == 4 and loop.stop()

in_child(check)
clock.advance(3)
assert loop.running and seen == [os.getpid()] * 4 and loop.stop()
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_a_task_forks_may_run_the_loop_of_the_task_in_its_own_event_loop():
    run_apart(
        BEGIN
        + """
import asyncio

async def main():
    async with Periodic(lambda: None, 3600, name="p") as periodic:
        await asyncio.sleep(0)
        in_child(lambda: check(periodic))
        assert periodic.running

def check(periodic):
    assert not periodic.running
    assert periodic.stop()
    asyncio.run(tick_once(periodic))

async def tick_once(periodic):
    there = periodic.ticks
    async with periodic:
        while periodic.ticks == there:
            await asyncio.sleep(0)

asyncio.run(main())
"""
    )


def test_a_process_ends_although_a_loop_runs_and_its_tick_hangs():
    out = run_apart(
        BEGIN
        + """
inside = threading.Event()
def hang():
    inside.set()
    threading.Event().wait()
Periodic(hang, 1, name="hangs").start()
Periodic(lambda: None, 0.001, name="goes on").start()
inside.wait()
print("to its end")
"""
    )
    assert out == "to its end\n"


def test_a_signal_handler_may_stop_a_loop_wherever_it_interrupts_the_main_thread():
    run_apart(
        BEGIN
        + """
signal.signal(signal.SIGALRM, lambda *_: stopped.append(periodic.stop()))
for clock in [None, hf.ManualClock()]:
    periodic = Periodic(lambda: None, 0.001, name="p", clock=clock)
    stopped = []
    while len(stopped) < 200:
        after = 0.0002 + len(stopped) * 1e-6
        there = len(stopped)
        signal.setitimer(signal.ITIMER_REAL, after)
        while len(stopped) == there:
            periodic.start()
            periodic.wake()
            if clock:
                clock.advance(0.01)
    assert periodic.stop()
    until(lambda: not threads())

def tick():  # a handler that interrupts the tick itself
    signal.raise_signal(signal.SIGALRM)
    assert stopped == [True]

stopped.clear()
periodic = Periodic(tick, 1, name="p", clock=clock)
periodic.start()
assert not periodic.running
assert (periodic.ticks, periodic.failures) == (1, 0)
"""
    )


def test_a_signal_handler_of_an_event_loop_may_stop_a_loop_in_it():
    run_apart(
        BEGIN
        + """
import asyncio

async def main():
    loop = asyncio.get_running_loop()
    periodic = Periodic(lambda: None, 0.001, name="p")
    loop.add_signal_handler(signal.SIGALRM, periodic.stop)
    async with periodic:
        signal.raise_signal(signal.SIGALRM)
        while periodic.running:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

asyncio.run(main())
"""
    )


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_loops_tick_in_greenlets_and_a_killed_one_is_replaced(library, require_real):
    if importlib.util.find_spec(library) is None:
        require_real(f"{library} is not installed")
    scenes = {
        "ticks": """
            import logging, threading
            from holdfast.periodic import Periodic
            logging.getLogger("holdfast").addHandler(logging.NullHandler())
            hanging = Periodic(lambda: (inside.set(), out.wait()), 0.001, name="hangs")
            inside, out = threading.Event(), threading.Event()
            hanging.start()
            inside.wait()
            ticks = []
            def tick():
                ticks.append(threading.current_thread())
                if len(ticks) == 3:
                    raise Dead
            from greenlet import GreenletExit as Dead
            other = Periodic(tick, 0.001, name="other")
            other.start()
            while len(ticks) < 6:
                sleep(0)
            log.append(other.stop())
            log.append(hanging.stop(0.01))
            out.set()
            log.append(hanging.stop())
            log.append(other.failures)
            print(*log)
        """
    }
    said = run_scenes(library, True, scenes)
    assert said["ticks"] == ["True False True 1"]
