"""What a call through a Retry is: a loop, in plain Python and whole numbers of seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GOOD, FAULT, OTHER, REJECTED, BAD = "good", "fault", "other", "rejected", "bad"


@dataclass
class Settings:
    """Of the retry; delays are those of the first, second … retry, the last for all others."""

    attempts: int
    delays: list[int]
    max_time: int | None
    deadline: int | None  # of a timeout around the retry, seconds from the beginning
    retries_rejections: bool
    retries_results: bool
    wraps: bool
    max_retry_after: int


@dataclass
class Attempt:
    """What one attempt will do: take so long, end so, and ask to be left alone."""

    takes: int
    ends: str
    retry_after: int | None


@dataclass
class Call:
    """One call: what came of it, and when its attempts began."""

    settings: Settings
    script: list[Attempt]
    tokens: int | None  # in the budget before it; None: no budget
    now: int = 0
    made: list[int] = field(default_factory=list)
    pauses: list[int] = field(default_factory=list)
    end: str = ""
    value: str | None = None
    raises: str | None = None

    def run(self) -> Call:
        began = self.now
        deadline = None if self.settings.deadline is None else began + self.settings.deadline
        while True:
            attempt = self.script[min(len(self.made), len(self.script) - 1)]
            self.made.append(self.now)
            self.now += attempt.takes
            if attempt.ends == GOOD or (attempt.ends == BAD and not self.settings.retries_results):
                self.end, self.value = "succeeded", attempt.ends
                break
            if attempt.ends == OTHER or (
                attempt.ends == REJECTED and not self.settings.retries_rejections
            ):
                self.end = "rejected" if attempt.ends == REJECTED else "not_retryable"
                self.raises = attempt.ends
                break
            self.end = self._why_not(attempt, began, deadline)
            if self.end:
                if self.settings.wraps:
                    self.raises = "wrapped"
                elif attempt.ends == BAD:
                    self.value = BAD
                else:
                    self.raises = attempt.ends
                break
        late = deadline is not None and self.now >= deadline
        if late and self.raises is None:
            self.value, self.raises = None, "late"
        return self

    def _why_not(self, attempt: Attempt, began: int, deadline: int | None) -> str:
        """Pause, or say why there is no other attempt."""
        retries = len(self.made) - 1
        if retries + 1 == self.settings.attempts:
            return "exhausted"
        delay = self.settings.delays[min(retries, len(self.settings.delays) - 1)]
        if attempt.retry_after is not None and attempt.ends != BAD:
            delay = min(attempt.retry_after, self.settings.max_retry_after)
        if deadline is not None and self.now + delay >= deadline:
            return "deadline"
        limit = self.settings.max_time
        if limit is not None and self.now + delay - began > limit:
            return "out_of_time"
        if self.tokens == 0:
            return "no_budget"
        if self.tokens is not None:
            self.tokens -= 1
        self.pauses.append(delay)
        self.now += delay
        return ""


def counts(calls: list[Call]) -> dict[str, Any]:
    """Return what a snapshot of the retry has to say of these calls."""
    ends = [call.end for call in calls]
    return {
        "succeeded": ends.count("succeeded"),
        "recovered": sum(call.end == "succeeded" and len(call.made) > 1 for call in calls),
        "attempts": sum(len(call.made) for call in calls),
        "gave_up": {end: ends.count(end) for end in sorted(set(ends) - {"succeeded"})},
        "delay": float(sum(sum(call.pauses) for call in calls)),
    }
