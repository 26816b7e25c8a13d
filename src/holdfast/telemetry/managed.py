"""What a manager shows: which figures are its own, and what of the machine it uses.

A manager stands above; it is told by its kind, and asked for its name and its policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import MissingExtraError
from holdfast.machine.handles import descriptor_use, thread_use
from holdfast.machine.memory import memory_use
from holdfast.stores.figures import KINDS, MANAGER, PAIRED, TIMED, add, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any, Protocol, TypeGuard

    from holdfast.policies.base import Policy
    from holdfast.stores.figures import Figures
    from holdfast.stores.names import Name

    class Managed(Protocol):
        """A ``ResilienceManager``."""

        @property
        def name(self) -> str: ...

        def policies(self) -> dict[str, dict[str, Policy]]: ...


__all__ = [
    "RESOURCES",
    "is_manager",
    "is_of",
    "plain_names",
    "policies_of",
    "resources",
    "with_plain_names",
]

#: The metrics that show what is used and what may be, beside what is registered (``families``).
RESOURCES = ("resources", "resources_limit")
_LOOKS: dict[str, Callable[[], Any]] = {
    "memory": memory_use,
    "file_descriptors": descriptor_use,
    "threads": thread_use,
}
_OWN = {KINDS[MANAGER], KINDS[TIMED]}  # kinds whose name is the manager's
_PAIRS = {KINDS[role]: role for role in PAIRED}


def is_manager(source: object) -> TypeGuard[Managed]:
    """Return whether it is a manager of policies."""
    return getattr(type(source), "kind", None) == KINDS[MANAGER]


def policies_of(manager: Managed) -> Iterator[Policy]:
    """Yield the policies that were made elsewhere and registered with it."""
    for named in manager.policies().values():
        for policy in named.values():
            if getattr(policy, "_scope", None) != manager.name and policy.name is not None:
                yield policy


def is_of(managers: Collection[str], kind: str, name: str) -> bool:
    """Return whether one of these managers has made what has this kind and name, or is it."""
    if kind in _OWN:
        return name in managers
    if kind in _PAIRS:
        return parts_of(_PAIRS[kind], name)[0] in managers
    return any(name.startswith(f"{manager}/") for manager in managers)


def plain_names(manager: str, names: set[Name]) -> set[Name]:
    """Return kinds and names without the name of the manager."""
    return {(kind, _plain(manager, kind, name)) for kind, name in names}


def _plain(manager: str, kind: str, name: str) -> str:
    if kind in _OWN or kind in _PAIRS:
        return name
    return name.removeprefix(f"{manager}/")


def with_plain_names(manager: str, figures: Figures) -> Figures:
    """Return figures by plain names; those of one name become one."""
    found: Figures = {}
    for (role, name), there in figures.items():
        short = role, _plain(manager, KINDS[role], name)
        add(found, short, there.counts)
        found[short].states += there.states
    return found


def resources() -> Iterator[tuple[str, int, int]]:
    """Yield what this process uses and may use, by type; what cannot be read is left out."""
    for type_, look in _LOOKS.items():
        try:
            use = look()
        except (MissingExtraError, OSError):  # no Linux, and psutil is not installed or may not
            continue
        if use is not None:
            yield type_, use.used, use.limit
