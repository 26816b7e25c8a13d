"""What the face of aiobreaker does otherwise than aiobreaker 1.2.0."""

from __future__ import annotations

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

DIFFERENCES = (
    Difference(
        ("CircuitBreaker",),
        "A half-open circuit admits one trial call at a time and refuses the others, where "
        "aiobreaker admits every call until the first one ends.",
    ),
    Difference(
        ("CircuitBreaker",),
        "A cancelled trial call, or one that never ends, makes room for another, and a result that "
        "comes too late moves nothing; in aiobreaker a late failure opens the circuit once more.",
    ),
    Difference(
        ("CircuitBreaker.opens_at", "CircuitBreaker.time_until_open", "CircuitBreakerError"),
        "`opens_at`, `time_until_open`, `reopen_time` and `sleep_until_open()` are right in every "
        "time zone, and None or immediate when the timeout has elapsed, where aiobreaker mixes "
        "UTC and local time, and raises a TypeError if the circuit was never open.",
    ),
    Difference(
        ("CircuitBreakerListener", "CircuitBreaker.listeners", "CircuitBreaker.add_listener"),
        "What a listener raises is logged by the logger `aiobreaker` and changes nothing, where "
        "aiobreaker raises it from the call.",
    ),
    Difference(
        ("CircuitBreakerListener", "CircuitBreaker.open", "CircuitBreaker.close"),
        "Listeners hear of a change of state only when there is one, where aiobreaker tells them "
        "each time that `open()` or `close()` is called.",
    ),
    Difference(
        ("CircuitBreaker.state",),
        "A state assigned to `state` is kept, where aiobreaker returns to the state of its storage "
        "when `state` is read again.",
    ),
    Difference(
        ("CircuitBreaker.call",),
        "`call` of an `async def` function settles when its coroutine ends, where aiobreaker "
        "counts a success as soon as the coroutine is made.",
    ),
    Difference(
        ("CircuitBreaker",),
        "A guarded generator is admitted at its first item and gets what is thrown at it, where "
        "aiobreaker admits it when it is made, and counts what is thrown at it as a failure "
        "without handing it on.",
    ),
    Difference(
        ("CircuitBreaker.exclude", "CircuitBreaker.add_excluded_exception"),
        "A class of exceptions with a metaclass of its own is excluded like any class, where "
        "aiobreaker calls it and excludes every exception.",
    ),
    Difference(
        ("CircuitBreakerError",),
        "A refused call raises the subclass `CircuitBreakerOpenError`, which is a "
        "`holdfast.CircuitOpenError` too; the call that opens the circuit raises "
        "`CircuitBreakerError` itself.",
    ),
)
