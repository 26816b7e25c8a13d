"""How a component manager sends and receives, and what it asks of its resilience manager.

The resilience manager stands above this folder: it is given as an argument and never imported.
Elsewhere: when there is a transport, a circuit breaker and a resilience manager (``layers``).
"""

from __future__ import annotations

from holdfast.errors import CircuitOpenError
from holdfast.forks import settle
from holdfast.records import note
from holdfast.supervision.errors import NotInitializedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.policies.breaker import CircuitBreaker
    from holdfast.supervision.layers import ResilienceLayer

__all__ = ["Guarded"]

_NOT_GIVEN: Any = object()


class Guarded:
    """The part of a component manager that sends, receives, and asks its resilience manager."""

    _name: str
    _clock: Clock
    _transport: Any
    _resilient: ResilienceLayer
    _own: dict[str, Any]

    @property
    def transport(self) -> Any:
        """The transport that sends, once its check has passed; None before, and after a stop."""
        settle()
        return self._transport

    # ---- its transport ----

    def send_with_circuit_breaker(self, addr: Any, data: Any = _NOT_GIVEN, /) -> Any:
        """Send through the transport, unless its circuit breaker is open.

        Args:
            addr: The address that ``transport.send`` takes first; or the data, if it takes no
                address.
            data: The data.

        Returns:
            The result of ``transport.send``.

        Raises:
            NotInitializedError: There is no transport, or no circuit breaker: the manager has not
                started.
            CircuitOpenError: The circuit breaker is open.
        """
        transport, breaker = self._its_transport(), self._its_breaker()
        try:
            return breaker.call(transport.send, *_message(addr, data))
        except CircuitOpenError as error:
            self._say_refused(breaker, error)
            raise

    async def asend_with_circuit_breaker(self, addr: Any, data: Any = _NOT_GIVEN, /) -> Any:
        """Send as ``send_with_circuit_breaker`` does, and await ``transport.send``.

        Args:
            addr: The address, or the data if the transport takes no address.
            data: The data.
        """
        transport, breaker = self._its_transport(), self._its_breaker()
        try:
            return await breaker.acall(transport.send, *_message(addr, data))
        except CircuitOpenError as error:
            self._say_refused(breaker, error)
            raise

    def circuit_breaker_state(self) -> str:
        """Return the state of the transport's circuit breaker, such as "closed" or "open".

        "not_initialized": there is none, because the manager has not started.
        """
        settle()
        breaker = self._resilient.breaker
        return "not_initialized" if breaker is None else str(breaker.state)

    def send(self, addr: Any, data: Any = _NOT_GIVEN, /) -> Any:
        """Send under all that the resilience manager has registered as "send".

        Without a resilience manager the transport sends unprotected.

        Args:
            addr: The address, or the data if the transport takes no address.
            data: The data.

        Raises:
            NotInitializedError: There is no transport.
            UnprotectedError: The resilience manager has nothing registered as "send".
        """
        return self._protected("send", self._its_transport().send, *_message(addr, data))

    async def asend(self, addr: Any, data: Any = _NOT_GIVEN, /) -> Any:
        """Send as ``send`` does, and await ``transport.send``.

        Args:
            addr: The address, or the data if the transport takes no address.
            data: The data.
        """
        return await self._aprotected("send", self._its_transport().send, *_message(addr, data))

    def receive(self, *args: Any) -> Any:
        """Receive under all that the resilience manager has registered as "receive".

        Without a resilience manager the transport receives unprotected.

        Args:
            *args: Those of ``transport.receive``.

        Raises:
            NotInitializedError: There is no transport.
            UnprotectedError: The resilience manager has nothing registered as "receive".
        """
        return self._protected("receive", self._its_transport().receive, *args)

    async def areceive(self, *args: Any) -> Any:
        """Receive as ``receive`` does, and await ``transport.receive``."""
        return await self._aprotected("receive", self._its_transport().receive, *args)

    def _protected(self, operation: str, fn: Any, *args: Any) -> Any:
        layer = self._resilient.resilience
        return fn(*args) if layer is None else layer.execute(operation, fn, *args)

    async def _aprotected(self, operation: str, fn: Any, *args: Any) -> Any:
        layer = self._resilient.resilience
        return await (fn(*args) if layer is None else layer.aexecute(operation, fn, *args))

    def _its_transport(self) -> Any:
        transport = self.transport
        if transport is None:
            raise NotInitializedError(
                f"component manager {self._name!r}: transport not initialized"
            )
        return transport

    def _its_breaker(self) -> CircuitBreaker:
        breaker = self._resilient.breaker
        if breaker is None:
            raise NotInitializedError(
                f"component manager {self._name!r}: circuit breaker not initialized"
            )
        return breaker

    def _say_refused(self, breaker: CircuitBreaker, error: CircuitOpenError) -> None:
        if error.policy is breaker:
            note(
                "sending_refused",
                "component_manager",
                self._name,
                "Circuit breaker is open: component manager %r does not send",
                self._name,
                clock=self._clock,
                component="transport",
            )

    # ---- its resilience manager ----

    def enable_chaos_engineering(self, **settings: Any) -> bool:
        """Enable the faults of the resilience manager; see ``ResilienceManager.chaos.enable``.

        Returns:
            Whether chaos is enabled; False without a resilience manager.
        """
        layer = self._resilient.resilience
        return False if layer is None else bool(layer.chaos.enable(**settings))

    def disable_chaos_engineering(self) -> None:
        """Disable the faults of the resilience manager; nothing without one."""
        layer = self._resilient.resilience
        if layer is not None:
            layer.chaos.disable()

    def resilience_metrics(self) -> Any:
        """Return the snapshot of the resilience manager; None without one."""
        layer = self._resilient.resilience
        return None if layer is None else layer.snapshot()

    def degradation_level(self) -> str:
        """Return the worst level of all components of the degradation; "normal" without one."""
        layer = self._resilient.resilience
        degradation = self._own["degradation"]
        if degradation is None and layer is not None:
            degradation = layer.degradation
        return "normal" if degradation is None else str(degradation.overall).lower()

    def check_error_budget(self, name: str) -> bool:
        """Return whether an error budget is not exhausted; True without a resilience manager.

        Raises:
            LookupError: The resilience manager has no error budget of this name.
        """
        layer = self._resilient.resilience
        return layer is None or not layer.error_budget(name).exhausted


def _message(addr: Any, data: Any) -> tuple[Any, ...]:
    return (addr,) if data is _NOT_GIVEN else (addr, data)
