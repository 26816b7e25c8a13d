"""Whose deadline holds where greenlets take turns in one thread."""

from __future__ import annotations

import contextvars
import gc
import random
import threading
import time
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate

greenlet: Any = pytest.importorskip("greenlet")

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


def rest() -> None:
    """Give way to whoever has switched here."""
    greenlet.getcurrent().parent.switch()


def test_a_greenlet_keeps_its_own_deadline_in_whatever_order_calls_end(clock):  # TO-09
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


def test_a_greenlet_that_begins_without_python_inherits_from_no_other(clock):
    def begun(fn: Any) -> Any:
        child = greenlet.greenlet(fn)
        child.gr_context = contextvars.copy_context()  # as gevent's have one
        return child

    waiting = begun(hf.Timeout(1, clock=clock).call)
    waiting.switch(rest)
    assert begun(hf.deadline).switch() is None
    assert begun(hf.Timeout(30, clock=clock).call).switch(hf.deadline) == 30
    clock.advance_ns(5 * 10**9)
    assert begun(hf.Timeout(30, clock=clock).call).switch(hf.deadline) == 30
    with pytest.raises(hf.DeadlineExceededError):
        waiting.switch()


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


@pytest.mark.parametrize("seed", range(8))
def test_random_greenlets_see_the_least_of_their_own_deadlines(seed, clock):
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


def cpu_time_inside_of_calls(n: int) -> float:
    """Return the CPU time of so many greenlets, all inside of calls at once."""
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
    assert gate._limits_in_force() == 0
    return time.process_time() - began


@pytest.mark.parametrize("n", [10, 1_000])
def test_any_number_of_greenlets_may_be_inside_of_calls(n):
    cpu_time_inside_of_calls(n)


@pytest.mark.slow  # it looks at CPU time
def test_each_of_many_greenlets_inside_of_calls_costs_the_same():
    assert cpu_time_inside_of_calls(5_000) < 1 + 5_000 * 100e-6  # 2 µs each or so
