"""Processor time, used up for a limited time.

The work is done by threads that need no lock of the interpreter for it. So they use whole
processors, as other programs of the machine would, and Python code of this process goes on.
"""

from __future__ import annotations

from time import monotonic, thread_time
from typing import TYPE_CHECKING

from holdfast.chaos.effect import Effect
from holdfast.chaos.fault import PROBABILITY
from holdfast.chaos.lasting import LASTS, Lasting
from holdfast.machine.processors import processors
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.effect import Run
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Cpu", "CpuEffect"]

# How long one piece of work takes, about, in seconds: the end of the effect waits for it.
PIECE = 0.004
# What a thread may catch up on, in seconds of processor time.
_MOST_OWED = 0.02
_BUFFER = 16 << 20


class Cpu(Lasting):
    """Uses processors up for some time; the calls go on.

    Threads of this process do it without the lock of the interpreter, so other Python code runs
    as if another program of the machine were busy.

    Args:
        processors: How many processors are used; at most those that this process may use.
        load: The share of each that is used, above 0 to 1.
        lasts: How long the effect lasts, in seconds, up to one day. A call that is struck meanwhile
            changes nothing.
        name: For messages, metrics and the registry; None uses "cpu".
        probability: The share of calls that are struck, 0 to 1.
        duration: Seconds from ``chaos.enable`` on, after which the fault strikes no call; None
            for as long as chaos is enabled.
        limit: The number of calls that are struck at most each time chaos is enabled; None for no
            limit.
        seed: The seed of the random numbers, 0 to 2**64 - 1; None derives it from the seed of
            ``chaos.enable``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared fault of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> Cpu(2, load=0.5, lasts=5, probability=0.01).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ()

    def __init__(
        self,
        processors: int = 1,
        load: float = 1.0,
        *,
        lasts: float | timedelta = LASTS,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._given: tuple[Any, ...] = (processors, load, lasts)
        super().__init__(
            name,
            probability=probability,
            duration=duration,
            limit=limit,
            seed=seed,
            clock=clock,
            mode=mode,
            shared=shared,
        )

    _setting_names = settings_of(__init__)

    def _checked(self, problems: Problems) -> dict[str, Any]:
        processors, load, lasts = self._given
        problems.integer("processors", processors, least=1, most=1024)
        problems.fraction("load", load, zero=False)
        self._read_lasts(problems, lasts)
        return {"processors": processors, "load": load, "lasts": lasts}

    def _made(self, clock: Clock) -> CpuEffect:
        processors, load, _ = self._given
        return CpuEffect(processors, load, clock)


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
