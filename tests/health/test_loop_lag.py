"""The lag of an event loop: how long it takes until it calls a callback."""

import asyncio
import threading
import time
from contextlib import suppress

import pytest

import holdfast as hf
from holdfast.health import HealthMonitor, LoopLagCheck
from holdfast.health import loop_lag as module


@pytest.fixture
def running():
    """An event loop of the system that runs in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class LateLoop:
    """A loop that calls each callback after a time on a manual clock."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def call_soon_threadsafe(self, callback):
        self.clock.advance(self.seconds)
        callback()


@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [
        (0.0, "passed", ""),
        (0.1, "passed", ""),
        (0.25, "degraded", "the event loop answered after 0.250 s"),
        (1.0, "degraded", "the event loop answered after 1.000 s"),
        (1.5, "failed", "the event loop answered after 1.500 s"),
    ],
)
def test_a_loop_is_judged_by_the_time_it_takes(clock, monkeypatch, seconds, verdict, said):
    monkeypatch.setattr(module, "system_clock", clock)
    result = LoopLagCheck("loop", LateLoop(clock, seconds)).run()
    assert (result.verdict, result.message) == (verdict, said)
    assert result.details["lag_seconds"] == seconds


def test_a_loop_that_has_time_passes(running):
    assert LoopLagCheck("loop", running, 30, 60).run(timeout=90).verdict == "passed"


def test_a_loop_that_is_blocked_fails_without_a_longer_wait(running):
    blocked, go_on = threading.Event(), threading.Event()

    def block():
        blocked.set()
        go_on.wait()

    running.call_soon_threadsafe(block)
    blocked.wait()
    check = LoopLagCheck("loop", running, 0.01, 0.02)
    result = check.run(timeout=60)
    assert result.verdict == "failed"
    assert result.message.startswith("the event loop has not answered for 0.0")
    go_on.set()
    assert LoopLagCheck("loop", running, 30, 60).run(timeout=90).verdict == "passed"


def test_a_closed_loop_fails():
    loop = asyncio.new_event_loop()
    loop.close()
    assert LoopLagCheck("loop", loop).run().message == "the event loop is closed"


def test_the_loop_that_runs_is_the_one_that_is_meant():
    async def main():
        check = LoopLagCheck("loop", degraded_after=30, failed_after=60)
        assert check.loop is asyncio.get_running_loop()
        return check.run(), await check.arun(timeout=90)

    in_its_thread, in_another = asyncio.run(main())
    assert in_its_thread.message == "a loop cannot be measured in its own thread"
    assert in_its_thread.verdict == "unproven"
    assert in_another.verdict == "passed"


def test_a_monitor_in_the_same_loop_notices_that_the_loop_was_blocked():
    async def main():
        monitor = HealthMonitor("here", interval=0.05)
        monitor.add(LoopLagCheck("loop", None, 0.1, 0.2, failures=1))
        failed = asyncio.Event()
        monitor.on_event(lambda event: event.new == "unhealthy" and failed.set())
        async with monitor:
            while not failed.is_set():  # on a slow machine, before a run is due
                time.sleep(0.4)  # noqa: ASYNC251 - this is the fault
                with suppress(TimeoutError):
                    await asyncio.wait_for(failed.wait(), 0.2)
            return [record.result for record in monitor.history("loop")]

    [*_, last] = [one for one in asyncio.run(main()) if one.verdict == "failed"]
    assert last.message.startswith("the event loop was late by 0.")
    assert last.details["lag_seconds"] > 0.2


def test_a_monitor_in_a_thread_does_not_blame_the_loop_for_its_own_lateness(clock, monkeypatch):
    monkeypatch.setattr(module, "system_clock", hf.ManualClock())
    monitor = HealthMonitor("there", interval=10, clock=clock)
    monitor.add(LoopLagCheck("loop", LateLoop(module.system_clock, 0.0)))
    with monitor:
        clock.advance(9)
        clock.set(100)
        assert {record.result.verdict for record in monitor.history("loop")} == {"passed"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loop": None}, "loop: got None, allowed an event loop; None only where one runs"),
        ({"loop": 7}, "loop: got 7"),
        ({"degraded_after": 0}, "degraded_after: got 0"),
        ({"degraded_after": 2}, "degraded_after: got 2, allowed at most failed_after, which is 1"),
        ({"failed_after": float("nan")}, "failed_after: got nan"),
    ],
)
def test_what_is_no_loop_or_no_limit_is_refused(running, settings, said):
    with pytest.raises(hf.ConfigError) as caught:
        LoopLagCheck("loop", **({"loop": running} | settings))
    assert said in str(caught.value)
