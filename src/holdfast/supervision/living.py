"""Which supervisors live in this process. Weak: being listed keeps no supervisor alive."""

from __future__ import annotations

from weakref import WeakValueDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["enlist", "supervisors"]

# Of Supervisor, whose module imports this one, by identity.
_living: WeakValueDictionary[int, Any] = WeakValueDictionary()


def enlist(supervisor: Any) -> None:
    """List a supervisor for as long as it lives."""
    _living[id(supervisor)] = supervisor


def supervisors() -> list[Any]:
    """Return the living supervisors, by name."""
    # valuerefs() is one step: a supervisor that is made meanwhile does not disturb it.
    found = [one for ref in _living.valuerefs() if (one := ref()) is not None]
    return sorted(found, key=lambda one: str(one.name))
