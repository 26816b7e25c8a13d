"""Whose deadline holds where greenlets, contexts and tasks take turns in one thread."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate
from tests.pipeline.virtual import VirtualLoop, ended, run

greenlet: Any = pytest.importorskip("greenlet")

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


def rest() -> None:
    """Give way to whoever has switched here."""
    greenlet.getcurrent().parent.switch()


# ---- greenlets ----


def test_a_greenlet_keeps_its_own_deadline_in_whatever_order_calls_end(clock):  # trap 12
    seen: list[object] = []

    def job(seconds: float) -> None:
        def call() -> None:
            rest()
            seen.append((seconds, hf.deadline()))

        hf.Timeout(seconds, clock=clock).call(call)
        seen.append(hf.deadline())

    first, second = greenlet.greenlet(job), greenlet.greenlet(job)
    first.switch(20)
    second.switch(10)
    assert hf.deadline() is None
    first.switch()  # the one that began first ends first
    gc.collect()
    second.switch()
    assert seen == [(20, 20), None, (10, 10), None]
    assert hf.Retry("r").call(lambda: "ok") == "ok"


def test_a_greenlet_that_is_begun_inside_of_a_call_does_not_inherit(clock):
    outer, inner = hf.Timeout(1, clock=clock), hf.Timeout(30, clock=clock)
    seen: list[object] = []

    def child() -> None:
        seen.append(hf.deadline())
        inner.call(lambda: seen.append(hf.deadline()))

    outer.call(greenlet.greenlet(child).switch)
    with outer:
        greenlet.greenlet(child).switch()
    assert seen == [None, 30, None, 30]


def test_a_greenlet_that_shares_a_context_is_in_the_same_flow(clock):
    outer = hf.Timeout(3, clock=clock)

    def share() -> float | None:
        child = greenlet.greenlet(hf.deadline)
        child.gr_context = greenlet.getcurrent().gr_context
        return child.switch()

    assert contextvars.copy_context().run(outer.call, share) == 3


def test_a_block_of_a_greenlet_is_no_other_greenlets(clock):
    seen: list[object] = []

    def job(seconds: float) -> None:
        with hf.Timeout(seconds, clock=clock):
            rest()
            seen.append(hf.deadline())

    jobs = [greenlet.greenlet(job) for _ in range(3)]
    for at, one in enumerate(jobs):
        one.switch(at + 1)
    assert hf.deadline() is None
    for one in jobs:
        one.switch()
    assert seen == [1, 2, 3]


def test_a_greenlet_that_is_killed_in_a_call_leaves_nothing(clock):
    policy = hf.Timeout(1, clock=clock)
    job = greenlet.greenlet(lambda: policy.call(rest))
    job.switch()
    job.throw()
    assert job.dead
    dropped = greenlet.greenlet(lambda: policy.call(rest))
    dropped.switch()
    del dropped, job
    gc.collect()
    assert gate._limits_in_force() == 0


def test_greenlets_of_a_thread_that_ends_leave_nothing_to_others(clock):
    kept: list[Any] = []

    def run_there() -> None:
        job = greenlet.greenlet(lambda: hf.Timeout(1, clock=clock).call(rest))
        job.switch()
        kept.append(job)

    for _ in range(5):
        thread = threading.Thread(target=run_there)
        thread.start()
        thread.join()
    assert hf.deadline() is None
    kept.clear()
    gc.collect()
    assert hf.Timeout(2, clock=clock).call(hf.deadline) == 2


class Model:
    """Greenlets that enter and leave calls and blocks; each is to see the least of its own."""

    def __init__(self, seed: int, clock: hf.ManualClock) -> None:
        self.random = random.Random(seed)
        self.clock = clock
        self.checks = 0

    def body(self, ends: list[float]) -> None:
        for _ in range(self.random.randrange(1, 5)):
            self.check(ends)
            rest()
            self.check(ends)
            if len(ends) < 4:
                seconds = self.random.randrange(1000, 9000)
                self.enter(
                    hf.Timeout(seconds, clock=self.clock), [*ends, self.clock.now() + seconds]
                )

    def enter(self, policy: hf.Timeout, ends: list[float]) -> None:
        kind = self.random.randrange(4)
        if kind == 0:
            with policy:
                self.body(ends)
        elif kind == 1:
            hf.Pipeline("p", policy, hf.Timeout(9999, clock=self.clock)).call(self.body, ends)
        elif kind == 2:
            policy.call(contextvars.copy_context().run, self.body, ends)
        else:
            policy.call(self.body, ends)

    def check(self, ends: list[float]) -> None:
        assert hf.deadline() == (min(ends) - self.clock.now() if ends else None)
        self.checks += 1
        self.clock.advance(self.random.choice((0, 0.5)))


@pytest.mark.parametrize("seed", range(20))
def test_random_greenlets_see_the_least_of_their_own_deadlines(seed: int, clock) -> None:
    model = Model(seed, clock)
    jobs = [greenlet.greenlet(model.body) for _ in range(8)]
    for job in jobs:
        job.switch([])
    while jobs:
        job = model.random.choice(jobs)
        job.switch()
        assert hf.deadline() is None
        if job.dead:
            jobs.remove(job)
    assert model.checks > 50


@pytest.mark.parametrize("n", [10, 1000, 20_000])
def test_any_number_of_greenlets_may_be_inside_of_calls(n: int) -> None:
    policy, other = hf.Timeout(60), hf.Timeout(90)

    def job() -> float | None:
        policy.call(rest)
        return hf.deadline()

    jobs = [greenlet.greenlet(job) for _ in range(n)]
    began = time.process_time()
    for one in jobs:
        one.switch()
    for one in jobs[::-1]:
        assert other.call(hf.deadline) > 60
        assert one.switch() is None
    assert time.process_time() - began < 1 + n * 100e-6  # each costs the same: 2 µs or so
    assert gate._limits_in_force() == 0


# ---- contexts ----


def test_what_runs_in_another_context_inside_of_a_call_has_its_deadline(clock):
    outer, inner = hf.Timeout(3, clock=clock), hf.Timeout(1, clock=clock)

    def elsewhere(fn: Callable[..., Any], *args: Any) -> Any:
        return contextvars.copy_context().run(fn, *args)

    assert outer.call(elsewhere, hf.deadline) == 3
    assert outer.call(elsewhere, elsewhere, hf.deadline) == 3
    assert outer.call(elsewhere, inner.call, hf.deadline) == 1
    assert outer.call(elsewhere, inner.call, elsewhere, hf.deadline) == 1
    assert inner.call(elsewhere, outer.call, hf.deadline) == 1
    with outer:
        assert elsewhere(hf.deadline) == 3
    assert elsewhere(hf.deadline) is None


def test_what_runs_in_another_context_inside_of_a_task_has_its_deadline():
    async def main(loop: VirtualLoop) -> None:
        policy, shorter = (hf.Timeout(seconds, clock=loop.clock) for seconds in (3, 1))

        def elsewhere(fn: Callable[..., Any], *args: Any) -> Any:
            return contextvars.copy_context().run(fn, *args)

        async def look(*args: Any) -> object:
            return elsewhere(*args)

        assert await look(hf.deadline) is None
        assert await policy.acall(look, hf.deadline) == 3
        assert await policy.acall(look, shorter.call, elsewhere, hf.deadline) == 1

    run(main)


# ---- tasks ----


def test_tasks_that_share_a_context_have_blocks_of_their_own():
    async def main(loop: VirtualLoop) -> None:
        context = contextvars.copy_context()

        async def one(seconds: float) -> object:
            async with hf.Timeout(seconds, clock=loop.clock):
                await asyncio.sleep(0)
                return hf.deadline()

        async def none() -> object:
            await asyncio.sleep(0)
            return hf.deadline()

        tasks = [loop.create_task(one(seconds), context=context) for seconds in (3, 1, 2)]
        tasks.append(loop.create_task(none(), context=context))
        assert await asyncio.gather(*tasks) == [3, 1, 2, None]

    run(main)


def test_a_loop_that_runs_inside_of_a_call_is_inside_of_it(clock):
    seen: list[object] = []

    async def look() -> None:
        seen.append(hf.deadline())

    async def main() -> None:
        await hf.Timeout(1, clock=clock).acall(look)
        await hf.Timeout(9, clock=clock).acall(look)
        await look()

    def run_loop() -> None:
        asyncio.run(main())

    hf.Timeout(3, clock=clock).call(run_loop)
    with hf.Timeout(2, clock=clock):
        run_loop()
    run_loop()
    assert seen == [1, 3, 3, 1, 2, 2, 1, 9, None]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_inherits_neither_from_a_call_nor_from_a_block():
    async def main(loop: VirtualLoop) -> None:
        async def child() -> object:
            return hf.deadline(), await hf.Timeout(9, clock=loop.clock).acall(look)

        async def look() -> object:
            return hf.deadline()

        async def make() -> object:
            return await asyncio.create_task(child()), hf.deadline()

        policy = hf.Timeout(1, clock=loop.clock)
        assert await policy.acall(make) == ((None, 9), 1)
        async with policy:
            assert await make() == ((None, 9), 1)
        with policy:
            assert await make() == ((None, 9), 1)

    run(main, asyncio.eager_task_factory)  # type: ignore[attr-defined]


# ---- beginnings that fail ----


def test_a_function_that_returns_no_awaitable_leaves_nothing():
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        for gate_of_it in (policy, hf.Pipeline("p", policy, hf.Retry("r", clock=loop.clock))):
            error = await ended(gate_of_it.acall(lambda: 42))
            assert type(error) is TypeError
            assert hf.deadline() is None
        loop.clock.advance_ns(5 * 10**9)
        assert await hf.Timeout(1, clock=loop.clock).acall(asyncio.sleep, 0, "ok") == "ok"

    run(main)


@pytest.mark.parametrize("kind", ["block", "call", "permit"])
def test_a_deadline_at_the_end_of_time_is_none_that_could_pass(kind: str) -> None:
    clock = hf.ManualClock()
    clock.advance_ns(2**63 - 1 - clock.now_ns() - 10)
    policy = hf.Timeout(1, clock=clock)
    if kind == "block":
        with policy:
            assert hf.Timeout(1, clock=clock).call(lambda: "ok") == "ok"
    elif kind == "call":
        assert policy.call(lambda: "ok") == "ok"
    else:
        hf.Pipeline("p", policy).acquire().success()
