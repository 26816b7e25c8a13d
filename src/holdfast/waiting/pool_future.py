"""The future of a task of a pool, which minds that nobody waits for it in an event loop's thread.

Imported with the first task: ``concurrent.futures`` takes its time.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any
from weakref import ref

from holdfast.waiting.standstill import mind_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast._native.gate import Gate
__all__ = ["PoolFuture"]


class PoolFuture(Future[Any]):
    """What ``submit`` returns."""

    def __init__(self, pool: Gate) -> None:
        super().__init__()
        self._pool = ref(pool)  # which is not to be kept by its results

    def result(self, timeout: float | None = None) -> Any:
        """Return what the task returned, or raise what it raised; see ``Future``."""
        self._mind_loop(timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the task raised, if anything; see ``Future``."""
        self._mind_loop(timeout)
        return super().exception(timeout)

    def _mind_loop(self, timeout: float | None) -> None:
        pool = self._pool()
        if pool is not None and timeout != 0 and not self.done():
            mind_loop(pool)
