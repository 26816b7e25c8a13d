"""`async with timeout:`: what cuts a block of an asyncio task short.

Imported by the first of them. Elsewhere: whose deadline is in force in it (``deadline_flow.c`` of
``csrc/python``), nor what a block that is left raises (``step_timeout.c``).
"""

from __future__ import annotations

from asyncio import CancelledError, current_task
from contextlib import suppress
from contextvars import ContextVar
from weakref import ref

from holdfast.waiting.foreign import refuse_cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable
    from typing import Any

    from holdfast._native.gate import Gate


__all__ = ["open_block", "open_within"]

# Whose task opens blocks, and those that are open around them, the innermost last; then these too.
_around: ContextVar[tuple[Task[Any] | None, list[Block]]] = ContextVar("holdfast.around")


def open_block(policy: Gate, deadline_ns: int, *, outer: Block | None = None) -> Block:
    """Open a block of the current task that is to be over at a time of the policy's clock.

    Args:
        policy: Whose deadline it is.
        deadline_ns: When it is over.
        outer: The one of the next outer timeout of the same pipeline.

    Raises:
        RuntimeError: No task runs that could be cut short.
    """
    try:
        task = current_task()
    except RuntimeError:  # no loop runs either
        task = None
    if task is None:
        refuse_cut(policy)
        raise RuntimeError("'async with' on a timeout needs an asyncio task")
    whose, around = _around.get((None, []))
    if whose is not task:  # it has a copy of the context
        return Block(policy, deadline_ns, task, outer)
    if outer is None and around:
        outer = around[-1]
    block = Block(policy, deadline_ns, task, outer)
    around.append(block)
    return block


async def open_within(around: list[Block], gate: Gate) -> None:
    """Enter a gate in this task; each of its blocks is told of the one around it.

    Args:
        around: The blocks that are open, as of one pipeline. Those of the gate are added.
        gate: What to enter. The caller leaves it.
    """
    try:
        task = current_task()
    except RuntimeError:
        task = None
    token = _around.set((task, around))
    try:
        await gate.__aenter__()
    finally:
        with suppress(ValueError):  # nobody has awaited it, and it is closed in another context
            _around.reset(token)


class Block:
    """A block of a task, which is cancelled at the deadline, as by ``asyncio.timeout``."""

    def __init__(
        self, policy: Gate, deadline_ns: int, task: Task[Any], outer: Block | None
    ) -> None:
        self.fired = False
        self._outer = outer
        self._policy = ref(policy)  # who entered holds it; one that dies drops its blocks
        self._deadline_ns = deadline_ns
        self._task = ref(task)
        self._cancelling = task.cancelling()
        self._stop = self._watch(policy, task.get_loop())

    def _watch(self, policy: Gate, loop: AbstractEventLoop) -> Callable[[], object]:
        from holdfast.waiting.aio import set_timer

        return set_timer(policy._clock, loop, self._ring, self._deadline_ns)

    def _ring(self) -> None:
        task, policy = self._task(), self._policy()
        if task is None or policy is None:
            return
        loop = task.get_loop()
        early = policy._clock.now_ns() < self._deadline_ns  # the loop is, by a little
        # A task that moves a manual clock runs. It is cut where it next waits: a request to cancel
        # that a block did not receive would reach whatever the task waits for after the block.
        if early or current_task(loop) is task:
            self._stop = self._watch(policy, loop)
        else:
            self.fired = True
            task.cancel()

    def close(self, error: BaseException | None) -> bool:
        """Be left; return whether it, or one around it, was cut, and ``error`` is nobody else's."""
        self._stop()
        task, cuts = self._task(), self._cuts_around()
        if task is None:
            return False
        if self.fired:
            left = task.uncancel()
        elif cuts:
            left = task.cancelling()
        else:
            return False
        return left - cuts <= self._cancelling and isinstance(error, CancelledError)

    def _cuts_around(self) -> int:
        outer, cuts = self._outer, 0
        while outer is not None:
            cuts += outer.fired
            outer = outer._outer
        return cuts

    def drop(self) -> None:
        """Cut nothing short any more."""
        self._stop()
