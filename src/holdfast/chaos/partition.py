"""A network partition: for a limited time, calls do not reach what they call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast._native.chaos import unit
from holdfast.chaos.effect import Effect
from holdfast.chaos.errors import InjectedPartitionError
from holdfast.chaos.fault import PROBABILITY
from holdfast.chaos.lasting import LASTS, Lasting
from holdfast.policies.base import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.validation import Problems

__all__ = ["Partition", "PartitionEffect"]


class Partition(Lasting):
    """Cuts off what the calls call for some time: all calls that pass the fault fail meanwhile.

    A fault in several pipelines cuts off all of them.

    Args:
        lasts: How long a partition lasts, in seconds, up to one day.
        hang: Whether a call waits for the end of the partition before it fails. The deadline of an
            enclosing ``Timeout`` ends the wait. False: the call fails immediately.
        on_partition: Called without arguments when a partition begins, before the first call fails.
        on_recover: Called without arguments when the partition ends, also without any call.
        name: For messages, metrics and the registry; None uses "partition".
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

    >>> Partition(5, probability=0.01).call(len, "ok")  # chaos is disabled
    2
    """

    __slots__ = ("_hangs",)

    def __init__(
        self,
        lasts: float | timedelta = LASTS,
        *,
        hang: bool = False,
        on_partition: Callable[[], object] | None = None,
        on_recover: Callable[[], object] | None = None,
        name: str | None = None,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._given: tuple[Any, ...] = (lasts, hang, on_partition, on_recover)
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
        lasts, hang, on_partition, on_recover = self._given
        self._hangs = problems.flag("hang", hang)
        problems.callable("on_partition", on_partition)
        problems.callable("on_recover", on_recover)
        self._read_lasts(problems, lasts)
        return {
            "lasts": lasts,
            "hang": hang,
            "on_partition": on_partition,
            "on_recover": on_recover,
        }

    def _made(self, clock: Clock) -> PartitionEffect:
        _, _, on_partition, on_recover = self._given
        return PartitionEffect(on_partition, on_recover, clock)

    def inject(self, injection: Injection) -> None:
        """Begin a partition, unless one lasts, and fail the call."""
        left = self._begun(injection)
        # Not if chaos was disabled meanwhile; its own end is an end of the partition.
        if left is not None and (not self._hangs or self.sleep(left) or not self._is_idle()):
            raise InjectedPartitionError

    async def ainject(self, injection: Injection) -> None:
        """Do in a task what ``inject`` does in a thread."""
        left = self._begun(injection)
        if left is not None and (not self._hangs or await self.asleep(left) or not self._is_idle()):
            raise InjectedPartitionError

    def _begun(self, injection: Injection) -> float | None:
        """Return how many seconds of a partition are left; None: none could begin."""
        effect = self._effect
        if effect is None:
            return None
        if not effect.is_on and self._begins(injection):
            why = f"call {injection.number}, seed {injection.seed}"
            if not (self._start(self._lasts_ns, why) or effect.is_on):
                return None
        return effect.left_ns() / 1e9

    def _begins(self, injection: Injection) -> bool:
        """Return whether a call begins a partition; else it came just before the end of one."""
        if injection.fault is not self:
            return True
        return unit(injection.seed, injection.number, 0) < self.probability

    def _started(self, lasts_ns: int) -> None:
        now_ns = self._clock.now_ns()
        self._kernel.begin_episode(now_ns, now_ns + lasts_ns)


class PartitionEffect(Effect):
    """Is on during a partition, and calls back at its beginning and at its end.

    Args:
        on_partition: Called without arguments by the thread that starts the effect.
        on_recover: Called without arguments at the end, by the thread that ends the effect or by
            the one that waits for its time.
        clock: Its source of time.
    """

    __slots__ = ("_on_partition", "_on_recover")

    _threads = 0
    _in_system_threads = False  # callbacks of an application with greenlets may need its hub

    def __init__(
        self,
        on_partition: Callable[[], object] | None,
        on_recover: Callable[[], object] | None,
        clock: Clock,
    ) -> None:
        super().__init__(clock)
        self._on_partition = on_partition
        self._on_recover = on_recover

    def _begin(self) -> None:
        _tell(self._on_partition)

    def _finished(self) -> None:
        _tell(self._on_recover)


def _tell(callback: Callable[[], object] | None) -> None:
    if callback is None:
        return
    try:
        callback()
    except Exception:  # the partition goes on, or ends, all the same
        from logging import getLogger

        getLogger("holdfast.chaos").exception("a callback of a partition raised")
