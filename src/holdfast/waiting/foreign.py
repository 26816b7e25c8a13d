"""Tasks of an event loop other than asyncio's: what cannot be done for them is refused by name.

A guard drives any coroutine, so what neither waits nor cuts works everywhere. Elsewhere: asyncio
(``aio``). trio is not imported here: a task of its runs only once somebody else did.
"""

from __future__ import annotations

import sys

__all__ = ["is_in_trio", "refuse_cut", "refuse_wait"]


def refuse_cut(who: object) -> None:
    """Refuse that ``who`` limits the time of a task of trio's.

    Raises:
        RuntimeError: The code that runs is a task of trio's.
    """
    if is_in_trio():
        name = getattr(who, "name", None)
        raise RuntimeError(
            type(who).__name__
            + ("" if name is None else f" {name!r}")
            + " cannot cancel a task of trio, only tasks of asyncio:"
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
