"""A re-entrant lock that stays a lock of the system when eventlet patches the library later.

``eventlet.monkey_patch()`` walks through every object that a module holds, and puts a lock of its
own in the place of each ``threading.RLock`` it finds. Only greenlets of one thread can wait for
such a lock: where a thread that ran before the patch shares it, either can wait for ever.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["RLock"]


class RLock:
    """A ``threading.RLock`` that eventlet does not find: it looks into objects with a ``__dict__``.

    Args:
        make: Makes the lock; by default ``threading.RLock`` as it was when holdfast was imported.

    ``with`` takes its functions from the slots of the class, so that it runs no Python here.
    """

    __slots__ = ("__enter__", "__exit__", "is_owned")

    if TYPE_CHECKING:

        def __enter__(self) -> bool: ...
        def __exit__(self, *error: object) -> None: ...
        def is_owned(self) -> bool:
            """Return whether this thread holds it."""

    def __init__(self, make: Callable[[], Any] = threading.RLock) -> None:
        lock = make()
        self.__enter__ = lock.__enter__  # type: ignore[method-assign]
        self.__exit__ = lock.__exit__  # type: ignore[method-assign]
        self.is_owned = lock._is_owned  # type: ignore[method-assign]  # Condition asks it as well
