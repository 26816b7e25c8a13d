"""What a test fills with calls and tasks: a waiting room, and pools with a job that lasts.

And kernels in the middle of whose use something happens.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

from holdfast import Clock, ManualClock
from holdfast._native.bulkhead import Bulkhead
from holdfast.policies.pool import PoolBulkhead
from holdfast.waiting.rooms import WaitingRoom
from tests.waiting.parties import LIMIT, Party, auntil, until


class House:
    """A bulkhead, its room, and a clock that no wait moves."""

    def __init__(self, limit: int = 1, max_waiting: int = 10) -> None:
        self.kernel = Bulkhead(limit, max_waiting)
        self.room = WaitingRoom(self.kernel)
        self.clock = ManualClock(auto=False)

    def enter(self, timeout_ns: int | None = None, clock: Clock | None = None) -> int:
        return self.room.enter(clock or self.clock, timeout_ns)

    async def aenter(self, timeout_ns: int | None = None) -> int:
        return await self.room.aenter(self.clock, timeout_ns)

    def start(self, timeout_ns: int | None = None) -> Party:
        """Have a thread enter; return once it stands in the queue."""
        queued = self.kernel.waiting()
        party = Party(self.enter, timeout_ns)
        until(lambda: self.kernel.waiting() > queued)
        return party

    async def start_task(self, timeout_ns: int | None = None) -> asyncio.Task[int]:
        """Have a task enter; return once it stands in the queue."""
        queued = self.kernel.waiting()
        task = asyncio.create_task(self.aenter(timeout_ns))
        await auntil(lambda: self.kernel.waiting() > queued)
        return task

    def assert_empty(self) -> None:
        assert (self.kernel.in_flight(), self.kernel.waiting()) == (0, 0)
        assert not self.room._queue
        assert not self.room._loops
        assert not self.room._gone
        assert not self.clock._callbacks
        admitted, completed, undone, *_ = self.kernel.counters()
        assert admitted == completed + undone


class Meddled:
    """A kernel during whose n-th use something happens."""

    def __init__(self, kernel: Any, meddle: Callable[[], object] = lambda: None) -> None:
        self.kernel, self.meddle = kernel, meddle
        self.uses, self.at = 0, -1

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.kernel, name)

        def meddled(*args: Any) -> Any:
            answer = method(*args)
            self.uses += 1
            if self.uses == self.at:
                self.meddle()
            return answer

        return meddled


def interrupt() -> None:
    raise KeyboardInterrupt


class Job:
    """A task that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self, result: object = None) -> object:
        self.begun.set()
        assert self.open.wait(LIMIT)
        return result


def occupied(pool: PoolBulkhead, job: Job) -> concurrent.futures.Future[object]:
    """Have the job run in a pool; return once it does."""
    future = pool.submit(job, "done")
    assert job.begun.wait(LIMIT)
    return future
