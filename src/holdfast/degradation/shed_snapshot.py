"""What a load shedder shows of itself: data only."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ShedderSnapshot"]


@dataclass(frozen=True, slots=True)
class ShedderSnapshot:
    """A load shedder at one moment. Counts are since it was made, of calls while it was on.

    Attributes:
        component: The name of its component.
        enabled: Whether it refuses calls when the load is too high.
        load: The load that was told last; None if there is none, or if it is too old.
        max_load: The load from which on calls are refused.
        share: The share of all calls that is to be refused.
        calls: How many calls there were, by priority.
        shed: How many of them were refused, by priority.
        unknown: How many times the function for the load has raised.
    """

    component: str
    enabled: bool
    load: float | None
    max_load: float
    share: float
    calls: Mapping[str, int]
    shed: Mapping[str, int]
    unknown: int
