"""Looks at the machine: counters at one moment, and the figures between two of them.

Elsewhere: how files and psutil are read (``machine``).
"""

from __future__ import annotations

import threading
from time import process_time_ns
from typing import NamedTuple

from holdfast.clock import system_clock
from holdfast.machine import tree as machine
from holdfast.machine.handles import descriptor_use
from holdfast.machine.memory import memory_use
from holdfast.machine.processors import look_at_processors, processors, use_between
from holdfast.resources.report import SystemFigures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from typing import TypeVar

    from holdfast.machine.processors import ProcessorLook

    T = TypeVar("T")

__all__ = ["ProcessorsSeen", "System"]

_LEAST_NS = 100_000_000  # counters of the machine move in steps of 10 ms


class ProcessorsSeen(NamedTuple):
    """The counters of processor time at one moment: of the machine, and of this process."""

    machine: ProcessorLook | None
    at_ns: int
    own_ns: int


class System:
    """The machine, from one look to the next. For one thread at a time.

    >>> System().figures(None).processors > 0
    True
    """

    __slots__ = ("_last", "_shown")

    def __init__(self) -> None:
        self._last = _look()
        self._shown: tuple[float | None, float | None] = (None, None)

    def forget(self) -> None:
        """In a forked child: its processor time begins at 0, and what was seen was the parent's."""
        self._last = ProcessorsSeen(None, system_clock.now_ns(), process_time_ns())
        self._shown = (None, None)

    def figures(self, loop: AbstractEventLoop | None) -> SystemFigures:
        """Return the figures since the look before; of one that has just been, the same ones.

        Args:
            loop: The event loop whose tasks are counted, if it is open.
        """
        cpu, own_cpu = self._use()
        memory = _read(lambda: memory_use(machine.HERE))
        handles = _read(lambda: descriptor_use(machine.HERE))
        status = machine.HERE.table("/proc/self/status")
        return SystemFigures(
            cpu=cpu,
            processors=float(processors()) if self._last.machine is None else self._may_use(),
            own_cpu=own_cpu,
            memory_used=None if memory is None else memory.used,
            memory_limit=None if memory is None else memory.limit,
            memory_source=None if memory is None else memory.source,
            resident=status.get("VmRSS") or _resident(),
            threads=status.get("Threads") or threading.active_count(),
            tasks=_tasks_of(loop),
            descriptors=None if handles is None else handles.used,
            descriptors_limit=None if handles is None else handles.limit,
        )

    def _use(self) -> tuple[float | None, float | None]:
        """Return the share of all processors that was used, and how many this process has used."""
        new, old = _look(), self._last
        passed_ns = new.at_ns - old.at_ns
        if passed_ns >= _LEAST_NS:
            use = None
            if new.machine is not None and old.machine is not None:
                use = use_between(old.machine, new.machine)
            own = max(0, new.own_ns - old.own_ns) / passed_ns
            self._last, self._shown = new, (None if use is None else use.share, own)
        return self._shown

    def _may_use(self) -> float:
        """Return how many processors this process may use: the smallest quota, or all."""
        seen = self._last.machine
        quotas = [] if seen is None else [quota for _, _, quota in seen.groups.values()]
        return min([*quotas, float(processors())])


def _look() -> ProcessorsSeen:
    seen = _read(lambda: look_at_processors(machine.HERE))
    return ProcessorsSeen(seen, system_clock.now_ns(), process_time_ns())


def _read(look: Callable[[], T]) -> T | None:
    """Return what a look shows; None if this system does not show it.

    There may be no ``/proc`` and no psutil, no right to read (psutil has errors of its own), or a
    container that shows other files than Linux does. The other figures are shown all the same.
    """
    try:
        return look()
    except Exception:  # noqa: BLE001 - see above
        return None


def _resident() -> int | None:
    rss: int | None = _read(
        lambda: machine.psutil_for("the memory of this process").Process().memory_info().rss
    )
    return rss


def _tasks_of(loop: AbstractEventLoop | None) -> int:
    if loop is None or loop.is_closed():
        return 0
    from asyncio import all_tasks

    try:
        return len(all_tasks(loop))
    except RuntimeError:  # tasks came and went all the while
        return 0
