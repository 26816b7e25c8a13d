"""What a manager, and all that lives in this process, show at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from holdfast.resources.snapshot import ResourcesSnapshot
    from holdfast.supervision.status import SupervisorSnapshot

    Manager = Any  # ResilienceManager, which stands above

__all__ = [
    "KeyCounts",
    "KeySnapshot",
    "KeysSnapshot",
    "ManagerSnapshot",
    "OperationSnapshot",
    "Snapshot",
    "snapshot",
    "snapshot_of",
]


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """How many keys an operation keeps.

    Attributes:
        living: How many are kept.
        most: How many are kept at most.
        evicted: How many made room for others.
        overflowed: How often a key was asked for for which there was no room.
    """

    living: int
    most: int
    evicted: int
    overflowed: int


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """What one key of an operation has for itself, at one moment; None: nothing of this kind.

    Attributes:
        key: The key.
        circuit_breaker: The snapshot of its circuit breaker,
        rate_limiter: that of its rate limiter,
        bulkhead: that of its bulkhead,
        retry_budget: and that of the budget of its retry.
    """

    kind: str = field(default="key", init=False)
    key: Any
    circuit_breaker: Any = None
    rate_limiter: Any = None
    bulkhead: Any = None
    retry_budget: Any = None


@dataclass(frozen=True, slots=True)
class KeysSnapshot:
    """All keys of an operation at one moment.

    Attributes:
        operation: The name of the operation.
        counts: How many keys there are and were.
        keys: The snapshot of each, by key.
        overflow: That of the policies which keys share for which there is no room.
    """

    kind: str = field(default="keys", init=False)
    operation: str
    counts: KeyCounts
    keys: dict[Any, KeySnapshot]
    overflow: KeySnapshot


@dataclass(frozen=True, slots=True)
class OperationSnapshot:
    """An operation at one moment.

    Attributes:
        name: Its name.
        critical: Whether metrics and alerts mark it as critical.
        order: "recommended" or "classic".
        policies: Kind and name of each policy that a call passes, outermost first.
    """

    kind: str = field(default="operation", init=False)
    name: str
    critical: bool
    order: str
    policies: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class ManagerSnapshot:
    """A manager at one moment.

    Attributes:
        name: Its name.
        running: Whether it was started and not stopped since.
        healthy: Whether every health check is healthy.
        policies: The snapshots of its policies, by kind and name.
        operations: The operations that were called or registered, by name.
        keys: How many keys the operations have that were asked for by key, by name.
        health: The snapshot of its health monitor; None if it was never used. So are:
        degradation: that of its degradation manager,
        slo: that of its SLO tracker,
        timeouts: and that of its timeout manager.
        chaos: The snapshots of its faults, by name.
    """

    kind: str = field(default="manager", init=False)
    name: str
    running: bool
    healthy: bool
    policies: dict[str, dict[str, Any]]
    operations: dict[str, OperationSnapshot]
    keys: dict[str, KeyCounts]
    health: Any
    degradation: Any
    slo: Any
    timeouts: Any
    chaos: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that lives in this process at one moment.

    Attributes:
        managers: The snapshots of all managers.
        supervisors: Those of all supervisors, each with its components.
        resources: Those of all resource managers.
        policies: Those of all policies that belong to no manager.
        chaos: That of chaos as a whole.
        performance: Those of all performance monitors, each with its newest report.
    """

    kind: str = field(default="process", init=False)
    managers: tuple[ManagerSnapshot, ...]
    supervisors: tuple[SupervisorSnapshot, ...]
    resources: tuple[ResourcesSnapshot, ...]
    policies: tuple[Any, ...]
    chaos: Any
    performance: tuple[Any, ...] = ()


def snapshot_of(manager: Manager) -> ManagerSnapshot:
    """Return the state of a manager."""
    policies = manager.policies()
    faults = policies.pop("fault", {})
    return ManagerSnapshot(
        name=manager.name,
        running=manager.running,
        healthy=manager.is_healthy(),
        policies={
            kind: {name: policy.snapshot() for name, policy in named.items()}
            for kind, named in policies.items()
        },
        operations={one.name: one.snapshot() for one in manager.operations},
        keys={name: keys.counts() for name, keys in list(manager._keyed.items())},
        health=None if manager._health is None else manager._health.snapshot(),
        degradation=None if manager._degradation is None else manager._degradation.snapshot(),
        slo=None if manager._slo is None else manager._slo.snapshot(),
        timeouts=None if manager._timeouts is None else manager._timeouts.snapshot(),
        chaos={name: fault.snapshot() for name, fault in faults.items()},
    )


def snapshot() -> Snapshot:
    """Return the state of all that lives in this process: managers, supervisors and so on.

    Safe to call from any thread.

    >>> import holdfast as hf
    >>> rm = hf.ResilienceManager("warehouse")
    >>> _ = rm.register_bulkhead("orders", 10)
    >>> [one.policies["bulkhead"]["orders"].capacity for one in snapshot().managers
    ...  if one.name == "warehouse"]
    [10]
    """
    from holdfast.chaos.snapshot import snapshot as snapshot_of_chaos
    from holdfast.manager.living import managers
    from holdfast.policies.base import scope_of
    from holdfast.registry import registry
    from holdfast.resources.living import performance_monitors, resource_managers
    from holdfast.supervision.living import supervisors

    living = managers()
    scopes = {manager.name for manager in living}
    own = {
        id(policy)
        for manager in living
        for named in manager.policies().values()
        for policy in named.values()
    }
    others = (one for one in registry.all() if id(one) not in own and scope_of(one) not in scopes)
    return Snapshot(
        managers=tuple(manager.snapshot() for manager in living),
        supervisors=tuple(one.snapshot() for one in supervisors()),
        resources=tuple(one.snapshot() for one in resource_managers()),
        policies=tuple(one.snapshot() for one in others),
        chaos=snapshot_of_chaos(),
        performance=tuple(one.snapshot() for one in performance_monitors()),
    )
