"""AdaptiveTimeout: a timeout whose duration follows what calls take, within bounds.

Owns the settings and the face; the rule is ``hf_adaptive_timeout.h``, which calls are samples
``csrc/python/step_timeout.c``.
"""

from __future__ import annotations

from holdfast._native.adaptive_timeout import AdaptiveTimeout as Kernel
from holdfast.policies.base import settings_of
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
    """A timeout that follows the latency: ``multiplier`` times a quantile of the durations.

    After ten calls, each further call moves the timeout half of the way up to its target, or a
    tenth of the way down. Results and failures are samples. A call that timed out is a sample of
    at least its timeout, so a timeout that is too short grows. Cancelled and rejected calls, and
    calls that an outer timeout has ended, are not samples. In all other respects it is a
    ``Timeout``.

    Args:
        duration: The initial duration in seconds; ``floor`` and ``ceiling`` are relative to it.
        floor: The lowest duration, as a share of ``duration``, above 0 to 1.
        ceiling: The highest duration, as a multiple of ``duration``, 1 to 100; at most a hundred
            years.
        multiplier: The ratio of the timeout to the quantile, above 1 to 1000.
        quantile: The quantile of the durations, 0.5 to 0.999.
        name: For messages, metrics and the registry. A policy without a name is not registered.
        thread: Run synchronous calls in a worker thread; see ``Timeout``.
        workers: The number of worker threads with ``thread=True``, 1 to 10,000.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off". In observe mode the duration still follows the
            latency.
        shared: Return the existing shared timeout of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. It stores an estimate of the quantile, and no
    samples.

    >>> timeout = AdaptiveTimeout(30, floor=0.1)
    >>> timeout.call(len, "ok"), timeout.duration
    (2, 30.0)
    """

    __slots__ = ("_adaptive", "_shares")

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
        made: list[Kernel] = []

        def adapts(ns: int) -> Kernel:
            made.append(Kernel(ns, *_limits_ns(ns, floor, ceiling), multiplier, quantile))
            return made[0]

        common = self._set_up(
            problems, duration, name, thread, workers, clock, mode, shared, adapts
        )
        (self._adaptive,) = made
        self._shares = (floor, ceiling)
        self._keep(
            floor=floor,
            ceiling=ceiling,
            multiplier=multiplier,
            quantile=quantile,
            **common,
        )

    _setting_names = settings_of(__init__)

    @property
    def duration(self) -> float:
        """Seconds that a call may take if it starts now."""
        return self._adaptive.timeout_ns() / 1e9

    def resize(self, duration: float | timedelta) -> None:
        """Set a new duration, which also changes the floor and the ceiling.

        The durations measured so far then adapt it further.

        Raises:
            ConfigError: ``duration`` is not a duration from a microsecond to a hundred years.
        """
        super().resize(duration)
        ns = self._kernel.duration_ns()
        self._adaptive.resize(ns, *_limits_ns(ns, *self._shares))

    def snapshot(self) -> AdaptiveTimeoutSnapshot:
        """Return the current duration, counts and latencies."""
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
        """Return to the configured duration. The measured durations then adapt it further."""
        self._adaptive.set_timeout_ns(self._kernel.duration_ns())


def _limits_ns(ns: int, floor: float, ceiling: float) -> tuple[int, int]:
    return max(1, min(ns, round(ns * floor))), min(MAX_NS, max(ns, round(ns * ceiling)))
