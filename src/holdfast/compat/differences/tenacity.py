"""What the face of tenacity does otherwise than tenacity 9.2.1."""

from __future__ import annotations

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

DIFFERENCES = (
    Difference(
        (),
        "The calls of each decorated function are counted by a retry policy of its name, which "
        "metrics, `HOLDFAST_MODE` and `holdfast.testing` know and which is its attribute `policy`; "
        "tenacity counts nothing.",
    ),
    Difference(
        (
            "retry_always",
            "retry_if_not_exception_type",
            "retry_unless_exception_type",
            "retry_if_not_exception_message",
            "retry_if_exception",
        ),
        "A cancellation of asyncio, trio or greenlets, `KeyboardInterrupt`, `SystemExit` and "
        "`GeneratorExit` are never tried again, whatever the condition says; tenacity tries them "
        "again, so that a cancelled task goes on.",
    ),
    Difference(
        ("AttemptManager", "Retrying", "AsyncRetrying"),
        "A cancellation or `KeyboardInterrupt` inside `with attempt:` leaves the block "
        "immediately; tenacity runs what follows the block in the loop before it raises it.",
    ),
    Difference(
        ("retry", "Retrying", "AsyncRetrying"),
        "No pause outlasts an enclosing `holdfast.Timeout`: a call whose next attempt would begin "
        "after the deadline is given up immediately, as if `stop` had said so; tenacity sleeps on.",
    ),
    Difference(
        ("AsyncRetrying",),
        "Each `async for` over one `AsyncRetrying` has attempts of its own, so tasks may share "
        "the object; in tenacity they share one state and end each other's loops.",
    ),
    Difference(
        ("retry.before", "retry.after", "retry.before_sleep", "retry.wait", "retry.stop"),
        "In tasks, a coroutine that a plain function returns is awaited; tenacity awaits only what "
        "a coroutine function returns and drops the coroutine.",
    ),
    Difference(
        ("RetryError", "Future"),
        "A `RetryError` and its `last_attempt` can be pickled, so they pass between processes; "
        "those of tenacity cannot.",
    ),
    Difference(
        ("retry.statistics", "Retrying.statistics"),
        "The figures in `statistics` are those of the call that wrote them last; in tenacity, "
        "threads in one decorated function add to each other's figures.",
    ),
    Difference(
        ("BaseRetrying", "BaseRetrying.iter_state"),
        "`iter()` takes each step immediately, so `iter_state.actions` stays empty; tenacity puts "
        "its steps there first.",
    ),
)
