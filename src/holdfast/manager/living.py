"""Which managers live in this process. Weak: being listed keeps no manager alive."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from typing import Any

__all__ = ["enlist", "managers"]

_living: WeakSet[Any] = WeakSet()  # of ResilienceManager, which stands above


def enlist(manager: Any) -> None:
    """List a manager for as long as it lives."""
    _living.add(manager)


def managers() -> list[Any]:
    """Return the living managers, by name."""
    return sorted(_living, key=lambda manager: str(manager.name))
