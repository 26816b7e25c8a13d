"""What a resource manager shows of itself: data only."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["KindSnapshot", "ResourcesSnapshot", "SystemSnapshot"]


@dataclass(frozen=True, slots=True)
class KindSnapshot:
    """One kind of resource of a manager.

    ``created`` is the sum of ``active`` amounts' registrations and of those that have ended:
    ``cleaned``, ``unregistered`` and ``collected``.

    Attributes:
        resource: The kind.
        registered: How many resources are registered.
        active: The sum of their amounts.
        limit: How much may be; None: no limit of its own.
        created: How many were registered.
        cleaned: How many were cleaned.
        unregistered: How many their owners have closed.
        collected: How many tracked objects were gone before they were unregistered.
        refused: How many there was no room for.
        leaks: How many were suspected to be leaks.
        cleanup_errors: How many clean-ups have raised or taken too long.
        last_cleanup: When one was cleaned last, in seconds on the manager's clock; None: never.
    """

    resource: str
    registered: int
    active: int
    limit: int | None
    created: int
    cleaned: int
    unregistered: int
    collected: int
    refused: int
    leaks: int
    cleanup_errors: int
    last_cleanup: float | None


@dataclass(frozen=True, slots=True)
class SystemSnapshot:
    """The process that a manager is in.

    Attributes:
        threads: Its threads, of Python.
        memory: Its resident memory in bytes; None where that is not known.
        gc_objects: How many new objects the garbage collector has to look at.
        gc_collections: How often it has run, for all generations together.
        gc_uncollectable: How many objects it could not free.
    """

    threads: int
    memory: int | None
    gc_objects: int
    gc_collections: int
    gc_uncollectable: int


@dataclass(frozen=True, slots=True)
class ResourcesSnapshot:
    """A resource manager at one moment.

    Attributes:
        name: Its name.
        running: Whether it was started and not stopped since.
        accepts: Whether it registers: not after a stop.
        registered: How many resources are registered, of all kinds.
        max_resources: How many there may be.
        refused: How many were refused since there were so many.
        kinds: The figures of each kind, by name.
        operations: How much is registered of each kind of operation.
        system: The process.
        callback_failures: How many exceptions its listeners have raised.
    """

    kind: str = field(default="resources", init=False)
    name: str
    running: bool
    accepts: bool
    registered: int
    max_resources: int
    refused: int
    kinds: dict[str, KindSnapshot]
    operations: dict[str, int]
    system: SystemSnapshot
    callback_failures: int
