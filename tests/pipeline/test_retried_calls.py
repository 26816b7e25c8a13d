"""Calls behind a retry: methods, coroutine functions, what is cancelled, dropped and kept."""

from __future__ import annotations

import asyncio
import gc
import types
import warnings
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from tests.apart import run_apart
from tests.pipeline.parties import Party, auntil, until
from tests.policies.calls import OutageError, fine
from tests.policies.retries import (
    Flaky,
    budget_of,
    in_a_coroutine,
    retry_of,
    run_async,
    waits,
)
from tests.policies.test_forked import IN_CHILD


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    """No coroutine is left that was never awaited."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


def why(retry: hf.Retry) -> dict[str, int]:
    return {reason: n for reason, n in retry.snapshot().gave_up.items() if n}


# ---- what can be called ----


def test_a_method_is_called_again_on_its_own_object(clock: ManualClock) -> None:
    retry = retry_of(clock)

    shared: list[type] = []

    class Client:
        def __init__(self) -> None:
            self.made = 0

        def _flaky(self) -> str:
            self.made += 1
            if self.made < 3:
                raise OutageError
            return "fine"

        @retry
        def get(self, path: str, *, deep: bool = False) -> tuple[str, str, bool]:
            return self._flaky(), path, deep

        @retry
        async def aget(self, path: str) -> tuple[str, str]:
            await asyncio.sleep(0)
            return self._flaky(), path

        @classmethod
        @retry
        def of_class(cls) -> str:
            shared.append(cls)
            if len(shared) < 2:
                raise OutageError
            return cls.__name__

        @staticmethod
        @retry
        def static(flaky: Flaky) -> str:
            return flaky()

    assert Client().get("/a", deep=True) == ("fine", "/a", True)
    assert run_async(clock, Client().aget("/b")) == ("fine", "/b")
    assert Client.of_class() == "Client"
    assert Client.static(Flaky(clock, 2)) == "fine"
    snapshot = retry.snapshot()
    assert (snapshot.succeeded, snapshot.attempts) == (4, 3 + 3 + 2 + 3)


def test_each_attempt_of_a_coroutine_function_is_a_fresh_coroutine(clock: ManualClock) -> None:
    coroutines: list[Any] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        coroutines.append(call(*args, **kwargs))
        return coroutines[-1]

    async def call(number: int, *, word: str) -> tuple[int, str]:
        if len(coroutines) < 3:
            raise OutageError
        return number, word

    retry = retry_of(clock)
    assert run_async(clock, retry.acall(make, 1, word="a")) == (1, "a")
    assert len({id(coroutine) for coroutine in coroutines}) == 3
    assert {coroutine.cr_frame for coroutine in coroutines} == {None}


def test_a_plain_function_that_gives_coroutines_is_called_again(clock: ManualClock) -> None:
    # The coroutine it has given is the attempt; what it does itself has been done before.
    made: list[int] = []

    def call() -> Any:
        made.append(1)

        async def run() -> str:
            await asyncio.sleep(0)
            if len(made) < 3:
                raise OutageError
            return "fine"

        return run()

    retry = retry_of(clock)
    assert run_async(clock, retry.acall(call)) == "fine"
    made.clear()
    assert run_async(clock, retry(call)()) == "fine"
    assert len(made) == 3
    with pytest.raises(TypeError, match="acall"):
        retry.call(call)
    with pytest.raises(TypeError, match="try_acall"):
        retry.try_call(call)


def test_a_plain_function_that_fails_before_it_gives_a_coroutine_is_called_again(
    clock: ManualClock,
) -> None:
    flaky = Flaky(clock, 1)

    def call() -> Any:
        flaky()
        return asyncio.sleep(0, "fine")

    retry = retry_of(clock)
    assert run_async(clock, retry.acall(call)) == "fine"
    assert (len(flaky.made), retry.snapshot().recovered) == (2, 1)


class Later:
    """Something to await that is no coroutine."""

    def __init__(self, failures: list[int]) -> None:
        self._failures = failures

    def __await__(self) -> Generator[Any, Any, str]:
        yield from asyncio.sleep(0).__await__()
        if self._failures:
            self._failures.pop()
            raise OutageError
        return "fine"


def test_whatever_can_be_awaited_may_be_an_attempt(clock: ManualClock) -> None:
    failures = [1, 2]
    retry = retry_of(clock)
    assert run_async(clock, retry.acall(lambda: Later(failures))) == "fine"

    @types.coroutine
    def old_style() -> Generator[Any, Any, str]:
        return (yield from Later(failures).__await__())

    failures.append(1)
    assert run_async(clock, retry.acall(old_style)) == "fine"

    def future() -> Awaitable[str]:
        made: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if failures:
            failures.pop()
            made.set_exception(OutageError())
        else:
            made.set_result("fine")
        return made

    failures.append(1)
    assert run_async(clock, retry.acall(future)) == "fine"
    assert retry.snapshot().recovered == 3


def test_what_is_not_to_be_awaited_is_the_callers_mistake_and_not_retried(
    clock: ManualClock,
) -> None:
    retry = retry_of(clock, on=TypeError)
    with pytest.raises(TypeError, match="use call"):
        run_async(clock, retry.acall(fine))  # type: ignore[arg-type]
    assert clock.now() == 0.0
    assert retry.snapshot().succeeded == 0


# ---- in the pause ----


async def failing() -> None:
    await asyncio.sleep(0)
    raise OutageError


def paused(retry: hf.Retry, make: str) -> Any:
    if make == "acall":
        return retry.acall(failing)
    return retry.try_acall(failing) if make == "try_acall" else retry(failing)()


@pytest.mark.parametrize("make", ["acall", "try_acall", "guard"])
def test_a_call_that_is_cancelled_in_its_pause_ends_at_once_and_leaves_nothing(
    make: str, clock: ManualClock
) -> None:  # trap 41, trap 50, RT-07, D-RT-3, GEN-04
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget, backoff=hf.Constant(3600))

    async def main() -> None:
        task = asyncio.ensure_future(paused(retry, make))
        await auntil(lambda: waits(clock))
        task.cancel("mine")
        with pytest.raises(asyncio.CancelledError, match="mine") as raised:
            await task
        assert not hasattr(raised.value, "__notes__")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert (waits(clock), clock._callbacks) == ([], {})
    assert (clock.now(), budget.balance, why(retry)) == (0.0, 5.0, {"cancelled": 1})
    snapshot = retry.snapshot()
    assert (snapshot.attempts, sum(snapshot.retries)) == (1, 0)


@pytest.mark.parametrize("end", ["close", "throw", "drop", "interrupt"])
def test_a_coroutine_that_ends_in_its_pause_leaves_nothing(end: str, clock: ManualClock) -> None:
    # trap 41, trap 50
    budget = budget_of(clock, 5)
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    retry = retry_of(clock, budget=budget)
    pipe = hf.Pipeline("p", bulkhead, retry)

    async def main() -> None:
        coroutine = pipe.acall(failing)
        coroutine.send(None)
        coroutine.send(None)
        assert (len(waits(clock)), budget.balance, bulkhead.in_flight) == (1, 4.0, 1)
        if end == "close":
            coroutine.close()
        elif end != "drop":
            kind = LookupError if end == "throw" else KeyboardInterrupt
            with pytest.raises(kind):
                coroutine.throw(kind())
        del coroutine
        gc.collect()

    asyncio.run(main())
    assert (clock._callbacks, budget.balance, bulkhead.in_flight) == ({}, 5.0, 0)
    assert why(retry) == {"cancelled": 1}


def test_a_task_cancelled_while_an_attempt_runs_is_not_retried(clock: ManualClock) -> None:
    # trap 50, D-RT-3
    retry = retry_of(clock, on=lambda error: True)
    begun: list[int] = []

    async def call() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(retry.acall(call))
        await auntil(lambda: begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (len(begun), why(retry)) == (1, {"cancelled": 1})


def test_thousands_of_pauses_that_are_cancelled_leave_no_timer(clock: ManualClock) -> None:
    # trap 43, trap 50
    budget = budget_of(clock, 2_000)
    retry = retry_of(clock, budget=budget)

    async def main() -> None:
        tasks = [asyncio.ensure_future(retry.acall(failing)) for _ in range(2_000)]
        await auntil(lambda: len(clock._callbacks) == 2_000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(OutageError):
            await retry_of(clock, attempts=1).acall(failing)

    asyncio.run(main())
    assert (clock._callbacks, budget.balance) == ({}, 2_000.0)


def test_calls_in_their_pause_do_not_hold_up_the_loop_or_each_other(clock: ManualClock) -> None:
    retry = retry_of(clock, backoff=hf.Linear(1, 1, jitter=False))

    async def main() -> list[Any]:
        calls = [retry.acall(in_a_coroutine(Flaky(clock, n % 3))) for n in range(30)]
        return await asyncio.gather(*calls)

    assert run_async(clock, main()) == ["fine"] * 30
    assert clock.now() == 3.0


def test_a_thread_in_its_pause_goes_on_when_the_clock_is_moved() -> None:
    clock = ManualClock(auto=False)
    retry = retry_of(clock)
    flaky = Flaky(clock, 1)
    party = Party(retry.call, flaky)
    until(lambda: waits(clock))
    assert len(flaky.made) == 1
    clock.advance(1)
    assert party.result() == "fine"
    assert clock._callbacks == {}


def test_the_pause_of_a_call_that_no_loop_drives_is_an_error_and_not_a_hang(
    clock: ManualClock,
) -> None:
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)
    coroutine = retry.acall(in_a_coroutine_of_nobody)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    assert (budget.balance, why(retry)) == (5.0, {"cancelled": 1})


async def in_a_coroutine_of_nobody() -> None:
    raise OutageError


# ---- what is kept ----


class Thing:
    """Something to see die."""


@pytest.mark.parametrize("ends", ["succeeds", "fails"])
def test_arguments_live_no_longer_than_their_call(ends: str, clock: ManualClock) -> None:
    retry = retry_of(clock, attempts=2)
    failures = 1 if ends == "succeeds" else 9

    def call(flaky: Flaky, thing: Thing, *, other: Thing) -> str:
        return flaky()

    async def acall(flaky: Flaky, thing: Thing, *, other: Thing) -> str:
        return flaky()

    def watched(make: Callable[..., Any]) -> list[weakref.ref[Thing]]:
        things = [Thing(), Thing()]
        try:
            make(Flaky(clock, failures), things[0], other=things[1])
        except OutageError:
            assert ends == "fails"
        return [weakref.ref(thing) for thing in things]

    gc.collect()
    gc.disable()
    try:
        for make in (
            retry(call),
            lambda *a, **k: retry.call(call, *a, **k),
            lambda *a, **k: retry.try_call(call, *a, **k) and None,
            lambda *a, **k: run_async(clock, retry(acall)(*a, **k)),
            lambda *a, **k: run_async(clock, retry.acall(acall, *a, **k)),
        ):
            left = watched(make)
            if ends == "fails":
                gc.collect()  # an event loop keeps errors in cycles
            assert [ref() for ref in left] == [None, None]
    finally:
        gc.enable()


def test_a_coroutine_that_has_ended_keeps_nothing_of_its_call(clock: ManualClock) -> None:
    async def acall(thing: Thing) -> str:
        return "fine"

    thing = Thing()
    gone = weakref.ref(thing)
    coroutine = retry_of(clock)(acall)(thing)
    del thing
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert gone() is None


def test_an_error_that_was_retried_is_gone_before_the_pause(clock: ManualClock) -> None:
    # trap 14
    kept: list[weakref.ref[Exception]] = []

    def call() -> str:
        if kept:
            assert kept[0]() is None
            return "fine"
        error = OutageError()
        kept.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    assert retry_of(clock).call(call) == "fine"

    async def acall() -> str:
        return call()

    kept.clear()
    assert run_async(clock, retry_of(clock).acall(acall)) == "fine"


def test_an_error_is_no_context_of_the_next_one(clock: ManualClock) -> None:
    errors = [OutageError(n) for n in range(3)]
    with pytest.raises(OutageError):
        retry_of(clock).call(Flaky(clock, 3, errors))
    assert [error.__context__ for error in errors] == [None, None, None]


# ---- apart ----


def test_a_forked_child_draws_other_delays_than_its_parent() -> None:  # trap 58
    run_apart(
        IN_CHILD
        + """
    clock = hf.ManualClock()
    backoffs = [hf.Exponential(1, jitter=1.0), hf.Exponential(1, jitter=1.0) + hf.Constant(1)]
    for backoff in backoffs:
        retry = hf.Retry("r", attempts=6, on=OSError, backoff=backoff, clock=clock, budget=None)

        def delays():
            made = []

            def call():
                made.append(clock.now())
                raise OSError

            retry.try_call(call)
            return [b - a for a, b in zip(made, made[1:])]

        drawn = {in_child(delays), in_child(delays), repr(delays())}
        assert len(drawn) == 3, drawn
    """
    )


def test_a_call_in_its_pause_when_the_process_forks_is_the_parents() -> None:  # trap 58
    run_apart(
        IN_CHILD
        + """
    import asyncio, gc

    clock = hf.ManualClock()
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=5, clock=clock)
    retry = hf.Retry("r", on=OSError, backoff=hf.Constant(1), clock=clock, budget=budget)

    async def fail():
        raise OSError

    async def main():
        coroutine = retry.acall(fail)
        coroutine.send(None)

        def child():
            nonlocal coroutine
            coroutine.close()
            gc.collect()
            return retry.snapshot().failed

        assert in_child(child) == "0"
        coroutine.close()

    asyncio.run(main())
    assert budget.balance == 5
    assert retry.snapshot().gave_up["cancelled"] == 1
    """
    )
