"""The live display on a terminal. Needs rich.

Every text goes in as ``Text`` or through a console without markup, so nothing that stands in a
name can change what the terminal does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from holdfast.demo import figures
from holdfast.demo.schedule import NS, PHASES
from holdfast.demo.tally import Face, Lane, Side

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from holdfast.demo.scene import Recent, Scene
    from holdfast.demo.tally import Figures

# With the fewest entries all in all 23 lines of at most 80 characters: the smallest usual terminal.
OTHER_LINES = 20
FEWEST_ENTRIES = 3
MOST_ENTRIES = 12
LEGEND = """\
good/s to requests/s: the last second. All else: the whole run, until Ctrl-C.
p50, p99: from when a call was due to its answer, error or refusal. recovered:
good after a retry. wasted: sent to an upstream that failed it or timed out."""
_NAME_WIDTH = 9
_COLUMNS = (
    ("good/s", 6),
    ("wasted/s", 8),
    ("rejected/s", 10),
    ("requests/s", 10),
    ("goodput", 7),
    ("p50", 7),
    ("p99", 7),
    ("wasted", 6),
)

_PHASE_STYLES = {
    "healthy": "green",
    "flaky": "yellow",
    "slow": "yellow",
    "failing": "red",
    "killed": "bright_red",
    "back": "green",
}
_STATE_STYLES = {"closed": "green", "half-open": "yellow", "open": "red"}


class LiveDisplay:
    """Redraws one table in place, and clears it at the end. Used by one thread."""

    interval_seconds = 0.2

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._live.update(render(scene), refresh=True)


def render(scene: Scene) -> RenderableType:
    """Return the whole picture of a scene."""
    return Group(
        _headline(scene),
        _phases(scene),
        Text(),
        _Lanes(scene),
        Text(),
        _breaker(scene),
        _rejections(scene),
        _retries(scene),
        _given_up(scene),
        _bounds(scene),
        _Happened(scene),
        Text(),
        Text(LEGEND, style="dim"),
    )


def _headline(scene: Scene) -> Text:
    length = scene.schedule.length_ns
    end = "" if length is None else f" of {length / NS:g} s"
    process = "no process" if scene.pid is None else f"pid {scene.pid}"
    text = _line("holdfast demo", style="bold")
    text.append(f"   {figures.seconds(scene.elapsed_ns)}{end}", style="not bold")
    text.append(f"   upstream {scene.url} {process}", style="not bold dim")
    return text


def _phases(scene: Scene) -> Text:
    text = _line()
    for index, phase in enumerate(PHASES):
        style = _PHASE_STYLES[phase.name]
        if index == scene.moment.index:
            text.append(f"[{phase.name}]", style=f"bold {style} reverse")
        else:
            text.append(f" {phase.name} ", style="dim")
    left_ns = max(0, scene.moment.ends_ns - scene.elapsed_ns)
    text.append(f"  {scene.moment.phase.description}, {math.ceil(left_ns / NS)} s left")
    return text


class _Lanes:
    """The figures of both sides and of their lanes, in as many columns as there is room for."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table(_fitting(options.max_width))

    def _table(self, shown: list[int]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("", no_wrap=True)
        for column in shown:
            name, width = _COLUMNS[column]
            # A width from the start: the columns do not move when the numbers grow.
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
        scene = self._scene
        for side in Side:
            cells = _cells(scene.sides[side], scene.recent_of(side), scene.elapsed_ns)
            style = "bold green" if side is Side.GUARDED else "bold red"
            table.add_row(str(side), *(cells[column] for column in shown), style=style)
            for face in Face:
                lane = Lane(side, face)
                cells = _cells(scene.lanes[lane], scene.recent[lane], scene.elapsed_ns)
                table.add_row(f"  {face}", *(cells[column] for column in shown))
        return table


def _fitting(width: int) -> list[int]:
    """Return which columns a terminal has room for: the last second gives way to the whole run."""
    shown = list(range(len(_COLUMNS)))
    for column in (3, 2, 1, 0):
        if _NAME_WIDTH + sum(_COLUMNS[at][1] + 2 for at in shown) > width:
            shown.remove(column)
    return shown


def _cells(total: Figures, recent: Recent, elapsed_ns: int) -> tuple[Text, ...]:
    last_second = (recent.good, recent.wasted, recent.rejected, recent.requests)
    texts = (
        *(figures.pace(n, recent.span_ns) for n in last_second),
        figures.rate(total.good, elapsed_ns),
        figures.duration(total.p50_ns),
        figures.duration(total.p99_ns),
        figures.number(total.wasted),
    )
    return tuple(Text(text) for text in texts)


def _breaker(scene: Scene) -> Text:
    text = _line("breaker   ")
    state, retry_after = scene.guard.breaker, scene.guard.retry_after
    text.append(state, style=f"bold {_STATE_STYLES.get(state, 'magenta')}")
    if retry_after:
        text.append(f", a probe in {figures.duration(retry_after * NS)}")
    return text


def _rejections(scene: Scene) -> Text:
    return _line("rejected  " + _by_reason(scene.reasons))


def _retries(scene: Scene) -> Text:
    guard = scene.guard
    return _line(
        f"retries   {figures.number(guard.retries)} in {figures.number(guard.attempts)} attempts, "
        f"{figures.number(guard.recovered)} calls recovered"
    )


def _given_up(scene: Scene) -> Text:
    return _line("given up  " + _by_reason(scene.guard.gave_up))


def _bounds(scene: Scene) -> Text:
    guard = scene.guard
    return _line(
        f"budget    {figures.budget(guard.balance, guard.burst)} retries left, "
        f"{figures.number(guard.refused)} refused; "
        f"timeouts: attempt {figures.number(guard.attempt_timeouts)}, "
        f"total {figures.number(guard.total_timeouts)}"
    )


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{why} {figures.number(n)}" for why, n in counts.items()) or "none"


def _line(text: str = "", style: str = "") -> Text:
    """Return a text that stays on its line, whatever the width."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


class _Happened:
    """The last entries of the chronicle, as many as the terminal's height has room for."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_height - 1 - OTHER_LINES
        shown = max(FEWEST_ENTRIES, min(MOST_ENTRIES, room))
        recent = self._scene.entries[-shown:]
        for entry in recent:
            at = figures.seconds(entry.at_ns)
            yield _line(f"  {at:>9}  {entry.subject:<8}  {entry.text}", style="dim")
        # A steady height: the table does not jump while the list fills.
        yield from [Text()] * (shown - len(recent))
