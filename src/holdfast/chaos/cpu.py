"""Processor time, used up for a limited time.

The work is done by threads that need no lock of the interpreter for it. So they use whole
processors, as other programs of the machine would, and Python code of this process goes on.
"""

from __future__ import annotations

from time import monotonic, thread_time

from holdfast.chaos.effect import Effect
from holdfast.chaos.machine import processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.chaos.effect import Run
    from holdfast.clock import Clock

__all__ = ["CpuEffect"]

# How long one piece of work takes, about, in seconds: the end of the effect waits for it.
PIECE = 0.004
# What a thread may catch up on, in seconds of processor time.
_MOST_OWED = 0.02
_BUFFER = 16 << 20


class CpuEffect(Effect):
    """Uses processors.

    Args:
        processors: How many; at most those that this process may use.
        load: The share of each processor that is used, from 0 to 1.
        clock: Its source of time.
    """

    __slots__ = ("_load", "_processors")

    def __init__(self, processors: int, load: float, clock: Clock) -> None:
        super().__init__(clock)
        self._processors = processors
        self._load = load

    @property
    def _threads(self) -> int:  # type: ignore[override]
        return min(self._processors, processors())

    def _work(self, run: Run) -> None:
        from hashlib import sha256

        buffer = memoryview(bytes(_BUFFER))
        size = 64 << 10
        before, used = monotonic(), thread_time()
        owed = 0.0
        while run.goes_on():
            now = monotonic()
            owed = min(owed + (now - before) * self._load, _MOST_OWED)
            before = now
            if owed < PIECE:
                run.wait((PIECE - owed) / self._load)
                continue
            sha256(buffer[:size])
            took = thread_time() - used
            used += took
            owed -= took
            if took < PIECE / 2:
                size = min(2 * size, _BUFFER)
