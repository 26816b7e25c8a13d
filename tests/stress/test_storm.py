"""A storm: thousands of calls at once through all policies, cut, cancelled, refused by chance.

Every call ends in exactly one way, every count of every policy is conserved, and nothing is left
in flight. The times are virtual and the chances seeded: a storm is the same each time. Quick here;
`make stress` raises more of them.
"""

import asyncio
import gc
import random
import threading
from collections import Counter
from typing import Any

import pytest

import holdfast as hf
from tests.stress.test_conservation import run_threads
from tests.waiting.virtual import VirtualLoop, run

pytestmark = pytest.mark.stress

CALLS = 10_000


class OddError(Exception):
    """What a call raises of its own."""


class Building:
    """All policies in one pipeline, and who is inside by another count."""

    def __init__(self, clock: hf.Clock, wait: float = 2.0, **limiter: Any) -> None:
        self.total = hf.Timeout(4, name="total", clock=clock)
        self.retry = hf.Retry(
            "retry",
            attempts=3,
            on=(OddError, TimeoutError),
            backoff=hf.Exponential(0.1, max=1),
            budget=hf.RetryBudget(ratio=0.3, min_per_second=50, burst=200, clock=clock),
            clock=clock,
        )
        self.breaker = hf.CircuitBreaker(
            "breaker", failure_rate=0.6, window=hf.TimeWindow(2.0), reset_timeout=0.5, clock=clock
        )
        self.limiter = hf.RateLimiter("limiter", clock=clock, **limiter)
        self.bulkhead = hf.Bulkhead(
            "bulkhead",
            max_concurrent=300,
            max_waiting=2000 if wait else 0,
            max_wait=wait,
            clock=clock,
        )
        self.attempt = hf.Timeout(1, name="attempt", clock=clock)
        self.pipe = hf.Pipeline(
            "pipe", self.total, self.retry, self.breaker, self.limiter, self.bulkhead, self.attempt
        )
        self.lock = threading.Lock()
        self.inside = self.most = self.runs = 0
        self.ran: set[object] = set()

    def come(self, call: object) -> None:
        with self.lock:
            self.ran.add(call)
            self.runs += 1
            self.inside += 1
            self.most = max(self.most, self.inside)

    def go(self) -> None:
        with self.lock:
            self.inside -= 1

    def assert_at_rest(self, ran: int) -> None:
        """Every count is conserved, and nobody is inside or waits.

        Args:
            ran: Calls whose function ran at least once. Those refused before are not counted by
                what stands outside of the retry, but where their time was over as they waited.
        """
        total, attempt = self.total.snapshot(), self.attempt.snapshot()
        retry, breaker = self.retry.snapshot(), self.breaker.snapshot()
        bulkhead, limiter = self.bulkhead.snapshot(), self.limiter.snapshot()
        assert self.inside == 0
        assert self.most <= 300
        entered = retry.succeeded + retry.failed
        assert ran <= total.in_time + total.expired <= entered
        assert total.in_time <= ran
        assert retry.failed == sum(retry.gave_up.values())
        assert retry.attempts == retry.succeeded + retry.failed + sum(retry.retries)
        budget = self.retry.budget.snapshot()
        assert budget.withdrawn - budget.given_back == sum(retry.retries)
        assert 0 <= budget.balance <= budget.burst
        assert breaker.in_flight == 0
        assert breaker.admitted == (
            breaker.succeeded + breaker.failed + breaker.ignored + breaker.abandoned
        )
        assert breaker.settled_twice == 0
        assert (bulkhead.active, bulkhead.queued) == (0, 0)
        assert bulkhead.admitted == bulkhead.completed + bulkhead.undone
        assert bulkhead.over_released == 0
        assert self.bulkhead._kernel.in_flight() == 0
        assert attempt.in_time + attempt.expired == self.runs
        assert bulkhead.completed == self.runs
        assert 0 <= limiter.available <= limiter.burst
        assert (total.observed, attempt.observed, total.abandoned) == (0, 0, 0)


async def call(building: Building, chance: random.Random, loop: VirtualLoop) -> str:
    """Make one call that does what chance wants; return how it ended."""
    ends = chance.choices(["value", "odd", "swallow", "turn", "nested"], [60, 25, 5, 5, 5])[0]
    seconds = chance.expovariate(2.0)

    async def body() -> str:
        building.come(chance)
        try:
            await asyncio.sleep(seconds)
            if ends == "turn":
                await asyncio.sleep(0)
            if ends == "nested":
                await hf.Timeout(0.3, clock=loop.clock).acall(asyncio.sleep, seconds)
        except asyncio.CancelledError:
            if ends == "swallow":
                return "value"
            raise
        finally:
            building.go()
        if ends == "odd":
            raise OddError
        return "value"

    async def through() -> str:
        how = chance.random()
        if how < 0.2:
            outcome: Any = await building.pipe.try_acall(body)
            return str(outcome.unwrap())
        if how < 0.4:
            async with hf.Timeout(chance.expovariate(1.0) + 1e-6, clock=loop.clock):
                return str(await building.pipe.acall(body))
        if how < 0.6:
            return await asyncio.wait_for(building.pipe(body)(), chance.expovariate(1.0))
        return str(await building.pipe.acall(body))

    try:
        return await through()
    except asyncio.CancelledError:
        return "cancelled"
    except Exception as error:
        return type(error).__name__


async def storm(loop: VirtualLoop, seed: int, calls: int) -> None:
    chance = random.Random(seed)
    building = Building(loop.clock, rate=3000, burst=1000, max_wait=1.0)
    tasks = []
    for number in range(calls):
        own = random.Random(f"{seed}/{number}")
        tasks.append(asyncio.create_task(call(building, own, loop)))
        if chance.random() < 0.15:
            loop.call_later(chance.expovariate(1.0), tasks[-1].cancel)
        if number % 500 == 499:
            await asyncio.sleep(chance.random() * 0.2)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    outcomes = Counter(one if isinstance(one, str) else type(one).__name__ for one in ended)
    assert sum(outcomes.values()) == calls
    errors = (OddError, asyncio.CancelledError, hf.DeadlineExceededError, hf.CircuitOpenError)
    errors += (hf.RateLimitedError, hf.BulkheadFullError, hf.BulkheadTimeoutError, TimeoutError)
    assert set(outcomes) <= {"value", "cancelled", *(error.__name__ for error in errors)}
    assert len(outcomes) >= 6, outcomes
    building.assert_at_rest(len(building.ran))
    assert all(task.done() for task in tasks)
    assert len(asyncio.all_tasks()) == 1
    await asyncio.sleep(10)
    assert loop.pending == 0
    assert hf.deadline() is None


def test_ten_thousand_calls_at_once_each_end_in_one_way(stress_scale: int) -> None:
    # GEN-04, RT-21, TO-05, D-CB-4, D-CB-5, traps 50, 51, 52
    for seed in range(stress_scale):
        run(lambda loop, seed=seed: storm(loop, seed, CALLS))


@pytest.mark.parametrize("seed", range(10, 13))
def test_smaller_storms(seed: int) -> None:
    run(lambda loop: storm(loop, seed, 1500))


def test_ten_thousand_calls_that_are_dropped_half_way_leave_nothing() -> None:
    # The loop is closed over them: nobody will ever say how they ended.
    loop = VirtualLoop()
    loop.set_exception_handler(lambda *_: None)
    building = Building(loop.clock, rate=10**6, burst=10**5, wait=0.0)

    async def body() -> None:
        building.come(object())
        try:
            await asyncio.sleep(100)
        finally:
            building.go()

    async def begin() -> None:
        tasks = [asyncio.create_task(building.pipe.acall(body)) for _ in range(CALLS)]
        for _ in range(4):
            await asyncio.sleep(0)
        del tasks

    loop.run_until_complete(begin())
    assert building.inside == 300
    loop.close()
    del loop, begin
    gc.collect()
    assert building.inside == 0
    assert building.bulkhead._kernel.in_flight() == 0
    assert building.breaker.snapshot().in_flight == 0
    snapshot = building.total.snapshot()
    assert snapshot.in_time + snapshot.expired == 0


def test_threads_that_call_at_once_each_end_in_one_way(
    clock: hf.ManualClock, stress_scale: int
) -> None:  # TO-05, CB-22
    building = Building(clock, rate=100, burst=500, max_wait=1.0)
    outcomes: list[Counter[str]] = [Counter() for _ in range(8)]
    calls = 500 * stress_scale

    def work(number: int) -> None:
        chance = random.Random(number)

        def body(turn: int) -> str:
            building.come((number, turn))
            try:
                before = hf.deadline()
                assert before is not None
                assert before <= 1
                clock.advance(chance.expovariate(3.0))
                if chance.random() < 0.1:
                    hf.check_deadline()
                if chance.random() < 0.2:
                    raise OddError
                return "value"
            finally:
                building.go()

        for turn in range(calls):
            try:
                if chance.random() < 0.2:
                    with hf.Timeout(chance.expovariate(1.0) + 1e-6, clock=clock):
                        building.pipe.call(body, turn)
                else:
                    building.pipe.call(body, turn)
                outcomes[number]["value"] += 1
            except Exception as error:
                outcomes[number][type(error).__name__] += 1
            assert hf.deadline() is None

    run_threads(work, len(outcomes))
    together = sum(outcomes, Counter())
    assert sum(together.values()) == len(outcomes) * calls
    assert {"value", "OddError", "DeadlineExceededError"} <= set(together), together
    building.assert_at_rest(len(building.ran))
