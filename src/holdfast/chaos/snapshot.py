"""What a fault, and chaos as a whole, show of themselves at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.chaos.engine import engine

__all__ = ["ChaosSnapshot", "FaultSnapshot", "snapshot"]


@dataclass(frozen=True, slots=True)
class FaultSnapshot:
    """The state and the counts of a fault at one moment.

    Attributes:
        fault_type: The class of the fault, such as "latency".
        armed: Whether it may strike calls.
        probability: The share of calls that are struck.
        seed: The seed of the random numbers.
        checked: Calls that passed the fault while it was armed.
        injected: Calls that it struck.
        observed: Calls that it would have struck (mode "observe").
        rate: ``injected`` divided by ``checked``; 0 if no call was checked.
        left: How many more calls it may strike; None if there is no limit.
    """

    kind: str = field(default="fault", init=False)
    name: str
    fault_type: str
    armed: bool
    probability: float
    seed: int
    checked: int
    injected: int
    observed: int
    rate: float
    left: int | None


@dataclass(frozen=True, slots=True)
class ChaosSnapshot:
    """The state of chaos in this process, and the counts of all living faults, at one moment.

    Attributes:
        enabled: Whether faults strike.
        left: Seconds until chaos ends by itself; 0 while it is disabled.
        seed: The seed of the last ``chaos.enable``; None if there was none.
        runs: How often chaos was enabled.
        checks: Calls that passed an armed fault.
        injections: Calls that were struck.
        rate: ``injections`` divided by ``checks``; 0 if no call was checked.
        by_type: Injections by class of fault, such as {"latency": 3}.
        faults: The snapshots of the faults, in the order in which they were made.
    """

    enabled: bool
    left: float
    seed: int | None
    runs: int
    checks: int
    injections: int
    rate: float
    by_type: dict[str, int]
    faults: tuple[FaultSnapshot, ...]


def snapshot() -> ChaosSnapshot:
    """Return the current state of chaos; see ``ChaosSnapshot`` for the fields.

    Safe to call from any thread.
    """
    faults: list[FaultSnapshot] = [
        fault.snapshot() for fault in engine.faults if fault.fault_type != "point"
    ]
    by_type: dict[str, int] = {}
    for fault in faults:
        by_type[fault.fault_type] = by_type.get(fault.fault_type, 0) + fault.injected
    checks, injections = sum(one.checked for one in faults), sum(one.injected for one in faults)
    left_ns = engine.left_ns()
    return ChaosSnapshot(
        enabled=left_ns > 0,
        left=left_ns / 1e9,
        seed=engine.seed,
        runs=engine.run,
        checks=checks,
        injections=injections,
        rate=injections / checks if checks else 0.0,
        by_type=by_type,
        faults=tuple(faults),
    )
