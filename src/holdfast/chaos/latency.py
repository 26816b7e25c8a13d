"""Latency: a fault that makes calls slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Latency"]

USUAL_MOST_NS = 200_000_000


class Latency(Fault):
    """Delays the calls that it strikes; then the function runs.

    Each delay is uniform between two bounds. It ends early at the deadline of an enclosing
    ``Timeout``, by cancellation, and when chaos is disabled.

    Args:
        min: The shortest delay, in seconds.
        max: The longest delay, in seconds; at least ``min``. None means 0.2, or ``min`` if that
            is longer.
        name: For messages, metrics and the registry; None uses "latency".
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

    >>> Latency(0.05, 0.2, probability=0.1).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_span",)

    def __init__(
        self,
        min: float | timedelta = 0.05,  # noqa: A002 - the name of the setting, in seconds
        max: float | timedelta | None = None,  # noqa: A002
        *,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._span: tuple[Any, Any] = (min, max)
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
        least, most = self._span
        least_ns = problems.duration("min", least)
        if most is None:
            most = least if least_ns > USUAL_MOST_NS else USUAL_MOST_NS / 1e9
        most_ns = problems.duration("max", most)
        if most_ns < least_ns:
            problems.refuse("max", most, f"at least min, {least_ns / 1e9:g}, as in Latency(0.5, 2)")
        self._span = least_ns / 1e9, most_ns / 1e9
        return {"min": least, "max": most}

    def inject(self, injection: Injection) -> None:
        """Wait in this thread."""
        self.sleep(injection.uniform(*self._span))

    async def ainject(self, injection: Injection) -> None:
        """Wait in this task."""
        await self.asleep(injection.uniform(*self._span))
