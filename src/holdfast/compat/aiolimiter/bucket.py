"""The token bucket behind an ``AsyncLimiter``: a rate limiter that goes by the time of the loop.

Owns the unit in which tokens are counted, and the time. Elsewhere: the face (``leakybucket``), and
who waits (``waiting.least_line``).
"""

from __future__ import annotations

from _thread import get_ident
from asyncio import BaseEventLoop
from asyncio import _get_running_loop as _running_loop
from functools import partial
from math import ceil, floor, isfinite
from weakref import WeakSet

import holdfast.waiting.aio  # noqa: F401 - not at the first wait: no file may be left then
from holdfast.clock import ManualClock
from holdfast.policies.limiter.limiter import RateLimiter
from holdfast.policies.limiter.rates import (
    LEAST_PER_NS,
    MAX_BURST,
    Rate,
    exact_rate,
    read_per,
    read_rate,
)
from holdfast.validation import MAX_NS, Problems
from holdfast.waiting.least_line import LeastFirstLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from datetime import timedelta
    from fractions import Fraction
    from typing import Any

    from holdfast.clock import Clock

__all__ = ["Bucket", "LoopTime", "check"]

NEAR_NS = 10_000_000  # how far apart two readings of one clock may be, on a busy machine
PARTS = 1_000_000  # of a token, once fractions of one are asked for


class LoopTime:
    """The time of the running event loop, on the scale of a clock: it never goes backwards.

    A loop may have a time of its own, in a test say, and another loop another. What passed in one
    loop has passed in all.

    Attributes:
        has_news: Whether a loop came after another was closed; for whoever tells of it to unset.
        same: The loop that was looked at last, if it is asyncio's and its time is that of the
            clock; else None.
        thread: The thread in which a loop was looked at last.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_at", "_clock", "_known", "_last_ns", "has_news", "same", "thread")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.has_news = False
        self.same: Any = None
        self.thread = 0
        self._known: WeakSet[AbstractEventLoop] | None = None  # once there is more than one
        self._at: tuple[AbstractEventLoop | None, int] = (None, 0)  # and its offset
        self._last_ns = clock.now_ns()

    def now_ns(self) -> int:
        """Return the time in nanoseconds; outside event loops that of the clock."""
        seen, offset_ns = self._at
        # Who runs in a thread is asked last: on Python 3.11 that takes a system call.
        if seen is not None and self.thread == get_ident() and seen.is_running():
            loop: AbstractEventLoop | None = seen
        else:
            loop = _running_loop()
        if loop is None:
            ns = self._clock.now_ns()
        elif loop is seen:
            ns = int(loop.time() * 1e9) + offset_ns
        else:
            ns = self._adopt(loop, seen)
        if ns < self._last_ns:  # trap 20: a clock that is set back
            ns = self._last_ns
            if loop is not None:
                self._at = loop, ns - int(loop.time() * 1e9)
        self._last_ns = ns
        return ns

    def _adopt(self, loop: AbstractEventLoop, seen: AbstractEventLoop | None) -> int:
        if seen is not None:
            if self._known is None:
                self._known = WeakSet((seen,))
            self.has_news = self.has_news or (seen.is_closed() and loop not in self._known)
            self._known.add(loop)
        ns = max(self._last_ns, self._clock.now_ns())
        offset_ns = ns - int(loop.time() * 1e9)
        self._at = loop, offset_ns
        self.thread = get_ident()
        self.same = loop if abs(offset_ns) < NEAR_NS and _is_of_machine(loop) else None
        return ns


class Bucket(RateLimiter):
    """A rate limiter that waits in the order of aiolimiter, by the time of the event loop.

    Tokens are whole as long as nobody asks for a part of one. Then they are counted in millionths
    or, at high rates, in the smallest part that the kernel can count; whoever takes by hand takes
    such parts from there on.

    Attributes:
        max_rate, time_period: What the limiter was made with, or changed to.
        parts: In how many parts a token is counted.
        enforces: Whether anybody waits in its mode.
        is_plain: Whether tokens are whole, and whoever finds none waits.
        time: The time it goes by.

    Safe to share between threads and event loops.
    """

    __slots__ = ("enforces", "is_plain", "max_rate", "parts", "time", "time_period")

    max_rate: float
    time_period: float

    def __init__(
        self,
        name: str,
        max_rate: float,
        time_period: float,
    ) -> None:
        rate = _bounded(max_rate)
        super().__init__(name, rate=rate, per=time_period, max_wait=None)
        self.max_rate = max_rate
        self.time_period = _seconds(time_period)
        clock: Clock = self._clock
        self.enforces: bool = self._enforces
        self.parts = 1
        self.is_plain = self.enforces
        self.time: LoopTime | ManualClock = (
            clock if isinstance(clock, ManualClock) else LoopTime(clock)
        )
        if rate != int(rate):
            self.divide()

    def units(self, amount: float) -> int:
        """Return an amount, not above ``max_rate``, in tokens or parts, whichever are counted."""
        if self.parts == 1:
            if amount == int(amount):
                return min(int(amount), self._rates[0].burst)
            self.divide()
        # To the nearest: ten times a tenth is one. But something is never nothing.
        units = max(round(amount * self.parts), 1 if amount > 0 else 0)
        return min(units, self._rates[0].burst)

    async def wait_for(self, n: int) -> bool:
        """Take ``n`` tokens or parts of tokens, and wait for them in this task.

        Returns:
            False: the rate was changed to one that has never that many at once.
        """
        return await self._line.atake(n, MAX_NS)

    @property
    def waiters(self) -> int:
        """How many wait."""
        line: LeastFirstLine | None = self._queue
        return 0 if line is None else line.size

    def divide(self) -> None:
        """Count parts of tokens from here on; as many are there as before."""
        self._line.resize(self._divide)

    def resize(
        self,
        *,
        rate: float | None = None,
        per: float | timedelta | None = None,
        burst: int | None = None,
    ) -> None:
        """Change the rate; the tokens there are stay, and who waits waits at the new rate.

        Args:
            rate: The ``max_rate`` of the limiter, which is also its burst; None for no change.
            per: Its ``time_period`` in seconds; None for no change.
            burst: None.

        Raises:
            ConfigError: An argument is invalid.
        """
        rate = self.max_rate if rate is None else rate
        per = self.time_period if per is None else per
        problems = Problems("AsyncLimiter", self.name)
        if burst is not None:
            problems.refuse("burst", burst, "None: the burst of an AsyncLimiter is its rate")
        most = _bounded(rate)
        per_ns = read_per(problems, per)
        whole = read_rate(problems, most, per_ns, None, sliding=False)
        problems.done()
        if self.parts == 1 and most == int(most):
            super().resize(rate=most, per=per)
        else:
            self._change(rate=most, per=per, burst=whole.burst)
            self._line.resize(partial(self._apply, *_finest(most, per_ns)))
        self.max_rate = rate
        self.time_period = _seconds(per)

    def level(self, now_ns: int) -> Fraction:
        """Return how much capacity is taken and not back yet."""
        from fractions import Fraction

        num, den, burst = _native(self._rates[0])
        full_ns = self._kernels[0].wait_ns(burst, now_ns) or 0
        return Fraction(full_ns * num, den * self.parts)

    def _divide(self, now_ns: int) -> None:
        if self.parts == 1:  # or another thread has done it
            self._apply(*_finest(_bounded(self.max_rate), self._rates[0].per_ns), now_ns)

    def _apply(self, parts: int, rate: Rate, now_ns: int) -> None:
        """Put a rate in parts of tokens into force; as many tokens are there as before."""
        full, before = self._rates[0].burst * parts, self.level(now_ns) * parts * self.parts
        taken = max(0, rate.burst - floor((full - before) / self.parts))
        line = self._line
        assert isinstance(line, LeastFirstLine)
        line.recount(parts, self.parts)
        self.parts, self._rates = parts, (rate,)
        self.is_plain = False
        cell = self._kernels[0]
        cell.resize(*_native(rate), now_ns)
        cell.clear_but(taken, now_ns)

    if not TYPE_CHECKING:  # an attribute there

        @property
        def _line(self) -> LeastFirstLine:
            line = self._queue
            if line is None:
                line = self._once("_queue", partial(LeastFirstLine, self._kernels[0], self.time))
            return line

    @property
    def available(self) -> int:
        """Whole tokens that are available now."""
        return super().available // self.parts

    def _shown(self) -> dict[str, Any]:
        rate = self._rates[0]
        return {
            **super()._shown(),
            "rate": rate.per_second / self.parts,
            "burst": ceil(rate.burst / self.parts),
        }

    def _in_words(self) -> str:
        return f"{self.max_rate:g} in {self.time_period:g} s, {self.available} left"


def check(max_rate: Any, time_period: Any) -> None:
    """Refuse what is no rate, under the names that an ``AsyncLimiter`` has for it.

    Raises:
        ConfigError: A number is out of its range.
    """
    problems = Problems("AsyncLimiter")
    problems.number("max_rate", _bounded(max_rate), above=0.0, most=MAX_BURST)
    problems.duration("time_period", time_period, least_ns=LEAST_PER_NS)
    problems.done()


def _seconds(period: float | timedelta) -> float:
    return period if isinstance(period, (int, float)) else period.total_seconds()


def _bounded(max_rate: Any) -> Any:
    """Return a rate that the kernel can count; above that is no limit that Python could reach."""
    return min(max_rate, float(MAX_BURST)) if isinstance(max_rate, (int, float)) else max_rate


def _native(rate: Rate) -> tuple[int, int, int]:
    assert rate.native is not None  # it is no sliding window
    return rate.native


def _finest(max_rate: float, per_ns: int) -> tuple[int, Rate]:
    """Return into how many parts a token can be divided at a rate, and the rate in such parts."""
    parts = PARTS
    while parts > 1 and max_rate * parts > min(per_ns, 2**53):
        parts //= 10
    tokens = max_rate * parts
    burst = max(1, int(round(tokens, 6)) if isfinite(tokens) else MAX_BURST)
    problems = Problems("AsyncLimiter")
    native = exact_rate(problems, tokens, per_ns, burst, "max_rate")
    problems.done()
    return parts, Rate(tokens, per_ns, burst, None, native)


def _is_of_machine(loop: AbstractEventLoop) -> bool:
    """Whether a loop is asyncio's own and its time, as far as its class says, the machine's."""
    return type(loop).time is BaseEventLoop.time and hasattr(loop, "_thread_id")
