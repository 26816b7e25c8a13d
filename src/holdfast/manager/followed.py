"""Which policies drive the level of which component, and for which operations.

Its owner has a lock, and tells components without it. Elsewhere: what a component makes of it
(``degradation.driving``).
"""

from __future__ import annotations

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
        self.end: Callable[[], object] | None = None  # once the component follows


class Followed:
    """What components follow. A component follows a policy once, for however many operations."""

    def __init__(self) -> None:
        self._followed: dict[Key, _Followed] = {}
        self._of: dict[str, set[Key]] = {}  # by operation

    def update(
        self, operation: str, wanted: dict[Key, Any]
    ) -> tuple[list[tuple[str, Any]], list[Callable[[], object]]]:
        """Note what is to be followed for an operation.

        Args:
            operation: Its name.
            wanted: The policies, by component.

        Returns:
            Components and policies that they are to follow from here on; and what ends others.
        """
        before = self._of.pop(operation, set())
        begin: list[tuple[str, Any]] = []
        end: list[Callable[[], object]] = []
        for key, policy in wanted.items():
            there = self._followed.get(key)
            if there is None:
                there = self._followed[key] = _Followed(policy)
                begin.append((key[0], policy))
            there.operations.add(operation)
        for key in before - wanted.keys():
            there = self._followed[key]
            there.operations.discard(operation)
            if not there.operations:
                del self._followed[key]
                if there.end is not None:
                    end.append(there.end)
        if wanted:
            self._of[operation] = set(wanted)
        return begin, end

    def begun(self, name: str, policy: Any, component: Any) -> None:
        """Have a component follow a policy, unless that was taken back meanwhile."""
        end = component.follow(policy)
        there = self._followed.get((name, id(policy)))
        if there is None:
            end()
        else:
            there.end = end
