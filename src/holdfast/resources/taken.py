"""What a manager has taken to clean it, on its way from the registration to the clean-up.

Ctrl-C may come at each step of this way: nothing is lost by it. Elsewhere: the step that takes
(``registration``), and clean-ups (``cleanup_round``).
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from holdfast.resources.resource import Resource

    Manager = Any  # ResourceManager, which stands above

__all__ = ["Taken"]


class Taken:
    """What is to be cleaned. A ``with`` block that is left by an exception has it cleaned later.

    Attributes:
        queue: What is to be cleaned still, in this order. Whoever cleans takes from it.
        others: What needs no clean-up.
    """

    __slots__ = ("_manager", "others", "queue")

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self.queue: deque[Resource] = deque()
        self.others: list[Resource] = []

    def place_of(self, resource: Resource) -> deque[Resource] | list[Resource]:
        """Return where a resource is put by the step that takes it."""
        return self.others if resource._cleanup is None else self.queue

    def __len__(self) -> int:
        return len(self.queue) + len(self.others)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if cls is not None and self.queue:
            self._manager._clean_later(self.queue)
