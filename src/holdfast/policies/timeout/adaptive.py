"""AdaptiveTimeout: a timeout whose duration follows what calls take, within bounds.

Owns the settings and the face; the rule is ``hf_adaptive_timeout.h``, which calls are samples
``csrc/python/step_timeout.c``.
"""

from __future__ import annotations

from holdfast._native.adaptive_timeout import AdaptiveTimeout as Kernel
from holdfast.policies.timeout.timeout import Timeout
from holdfast.validation import MAX_NS, Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.timeout.snapshot import AdaptiveTimeoutSnapshot

__all__ = ["AdaptiveTimeout"]


class AdaptiveTimeout(Timeout):
    """Bounds how long a call may take by how long calls take: ``multiplier`` times a quantile.

    From the tenth call on each moves the duration half of the way up to where it should be, or a
    tenth of the way down. Results and failures are samples. A call that timed out is one of at
    least its timeout, so that one that has grown too short grows again; what was cancelled or
    refused, or cut short by a timeout around this one, is none. Otherwise it is as ``Timeout``.

    Args:
        duration: Seconds a call may take at first; what ``floor`` and ``ceiling`` are shares of.
        floor: Never less than this share of it, above 0 to 1.
        ceiling: Never more than this many times it, 1 to 100, nor than a hundred years.
        multiplier: How much longer than the quantile a call may take, above 1 to 1000.
        quantile: Of the latencies, 0.5 to 0.999.
        name: As of ``Timeout``, and so the others.
        thread: Run synchronous calls in a thread that may be left behind.
        workers: With ``thread``: how many there are, 1 to 10,000.
        clock: Where it reads the time; a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off". Observing, it follows what calls take all the same.
        shared: Return the living shared timeout of that name, if its settings are equal.

    Raises:
        ConfigError: Naming every argument that is not as it should be.

    Safe to share between threads and event loops. Rule and defaults are those of DWCP
    (requirements, 2.4) but for the floor, which is a share of what was configured, and the samples
    of timed-out calls (D-TO-1). It keeps no samples (D-TO-2).

    >>> timeout = AdaptiveTimeout(30, floor=0.1)
    >>> timeout.call(len, "ok"), timeout.duration
    (2, 30.0)
    """

    __slots__ = ("_adaptive", "_shares")

    _fields = (
        "duration",
        "floor",
        "ceiling",
        "multiplier",
        "quantile",
        "thread",
        "workers",
        "clock",
        "mode",
    )

    def __init__(
        self,
        duration: float | timedelta = 30.0,
        *,
        floor: float = 0.1,
        ceiling: float = 1.0,
        multiplier: float = 2.0,
        quantile: float = 0.95,
        name: str | None = None,
        thread: bool = False,
        workers: int = 32,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("AdaptiveTimeout", name)
        floor = problems.number("floor", floor, above=0.0, most=1.0)
        ceiling = problems.number("ceiling", ceiling, least=1.0, most=100.0)
        multiplier = problems.number("multiplier", multiplier, above=1.0, most=1000.0)
        quantile = problems.number("quantile", quantile, least=0.5, most=0.999)
        common = self._set_up(problems, duration, name, thread, workers, clock, mode, shared)
        self._shares = (floor, ceiling)
        initial_ns = self._kernel.duration_ns()
        self._adaptive = Kernel(initial_ns, *self._limits_ns(initial_ns), multiplier, quantile)
        self._equip(threads=thread, adaptive=self._adaptive)
        self._settings = (duration, floor, ceiling, multiplier, quantile, *common)

    @property
    def duration(self) -> float:
        """Seconds that a call which begins at this moment may take."""
        return self._adaptive.timeout_ns() / 1e9

    def resize(self, duration: float | timedelta) -> None:
        """Set the duration anew, and with it floor and ceiling, which are shares of it.

        What calls have taken so far moves it on from there.

        Raises:
            ConfigError: No duration from a microsecond to a hundred years.
        """
        super().resize(duration)
        ns = self._kernel.duration_ns()
        self._adaptive.resize(ns, *self._limits_ns(ns))

    def snapshot(self) -> AdaptiveTimeoutSnapshot:
        """Return its duration, counts and latencies; fields in ``AdaptiveTimeoutSnapshot``."""
        from holdfast.policies.timeout.snapshot import AdaptiveTimeoutSnapshot

        _, average_ns, quantile_ns, samples = self._adaptive.snapshot()
        floor_ns, ceiling_ns = self._adaptive.limits_ns()
        return AdaptiveTimeoutSnapshot(
            **self._shown(),
            average_latency=None if average_ns is None else average_ns / 1e9,
            quantile_latency=None if quantile_ns is None else quantile_ns / 1e9,
            samples=samples,
            floor=floor_ns / 1e9,
            ceiling=ceiling_ns / 1e9,
        )

    def reset(self) -> None:
        """Put the duration back to what was configured; what calls have taken moves it on."""
        self._adaptive.set_timeout_ns(self._kernel.duration_ns())

    def _limits_ns(self, ns: int) -> tuple[int, int]:
        floor, ceiling = self._shares
        return max(1, min(ns, round(ns * floor))), min(MAX_NS, max(ns, round(ns * ceiling)))
