"""Threads and tasks of several event loops on the same objects, cancelled at random."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

import holdfast as hf

pytestmark = pytest.mark.stress


class Inside:
    """An independent count of who is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self.now -= 1


def run_all(bodies: list[object]) -> None:
    failures: list[BaseException] = []

    def guarded(body: object) -> None:
        try:
            body()  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("seed", range(3))
def test_places_come_home_from_threads_and_cancelled_tasks(seed, stress_scale):
    # BH-02, trap 32, trap 33, trap 35, trap 50
    bulkhead = hf.Bulkhead("b", max_concurrent=4, max_waiting=1_000 * stress_scale, max_wait=None)
    breaker = hf.CircuitBreaker("c", failure_threshold=10**6)
    pipe = hf.Pipeline("p", breaker, bulkhead)
    inside = Inside()
    turns = 300 * stress_scale

    @pipe
    def sync_call() -> None:
        with inside:
            pass

    @pipe
    async def async_call(steps: int) -> None:
        with inside:
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

    run_all([in_a_thread] * 4 + [lambda n=n: in_a_loop(n) for n in range(3)])
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
