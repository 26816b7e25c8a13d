"""What a run of an example tells: what was broken, who noticed, what was done, what was counted.

Lines are written as things happen; a table at the end has one row for each scenario.

Not here: what happens, and what is counted; that is for the examples to know.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TextIO, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_WIDTH = 9


class Tally(Protocol):
    """What is counted in a scenario. ``str`` of it is what readers see."""

    def wrong(self) -> Sequence[str]:
        """Return what may not be so, a sentence each."""
        ...


C = TypeVar("C", bound=Tally)


class WrongError(AssertionError):
    """What had to follow did not."""


@dataclass
class Breach:
    """One thing that was broken: when, and how long it took others to notice and to mend it."""

    at: float
    noticed_after: float | None = None
    verified_after: float | None = None


@dataclass
class Story(Generic[C]):
    """One scenario as it is told."""

    name: str
    title: str
    breaches: list[Breach] = field(default_factory=list[Breach])
    counts: C | None = None
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
    def has_ended(self) -> bool:
        """Whether it was counted, or went wrong."""
        return self.counts is not None or bool(self.wrong)

    @property
    def is_good(self) -> bool:
        """Whether all of it went as it has to."""
        mended = [each.noticed_after and each.verified_after for each in self.breaches]
        return not self.wrong and bool(mended) and all(mended)


class Report(Generic[C]):
    """Writes the story of each scenario, and keeps it for the table.

    Args:
        out: Where to.
        columns: The head of each further column of the table, and its text for several scenarios
            of one name.
        good: What the last line says of a run that went well.

    Used by one event loop or one thread.
    """

    def __init__(
        self,
        out: TextIO,
        columns: Mapping[str, Callable[[Sequence[C]], str]],
        good: str,
    ) -> None:
        self._out = out
        self._columns = columns
        self._good = good
        self._began = time.monotonic()
        self.stories: list[Story[C]] = []

    def say(self, what: str, text: str, at: float | None = None) -> None:
        """Write one line.

        Args:
            what: One word for what kind of line it is.
            text: What happened.
            at: When, on the monotonic clock; None: now.
        """
        seconds = (time.monotonic() if at is None else at) - self._began
        self._write(f"{seconds:8.2f} s  {what:<{_WIDTH}} {text}")

    def begin(self, name: str, title: str) -> Story[C]:
        """Begin the story of a scenario."""
        story: Story[C] = Story(name, title)
        self.stories.append(story)
        self._write(f"\n--- {name}: {title}")
        return story

    def broke(self, story: Story[C], what: str, at: float | None = None) -> None:
        """What was broken, at that time or at this moment."""
        story.breaches.append(Breach(time.monotonic() if at is None else at))
        self.say("broken", what, story.broken_at)

    def noticed(self, story: Story[C], by: str, what: str, at: float) -> None:
        """Who noticed, and when."""
        breach = story.breaches[-1]
        after = max(1e-6, at - breach.at)
        breach.noticed_after = min(after, breach.noticed_after or after)
        self.say("noticed", f"by {by} after {duration(after)}: {what}", at)

    def done(self, by: str, what: str, at: float | None = None) -> None:
        """What was done about it."""
        self.say("done", f"by {by}: {what}", at)

    def verified(self, story: Story[C], what: str, at: float | None = None) -> None:
        """How it was made sure that all is well again."""
        at = time.monotonic() if at is None else at
        breach = story.breaches[-1]
        after = max(1e-6, at - breach.at)
        breach.verified_after = max(after, breach.verified_after or 0.0)
        self.say("verified", f"after {duration(after)}: {what}", at)

    def counted(self, story: Story[C], counts: C) -> None:
        """What was counted."""
        story.counts = counts
        self.say("counted", str(counts))
        for what in counts.wrong():
            self.failed(story, what)

    def failed(self, story: Story[C], what: str) -> None:
        """What did not go as it has to."""
        story.wrong.append(what)
        self.say("WRONG", what)

    def interrupted(self) -> None:
        """Tell that the run ends here; a scenario that had no end is not judged."""
        if self.stories and not self.stories[-1].has_ended:
            self.say("end", f"interrupted during {self.stories.pop().name}, which does not count")
        else:
            self.say("end", "interrupted")

    def end(self) -> bool:
        """Write the table; return whether everything went as it has to.

        A run without a single scenario has shown nothing: it did not.
        """
        if self.stories:
            self._write("\n" + "\n".join(self.table()))
        bad = [story.name for story in self.stories if not story.is_good]
        total = len(self.stories)
        if bad:
            self._write(f"\n{len(bad)} of {total} scenarios went WRONG: {', '.join(bad)}")
        elif not total:
            self._write("\nno scenario was played to its end")
        else:
            what = "1 scenario" if total == 1 else f"all {total} scenarios"
            self._write(f"\n{what}: {self._good}")
        return bool(total) and not bad

    def table(self) -> list[str]:
        """Return the rows of the table at the end; scenarios of one name share a row."""
        head = ["scenario", "times", "noticed", "verified", *self._columns, ""]
        names = dict.fromkeys(story.name for story in self.stories)
        rows = [head, *(self._row(name) for name in names)]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        return [
            "  ".join(
                cell.ljust(width) if number == 0 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]

    def _row(self, name: str) -> list[str]:
        """The longest of several times, and what the columns make of several counts."""
        stories = [story for story in self.stories if story.name == name]
        counts = [story.counts for story in stories if story.counts is not None]
        return [
            name,
            str(len(stories)),
            _at_most(story.noticed_after for story in stories),
            _at_most(story.verified_after for story in stories),
            *(cell(counts) for cell in self._columns.values()),
            "good" if all(story.is_good for story in stories) else "WRONG",
        ]

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


class Teller(Generic[C]):
    """What a scenario tells while it is played.

    Attributes:
        report: Where it is told.
        story: What is told.
    """

    def __init__(self, report: Report[C], story: Story[C]) -> None:
        self.report = report
        self.story = story

    @property
    def broken_at(self) -> float:
        """When it was broken, on the monotonic clock."""
        return self.story.broken_at

    def say(self, text: str) -> None:
        """Tell anything else."""
        self.report.say("", text)

    def broke(self, what: str, at: float | None = None) -> None:
        """Tell what was broken, at that time or just now. What follows is measured from here."""
        self.report.broke(self.story, what, at)

    def saw(self, by: str, what: str, at: float | None = None) -> None:
        """Tell that somebody has noticed, at that time or at this moment."""
        self.report.noticed(self.story, by, what, time.monotonic() if at is None else at)

    def did(self, by: str, what: str, at: float | None = None) -> None:
        """Tell what was done about it."""
        self.report.done(by, what, at)

    def verified(self, what: str, at: float | None = None) -> None:
        """Tell how it was made sure that all is well."""
        self.report.verified(self.story, what, at)

    def require(self, is_so: bool, otherwise: str) -> None:
        """Note it if something is not as it has to be."""
        if not is_so:
            self.report.failed(self.story, otherwise)


def _longest(times: Iterable[float | None]) -> float | None:
    known = [each for each in times if each is not None]
    return max(known, default=None)


def _at_most(times: Iterable[float | None]) -> str:
    longest = _longest(times)
    return "–" if longest is None else f"≤ {duration(longest)}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that reads best."""
    if seconds < 0.001:
        return "1 ms"
    if seconds < 0.0995:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
