"""Timeout: how long a call may take, and the deadline that everything inside of it sees.

Owns the settings and the face; what a deadline means on the way in and out is
``csrc/python/step_timeout.c``, the waiting, the timers and the threads are the driver's.
"""

from __future__ import annotations

from functools import partial
from weakref import ref

from holdfast._native.timeout import Timeout as Kernel
from holdfast.clock import read_clock
from holdfast.errors import DeadlineExceededError, Rejected
from holdfast.mode import read_mode
from holdfast.policies.base import (
    NATIVE_MODES,
    Policy,
    problems_of,
    refuse_nameless_sharing,
    role_of,
    settings_of,
)
from holdfast.stores.figures import IN_THREADS, TIMEOUT, TIMEOUTS
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.timeout.snapshot import TimeoutSnapshot
    from holdfast.stores.ledger import Part

    _Alarms = dict[int, tuple[ref[Any], Any]]

__all__ = ["Timeout"]

MAX_WORKERS = 10_000
LEAST_NS = 1000


class Timeout(Policy):
    """Limits the duration of a call.

    In asyncio, the task is cancelled at the deadline and ``DeadlineExceededError`` is raised. A
    cancellation by the caller remains a cancellation, as with ``asyncio.timeout``. A call that
    completes in spite of the cancellation returns its result. In a thread, the timeout is
    cooperative: waits of holdfast end in time, and the function can call ``deadline()`` and
    ``check_deadline()``. A function that returns late raises the error and its value is dropped;
    an exception of the function is raised unchanged. A nested deadline is never later than the
    outer deadline. For a generator, the limit applies to the time until its first item.

    Args:
        duration: Seconds that a call may take, from a microsecond to a hundred years.
        name: For messages, metrics and the registry. A policy without a name is not registered.
        thread: Run synchronous calls in a worker thread so that the caller continues at the
            deadline. The function then runs to its end and is counted; until then it holds the
            bulkhead slots of the same pipeline. The exit of the process does not wait for it. A
            call that gets no thread in time is not run. The worker gets a copy of the caller's
            context variables. Coroutines, generators and blocks do not move to a thread.
        workers: The number of worker threads with ``thread=True``, 1 to 10,000.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared timeout of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> Timeout(30).call(len, "ok")
    2
    """

    __slots__ = ("_worker_threads",)

    kind = "timeout"
    _kernel: Kernel

    def __init__(
        self,
        duration: float | timedelta = 30.0,
        *,
        name: str | None = None,
        thread: bool = False,
        workers: int = 32,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = problems_of("Timeout", name)
        common = self._set_up(problems, duration, name, thread, workers, clock, mode, shared)
        self._keep(**common)

    _setting_names = settings_of(__init__)

    def _set_up(
        self,
        problems: Problems,
        duration: float | timedelta,
        name: str | None,
        thread: bool,
        workers: int,
        clock: Clock | None,
        mode: Mode | str | None,
        shared: bool,
        adapts: Callable[[int], object] | None = None,
    ) -> dict[str, Any]:
        """Check and keep what every timeout has; return its settings."""
        if name is not None:
            name = problems.name(name)
        duration_ns = problems.duration("duration", duration, least_ns=LEAST_NS)
        thread = problems.flag("thread", thread)
        workers = problems.integer("workers", workers, least=1, most=MAX_WORKERS)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        refuse_nameless_sharing(problems, name, shared)
        problems.done()
        kernel = Kernel(duration_ns)
        # First of all, for it refuses to be done twice.
        self._bind(
            "timeout",
            (kernel,),
            clock,
            name,
            NATIVE_MODES[mode],
            Rejected,
            threads=thread,
            adaptive=adapts and adapts(duration_ns),
        )
        self._worker_threads: Any = None  # threads, once one is needed
        return {
            "duration": duration,
            "thread": thread,
            "workers": workers,
            "clock": clock,
            "mode": mode,
        }

    def __del__(self) -> None:
        if self._queue is not None:
            for _, alarms in list(self._queue.values()):
                alarms._stop()
            self._queue.clear()  # each reference holds the dict, from which it removes itself

    @property
    def duration(self) -> float:
        """Seconds that a call which begins at this moment may take."""
        return self._kernel.duration_ns() / 1e9

    def resize(self, duration: float | timedelta) -> None:
        """Change the duration for calls that start from now on.

        Raises:
            ConfigError: ``duration`` is not a duration from a microsecond to a hundred years.
        """
        problems = problems_of("Timeout", self.name)
        duration_ns = problems.duration("duration", duration, least_ns=LEAST_NS)
        problems.done()
        self._put_duration(duration, duration_ns)
        self._say_duration()

    def _put_duration(self, duration: float | timedelta, duration_ns: int) -> None:
        self._change(duration=duration)
        self._kernel.set_duration_ns(duration_ns)

    def _say_duration(self) -> None:
        self._say("resized", "is %g s", self.duration)

    def snapshot(self) -> TimeoutSnapshot:
        """Return the current duration and counts; see ``TimeoutSnapshot`` for the fields."""
        from holdfast.policies.timeout.snapshot import TimeoutSnapshot

        return TimeoutSnapshot(**self._shown())

    def _shown(self) -> dict[str, Any]:
        stopped_before = self._kernel.counters()[5]  # read first: no figure is ever below zero
        in_time, expired, late, refused, abandoned, _, observed = self._kernel.counters()
        ended = in_time + expired
        return {
            "name": self.name,
            "duration": self.duration,
            "in_time": in_time,
            "expired": expired,
            "timeout_rate": expired / ended if ended else 0.0,
            "late": late,
            "refused": refused,
            "abandoned": abandoned,
            "running": abandoned - stopped_before,
            "observed": observed,
        }

    def _in_words(self) -> str:
        return f"{self.duration:g} s"

    def _figured(self) -> tuple[Part, ...]:
        return ((TIMEOUT, self._kernel, IN_THREADS if self._setting("thread") else 0),)

    def reset(self) -> None:
        """Do nothing: a timeout has no state except its counts, which continue."""

    def _further_costs(self) -> list[str]:
        return ["reads the clock"] + ["own threads"] * self._setting("thread")

    # ---- what the native gate asks ----

    def _exceeded(self, late_ns: int, cooperative: bool) -> DeadlineExceededError:
        """Return what is raised when time is over, ``late_ns`` after the deadline."""
        limit_ns, role = self._kernel.duration_ns(), role_of(self)
        self._emit("timeout", reason="deadline")
        return DeadlineExceededError(
            name=self.name,
            role=None if role is None else TIMEOUTS.get(role) or None,
            limit=limit_ns / 1e9,
            elapsed=(limit_ns + max(0, late_ns)) / 1e9,
            cooperative=cooperative,
        )

    def _alarms_in(self, loop: Any, new: Any) -> Any:
        """Return the alarms of its calls in an event loop: ``new`` if there are none."""
        # By the address of the loop, for as long as that lives: loops may equal one another.
        there: _Alarms = self._once("_queue", dict) if self._queue is None else self._queue
        its, alarms = there.get(id(loop), (None, None))
        if its is None or its() is not loop:
            alarms = new
            there[id(loop)] = ref(loop, partial(_forget, there, id(loop))), alarms
        return alarms

    def _set_timer(self, loop: Any, ring: Any, deadline_ns: int) -> Callable[[], object]:
        from holdfast.waiting.aio import set_timer

        return set_timer(self._clock, loop, ring, deadline_ns)

    def _open_block(self, deadline_ns: int, outer: Any) -> object:
        from holdfast.waiting.blocks import open_block

        return open_block(self, deadline_ns, outer=outer)

    def _run_in_thread(
        self,
        rest: Any,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        works: list[Any],
    ) -> Any:
        from holdfast.waiting.left_behind import run_in_thread

        return run_in_thread(self, rest, fn, args, kwargs, works)

    def _after_fork(self) -> None:
        self._worker_threads = None  # the threads are the parent's


def _forget(alarms: _Alarms, at: int, loop: ref[Any]) -> None:
    """Drop the alarms of a loop that has died, and their timer: a manual clock would keep both."""
    there = alarms.get(at)
    if there is not None and there[0] is loop:
        del alarms[at]
        there[1]._stop()
