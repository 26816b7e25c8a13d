"""Rate limiter: so many calls in so much time, exactly.

Owns the settings and the face; the counting is ``csrc/holdfast/hf_bucket.h`` and
``hf_sliding.h``, the sleeping ``waiting.lines``'.
"""

from __future__ import annotations

from functools import lru_cache, partial

from holdfast._native.bucket import SlidingWindow, TokenBucket
from holdfast._native.gate import Gate
from holdfast.clock import read_clock
from holdfast.errors import RateLimitedError
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Default, Policy, settings_of, within_deadline_ns
from holdfast.policies.limiter.rates import Rate, read_per, read_rate, read_rates
from holdfast.stores.figures import LIMITER, LIMITER_PART
from holdfast.validation import MAX_NS, Problems, wait_to_ns
from holdfast.waiting.bucket_line import BucketLine
from holdfast.waiting.window_line import WindowLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.policies.limiter.snapshot import LimiterStats, RateLimiterSnapshot
    from holdfast.stores.ledger import Part
    from holdfast.waiting.lines import Line

__all__ = ["RateLimiter"]


class RateLimiter(Policy):
    """Limits the rate of calls.

    The default is a token bucket: up to ``burst`` tokens immediately, then ``rate`` tokens every
    ``per`` seconds. Fractions of a token are counted exactly. With ``window="sliding"`` at most
    ``rate`` calls pass in any span of ``per`` seconds; a call may be rejected up to a tenth of
    the span early.

    Args:
        name: The limited resource, for messages, metrics and the registry.
        rate: Tokens every ``per`` seconds, above 0 to 268,435,455; an integer for a sliding
            window.
        per: A duration in seconds, at least a microsecond; 1 by default.
        burst: The largest number of tokens, 1 to 268,435,455; None for the tokens of one ``per``.
        limits: Several limits that apply together, instead of rate, per and burst:
            ``"10/second;100/minute"``.
        window: None for a token bucket, "sliding" for a sliding window.
        max_wait: The longest wait for tokens in seconds; None or ``math.inf`` for no limit. A
            call that would have to wait longer is rejected immediately.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared limiter of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. The bucket stores a theoretical arrival time
    (GCRA, ATM Forum TM 4.0).

    >>> limiter = RateLimiter("outbound", rate=2, per=60)
    >>> [limiter.try_acquire() for _ in range(3)]
    [True, True, False]
    """

    __slots__ = ("_max_wait_ns", "_rates", "_sliding")

    kind = "rate_limiter"

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(
        self,
        name: str,
        *,
        rate: float | None = None,
        per: float | timedelta = Default(1),  # noqa: B008 - a number
        burst: int | None = None,
        limits: str | None = None,
        window: str | None = None,
        max_wait: float | timedelta | None = 0.0,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("RateLimiter", name)
        name = problems.name(name)
        sliding = problems.choice("window", window, (None, "sliding")) is not None
        rates: tuple[Rate, ...]
        if limits is None:
            rates = _alone(read_rate(problems, rate, read_per(problems, per), burst, sliding))
        else:
            if rate is not None or burst is not None or not isinstance(per, Default):
                problems.refuse("limits", limits, "None when rate, per or burst is given")
            rates = read_rates(problems, limits, sliding)
        max_wait_ns = problems.wait("max_wait", max_wait)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        now_ns = clock.now_ns()
        # First of all, for it refuses to be done twice.
        self._bind(
            "sliding" if sliding else "bucket",
            tuple(_cell(one, now_ns) for one in rates),
            clock,
            name,
            NATIVE_MODES[mode],
            RateLimitedError,
            can_wait=max_wait_ns != 0 and mode is Mode.ENFORCE,
        )
        self._rates = rates
        self._sliding = sliding
        self._max_wait_ns = max_wait_ns
        one = dict.fromkeys(("rate", "per", "burst")) if limits is not None else _in_force(rates[0])
        self._keep(
            **one,
            limits=limits,
            window=window,
            max_wait=max_wait,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    # ---- tokens ----

    if TYPE_CHECKING:

        def try_acquire(self, n: int = 1) -> bool:
            """Take n tokens if they are available. Never waits.

            Args:
                n: Tokens, 1 to the burst.

            Returns:
                Whether the tokens were taken.

            Raises:
                ValueError: n is not an integer from 1 to the burst.
            """

    else:
        try_acquire = Gate._try_take

    def acquire(self, n: int = 1, timeout: float | timedelta | None = None) -> None:
        """Take ``n`` tokens, and wait for them in this thread if necessary.

        In a thread that runs an event loop, a wait issues a RuntimeWarning (once); use
        ``aacquire`` there.

        Args:
            n: The number of tokens, from 1 to the burst.
            timeout: The longest wait in seconds; ``math.inf`` for no limit, None for the policy's
                ``max_wait``.

        Raises:
            RateLimitedError: The tokens would arrive too late. No token is taken.
            ValueError: ``n`` is not an integer from 1 to the burst.
        """
        self._take(self._weight(n), self._wait_of(timeout))

    async def aacquire(
        self,
        n: int = 1,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - decided before any wait
    ) -> None:
        """Take ``n`` tokens, and wait for them in this task; see ``acquire``.

        A cancelled task takes no token.

        Args:
            n: The number of tokens, from 1 to the burst.
            timeout: The longest wait in seconds; ``math.inf`` for no limit, None for the policy's
                ``max_wait``.

        Raises:
            RateLimitedError: The tokens would arrive too late. No token is taken.
            ValueError: ``n`` is not an integer from 1 to the burst.
        """
        n, longest_ns = self._weight(n), self._wait_of(timeout)
        if not self._takes_at_once(n) and not await self._line.atake(n, _longest(longest_ns)):
            self._refuse_rate(n)

    def reserve(self, n: int = 1) -> float:
        """Take ``n`` tokens in advance, independent of ``max_wait``.

        Returns:
            Seconds until the tokens are available. The caller must wait that long. ``inf`` if too
            many tokens are reserved already; then no token is taken.

        Raises:
            ValueError: ``n`` is not an integer from 1 to the burst, or the limiter is a sliding
                window, which has no reservations.
        """
        n = self._weight(n)
        if self._sliding:
            raise ValueError(
                "reserve: a sliding window cannot be reserved in advance; use a token bucket"
            )
        if not self._enforces:
            self._try_take(n)
            return 0.0
        wait_ns = self._line.reserve(n, MAX_NS)
        return float("inf") if wait_ns < 0 else wait_ns / 1e9

    def test(self, n: int = 1) -> bool:
        """Return whether ``n`` tokens are available. Changes no state.

        Raises:
            ValueError: ``n`` is not an integer from 1 to the burst.
        """
        weight = self._weight(n)
        return not self._enforces or self._wait_ns(weight) == 0

    def resize(
        self,
        *,
        rate: float | None = None,
        per: float | timedelta | None = None,
        burst: int | None = None,
    ) -> None:
        """Change the rate, the burst or both. Available tokens remain, up to the new burst.

        Waiting calls continue to wait, in the same order and at the new rate. A call that would
        have to wait too long is rejected.

        Args:
            rate: Tokens every ``per`` seconds; None for no change.
            per: Seconds; None for no change. The span of a sliding window cannot change.
            burst: The largest number of tokens. None for no change; a default burst follows the
                rate.

        Raises:
            ConfigError: An argument is invalid, or the limiter has several limits.
        """
        problems = Problems("RateLimiter", self.name)
        old = self._rates[0]
        if len(self._rates) > 1:
            problems.refuse(
                "limits", self._setting("limits"), "one limit; several cannot be resized"
            )
        new = read_rate(
            problems,
            old.tokens if rate is None else rate,
            old.per_ns if per is None else read_per(problems, per),
            old.asked_burst if burst is None else burst,
            self._sliding,
        )
        if self._sliding and new.per_ns != old.per_ns:
            problems.refuse("per", per, "the initial span: that of a sliding window is fixed")
        problems.done()
        self._rates = (new,)
        self._apply_rate()
        self._say("resized", "has a rate of %g", new.tokens)

    def _apply_rate(self) -> None:
        """Put the rate into force; again if another thread gave another one meanwhile."""
        applied = None
        while applied is not self._rates[0]:
            applied = self._rates[0]
            self._change(**_in_force(applied), limits=None)
            self._line.resize(partial(_resize_cell, self._kernels[0], applied))

    def clear(self) -> int:
        """Refill the bucket and cancel all reservations. The counts continue.

        Waiting calls get tokens first. After a clear, at most one burst is issued immediately.

        Returns:
            Whole tokens that were restored, including reserved tokens. With several limits, the
            largest of their numbers.
        """
        now_ns = self._clock.now_ns()
        back = max(
            rate.given_out(cell, now_ns)
            for cell, rate in zip(self._kernels, self._rates, strict=True)
        )
        self._count_clear()
        try:
            self._line.clear()
        finally:
            self._count_clear()
        self._say("reset", "was reset")
        return back

    def reset(self) -> None:
        """Return to the initial state; the same as ``clear``."""
        self.clear()

    # ---- what others see ----

    @property
    def available(self) -> int:
        """Whole tokens that are available now; with several limits, the smallest number."""
        now_ns = self._clock.now_ns()
        return min(int(cell.available(now_ns)) for cell in self._kernels)

    def stats(self) -> LimiterStats:
        """Return the available tokens and the time of a full refill; see ``LimiterStats``."""
        from holdfast.policies.limiter.snapshot import LimiterStats

        now_ns = self._clock.now_ns()
        waits = (
            cell.wait_ns(rate.burst, now_ns) or 0
            for cell, rate in zip(self._kernels, self._rates, strict=True)
        )
        return LimiterStats(remaining=self.available, reset_after=max(waits) / 1e9)

    def snapshot(self) -> RateLimiterSnapshot:
        """Return the current rate and counts; see ``RateLimiterSnapshot`` for the fields."""
        from holdfast.policies.limiter.snapshot import RateLimiterSnapshot

        return RateLimiterSnapshot(**self._shown())

    def _shown(self) -> dict[str, Any]:
        unobserved = self._unobserved  # counted last, read first: no figure is ever below zero
        observed = self._observed
        counters = [cell.counters() for cell in self._kernels]
        allowed, _, refunded = counters[-1]
        rates = self._rates
        return {
            "name": self.name,
            "rate": min(rate.per_second for rate in rates),
            "burst": min(rate.burst for rate in rates),
            "available": self.available,
            "allowed": allowed - refunded,
            "rejected": self._rejected(sum(rejected for _, rejected, _ in counters)),
            "observed": observed - unobserved,
        }

    def _in_words(self) -> str:
        now_ns = self._clock.now_ns()
        left = min(cell.available(now_ns) for cell in self._kernels)
        return f"{';'.join(rate.text for rate in self._rates)}, {int(left)} tokens"

    def _figured(self) -> tuple[Part, ...]:
        *others, last = self._kernels
        return (*((LIMITER_PART, cell, 0) for cell in others), (LIMITER, last, 0))

    def _further_costs(self) -> list[str]:
        return ["reads the clock"] + ["may wait"] * self._can_wait

    # ---- what the native gate asks ----

    def _block(self) -> None:
        self._take(1, self._max_wait_ns)

    async def _suspend(self) -> None:
        longest_ns = _longest(self._max_wait_ns)
        if not self._takes_at_once(1) and not await self._line.atake(1, longest_ns):
            self._refuse_rate(1)

    # ---- waiting ----

    @property
    def _line(self) -> Line:
        line: Line | None = self._queue
        if line is None:
            make = WindowLine if self._sliding else BucketLine
            line = self._once("_queue", partial(make, self._kernels, self._clock))
        return line

    def _take(self, n: int, longest_ns: int | None) -> None:
        if not self._takes_at_once(n) and not self._line.take(n, _longest(longest_ns), self):
            self._refuse_rate(n)

    def _takes_at_once(self, n: int) -> bool:
        """Take ``n`` tokens if they are there and nobody waits for them."""
        if not self._enforces:
            self._try_take(n)
            return True
        line: Line | None = self._queue
        is_first = line is None or line.is_empty
        return is_first and self._wait_ns(n) == 0 and self._try_take(n)

    def _refuse_rate(self, n: int) -> None:
        """Raise a rejection that names the limit whose tokens come last."""
        now_ns = self._clock.now_ns()
        waits = [cell.wait_ns(n, now_ns) or 0 for cell in self._kernels]
        self._refuse("rate", self._wait_ns(n), None, -1, waits.index(max(waits)) + 1)

    def _limit_text(self, number: int) -> str:
        """Return one of the limits as text, counted from 1: the one that has refused a call."""
        return self._rates[number - 1].text

    @property
    def _enforces(self) -> bool:
        return self.mode is Mode.ENFORCE

    def _wait_of(self, timeout: float | timedelta | None) -> int | None:
        return self._max_wait_ns if timeout is None else wait_to_ns("timeout", timeout)


@lru_cache(64)
def _alone(rate: Rate) -> tuple[Rate]:
    """Return a rate as all there is; limiters of one rate share the object."""
    return (rate,)


def _longest(wait_ns: int | None) -> int:
    """Return how long a wait may be, where an enclosing Timeout may bound it too."""
    wait_ns = within_deadline_ns(wait_ns)
    return MAX_NS if wait_ns is None else wait_ns


def _resize_cell(cell: Any, rate: Rate, now_ns: int) -> None:
    if rate.native is None:
        cell.resize(rate.burst)
    else:
        cell.resize(*rate.native, now_ns)


def _cell(rate: Rate, now_ns: int) -> TokenBucket | SlidingWindow:
    if rate.native is None:
        return SlidingWindow(rate.burst, rate.per_ns)
    return TokenBucket(*rate.native, now_ns)


def _in_force(rate: Rate) -> dict[str, float | None]:
    """Return rate, per and burst as they are in force."""
    tokens = int(rate.tokens) if rate.tokens.is_integer() else rate.tokens
    burst = None if rate.native is None else rate.burst
    return {"rate": tokens, "per": rate.per_ns / 1e9, "burst": burst}
