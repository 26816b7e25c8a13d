"""The phases of a component manager: its components, and the resilience layer.

Owns what each phase starts and stops, and how long a start waits. Elsewhere: their order, and what
is taken back (``phases``); each component's life (``supervisor``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.clock import ManualClock
from holdfast.policies.breaker import CircuitBreaker
from holdfast.records import note
from holdfast.redaction import describe_error
from holdfast.supervision.errors import LayerError
from holdfast.supervision.states import ComponentState
from holdfast.waiting.parking import ThreadWaiter

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    from holdfast.clock import Clock
    from holdfast.periodic import Periodic
    from holdfast.supervision.adapted import Given
    from holdfast.supervision.supervisor import Supervisor
    from holdfast.waiting.aio import TaskWaiter

    class Manager(Protocol):
        """The component manager, as far as it is of use here."""

        _clock: Clock
        _parts: dict[str, Given]
        _metrics: Periodic | None
        _transport: Any

        @property
        def name(self) -> str: ...
        @property
        def supervisor(self) -> Supervisor: ...
        def _empty_supervisor(self) -> None: ...
        def _supervise(self, part: Given) -> str: ...
        def _take_transport(self, names: list[str]) -> None: ...
        def _wake(self) -> None: ...
        def _heard_by(self, waiter: ThreadWaiter | TaskWaiter) -> AbstractContextManager[None]: ...
        def _new_breaker(self) -> CircuitBreaker: ...
        def _given_resilience(self) -> Any: ...


__all__ = ["TITLES", "ComponentLayer", "ResilienceLayer"]

#: What each phase is called.
TITLES = ("Core", "Intelligence", "Coordination", "Resilience Layer")

_UP = (ComponentState.RUNNING, ComponentState.FINISHED)
_STEP_NS = 50_000_000  # by which a wait moves a manual clock


class ComponentLayer:
    """A phase of components, which one supervisor starts and looks after.

    The first such phase also starts the supervisor, and its stop stops all components, in reverse
    order and within one time.
    """

    def __init__(self, manager: Manager, number: int) -> None:
        self._manager = manager
        self.number = number
        self.title = TITLES[number]

    def start(self) -> None:
        """Start the components of the phase; return once the checks of all have passed."""
        manager = self._manager
        if self.number == 0:
            manager._empty_supervisor()
            manager.supervisor.start()
        names = self._add()
        clock = manager._clock
        step_ns = _STEP_NS if isinstance(clock, ManualClock) else None
        while True:
            waiter = ThreadWaiter()
            with manager._heard_by(waiter):
                if self._are_up(names):
                    return
                waiter.park(clock, step_ns)

    async def astart(self) -> None:
        """Start the components of the phase in the event loop; see ``start``."""
        from holdfast.waiting.aio import TaskWaiter

        manager = self._manager
        if self.number == 0:
            manager._empty_supervisor()
            await manager.supervisor.astart()
        names = self._add()
        while True:
            waiter: TaskWaiter = TaskWaiter()
            with manager._heard_by(waiter):
                if self._are_up(names):
                    return
                await waiter.park(manager._clock, None)

    def stop(self, timeout: float) -> bool:
        """Stop all components, if this is the first of the phases."""
        if self.number:
            return True
        self._manager._transport = None
        ended = self._manager.supervisor.stop(timeout)
        self._manager._wake()
        return ended

    async def astop(self, timeout: float) -> bool:  # noqa: ASYNC109 - as in stop
        """Stop all components, if this is the first of the phases."""
        if self.number:
            return True
        self._manager._transport = None
        ended = await self._manager.supervisor.astop(timeout)
        self._manager._wake()
        return ended

    def _add(self) -> list[str]:
        return [
            self._manager._supervise(part)
            for part in self._manager._parts.values()
            if part.phase == self.number
        ]

    def _are_up(self, names: list[str]) -> bool:
        """Return whether all run.

        Raises:
            LayerError: One has failed, or was stopped.
        """
        are_up = True
        supervisor = self._manager.supervisor
        for name in names:
            status = supervisor.status(name)
            if status.state in _UP:
                continue
            is_next = status.state is ComponentState.STOPPED and supervisor.running
            if status.state is not ComponentState.STARTING and not is_next:
                raise LayerError(f"{name!r}: {status.error or f'it is {status.state}'}")
            are_up = False
        if are_up:
            self._manager._take_transport(names)  # whose event may still be to be told
        return are_up


class ResilienceLayer:
    """The phase of the circuit breaker of the transport, and of the resilience manager.

    Attributes:
        breaker: The circuit breaker; None while the phase is stopped.
        resilience: The resilience manager; None while the phase is stopped, or if there is none.
    """

    def __init__(self, manager: Manager, number: int) -> None:
        self._manager = manager
        self.number = number
        self.title = TITLES[number]
        self.breaker: CircuitBreaker | None = None
        self.resilience: Any = None

    def start(self) -> None:
        """Make the circuit breaker, and start the resilience manager and the metrics."""
        self._make_breaker()
        try:
            self.resilience = layer = self._manager._given_resilience()
            if layer is not None:
                layer.start()
        except Exception as error:
            raise _wrapped(error) from error
        self._started()
        if self._manager._metrics is not None:
            self._manager._metrics.start()

    async def astart(self) -> None:
        """Start as ``start`` does, in the event loop."""
        self._make_breaker()
        try:
            self.resilience = layer = self._manager._given_resilience()
            if layer is not None:
                await layer.astart()
        except Exception as error:
            raise _wrapped(error) from error
        self._started()
        if self._manager._metrics is not None:
            await self._manager._metrics.astart()

    def stop(self, timeout: float) -> bool:
        """Stop the metrics and the resilience manager, and have no circuit breaker."""
        metrics, layer = self._manager._metrics, self.resilience
        ended = metrics is None or metrics.stop(timeout)
        if layer is not None:
            ended = layer.stop(timeout) is not False and ended
        return self._stopped(ended=ended)

    async def astop(self, timeout: float) -> bool:  # noqa: ASYNC109 - as in stop
        """Stop as ``stop`` does, without blocking the event loop."""
        metrics, layer = self._manager._metrics, self.resilience
        ended = metrics is None or await metrics.astop(timeout)
        if layer is not None:
            ended = await layer.astop(timeout) is not False and ended
        return self._stopped(ended=ended)

    def forget(self) -> None:
        """Have neither: in a forked child."""
        self.breaker = self.resilience = None

    def _make_breaker(self) -> None:
        self.breaker = self._manager._new_breaker()
        self._say("part_started", "Circuit breaker initialized successfully")

    def _started(self) -> None:
        if self.resilience is not None:
            self._say("part_started", "Resilience manager started successfully")

    def _stopped(self, *, ended: bool) -> bool:
        if not ended:
            return False  # a second stop tries again
        if self.resilience is not None:
            self.resilience = None
            self._say("part_stopped", "Resilience manager stopped successfully")
        if self.breaker is not None:
            self.breaker = None
            self._say("part_stopped", "Circuit breaker stopped successfully")
        return True

    def _say(self, record: str, words: str) -> None:
        name = self._manager.name
        note(record, "component_manager", name, "%s: component manager %r", words, name)


def _wrapped(error: Exception) -> LayerError:
    name, text = describe_error(error)
    why = f"{name}: {text}" if text else name
    return LayerError(f"failed to initialize resilience layer: {why}")
