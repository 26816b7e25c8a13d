"""A network partition: for a limited time, calls do not reach what they call."""

from __future__ import annotations

from holdfast.chaos.effect import Effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.clock import Clock

__all__ = ["PartitionEffect"]


class PartitionEffect(Effect):
    """Is on during a partition, and calls back at its beginning and at its end.

    Args:
        on_partition: Called without arguments by the thread that starts the effect.
        on_recover: Called without arguments at the end, by the thread that ends the effect or by
            the one that waits for its time.
        clock: Its source of time.
    """

    __slots__ = ("_on_partition", "_on_recover")

    _threads = 0
    _in_system_threads = False  # callbacks of an application with greenlets may need its hub

    def __init__(
        self,
        on_partition: Callable[[], object] | None,
        on_recover: Callable[[], object] | None,
        clock: Clock,
    ) -> None:
        super().__init__(clock)
        self._on_partition = on_partition
        self._on_recover = on_recover

    def _begin(self) -> None:
        _tell(self._on_partition)

    def _finished(self) -> None:
        _tell(self._on_recover)


def _tell(callback: Callable[[], object] | None) -> None:
    if callback is None:
        return
    try:
        callback()
    except Exception:  # the partition goes on, or ends, all the same
        from logging import getLogger

        getLogger("holdfast").exception("a callback of a partition raised")
