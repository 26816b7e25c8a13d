"""What a fallback shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FallbackSnapshot"]


@dataclass(frozen=True, slots=True)
class FallbackSnapshot:
    """A fallback at one moment.

    Attributes:
        passed: Calls whose own result or exception went through.
        used, failed: Calls that something stood in for, and those for which that raised.
        observed: Calls that something would have stood in for (mode "observe").
    """

    name: str | None
    passed: int
    used: int
    failed: int
    observed: int
