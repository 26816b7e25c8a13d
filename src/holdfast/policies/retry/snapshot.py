"""What a retry, its budget and its hooks show at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["RetryBudgetSnapshot", "RetrySnapshot", "RetryState"]


@dataclass(frozen=True, slots=True)
class RetryBudgetSnapshot:
    """The tokens and counts of a retry budget at one moment.

    Attributes:
        ratio, min_per_second, burst: The settings.
        balance: Available tokens.
        withdrawn: Retries that took a token. Withdrawn less given_back are the retries made.
        refused: Retries that were not made because no token was available.
        given_back: Tokens of retries that were not made after all.
        successes: Calls that added ``ratio`` tokens.
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
    """The counts of a retry policy at one moment.

    Attributes:
        attempts: Attempts of completed calls, and retries of calls in flight.
        succeeded, failed: Completed calls; failed is the sum of ``gave_up``.
        recovered: Successful calls that needed a retry.
        success_rate: Successes among completed calls; 1.0 before the first.
        max_retries: The largest number of retries of one call; None for no limit.
        retries: The number of first, second … retries; the 16th entry includes all later retries.
        gave_up: Failed calls, by the reason for the missing retry: "exhausted", "out_of_time",
            "deadline", "no_budget", "not_retryable", "rejected" (by another policy, if ``on``
            does not name it), "cancelled".
        delays: The number of pauses by upper bound in seconds, written as in Prometheus: "0.001"
            …, "+Inf" for the longest.
        delay: The sum of all pauses in seconds.
        observed: Retries that would have been made (mode "observe").
    """

    kind: str = field(default="retry", init=False)
    name: str
    attempts: int
    succeeded: int
    failed: int
    recovered: int
    success_rate: float
    max_retries: int | None
    retries: tuple[int, ...]
    gave_up: dict[str, int]
    delays: dict[str, int]
    delay: float
    observed: int


@dataclass(frozen=True, slots=True)
class RetryState:
    """A call that is about to be retried or given up.

    Attributes:
        name: The policy's name.
        attempts: The number of attempts made.
        error: The last exception; None if a result is the reason.
        result: The last result; None if the attempt raised.
        delay: Seconds until the next attempt; 0.0 if the call is given up.
        elapsed: Seconds since the first attempt started.
    """

    name: str
    attempts: int
    error: BaseException | None
    result: Any
    delay: float
    elapsed: float
