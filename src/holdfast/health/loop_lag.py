"""LoopLagCheck: how long an event loop takes to get to a callback."""

from __future__ import annotations

from holdfast.clock import system_clock
from holdfast.health.check import Check
from holdfast.health.result import CheckResult
from holdfast.validation import explains_names
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["LoopLagCheck"]

_LEAST_NS = 1_000_000


class LoopLagCheck(Check):
    """Measures, from a thread, how long an event loop takes until it calls a callback.

    A loop is late if a task or callback computes or blocks instead of awaiting. Then everything
    else in the loop is late by as much. In a monitor that the same loop runs, a run that begins
    late is evidence as well. In the thread of the loop
    itself, ``run`` proves nothing, and ``await arun()`` uses another thread.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        loop: The event loop; None: the one that runs where the check is made.
        degraded_after: Seconds; if the loop takes longer, the check is degraded.
        failed_after: Seconds; if the loop takes longer, the check fails, and does not wait longer.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without what is checked.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads and monitors.

    >>> import asyncio
    >>> async def main():
    ...     return await LoopLagCheck("loop", failed_after=60).arun()
    >>> asyncio.run(main()).verdict in ("passed", "degraded")
    True
    """

    __slots__ = ("_degraded_ns", "_failed_ns", "_given", "_loop")

    measures_self = True

    @explains_names
    def __init__(
        self,
        name: str,
        loop: AbstractEventLoop | None = None,
        degraded_after: float | timedelta = 0.1,
        failed_after: float | timedelta = 1.0,
        *,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._loop: Any = loop
        self._given: tuple[Any, Any] = (degraded_after, failed_after)
        super().__init__(
            name,
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start_period,
            jitter=jitter,
            critical=critical,
            liveness=liveness,
        )

    def _checked(self, problems: Problems) -> None:
        from asyncio import _get_running_loop

        loop = _get_running_loop() if self._loop is None else self._loop
        if not callable(getattr(loop, "call_soon_threadsafe", None)):
            problems.refuse("loop", loop, "an event loop; None only where one runs")
        self._loop = loop
        self._degraded_ns, self._failed_ns = read_limits(problems, *self._given)

    @property
    def loop(self) -> AbstractEventLoop:
        """The event loop."""
        loop: AbstractEventLoop = self._loop
        return loop

    @property
    def degraded_after(self) -> float:
        """Seconds; if the loop takes longer, the check is degraded."""
        return self._degraded_ns / 1e9

    @property
    def failed_after(self) -> float:
        """Seconds; if the loop takes longer, the check fails."""
        return self._failed_ns / 1e9

    def probe(self) -> CheckResult:
        """Have the loop call a callback, and measure how long that takes."""
        from asyncio import _get_running_loop

        from holdfast.health.rounds import lateness_here

        late_ns = lateness_here(self._loop)
        if _get_running_loop() is self._loop:
            return CheckResult("unproven", "a loop cannot be measured in its own thread")
        waiter = ThreadWaiter()
        answered: list[int] = []

        def answer() -> None:
            answered.append(system_clock.now_ns())
            waiter.wake()

        limit_ns = min(self._failed_ns + 1, round(self.time_left() * 1e9))
        began_ns = system_clock.now_ns()
        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:
            return CheckResult("failed", "the event loop is closed")
        waiter.park(system_clock, limit_ns)
        is_late = not answered
        lag_ns = (system_clock.now_ns() if is_late else answered[0]) - began_ns
        how = "has not answered for" if is_late else "answered after"
        if late_ns > lag_ns:
            lag_ns, how = late_ns, "was late by"
        text = f"the event loop {how} {lag_ns / 1e9:.3f} s"
        details: dict[str, object] = {"lag_seconds": lag_ns / 1e9}
        if lag_ns > self._failed_ns:
            return CheckResult("failed", text, details)
        if lag_ns > self._degraded_ns:
            return CheckResult("degraded", text, details)
        return CheckResult("unproven" if is_late else "passed", text if is_late else "", details)


def read_limits(problems: Problems, degraded_after: Any, failed_after: Any) -> tuple[int, int]:
    """Check after which time a check is degraded, and after which it fails; in nanoseconds."""
    degraded_ns = problems.duration("degraded_after", degraded_after, least_ns=_LEAST_NS)
    failed_ns = problems.duration("failed_after", failed_after, least_ns=_LEAST_NS)
    if degraded_ns > failed_ns:
        allowed = f"at most failed_after, which is {failed_ns / 1e9:g}"
        problems.refuse("degraded_after", degraded_after, allowed)
    return degraded_ns, failed_ns
