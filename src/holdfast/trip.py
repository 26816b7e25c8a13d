"""Why a circuit breaker opened: one record, made at the opening.

Elsewhere: which rule it was (``hf_breaker_verdict.h``), and the text of the error
(``redaction``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Trip"]

_WORDS = {
    "consecutive_failures": "{count} failures in a row",
    "failure_rate": "{count} of {calls} calls failed (threshold {threshold:g})",
    "slow_call_rate": "{count} of {calls} calls were slow (threshold {threshold:g})",
    "probe_failed": "a probe failed",
    "probe_slow": "a probe was slow",
    "manual": "by hand",
    "health": "a health check is unhealthy",
}

_JOINED = {"probe_failed": " with ", "health": ": "}


@dataclass(frozen=True, slots=True)
class Trip:
    """Why a circuit breaker opened.

    ``str()`` of it is one sentence; ``to_dict()`` has values that JSON has. It keeps neither the
    error nor its traceback. Safe to share between threads and event loops.

    Attributes:
        rule: "consecutive_failures", "failure_rate", "slow_call_rate", "probe_failed",
            "probe_slow", "health" for a health check, or "manual" after ``trip()`` and
            ``force_open()``.
        count: The failures in a row, also of a health check, or the failed or slow calls in the
            window; 1 for a probe.
        calls: The calls in the window; None for a rule without a window.
        threshold: The setting that was reached; None for probes and manual openings.
        error_type: The class of the error of the last call, with its module; None if the last
            call raised no error.
        error_text: The text of this error on one line of at most 200 characters, without
            passwords and keys. "result 503" for a result that counts as a failure. The name of
            the health check, and why it failed.
        time: The wall-clock time in seconds since 1970. With a ``ManualClock``, its time.
        at: Seconds on the breaker's clock.
        generation: The generation of the breaker that the opening began.

    >>> print(Trip("consecutive_failures", 5, error_type="TimeoutError", error_text="timed out"))
    5 failures in a row, last TimeoutError: timed out
    """

    rule: str
    count: int = 0
    calls: int | None = None
    threshold: float | None = None
    error_type: str | None = None
    error_text: str | None = None
    time: float = 0.0
    at: float = 0.0
    generation: int = 0

    def __str__(self) -> str:
        words = _WORDS.get(self.rule, self.rule)
        if self.rule == "consecutive_failures" and self.count == 1:
            words = "1 failure"
        figures = {"count": self.count, "calls": self.calls or 0, "threshold": self.threshold or 0}
        last = ": ".join(filter(None, (self.error_type, self.error_text)))
        joined = _JOINED.get(self.rule, ", last ")
        return words.format(**figures) + (f"{joined}{last}" if last else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, in values that JSON has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trip:
        """Return the trip that ``to_dict`` was called on; fields that it has not are dropped."""
        known = {field.name for field in fields(cls)}
        return cls(**{field: value for field, value in values.items() if field in known})
