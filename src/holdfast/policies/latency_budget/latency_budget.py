"""Latency budget: whether a percentile of the last calls' durations is above a target.

Owns the settings and the face; the counting is ``csrc/holdfast/hf_latency_budget.h``, what is a
duration ``csrc/python/step_latency.c``.
"""

from __future__ import annotations

from holdfast._native.gate import Gate, _fork_number
from holdfast._native.latency_budget import LatencyBudget as Kernel
from holdfast.clock import read_clock
from holdfast.errors import Rejected
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Policy, settings_of
from holdfast.policies.latency_budget.snapshot import LatencyBudgetSnapshot
from holdfast.policies.telling import Telling
from holdfast.stores.figures import LATENCY_BUDGET
from holdfast.validation import MAX_NS, Problems, duration_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

    from holdfast._native.gate import Permit
    from holdfast.clock import Clock
    from holdfast.policies.base import On
    from holdfast.stores.ledger import Part

__all__ = ["LatencyBudget"]

MAX_SAMPLES = 100_000
UNIT = 10_000  # a percentile in the kernel is a whole number of ten thousandths of a percent
_SHOWN = (50 * UNIT, 95 * UNIT, 99 * UNIT)
LEAST = 10  # fewer calls prove nothing, whatever the percentile


class LatencyBudget(Policy):
    """Watches whether the last calls were fast enough; it rejects no call.

    The budget is exhausted when ``percentile`` of the last ``samples`` calls is above ``target``:
    with 95 and 1000, when more than 50 of 1,000 calls exceed it. It recovers when at least a tenth
    of what is allowed is free again. Both are events: ``budget_exhausted`` and
    ``budget_recovered``.

    Placed outermost in a pipeline, it measures what the caller waits for: waits, retries and pauses
    included. A call counts if it ran and returned, or raised an exception that is not a failure. A
    failure counts only if it took longer than ``target``: a failure that comes quickly must not
    improve the latency. Cancelled, interrupted and rejected calls do not count.

    Args:
        name: The watched operation, for messages, metrics and the registry.
        target: The longest duration in seconds, above 0, that the percentile should have.
        percentile: From 0 to 100, in percent.
        samples: How many of the last calls count, 1 to 100,000.
        min_samples: Fewer calls exhaust nothing, and recover nothing. 1 to ``samples``. None: as
            many as it takes for one of them to be above the percentile, at least 10; 20 for 95,
            100 for 99.
        on: Exceptions that are failures: classes, categories ("transient", "permanent",
            "resource", "logic"), several of both, or a predicate.
        ignore: Exceptions that do not count although ``on`` names them; as ``on``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE). A
            latency budget observes in any case.
        shared: Return the existing shared latency budget of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> budget = LatencyBudget("send", target=0.1, min_samples=1)
    >>> budget.record(0.25)
    >>> budget.exhausted
    True
    """

    __slots__ = ("_before_reset", "_told")

    kind = "latency_budget"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(
        self,
        name: str,
        *,
        target: float | timedelta = 0.1,
        percentile: float = 95,
        samples: int = 1000,
        min_samples: int | None = None,
        on: On = (Exception,),
        ignore: On = (),
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("LatencyBudget", name)
        name = problems.name(name)
        target_ns = problems.duration("target", target, least_ns=1)
        parts = _percentile(problems, "percentile", percentile)
        samples = problems.integer("samples", samples, least=1, most=MAX_SAMPLES)
        least = problems.integer("min_samples", min_samples, least=1, most=samples, none=True)
        if least is None:
            least = min(samples, _least(parts))
        on, classes, categories, wanted = problems.matcher("on", on)
        ignore, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        self._bind(
            "latency_budget",
            (Kernel(target_ns, parts, samples, least),),
            clock,
            name,
            NATIVE_MODES[mode],
            Rejected,
            timed=True,
            on=classes,
            on_categories=categories,
            wanted=wanted,
            ignore=ignored if unwanted is None else unwanted,
            ignore_categories=ignored_categories,
        )
        self._before_reset: tuple[int, tuple[int, int, int]] = (0, (0, 0, 0))
        self._told = 0  # turns that listeners know, or will know of
        self._keep(
            target=target,
            percentile=percentile,
            samples=samples,
            min_samples=least,
            on=on,
            ignore=ignore,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    if TYPE_CHECKING:

        def acquire(self) -> Permit:
            """Begin to measure one call by hand, and return a permit.

            Returns:
                A permit. Its success(), failure(exc) or ignore() ends the measurement. A permit
                that is garbage-collected does not count.
            """

    else:
        acquire = Gate._permit

    def record(self, seconds: float | timedelta) -> None:
        """Count the duration of a call that did not go through the policy.

        Raises:
            ConfigError: ``seconds`` is not a duration from 0 to 100 years.
        """
        ns = duration_to_ns(seconds)
        if ns is None or not 0 <= ns <= MAX_NS:
            problems = Problems("LatencyBudget", self.name)
            ns = problems.duration("seconds", seconds)
            problems.done()
        if self.mode is not Mode.OFF and self._kernel.record(ns):
            self._turned()

    # ---- what others see ----

    @property
    def exhausted(self) -> bool:
        """Whether the budget is exhausted."""
        return self._kernel.turns() % 2 == 1

    @property
    def compliance(self) -> float:
        """The share of the last calls that did not exceed ``target``; 1.0 without calls."""
        samples, exceeding = self._kernel.tally()
        return 1 - exceeding / samples if samples else 1.0

    def latency(self, percentile: float | None = None) -> float | None:
        """Return a percentile of the last calls in seconds, within 2 %; None without calls.

        Args:
            percentile: From 0 to 100; None for the percentile of the policy.

        Raises:
            ConfigError: ``percentile`` is not a number from 0 to 100.
        """
        if percentile is None:
            percentile = self._setting("percentile")
        problems = Problems("LatencyBudget", self.name)
        parts = _percentile(problems, "percentile", percentile)
        problems.done()
        return self._seconds(parts)

    def snapshot(self) -> LatencyBudgetSnapshot:
        """Return the current latency and counts; see ``LatencyBudgetSnapshot`` for the fields."""
        percentile = self._setting("percentile")
        parts = round(percentile * UNIT)
        total, exceeding = self._kernel.tally()
        recorded, violations, times_exhausted = self._counts_since_reset()
        asked = tuple(sorted((parts, *_SHOWN)))
        shown = dict(zip(asked, map(_seconds, self._kernel.percentiles_ns(asked)), strict=True))
        return LatencyBudgetSnapshot(
            name=self.name,
            target_latency=_in_seconds(self._setting("target")),
            percentile=percentile,
            current_latency=shown[parts],
            p50=shown[_SHOWN[0]],
            p95=shown[_SHOWN[1]],
            p99=shown[_SHOWN[2]],
            budget_exhausted=self.exhausted,
            total_requests=total,
            exceeding_requests=exceeding,
            allowed_requests=_allowed(total, parts),
            compliance_rate=1 - exceeding / total if total else 1.0,
            recorded=recorded,
            violations=violations,
            times_exhausted=times_exhausted,
        )

    def reset(self) -> None:
        """Forget the calls; the budget is then not exhausted. Counts in snapshots become zero."""
        turned = self._kernel.clear()
        self._before_reset = _fork_number(), self._kernel.counters()
        self._say("reset", "was reset")
        if turned:
            self._turned()

    def _in_words(self) -> str:
        samples, exceeding = self._kernel.tally()
        text = f"{exceeding} of {samples} above {_in_seconds(self._setting('target')):g} s"
        return f"exhausted, {text}" if self.exhausted else text

    def _figured(self) -> tuple[Part, ...]:
        return ((LATENCY_BUDGET, self._kernel, 0),)

    def _counts_since_reset(self) -> tuple[int, int, int]:
        """Return the kernel's counters less what they were at the last reset in this process."""
        total, violations, exhaustions = self._kernel.counters()
        fork, before = self._before_reset
        if fork != _fork_number():  # nothing was reset, or in a parent of this process
            before = (0, 0, 0)
        return total - before[0], violations - before[1], exhaustions - before[2]

    def _seconds(self, parts: int) -> float | None:
        return _seconds(self._kernel.percentiles_ns((parts,))[0])

    # ---- what the native gate asks ----

    def _turned(self) -> None:
        """Be told that the budget became exhausted or recovered."""
        telling: Telling | None = self._queue
        if telling is None:
            telling = self._once("_queue", Telling)
        telling.change(self._settle, self._tell)

    def _settle(self) -> list[tuple[int, bool]]:
        """Return the turns since the last ones, each with whether it exhausted the budget."""
        told, self._told = self._told, self._kernel.turns()
        return [(turn, turn % 2 == 0) for turn in range(told, self._told)]

    def _tell(self, _turn: int, exhausted: bool) -> None:
        target = _in_seconds(self._setting("target"))
        latency = self._seconds(round(self._setting("percentile") * UNIT))
        if exhausted:
            self._emit("budget_exhausted", old=target, new=latency, reason="latency")
        else:
            self._emit("budget_recovered", old=target, new=latency, reason="latency")


def _percentile(problems: Problems, field: str, value: float) -> int:
    """Check a percentile, and return it in the kernel's unit."""
    number = problems.number(field, value, most=100)
    if 0 < number < 1:
        problems.refuse(
            field, value, f"a number from 0 to 100, in percent; write {number * 100:.6g}"
        )
    return round(number * UNIT)


def _least(parts: int) -> int:
    """Return how many calls it takes for one of them to be above a percentile, at least 10."""
    above = 100 * UNIT - parts
    return LEAST if above == 0 else max(LEAST, -(-100 * UNIT // above))


def _allowed(samples: int, parts: int) -> int:
    """Return how many of so many calls may exceed the target, as the kernel does."""
    return min(samples * (100 * UNIT - parts) // (100 * UNIT), max(0, samples - 1))


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _in_seconds(duration: float | timedelta) -> float:
    return (duration_to_ns(duration) or 0) / 1e9
