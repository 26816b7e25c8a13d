"""Circuit breaker: stops calling what keeps failing."""

from holdfast.policies.breaker.breaker import CircuitBreaker
from holdfast.policies.breaker.state import State
from holdfast.policies.breaker.windows import CountWindow, TimeWindow

__all__ = ["CircuitBreaker", "CountWindow", "State", "TimeWindow"]
