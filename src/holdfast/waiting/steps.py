"""The steps of a guarded coroutine, for Python code that makes them itself.

``await`` does without: the interpreter is given the coroutine.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from holdfast._native.gate import GuardedCoroutine

__all__ = ["Steps"]


class Steps:
    """What ``__await__()`` of a guarded coroutine returns, as that of a native coroutine does."""

    __slots__ = ("close", "send", "throw")

    def __init__(self, coroutine: GuardedCoroutine[Any]) -> None:
        self.send, self.throw, self.close = coroutine.send, coroutine.throw, coroutine.close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.send(None)
