"""Tasks that wait for places which they have themselves: such a wait never ends.

Asked only once a task has begun to wait without limit; no call pays for it. Seen are the ``async
with``, ``with`` and guarded coroutines that the task is inside of, of the very bulkhead it waits
for. Not here: the waits (``waiting``), and threads (``standstill``).
"""

from __future__ import annotations

import asyncio
from gc import get_referents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.pipeline.aio import TaskWaiter
    from holdfast.policies.base import Policy

__all__ = ["mind_own_places"]

_NATIVE = "holdfast._native.gate"


def mind_own_places(waiter: TaskWaiter, policy: Policy, limit: int) -> None:
    """Have the wait of this task for ``policy`` fail, should the task have all ``limit`` places.

    It is looked at as soon as the task rests, for only then its coroutines show what they hold.
    """
    task = asyncio.current_task()
    if task is not None:
        waiter.loop.call_soon(_look, task, waiter, policy, limit)


def _look(task: asyncio.Task[Any], waiter: TaskWaiter, policy: Policy, limit: int) -> None:
    if not waiter.woken and _places_of(task, waiter, policy) >= limit:
        waiter.fail(
            RuntimeError(
                f"{policy!r} would be waited for without end: this task is inside of it already, "
                "and no other is; leave it first, or give max_wait"
            )
        )


def _places_of(task: asyncio.Task[Any], waiter: TaskWaiter, policy: Policy) -> int:
    """Return how many places of ``policy`` are known to be the task's, which waits for one."""
    held: set[int] = set()
    before: object = None
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        parts = get_referents(coroutine)
        if any(part is waiter for part in parts):  # what called for the place is not inside yet
            return len(held.difference(map(id, (before, *get_referents(before)))))
        inside = [part for part in parts if _is(part, "Entry")]
        if _is(coroutine, "GuardedCoroutine"):
            inside.append(coroutine)
        held.update(id(one) for one in inside if _refers(one, policy))
        before, coroutine = coroutine, getattr(coroutine, "cr_await", None)
    return 0


def _is(one: object, name: str) -> bool:
    return type(one).__name__ == name and type(one).__module__ == _NATIVE


def _refers(one: object, policy: Policy) -> bool:
    return any(part is policy for part in get_referents(one))
