"""A timeout that follows what calls take, with many at once: threads, and alarms of tasks."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

import holdfast as hf
from tests.policies.timeout.adaptive_timeouts import adaptive, learnt
from tests.waiting.parties import Party, until


def test_threads_that_share_it_lose_no_sample(clock):
    timeout = adaptive(clock, name="shared by threads")
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(500):
            timeout.call(int)
            assert 0.01 <= timeout.duration <= 1.0

    for party in [Party(work) for _ in range(4)]:
        party.result()
    assert learnt(timeout) == timeout.snapshot().in_time == 2000


def test_resized_while_threads_call_it_is_within_the_bounds_of_either(clock):
    timeout = hf.AdaptiveTimeout(1.0, floor=0.5, ceiling=2.0, clock=clock)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            timeout.call(int)
            assert 0.5 <= timeout.duration <= 20.0

    parties = [Party(work) for _ in range(2)]
    for n in range(200):
        timeout.resize(1.0 if n % 2 else 10.0)
        least, most = timeout._adaptive.limits_ns()
        assert least <= timeout._adaptive.timeout_ns() <= most
    stop.set()
    for party in parties:
        party.result()


def test_work_left_behind_in_a_thread_is_a_sample_of_the_timeout():  # D-TO-1
    clock = hf.ManualClock(auto=False)
    timeout = adaptive(clock, thread=True)
    go = threading.Event()
    party = Party(timeout.call, go.wait)
    until(lambda: timeout._worker_threads is not None and timeout._worker_threads.active)
    clock.advance(1.0)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    go.set()
    until(lambda: timeout.snapshot().running == 0)
    shown = timeout.snapshot()
    assert (shown.samples, shown.average_latency, shown.abandoned) == (1, 1.0, 1)


def test_a_shorter_deadline_set_later_rings_first():
    clock = hf.ManualClock()
    timeout = adaptive(clock, 10.0, ceiling=100.0)

    async def main() -> list[str]:
        ended: list[str] = []

        async def call(name: str) -> None:
            with contextlib.suppress(hf.DeadlineExceededError):
                await timeout.acall(asyncio.sleep, 1000)
            ended.append(f"{name} at {clock.now():g}")

        tasks = []
        for name, duration in [("ten", 10), ("two", 2), ("five", 5), ("one", 1), ("forty", 40)]:
            timeout.resize(duration)
            tasks.append(asyncio.ensure_future(call(name)))
            await asyncio.sleep(0)
        for _ in range(45):
            clock.advance(1.0)
            for _ in range(5):
                await asyncio.sleep(0)
        assert all(task.done() for task in tasks)
        return ended

    assert asyncio.run(main()) == ["one at 1", "two at 2", "five at 5", "ten at 10", "forty at 40"]
    assert timeout.snapshot().expired == 5


@pytest.mark.parametrize("seed", range(2))
async def test_alarms_ring_in_the_order_of_their_deadlines_whatever_order_they_are_set_in(seed):
    import random

    rng = random.Random(seed)
    clock = hf.ManualClock()
    timeout = adaptive(clock, 10.0, floor=0.001)
    ended: list[tuple[float, float]] = []

    async def call(deadline: float) -> None:
        with contextlib.suppress(hf.DeadlineExceededError, asyncio.CancelledError):
            await timeout.acall(asyncio.sleep, 1000)
        ended.append((deadline, clock.now()))

    tasks = []
    for _ in range(60):
        timeout.resize(rng.randint(1, 60))
        tasks.append(asyncio.ensure_future(call(clock.now() + timeout.duration)))
        await asyncio.sleep(0)
        if rng.random() < 0.2:
            rng.choice(tasks).cancel()
        clock.advance(rng.choice([0, 0, 1]))
        await asyncio.sleep(0)
    while not all(task.done() for task in tasks):
        clock.advance(1.0)
        for _ in range(5):
            await asyncio.sleep(0)
    assert len(ended) == 60
    assert all(at <= deadline for deadline, at in ended)
