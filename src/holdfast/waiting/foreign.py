"""Which event loop runs here, and what cannot be done for tasks of another than asyncio's.

A guard drives any coroutine, so what neither waits nor cuts works everywhere. Elsewhere: waiting
in asyncio (``aio``). Neither library is imported here: its tasks run only once somebody else did.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["is_in_trio", "loop_here", "refuse_cut", "refuse_wait"]


def loop_here(who: object, plain: str) -> AbstractEventLoop:
    """Return the event loop of asyncio that runs here, which ``who`` needs.

    Args:
        who: The function that needs it, or whose method does.
        plain: What does the same in a thread: "start()".

    Raises:
        RuntimeError: None runs here; the message says what to do in a task of trio's.
    """
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        if not is_in_trio():
            raise
    raise RuntimeError(
        f"{_titled(who)} needs a task of asyncio, and this is a task of trio: under trio use"
        f" {plain} in another thread, as by trio.to_thread.run_sync()"
    )


def _titled(who: object) -> str:
    if isinstance(who, str):
        return who
    name = getattr(who, "name", None)
    return type(who).__name__ + ("" if name is None else f" {name!r}")


def refuse_cut(who: object) -> None:
    """Refuse that ``who`` limits the time of a task of trio's.

    Raises:
        RuntimeError: The code that runs is a task of trio's.
    """
    if is_in_trio():
        raise RuntimeError(
            f"{_titled(who)} cannot cancel a task of trio, only tasks of asyncio:"
            " under trio use trio.fail_after()"
        )


def refuse_wait() -> None:
    """Refuse that a task of trio's waits for a place, a token or the end of a pause.

    Raises:
        RuntimeError: The code that runs is a task of trio's.
    """
    if is_in_trio():
        raise RuntimeError(
            "a policy must wait, but this is a task of trio: holdfast waits only in tasks of"
            " asyncio. Under trio use max_wait=0, and Constant(0) for retries"
        )


def is_in_trio() -> bool:
    """Whether the code that runs is a task of trio's."""
    trio = sys.modules.get("trio")
    lowlevel = getattr(trio, "lowlevel", None)  # None: it is still being imported
    if lowlevel is None:
        return False
    try:
        lowlevel.current_task()
    except RuntimeError:
        return False
    return True
