"""What is counted in a scenario: what was collected, what is missing, and which errors there were.

Elsewhere: how a run is told (``examples.story``), and who counts (``scene``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from examples import story

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

_LISTED = 4  # operations; the rest is a number


@dataclass(frozen=True)
class Errors:
    """Errors of operations that were aggregated.

    Attributes:
        total: How many operations have ended.
        failed: How many of them have failed.
        by_category: The failures of each category.
        by_operation: The failures of each operation.
    """

    total: int = 0
    failed: int = 0
    by_category: Mapping[str, int] = field(default_factory=dict[str, int])
    by_operation: Mapping[str, int] = field(default_factory=dict[str, int])

    def since(self, before: Errors) -> Errors:
        """Return what has come since an earlier moment."""
        return Errors(
            self.total - before.total,
            self.failed - before.failed,
            _more(self.by_category, before.by_category),
            _more(self.by_operation, before.by_operation),
        )

    def __str__(self) -> str:
        said = f"{self.failed:,} of {self.total:,} operations failed"
        if not self.failed:
            return said
        most = sorted(self.by_operation.items(), key=lambda item: -item[1])
        listed = [f"{name} {count:,}" for name, count in most[:_LISTED]]
        if len(most) > _LISTED:
            listed.append(f"{len(most) - _LISTED} others {sum(n for _, n in most[_LISTED:]):,}")
        return f"{said}: {_counted(self.by_category)}; {', '.join(listed)}"


@dataclass(frozen=True)
class Counts:
    """What has become of the prices of one scenario.

    Attributes:
        collected: Prices that were collected while they were current.
        filled: Prices that were fetched afterwards, as they had been missed.
        missing: Prices that are in the store neither way.
        wrong_values: Prices in the store that are not what the exchange has said.
        errors: What has failed meanwhile.
    """

    collected: int = 0
    filled: int = 0
    missing: int = 0
    wrong_values: int = 0
    errors: Errors = field(default_factory=Errors)

    def __str__(self) -> str:
        said = (
            f"collected {self.collected:,}, filled {self.filled:,}, missing {self.missing:,}; "
            f"{self.errors}"
        )
        return said + (f"; wrong {self.wrong_values:,}" if self.wrong_values else "")

    def wrong(self) -> list[str]:
        """Return what may not be so."""
        wrong: list[str] = []
        if self.missing:
            wrong.append(f"{self.missing:,} prices are missing")
        if self.wrong_values:
            wrong.append(f"{self.wrong_values:,} prices are not what the exchange has said")
        if not self.collected:
            wrong.append("nothing was collected")
        return wrong


Story: TypeAlias = "story.Story[Counts]"

_COLUMNS: Mapping[str, Callable[[Sequence[Counts]], str]] = {
    "collected": lambda counts: f"{sum(each.collected for each in counts):,}",
    "filled": lambda counts: f"{sum(each.filled for each in counts):,}",
    "missing": lambda counts: f"{sum(each.missing for each in counts):,}",
    "errors": lambda counts: f"{sum(each.errors.failed for each in counts):,}",
}


class Report(story.Report[Counts]):
    """Writes the stories of a run of the collector. Used by one thread."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out, _COLUMNS, "noticed, recovered, verified; nothing is missing")


def _counted(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in most)


def _more(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    more = {name: count - before.get(name, 0) for name, count in now.items()}
    return {name: count for name, count in more.items() if count}
