"""The life of what runs in the background: a `with` or `async with` block starts and stops it.

Elsewhere: how each starts and stops.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["Life"]


class Life:
    """A base of classes with ``start``, ``stop``, ``astart`` and ``astop``."""

    __slots__ = ()

    if TYPE_CHECKING:
        start: Callable[..., Any]
        stop: Callable[..., Any]
        astart: Callable[..., Any]
        astop: Callable[..., Any]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.astart()
        return self

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.astop()
