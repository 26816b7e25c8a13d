"""What the gate asks of asyncio, found once somebody has imported it.

Elsewhere: which event loop runs here (``foreign``), waiting in it (``aio``).
"""

from __future__ import annotations

import sys
from contextlib import suppress
from operator import attrgetter, methodcaller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["find_asyncio"]


def find_asyncio() -> tuple[object, ...] | None:
    """Return what the gate asks of asyncio, which somebody has imported.

    Returns:
        Functions that return the running loop, the task that runs in a loop, and the context of a
        task, and the class of cancellations; None while asyncio is still being imported.
    """
    asyncio: Any = sys.modules.get("asyncio")
    try:
        current_task = asyncio.current_task
        if sys.version_info < (3, 12):  # there it is written in Python, and reads this dict
            current_task = asyncio.tasks._current_tasks.get
            context_of = attrgetter("_context")  # of tasks that are written in Python
        else:
            context_of = methodcaller("get_context")
        found = asyncio._get_running_loop, current_task, context_of, asyncio.CancelledError
    except AttributeError:
        return None
    with suppress(ImportError, OSError):  # the first wait tries again
        import holdfast.waiting.aio  # noqa: F401 - before it: no file may be left to open then
    return found
