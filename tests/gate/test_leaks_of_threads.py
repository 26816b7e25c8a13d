"""Threads that end leave nothing behind of what they kept for their next calls."""

import contextlib
import gc
import sys
from threading import Thread
from typing import Any

from holdfast import CircuitBreaker

THREADS = 2_000
FIRST = 200  # until then the interpreter's own tables grow


class Calls:
    """One of everything that a thread keeps the memory of, once it has died."""

    def __init__(self) -> None:
        self.breaker = CircuitBreaker("of threads")
        self.guarded = self.breaker(self.coroutine)

    async def coroutine(self) -> str:
        return "done"

    async def await_one(self) -> str:
        return await self.guarded()

    def make(self) -> None:
        assert self.breaker.try_call(int).value == 0
        with self.breaker, self.breaker.acquire():
            pass
        made: Any = self.await_one()
        with contextlib.suppress(StopIteration):
            made.send(None)


def test_threads_that_end_leave_no_memory_behind() -> None:
    calls = Calls()

    def grown(threads: int) -> int:
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(threads):
            thread = Thread(target=calls.make)
            thread.start()
            thread.join()
        gc.collect()
        return sys.getallocatedblocks() - before

    grown(FIRST)
    assert grown(THREADS) < THREADS // 10
    assert calls.breaker.snapshot().succeeded == 4 * (THREADS + FIRST)
