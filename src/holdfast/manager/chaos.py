"""Chaos as a part of a manager: its faults, and the switch of the process.

Elsewhere: which calls a fault strikes (``holdfast.chaos``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

import holdfast.chaos.engine as chaos
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos import Fault

    Manager = Any  # ResilienceManager, which stands above

__all__ = ["ManagerChaos"]


class ManagerChaos(Whole):
    """The faults of a manager. They strike 1 % of calls unless they say otherwise, once enabled.

    The switch is that of the process: ``holdfast.chaos`` says who may turn it.

    Safe to share between threads and event loops.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = ref(manager)
        self._clock = manager._clock

    def register(self, fault: Fault, operations: Iterable[str] | None = None) -> Fault:
        """Register a fault; see ``ResilienceManager.register_fault``."""
        self._its().register_fault(fault, operations)
        return fault

    @property
    def faults(self) -> dict[str, Fault]:
        """The registered faults, by name."""
        found: dict[str, Fault] = self._its().policies().get("fault", {})
        return found

    @property
    def enabled(self) -> bool:
        """Whether faults strike at this moment."""
        return chaos.enabled()

    def enable(self, *, seed: int | None = None, duration: float | timedelta = 300.0) -> bool:
        """Enable chaos in this process, on the manager's clock; see ``holdfast.chaos.enable``."""
        return chaos.enable(seed=seed, duration=duration, clock=self._clock)

    def disable(self) -> None:
        """Disable chaos in this process."""
        chaos.disable()

    def _its(self) -> Manager:
        manager = self._manager()
        if manager is None:
            raise ReferenceError("the manager of this chaos is gone")
        return manager

    def __repr__(self) -> str:
        return f"<ManagerChaos: {'enabled' if self.enabled else 'disabled'}>"
