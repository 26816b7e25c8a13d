"""What a fallback shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FallbackSnapshot"]


@dataclass(frozen=True, slots=True)
class FallbackSnapshot:
    """The counts of a fallback at one moment.

    Attributes:
        passed: Calls that returned their own result or exception.
        used, failed: Calls whose error was replaced, and calls for which the replacement raised.
        observed: Calls whose error would have been replaced (mode "observe").
    """

    kind: str = field(default="fallback", init=False)
    name: str | None
    passed: int
    used: int
    failed: int
    observed: int
