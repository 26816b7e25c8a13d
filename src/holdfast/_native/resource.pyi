from typing import Any, Self, final

MOST: int

FULL: int
ALL_FULL: int
DONE: int
HIGH: int
ALL_HIGH: int

CLEANED: int
RELEASED: int
COLLECTED: int
LEAK: int
ERROR: int

@final
class Resource:
    def __new__(cls, limit: int | None = None) -> Self: ...
    def add(
        self, n: int = 1, total: Resource | None = None, held: list[None] | None = None
    ) -> int: ...
    def remove(self, end: int, n: int = 1, total: Resource | None = None) -> bool: ...
    def take(
        self,
        held: list[None],
        living: dict[Any, Any],
        key: object,
        end: int,
        n: int,
        total: Resource | None,
        into: Any,
        one: object,
    ) -> bool: ...
    def count(self, event: int) -> None: ...
    def counted(self) -> tuple[int, ...]: ...
    def active(self) -> int: ...
    def limit(self) -> int | None: ...
    def resize(self, limit: int | None) -> int: ...
    def show(self, limit: int) -> None: ...
    def nbytes(self) -> int: ...
    def _capsule(self) -> object: ...
