"""How long this process did not run: stopped, blocked, or without a processor.

A check that fails while its own process did not run has shown nothing about what it checks. Owns
how such time is noticed, and the rule that makes a result "unproven". There are three signs:

- A beat, every 50 ms while checks are in flight. It is late if the process or the machine was
  stopped, if native code held the interpreter, or if the processor was taken. The beat of an event
  loop is a timer of that loop: it is also late if something blocked the loop.
- The run delay of one thread, from ``/proc/thread-self/schedstat`` on Linux: how long it could have
  run, but had no processor. It is exact, and also shows a stall that is too short for a beat.
- The interpreter, held by a thread that has no processor. That stops all threads, but who waits for
  the interpreter has no run delay. A beat is late then although no thread of the process runs, and
  what it meets is taken to last from beat to beat. This counts for a check up to the time for which
  its own thread can have waited: a thread that waits for the interpreter wakes up every 5 ms (the
  switch interval of Python), and the system counts that. A thread that waits for an answer sleeps,
  and is not excused.

The CPU pressure of Linux (PSI) says that some process waited for a processor, not that this one
did. A result reports it, but it decides nothing. Elsewhere: when checks run, and when they are cut
(``rounds``).
"""

from __future__ import annotations

import os
import sys
import threading
from abc import abstractmethod
from contextlib import suppress
from contextvars import Context
from time import monotonic_ns, process_time_ns
from weakref import ref

from holdfast._native.waits import read_waits
from holdfast.clock import ManualClock, system_clock
from holdfast.events import warn
from holdfast.forks import call_in_child, mind
from holdfast.health.check import Allowance
from holdfast.health.result import CheckResult
from holdfast.locks import RLock
from holdfast.periodic import Periodic

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from holdfast.clock import Clock

__all__ = ["BEAT_NS", "LoopPulse", "Mark", "Pulse", "RunningTime", "ThreadPulse", "judge"]

BEAT_NS = 50_000_000
# A beat that is late by less is as punctual as a busy machine allows.
_PUNCTUAL_NS = 10_000_000
# How many beats go on after the last check: the next one is often near, and a start costs more.
_LINGER = 10
# One reading of the run delay serves all checks that begin in a thread within this time.
_FRESH_NS = 10_000_000
# A stall of one part in so many of the time that a result is measured by makes it unproven.
_PARTS = 4
# How often a check gets the rest of its time. After 8 times a thread that runs for half of the
# time has had more than 99 % of it.
_MOST_EXTENSIONS = 8
_SCHEDSTAT = "/proc/thread-self/schedstat"
_PRESSURE = "/proc/pressure/cpu"


class Mark:
    """One check in flight.

    Attributes:
        began_ns: When it began, on the clock of its pulse.
        extensions: How often it got the rest of its time.
    """

    __slots__ = ("_delay_ns", "_thread", "_turns", "began_ns", "extensions", "held_ns", "lost_ns")

    def __init__(
        self, began_ns: int, lost_ns: int, thread: _Thread | None, held_ns: int = 0
    ) -> None:
        self.began_ns = began_ns
        self.lost_ns = lost_ns  # what its pulse had lost until then
        self.held_ns = held_ns  # for how long its pulse had seen the interpreter held until then
        self.extensions = 0
        if thread is None:
            self._thread, self._delay_ns, self._turns = None, 0, 0
        else:
            # Weak: an event loop may leave marks to the collector, but not the file of a thread.
            self._thread, self._delay_ns = thread.ref, thread.recent_ns(began_ns)
            self._turns = thread.turns

    def starved_ns(self, held_ns: int = 0) -> int:
        """Return how long its thread waited for a processor, or for a thread that had none.

        Args:
            held_ns: How long threads without a processor held the interpreter since it began.
        """
        thread = None if self._thread is None else self._thread()
        if thread is None:
            return 0
        delay_ns = max(0, thread.read_ns() - self._delay_ns)
        waited_ns = (thread.turns - self._turns) * _wait_ns()  # for the interpreter, at most
        return max(delay_ns, min(delay_ns + waited_ns, held_ns))


class Pulse:
    """How long the own process did not run while a check was in flight.

    ``begin`` is called in the thread that runs the check, the others in any. A subclass beats:
    it calls ``_beat`` every ``BEAT_NS`` between ``_start`` and ``_stop``.

    Safe to share between threads.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_held_ns",
        "_idle",
        "_lock",
        "_lost_ns",
        "_marks",
        "_now_ns",
        "_real",
        "_seen_ns",
    )

    #: The subject of messages: the process or the event loop.
    whose = "this process"

    def __init__(self, now_ns: Callable[[], int], *, real: bool) -> None:
        self._now_ns = now_ns
        # Whether the time of threads is the time of this clock. Virtual time leaps between checks:
        # then it does not beat on after the last one.
        self._real = real
        self._lost_ns = 0
        self._held_ns = 0
        self._closed = False
        self._forget()
        mind(self)

    @abstractmethod
    def _start(self) -> None:
        """Begin to beat."""

    @abstractmethod
    def _stop(self) -> None:
        """Beat no more. The lock is held."""

    def _look(self) -> None:
        """Note what the next gap between two beats is compared to. The lock is held."""

    def _held_in(self, gap_ns: int) -> int:  # noqa: ARG002 - for pulses that know
        """Return for how much of a gap between beats the interpreter was held; the lock is held.

        Held by threads that had no processor. The gap is the one that goes on.
        """
        return 0

    def _forget(self) -> None:
        # Re-entrant: a signal handler or a finaliser may run a check.
        self._lock = RLock()
        self._marks: dict[Mark, None] = {}
        self._seen_ns: int | None = None  # the newest beat; None: it does not beat
        self._idle = 0

    def _after_fork(self) -> None:
        self._forget()

    def begin(self) -> Mark:
        """Note that a check begins in this thread. ``end`` is due when it has ended."""
        now_ns = self._now_ns()
        mark = Mark(now_ns, self._lost_ns, _here() if self._real else None, self._held_ns)
        # Without the lock, in this order: the beat looks in the other one whether it may end.
        self._marks[mark] = None
        if self._seen_ns is None:
            self._start_to_beat(now_ns)
        return mark

    def _start_to_beat(self, now_ns: int) -> None:
        with self._lock:
            if self._closed or self._seen_ns is not None:
                return
            self._seen_ns, self._idle = now_ns, 0
            self._look()
        # Without the lock: a thread that starts may run a finaliser that wants it.
        try:
            self._start()
        except RuntimeError as error:
            with self._lock:
                self._seen_ns = None  # the next check tries again
            warn("a stop of this process may look like a failed check: %s", error)

    def stalled_ns(self, mark: Mark) -> int:
        """Return for how much of the time since ``mark`` this process did not run.

        A stall shorter than a beat may be missing, and another one may count for a beat less.
        """
        now_ns = self._now_ns()
        with self._lock:
            lost_ns = self._lost_ns - mark.lost_ns
            held_ns = self._held_ns - mark.held_ns
            if self._seen_ns is not None:
                lost_ns += _late_ns(now_ns - self._seen_ns)
                held_ns += self._held_in(now_ns - self._seen_ns)
        return max(0, min(max(lost_ns, mark.starved_ns(held_ns)), now_ns - mark.began_ns))

    def passed_ns(self, mark: Mark) -> int:
        """Return how much time has passed since ``mark``."""
        return self._now_ns() - mark.began_ns

    def ran_ns(self, mark: Mark) -> int:
        """Return for how much of the time since ``mark`` this process ran."""
        stalled_ns = self.stalled_ns(mark)
        return max(0, self._now_ns() - mark.began_ns - stalled_ns)

    def more_ns(self, mark: Mark, timeout_ns: int) -> int:
        """Return how long a check may go on that had ``timeout_ns`` of running time; 0: cut it.

        Call it when the time is up. A check whose process did not run gets the rest.
        """
        if mark.extensions >= _MOST_EXTENSIONS:
            return 0
        left_ns = max(0, timeout_ns - self.ran_ns(mark))
        mark.extensions += left_ns > 0
        return left_ns

    def end(self, mark: Mark) -> None:
        """Note that a check has ended, or is not waited for any more."""
        self._marks.pop(mark, None)
        if not self._real:
            with self._lock:
                if not self._marks:
                    self._end_beats()

    def close(self) -> None:
        """Beat no more, whatever begins."""
        with self._lock:
            self._closed = True
            self._end_beats()

    def _end_beats(self) -> None:
        self._catch_up(self._now_ns())
        self._seen_ns = None
        self._stop()

    def _catch_up(self, now_ns: int) -> None:
        if self._seen_ns is not None:
            self._lost_ns += _late_ns(now_ns - self._seen_ns)
            self._held_ns += self._held_in(now_ns - self._seen_ns)
            self._seen_ns = now_ns
            self._look()

    def _beat(self) -> bool:
        """Note that this process runs; return whether to go on."""
        now_ns = self._now_ns()
        with self._lock:
            self._catch_up(now_ns)
            self._idle = 0 if self._marks else self._idle + 1
            if self._seen_ns is not None and self._idle <= _LINGER:
                return True
            self._seen_ns = None
            if self._marks.copy() and not self._closed:  # one has begun meanwhile
                self._seen_ns, self._idle = now_ns, 0
                self._look()
                return True
            self._stop()
            return False


class ThreadPulse(Pulse):
    """The pulse of this process, for checks in threads.

    Args:
        clock: The source of time. Any other clock than a ``ManualClock`` means the system's.

    >>> pulse = ThreadPulse()
    >>> mark = pulse.begin()
    >>> pulse.end(mark)
    >>> pulse.stalled_ns(mark) < 60_000_000_000
    True
    >>> pulse.close()
    """

    __slots__ = ("_periodic", "_ran_ns")

    def __init__(self, clock: Clock | None = None) -> None:
        is_manual = isinstance(clock, ManualClock)
        if not is_manual or clock is None:
            clock = system_clock
        self._periodic = Periodic(self._beat, BEAT_NS / 1e9, name="pulse", clock=clock)
        self._ran_ns = 0  # up to the newest beat, all threads together
        super().__init__(clock.now_ns, real=not is_manual)

    def _look(self) -> None:
        if self._real:
            self._ran_ns = process_time_ns()

    def _held_in(self, gap_ns: int) -> int:
        if not self._real:
            return 0
        idle_ns = gap_ns - (process_time_ns() - self._ran_ns)
        # A late beat has met a moment of a stall that most likely goes on before it and after it.
        return idle_ns if _late_ns(idle_ns) else 0

    def _start(self) -> None:
        self._periodic.start()

    def _stop(self) -> None:
        self._periodic.stop(0)


class LoopPulse(Pulse):
    """The pulse of one event loop, for the tasks in it. To be used in the thread of the loop."""

    __slots__ = ("_loop", "_timer")

    whose = "this event loop"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

        def now_ns() -> int:
            return int(loop.time() * 1e9)

        # The loop of a test may have virtual time.
        super().__init__(now_ns, real=abs(now_ns() - monotonic_ns()) < 1_000_000_000)

    def _start(self) -> None:
        # In a new context, or the timer would keep the context variables of the first check.
        self._timer = self._loop.call_later(BEAT_NS / 1e9, self._next, context=Context())

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is None:
            return
        if _is_here(self._loop):
            timer.cancel()
        else:  # or the next beat ends it
            with suppress(RuntimeError):  # the loop is closed, and its timers are no more
                self._loop.call_soon_threadsafe(timer.cancel)

    def _next(self) -> None:
        if self._beat():
            self._start()


class RunningTime(Allowance):
    """How long a run may take: a time for which this process runs."""

    __slots__ = ("_mark", "_pulse")

    def __init__(self, pulse: Pulse, mark: Mark, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._pulse = pulse
        self._mark = mark

    def left_ns(self) -> int:
        """Return how long the run may still take, 0 at least."""
        left_ns = self.limit_ns - self._pulse.passed_ns(self._mark)
        if left_ns > self.limit_ns - BEAT_NS and left_ns > 0:
            return left_ns  # most checks are over before a stall would count
        return max(0, self.limit_ns - self._pulse.ran_ns(self._mark))

    def more_ns(self) -> int:
        """Return how long it may go on although its time is up; 0: cut it."""
        return self._pulse.more_ns(self._mark, self.limit_ns)


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    from asyncio import _get_running_loop

    return _get_running_loop() is loop


def _late_ns(gap_ns: int) -> int:
    late_ns = gap_ns - BEAT_NS
    return late_ns if late_ns > _PUNCTUAL_NS else 0


# ---- the run delay of a thread ----


class _Thread:
    """How long one thread had no processor.

    Attributes:
        turns: How often it has had one.
    """

    __slots__ = ("__weakref__", "_at_ns", "_file", "_ns", "ref", "turns")

    def __init__(self) -> None:
        self.ref = ref(self)
        self._file = -1
        self._ns = 0
        self._at_ns = -_FRESH_NS
        self.turns = 0
        try:
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
            self.read_ns()
        except OSError:
            pass  # no Linux, one that does not count, or no file may be opened

    def read_ns(self) -> int:
        """Return how long it has waited for a processor since it was started; in any thread."""
        if self._file >= 0:
            waits = read_waits(self._file)
            if waits is not None:  # if the thread has ended, the last reading is valid
                self._ns, self.turns = waits
        return self._ns

    def recent_ns(self, now_ns: int) -> int:
        """Return the same, perhaps as it was a moment ago; in the thread itself."""
        if now_ns - self._at_ns >= _FRESH_NS:
            self._at_ns = now_ns
            return self.read_ns()
        return self._ns

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)


def _wait_ns() -> int:
    """Return how long a thread waits for the interpreter before it wakes up; 0: it never waits."""
    is_locked: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    if is_locked is None or is_locked():
        return int(sys.getswitchinterval() * 1e9)
    return 0


_local = threading.local()


def _here() -> _Thread:
    thread: _Thread | None = getattr(_local, "thread", None)
    if thread is None:
        thread = _local.thread = _Thread()
    return thread


def _forget_threads() -> None:
    """In a forked child: the open files speak of threads of the parent."""
    global _local  # noqa: PLW0603 - one for the process, and another for each child
    _local = threading.local()


call_in_child(_forget_threads)


# ---- the rule ----


def judge(
    result: CheckResult,
    *,
    stalled_ns: int,
    duration_ns: int,
    timeout_ns: int,
    by_time: bool = False,
    whose: str = Pulse.whose,
) -> CheckResult:
    """Return a result, or that it proves nothing as the own process did not run.

    A pass is a pass. Another result is unproven if the process did not run for a fourth of the
    timeout: a check that had less of its time has shown little, and the other side may have given
    up on a process that was silent. But if the process ran for a whole timeout besides, and the
    stall was shorter than one, then the check had its time, and its result counts. So a machine
    that is always busy does not hide an outage.

    Args:
        result: The result of the check.
        stalled_ns: For how long the process did not run during the check.
        duration_ns: How long the check took, stalls included.
        timeout_ns: How much time it had.
        by_time: Whether the result follows from how long something took. Then a stall of a fourth
            of the duration is enough. This holds for each degraded result.
        whose: The subject of the message: the process or the event loop.
    """
    if result.verdict in ("passed", "unproven") or stalled_ns <= _PUNCTUAL_NS:
        return result
    by_time = by_time or result.verdict == "degraded"
    measure_ns = min(timeout_ns, duration_ns) if by_time else timeout_ns
    if stalled_ns * _PARTS < measure_ns:
        return result
    if stalled_ns < timeout_ns <= duration_ns - stalled_ns:
        return result
    stalled = stalled_ns / 1e9
    message = f"{whose} did not run for {stalled:.2g} s of {duration_ns / 1e9:.2g} s"
    if result.message:
        message = f"{message}, so this proves nothing: {result.message}"
    details = {**result.details, "stalled_seconds": round(stalled, 6)}
    pressure = _pressure()
    if pressure is not None:
        details["cpu_pressure"] = pressure
    return CheckResult("unproven", message, details)


def _pressure() -> float | None:
    """Return for which share of the last 10 seconds some process waited for a processor."""
    try:
        with open(_PRESSURE, "rb", buffering=0) as file:
            return float(file.read(256).split(b"avg10=", 1)[1].split(maxsplit=1)[0]) / 100
    except (OSError, ValueError, IndexError):
        return None  # no Linux, one of before 2018, or one that does not count it
