"""Hundreds of retried calls of each kind and end leave neither memory nor references behind."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast import Bulkhead, Constant, ManualClock, Pipeline, Rejected, Retry, RetryBudget
from tests.gate import test_leaks as once
from tests.gate.parts import suspend
from tests.gate.test_leaks import ERROR, RESULT, drive, growth, left_behind

CALLS = 300


class Backoff(Constant):
    """One of the user's own."""

    def delay(self, attempt: int, previous: object = None) -> float:
        return 0.0


class Calls:
    """Functions of every kind that end in one way, behind a retry."""

    def __init__(self, end: str) -> None:
        self.end = end
        self.made = 0
        clock = ManualClock()
        self.budget = RetryBudget(ratio=1, min_per_second=0, burst=10**9, clock=clock)
        self.retry = Retry(
            "r",
            attempts=3,
            backoff=Backoff(0) if end == "hooks" else Constant(0),
            on=(LambdaError, Rejected) if end == "not retryable" else LookupError,
            on_result=bool if end == "results" else None,
            before_sleep=repr if end == "hooks" else None,
            on_exhausted=repr if end == "hooks" else None,
            retry_after=lambda failure: None,
            wrap=end == "wrapped",
            budget=self.budget,
            clock=clock,
        )
        if end == "hooks":
            self.retry.on_event(repr)
        self.pipeline = Pipeline("p", self.retry, Bulkhead("places", max_concurrent=10))
        if end == "refused":
            self.retry = Retry("r", on=Rejected, backoff=Constant(0), budget=None, clock=clock)
            full = Bulkhead("full", max_concurrent=1)
            full.enter()
            self.pipeline = Pipeline("p", self.retry, full)
        for name in ("plain", "coroutine", "generator", "async_generator"):
            setattr(self, f"guarded_{name}", self.pipeline(getattr(self, name)))

    def plain(self, *args: Any) -> Any:
        self.made += 1
        if self.end in ("fails", "hooks", "wrapped", "not retryable"):
            raise ERROR
        if self.end == "interrupted":
            raise Interrupt
        if self.end == "recovers" and self.made % 3:
            raise ERROR
        return RESULT

    async def coroutine(self, *args: Any) -> Any:
        await suspend()
        return self.plain()

    def generator(self, *args: Any) -> Iterator[Any]:
        yield self.plain()
        yield 2

    async def async_generator(self, *args: Any) -> AsyncIterator[Any]:
        await suspend()
        yield self.plain()
        yield 2


class LambdaError(Exception):
    """What is not raised."""


class Interrupt(BaseException):
    """What is no error."""


anything = contextlib.suppress(Exception, Interrupt)


def thrown_into(calls: Any) -> None:
    coroutine = calls.guarded_coroutine()
    with anything:
        coroutine.send(None)
        coroutine.throw(ERROR)
        drive(coroutine)


def block(calls: Any) -> None:
    with anything:
        for attempt in calls.retry.attempts():
            with attempt:
                attempt.set_result(calls.plain())
    for attempt in calls.retry.attempts():
        with anything, attempt:
            calls.plain()
        break


def async_block(calls: Any) -> None:
    async def run() -> None:
        async for attempt in calls.retry.attempts():
            with attempt:
                attempt.set_result(await calls.coroutine())

    with anything:
        drive(run())


def pipeline_block(calls: Any) -> None:
    with anything:
        for attempt in calls.pipeline.attempts():
            with attempt:
                attempt.set_result(calls.plain())
    with anything:
        for attempt in calls.pipeline.attempts():
            with anything, attempt:
                calls.plain()
            break


def async_pipeline_block(calls: Any) -> None:
    async def run() -> None:
        async for attempt in calls.pipeline.attempts():
            with attempt:
                attempt.set_result(await calls.coroutine())

    with anything:
        drive(run())


KINDS = [
    once.guard, once.call, once.try_call, once.guarded_coroutine, once.acall, once.try_acall,
    once.half_a_coroutine, thrown_into, once.generator, once.async_generator, block, async_block,
    pipeline_block, async_pipeline_block,
]  # fmt: skip
ENDS = [
    "returns", "fails", "recovers", "results", "hooks", "wrapped", "not retryable", "interrupted",
    "refused",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*was never awaited")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_retried_calls_leave_nothing_behind(kind: Callable[[Calls], None], end: str) -> None:
    # trap 59
    calls = Calls(end)

    def work() -> None:
        with anything:
            kind(calls)
        ERROR.__traceback__ = None  # it grows with each raise, ours or not

    assert left_behind(work, calls, CALLS) == {}


def test_making_and_dropping_retries_leaves_nothing_behind() -> None:  # trap 67
    def make() -> None:
        retry = Retry(
            "r",
            on=lambda error: True,
            on_result=bool,
            before_sleep=repr,
            on_exhausted=repr,
            retry_after=repr,
            backoff=Constant(1) + Backoff(1),
        )
        pipeline = Pipeline("p", retry, Retry("s", ignore=(KeyError,), on=LookupError))
        pipeline(make)
        pipeline.call(int)
        retry.on_event(print)
        next(iter(retry.attempts()))

    assert growth(make, 1_000) < 50
