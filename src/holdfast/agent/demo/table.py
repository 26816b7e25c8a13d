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

from holdfast.agent.demo import figures
from holdfast.agent.demo.schedule import NS, PHASES
from holdfast.agent.demo.tally import Face, Lane, Side

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from holdfast.agent.demo.scene import Recent, Scene
    from holdfast.agent.demo.tally import Figures

SHOWN_ENTRIES = 6
# All in all 23 lines of at most 80 characters: the smallest usual terminal.
LEGEND = """\
good/s, wasted/s, rejected/s: the last second. All else: the whole run.
p50, p99: from when a call was due to its answer, error or refusal.
wasted: sent to an upstream that failed it or timed out. Ctrl-C ends the run."""
_NAME_WIDTH = 9
_COLUMNS = (
    ("good/s", 6),
    ("wasted/s", 8),
    ("rejected/s", 10),
    ("goodput", 7),
    ("p50", 7),
    ("p99", 7),
    ("wasted", 6),
)

_PHASE_STYLES = {
    "healthy": "green",
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
        _happened(scene),
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
    for column in (2, 1, 0):
        if _NAME_WIDTH + sum(_COLUMNS[at][1] + 2 for at in shown) > width:
            shown.remove(column)
    return shown


def _cells(total: Figures, recent: Recent, elapsed_ns: int) -> tuple[Text, ...]:
    texts = (
        *(figures.pace(n, recent.span_ns) for n in (recent.good, recent.wasted, recent.rejected)),
        figures.rate(total.good, elapsed_ns),
        figures.duration(total.p50_ns),
        figures.duration(total.p99_ns),
        figures.number(total.wasted),
    )
    return tuple(Text(text) for text in texts)


def _breaker(scene: Scene) -> Text:
    text = _line("breaker   ")
    text.append(scene.breaker, style=f"bold {_STATE_STYLES.get(scene.breaker, 'magenta')}")
    if scene.retry_after:
        text.append(f", a probe in {figures.duration(scene.retry_after * NS)}")
    return text


def _rejections(scene: Scene) -> Text:
    reasons = (f"{why} {figures.number(n)}" for why, n in scene.reasons.items())
    return _line("rejected  " + (", ".join(reasons) or "none"))


def _line(text: str = "", style: str = "") -> Text:
    """Return a text that stays on its line, whatever the width."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _happened(scene: Scene) -> Text:
    text = Text(style="dim")
    recent = scene.entries[-SHOWN_ENTRIES:]
    for entry in recent:
        text.append(f"  {figures.seconds(entry.at_ns):>9}  {entry.subject:<8}  {entry.text}\n")
    # A steady height: the table does not jump while the list fills.
    text.append("\n" * (SHOWN_ENTRIES - len(recent)))
    text.right_crop(1)
    return text
