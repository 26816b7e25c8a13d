"""What a retry, its budget and its hooks show at one moment."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["RetryBudgetSnapshot", "RetrySnapshot", "RetryState"]


@dataclass(frozen=True, slots=True)
class RetryBudgetSnapshot:
    """A retry budget at one moment.

    Attributes:
        ratio, min_per_second, burst: As it was made.
        balance: Tokens there are.
        withdrawn: Retries that took a token; less given_back, retries made.
        refused: Retries not made for want of a token.
        given_back: Tokens of retries that were not made after all.
        successes: Calls that gave their share back.
    """

    ratio: float
    min_per_second: float
    burst: int
    balance: float
    withdrawn: int
    refused: int
    given_back: int
    successes: int


@dataclass(frozen=True, slots=True)
class RetrySnapshot:
    """A retry at one moment (RT-22).

    Attributes:
        attempts: Attempts of all calls; those of calls in flight are not in it but for retries.
        succeeded, failed: Calls, by how they ended; failed is the sum of ``gave_up``.
        recovered: Calls, of those succeeded, that a retry has saved (RT-23).
        success_rate: Successes among calls that have ended; 1.0 before the first.
        max_retries: Retries of one call at most.
        retries: How many first, second … retries there were; the 16th stands for all later ones.
        gave_up: Calls that failed, by why they were not tried again: "exhausted", "out_of_time",
            "deadline", "no_budget", "not_retryable", "rejected" (by another policy, where ``on``
            does not name it), "cancelled".
        delays: Pauses, by their greatest length in seconds; ``inf`` has those beyond.
        delay: Seconds of all pauses together.
        observed: Retries that were not made, but would have been (mode "observe").
    """

    name: str
    attempts: int
    succeeded: int
    failed: int
    recovered: int
    success_rate: float
    max_retries: int
    retries: tuple[int, ...]
    gave_up: dict[str, int]
    delays: dict[float, int]
    delay: float
    observed: int


@dataclass(frozen=True, slots=True)
class RetryState:
    """Where a call stands when it is about to be tried again, or when it is given up.

    Attributes:
        name: The policy's name.
        attempts: Attempts made.
        error: What the last one raised; None if its result is the reason.
        result: What the last one returned; None if it raised.
        delay: Seconds until the next one; 0.0 when there is none.
        elapsed: Seconds since the first one began.
    """

    name: str
    attempts: int
    error: BaseException | None
    result: Any
    delay: float
    elapsed: float
