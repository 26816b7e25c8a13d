"""Which resource managers and monitors live in this process. Weak: none is kept alive by it."""

from __future__ import annotations

from weakref import WeakValueDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["enlist", "enlist_monitor", "performance_monitors", "resource_managers"]

# Of ResourceManager and PerformanceMonitor, whose modules import this one, by identity.
_living: WeakValueDictionary[int, Any] = WeakValueDictionary()
_monitors: WeakValueDictionary[int, Any] = WeakValueDictionary()


def enlist(manager: Any) -> None:
    """List a manager for as long as it lives."""
    _living[id(manager)] = manager


def enlist_monitor(monitor: Any) -> None:
    """List a performance monitor for as long as it lives."""
    _monitors[id(monitor)] = monitor


def resource_managers() -> list[Any]:
    """Return the living managers, by name."""
    return _by_name(_living)


def performance_monitors() -> list[Any]:
    """Return the living performance monitors, by name."""
    return _by_name(_monitors)


def _by_name(living: WeakValueDictionary[int, Any]) -> list[Any]:
    # valuerefs() is one step: one that is made meanwhile does not disturb it.
    found = [one for ref in living.valuerefs() if (one := ref()) is not None]
    return sorted(found, key=lambda one: str(one.name))
