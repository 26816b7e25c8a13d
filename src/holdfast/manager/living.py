"""Which managers live in this process. Weak: being listed keeps no manager alive."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from typing import Any

__all__ = ["enlist", "managers"]

# Of ResilienceManager, which stands above, by identity.
_living: WeakValueDictionary[int, Any] = WeakValueDictionary()


def enlist(manager: Any) -> None:
    """List a manager for as long as it lives."""
    _living[id(manager)] = manager


def managers() -> list[Any]:
    """Return the living managers, by name."""
    # valuerefs() is one step: a manager that is made meanwhile does not disturb it.
    found = [manager for one in _living.valuerefs() if (manager := one()) is not None]
    return sorted(found, key=lambda manager: str(manager.name))
