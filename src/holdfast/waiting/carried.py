"""A deadline that goes with a call into another task, which inherits none by itself.

Elsewhere: into another thread (``_under_deadline`` of the native gate).
"""

from __future__ import annotations

from functools import partial
from types import coroutine

from holdfast._native import gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

__all__ = ["carried"]


async def carried(deadline: Any, make: Callable[[], gate.GuardedCoroutine[Any]]) -> Any:
    """Make a guarded call and await it; its first step finds ``deadline``, as of _deadline_here().

    A task takes no other coroutine than that of an ``async def``.
    """
    return await _steps_of(deadline, make)


@coroutine
def _steps_of(
    deadline: Any, make: Callable[[], gate.GuardedCoroutine[Any]]
) -> Generator[Any, Any, Any]:
    guarded = make()
    try:
        yielded = gate._under_deadline(deadline, partial(guarded.send, None))
        while True:
            try:
                sent = yield yielded
            except GeneratorExit:
                guarded.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown into the call
                yielded = guarded.throw(error)
            else:
                yielded = guarded.send(sent)
    except StopIteration as stop:
        return stop.value
