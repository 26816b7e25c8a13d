"""`with timeout:` and `async with timeout:`: which blocks are open, and what cuts one short.

A block suspends where it likes, so its deadline cannot be a value of the thread as a call's is: it
belongs to the task that opened the block, or to the thread where there is none. Not here: deadlines
of calls (``csrc/python/deadline.c``), and what a block that is left raises (``timeout.c``).
"""

from __future__ import annotations

import os
import sys
from threading import RLock, local
from weakref import WeakKeyDictionary, ref

from holdfast._native import gate
from holdfast.pipeline.foreign import refuse_cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable
    from typing import Any

    from holdfast.policies.base import Policy

__all__ = ["open_block"]


class _Thread:
    """A thread: unlike its number, no later one has it again."""

    __slots__ = ("__weakref__",)


_lock = RLock()
_here = local()
# By task, or by thread: the blocks it has open. The tuples are replaced, never changed. A task that
# is given up in the middle of a block is not kept by it.
_open: WeakKeyDictionary[object, tuple[_Block, ...]] = WeakKeyDictionary()


def open_block(
    policy: Policy, deadline_ns: int, *, is_async: bool, outer: _Block | None = None
) -> _Block:
    """Open a block that is to be over at a time of the policy's clock.

    Args:
        policy: Whose deadline it is.
        deadline_ns: When it is over.
        is_async: Whether an asyncio task opens it, which is then cut short.
        outer: The one of an outer timeout of the same pipeline, if that is whose deadline it is.

    Raises:
        RuntimeError: No task runs that could be.
    """
    task = _task_here()
    if not is_async:
        return _Block(policy, deadline_ns, _thread_here() if task is None else task)
    if task is None:
        refuse_cut(policy)
        raise RuntimeError("'async with' a timeout needs an asyncio task to cut short")
    if isinstance(outer, _InnerBlock):
        outer = outer.outer
    if isinstance(outer, _TaskBlock):
        return _InnerBlock(policy, outer, task)
    return _TaskBlock(policy, deadline_ns, task)


class _Block:
    """A block that is open. Only its task or thread uses it."""

    def __init__(self, policy: Policy, deadline_ns: int, owner: object) -> None:
        self.policy = ref(policy)  # who entered holds it; one that dies drops its blocks
        self.deadline_ns = deadline_ns
        self._owner = ref(owner)
        with _lock:
            _open[owner] = (*_open.get(owner, ()), self)
            gate._count_blocks(len(_open))

    def close(self, error: BaseException | None) -> bool | None:  # noqa: ARG002 - as of a task's
        """Be left; return None: whoever left it looks whether it was in time."""
        self.drop()
        return None

    def drop(self) -> None:
        """Be open no longer."""
        with _lock:
            owner = self._owner()
            if owner is None:  # and what it had open is no more
                return
            left = tuple(one for one in _open.get(owner, ()) if one is not self)
            if left:
                _open[owner] = left
            else:
                _open.pop(owner, None)
            gate._count_blocks(len(_open))


class _TaskBlock(_Block):
    """A block of a task, which is cancelled at the deadline, as by ``asyncio.timeout``."""

    def __init__(self, policy: Policy, deadline_ns: int, task: Task[Any]) -> None:
        self.fired = False
        self._task = ref(task)
        self._cancelling = task.cancelling()
        self._stop = self._watch(policy, deadline_ns, task.get_loop())
        super().__init__(policy, deadline_ns, task)

    def _watch(
        self, policy: Policy, deadline_ns: int, loop: AbstractEventLoop
    ) -> Callable[[], object]:
        from holdfast.pipeline.aio import set_timer

        return set_timer(policy._clock, loop, self._ring, deadline_ns)

    def _ring(self) -> None:
        task, policy = self._task(), self.policy()
        if task is None or policy is None:
            return
        if policy._clock.now_ns() < self.deadline_ns:  # the loop is a little early
            self._stop = self._watch(policy, self.deadline_ns, task.get_loop())
        else:
            self.fired = True
            task.cancel()

    def close(self, error: BaseException | None) -> bool | None:
        """Be left; return whether it was cut short, and ``error`` is nobody else's doing."""
        self.drop()
        task = self._task()
        if not self.fired or task is None:
            return False
        return task.uncancel() <= self._cancelling and _is_cancellation(error)

    def drop(self) -> None:
        """Be open no longer, and cut nothing short."""
        self._stop()
        super().drop()


class _InnerBlock(_Block):
    """A block of a timeout inside another of its pipeline, which cuts short both."""

    def __init__(self, policy: Policy, outer: _TaskBlock, task: Task[Any]) -> None:
        self.outer = outer
        self._task = ref(task)
        self._cancelling = task.cancelling()
        super().__init__(policy, outer.deadline_ns, task)

    def close(self, error: BaseException | None) -> bool | None:
        """Be left; return whether it was cut short, and ``error`` is nobody else's doing."""
        self.drop()
        task = self._task()
        if not self.outer.fired or task is None:
            return False
        return task.cancelling() - 1 <= self._cancelling and _is_cancellation(error)


def _is_cancellation(error: BaseException | None) -> bool:
    from asyncio import CancelledError

    return isinstance(error, CancelledError)


def _task_here() -> Task[Any] | None:
    """Return the asyncio task that runs in this thread, if any."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    task: Task[Any] | None = asyncio.current_task()
    return task


def _thread_here() -> _Thread:
    thread: _Thread | None = getattr(_here, "thread", None)
    if thread is None:
        thread = _here.thread = _Thread()
    return thread


def _blocks_here() -> tuple[tuple[Policy, int], ...]:
    task = _task_here()
    owner: object = _thread_here() if task is None else task
    return tuple(
        (policy, block.deadline_ns)
        for block in _open.get(owner, ())
        if (policy := block.policy()) is not None
    )


def _after_fork() -> None:
    """In a forked child: have a lock nobody holds; who forked is still in its blocks."""
    global _lock  # noqa: PLW0603 - a lock that another thread held cannot be freed
    _lock = RLock()


gate._install_blocks(_blocks_here)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
