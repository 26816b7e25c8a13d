"""What the face of aiolimiter does otherwise than aiolimiter."""

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

DIFFERENCES = (
    Difference(
        (),
        "A rate limiter of holdfast decides and counts under the name of the module that makes the "
        "limiter, of which it is the attribute `policy`; aiolimiter counts nothing.",
    ),
    Difference(
        ("AsyncLimiter.acquire", "AsyncLimiter"),
        "Tasks that ask for the same amount go on in the order in which they came: capacity is "
        "handed to the waiting task as it is there, and a task that comes later cannot take it; in "
        "aiolimiter a waiting task may lose its place.",
    ),
    Difference(
        ("AsyncLimiter.acquire",),
        "A task that is cancelled as it gets its capacity gives it back; in aiolimiter it never "
        "holds capacity before it goes on.",
    ),
    Difference(
        ("AsyncLimiter",),
        "A copy of a limiter is the same limiter, and one that is unpickled begins anew; in "
        "aiolimiter a copy has a level of its own.",
    ),
    Difference(
        ("AsyncLimiter.acquire",),
        "The level is counted in whole numbers by a token bucket of holdfast, amounts with a "
        "fraction in millionths; aiolimiter adds and subtracts floating-point numbers.",
    ),
    Difference(
        ("AsyncLimiter",),
        "A limiter may be shared by event loops in several threads, and its time never goes "
        "backwards; when its loop was closed, the same `RuntimeWarning` is issued as by "
        "aiolimiter, but the level stays right.",
    ),
    Difference(
        ("AsyncLimiter.max_rate", "AsyncLimiter.time_period"),
        "A new value of `max_rate` or `time_period` changes the rate immediately, also for tasks "
        "that wait; aiolimiter goes on at the speed it was made with, and only admits more or less "
        "at a time.",
    ),
    Difference(
        ("AsyncLimiter.max_rate",),
        "A `max_rate` of 0 or less is refused with a `ConfigError` (a `ValueError`) when the "
        "limiter is made, and one above 268,435,455 counts as that; aiolimiter refuses each "
        "acquisition instead, and takes any number.",
    ),
    Difference(
        (),
        "In the modes `observe` and `off` (`HOLDFAST_MODE`) no task waits; aiolimiter has no such "
        "mode.",
    ),
)
