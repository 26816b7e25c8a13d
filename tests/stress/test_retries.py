"""Retries under many threads and tasks: every call ends once, every token is somewhere."""

import asyncio
import itertools
import random
import threading
from collections import Counter
from typing import Any

import pytest

import holdfast as hf
from tests.policies.retry.retries import waits
from tests.stress.test_conservation import THREADS, run_threads

pytestmark = pytest.mark.stress


class FaultError(Exception):
    """May be tried again."""


class Ends:
    """What one thread has seen: its calls by their end, and the attempts they took."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.attempts = 0

    def make(self, retry: Any, luck: random.Random) -> None:
        attempts = 0

        def call() -> str:
            nonlocal attempts
            attempts += 1
            draw = luck.random()
            if draw < 0.4:
                raise FaultError
            if draw < 0.45:
                raise KeyError
            if draw < 0.5:
                raise KeyboardInterrupt
            return "bad" if draw < 0.6 else "good"

        try:
            if luck.random() < 0.5:
                result = retry.call(call)
            else:
                for attempt in retry.attempts():
                    with attempt:
                        result = call()
                        attempt.set_result(result)
            self.calls["succeeded" if result == "good" else "gave up"] += 1
            self.calls["recovered"] += result == "good" and attempts > 1
        except FaultError:
            self.calls["gave up"] += 1
        except KeyError:
            self.calls["not retryable"] += 1
        except KeyboardInterrupt:
            self.calls["cancelled"] += 1
        self.attempts += attempts


def test_every_call_of_many_threads_ends_once(clock: hf.ManualClock, stress_scale: int) -> None:
    # D-RT-2: counters were plain ints; RT-22, trap 56
    calls = 1_500 * stress_scale
    budget = hf.RetryBudget(ratio=0.5, min_per_second=0, burst=100, clock=clock)
    retry = hf.Retry(
        "r",
        attempts=4,
        backoff=hf.Constant(0.001),
        on=FaultError,
        on_result=lambda result: result == "bad",
        budget=budget,
        clock=clock,
    )
    seen = [Ends() for _ in range(THREADS)]

    def work(number: int) -> None:
        luck = random.Random(number)
        for _ in range(calls):
            seen[number].make(retry, luck)

    run_threads(work)
    total = sum((one.calls for one in seen), Counter())
    snapshot = retry.snapshot()
    gave_up = snapshot.gave_up
    assert snapshot.succeeded == total["succeeded"]
    assert snapshot.recovered == total["recovered"]
    assert gave_up["not_retryable"] == total["not retryable"]
    assert gave_up["cancelled"] == total["cancelled"]
    assert gave_up["exhausted"] + gave_up["no_budget"] == total["gave up"]
    assert snapshot.succeeded + snapshot.failed == THREADS * calls
    retries = sum(snapshot.retries)
    assert snapshot.attempts == sum(one.attempts for one in seen)
    assert retries == snapshot.attempts - THREADS * calls
    assert sum(snapshot.delays.values()) == retries
    assert round(snapshot.delay * 1e9) == retries * 1_000_000
    of_budget = budget.snapshot()
    assert (of_budget.withdrawn, of_budget.given_back) == (retries, 0)
    assert of_budget.refused == gave_up["no_budget"]
    assert of_budget.successes == snapshot.succeeded
    assert all(one >= other for one, other in itertools.pairwise(snapshot.retries))


def test_tasks_cancelled_at_random_end_once_each_and_leave_nothing(
    clock: hf.ManualClock, stress_scale: int
) -> None:  # traps 41, 44, 50, 56
    tasks = 2_000 * stress_scale
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=10**6, clock=clock)
    retry = hf.Retry(
        "r", attempts=4, backoff=hf.Exponential(0.01), on=FaultError, budget=budget, clock=clock
    )
    bulkhead = hf.Bulkhead("b", max_concurrent=tasks)
    pipe = hf.Pipeline("p", hf.Timeout(0.05, clock=clock), bulkhead, retry)
    luck = random.Random(7)
    begun: Counter[int] = Counter()
    ends: Counter[str] = Counter()

    async def call(number: int) -> str:
        begun[number] += 1
        await asyncio.sleep(0)
        if luck.random() < 0.7:
            raise FaultError
        return "good"

    async def one(number: int) -> None:
        try:
            if number % 3:
                await pipe.acall(call, number)
            else:
                async for attempt in retry.attempts():
                    with attempt:
                        await call(number)
            ends["succeeded"] += 1
        except FaultError:
            ends["failed"] += 1
        except hf.DeadlineExceededError:
            ends["timed out"] += 1
        except asyncio.CancelledError:
            ends["cancelled"] += 1

    async def main() -> None:
        running = [asyncio.ensure_future(one(number)) for number in range(tasks)]
        await asyncio.sleep(0)
        while not all(task.done() for task in running):
            for _ in range(3):
                await asyncio.sleep(0)
            for task in luck.sample(running, 20):
                task.cancel()
            clock.advance(0.002)

    asyncio.run(main())
    snapshot = retry.snapshot()
    assert sum(ends.values()) == tasks
    assert snapshot.succeeded + snapshot.failed == tasks
    assert snapshot.succeeded == ends["succeeded"]
    assert snapshot.attempts == sum(begun.values())
    assert snapshot.gave_up["cancelled"] >= ends["cancelled"]
    assert ends["cancelled"] > 0
    of_budget = budget.snapshot()
    assert of_budget.withdrawn - of_budget.given_back == sum(snapshot.retries)
    assert (bulkhead.in_flight, waits(clock)) == (0, [])


def test_threads_and_loops_share_one_retry(clock: hf.ManualClock, stress_scale: int) -> None:
    # trap 56
    retry = hf.Retry(
        "r", attempts=3, backoff=hf.Constant(0), on=FaultError, budget=None, clock=clock
    )
    calls = 500 * stress_scale
    made = [0] * 8

    def in_thread(number: int) -> None:
        for _ in range(calls):
            flips = itertools.count(1)

            def call(flips: Any = flips) -> str:
                made[number] += 1
                if next(flips) < 3:
                    raise FaultError
                return "good"

            assert retry.call(call) == "good"

    def in_loop(number: int) -> None:
        async def call(flips: Any) -> str:
            made[number] += 1
            await asyncio.sleep(0)
            if next(flips) < 3:
                raise FaultError
            return "good"

        async def main() -> None:
            for _ in range(calls // 50):
                results = await asyncio.gather(
                    *(retry.acall(call, itertools.count(1)) for _ in range(50))
                )
                assert set(results) == {"good"}

        asyncio.run(main())

    run_threads(lambda number: (in_loop if number % 2 else in_thread)(number), 8)
    assert made == [3 * calls] * 8
    snapshot = retry.snapshot()
    assert (snapshot.succeeded, snapshot.recovered) == (8 * calls, 8 * calls)
    assert snapshot.retries[:2] == (8 * calls, 8 * calls)
    assert threading.active_count() < 50
