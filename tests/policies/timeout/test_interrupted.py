"""A beginning that is interrupted leaves no deadline behind, wherever it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate
from tests.apart import run_apart
from tests.waiting.virtual import ended

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


class Interrupt(BaseException):
    """What a signal handler raises."""


class Broken(hf.Bulkhead):
    """Is interrupted where somebody waits for a place."""

    def _block(self) -> Any:
        raise Interrupt

    def _suspend(self) -> Any:
        raise Interrupt


def full(clock: Any) -> Any:
    policy = Broken("b", max_concurrent=1, max_waiting=1, max_wait=None, clock=clock)
    assert policy.try_enter()
    return policy


def test_a_call_a_block_and_a_permit_that_are_interrupted_as_they_enter(clock):
    pipe = hf.Pipeline("p", hf.Timeout(1, clock=clock), full(clock), hf.Timeout(2, clock=clock))
    for _ in range(3):
        with pytest.raises(Interrupt):
            pipe.call(int)
        with pytest.raises(Interrupt), pipe:
            raise AssertionError("was entered")
        with pytest.raises(Interrupt):
            pipe.acquire()
        assert gate._limits_in_force() == 0
    clock.advance(5)
    assert hf.Timeout(1, clock=clock).call(lambda: "ok") == "ok"


async def test_a_task_that_is_interrupted_as_it_enters(loop):
    pipe = hf.Pipeline("p", hf.Timeout(1, clock=loop.clock), full(loop.clock))

    async def block() -> None:
        async with pipe:
            raise AssertionError("was entered")

    for begin in (lambda: pipe.acall(asyncio.sleep, 0), block, lambda: pipe._apermit()):
        assert type(await ended(begin())) is Interrupt
        assert gate._limits_in_force() == 0
    await asyncio.sleep(5)
    assert await hf.Timeout(1, clock=loop.clock).acall(asyncio.sleep, 0, "ok") == "ok"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_task_whose_task_cannot_be_asked_about_begins_all_the_same(loop, monkeypatch):
    class Odd(asyncio.Task):  # type: ignore[type-arg]
        def cancelling(self) -> int:
            raise Interrupt

    policy = hf.Timeout(1, clock=loop.clock)
    task = Odd(policy.acall(asyncio.sleep, 5), loop=loop)
    assert type(await ended(task)) in (hf.DeadlineExceededError, asyncio.CancelledError)
    assert gate._limits_in_force() == 0


def test_no_memory_for_a_deadline_is_a_memory_error_and_leaves_nothing(clock):
    testing = pytest.importorskip("_testcapi")
    policy, outer = hf.Timeout(1, clock=clock), hf.Timeout(9, clock=clock)

    def nested() -> Any:
        return policy.call(hf.deadline)

    failed = 0
    for at in range(40):
        testing.set_nomemory(at, at + 1)
        try:
            outer.call(nested)
        except MemoryError:
            failed += 1
        finally:
            testing.remove_mem_hooks()
        assert gate._limits_in_force() == 0
    assert outer.call(nested) == 1
    assert failed < 40


def test_a_thread_may_use_a_timeout_while_another_imports_asyncio():
    run_apart(
        """
        import sys, types
        import holdfast as hf
        assert "asyncio" not in sys.modules
        sys.modules["asyncio"] = types.ModuleType("asyncio")  # as far as its import has come
        with hf.Timeout(9):
            assert hf.Timeout(5).call(hf.deadline) <= 5
        del sys.modules["asyncio"]
        import asyncio
        async def main():
            async with hf.Timeout(5):
                return hf.deadline()
        assert asyncio.run(main()) <= 5
        """
    )
