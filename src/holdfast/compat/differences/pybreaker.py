"""What the face of pybreaker does otherwise than pybreaker 1.4.1."""

from __future__ import annotations

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

DIFFERENCES = (
    Difference(
        ("CircuitBreaker",),
        "Calls through one breaker run side by side, where pybreaker holds a lock during each call "
        "and runs one after the other.",
    ),
    Difference(
        ("CircuitBreaker",),
        "While a trial call runs in half-open state, other calls are refused immediately, where "
        "pybreaker lets them wait for it; a trial call that is lost gives its place up after 30 "
        "seconds.",
    ),
    Difference(
        ("CircuitBreaker",),
        "KeyboardInterrupt, SystemExit, GeneratorExit and cancellations count as nothing and reach "
        "the caller, where pybreaker counts failures and may raise `CircuitBreakerError` instead.",
    ),
    Difference(
        ("CircuitBreaker",),
        "A result that comes after the circuit has changed its state changes nothing.",
    ),
    Difference(
        ("CircuitBreaker",),
        "A decorated `async def` function is guarded until it ends and stays a coroutine function, "
        "where pybreaker counts a success as soon as the coroutine is made.",
    ),
    Difference(
        ("CircuitBreaker",),
        "A generator is admitted at its first item, where pybreaker admits or refuses the call "
        "that makes it.",
    ),
    Difference(
        ("CircuitBreaker",),
        "The open time is measured by a monotonic clock, so a library that sets the time of day in "
        "tests does not end it; `holdfast.testing.use_clock` does.",
    ),
    Difference(
        ("CircuitBreaker.call",),
        "`call` of an `async def` function returns a guarded coroutine, and of a function that "
        "returns a future counts when this is done, where pybreaker counts a success immediately.",
    ),
    Difference(
        ("CircuitBreaker.open", "CircuitBreaker.close", "CircuitBreaker.half_open"),
        "Listeners hear nothing if the circuit is in that state already, where pybreaker tells "
        "them of a change from open to open.",
    ),
    Difference(
        ("CircuitBreaker.state",),
        "A name assigned to `state` is kept, where pybreaker returns to the state of its storage "
        "when `state` is read again.",
    ),
    Difference(
        ("CircuitBreaker.exclude", "CircuitBreaker.add_excluded_exception"),
        "An excluded exception class may have any metaclass, where pybreaker calls a class like "
        "this as a function and so excludes every exception.",
    ),
    Difference(
        ("CircuitBreakerError",),
        "A refused call raises `CircuitBreakerOpenError`, a subclass that is a "
        "`holdfast.CircuitOpenError` too and has `name`, `reason`, `retry_after` and `trip`.",
    ),
    Difference(
        ("CircuitBreakerListener", "CircuitBreaker.listeners", "CircuitBreaker.add_listener"),
        "What a listener raises is logged by the logger `pybreaker` and changes nothing, where "
        "pybreaker raises it to the caller instead of the result, and a failure then opens no "
        "circuit.",
    ),
    Difference(
        ("CircuitRedisStorage",),
        "A breaker that notices a change of state by another process leaves the counters in Redis "
        "as they are, where pybreaker sets them to zero; so `success_threshold` above 1 works with "
        "several processes.",
    ),
    Difference(
        ("CircuitRedisStorage",),
        "The client may have `decode_responses=True`, with which pybreaker fails.",
    ),
    Difference(
        ("CircuitBreakerStorage",),
        "A subclass that lacks `state`, `counter`, `success_counter` or `opened_at` gets a "
        "NotImplementedError, where pybreaker reads None.",
    ),
    Difference(
        (
            "CircuitBreakerState",
            "CircuitClosedState",
            "CircuitOpenState",
            "CircuitHalfOpenState",
        ),
        "The methods of states are called where a storage that is not `CircuitMemoryStorage` or an "
        "overridden method of the breaker decides; elsewhere the native breaker decides.",
    ),
)
