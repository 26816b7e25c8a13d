"""What the face of circuitbreaker does otherwise than circuitbreaker 2.1.3."""

from __future__ import annotations

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

DIFFERENCES = (
    Difference(
        ("circuit", "CircuitBreaker"),
        "A half-open circuit admits one test call at a time and rejects the others, where "
        "circuitbreaker admits every call until the first one ends.",
    ),
    Difference(
        ("circuit", "CircuitBreaker"),
        "A test call that never ends makes room for another after `recovery_timeout`, "
        "and a result that comes too late neither closes nor opens the circuit; circuitbreaker "
        "closes an open circuit when any earlier call succeeds.",
    ),
    Difference(
        ("circuit", "CircuitBreaker"),
        "A cancelled call, KeyboardInterrupt and SystemExit count neither as a failure nor as a "
        "success, where circuitbreaker takes them for a success, closes the circuit and forgets "
        "the failures.",
    ),
    Difference(
        (
            "CircuitBreaker.call",
            "CircuitBreaker.call_async",
            "CircuitBreaker.call_generator",
            "CircuitBreaker.call_async_generator",
        ),
        "`call`, its three siblings and `with breaker:` raise `CircuitBreakerError` while the "
        "circuit is open, where circuitbreaker runs the function all the same.",
    ),
    Difference(
        ("CircuitBreaker.call",),
        "`call` guards the coroutine of an `async def` function until it ends, where "
        "circuitbreaker counts a success as soon as the coroutine is made.",
    ),
    Difference(
        ("circuit", "CircuitBreaker"),
        "A guarded generator that is closed half way counts neither as a success nor as a failure, "
        "where circuitbreaker counts a success.",
    ),
    Difference(
        ("CircuitBreakerError",),
        "`CircuitBreakerError` is also a `holdfast.CircuitOpenError`, with `name`, `retry_after` "
        "and `trip`, and can be pickled.",
    ),
    Difference(
        ("circuit", "CircuitBreaker"),
        "A decorated function is pickled by its name; cloudpickle (Dask, Ray, joblib) cannot send "
        "one of a notebook or `__main__` to other processes by its code, as it can with that of "
        "circuitbreaker: put it into a module.",
    ),
    Difference(
        ("CircuitBreakerMonitor.get_circuits",),
        "`CircuitBreakerMonitor.get_circuits()` returns a list of the moment, where that of "
        "circuitbreaker fails if a circuit is registered while it is iterated over.",
    ),
    Difference(
        ("CircuitBreaker",),
        "A method of the class that a test patches after a function was decorated has no effect "
        "on that function; patch before, or put the circuit into a state with "
        "`breaker.policy.trip()` and `breaker.reset()`.",
    ),
)
