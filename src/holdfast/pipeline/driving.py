"""Who waits for the policies: the driver of threads and of asyncio tasks.

Both follow the same decisions: a policy says what to wait for, and here it is waited for. What
imports asyncio is imported by the first task that waits.
"""

from __future__ import annotations

from holdfast.waiting.bucket_line import BucketLine
from holdfast.waiting.foreign import refuse_cut
from holdfast.waiting.parking import sleep_ns
from holdfast.waiting.rooms import WaitingRoom
from holdfast.waiting.standstill import mind_loop
from holdfast.waiting.window_line import WindowLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
    from typing import Any

    from holdfast._native.bulkhead import Bulkhead
    from holdfast._native.gate import Permit
    from holdfast._native.histogram import Histogram
    from holdfast.clock import Clock
    from holdfast.policies.base import Policy
    from holdfast.policies.retry import Retry
    from holdfast.policies.timeout import Timeout
    from holdfast.waiting.attempts import Attempts
    from holdfast.waiting.lines import Line

__all__ = ["ThreadsAndTasks"]


class ThreadsAndTasks:
    """Waits in the calling thread, or in the calling task of whatever event loop runs."""

    def room(self, kernel: Bulkhead, waits: Histogram | None) -> WaitingRoom:
        """Return the queue of one bulkhead; ``waits`` receives how long each wait lasted."""
        return WaitingRoom(kernel, waits)

    def line(self, cells: Sequence[Any], clock: Clock, *, sliding: bool) -> Line:
        """Return the queue for the tokens of a limiter; ``cells``: all its limits."""
        return WindowLine(cells, clock) if sliding else BucketLine(cells, clock)

    def mind_loop(self, policy: Policy) -> None:
        """Be told that this thread is about to wait for ``policy``."""
        mind_loop(policy)

    def sleep(self, clock: Clock, ns: int) -> None:
        """Let ``ns`` nanoseconds pass in this thread."""
        sleep_ns(clock, ns)

    def asleep(self, clock: Clock, ns: int) -> Coroutine[Any, Any, None]:
        """Let ``ns`` nanoseconds pass in this task."""
        from holdfast.waiting.aio import asleep_ns

        return asleep_ns(clock, ns)

    def attempts(self, policy: Retry) -> Attempts:
        """Return the attempts of a retry at a block."""
        from holdfast.waiting.attempts import Attempts

        return Attempts(policy)

    def set_timer(
        self, clock: Clock, loop: AbstractEventLoop, ring: Callable[[], object], deadline_ns: int
    ) -> Callable[[], object]:
        """Have an event loop call ``ring`` at a time of ``clock``; return what cancels it."""
        from holdfast.waiting.aio import set_timer

        return set_timer(clock, loop, ring, deadline_ns)

    def refuse_cut(self, who: object) -> None:
        """Refuse, naming ``who``, to limit the time of a task that nobody here can cut short."""
        refuse_cut(who)

    def open_block(self, policy: Policy, deadline_ns: int, *, outer: Any) -> object:
        """Watch over an `async with` block that ``policy`` gives until ``deadline_ns``."""
        from holdfast.waiting.blocks import open_block

        return open_block(policy, deadline_ns, outer=outer)

    def run_in_thread(
        self,
        policy: Timeout,
        rest: Any,
        fn: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        works: list[Any],
    ) -> Any:
        """Run a call, through the rest of its pipeline, in a thread that may be left behind."""
        from holdfast.waiting.left_behind import run_in_thread

        return run_in_thread(policy, rest, fn, args, kwargs, works)

    def generator(
        self, policy: Policy, inner: Generator[Any, Any, Any], *again: Any
    ) -> Generator[Any, Any, Any]:
        """Guard a generator; ``again``: what makes it, where it may have to begin afresh."""
        from holdfast.waiting.streams import guarded_generator

        return guarded_generator(policy, inner, *again)

    def async_generator(
        self, policy: Policy, inner: AsyncGenerator[Any, Any], *again: Any
    ) -> AsyncGenerator[Any, Any]:
        """Guard an asynchronous generator, as ``generator``."""
        from holdfast.waiting.streams import guarded_async_generator

        return guarded_async_generator(policy, inner, *again)

    def block_of(self, given: Any) -> Any:
        """Return what a fallback gave for a context manager, as something to be entered."""
        from holdfast.waiting.late import block_of

        return block_of(given)

    def late_manager(self, policy: Policy, manager: Any, *again: Any) -> Any:
        """Guard what ``@contextmanager`` made."""
        from holdfast.waiting.late import guarded_manager

        return guarded_manager(policy, manager, *again)

    def late_async_manager(self, policy: Policy, manager: Any, *again: Any) -> Any:
        """Guard what ``@asynccontextmanager`` made."""
        from holdfast.waiting.late import guarded_async_manager

        return guarded_async_manager(policy, manager, *again)

    def late_awaitable(self, policy: Policy, awaitable: Any, *again: Any) -> Any:
        """Guard an awaitable object."""
        from holdfast.waiting.late import guarded_awaitable

        return guarded_awaitable(policy, awaitable, *again)

    def late_task(self, policy: Policy, awaitable: Any, *again: Any) -> Any:
        """Await a future of asyncio, controlled, or a guarded call, in a task."""
        from holdfast.waiting.late import guarded_task

        return guarded_task(policy, awaitable, *again)

    def late_future(self, policy: Policy, future: Any) -> None:
        """Refuse to control a future of concurrent.futures."""
        from holdfast.waiting.late import refuse_future

        refuse_future(policy, future)

    def settle_when_done(self, future: Any, permit: Permit) -> Any:
        """Have a permit settle with the outcome of a future."""
        from holdfast.waiting.late import settle_when_done

        return settle_when_done(future, permit)
