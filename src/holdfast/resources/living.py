"""Which resource managers live in this process. Weak: being listed keeps none alive."""

from __future__ import annotations

from weakref import WeakValueDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["enlist", "resource_managers"]

# Of ResourceManager, whose module imports this one, by identity.
_living: WeakValueDictionary[int, Any] = WeakValueDictionary()


def enlist(manager: Any) -> None:
    """List a manager for as long as it lives."""
    _living[id(manager)] = manager


def resource_managers() -> list[Any]:
    """Return the living managers, by name."""
    # valuerefs() is one step: a manager that is made meanwhile does not disturb it.
    found = [one for ref in _living.valuerefs() if (one := ref()) is not None]
    return sorted(found, key=lambda one: str(one.name))
