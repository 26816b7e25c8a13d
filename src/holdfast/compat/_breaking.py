"""What the faces of circuit breakers share: the native breaker behind them.

Elsewhere: names, arguments and listeners of each library (the faces).
"""

from __future__ import annotations

import sys
from math import ceil, isnan

from holdfast.errors import Rejected
from holdfast.policies.breaker.breaker import CircuitBreaker, load_what_openings_need
from holdfast.policies.breaker.rules import MAX_THRESHOLD
from holdfast.policies.breaker.state import STATES, State
from holdfast.validation import MAX_NS, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import FrameType
    from typing import Any

    from holdfast.errors import CircuitOpenError

    Wanted = Callable[[BaseException], bool]
    Moved = Callable[[State, State, str, BaseException | None], BaseException | None]

__all__ = ["FaceBreaker", "label", "maker", "place_of", "seconds", "threshold"]

load_what_openings_need()  # the policy of a breaker may be made by its first call

_HERE = __name__.rpartition(".")[0]  # holdfast.compat
_LONGEST_NAME = 200
_LEAST_SECONDS, _MOST_SECONDS = 1e-9, MAX_NS / 1e9
_LEAST_PROBE = 0.001
_CLOSED, _OPEN = STATES.index(State.CLOSED), STATES.index(State.OPEN)
_CONSECUTIVE, _BY_HAND = "consecutive_failures", "manual"


def maker() -> str:
    """Return the module that is making an object of a face, after which nameless ones are named."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if name != _HERE and not name.startswith(f"{_HERE}."):
            return name or "unnamed"
        frame = frame.f_back
    return "unnamed"


def place_of(function: Any) -> str:
    """Return module and name of a function, which are the name of a nameless breaker."""
    inner = getattr(function, "__func__", function)
    named: str = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module: str | None = getattr(inner, "__module__", None)
    return named if module is None else f"{module}.{named}"


def label(name: object) -> str:
    """Return a name for metrics and the registry, whatever a library takes for a name."""
    text = str(name)
    if is_name(text):
        return text
    printable = "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_NAME])
    return printable or "unnamed"


def threshold(value: float) -> int:
    """Return a number of calls: originals compare a count with whatever they are given."""
    if isnan(value):
        return MAX_THRESHOLD
    return max(1, ceil(min(value, MAX_THRESHOLD)))


def seconds(value: float | timedelta) -> float:
    """Return an open time in seconds: at least a nanosecond, and what holdfast takes."""
    number: float = value if isinstance(value, (int, float)) else value.total_seconds()
    return _LEAST_SECONDS if isnan(number) else min(max(_LEAST_SECONDS, number), _MOST_SECONDS)


class FaceBreaker(CircuitBreaker):
    """The native breaker behind the face of another library.

    One probe at a time, one success closes. A probe that never ends makes room for another after
    the open time. Each exception is put to ``wanted``, also a rejection by another policy.

    Args:
        name: Any name.
        failure_threshold: Consecutive failures that open it; less than 1 is 1.
        reset_timeout: Seconds, or a timedelta, that it stays open; less than 0 is next to 0.
        rejection: The class of its rejections, which users of the library catch.
        wanted: Called with each exception of a call; true means a failure, else it is a success.
        success_threshold: Successful probes that close it.
        half_open_max_calls: Probes at a time, 1 to 32.
        face: What users hold, for the rejections.
        moved: Called after each change of state, before any listener, with the old state, the new
            state, the rule and the exception of the call that has caused it, or None. What it
            returns, if not None, the caller gets in place of that exception.

    Attributes:
        face: As given.
        failures: Failures in a row that opened it, with those of probes since; 0 once it closes.
        until_ns: When its last opening ends or ended, in its clock's time; before the first
            opening, what one at its making would have.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_moved", "_rejects_with", "face", "failures", "until_ns")

    face: Any
    failures: int
    until_ns: int

    def __init__(
        self,
        name: object,
        *,
        failure_threshold: float,
        reset_timeout: float | timedelta,
        rejection: type[CircuitOpenError],
        wanted: Wanted,
        success_threshold: float = 1,
        half_open_max_calls: int = 1,
        face: Any = None,
        moved: Moved | None = None,
    ) -> None:
        self._rejects_with = rejection
        self._moved = moved
        self.face = face
        self.failures = 0
        open_time = seconds(reset_timeout)
        super().__init__(
            label(name),
            failure_threshold=threshold(failure_threshold),
            reset_timeout=open_time,
            success_threshold=threshold(success_threshold),
            half_open_max_calls=half_open_max_calls,
            probe_timeout=max(open_time, _LEAST_PROBE),
            on=wanted,
        )
        self.until_ns = self._clock.now_ns() + int(open_time * 1e9)

    def _bind(
        self,
        kind: str,
        kernels: tuple[Any, ...],
        clock: object,
        name: str | None,
        mode: int,
        rejection: type[Rejected],  # noqa: ARG002
        **equipment: Any,
    ) -> None:
        """Bind it with the rejections of the library, and all exceptions to be judged."""
        equipment |= {"on": (Exception, Rejected), "calls_coroutines": True}
        super()._bind(kind, kernels, clock, name, mode, self._rejects_with, **equipment)

    @property
    def consecutive_failures(self) -> int:
        """Failures in a row; of an open or half-open one those that opened it, and of probes."""
        if self._kernel.state() == _CLOSED:
            run: int = self._kernel.consecutive()
            return run
        return self.failures

    @property
    def left_ns(self) -> int:
        """Nanoseconds until the last opening ends; negative since it has ended."""
        now_ns: int = self._clock.now_ns()
        return self.until_ns - now_ns

    @property
    def is_due(self) -> bool:
        """Whether it is open, and the next call will be a probe."""
        kernel = self._kernel
        return kernel.state() == _OPEN and kernel.retry_after_ns(self._clock.now_ns()) == 0

    def trip(self) -> None:
        """Open it, as failures would. The failures in a row so far stay known."""
        self.failures = self.consecutive_failures
        super().trip()
        self._opened()

    def half_open(self) -> None:
        """Make it half-open. The failures in a row so far stay known."""
        self.failures = self.consecutive_failures
        super().half_open()

    def _opened(self) -> None:
        now_ns = self._clock.now_ns()
        self.until_ns = now_ns + self._kernel.retry_after_ns(now_ns)

    def _changed(
        self,
        old: int,
        new: int,
        generation: int,
        rule: int,
        count: int,
        calls: int,
        error: BaseException | None = None,
        *what: Any,
        **why: Any,
    ) -> Any:
        from holdfast.policies.breaker.breaker import RULES

        word = RULES[rule]
        if new == _OPEN and word != _BY_HAND:
            self.failures = count if word == _CONSECUTIVE else self.failures + 1
            self._opened()
        elif new == _CLOSED:
            self.failures = 0
        try:
            moved = self._moved
            return None if moved is None else moved(STATES[old], STATES[new], word, error)
        finally:
            super()._changed(old, new, generation, rule, count, calls, error, *what, **why)
