"""Threads and tasks of several event loops on the same objects, cancelled at random."""

import asyncio
import random

import pytest

import holdfast as hf
from tests.stress.test_conservation import Gauge, run_threads

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("seed", range(3))
def test_places_come_home_from_threads_and_cancelled_tasks(seed, stress_scale):
    # BH-02, trap 32, trap 33, trap 35
    bulkhead = hf.Bulkhead("b", max_concurrent=4, max_waiting=1_000 * stress_scale, max_wait=None)
    breaker = hf.CircuitBreaker("c", failure_threshold=10**6)
    pipe = hf.Pipeline("p", breaker, bulkhead)
    inside = Gauge()
    turns = 300 * stress_scale

    @pipe
    def sync_call() -> None:
        with inside.counted():
            pass

    @pipe
    async def async_call(steps: int) -> None:
        with inside.counted():
            for _ in range(steps):
                await asyncio.sleep(0)

    def in_a_thread() -> None:
        for _ in range(turns):
            sync_call()

    async def with_cancellations(rng: random.Random) -> None:
        tasks: list[asyncio.Task[None]] = []
        for _ in range(turns):
            tasks.append(asyncio.create_task(async_call(rng.randrange(4))))
            if rng.random() < 0.4:
                rng.choice(tasks[-20:]).cancel()
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(r) for r in results} <= {type(None), asyncio.CancelledError}

    def in_a_loop(number: int) -> None:
        asyncio.run(with_cancellations(random.Random(f"{seed} {number}")))

    run_threads(lambda number: in_a_loop(number) if number < 3 else in_a_thread(), 7)
    places = bulkhead.snapshot()
    assert inside.most <= 4
    assert (places.active, places.queued) == (0, 0)
    assert places.admitted == places.completed + places.undone
    calls = breaker.snapshot()
    assert calls.in_flight == 0
    assert calls.admitted == calls.succeeded + calls.failed + calls.ignored + calls.abandoned


def test_tokens_come_back_from_cancelled_waiters(stress_scale):  # trap 32, trap 41
    clock = hf.ManualClock(auto=False)
    limiter = hf.RateLimiter("l", rate=10, burst=5, max_wait=None, clock=clock)

    async def scene(rng: random.Random) -> int:
        taken = 0

        async def take() -> None:
            nonlocal taken
            await limiter.aacquire()
            taken += 1

        tasks = [asyncio.create_task(take()) for _ in range(40)]
        await asyncio.sleep(0)
        for task in rng.sample(tasks, 20):
            task.cancel()
        while not all(task.done() for task in tasks):
            clock.advance(0.1)
            for _ in range(3):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        return taken

    for turn in range(20 * stress_scale):
        limiter.clear()
        taken = asyncio.run(scene(random.Random(turn)))
        assert taken >= 20
        clock.advance(10)
        assert limiter.available == 5
