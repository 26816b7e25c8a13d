"""Outlook: whether a component is likely to fail soon, by its own history.

Owns the signals, the score and its explanation. It only reports: users decide about a bad outlook.
Elsewhere: the arithmetic of one signal (``chart``), and how well it works (``docs/outlook.md``,
``benchmarks/outlook.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, sqrt
from weakref import WeakKeyDictionary

from holdfast.clock import read_clock
from holdfast.events import Event, Listeners
from holdfast.forks import mind, settle
from holdfast.health.chart import Chart, Weights
from holdfast.locks import RLock
from holdfast.policies.telling import Telling
from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.policies.breaker import CircuitBreaker

__all__ = ["Contribution", "Forecast", "Outlook", "OutlookSnapshot"]

ERRORS, LATENCY, CHECKS = "errors", "latency", "check_duration"
_CALLED = {ERRORS: "errors", LATENCY: "latency", CHECKS: "check duration"}
LEVELS = ("steady", "watch", "warning")

# The figures below were chosen with half of the recorded traces: docs/outlook.md.
SUSPECT, CERTAIN = 5.0, 10.0  # standard errors above the usual that are worth 0, and 1
TREND_SUSPECT, TREND_CERTAIN = 4.0, 6.0  # the same for a slope
GROWTH_SUSPECT, GROWTH_CERTAIN = 1.5, 3.0  # times as long at the horizon that are worth 0, and 1
CAREFUL, MOST_CAREFUL = 3.0, 8.0  # standard errors from which less is learned, and least
LEAST_LEARNED = 1 / 16
FEW_ERRORS = 0.02  # a share that nobody can tell from less
ERRORS_FLOOR = 0.01  # the least deviation of a share of errors,
LATENCY_FLOOR = 0.15  # and of the logarithm of a duration: 15 %
SHORT = 0.001  # seconds: differences between durations far below it mean nothing
UNKNOWN_CALLS = 20  # how many calls a share of errors is taken to be of


@dataclass(frozen=True, slots=True)
class Contribution:
    """One reason for a score.

    Attributes:
        signal: "errors", "latency" or "check_duration".
        by: "level" (it is above what is usual) or "trend" (it grows).
        share: The score if this were the only reason, above 0 to 1.
        recent: The present: a share of calls, or seconds.
        usual: The usual: the same.
        excess: How far the present is above the usual, in standard errors of the present.
        text: All this in words.
    """

    signal: str
    by: str
    share: float
    recent: float
    usual: float
    excess: float
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Forecast:
    """The judgement of an outlook after its last sample.

    Attributes:
        score: From 0 (as usual) to 1. It is no probability; docs/outlook.md has how often it errs.
        level: "steady", "watch" or "warning".
        since: When this level began, in seconds on the outlook's clock.
        age: Seconds since the last sample.
        contributions: The reasons for the score, the strongest first.
        samples: How many samples it rests on.
        history: Seconds from the first sample to the last.
    """

    score: float
    level: str
    since: float
    age: float
    contributions: tuple[Contribution, ...]
    samples: int
    history: float

    def __str__(self) -> str:
        why = "; ".join(map(str, self.contributions)) or "as usual"
        return f"{self.level} ({self.score:.2f}): {why} [{self.samples} samples]"


@dataclass(frozen=True, slots=True)
class OutlookSnapshot:
    """An outlook at one moment.

    Attributes:
        forecast: None before there is enough history.
        samples: How many samples were taken.
        changes: How often the level has changed.
    """

    kind: str = field(default="outlook", init=False)
    name: str
    forecast: Forecast | None
    samples: int
    changes: int


class Outlook:
    """Says how a component is doing, compared with its own history; it changes nothing.

    Its signals are the share of errors, the latency and the duration of checks; each is optional.
    For each signal it computes an exponentially weighted mean and deviation of the history, and the
    mean and the slope of the present. The score is 1 - (1 - share) (1 - share) … over all
    contributions. While a signal is suspicious, little is learned: a fault that grows slowly does
    not become the usual. A change that lasts without growing becomes the usual in the end.

    A change of level is an event, "outlook". A level ends when the score is at half of what it
    began at.

    Args:
        name: The component, for messages and events.
        horizon: How far a trend is thought to go on, in seconds.
        half_life: Seconds after which half of the history is forgotten.
        recent: Seconds after which half of the present is: shorter is sooner, and less certain.
        min_samples: Fewer samples of a signal say nothing, 10 to 1,000,000.
        watch: The score at which the level becomes "watch", above 0 to 1.
        warning: The score at which it becomes "warning", from ``watch`` to 1.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> from holdfast import ManualClock
    >>> clock = ManualClock()
    >>> outlook = Outlook("search", clock=clock)
    >>> outlook.observe(latency=0.02)
    >>> outlook.forecast is None  # one sample is no history
    True
    """

    __slots__ = (
        "__weakref__",
        "_began_ns",
        "_changes",
        "_charts",
        "_clock",
        "_counted",
        "_horizon",
        "_last_ns",
        "_level",
        "_listeners",
        "_lock",
        "_min_samples",
        "_name",
        "_recent",
        "_samples",
        "_score",
        "_since_ns",
        "_starts",
        "_telling",
        "_to_tell",
        "_weights",
    )

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        horizon: float | timedelta = 600.0,
        half_life: float | timedelta = 3600.0,
        recent: float | timedelta = 60.0,
        min_samples: int = 30,
        watch: float = 0.4,
        warning: float = 0.7,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("Outlook", name)
        self._name = problems.name(name)
        self._horizon = problems.duration("horizon", horizon, least_ns=10**9) / 1e9
        recent_ns = problems.duration("recent", recent, least_ns=1_000_000)
        half_life_ns = problems.duration("half_life", half_life, least_ns=1_000_000)
        if half_life_ns < 10 * recent_ns:
            problems.refuse("half_life", half_life, "at least ten times `recent`")
        self._min_samples = problems.integer("min_samples", min_samples, least=10, most=1_000_000)
        watch = problems.fraction("watch", watch, zero=False)
        warning = problems.fraction("warning", warning, zero=False)
        if warning < watch:
            problems.refuse("warning", warning, f"at least `watch`, {watch:g}")
        self._clock = read_clock(problems, clock)
        problems.done()
        self._starts = (0.0, watch, warning)
        self._recent = recent_ns / 1e9
        self._weights = Weights(self._recent, half_life_ns / 1e9)
        # Re-entrant: a finaliser may observe something while this thread holds the lock.
        self._lock = RLock()
        self._listeners = Listeners()
        self._telling = Telling()
        self._to_tell: list[tuple[str, str, str, int, int]] = []
        self._changes = 0
        # What was counted of a breaker when it was last read.
        self._counted: WeakKeyDictionary[CircuitBreaker, tuple[int, int, int, float]]
        self._counted = WeakKeyDictionary()
        self._clear()
        mind(self)

    @property
    def name(self) -> str:
        """The component."""
        return self._name

    # ---- what it is told ----

    def observe(
        self,
        *,
        error_rate: float | None = None,
        calls: int | None = None,
        latency: float | timedelta | None = None,
        check_duration: float | timedelta | None = None,
    ) -> None:
        """Take a sample: figures of the time since the last sample.

        Leave out figures from a time when this process itself did not run: they are no evidence.

        Args:
            error_rate: The share of calls that failed, 0 to 1.
            calls: How many calls ``error_rate`` is of, at least 1; None: as if it were of 20.
            latency: The usual duration of a call, such as the median, in seconds.
            check_duration: How long a health check took, in seconds.

        Raises:
            ConfigError: An argument is invalid, or all are None.
        """
        problems = Problems("Outlook", self._name)
        share = problems.fraction("error_rate", error_rate, none=True)
        of = problems.integer("calls", calls, least=1, most=10**12, none=True)
        if calls is not None and error_rate is None:
            problems.refuse("calls", calls, "nothing without `error_rate`")
        latency_ns = problems.duration("latency", latency, none=True)
        check_ns = problems.duration("check_duration", check_duration, none=True)
        if share is None and latency_ns is None and check_ns is None:
            problems.refuse("error_rate", None, "a number, or give `latency` or `check_duration`")
        problems.done()
        now_ns = self._clock.now_ns()
        settle()
        with self._lock:
            care = self._care()
            if share is not None:
                usual = max(FEW_ERRORS, self._charts[ERRORS].usual)
                by_chance = sqrt(usual * (1 - usual) / (of or UNKNOWN_CALLS))
                self._add(ERRORS, share, max(by_chance, ERRORS_FLOOR), care, now_ns)
            if latency_ns is not None:
                self._add(LATENCY, log(latency_ns / 1e9 + SHORT), LATENCY_FLOOR, care, now_ns)
            if check_ns is not None:
                self._add(CHECKS, log(check_ns / 1e9 + SHORT), LATENCY_FLOOR, care, now_ns)
            if self._samples == 0:
                self._began_ns = now_ns
            self._samples += 1
            self._last_ns = now_ns
            self._judge(now_ns)
        if self._to_tell:
            self._telling.change(self._changed, self._tell)

    def read(self, breaker: CircuitBreaker) -> None:
        """Take a sample of the calls that a breaker has counted since it was last read.

        The share of failures, and the mean duration if the breaker measures it (``latency=True``).
        The first time there is nothing to compare with, and there is no sample without calls.

        Raises:
            ConfigError: ``breaker`` is not a circuit breaker.
        """
        from holdfast.policies.breaker import CircuitBreaker

        problems = Problems("Outlook", self._name)
        problems.instance("breaker", breaker, CircuitBreaker, "a CircuitBreaker")
        problems.done()
        calls, failed, latency = self._calls_since(breaker)
        if calls:
            self.observe(error_rate=failed / calls, calls=calls, latency=latency)

    def _take_result(self, passed: bool, seconds: float, breaker: CircuitBreaker | None) -> None:
        """Take the result of a check, and the calls since the last one, as one sample.

        The run of the check is a call as well. How long it takes to fail says nothing: a refusal
        is quick.
        """
        calls, failed, latency = (0, 0, None) if breaker is None else self._calls_since(breaker)
        self.observe(
            error_rate=(failed + (not passed)) / (calls + 1),
            calls=calls + 1,
            latency=latency,
            check_duration=seconds if passed else None,
        )

    def _calls_since(self, breaker: CircuitBreaker) -> tuple[int, int, float | None]:
        """Return the calls of a breaker since its last reading, the failures, the mean duration."""
        shown = breaker.snapshot()
        latency = shown.latency
        measured, total = (0, 0.0) if latency is None else (latency.count, latency.total)
        counted = (shown.succeeded, shown.failed, measured, total)
        settle()
        with self._lock:
            before = self._counted.get(breaker)
            self._counted[breaker] = counted
        if before is None or any(now < then for now, then in zip(counted, before, strict=True)):
            return 0, 0, None  # the first reading, or the counts began anew
        calls = counted[0] + counted[1] - before[0] - before[1]
        measured -= before[2]
        mean = (total - before[3]) / measured if measured else None
        return calls, counted[1] - before[1], mean

    def reset(self) -> None:
        """Forget the history. The level is then "steady"; it is no event."""
        settle()
        with self._lock:
            self._clear()
            self._counted.clear()

    # ---- what others see ----

    @property
    def forecast(self) -> Forecast | None:
        """The judgement of the samples; None before there is enough history."""
        settle()
        with self._lock:
            if self._score is None:
                return None
            return Forecast(
                score=self._score,
                level=LEVELS[self._level],
                since=self._since_ns / 1e9,
                age=max(0, self._clock.now_ns() - self._last_ns) / 1e9,
                contributions=self._contributions(),
                samples=self._samples,
                history=(self._last_ns - self._began_ns) / 1e9,
            )

    def snapshot(self) -> OutlookSnapshot:
        """Return the forecast and the counts; see ``OutlookSnapshot`` for the fields."""
        settle()
        with self._lock:
            return OutlookSnapshot(
                name=self._name,
                forecast=self.forecast,
                samples=self._samples,
                changes=self._changes,
            )

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Add a listener for changes of the level.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def __repr__(self) -> str:
        forecast = self.forecast
        words = f"{self._samples} samples, too few" if forecast is None else str(forecast)
        return f"<Outlook {self._name!r}: {words}>"

    # ---- the lock is held ----

    def _clear(self) -> None:
        self._charts = {signal: Chart() for signal in _CALLED}
        self._score: float | None = None
        self._samples = self._level = 0
        self._began_ns = self._last_ns = self._since_ns = self._clock.now_ns()

    def _add(self, signal: str, x: float, floor: float, care: float, now_ns: int) -> None:
        chart = self._charts[signal]
        if chart.samples:
            self._weights.after(max(0, now_ns - chart.at_ns) / 1e9)
        chart.at_ns = now_ns
        chart.add(x, floor, self._weights, care)

    def _care(self) -> float:
        """Return how much is learned: less of everything while anything is suspicious."""
        excess = max((chart.excess for chart in self._known()), default=0.0)
        return 1 - (1 - LEAST_LEARNED) * _ramp(excess, CAREFUL, MOST_CAREFUL)

    def _known(self) -> list[Chart]:
        return [chart for chart in self._charts.values() if chart.samples >= self._min_samples]

    def _judge(self, now_ns: int) -> None:
        shares = self._shares()
        if shares is None:
            return
        left = 1.0
        for _, _, share in shares:
            left *= 1 - share
        score = 1 - left
        if self._score is None:
            self._since_ns = now_ns
        self._score = score
        level = self._level
        while level < 2 and score >= self._starts[level + 1]:
            level += 1
        while level > 0 and score <= self._starts[level] / 2:
            level -= 1
        if level == self._level:
            return
        old, self._level = self._level, level
        self._since_ns = now_ns
        self._changes += 1
        strongest = max(shares, key=lambda one: one[2], default=None)
        why = strongest[0] if strongest else ""
        self._to_tell.append((LEVELS[old], LEVELS[level], why, now_ns, self._changes))

    def _shares(self) -> list[tuple[str, str, float]] | None:
        """Return the signal, the kind and the share of each contribution; None: too few samples."""
        shares: list[tuple[str, str, float]] = []
        known = False
        for signal, chart in self._charts.items():
            if chart.samples < self._min_samples:
                continue
            known = True
            excess = chart.excess
            if (share := _ramp(excess, SUSPECT, CERTAIN)) > 0:
                shares.append((signal, "level", share))
            if signal != ERRORS and excess > SUSPECT / 2:
                slope, certainty = chart.slope(self._recent)
                if slope > 0:
                    growth = exp(min(slope * self._horizon, 20.0))
                    share = _ramp(certainty, TREND_SUSPECT, TREND_CERTAIN)
                    share *= _ramp(growth, GROWTH_SUSPECT, GROWTH_CERTAIN)
                    if share > 0:
                        shares.append((signal, "trend", share))
        return shares if known else None

    def _contributions(self) -> tuple[Contribution, ...]:
        made: list[Contribution] = []
        for signal, by, share in sorted(self._shares() or (), key=lambda one: -one[2]):
            chart = self._charts[signal]
            if signal == ERRORS:
                recent, usual = chart.recent, chart.usual
                text = f"errors {recent:.1%} of calls, usually {usual:.1%}"
            else:
                recent, usual = _seconds(chart.recent), _seconds(chart.usual)
                text = f"{_CALLED[signal]} {_short(recent)}, usually {_short(usual)}"
            if by == "level":
                text += f", {chart.excess:.1f} standard errors above"
            else:
                slope, _ = chart.slope(self._recent)
                growth = exp(min(slope * self._horizon, 20.0))
                text = (
                    f"{_CALLED[signal]} grows by {exp(min(slope * 60, 20.0)) - 1:.0%} a minute, "
                    f"{growth:.3g} times as long in {self._horizon / 60:g} min"
                )
            made.append(Contribution(signal, by, share, recent, usual, chart.excess, text))
        return tuple(made)

    # ---- the lock is not held ----

    def _changed(self) -> list[tuple[str, str, str, int, int]]:
        with self._lock:
            changes, self._to_tell = self._to_tell, []
        return changes

    def _tell(self, old: str, new: str, why: str, at_ns: int, number: int) -> None:
        self._emit("outlook", old=old, new=new, reason=why, at=at_ns / 1e9, generation=number)

    def _emit(self, kind: str, **fields: Any) -> None:
        self._listeners.emit(Event(kind, self, self._name, **fields))

    def _after_fork(self) -> None:
        """In a forked child: make a new lock, and drop the events of the parent."""
        self._lock = RLock()
        self._to_tell = []


def _ramp(x: float, low: float, high: float) -> float:
    """Return 0 up to ``low``, 1 from ``high`` on, and a straight line between."""
    return max(0.0, min(1.0, (x - low) / (high - low)))


def _seconds(logarithm: float) -> float:
    return max(0.0, exp(logarithm) - SHORT)


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
