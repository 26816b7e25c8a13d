"""What a component manager shows of itself: data only."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.supervision.status import SupervisorSnapshot

__all__ = ["ComponentManagerSnapshot"]


@dataclass(frozen=True, slots=True)
class ComponentManagerSnapshot:
    """A component manager at one moment.

    Attributes:
        name: Its name.
        enabled: Whether a start starts anything.
        running: Whether all phases have started, and no stop has begun since.
        healthy: What ``is_healthy()`` says.
        circuit_breaker: The state of the transport's circuit breaker, or "not_initialized".
        supervisor: Its components.
        resilience: The snapshot of the resilience manager; None without one.
    """

    name: str
    enabled: bool
    running: bool
    healthy: bool
    circuit_breaker: str
    supervisor: SupervisorSnapshot
    resilience: Any
