"""Timeout: a fault whose calls take long, and then time out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.errors import InjectedTimeoutError
from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Timeout"]


class Timeout(Fault):
    """Waits, and then raises a TimeoutError, in place of the calls that it strikes.

    The wait ends early at the deadline of an enclosing ``holdfast.Timeout`` and by cancellation.
    When chaos is disabled meanwhile, the function runs.

    Args:
        after: How long the wait is, in seconds.
        name: For messages, metrics and the registry; None uses "timeout".
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

    >>> Timeout(5, probability=0.01).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_after",)

    def __init__(
        self,
        after: float | timedelta = 5.0,
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
        self._after: Any = after
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
        problems.duration("after", self._after)
        return {"after": self._after}

    def inject(self, injection: Injection) -> None:  # noqa: ARG002 - every injection is the same
        """Wait in this thread, and raise."""
        if self.sleep(self._after):
            raise InjectedTimeoutError

    async def ainject(self, injection: Injection) -> None:  # noqa: ARG002
        """Wait in this task, and raise."""
        if await self.asleep(self._after):
            raise InjectedTimeoutError
