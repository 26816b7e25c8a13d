"""Time for every policy: the system's, or one that a test moves by hand.

Policies and kernels see nanoseconds that never go backwards; people see seconds. Not here:
waiting (``pipeline.parking``), and the arithmetic of a clock that is set back (``hf_clock.h``).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from time import time

from holdfast._native import clock as _native
from holdfast.locks import RLock
from holdfast.validation import Problems, explains_names, seconds_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Self

__all__ = [
    "Clock",
    "ManualClock",
    "SystemClock",
    "read_clock",
    "replace_default_clock",
    "system_clock",
]


class Clock(_native.Clock):
    """The base class of all clocks. Policies take a ``SystemClock`` or a ``ManualClock``.

    Safe to share between threads, event loops and policies.
    """

    __slots__ = ()

    auto = False

    def now(self) -> float:
        """Return the time in seconds. Only differences between two times have a meaning."""
        return self.now_ns() / 1e9

    def _wall_time(self) -> float:
        """Return the seconds since 1970; a manual clock has no other time than its own."""
        return time()

    # A copy of an object shares its clock: a manual clock moves the policies of both.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self


class SystemClock(Clock):
    """The machine's monotonic clock.

    Safe to share between threads, event loops and policies.

    >>> clock = SystemClock()
    >>> clock.now() <= clock.now()
    True
    """

    __slots__ = ()

    def __init__(self) -> None:
        """Take no arguments: there is nothing to set."""

    def __repr__(self) -> str:
        return "SystemClock()"


class ManualClock(_native.ManualClock, Clock):
    """A clock that moves only on request, for tests.

    Args:
        start: The initial time in seconds.
        auto: Whether a synchronous wait advances the clock to its end and returns immediately.
            With False, and always in asyncio, a wait ends when ``advance`` or ``set`` passes its
            end.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies.

    >>> clock = ManualClock()
    >>> clock.advance(2.5)
    >>> clock.now()
    2.5
    """

    _lock: RLock
    _timers: list[tuple[int, int]]
    _callbacks: dict[int, Callable[[], object]]
    _serials: count[int]

    @explains_names
    def __new__(cls, start: float | timedelta = 0.0, auto: bool = True) -> Self:
        """Make a clock that shows ``start`` seconds."""
        problems = Problems("ManualClock")
        start_ns = problems.duration("start", start)
        auto = problems.flag("auto", auto)
        problems.done()
        self = super().__new__(cls, start_ns)
        self.auto = auto
        # Re-entrant: a finaliser may set a timer while this thread holds the lock.
        self._lock = RLock()
        self._timers = []  # a heap of (deadline, serial)
        self._callbacks = {}  # by serial; one that is missing was cancelled
        self._serials = count()
        return self

    def now(self) -> float:
        """Return the displayed time in seconds. Unlike policy time, ``set`` can move it back."""
        return self.shown_ns() / 1e9

    _wall_time = now

    def advance(self, seconds: float | timedelta) -> None:
        """Advance the clock, and stop at the end of each wait on the way.

        Raises:
            ConfigError: ``seconds`` is negative or not a duration.
        """
        self.advance_ns(seconds_to_ns("seconds", seconds))

    def set(self, seconds: float | timedelta) -> None:
        """Set the time. An earlier time stops policy time for a moment.

        Raises:
            ConfigError: ``seconds`` is negative or not a duration.
        """
        self.set_ns(seconds_to_ns("seconds", seconds))

    def advance_ns(self, d_ns: int) -> None:
        """Advance the clock by ``d_ns`` nanoseconds; see ``advance``."""
        if d_ns < 0:
            raise ValueError(f"d_ns: got {d_ns}, allowed an integer of at least 0")
        while True:
            with self._lock:
                callback, step_ns = self._next_due(d_ns)
                super().advance_ns(step_ns)
            if callback is None:
                return
            d_ns -= step_ns
            callback()

    def set_ns(self, shown_ns: int) -> None:
        """Set the time to ``shown_ns`` nanoseconds; see ``set``."""
        with self._lock:
            ahead_ns = shown_ns - self.shown_ns()
            if ahead_ns <= 0:
                super().set_ns(shown_ns)
                return
        self.advance_ns(ahead_ns)

    def call_at_ns(self, deadline_ns: int, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` when policy time reaches ``deadline_ns``, or now if it has passed.

        The callback runs in the thread that advances the clock, outside the lock of the clock.

        Returns:
            A function that cancels the callback. It never blocks and may be called repeatedly.
        """
        with self._lock:
            if self.now_ns() < deadline_ns:
                serial = next(self._serials)
                self._callbacks[serial] = callback
                self._forget_cancelled()
                heappush(self._timers, (deadline_ns, serial))
                return _Cancel(self._callbacks, serial)
        callback()
        return _nothing

    def next_due_ns(self) -> int | None:
        """Return the end of the earliest wait, or None if there are no waits."""
        with self._lock:
            due = [at_ns for at_ns, serial in self._timers if serial in self._callbacks]
        return min(due, default=None)

    def _next_due(self, within_ns: int) -> tuple[Callable[[], object] | None, int]:
        """Take the next timer due within a time; return its callback and the time till then."""
        now_ns = self.now_ns()
        while self._timers:
            deadline_ns, serial = heappop(self._timers)
            if deadline_ns - now_ns > within_ns:
                heappush(self._timers, (deadline_ns, serial))
                break
            callback = self._callbacks.pop(serial, None)
            if callback is not None:
                return callback, max(0, deadline_ns - now_ns)
        return None, within_ns

    def _forget_cancelled(self) -> None:
        """Keep the heap no longer than twice the timers there are: most waits end before time."""
        if len(self._timers) > 64 + 2 * len(self._callbacks):
            self._timers = [timer for timer in self._timers if timer[1] in self._callbacks]
            heapify(self._timers)

    if not TYPE_CHECKING:  # or a type checker would accept every name

        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):  # what tools look for: raises the plain error
                return object.__getattribute__(self, name)
            from holdfast.hints import missing_attribute

            raise missing_attribute(self, type(self), name)

    def __repr__(self) -> str:
        return f"ManualClock({self.now()!r}, auto={self.auto})"


system_clock = SystemClock()


_default: Clock = system_clock


def replace_default_clock(clock: Clock) -> Clock:
    """Set the clock of policies that are created without one; return the previous clock."""
    global _default
    before, _default = _default, clock
    return before


def read_clock(problems: Problems, value: Clock | None) -> Clock:
    """Return the clock that a policy was given; for None, the default clock."""
    if value is None:
        return _default
    checked = problems.instance("clock", value, Clock, "a SystemClock or a ManualClock")
    return _default if checked is None else checked


class _Cancel:
    """Cancels a timer; no function, since what the collector has emptied may not be called."""

    __slots__ = ("_callbacks", "_serial")

    def __init__(self, callbacks: dict[int, Callable[[], object]], serial: int) -> None:
        self._callbacks = callbacks
        self._serial = serial

    def __call__(self) -> None:
        self._callbacks.pop(self._serial, None)


def _nothing() -> None:
    """Cancel a timer that has fired."""
