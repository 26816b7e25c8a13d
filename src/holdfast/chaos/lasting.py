"""The base class of faults whose effect lasts: a call starts the effect, and time ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.chaos.effect import Effect
from holdfast.chaos.fault import PROBABILITY, Fault
from holdfast.mode import Mode
from holdfast.policies.base import settings_of
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos.fault import Injection
    from holdfast.clock import Clock

__all__ = ["LASTS", "Lasting", "read_share"]

# How long an effect lasts by default, and at most, in seconds.
LASTS = 10.0
_MOST_NS = 86_400 * 10**9


class Lasting(Fault):
    """The abstract base class of faults whose effect lasts longer than the call that starts it.

    The effect never blocks the call. It ends after ``lasts`` seconds, when chaos is disabled, and
    at the exit of the process. A forked child has no part in it.
    """

    __slots__ = ("_delays", "_effect", "_given", "_lasts_ns")

    fault_type = ""  # of no fault that a scenario can name
    _effect: Effect | None
    _delays: set[_Delay]
    _given: Any  # the settings of a subclass

    def __init__(
        self,
        name: str | None = None,
        *,
        probability: float = PROBABILITY,
        duration: float | timedelta | None = None,
        limit: int | None = None,
        seed: int | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        self._effect = None
        self._delays = set()
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
        self._effect = self._made(self._clock)

    _setting_names = settings_of(__init__)

    def _made(self, clock: Clock) -> Effect:
        """Return the effect of this fault."""
        raise NotImplementedError

    def _read_lasts(self, problems: Problems, lasts: float | timedelta) -> None:
        self._lasts_ns = problems.duration("lasts", lasts, least_ns=1, most_ns=_MOST_NS)

    @property
    def is_on(self) -> bool:
        """Whether the effect lasts at this moment."""
        return self._effect is not None and self._effect.is_on

    def inject(self, injection: Injection) -> None:
        """Start the effect, unless it lasts. The call goes on."""
        self._start(self._lasts_ns, f"call {injection.number}, seed {injection.seed}")

    def strike(self, duration: float | timedelta, *, after: float | timedelta = 0.0) -> None:
        """Start the effect without a call.

        It has no effect while chaos is disabled.

        Args:
            duration: How long the effect lasts, in seconds.
            after: How long from now it begins, in seconds.

        Raises:
            ConfigError: An argument is not a duration.
        """
        problems = Problems(f"{type(self).__name__}.strike", self.name)
        duration_ns = problems.duration("duration", duration, least_ns=1, most_ns=_MOST_NS)
        after_ns = problems.duration("after", after, most_ns=_MOST_NS)
        problems.done()
        if self._is_idle():
            return
        if after_ns == 0:
            self._strike_now(duration_ns)
            return
        delay = _Delay(self._clock, self._delays, lambda: self._strike_now(duration_ns))
        delay.start(after_ns)
        if self._is_idle():  # disabled meanwhile
            delay.stop()

    def disarmed(self) -> None:
        """End the effect."""
        for delay in list(self._delays):
            delay.stop()
        if self._effect is not None:
            self._effect.stop()

    def _strike_now(self, duration_ns: int) -> None:
        kernel = self._kernel
        if self.mode is Mode.ENFORCE and self._start(duration_ns, "without a call"):
            kernel.count_checked()
            kernel.count_injected()
            self._emit("injected", reason=self.fault_type)
        elif self.mode is Mode.OBSERVE and not self._is_idle():
            kernel.count_checked()
            kernel.count_observed()

    def _started(self, lasts_ns: int) -> None:
        """Do what follows a start of the effect."""

    def _start(self, duration_ns: int, why: str) -> bool:
        """Start the effect; return whether it was started."""
        until_ns = self._armed_ns
        if self._effect is None or until_ns is None:
            return False
        lasts_ns = min(duration_ns, until_ns - self._clock.now_ns())
        try:
            if lasts_ns <= 0 or not self._effect.start(lasts_ns):
                return False
        except (OSError, RuntimeError) as error:
            self._say("fault_failed", "has no effect (%s): %s", why, error)
            return False
        if self._is_idle():  # disabled meanwhile
            self._effect.stop()
            return False
        self._started(lasts_ns)
        text = "(%s) lasts for %g s (%s)"
        self._say("fault_changed", text, self.fault_type, lasts_ns / 1e9, why)
        return True


def read_share(
    problems: Problems, size: int | None, share: float | None
) -> tuple[int | None, float]:
    """Check how much a fault takes: bytes, a share of what is free, or the smaller of both."""
    if size is None and share is None:
        problems.refuse("size", None, "an integer of at least 1, or None with a share")
    whole = problems.integer("size", size, least=1, most=2**62, none=True)
    part = problems.fraction("share", share, zero=False, none=True)
    return whole, 0.5 if part is None else part


class _Delay(Effect):
    """Calls a function after some time, unless it is cancelled; it is in a set until then."""

    __slots__ = ("_function", "_waiting")

    _threads = 0
    _in_system_threads = False

    def __init__(self, clock: Clock, waiting: set[_Delay], function: Callable[[], object]) -> None:
        super().__init__(clock)
        self._function = function
        self._waiting = waiting
        waiting.add(self)

    def stop(self) -> None:
        """Cancel the call."""
        self._waiting.discard(self)
        super().stop()

    def _finished(self) -> None:
        if self in self._waiting:
            self._waiting.discard(self)
            self._function()
