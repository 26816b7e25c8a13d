"""Cleaner: deletes rows that are older than what is to be kept, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holdfast as hf

if TYPE_CHECKING:
    from threading import Event

    from examples.market_collector.worker import Shared

__all__ = ["Cleaner"]

_AT_A_TIME = 1000  # so that a worker never waits long for the store


class Cleaner:
    """Deletes old rows once an interval.

    Args:
        shared: What it uses together with others.
        interval: Seconds from one clean-up to the next.
        keep: How many minutes are kept.

    ``run`` is for one thread; ``clean`` is safe from any.
    """

    def __init__(self, shared: Shared, *, interval: float, keep: int) -> None:
        self.deleted = 0
        self._shared = shared
        self._interval = interval
        self._keep = keep

    def run(self, stopping: Event) -> None:
        """Clean until the end."""
        with self._shared.resources.register("cleaning", "thread") as thread, thread.using():
            while not stopping.wait(self._interval):
                self.clean(stopping)

    def end(self) -> None:
        """Break off what runs, once ``stopping`` is set."""
        self._shared.rm.timeouts.cancel("cleanup")

    def clean(self, stopping: Event | None = None) -> int:
        """Delete what is too old, within the time of a clean-up; return how many rows."""
        before = self.deleted
        try:
            self._shared.rm.timeouts.operation("cleanup", "cleanup").call(self._delete, stopping)
        except hf.OperationCancelledError:
            pass  # the collector stops
        except Exception as error:  # noqa: BLE001 - told by the aggregate
            self._shared.errors.add("cleanup", error)
        else:
            self._shared.errors.add("cleanup")
        return self.deleted - before

    def _delete(self, stopping: Event | None) -> None:
        newest = self._shared.calendar.agreed  # what is deleted, does not come back
        if newest is None:
            return
        while stopping is None or not stopping.is_set():
            hf.check_deadline()
            deleted = self._shared.store.delete_before(newest - self._keep + 1, _AT_A_TIME)
            self.deleted += deleted
            if deleted < _AT_A_TIME:
                return
