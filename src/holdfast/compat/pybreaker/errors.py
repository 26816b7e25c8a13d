"""What a caller of a pybreaker breaker catches.

Elsewhere: who raises it (``policy`` and the states), and what all rejections have in common
(``holdfast.errors``).
"""

from __future__ import annotations

from holdfast._native.gate import _at_hand
from holdfast.errors import CircuitOpenError, HoldfastError

__all__ = ["OPEN", "CircuitBreakerError", "CircuitBreakerOpenError"]

OPEN = "Timeout not elapsed yet, circuit breaker still open"
PROBED = "Trial call still running, circuit breaker half-open"


class CircuitBreakerError(HoldfastError):
    """The circuit is open: the call was refused, or it has failed and opened the circuit.

    A refused call raises the subclass ``CircuitBreakerOpenError``.
    """

    __slots__ = ()
    code = "CIRCUIT_OPEN"
    summary = "circuit breaker is open"


@_at_hand
class CircuitBreakerOpenError(CircuitBreakerError, CircuitOpenError):
    """The call was refused; the function did not run.

    It is a ``holdfast.CircuitOpenError`` too, with ``name``, ``reason``, ``retry_after``, ``trip``.
    """

    __slots__ = ()

    def _said(self) -> str:
        return PROBED if self.reason == "half-open" else OPEN
