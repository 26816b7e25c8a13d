"""The face of ``aiobreaker`` 1.2.0: its names, deciding by the breaker of holdfast.

>>> from holdfast.compat.aiobreaker import CircuitBreaker
>>> breaker = CircuitBreaker(fail_max=3, name="payments")
>>> @breaker
... def charge(card: str) -> str:
...     return f"charged {card}"
>>> charge("4242")
'charged 4242'
"""

from __future__ import annotations

import holdfast.compat.aiobreaker.storage as storage
from holdfast.compat.aiobreaker.circuitbreaker import CircuitBreaker
from holdfast.compat.aiobreaker.listener import CircuitBreakerListener
from holdfast.compat.aiobreaker.state import CircuitBreakerError, CircuitBreakerState

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerListener",
    "CircuitBreakerState",
    "storage",
]
