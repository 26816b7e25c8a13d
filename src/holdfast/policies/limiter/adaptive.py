"""AdaptiveRateLimiter: a rate limiter whose rate follows what calls take, within bounds.

Owns the settings and the face; the rule is ``hf_adaptive_rate.h``, which calls are samples
``csrc/python/step_adaptive.c``.
"""

from __future__ import annotations

from math import ceil

from holdfast._native.adaptive_rate import MOVES, AdaptiveRate
from holdfast._native.bucket import TokenBucket
from holdfast.clock import read_clock
from holdfast.errors import RateLimitedError
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, settings_of
from holdfast.policies.limiter.limiter import RateLimiter
from holdfast.policies.limiter.rates import MAX_BURST, Rate, exact_rate
from holdfast.stores.figures import ADAPTIVE, LIMITER
from holdfast.validation import MAX_NS, Problems, duration_to_ns, seconds_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.policies.limiter.snapshot import AdaptiveRateLimiterSnapshot
    from holdfast.stores.ledger import Part

__all__ = ["AdaptiveRateLimiter"]

LEAST_RATE = 0.001
LEAST_NS, MOST_TARGET_NS, MOST_AGE_NS = 1_000, 3_600 * 10**9, 86_400 * 10**9
MICRO = 10**6
SPAN_MOST = 2**60  # of a bucket: the nanoseconds that give one token, times the burst
USUAL_AGE = 10.0
AGE_CALLS = 20  # of the lowest rate, that have to fit into the age of a window


class AdaptiveRateLimiter(RateLimiter):
    """A token bucket whose rate follows the latency of the calls that it admits.

    Samples are collected in windows. At the end of a window the rate changes at most once:
    multiplied by 0.9 if the 95th percentile is above 1.2 times the target, and by 1.05 if it is
    below 0.8 times the target, the average is below the target, and calls used the rate or were
    rejected. Slow calls do not lower the rate below three quarters of the calls that ended per
    second. An answer that throttles (status 429 or 503 with a ``Retry-After``, an error that
    requests a delay) multiplies the rate by 0.7, at most once in a window. The rate then rises by
    a constant amount, a twentieth of the throttled rate, until it is twice that rate.

    Samples are calls that ran under the present rate. Waits, pauses of a retry, rejections and
    failures that are not slow are no samples. In all other respects it is a ``RateLimiter`` with
    tokens per second.

    Args:
        name: The limited resource, for messages, metrics and the registry.
        rate: The initial rate in tokens per second, from ``min_rate`` to ``max_rate``.
        min_rate: The lowest rate, 0.001 to 268,435,455; None for a tenth of ``rate``.
        max_rate: The highest rate, up to 268,435,455; None for ten times ``rate``.
        target_latency: The latency that calls should have, in seconds, a microsecond to an hour.
        window: Samples that end a window, 10 to 1,000.
        max_age: The age in seconds at which samples are dropped, a microsecond to a day. After
            half of it, ten samples end a window. None for ten seconds, or the time of twenty
            calls at ``min_rate`` if this is longer.
        burst: The largest number of tokens, 1 to 268,435,455; None for the tokens of a second.
        max_wait: The longest wait for tokens in seconds; None or ``math.inf`` for no limit.
        on_throttle: A predicate of a result or an exception that replaces the test for
            throttling answers; None for the requested delay, as ``retry_after()`` reads it.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off". In observe mode the rate still follows the latency.
        shared: Return the existing shared limiter of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. It stores two counts and an estimate of the
    95th percentile, and no samples.

    >>> limiter = AdaptiveRateLimiter("send", rate=1000)
    >>> limiter.call(len, "ok"), limiter.rate
    (2, 1000.0)
    """

    __slots__ = ("_adaptive", "_asked_burst")

    def __init__(
        self,
        name: str,
        *,
        rate: float,
        min_rate: float | None = None,
        max_rate: float | None = None,
        target_latency: float | timedelta = 0.1,
        window: int = 100,
        max_age: float | timedelta | None = None,
        burst: int | None = None,
        max_wait: float | timedelta | None = 0.0,
        on_throttle: Callable[[Any], object] | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("AdaptiveRateLimiter", name)
        name = problems.name(name)
        rates = _read_rates(problems, rate, min_rate, max_rate)
        target_ns = problems.duration(
            "target_latency", target_latency, least_ns=LEAST_NS, most_ns=MOST_TARGET_NS
        )
        window = problems.integer("window", window, least=10, most=1000)
        age_ns = problems.duration(
            "max_age", max_age, least_ns=LEAST_NS, most_ns=MOST_AGE_NS, none=True
        )
        most = _read_burst(problems, burst, rates[1])
        max_wait_ns = problems.wait("max_wait", max_wait)
        problems.asked("on_throttle", on_throttle)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        if age_ns is None:
            age_ns = round(max(USUAL_AGE, AGE_CALLS / rates[1]) * 1e9)
        now_ns = clock.now_ns()
        micro, least, highest = map(_micro, rates)
        native = exact_rate(problems, rates[0], 10**9, most or max(1, ceil(rates[0])))
        problems.done()
        bucket = TokenBucket(*native, now_ns)
        adaptive = AdaptiveRate(
            bucket, micro, least, highest, most or 0, target_ns, age_ns, window, now_ns
        )
        # First of all, for it refuses to be done twice.
        self._bind(
            "adaptive",
            (bucket,),
            clock,
            name,
            NATIVE_MODES[mode],
            RateLimitedError,
            can_wait=max_wait_ns != 0 and mode is Mode.ENFORCE,
            timed=True,
            adaptive_rate=adaptive,
            retry_after=on_throttle,
        )
        self._adaptive = adaptive
        self._asked_burst = most
        self._sliding = False
        self._max_wait_ns = max_wait_ns
        self._keep(
            rate=rates[0],
            min_rate=rates[1],
            max_rate=rates[2],
            target_latency=target_latency,
            window=window,
            max_age=max_age,
            burst=burst,
            max_wait=max_wait,
            on_throttle=on_throttle,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    @property
    def rate(self) -> float:
        """The rate that is in force, in tokens per second."""
        return self._adaptive.rate() / MICRO

    def record(self, latency: float | timedelta, *, throttled: bool = False) -> None:
        """Record a call that this limiter has not run, but for which it gave the tokens.

        Calls, blocks and permits record themselves. Use this after ``try_acquire`` or
        ``acquire``.

        Args:
            latency: The duration of the call, without waits.
            throttled: Whether the answer was a throttling one; its duration is no sample.

        Raises:
            ConfigError: ``latency`` is not a duration.
        """
        ns = duration_to_ns(latency)
        if ns is None or not 0 <= ns <= MAX_NS:
            problems = Problems("AdaptiveRateLimiter", self.name)
            ns = problems.duration("latency", latency)
            problems.done()
        now_ns = self._clock.now_ns()
        if throttled:
            move, before = self._adaptive.throttle(now_ns - ns, now_ns)
        else:
            move, before = self._adaptive.record(ns, now_ns - ns, now_ns)
        if move:
            self._adjusted(move, before)

    def resize(  # type: ignore[override]
        self,
        *,
        rate: float | None = None,
        min_rate: float | None = None,
        max_rate: float | None = None,
        burst: int | None = None,
    ) -> None:
        """Change the rate that is in force, its bounds or the burst. Available tokens remain.

        The samples so far are dropped. Waiting calls continue to wait, in the same order and at
        the new rate. ``reset`` returns to the ``rate`` given last.

        Args:
            rate: Tokens per second; None for the present rate, within the new bounds.
            min_rate: The lowest rate; None for no change.
            max_rate: The highest rate; None for no change.
            burst: The largest number of tokens. None for no change; a default burst follows the
                rate.

        Raises:
            ConfigError: An argument is invalid.
        """
        problems = Problems("AdaptiveRateLimiter", self.name)
        least, most, _ = self._adaptive.limits()
        low = least / MICRO if min_rate is None else min_rate
        high = most / MICRO if max_rate is None else max_rate
        asked = _held(self.rate, low, high) if rate is None else rate
        rates = _read_rates(problems, asked, low, high)
        held = _read_burst(problems, self._asked_burst if burst is None else burst, rates[1])
        problems.done()
        began = _held(self._setting("rate"), *rates[1:]) if rate is None else rates[0]
        self._asked_burst = held
        self._change(rate=began, min_rate=rates[1], max_rate=rates[2], burst=held)
        self._put(rates, held)
        self._say("resized", "has a rate of %g, from %g to %g", *rates)

    def _put(self, rates: tuple[float, float, float], burst: int | None) -> None:
        micro, least, highest = map(_micro, rates)

        def apply(now_ns: int) -> None:
            self._adaptive.resize(micro, least, highest, burst or 0, now_ns)

        self._line.resize(apply)

    def reset(self) -> None:
        """Return to the initial rate, drop the samples, and refill the bucket."""
        rates = tuple(self._setting(field) for field in ("rate", "min_rate", "max_rate"))
        self._put(rates, self._asked_burst)
        self.clear()

    def snapshot(self) -> AdaptiveRateLimiterSnapshot:
        """Return the present rate, counts and latencies."""
        from holdfast.policies.limiter.snapshot import AdaptiveRateLimiterSnapshot

        average_ns, quantile_ns, samples = self._adaptive.latency()
        least, most, _ = self._adaptive.limits()
        raised, slowed, throttled = self._adaptive.counters()
        return AdaptiveRateLimiterSnapshot(
            **self._shown(),
            min_rate=least / MICRO,
            max_rate=most / MICRO,
            target_latency=_seconds(seconds_to_ns("", self._setting("target_latency"))),
            average_latency=_seconds(average_ns),
            p95_latency=_seconds(quantile_ns),
            samples=samples,
            adjustments=raised + slowed + throttled,
            raised=raised,
            slowed=slowed,
            throttled=throttled,
        )

    def _shown(self) -> dict[str, Any]:
        return {**super()._shown(), "rate": self.rate}

    def _figured(self) -> tuple[Part, ...]:
        return ((LIMITER, self._kernels[0], 0), (ADAPTIVE, self._adaptive, 0))

    def _further_costs(self) -> list[str]:
        return ["reads the clock twice", *super()._further_costs()[1:]]

    @property
    def _rates(self) -> tuple[Rate, ...]:  # type: ignore[override]
        num, den, burst = self._kernels[0].rate()
        return (Rate(self.rate, 10**9, burst, self._asked_burst, (num, den, burst)),)

    # ---- what the native gate asks ----

    @staticmethod
    def _throttles(answer: object) -> bool:
        from holdfast.categories.requested import retry_after

        return retry_after(answer) is not None

    def _adjusted(self, move: int, before: int) -> None:
        """Tell those who wait, and listeners, of the rate that is in force now."""
        if self._queue is not None:
            self._line.resize(_changed_already)
        self._emit("adjustment", old=before / MICRO, new=self.rate, reason=MOVES[move])


def _changed_already(_now_ns: int) -> None:
    """Change no rate: the kernel has."""


def _read_rates(
    problems: Problems, rate: object, low: float | None, high: float | None
) -> tuple[float, float, float]:
    """Check the rate and its bounds; return them in the order of the kernel."""
    tokens = problems.number("rate", rate, least=LEAST_RATE, most=MAX_BURST)
    least = max(LEAST_RATE, tokens / 10) if low is None else low
    most = min(MAX_BURST, tokens * 10) if high is None else high
    least = problems.number("min_rate", least, least=LEAST_RATE, most=MAX_BURST)
    most = problems.number("max_rate", most, least=LEAST_RATE, most=MAX_BURST)
    if least > most:
        problems.refuse("min_rate", least, f"at most max_rate, {most:g}")
    elif not least <= tokens <= most:
        problems.refuse("rate", tokens, f"a number from min_rate, {least:g}, to max_rate, {most:g}")
    return tokens, least, most


def _read_burst(problems: Problems, burst: int | None, least: float) -> int | None:
    """Check a burst: the lowest rate gives it within the time that a bucket can count."""
    most = problems.integer("burst", burst, least=1, most=MAX_BURST, none=True)
    if most is not None and most * 1e9 / least > SPAN_MOST:
        problems.refuse("burst", burst, f"at most {int(SPAN_MOST / 1e9 * least)} at this min_rate")
    return most


def _held(rate: float, low: Any, high: Any) -> float:
    """Return a rate within bounds, unless these are still to be refused."""
    numbers = (int, float)
    if isinstance(low, numbers) and isinstance(high, numbers) and low <= high:
        return min(max(rate, low), high)
    return rate


def _micro(rate: float) -> int:
    return round(rate * MICRO)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
