"""The summary at the end of a run: text, the same on a terminal and in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.demo import figures
from holdfast.demo.schedule import NS, PHASES
from holdfast.demo.tally import Side
from holdfast.demo.upstream import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from holdfast.demo.chronicle import Chronicle, Outage
    from holdfast.demo.guard import Standing
    from holdfast.demo.schedule import Schedule
    from holdfast.demo.tally import Figures, Tally


@dataclass(frozen=True, slots=True)
class Results:
    """What a run leaves behind."""

    elapsed_ns: int
    schedule: Schedule
    per_second: int
    timeout_seconds: float
    kills: int
    tally: Tally
    chronicle: Chronicle
    guard: Standing


def summary(results: Results) -> str:
    """Return the whole summary, without a newline at its end."""
    parts = (
        _title(results),
        _totals(results),
        _phases(results),
        _retries(results),
        _outages(results),
        _legend(results),
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def columns(rows: Sequence[Sequence[str]], gap: int = 3) -> list[str]:
    """Return rows with their cells aligned: the first to the left, the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    between = " " * gap
    return [
        (
            f"  {row[0]:<{widths[0]}}"
            + "".join(
                f"{between}{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)
            )
        ).rstrip()
        for row in rows
    ]


def _title(results: Results) -> list[str]:
    capacity = f"{_capacity('healthy')} calls/s when healthy, {_capacity('slow')} when slow"
    return [
        f"holdfast demo: {results.elapsed_ns / NS:.1f} s, upstream kills: {results.kills}",
        f"each side: {results.per_second} calls/s, half from threads, half from asyncio tasks,",
        f"to {WORKERS} workers of its own in the upstream: {capacity}",
    ]


def _capacity(name: str) -> str:
    return next(f"{phase.capacity:.0f}" for phase in PHASES if phase.name == name)


def _totals(results: Results) -> list[str]:
    tally = results.tally
    sides = [tally.side(side) for side in Side]
    recoveries = [figures.duration(tally.recovery_ns(side)) for side in Side]
    counts = results.chronicle.counts()

    def row(name: str, cell: Callable[[Figures], str]) -> list[str]:
        return [name, *map(cell, sides)]

    def guarded_rows(numbers: Iterable[tuple[str, int]]) -> list[list[str]]:
        return [[f"  {name}", figures.NOTHING, figures.number(n)] for name, n in numbers]

    return columns(
        [
            ["", *Side],
            row("calls", lambda of: figures.number(of.calls)),
            row("goodput", lambda of: figures.rate(of.good, results.elapsed_ns)),
            row("p50", lambda of: figures.duration(of.p50_ns)),
            row("p99", lambda of: figures.duration(of.p99_ns)),
            row("requests sent", lambda of: figures.number(of.requests)),
            row("wasted calls", lambda of: figures.number(of.wasted)),
            row("time in wasted calls", lambda of: figures.duration(of.wasted_ns)),
            ["good again after", *recoveries],
            row("rejected", lambda of: figures.number(of.rejected)),
            *guarded_rows(tally.reasons().items()),
            ["breaker transitions", figures.NOTHING, figures.number(counts.total())],
            *guarded_rows((f"{old} → {new}", n) for (old, new), n in counts.items()),
        ]
    )


def _phases(results: Results) -> list[str]:
    spent = results.schedule.spent_ns(results.elapsed_ns)
    rows = [["phase".ljust(9) + "side", "goodput", "p50", "p99", "wasted", "rejected", "recovered"]]
    for phase in PHASES:
        for side in Side:
            of = results.tally.phase(side, phase.name)
            name = phase.name if side is Side.UNGUARDED else ""
            rows.append(
                [
                    name.ljust(9) + side,
                    figures.rate(of.good, spent[phase.name]),
                    figures.duration(of.p50_ns),
                    figures.duration(of.p99_ns),
                    figures.number(of.wasted),
                    figures.number(of.rejected),
                    figures.number(of.recovered),
                ]
            )
    return columns(rows, gap=2)


def _retries(results: Results) -> list[str]:
    guard = results.guard

    def row(name: str, n: int) -> list[str]:
        return [name, figures.number(n)]

    return columns(
        [
            ["the guarded side's pipeline", ""],
            row("attempts", guard.attempts),
            row("  of them retries", guard.retries),
            row("calls recovered", guard.recovered),
            row("calls given up", sum(guard.gave_up.values())),
            *(row(f"  {why}", n) for why, n in guard.gave_up.items()),
            row("attempt timeouts", guard.attempt_timeouts),
            row("total timeouts", guard.total_timeouts),
            ["retry budget at the end", figures.budget(guard.balance, guard.burst)],
            row("  retries refused", guard.refused),
        ]
    )


def _outages(results: Results) -> list[str]:
    outages = results.chronicle.outages()
    if not outages:
        return ["the breaker had no reason to open"]
    return [_outage(results.schedule, outage) for outage in outages]


def _outage(schedule: Schedule, outage: Outage) -> str:
    def when(at_ns: int) -> str:
        return f"at {figures.seconds(at_ns)} ({schedule.at(at_ns).phase.name})"

    end = ", not closed since"
    if outage.closed_ns is not None:
        end = f" → closed {when(outage.closed_ns)}"
    return f"closed → open {when(outage.opened_ns)} → half-open {outage.half_opened} x{end}"


def _legend(results: Results) -> list[str]:
    guard = results.guard
    limit = f"{results.timeout_seconds:g} s"
    return f"""\
goodput: good answers a second. p50, p99: from when a call was due to its
answer, error or refusal. wasted: sent to an upstream that failed it or timed
out, after {limit} on both sides. good again after: from the upstream's return to
the next good answer, for which the guarded side waits until a probe is due.
flaky: a call that fails or hangs is tried again, and recovered by that. A retry
takes 1 from the budget, a good call gives {guard.ratio:g} back: where every call fails
retries soon end. rejected: what breaker, limiter or bulkhead turned away.
slow: requests that timed out still take their turn in the upstream. Unguarded,
they keep its workers from those that could be answered in time; guarded, calls
beyond the capacity are turned away, and the others are answered.""".splitlines()
