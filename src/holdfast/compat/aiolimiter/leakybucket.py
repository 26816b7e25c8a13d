"""``AsyncLimiter``: acquire capacity, and wait for it in this task."""

from __future__ import annotations

import os
import sys
import time
import warnings
from _thread import get_ident
from contextlib import AbstractAsyncContextManager

from holdfast.compat.aiolimiter.bucket import Bucket, LoopTime, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["LIMITER_REUSED_ACROSS_LOOPS_WARNING", "AsyncLimiter"]

LIMITER_REUSED_ACROSS_LOOPS_WARNING = (
    "This AsyncLimiter instance is being re-used across loops. Its level stays, and no capacity "
    "is lost; tasks of the closed loop are no longer served."
)

_HERE = os.path.dirname(__file__)
_monotonic = time.monotonic


class _Done:
    """To await what is done."""

    __slots__ = ()
    __await__ = ().__iter__  # a fresh one each time, and empty


_DONE: Any = _Done()


class AsyncLimiter(AbstractAsyncContextManager[None]):
    """A leaky bucket that limits how often tasks go on: ``async with limiter:``.

    Up to ``max_rate`` acquisitions go on at once; after that the capacity returns evenly, all of it
    within ``time_period``. Who asks for less capacity is served first, then who came first. Waiting
    tasks get their capacity from whoever looks when it is there: nobody who comes later can take
    it from them, and a cancelled task gives it back.

    Args:
        max_rate: Capacity, above 0. A rate above 268,435,455 counts as that.
        time_period: Seconds in which it returns, from a microsecond to 100 years.

    Raises:
        ConfigError: A number is out of its range.
        ZeroDivisionError: ``time_period`` is 0.

    Safe to share between threads and event loops. ``policy`` is the rate limiter behind it, named
    after the module that makes the object; limiters of one module count under one name.

    >>> limiter = AsyncLimiter(2, 60)
    >>> limiter.has_capacity(2), limiter.has_capacity(3)
    (True, False)
    """

    __slots__ = ("_cell", "_now_ns", "_time", "policy")

    policy: Bucket  #: The rate limiter behind it.

    def __init__(self, max_rate: float, time_period: float = 60) -> None:
        if time_period == 0:
            raise ZeroDivisionError("AsyncLimiter: time_period=0 must be above 0 seconds")
        check(max_rate, time_period)
        maker = sys._getframe(1).f_globals.get("__name__")  # pyright: ignore[reportPrivateUsage]
        name = maker if isinstance(maker, str) else __name__
        self.policy = Bucket(name, max_rate, time_period)
        self._cell = self.policy._kernels[0]
        its = self.policy.time
        self._now_ns = its.now_ns
        self._time = its if isinstance(its, LoopTime) else None

    @property
    def max_rate(self) -> float:
        """The capacity; a new value holds at once, and what there is stays, up to it."""
        return self.policy.max_rate

    @max_rate.setter
    def max_rate(self, value: float) -> None:
        check(value, self.policy.time_period)
        self.policy.resize(rate=value)

    @property
    def time_period(self) -> float:
        """Seconds in which the capacity returns; a new value holds at once."""
        return self.policy.time_period

    @time_period.setter
    def time_period(self, value: float) -> None:
        check(self.policy.max_rate, value)
        self.policy.resize(per=value)

    def has_capacity(self, amount: float = 1) -> bool:
        """Return whether there is capacity for ``amount`` now. Takes nothing.

        Args:
            amount: Capacity, any number; more than ``max_rate`` never fits.
        """
        policy = self.policy
        if not policy.enforces or amount <= 0:
            return True
        if not amount <= policy.max_rate:
            return False
        n, now_ns = policy.units(amount), self._now_ns()
        if self._time is not None and self._time.has_news:
            self._tell_of_reuse()
        wait_ns: int | None = self._cell.wait_ns(n, now_ns)
        return wait_ns == 0

    async def acquire(self, amount: float = 1) -> None:
        """Acquire capacity, and wait for it in this task if necessary.

        A cancelled task takes nothing.

        Args:
            amount: Capacity, from 0 to ``max_rate``.

        Raises:
            ValueError: ``amount`` is out of its range, or comes to be as ``max_rate`` is changed.
        """
        policy = self.policy
        if not 0 <= amount <= policy.max_rate:
            raise self._out_of_range(amount)
        if type(amount) is int and amount > 0 and self._takes_at_once(amount):
            return
        n = policy.units(amount)
        if n == 0:
            return
        if not policy.enforces:
            policy._try_take(n)
            return
        now_ns = self._now_ns()
        if self._time is not None and self._time.has_news:
            self._tell_of_reuse()
        line = policy._queue
        if line is None or line.is_empty:
            cell = self._cell
            if cell.wait_ns(n, now_ns) == 0 and cell.try_take(n, now_ns):
                return
        if not await policy.wait_for(n):
            raise self._out_of_range(amount)

    if TYPE_CHECKING:

        async def __aenter__(self) -> None: ...
        async def __aexit__(
            self,
            exc_type: type[BaseException] | None,
            exc: BaseException | None,
            tb: TracebackType | None,
        ) -> None: ...

    else:

        def __aenter__(self) -> Awaitable[None]:
            # A subclass, or a test, may have put another acquire() in place of this one.
            if type(self).acquire is _acquire and self._takes_at_once(1):
                return _DONE
            return self.acquire()

        def __aexit__(self, exc_type: object, exc: object, tb: object) -> Awaitable[None]:
            return _DONE  # capacity returns with time

    def _takes_at_once(self, n: int) -> bool:
        """Take ``n`` whole tokens if they are there, in a loop that goes by the machine's clock.

        False proves nothing. On Python 3.11 it takes a system call to ask which loop runs here.
        """
        its, policy = self._time, self.policy
        return (
            its is not None
            and policy.is_plain
            and (loop := its.same) is not None
            and loop._thread_id == get_ident()  # it is what runs here
            # A test may have put another time in place of the loop's.
            and time.monotonic is _monotonic
            and "time" not in loop.__dict__
            and ((line := policy._queue) is None or line.is_empty)
            and policy._wait_ns(n) == 0
            and policy._try_take(n)
        )

    def _out_of_range(self, amount: float) -> ValueError:
        return ValueError(
            "Amount must be a number between 0 and the maximum capacity, "
            f"{self.policy.max_rate!r}, not {amount!r}"
        )

    def _tell_of_reuse(self) -> None:
        """Warn, as aiolimiter does, that the loop of this limiter was closed and it has another."""
        assert self._time is not None
        self._time.has_news = False
        if sys.version_info >= (3, 12):
            warnings.warn(
                LIMITER_REUSED_ACROSS_LOOPS_WARNING, RuntimeWarning, skip_file_prefixes=(_HERE,)
            )
        else:
            warnings.warn(LIMITER_REUSED_ACROSS_LOOPS_WARNING, RuntimeWarning, stacklevel=3)

    # A copy is the same limiter, or it would double the rate; one that is unpickled begins anew.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.policy.max_rate, self.policy.time_period)

    def __repr__(self) -> str:
        level = float(self.policy.level(self._now_ns()))
        waiters = self.policy.waiters
        args = f"max_rate={self.policy.max_rate!r}, time_period={self.policy.time_period!r}"
        return f"<AsyncLimiter({args}) at {id(self):#x} [level: {level:f}, waiters: {waiters}]>"


_acquire = AsyncLimiter.acquire
