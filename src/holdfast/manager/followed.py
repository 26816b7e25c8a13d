"""Which policies drive the level of which component, and for which operations.

Elsewhere: what a component makes of it (``degradation.driving``).
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    #: The name of a component, and which policy.
    Key = tuple[str, int]

__all__ = ["Followed"]


class _Followed:
    __slots__ = ("end", "operations", "policy")

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.operations: set[str] = set()
        self.end: Callable[[], object] | None = None  # while the component follows


class Followed:
    """What components follow. A component follows a policy once, for however many operations.

    Components are told by one thread at a time, in the order of the updates, and without a lock
    that anybody waits for: what hears of a level may register something, in any thread.
    """

    def __init__(self) -> None:
        self._followed: dict[Key, _Followed] = {}
        self._of: dict[str, set[Key]] = {}  # by operation
        self._due: deque[tuple[bool, str, _Followed]] = deque()
        self._telling = Lock()

    def update(self, operation: str, wanted: dict[Key, Any]) -> None:
        """Note what is to be followed for an operation. The lock of the owner is held.

        Args:
            operation: Its name.
            wanted: The policies, by component.
        """
        before = self._of.pop(operation, set())
        for key in before - wanted.keys():
            there = self._followed[key]
            there.operations.discard(operation)
            if not there.operations:
                del self._followed[key]
                self._due.append((False, key[0], there))
        for key, policy in wanted.items():
            known = self._followed.get(key)
            if known is None:
                known = self._followed[key] = _Followed(policy)
                self._due.append((True, key[0], known))
            known.operations.add(operation)
        if wanted:
            self._of[operation] = set(wanted)

    def tell(self, component: Callable[[str], Any]) -> None:
        """Have components follow what is noted, unless another thread is at it.

        Args:
            component: Returns the component of a name.
        """
        while self._due and self._telling.acquire(blocking=False):
            try:
                while self._due:
                    begins, name, there = self._due.popleft()
                    if begins:
                        there.end = component(name).follow(there.policy)
                    elif there.end is not None:
                        there.end()
            finally:
                self._telling.release()

    def after_fork(self) -> None:
        """In a forked child: no thread of the parent goes on here."""
        self._telling = Lock()
