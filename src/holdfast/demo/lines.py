"""The plain display: one line a second, and one for each thing that happens.

For pipes, files, dumb terminals, and where rich is not installed. Every line is written at
once, so that a reader at the other end of a pipe follows along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from holdfast.demo import figures
from holdfast.demo.schedule import NS
from holdfast.demo.tally import Side

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.demo.guard import Standing
    from holdfast.demo.scene import Recent, Scene

_PLAIN = str.maketrans({"→": "->", "–": "-", "µ": "u"})


def has_signs(out: TextIO) -> bool:
    """Return whether the stream's encoding has every sign that the demo writes."""
    return (out.encoding or "").lower().startswith("utf")


def write(out: TextIO, text: str) -> None:
    """Write lines; what signs the stream's encoding may lack are spelt in ASCII."""
    if not has_signs(out):
        text = text.translate(_PLAIN)
    out.write(text + "\n")
    out.flush()


class LineDisplay:
    """Writes what is new since the scene before. Used by one thread."""

    interval_seconds = 0.1

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._next_entry = 0
        self._next_second = 1

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is left open."""

    def show(self, scene: Scene) -> None:
        """Write the entries that are new, and the figures when a second has begun."""
        for entry in scene.entries:
            if entry.number >= self._next_entry:
                self._next_entry = entry.number + 1
                write(self._out, f"{entry.at_ns / NS:7.2f} s  {entry.subject:<8}  {entry.text}")
        if scene.elapsed_ns >= self._next_second * NS:
            self._next_second = scene.elapsed_ns // NS + 1
            write(self._out, status_line(scene))


def status_line(scene: Scene) -> str:
    """Return the last second of both sides in one line, and what the retries did so far."""
    # The figures are of the second before, so its phase stands beside them.
    phase = scene.schedule.at(scene.elapsed_ns - NS // 2).phase.name
    without, guarded = (scene.recent_of(side) for side in Side)
    return (
        f"{scene.elapsed_ns / NS:7.2f} s  {phase:<8}  "
        f"{Side.UNGUARDED}: {_a_second(without, good=without.good, wasted=without.wasted)} | "
        f"{Side.GUARDED}: "
        + _a_second(guarded, good=guarded.good, wasted=guarded.wasted, rejected=guarded.rejected)
        + " | "
        + _so_far(scene.guard)
    )


def _so_far(guard: Standing) -> str:
    return (
        f"retries {figures.number(guard.retries)}, recovered {figures.number(guard.recovered)}, "
        f"timeouts {figures.number(guard.attempt_timeouts + guard.total_timeouts)}, "
        f"budget {figures.budget(guard.balance, guard.burst)}"
    )


def _a_second(recent: Recent, **counts: int) -> str:
    return "".join(f"{figures.pace(n, recent.span_ns):>4} {what}/s" for what, n in counts.items())
