"""Telling others what has become true of a policy, in the order in which it did.

Elsewhere: what becomes true (kernels), who listens (``events``).
"""

from __future__ import annotations

from collections import deque

from holdfast.forks import mind
from holdfast.locks import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Telling"]


class Telling:
    """The changes of one policy that its listeners are still to be told of.

    Several threads may find changes at the same moment. One of them tells of all, so that listeners
    hear of a recovery after the exhaustion that it ends.

    Safe to share between threads and event loops.
    """

    __slots__ = ("__weakref__", "_changes", "_is_told", "_lock")

    def __init__(self) -> None:
        # Re-entrant: a finaliser may record a request while this thread holds the lock.
        self._lock = RLock()
        self._is_told = False  # whether a thread tells of them
        self._changes: deque[tuple[Any, ...]] = deque()
        mind(self)

    def change(
        self,
        find: Callable[[], Iterable[tuple[Any, ...]]],
        tell: Callable[..., None],
    ) -> None:
        """Find out what has changed and tell of it, unless another thread does.

        Args:
            find: Returns what has changed: for each change, the arguments of ``tell``. It is called
                by one thread at a time.
            tell: Called with each change.
        """
        with self._lock:
            self._changes.extend(find())
        while self._changes:
            is_teller = False
            try:
                with self._lock:
                    if self._is_told:
                        return
                    self._is_told = is_teller = True  # no signal handler runs between the two
                while self._changes:
                    tell(*self._changes.popleft())
            finally:
                if is_teller:
                    self._is_told = False

    def _after_fork(self) -> None:
        """In a forked child: have locks nobody holds, and nothing of the parent's to tell."""
        self._lock = RLock()
        self._is_told = False
        self._changes.clear()
