"""What a timeout has counted, and calls that take so long and end as a test wants them to."""

from __future__ import annotations

from typing import Any

import holdfast as hf


def counts(policy: hf.Timeout) -> tuple[int, int, int, int]:
    """Return how many calls were in time, expired, late and refused."""
    snapshot = policy.snapshot()
    return snapshot.in_time, snapshot.expired, snapshot.late, snapshot.refused


def raised(call: Any, *args: Any) -> BaseException:
    """Return what a call raises; it has to."""
    try:
        value = call(*args)
    except BaseException as error:
        return error
    raise AssertionError(f"returned {value!r}")


def permit_of(*policies: Any) -> Any:
    return hf.Pipeline("permits", *policies).acquire()


class Work:
    """Takes so long on a clock, and then returns or raises."""

    def __init__(self, clock: hf.ManualClock, seconds: float, error: Any = None) -> None:
        self.clock, self.seconds, self.error = clock, seconds, error
        self.runs = 0

    def __call__(self) -> str:
        self.runs += 1
        self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        return "value"
