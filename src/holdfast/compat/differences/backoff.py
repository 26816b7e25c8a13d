"""What the face of backoff does otherwise than backoff."""

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

_BOTH = ("on_exception", "on_predicate")


def _arguments(name: str) -> tuple[str, ...]:
    return tuple(f"{one}.{name}" for one in _BOTH)


_HANDLERS = (
    *_arguments("on_success"),
    *_arguments("on_backoff"),
    *_arguments("on_giveup"),
)

DIFFERENCES = (
    Difference(
        (),
        "A retry policy of holdfast counts the calls under the name of the decorated function, of "
        "which it is the attribute `policy`; backoff counts nothing.",
    ),
    Difference(
        ("on_exception.exception", "on_exception"),
        "A cancelled task, `KeyboardInterrupt`, `SystemExit` and `GeneratorExit` are never tried "
        "again, whatever `exception` names; backoff tries again whatever it names.",
    ),
    Difference(
        _arguments("max_time"),
        "The time of an attempt counts for `max_time` as soon as it has ended; backoff looks at "
        "the time before each attempt, and so makes one more after an attempt that took too long.",
    ),
    Difference(
        _arguments("max_time"),
        "Time is measured by a monotonic clock; backoff subtracts times of day, so that a clock "
        "that is set back prolongs a call. A `datetime.datetime` that a test has replaced is used.",
    ),
    Difference(
        _arguments("max_tries"),
        "A `max_tries` of 0 or less, also from a callable, means one try; in backoff it means no "
        "limit.",
    ),
    Difference(
        (*_arguments("max_tries"), *_arguments("max_time")),
        "Numbers are asked for when the function is decorated, and a `TypeError` within a callable "
        "is raised; backoff compares with whatever it gets, and takes a callable that raises "
        "`TypeError` for the value itself, which is no limit.",
    ),
    Difference(
        (*_HANDLERS, *_arguments("logger")),
        "One decorator that decorates several functions logs each event once; backoff adds its own "
        "log handler again for each function.",
    ),
    Difference(
        ("on_exception.raise_on_giveup",),
        "`raise_on_giveup=False` also holds where the wait generator has ended; backoff raises "
        "there all the same.",
    ),
    Difference(
        ("on_predicate.on_giveup", "on_predicate.logger"),
        "Where the wait generator has ended, handlers get the `value`, and it is logged; backoff "
        "leaves it out for plain functions, and logs `StopIteration`.",
    ),
    Difference(
        ("on_predicate.predicate", "on_exception.giveup", *_HANDLERS),
        "Around a coroutine function, whatever a predicate, `giveup` or a handler returns is "
        "awaited if it can be; backoff awaits coroutine functions only, and never a predicate.",
    ),
    Difference(
        ("expo", "fibo"),
        "Without `max_value` the pauses grow to a hundred years at most; in backoff they grow "
        "until an `OverflowError` takes the place of the exception.",
    ),
    Difference(
        _arguments("jitter"),
        "A jitter that comes out below 0 is no pause; backoff raises the `ValueError` of "
        "`time.sleep`.",
    ),
    Difference(
        ("constant.interval", *_arguments("interval")),
        "A pause of 0 seconds in a thread makes no system call; backoff calls `time.sleep`, which "
        "lets another thread run.",
    ),
    Difference(
        _BOTH,
        "Partial functions and callable objects can be decorated and logged; in backoff the log "
        "handler raises an `AttributeError`, as they have no `__name__`.",
    ),
    Difference(
        _BOTH,
        "Static and class methods may be decorated in either order; backoff passes a `self` too "
        "many to a static method that is decorated from outside.",
    ),
    Difference(
        _BOTH,
        "A coroutine function that runs in trio pauses there; backoff needs asyncio.",
    ),
    Difference(
        _BOTH,
        "No pause outlasts an enclosing `Timeout` of holdfast: the call is given up immediately.",
    ),
    Difference(
        (),
        "In the modes `observe` and `off` (`HOLDFAST_MODE`) no call is tried again; backoff has no "
        "such mode.",
    ),
)
