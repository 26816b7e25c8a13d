"""How early an outlook warns of an outage, and how often it warns of none.

Run from the project's root: ``python -m benchmarks.outlook``. It evaluates ``holdfast.health``'s
``Outlook`` on the traces that ``benchmarks.outlook_traces`` has recorded, and prints the tables of
docs/outlook.md. It draws no random numbers, so the figures are the same each time.

A line of a trace is read as the ten seconds between two checks, the usual interval of a monitor.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from holdfast import ManualClock
from holdfast.health import Outlook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TRACES = ROOT / "tests" / "health" / "traces"
STEP = 10  # seconds that a line of a trace stands for
OUTAGE_LINES = 10  # an outage begins where, over so many lines,
OUTAGE_SHARE = 0.5  # at least this share of the calls fails


@dataclass(frozen=True)
class Line:
    """The time between two checks: durations in seconds, None without an answer."""

    calls: int
    errors: int
    latency: float | None
    probe: float | None
    late: bool


@dataclass(frozen=True)
class Trace:
    """A recorded trace; ``onset`` is the line at which its fault begins, None without one."""

    name: str
    half: str
    onset: int | None
    lines: tuple[Line, ...]

    @classmethod
    def read(cls, path: Path) -> Trace:
        first, *others = path.read_text().splitlines()
        name, half, onset = first.split(",")
        return cls(name, half, None if onset == "-" else int(onset), tuple(map(_line, others)))

    @property
    def outage(self) -> int | None:
        """The line at which the outage begins."""
        for at in range(self.onset or 0, len(self.lines) - OUTAGE_LINES // 2):
            window = self.lines[at : at + OUTAGE_LINES]
            calls, errors = (sum(getattr(line, f) for line in window) for f in ("calls", "errors"))
            if calls and errors / calls >= OUTAGE_SHARE:
                return at
        return None


@dataclass(frozen=True)
class Verdict:
    """The success of an outlook on one trace.

    Attributes:
        lead: Seconds from the first alarm after the fault's beginning to the outage; None: no
            alarm before the outage, or no outage.
        room: Seconds from the fault's beginning to the outage; None without a fault.
        false_alarms: Alarms without a fault.
        hours: How long there was no fault.
    """

    trace: Trace
    lead: float | None
    room: float | None
    false_alarms: int
    hours: float


@dataclass(frozen=True)
class Summary:
    """The figures of some traces."""

    faulty: int
    warned: int
    lead: float  # median, in seconds, of those that were warned of
    share: float  # mean share of the time from the beginning to the outage; a miss is 0
    clean: int
    clean_with_alarm: int
    false_alarms: int
    hours: float

    @property
    def an_hour(self) -> float:
        return self.false_alarms / self.hours


def read_traces(folder: Path = TRACES) -> list[Trace]:
    return [Trace.read(path) for path in sorted(folder.glob("*.csv"))]


def replay(trace: Trace, **settings: Any) -> list[str | None]:
    """Return the level of an outlook after each line of a trace; None before it has one."""
    clock = ManualClock()
    outlook = Outlook(trace.name, clock=clock, **settings)
    levels: list[str | None] = []
    for line in trace.lines:
        clock.advance(STEP)
        if not line.late:
            # The checker's request is a call as well, and fails if it is not answered.
            calls, errors = line.calls + 1, line.errors + (line.probe is None)
            outlook.observe(
                error_rate=errors / calls,
                calls=calls,
                latency=line.latency,
                check_duration=line.probe,
            )
        forecast = outlook.forecast
        levels.append(None if forecast is None else forecast.level)
    return levels


def judge(trace: Trace, levels: list[str | None], level: str = "warning") -> Verdict:
    """Return how an outlook did on a trace; an alarm is where ``level`` or a worse one begins."""
    reached = [one == "warning" or one == level for one in levels]
    alarms = [at for at, now in enumerate(reached) if now and not (at and reached[at - 1])]
    if trace.onset is None:
        hours = len(levels) * STEP / 3600
        return Verdict(trace, None, None, len(alarms), hours)
    outage = trace.outage
    assert outage is not None, f"{trace.name} has no outage"
    false = [at for at in alarms if at < trace.onset]
    true = [at for at in alarms if trace.onset <= at < outage]
    return Verdict(
        trace,
        (outage - true[0]) * STEP if true else None,
        (outage - trace.onset) * STEP,
        len(false),
        trace.onset * STEP / 3600,
    )


def summed(verdicts: Iterable[Verdict]) -> Summary:
    verdicts = list(verdicts)
    faulty = [one for one in verdicts if one.room is not None]
    clean = [one for one in verdicts if one.room is None]
    leads = [one.lead for one in faulty if one.lead is not None]
    return Summary(
        faulty=len(faulty),
        warned=len(leads),
        lead=median(leads) if leads else 0.0,
        share=sum((one.lead or 0) / one.room for one in faulty if one.room) / len(faulty),
        clean=len(clean),
        clean_with_alarm=sum(one.false_alarms > 0 for one in clean),
        false_alarms=sum(one.false_alarms for one in verdicts),
        hours=sum(one.hours for one in verdicts),
    )


def summary_rows(verdicts: list[Verdict], level: str = "warning") -> list[str]:
    """Return the rows of the first table of the page, for alarms at one level."""
    rows = []
    for half in ("tune", "held-out"):
        one = summed(v for v in verdicts if v.trace.half == half)
        rows.append(
            f"| `{level}`, {half} | {one.warned} of {one.faulty} | {one.lead / 60:.1f} min "
            f"| {one.share:.0%} | {one.false_alarms} in {one.hours:.1f} h | {one.an_hour:.2f} "
            f"| {one.clean_with_alarm} of {one.clean} |"
        )
    return rows


def fault_rows(verdicts: list[Verdict]) -> list[str]:
    """Return the rows of the table of faults: for each kind, lead and room at each speed."""
    rows = []
    for kind in ("slower", "errors", "stalls", "leak", "quiet-leak"):
        cells = []
        for speed in (40, 80, 160, 320):
            one = next(v for v in verdicts if v.trace.name == f"{kind}-{speed}")
            assert one.room is not None
            lead = "none" if one.lead is None else f"{one.lead / 60:.1f}"
            cells.append(f"{lead} of {one.room / 60:.1f}")
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return rows


def clean_rows(verdicts: list[Verdict]) -> list[str]:
    """Return the rows of the table of traces without a fault: false alarms by kind."""
    rows = []
    for kind in ("steady", "waves", "bursts", "jitter", "blips"):
        of = [v for v in verdicts if v.trace.name.rpartition("-")[0] == kind]
        hours = sum(v.hours for v in of)
        rows.append(f"| {kind} | {sum(v.false_alarms for v in of)} in {hours:.1f} h |")
    return rows


def _line(text: str) -> Line:
    calls, errors, latency, probe, *late = text.split(",")
    return Line(int(calls), int(errors), _seconds(latency), _seconds(probe), bool(late))


def _seconds(text: str) -> float | None:
    return None if text == "-" else int(text) / 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path, default=TRACES)
    parser.add_argument("--level", choices=("watch", "warning"), default="warning")
    given = parser.parse_args()
    traces = read_traces(given.traces)
    verdicts = [judge(trace, replay(trace), given.level) for trace in traces]
    for rows in (summary_rows(verdicts, given.level), fault_rows(verdicts), clean_rows(verdicts)):
        print("\n".join(rows), end="\n\n")


if __name__ == "__main__":
    main()
