"""What the face of stamina does otherwise than stamina."""

from __future__ import annotations

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

_CALLERS = ("RetryingCaller", "AsyncRetryingCaller")
_LOOPS = ("retry", "retry_context", *_CALLERS)

DIFFERENCES = (
    Difference(
        (),
        "A policy of holdfast counts the calls, under the name of the decorated function, or of the"
        " module that makes a block or a caller: metrics, events, `HOLDFAST_MODE` and"
        " `holdfast.testing` know it, and it is the attribute `policy` of what was decorated or"
        " made.",
    ),
    Difference(
        (),
        "`__version__` is that of the stamina whose face this is, whether stamina is installed or"
        " not.",
    ),
    Difference(
        ("retry.on", "retry_context.on", *_CALLERS),
        "Cancellations, KeyboardInterrupt, SystemExit and GeneratorExit are never retried and leave"
        " a block immediately; stamina retries them where `on` names BaseException or a hook says"
        " yes.",
    ),
    Difference(
        _LOOPS,
        "No pause goes past the deadline of an enclosing `holdfast.Timeout`: the last error is"
        " raised instead.",
    ),
    Difference(
        ("retry.on", "retry_context.on", *_CALLERS),
        "A negative pause is none; in stamina it is a ValueError, except in a task of asyncio.",
    ),
    Difference(
        _LOOPS,
        "Arguments of a wrong type are a ConfigError where they are written; stamina raises a"
        " TypeError at the first failure.",
    ),
    Difference(
        ("set_active", "set_testing"),
        "The setting is read at each failure, so it also ends calls that are being retried; stamina"
        " reads it when a call begins.",
    ),
    Difference(
        ("set_on_retry_hooks",),
        "A context manager that a hook returns is left once, at the end of its pause, also if the"
        " pause is interrupted; stamina keeps all of them for ever, leaves each of them again"
        " before every later attempt of any call of the function, and leaves none if the pause is"
        " interrupted.",
    ),
    Difference(
        ("RetryHookFactory",),
        "A factory that itself retries something goes on, and nobody is told of these retries;"
        " stamina waits for ever.",
    ),
    Difference(
        ("PrometheusOnRetryHook", "get_prometheus_counter"),
        "In a process that uses stamina as well, both count in stamina's `stamina_retries_total`.",
    ),
    Difference(
        ("retry",),
        "Static and class methods are retried whichever decorator comes first, and objects whose"
        " `__call__` is a coroutine function are awaited; stamina passes `self` to the former and"
        " never retries the latter.",
    ),
    Difference(
        ("retry",),
        "A generator whose reader closes it ends, whatever `on` says; stamina begins it anew where"
        " `on` names BaseException, which is a RuntimeError.",
    ),
    Difference(
        ("retry_context",),
        "Each loop over one context stands for itself; in stamina, tasks that iterate over one"
        " context take attempts from each other.",
    ),
    Difference(
        ("retry_context",),
        "A loop that does not enter its attempt ends after one; in stamina it never ends.",
    ),
    Difference(
        ("retry_context",),
        "StopAsyncIteration that a block in `async for` raises becomes a RuntimeError; in stamina"
        " it ends the loop as if all were well.",
    ),
    Difference(
        ("Attempt.next_wait",),
        "It is 0.0 while retries are off, also in `async for`.",
    ),
)
