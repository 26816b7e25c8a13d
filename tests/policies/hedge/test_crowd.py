"""Thousands of hedged calls that fail, are cancelled and run out of time leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from contextlib import suppress
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate
from holdfast.waiting import hedged_tasks
from tests.policies.hedge.hedges import DownError, Response, counted
from tests.waiting.parties import until

CALLS = 10_000


async def test_ten_thousand_calls_in_tasks_leave_no_task_timer_deadline_or_open_result(loop):
    rng, made, answers = random.Random(7), [], set()
    budget = hf.RetryBudget(ratio=0.3, min_per_second=100, clock=loop.clock)
    hedge = hf.Hedge(
        "h", delay=0.02, max=2, budget=budget, on=(DownError, TimeoutError), clock=loop.clock
    )
    places = hf.Bulkhead("b", max_concurrent=60)
    breaker = hf.CircuitBreaker("c", failure_threshold=10**6, clock=loop.clock)
    total, inner = (hf.Timeout(seconds, clock=loop.clock) for seconds in (0.08, 0.05))
    pipe = hf.Pipeline("p", total, hedge, places, breaker, inner)
    told: list[Any] = []
    loop.set_exception_handler(lambda _, context: told.append(context))

    async def attempt() -> Response:
        kind = rng.random()
        try:
            await asyncio.sleep(rng.expovariate(50))
            if kind < 0.2:
                raise DownError("random")
            if kind < 0.25:
                raise KeyError("an answer")
        except asyncio.CancelledError:
            if kind > 0.9:
                await asyncio.sleep(0.001)  # cleans up
            if kind > 0.95:
                raise DownError("in its clean-up") from None
            if kind < 0.95:
                raise
        response = Response(len(made))
        made.append(response)
        return response

    async def call() -> None:
        with suppress(hf.HoldfastError, DownError, KeyError):
            answers.add(await pipe.acall(attempt))

    async def caller(n: int) -> None:
        await asyncio.sleep(n * 0.002)
        task = asyncio.ensure_future(call())
        if rng.random() < 0.2:
            loop.call_later(rng.random() / 20, task.cancel)
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelling() == 0 or task.cancelled() or task.done()

    await asyncio.gather(*(caller(n) for n in range(CALLS)))
    await asyncio.sleep(1)
    shown = hedge.snapshot()
    assert min(shown.hedged, shown.won, shown.failed, shown.cancelled, shown.refused) > 10
    assert [r for r in made if r not in answers and r.closed != 1] == []
    assert [r for r in answers if r.closed] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (places.in_flight, breaker.snapshot().in_flight, hedged_tasks._tasks) == (0, 0, set())
    assert gate._limits_in_force() == 0
    spent = budget.snapshot()
    assert shown.attempts == spent.withdrawn - spent.given_back
    gc.collect()
    assert told == []


@pytest.mark.parametrize("cut", [False, True])
def test_many_calls_in_threads_leave_no_thread_busy_and_no_open_result(cut):
    rng, made, answers, lock = random.Random(3), [], set(), threading.Lock()
    budget = hf.RetryBudget(ratio=0.3, min_per_second=1000)
    hedge = hf.Hedge("h", delay=0.001, max=2, budget=budget, on=DownError, workers=8)
    bulkhead = hf.Bulkhead("b", max_concurrent=8, max_waiting=100, max_wait=None)
    total = hf.Timeout(0.003 if cut else 60)
    pipe = hf.Pipeline("p", total, bulkhead, hedge)

    def attempt() -> Response:
        with lock:
            seconds, fails = rng.expovariate(1000), rng.random() < 0.2
        threading.Event().wait(seconds)
        if fails:
            raise DownError("random")
        response = Response(0)
        with lock:
            made.append(response)
        return response

    def caller() -> None:
        for _ in range(50):
            outcome = pipe.try_call(attempt)
            if outcome:
                with lock:
                    answers.add(outcome.value)

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: counted(hedge, "running") == (0,))
    until(lambda: hedge._worker_threads.active == hedge._worker_threads.queued == 0)
    until(lambda: bulkhead.in_flight == 0)
    dropped = total.snapshot().late  # answers that the timeout has dropped
    assert len([r for r in made if r not in answers and r.closed != 1]) == dropped
    assert [r for r in answers if r.closed] == []
    spent, shown = budget.snapshot(), hedge.snapshot()
    assert shown.attempts == spent.withdrawn - spent.given_back
    assert gate._limits_in_force() == 0
