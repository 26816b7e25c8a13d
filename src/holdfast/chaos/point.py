"""Attaching faults to policies that exist: a pipeline need not be made for its tests.

Owns the point that a gate gets when a fault is attached to it for the first time: an innermost
step, which strikes with whatever is attached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from holdfast._native.gate import Gate
from holdfast.chaos.engine import engine
from holdfast.chaos.fault import Fault
from holdfast.errors import ConfigError
from holdfast.mode import Mode
from holdfast.policies.base import Policy
from holdfast.registry import registry
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from holdfast.clock import Clock

    Span = tuple[Clock, int, int]

__all__ = ["attach"]

_points: WeakKeyDictionary[Gate, Point] = WeakKeyDictionary()


class _Attached(NamedTuple):
    fault: Fault
    span: Span | None  # when it strikes, if not always


class Point(Fault):
    """What a gate has innermost while faults are attached to it; strikes with those."""

    __slots__ = ("attached",)

    fault_type = "point"

    def __init__(self, name: str) -> None:
        super().__init__(name, probability=1.0)
        self.attached: tuple[_Attached, ...] = ()

    def _due(self) -> Iterator[tuple[Fault, int]]:
        """Yield each attached fault that strikes this call, and the number of the call."""
        for fault, span in self.attached:
            if span is not None and not span[1] <= span[0].now_ns() < span[2]:
                continue
            if fault.mode is Mode.OFF:
                continue
            struck, number = fault._kernel.check(fault._clock.now_ns())
            if struck and number is not None:
                yield fault, number

    def _block(self, number: int = 0) -> None:  # noqa: ARG002 - each fault has numbers of its own
        for fault, its_number in self._due():
            if fault.mode is Mode.OBSERVE:
                fault._kernel.count_observed()
            else:
                fault._kernel.count_injected()
                fault._block(its_number)

    async def _suspend(self, number: int = 0) -> None:  # noqa: ARG002
        for fault, its_number in self._due():
            if fault.mode is Mode.OBSERVE:
                fault._kernel.count_observed()
            else:
                fault._kernel.count_injected()
                await fault._suspend(its_number)


def attach(fault: Fault, target: Policy | str, *, _span: Span | None = None) -> Callable[[], None]:
    """Have a fault strike the calls of a policy that exists, as if it were its innermost part.

    Args:
        fault: What strikes the calls.
        target: A policy, or a name. A name means all living pipelines of this name or, if there
            are none, all policies of this name.

    Returns:
        A function that detaches the fault. It may be called repeatedly.

    Raises:
        ConfigError: An argument is invalid: no living policy has the name, the policy is off, or it
            has 16 parts already.

    Safe to call from any thread.

    >>> from holdfast import Pipeline, CircuitBreaker
    >>> from holdfast.chaos import Error
    >>> pipe = Pipeline("payments", CircuitBreaker("payments"))
    >>> detach = attach(Error(ConnectionResetError, probability=1), "payments")
    >>> detach()
    """
    problems = Problems("chaos.attach")
    problems.instance("fault", fault, Fault, "a fault")
    gates = _targets(problems, target)
    problems.done()
    attached = _Attached(fault, _span)
    with engine.lock:  # a gate has room for one point
        points = [point for gate in gates for point in _points_of(gate)]
        for point in points:
            point.attached = (*point.attached, attached)

    def detach() -> None:
        with engine.lock:
            for point in points:
                point.attached = tuple(one for one in point.attached if one is not attached)

    return detach


def _targets(problems: Problems, target: Any) -> list[Policy]:
    if isinstance(target, Policy):
        found = [target]
    elif isinstance(target, str):
        named: list[Any] = [one for one in registry.all() if one.name == target]
        found = [one for one in named if one.kind == "pipeline"] or named
        found = [one for one in found if one.kind != "fault"]
        if not found:
            problems.refuse("target", target, "a policy, or the name of a living policy")
    else:
        problems.refuse("target", target, "a policy, or the name of a living policy")
        found = []
    for one in found:
        if one.kind != "pipeline" and one.mode is Mode.OFF:
            problems.refuse("target", one, "a policy whose mode is not off")
        if one.kind == "hedge":
            problems.refuse("target", one, "a policy, or a pipeline with the hedge in it")
        if one.kind == "pool_bulkhead":
            problems.refuse("target", one, "a policy that runs calls in the calling thread")
    return found


def _points_of(gate: Gate) -> list[Point]:
    """Return the points of a gate: its own, and that of what a timeout runs in a thread."""
    points = [_point_of(gate)]
    while gate._threaded_at >= 0:
        if gate._rest is None:
            gate._rest = rest = Gate()
            rest._compose(gate.name or "", (points[-1],))
            _points[rest] = points[-1]
            break
        gate = gate._rest
        point = _point_of(gate)
        if point is not points[-1]:
            points.append(point)
    return points


def _point_of(gate: Gate) -> Point:
    point = _points.get(gate)
    if point is None:
        # It is no policy of the user's: neither registered nor shown by metrics.
        point = type.__call__(Point, f"attached to {gate.name}")
        try:
            gate._attach(point)
        except ValueError as error:
            raise ConfigError(f"chaos.attach: target: {error}") from None
        _points[gate] = point
        point._placed_in(gate)
    return point
