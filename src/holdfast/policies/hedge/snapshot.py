"""What a hedge shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["HedgeSnapshot"]


@dataclass(frozen=True, slots=True)
class HedgeSnapshot:
    """The delay and counts of a hedge at one moment.

    Attributes:
        delay: Seconds after which a further attempt starts; None while a ``Quantile`` warms up.
        samples: Measured first attempts, counted up to 255; 0 with a fixed delay.
        calls: Completed calls.
        failed: Calls of which every attempt failed.
        hedged: Calls with at least one further attempt.
        attempts: Further attempts; the extra load.
        won: Calls that a further attempt answered.
        cancelled: Attempts that were ended because another attempt had answered, or because the
            caller had given up.
        refused: Further attempts that were not made because the budget had no token.
        abandoned, running: Attempts left in worker threads, and those that still run.
        observed: Calls that would have been hedged (mode "observe").
    """

    kind: str = field(default="hedge", init=False)
    name: str
    delay: float | None
    samples: int
    calls: int
    failed: int
    hedged: int
    attempts: int
    won: int
    cancelled: int
    refused: int
    abandoned: int
    running: int
    observed: int
