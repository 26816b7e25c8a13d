"""What one call took."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallStats"]


@dataclass(frozen=True, slots=True)
class CallStats:
    """What one call took.

    Attributes:
        ok: Whether it has a value: its own, or a fallback's.
        attempts: How often the function was called; 0 when the call was refused.
        duration: Seconds from its beginning to its end, on the clock of the policy, or of the
            outermost one of a pipeline.
        waited: Seconds in pauses before retries.
        fallback_used: Whether a fallback gave a result.
    """

    ok: bool
    attempts: int
    duration: float
    waited: float
    fallback_used: bool

    @property
    def recovered(self) -> bool:
        """Whether a retry has saved it."""
        return self.ok and self.attempts > 1 and not self.fallback_used
