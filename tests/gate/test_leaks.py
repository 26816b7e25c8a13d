"""Thousands of calls of each kind and end leave neither memory nor references behind."""

import contextlib
import gc
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast import Bulkhead, CircuitBreaker, CircuitOpenError, Pipeline, Rejected
from holdfast._native import gate

CALLS = 2_000
NOTHING = (None, None, None)
ERROR = LookupError("the call's own")
RESULT = object()


class Calls:
    """Functions of every kind that end in one way, and a pipeline that lets them run or not."""

    def __init__(self, end: str) -> None:
        self.end = end
        self.breaker = CircuitBreaker("b", is_failure=lambda result: False)
        self.bulkhead = Bulkhead("places", max_concurrent=10)
        self.pipeline = Pipeline("p", self.bulkhead, self.breaker)
        if end == "refused":
            self.breaker.force_open()
        for name in ("plain", "coroutine", "generator", "async_generator"):
            setattr(self, f"guarded_{name}", self.pipeline(getattr(self, name)))

    def plain(self, *args: Any) -> Any:
        if self.end == "raises":
            raise ERROR
        return RESULT

    @types.coroutine
    def suspend(self) -> Iterator[None]:
        yield

    async def coroutine(self, *args: Any) -> Any:
        await self.suspend()
        return self.plain()

    def late(self, *args: Any) -> Any:
        return self.coroutine()

    def generator(self, *args: Any) -> Iterator[Any]:
        yield 1
        yield self.plain()

    async def async_generator(self, *args: Any) -> AsyncIterator[Any]:
        yield 1
        yield self.plain()


def drive(coroutine: Any) -> None:
    with contextlib.suppress(LookupError, Rejected):
        try:
            while True:
                coroutine.send(None)
        except (StopIteration, StopAsyncIteration):
            pass
    coroutine = None


def guard(calls: Any) -> None:
    with contextlib.suppress(LookupError, Rejected):
        calls.guarded_plain(1, 2)


def call(calls: Any) -> None:
    with contextlib.suppress(LookupError, Rejected):
        calls.pipeline.call(calls.plain, 1, 2)


def try_call(calls: Any) -> None:
    outcome = calls.pipeline.try_call(calls.plain, 1, 2)
    repr((outcome, outcome.value, outcome.error, outcome.rejection))
    with contextlib.suppress(LookupError, Rejected):
        outcome.unwrap()


def guarded_coroutine(calls: Any) -> None:
    drive(calls.guarded_coroutine(1, 2))


def acall(calls: Any) -> None:
    drive(calls.pipeline.acall(calls.coroutine, 1, 2))


def try_acall(calls: Any) -> None:
    drive(calls.pipeline.try_acall(calls.coroutine, 1, 2))


def late_coroutine(calls: Any) -> None:
    with contextlib.suppress(Rejected):
        drive(calls.pipeline(calls.late)(1))


def new_guard(calls: Any) -> None:
    calls.pipeline(calls.plain).mark = 1
    calls.pipeline(calls.coroutine).__annotations__  # noqa: B018 - looks it up


def half_a_coroutine(calls: Any) -> None:
    coroutine = calls.guarded_coroutine()
    with contextlib.suppress(Rejected):
        coroutine.send(None)
    coroutine.close()
    coroutine = calls.guarded_coroutine()
    with contextlib.suppress(Rejected):
        coroutine.send(None)


def thrown_into(calls: Any) -> None:
    for started in (False, True):
        coroutine = calls.guarded_coroutine()
        with contextlib.suppress(LookupError, Rejected):
            if started:
                coroutine.send(None)
            coroutine.throw(ERROR)


def looked_at(calls: Any) -> None:
    coroutine = calls.guarded_coroutine()
    for name in ("cr_code", "cr_frame", "cr_await", "cr_running", "__name__", "__qualname__"):
        getattr(coroutine, name)
    repr(coroutine)
    coroutine.close()


def generator(calls: Any) -> None:
    with contextlib.suppress(LookupError, Rejected):
        list(calls.guarded_generator(1))


def half_a_generator(calls: Any) -> None:
    stream = calls.guarded_generator()
    with contextlib.suppress(Rejected):
        next(stream)


def async_generator(calls: Any) -> None:
    async def consume() -> None:
        async for _ in calls.guarded_async_generator(1):
            pass

    drive(consume())


def block(calls: Any) -> None:
    with contextlib.suppress(LookupError, Rejected), calls.pipeline:
        calls.plain()


def async_block(calls: Any) -> None:
    async def run() -> None:
        async with calls.pipeline:
            await calls.coroutine()

    drive(run())


def by_hand(calls: Any) -> None:
    with contextlib.suppress(Rejected):
        calls.pipeline.__enter__()
        calls.pipeline.__exit__(*NOTHING)
    with contextlib.suppress(LookupError, Rejected), contextlib.ExitStack() as stack:
        stack.enter_context(calls.pipeline)
        calls.plain()


def looked_up(calls: Any) -> None:
    for name in ("__enter__", "__exit__", "__aenter__", "__aexit__"):
        assert hasattr(calls.pipeline, name)


def permit(calls: Any) -> None:
    with contextlib.suppress(LookupError, Rejected), calls.pipeline.acquire():
        calls.plain()
    with contextlib.suppress(Rejected):
        held = calls.pipeline.acquire()
        held.failure(ERROR)
        held.success()
    with contextlib.suppress(Rejected):
        calls.pipeline.acquire()  # and dropped
    drive(calls.pipeline._apermit())


def misuse(calls: Any) -> None:
    for wrong in (
        lambda: calls.pipeline.call(calls.coroutine),
        lambda: calls.pipeline.call(calls.late),
        lambda: calls.pipeline.try_call(calls.generator),
        lambda: calls.pipeline.call(42),
        lambda: calls.pipeline(42),
        lambda: calls.pipeline.__exit__(*NOTHING),
        lambda: calls.pipeline.__exit__(),
        lambda: drive(calls.pipeline.acall(calls.plain)),
    ):
        with contextlib.suppress(TypeError, RuntimeError, Rejected, LookupError):
            wrong()


KINDS = [
    guard, call, try_call, guarded_coroutine, acall, try_acall, late_coroutine, new_guard,
    half_a_coroutine, thrown_into, looked_at, generator, half_a_generator, async_generator, block,
    async_block, by_hand, looked_up, permit, misuse,
]  # fmt: skip


def references(calls: Any) -> dict[str, int]:
    """How often each thing is referred to that calls may leave behind."""
    policies = ("pipeline", "breaker", "retry", "budget")
    things = {
        **{name: getattr(calls, name) for name in policies if hasattr(calls, name)},
        "result": RESULT,
        "error": ERROR,
        "nothing": NOTHING,
        "None": None,
        "Entry": type(calls.pipeline.__enter__),
        "Guard": gate.Guard,
        "GuardedCoroutine": gate.GuardedCoroutine,
        "Outcome": gate.Outcome,
        "Permit": gate.Permit,
        "CircuitOpenError": CircuitOpenError,
        "Pipeline": Pipeline,
    }
    return {name: sys.getrefcount(thing) for name, thing in things.items()}


def collect() -> None:
    ERROR.__traceback__ = ERROR.__context__ = None
    gc.collect()


def left_behind(work: Callable[[], object], calls: Any, times: int) -> dict[str, int]:
    """The references that so many calls add or lose; they may leave no memory behind."""
    for _ in range(100):  # fills free lists, which hold a few objects and their types
        work()
    collect()
    before = references(calls)
    assert growth(work, times) < 50
    after = references(calls)
    return {
        name: after[name] - before[name]
        for name in before
        if abs(after[name] - before[name]) > (70 if name[0].isupper() else 0)
    }


def growth(work: Callable[[], object], times: int) -> int:
    """How many blocks of memory more there are after some work: once all caches are full.

    The interpreter's fill over several rounds, the slower the less of its code is warm; what leaks
    grows in every round.
    """
    grown = 0
    for _ in range(10):
        blocks = sys.getallocatedblocks()
        for _ in range(times):
            work()
        collect()
        grown = sys.getallocatedblocks() - blocks
        if grown < 50:
            break
    return grown


@pytest.mark.parametrize("end", ["returns", "raises", "refused"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_behind(kind: Callable[[Calls], None], end: str) -> None:  # trap 59
    calls = Calls(end)
    assert left_behind(lambda: kind(calls), calls, CALLS) == {}
    assert (calls.bulkhead.in_flight, calls.breaker.in_flight) == (0, 0)


def test_making_and_dropping_policies_leaves_nothing_behind() -> None:  # trap 67
    # No builtin: inspect makes a class to read its signature, and 3.13t frees no class.
    def note(_: object) -> None:
        pass

    def make() -> None:
        breaker = CircuitBreaker("b", on=(LookupError,), ignore=(KeyError,), is_failure=note)
        pipeline = Pipeline("p", breaker, Bulkhead("places"))
        pipeline(make)
        pipeline.call(int)
        pipeline.__enter__()
        breaker.on_event(note)

    assert growth(make, 2000) < 50
