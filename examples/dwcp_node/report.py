"""What is counted in a run of the node: what became of the messages.

Elsewhere: how a run is told (``examples.story``), and who counts (``workload``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from examples import story

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias


@dataclass(frozen=True)
class Counts:
    """What became of the messages of one scenario.

    Attributes:
        accepted: ``send`` returned: the peer has it.
        delivered: Of those accepted, how many the receiving application got.
        lost: Accepted, and the application never got it.
        twice: The application got it more than once, accepted or not.
        given_up: Not accepted when the scenario ended; each may have arrived or not.
    """

    accepted: int = 0
    delivered: int = 0
    lost: int = 0
    twice: int = 0
    given_up: int = 0

    def __str__(self) -> str:
        said = (
            f"accepted {self.accepted:,}, delivered {self.delivered:,}, "
            f"lost {self.lost:,}, twice {self.twice:,}"
        )
        return said + (f" (given up: {self.given_up:,})" if self.given_up else "")

    def wrong(self) -> list[str]:
        """Return what may not be so."""
        wrong: list[str] = []
        if self.lost:
            wrong.append(f"{self.lost} accepted messages are lost")
        if self.twice:
            wrong.append(f"{self.twice} messages were delivered more than once")
        return wrong


Story: TypeAlias = "story.Story[Counts]"

_COLUMNS: Mapping[str, Callable[[Sequence[Counts]], str]] = {
    "accepted": lambda counts: f"{sum(each.accepted for each in counts):,}",
    "lost": lambda counts: f"{sum(each.lost for each in counts):,}",
    "twice": lambda counts: f"{sum(each.twice for each in counts):,}",
}


class Report(story.Report[Counts]):
    """Writes the stories of a run of the node. Used by one event loop."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out, _COLUMNS, "noticed, recovered, verified; nothing lost")
