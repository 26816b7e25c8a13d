"""Who waits for the policies: the driver of threads and of asyncio tasks.

Both follow the same decisions: a policy says what to wait for, and here it is waited for. What
imports asyncio is imported by the first task that waits.
"""

from __future__ import annotations

from holdfast.pipeline.parking import sleep_ns
from holdfast.pipeline.waiting import WaitingRoom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any

    from holdfast._native.bulkhead import Bulkhead
    from holdfast.clock import Clock
    from holdfast.policies.base import Policy

__all__ = ["ThreadsAndTasks"]


class ThreadsAndTasks:
    """Waits in the calling thread, or in the calling task of whatever event loop runs."""

    def room(self, kernel: Bulkhead) -> WaitingRoom:
        """Return the queue of one bulkhead."""
        return WaitingRoom(kernel)

    def follow(self, clock: Clock, waits: Generator[int, None, None]) -> None:
        """Sleep as long as ``waits`` says, each time it does; close it when interrupted."""
        try:
            for ns in waits:
                sleep_ns(clock, ns)
        finally:
            waits.close()

    async def afollow(self, clock: Clock, waits: Generator[int, None, None]) -> None:
        """Do what ``follow`` does, in a task."""
        try:
            for ns in waits:
                from holdfast.pipeline.aio import asleep_ns

                await asleep_ns(clock, ns)
        finally:
            waits.close()

    def generator(
        self, policy: Policy, inner: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        """Guard a generator."""
        from holdfast.pipeline.streams import guarded_generator

        return guarded_generator(policy, inner)

    def async_generator(
        self, policy: Policy, inner: AsyncGenerator[Any, Any]
    ) -> AsyncGenerator[Any, Any]:
        """Guard an asynchronous generator."""
        from holdfast.pipeline.streams import guarded_async_generator

        return guarded_async_generator(policy, inner)
