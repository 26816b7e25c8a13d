"""What a resource manager says in the log. Elsewhere: the way there (``records``)."""

from __future__ import annotations

import sys

import holdfast.records as records
from holdfast.records import DEBUG, area_of, note, takes
from holdfast.redaction import one_line
from holdfast.validation import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger

    from holdfast.clock import Clock
    from holdfast.resources.resource import Resource
    from holdfast.resources.snapshot import ResourcesSnapshot

__all__ = [
    "KIND",
    "log_error",
    "log_high",
    "log_leak",
    "log_life",
    "log_resource",
    "log_statistics",
    "wants_each",
]

KIND = "resource_manager"
_logger: Logger | None = None
_WORDS = {
    "resource_registered": "Resource registered",
    "resource_unregistered": "Resource unregistered",
    "resource_cleaned": "Resource cleaned",
}


def wants_each() -> bool:
    """Return whether a logger may take a record of each registration: this is asked each time."""
    global _logger  # noqa: PLW0603 - asked for once
    if records._logs:  # somebody has asked for all events
        return takes("resource_registered", KIND)
    if _logger is None:
        if "logging" not in sys.modules:
            return False  # nobody has asked for more than warnings
        from logging import getLogger

        _logger = getLogger(area_of(KIND))
    return _logger.isEnabledFor(DEBUG)


def log_resource(record: str, manager: str, resource: Resource, why: str, clock: Clock) -> None:
    """Log that a resource was registered, unregistered or cleaned."""
    note(
        record,
        KIND,
        manager,
        "%s: %s %s of resource manager %r%s",
        _WORDS[record],
        resource.kind,
        shown(resource.id),
        manager,
        f" ({why})" if why else "",
        clock=clock,
        resource=shown(resource.id),
        type=resource.kind,
    )


def log_high(manager: str, kind: str | None, active: int, limit: int | None, clock: Clock) -> None:
    """Log that more than 80 % of a limit is in use."""
    note(
        "resources_high",
        KIND,
        manager if kind is None else f"{manager}/{kind}",
        "High resource count: %d of %s %s of resource manager %r are registered",
        active,
        limit,
        "resources" if kind is None else f"of kind {kind!r}",
        manager,
        clock=clock,
        type=kind,
    )


def log_leak(manager: str, resource: Resource, age: float, clock: Clock) -> None:
    """Log that a resource may be a leak, with the place where it was registered."""
    note(
        "resource_leak",
        KIND,
        f"{manager}/{resource.kind}",
        "Resource leak suspected: %s %s of resource manager %r, registered %.0f s ago at %s",
        resource.kind,
        shown(resource.id),
        manager,
        age,
        resource.where,
        clock=clock,
        resource=shown(resource.id),
        type=resource.kind,
        where=resource.where,
    )


def log_error(manager: str, resource: Resource, error: str, clock: Clock) -> None:
    """Log that a clean-up has raised, or has taken too long."""
    note(
        "cleanup_failed",
        KIND,
        f"{manager}/{resource.kind}",
        "Resource cleanup failed: %s %s of resource manager %r (%s)",
        resource.kind,
        shown(resource.id),
        manager,
        one_line(error),
        clock=clock,
        resource=shown(resource.id),
        type=resource.kind,
    )


def log_life(record: str, manager: str, clock: Clock) -> None:
    """Log that a manager was started or stopped."""
    word = "started" if record == "resource_manager_started" else "stopped"
    note(record, KIND, manager, "resource manager %r is " + word, manager, clock=clock)


def log_statistics(snapshot: ResourcesSnapshot, clock: Clock) -> None:
    """Log what is registered, and what has become of what was."""
    kinds = [one for one in snapshot.kinds.values() if one.created or one.refused]
    note(
        "resource_statistics",
        KIND,
        snapshot.name,
        "Resource statistics of %r: %d of %d registered; created %d, cleaned %d, leaks %d,"
        " cleanup errors %d; %s",
        snapshot.name,
        snapshot.registered,
        snapshot.max_resources,
        sum(one.created for one in kinds),
        sum(one.cleaned for one in kinds),
        sum(one.leaks for one in kinds),
        sum(one.cleanup_errors for one in kinds),
        ", ".join(f"{one.resource} {one.active}" for one in kinds if one.active) or "none active",
        clock=clock,
    )
