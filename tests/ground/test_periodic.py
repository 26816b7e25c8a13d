"""One loop in the background: when ticks run, that they never overlap, and how the loop ends."""

import asyncio
import contextlib
import logging
import threading
from datetime import timedelta

import pytest

from holdfast import ConfigError
from holdfast.periodic import Periodic
from holdfast.waiting.timer_threads import TimerThreads
from tests.waiting.parties import LIMIT, Party, until


class Times:
    """A tick that notes the time, and does what a test wants done in it."""

    def __init__(self, clock, do=lambda: None):
        self.clock = clock
        self.do = do
        self.times = []

    def __call__(self):
        self.times.append(self.clock.now())
        self.do()


class Gate:
    """A tick that stays until it is let out."""

    def __init__(self):
        self.inside = threading.Event()
        self.out = threading.Event()
        self.most = self.now = 0

    def __call__(self):
        self.now += 1
        self.most = max(self.most, self.now)
        self.inside.set()
        assert self.out.wait(LIMIT)
        self.now -= 1


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.out.set()


@pytest.fixture(autouse=True)
def no_thread_left():
    """What a test started it has stopped, and then no thread of it is left."""
    yield
    until(lambda: not threads())


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "holdfast-periodic"]


# ---- on a manual clock ----


def test_the_first_tick_runs_at_once_and_the_others_while_the_clock_passes_their_times(clock):
    tick = Times(clock)
    periodic = Periodic(tick, 10, name="p", clock=clock)
    clock.advance(3)
    with periodic:
        assert tick.times == [3]
        clock.advance(25)
        assert tick.times == [3, 13, 23]
        assert periodic.running
    clock.advance(100)
    assert tick.times == [3, 13, 23]
    assert clock.next_due_ns() is None
    assert not periodic.running


def test_ticks_missed_during_a_long_tick_are_counted_and_not_made_up(clock):
    tick = Times(clock)
    with Periodic(tick, 10, name="p", clock=clock) as periodic:
        tick.do = lambda: clock.advance(34)
        clock.advance(10)  # ends at 44; due meanwhile: 20, 30, 40
        tick.do = lambda: None
        clock.advance(20)
        assert tick.times == [0, 10, 50, 60]
        assert (periodic.ticks, periodic.missed) == (4, 3)


def test_a_tick_that_moves_its_own_clock_does_not_overlap_itself(clock):
    depths = []

    def tick():
        depths.append("in")
        clock.advance(30)
        depths.append("out")

    with Periodic(tick, 10, name="p", clock=clock):
        clock.advance(10)
    assert depths == ["in", "out"] * 2


def test_jitter_delays_each_tick_but_the_first_and_leaves_the_average(clock):
    tick = Times(clock)
    with Periodic(tick, 10, name="p", clock=clock, jitter=0.5):
        clock.advance(10_005)
    delays = [at - 10 * n for n, at in enumerate(tick.times)]
    assert delays[0] == 0
    assert len(tick.times) == 1001
    assert all(0 <= delay <= 5 for delay in delays)
    assert len({round(delay, 6) for delay in delays}) > 900


def test_waking_runs_one_tick_more_and_moves_no_other(clock):
    tick = Times(clock)
    with Periodic(tick, 10, name="p", clock=clock) as periodic:
        clock.advance(7)
        periodic.wake()
        clock.advance(5)
        assert tick.times == [0, 7, 10]
    periodic.wake()
    assert tick.times == [0, 7, 10]


def test_waking_within_a_tick_runs_one_more_after_it(clock):
    tick = Times(clock)
    periodic = Periodic(tick, 10, name="p", clock=clock)

    def twice():
        tick.do = lambda: None
        periodic.wake()
        periodic.wake()
        assert len(tick.times) == 1

    tick.do = twice
    with periodic:
        assert tick.times == [0, 0]


def test_the_lateness_of_a_tick_is_how_long_after_its_time_it_began(clock):
    lateness = []

    def tick():
        lateness.append(periodic.lateness)
        if len(lateness) == 3:
            periodic.wake()
            clock.advance(4)

    periodic = Periodic(tick, 10, name="p", clock=clock)
    with periodic:
        clock.advance(20)
        clock.advance(10)
    assert lateness == [0, 0, 0, 4, 0]


@pytest.mark.parametrize("restart", [False, True])
def test_a_tick_may_stop_its_own_loop_and_start_it_again(clock, restart):
    tick = Times(clock)
    periodic = Periodic(tick, 10, name="p", clock=clock)

    def stop():
        assert periodic.stop()
        assert not periodic.running
        tick.do = lambda: None
        if restart:
            periodic.start()

    periodic.start()
    tick.do = stop
    clock.advance(100)
    assert len(tick.times) == (12 if restart else 2)
    periodic.stop()


def test_what_a_tick_raises_is_counted_and_logged_once(clock, caplog):
    def fail():
        raise error

    error = ValueError("broken")
    tick = Times(clock, fail)
    with Periodic(tick, 10, name="disk", clock=clock) as periodic:
        clock.advance(50)
        assert (periodic.ticks, periodic.failures) == (6, 6)
        error = KeyError("another")
        clock.advance(20)
        tick.do = lambda: None
        clock.advance(10)
        tick.do = fail
        clock.advance(10)
    said = [(record.levelno, record.exc_info[0]) for record in caplog.records]
    assert said == [
        (logging.ERROR, ValueError),
        (logging.ERROR, KeyError),
        (logging.ERROR, KeyError),
    ]
    assert "disk" in caplog.text


def test_an_interruption_of_a_tick_reaches_whoever_moves_the_clock_and_the_loop_goes_on(clock):
    def interrupt():
        tick.do = lambda: None
        raise KeyboardInterrupt

    tick = Times(clock)
    with Periodic(tick, 10, name="p", clock=clock):
        tick.do = interrupt
        with pytest.raises(KeyboardInterrupt):
            clock.advance(10)
        clock.advance(10)
        assert tick.times == [0, 10, 20]


# ---- in threads ----


def test_ticks_in_a_thread_go_on_until_the_loop_is_stopped_and_no_thread_is_left():
    third = threading.Event()
    ticks = []

    def tick():
        ticks.append(threading.current_thread())
        if len(ticks) == 3:
            third.set()

    periodic = Periodic(tick, 0.001, name="p")
    periodic.start()
    periodic.start()
    assert third.wait(LIMIT)
    assert len(threads()) == 1
    assert periodic.stop()
    assert threads() == []
    there = len(ticks)
    assert periodic.stop()
    assert len(ticks) == there
    assert threading.current_thread() not in ticks


def test_a_tick_that_hangs_delays_no_other_loop_and_stopping_it_says_that_it_hangs(gate, caplog):
    other = threading.Event()
    hanging = Periodic(gate, 0.001, name="hangs")
    hanging.start()
    assert gate.inside.wait(LIMIT)
    with Periodic(other.set, 3600, name="other") as loop:
        assert other.wait(LIMIT)
        other.clear()
        loop.wake()
        assert other.wait(LIMIT)
    assert not hanging.stop(0.01)
    assert "'hangs' was stopped, but its tick still runs" in caplog.text
    assert not hanging.stop(0)
    gate.out.set()
    assert hanging.stop()
    assert threads() == []


def test_a_loop_that_is_started_while_an_old_tick_hangs_waits_for_its_end(gate):
    periodic = Periodic(gate, 0.001, name="p")
    periodic.start()
    assert gate.inside.wait(LIMIT)
    assert not periodic.stop(0)
    periodic.start()
    with Periodic(lambda: None, 0.001, name="other") as other:
        until(lambda: other.ticks > 9)
    gate.inside.clear()
    gate.out.set()
    assert gate.inside.wait(LIMIT)
    assert periodic.stop()
    assert gate.most == 1


def test_stopping_waits_for_a_tick_that_another_thread_runs_by_moving_the_clock(gate, clock):
    periodic = Periodic(gate, 10, name="p", clock=clock)
    mover = Party(periodic.start)
    assert gate.inside.wait(LIMIT)
    stopper = Party(periodic.stop, 3600)
    until(lambda: not periodic.running)
    assert not periodic.stop(0.001)
    gate.out.set()
    assert stopper.result()
    mover.result()
    assert periodic.ticks == 1


def test_a_tick_in_a_thread_may_stop_its_own_loop_also_from_a_thread_of_its_own():
    done = []

    def tick():
        import contextvars

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: done.append(periodic.stop()),))
        thread.start()
        thread.join()
        done.append(periodic.stop())

    periodic = Periodic(tick, 3600, name="p")
    periodic.start()
    until(lambda: len(done) == 2)
    assert done == [True, True]
    assert periodic.stop()


def test_many_loops_share_few_threads():
    loops = [Periodic(lambda: None, 0.005, name=f"p{n}") for n in range(500)]
    for loop in loops:
        loop.start()
    until(lambda: all(loop.ticks > 3 for loop in loops))
    assert len(threads()) <= 3
    for loop in loops:
        loop.stop(0)
    until(lambda: not threads())


def test_a_coroutine_function_needs_a_task():
    async def tick():
        pass

    with pytest.raises(TypeError, match="astart"):
        Periodic(tick, 1, name="p").start()


def test_a_tick_in_a_thread_that_returns_an_awaitable_has_failed(clock, caplog):
    async def tick():
        pass

    with Periodic(lambda: tick(), 1, name="p", clock=clock) as periodic:
        assert periodic.failures == 1
    assert "astart" in caplog.text


# ---- in tasks ----


async def test_ticks_in_a_task_run_at_their_times_and_no_task_is_left(loop):
    time = loop.time
    times = []

    async def tick():
        times.append(time())
        await asyncio.sleep(25 if len(times) == 2 else 1)

    async with Periodic(tick, 10, name="p", clock=loop.clock) as periodic:
        await asyncio.sleep(55)
    assert times == [0, 10, 40, 50]
    assert (periodic.ticks, periodic.missed) == (4, 2)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_task_that_hangs_is_cancelled_before_the_timeout_of_stopping(loop):
    time = loop.time
    ends = []

    async def tick():
        try:
            await asyncio.sleep(1e6)
        finally:
            ends.append(time())

    periodic = Periodic(tick, 10, name="p", clock=loop.clock)
    await periodic.astart()
    await asyncio.sleep(5)
    assert await periodic.astop(10)
    assert ends == [14]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_task_that_swallows_its_cancellation_is_told_of(loop, caplog):
    async def tick():
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)

    periodic = Periodic(tick, 10, name="p", clock=loop.clock)
    await periodic.astart()
    await asyncio.sleep(5)
    assert not await periodic.astop(10)
    assert "still runs after 10 s" in caplog.text
    assert await periodic.astop(10)


async def test_a_tick_in_a_task_may_stop_its_own_loop_and_be_woken(loop):
    ticks = []

    async def tick():
        ticks.append(1)
        if len(ticks) == 2:
            assert await periodic.astop()
            assert periodic.stop()

    periodic = Periodic(tick, 10, name="p", clock=loop.clock)
    await periodic.astart()
    await periodic.astart()
    await asyncio.sleep(1)
    periodic.wake()
    await asyncio.sleep(100)
    assert len(ticks) == 2
    assert not periodic.running
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_the_task_ends_the_loop_and_a_cancellation_within_a_tick_does_not(
    loop, caplog
):
    async def tick():
        if periodic.ticks == 1:
            raise asyncio.CancelledError

    periodic = Periodic(tick, 10, name="p", clock=loop.clock)
    await periodic.astart()
    await asyncio.sleep(25)
    assert (periodic.ticks, periodic.failures) == (3, 1)
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not periodic.running
    assert await periodic.astop()


def test_another_thread_may_stop_a_loop_in_a_task():
    async def main():
        async def tick():
            await asyncio.sleep(3600)

        periodic = Periodic(tick, 1, name="p")
        await periodic.astart()
        await asyncio.sleep(0)
        await asyncio.to_thread(periodic.stop, 0.1)  # too short for the end on a busy machine
        assert await asyncio.to_thread(periodic.stop, 3600)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_the_end_of_an_event_loop_ends_its_periodic():
    async def main():
        await periodic.astart()
        await asyncio.sleep(0)

    periodic = Periodic(lambda: None, 1, name="p")
    asyncio.run(main())
    assert not periodic.running
    assert periodic.stop()
    asyncio.run(main())


# ---- what it is made of ----


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": timedelta(microseconds=1)}, "interval"),
        ({"jitter": 1.5}, "jitter"),
        ({"name": ""}, "name"),
        ({"tick": 3}, "tick"),
        ({"tick": lambda: (yield)}, "tick"),
        ({"clock": 3}, "clock"),
    ],
)
def test_wrong_settings_are_refused_by_their_name(wrong, named):
    settings = {"tick": lambda: None, "interval": 1, "name": "p", **wrong}
    with pytest.raises(ConfigError, match=named):
        Periodic(settings.pop("tick"), settings.pop("interval"), **settings)


# ---- ticks that say when the next is due ----


class Said(Times):
    """A tick that says that the next is due so many seconds later."""

    def __init__(self, clock, seconds):
        super().__init__(clock)
        self.seconds = seconds

    def __call__(self):
        super().__call__()
        return None if self.seconds is None else self.clock.now_ns() + self.seconds * 10**9


def test_a_tick_may_say_when_the_next_is_due(clock):
    tick = Said(clock, 7)
    with Periodic(tick, None, name="p", clock=clock) as periodic:
        assert periodic.interval is None
        clock.advance(15)
        assert tick.times == [0, 7, 14]
        tick.seconds = 2
        clock.advance(10)
        assert tick.times == [0, 7, 14, 21, 23, 25]
    assert periodic.missed == 0
    assert clock.next_due_ns() is None


def test_a_tick_that_says_none_is_followed_by_none_before_it_is_woken(clock):
    tick = Said(clock, None)
    with Periodic(tick, None, name="p", clock=clock) as periodic:
        clock.advance(10_000_000)
        assert tick.times == [0]
        assert clock.next_due_ns() is None
        tick.seconds = 5
        periodic.wake()
        clock.advance(6)
        assert tick.times == [0, 10_000_000, 10_000_005]


def test_a_tick_that_was_to_say_when_the_next_is_due_and_raised_is_tried_again(clock, caplog):
    tick = Said(clock, 100)
    tick.do = lambda: 1 / 0
    with Periodic(tick, None, name="p", clock=clock) as periodic:
        clock.advance(2)
        assert tick.times == [0, 1, 2]
        tick.do = lambda: None
        clock.advance(50)
        assert tick.times == [0, 1, 2, 3]
        assert periodic.failures == 3
    assert len(caplog.records) == 1


def test_a_tick_says_when_the_next_is_due_in_whole_nanoseconds(clock, caplog):
    with Periodic(lambda: 0.5, None, name="p", clock=clock) as periodic:
        assert periodic.failures == 1
    assert "whole nanoseconds" in caplog.text
    with pytest.raises(ConfigError, match="0 where the ticks say"):
        Periodic(print, None, name="p", jitter=0.1)


def test_a_tick_in_a_thread_that_says_none_is_woken_and_leaves_no_thread():
    ticked = threading.Semaphore(0)
    with Periodic(ticked.release, None, name="p") as periodic:
        assert ticked.acquire(timeout=LIMIT)
        until(lambda: periodic.ticks == 1)
        periodic.wake()
        assert ticked.acquire(timeout=LIMIT)


async def test_a_tick_in_a_task_may_say_when_the_next_is_due(loop):
    tick = Said(loop.clock, 3)
    async with Periodic(tick, None, name="p", clock=loop.clock) as periodic:
        await asyncio.sleep(10)
        assert tick.times == [0, 3, 6, 9]
        tick.seconds = None
        periodic.wake()
        await asyncio.sleep(100)
        assert tick.times == [0, 3, 6, 9, 10]


def test_a_wake_while_the_next_tick_is_planned_is_not_lost(monkeypatch):
    put = TimerThreads.put
    ticks = []

    def put_late(threads, job, due_ns):
        if len(ticks) == 1 and len(woken) == 0:
            woken.append(threading.Thread(target=loop.wake))
            woken[0].start()
            woken[0].join(LIMIT)
        put(threads, job, due_ns)

    woken = []
    monkeypatch.setattr(TimerThreads, "put", put_late)
    loop = Periodic(lambda: ticks.append(1), None, name="wakes")
    with loop:
        until(lambda: len(ticks) == 2)
