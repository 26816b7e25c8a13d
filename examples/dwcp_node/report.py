"""What a run tells its reader: what was broken, who noticed, what was done, and what was counted.

Lines are written as things happen; a table at the end has one row for each scenario.

Not here: what happens (``scenarios``), and what is counted (``workload``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH = 9


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


@dataclass
class Breach:
    """One thing that was broken: when, and how long it took others to notice and to mend it."""

    at: float
    noticed_after: float | None = None
    verified_after: float | None = None


@dataclass
class Story:
    """One scenario as it is told."""

    name: str
    title: str
    breaches: list[Breach] = field(default_factory=list[Breach])
    counts: Counts | None = None
    wrong: list[str] = field(default_factory=list[str])

    @property
    def broken_at(self) -> float:
        """When the last thing was broken; 0 before the first."""
        return self.breaches[-1].at if self.breaches else 0.0

    @property
    def noticed_after(self) -> float | None:
        """The longest time until the first had noticed."""
        return _longest(each.noticed_after for each in self.breaches)

    @property
    def verified_after(self) -> float | None:
        """The longest time until the last was verified."""
        return _longest(each.verified_after for each in self.breaches)

    @property
    def is_good(self) -> bool:
        """Whether all of it went as it has to."""
        mended = [each.noticed_after and each.verified_after for each in self.breaches]
        return not self.wrong and bool(mended) and all(mended)


class Report:
    """Writes the story of each scenario, and keeps it for the table. Used by one event loop."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self.stories: list[Story] = []

    def say(self, what: str, text: str, at: float | None = None) -> None:
        """Write one line.

        Args:
            what: One word for what kind of line it is.
            text: What happened.
            at: When, on the monotonic clock; None: now.
        """
        seconds = (time.monotonic() if at is None else at) - self._began
        self._write(f"{seconds:8.2f} s  {what:<{_WIDTH}} {text}")

    def begin(self, name: str, title: str) -> Story:
        """Begin the story of a scenario."""
        story = Story(name, title)
        self.stories.append(story)
        self._write(f"\n--- {name}: {title}")
        return story

    def broke(self, story: Story, what: str, at: float | None = None) -> None:
        """What was broken, at that time or at this moment."""
        story.breaches.append(Breach(time.monotonic() if at is None else at))
        self.say("broken", what, story.broken_at)

    def noticed(self, story: Story, by: str, what: str, at: float) -> None:
        """Who noticed, and when."""
        breach = story.breaches[-1]
        after = max(1e-6, at - breach.at)
        breach.noticed_after = min(after, breach.noticed_after or after)
        self.say("noticed", f"by {by} after {duration(after)}: {what}", at)

    def done(self, by: str, what: str, at: float | None = None) -> None:
        """What was done about it."""
        self.say("done", f"by {by}: {what}", at)

    def verified(self, story: Story, what: str, at: float | None = None) -> None:
        """How it was made sure that all is well again."""
        at = time.monotonic() if at is None else at
        breach = story.breaches[-1]
        after = max(1e-6, at - breach.at)
        breach.verified_after = max(after, breach.verified_after or 0.0)
        self.say("verified", f"after {duration(after)}: {what}", at)

    def counted(self, story: Story, counts: Counts) -> None:
        """What became of the messages."""
        story.counts = counts
        self.say("counted", str(counts))
        if counts.lost:
            self.failed(story, f"{counts.lost} accepted messages are lost")
        if counts.twice:
            self.failed(story, f"{counts.twice} messages were delivered more than once")

    def failed(self, story: Story, what: str) -> None:
        """What did not go as it has to."""
        story.wrong.append(what)
        self.say("WRONG", what)

    def end(self) -> bool:
        """Write the table; return whether everything went as it has to."""
        if self.stories:
            self._write("\n" + "\n".join(table(self.stories)))
        bad = [story.name for story in self.stories if not story.is_good]
        total = len(self.stories)
        if bad:
            self._write(f"\n{len(bad)} of {total} scenarios went WRONG: {', '.join(bad)}")
        else:
            self._write(f"\nall {total} scenarios: noticed, recovered, verified; nothing lost")
        return not bad

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def _longest(times: Iterable[float | None]) -> float | None:
    known = [each for each in times if each is not None]
    return max(known, default=None)


def duration(seconds: float) -> str:
    """Return a duration in the unit that reads best."""
    if seconds < 0.001:
        return "1 ms"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def table(stories: Sequence[Story]) -> list[str]:
    """Return the rows of the table at the end; scenarios of one name share a row."""
    head = ["scenario", "times", "noticed", "verified", "accepted", "lost", "twice", ""]
    names = dict.fromkeys(story.name for story in stories)
    rows = [head, *(_row(name, [one for one in stories if one.name == name]) for name in names)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(name: str, stories: Sequence[Story]) -> list[str]:
    """The longest of several times, and the sum of several counts."""
    noticed = [story.noticed_after for story in stories if story.noticed_after is not None]
    verified = [story.verified_after for story in stories if story.verified_after is not None]
    counts = [story.counts for story in stories if story.counts is not None]
    return [
        name,
        str(len(stories)),
        f"≤ {duration(max(noticed))}" if noticed else "–",
        f"≤ {duration(max(verified))}" if verified else "–",
        f"{sum(each.accepted for each in counts):,}",
        f"{sum(each.lost for each in counts):,}",
        f"{sum(each.twice for each in counts):,}",
        "good" if all(story.is_good for story in stories) else "WRONG",
    ]
