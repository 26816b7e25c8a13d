"""Memory: a fault that takes memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.fault import PROBABILITY
from holdfast.chaos.lasting import LASTS, Lasting, read_share
from holdfast.chaos.space import MemoryEffect
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Memory"]


class Memory(Lasting):
    """Takes memory of this process for some time; the calls go on.

    It grows in a thread, as a leak does, and stops before the memory of others runs short.

    Args:
        size: How many bytes it takes; None takes as many as ``share`` allows.
        share: The largest share of the free memory that is taken, above 0 to 1. None is 0.5, and
            needs a ``size``.
        lasts: How long the effect lasts, in seconds, up to one day. A call that is struck meanwhile
            changes nothing.
        name: For messages, metrics and the registry; None uses "memory".
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

    >>> Memory(256 * 2**20, lasts=5, probability=0.01).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ()

    def __init__(
        self,
        size: int | None = None,
        *,
        share: float | None = None,
        lasts: float | timedelta = LASTS,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._given: tuple[Any, ...] = (size, share, lasts)
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
        size, share, lasts = self._given
        self._given = read_share(problems, size, share)
        self._read_lasts(problems, lasts)
        return {"size": size, "share": share, "lasts": lasts}

    def _made(self, clock: Clock) -> MemoryEffect:
        size, share = self._given
        return MemoryEffect(size, share, clock)

    _effect: MemoryEffect | None

    @property
    def held(self) -> int:
        """How many bytes the fault holds at this moment."""
        return 0 if self._effect is None else self._effect.held
