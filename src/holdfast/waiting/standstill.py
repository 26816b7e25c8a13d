"""Waits of a thread whose event loop stands still meanwhile: nobody is to make them unknowingly.

A wait that ends is warned of, once a policy: a notebook's cells run inside of a loop, and may well
pause there. One that may have no end is an error, for what it waits for may be the loop's to do.
Elsewhere: the waits (``parking``), and who decides that there is one.
"""

from __future__ import annotations

import os
import sys
from weakref import WeakSet

from holdfast.validation import titled
from holdfast.waiting.foreign import is_in_trio
from holdfast.waiting.hubs import sleep_of_hub

__all__ = ["loop_runs_here", "mind_loop"]

_INSTEAD = {
    "bulkhead": "'async with', 'await acall()' or 'await aenter()'",
    "rate_limiter": "'async with', 'await acall()' or 'await aacquire()'",
    "retry": "'await acall()' or 'async for attempt in retry.attempts()'",
    "timeout": "'await acall()' of a coroutine function",
    "gather": "'await agather_or_sequential()'",
    "pool_bulkhead": "'await asyncio.wrap_future(pool.submit(…))', and max_wait=0",
}
_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep

_warned: WeakSet[object] = WeakSet()


def loop_runs_here() -> bool:
    """Whether an event loop of asyncio runs in this thread."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def mind_loop(policy: object, *, may_end: bool = True) -> None:
    """Be told that this thread is about to wait for ``policy``.

    Raises:
        RuntimeError: The wait may have no end, as an event loop runs in this thread.
    """
    if is_in_trio():
        elsewhere = "use another thread, as by trio.to_thread.run_sync()"
    elif loop_runs_here() and sleep_of_hub() is None:  # greenlets let a loop beside them go on
        instead = _INSTEAD.get(getattr(policy, "kind", ""), "'async with' or 'await acall()'")
        elsewhere = f"use {instead}, or another thread, as by asyncio.to_thread()"
    else:
        return
    if not may_end:
        raise RuntimeError(
            f"{titled(policy)} could wait without end: it would block the event loop of this "
            f"thread, and a task of this loop may hold what the wait needs; {elsewhere}"
        )
    if policy not in _warned:
        from warnings import warn

        warn(
            f"{titled(policy)} waits and blocks the event loop of this thread: {elsewhere}",
            RuntimeWarning,
            stacklevel=_levels_to_caller(),
        )
        _warned.add(policy)  # not where the warning was an error: then it comes again


def _levels_to_caller() -> int:
    """Return how many levels above mind_loop() the first frame is that is not of this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    return level
