"""What a composition means: entered in order, left in reverse, taken back where one refuses.

The single policies are the models beside this one; here is how they stand around a call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from holdfast import Rejected
from holdfast.categories import classify
from tests.models.breaker import Breaker, Change, State
from tests.models.bucket import TokenBucket
from tests.models.bulkhead import Bulkhead
from tests.models.windows import FAILURE, IGNORED, SUCCESS

REFUSING = {State.HALF_OPEN: "half-open", State.OPEN: "open", State.FORCED_OPEN: "forced-open"}


class Refusal(NamedTuple):
    name: str  # of the policy
    reason: str
    retry_after_ns: int | None


Named = tuple[type[Exception] | str, ...]  # classes and categories


def classes(named: Named) -> tuple[type[Exception], ...]:
    return tuple(one for one in named if isinstance(one, type))


def is_named(error: BaseException, named: Named) -> bool:
    """Whether an error is of a class, or of a category, which no rejection is."""
    if isinstance(error, classes(named)):
        return True
    return not isinstance(error, Rejected) and classify(error) in named


@dataclass(frozen=True)
class Verdicts:
    """What the end of a call means to a breaker."""

    on: Named = (Exception,)
    ignore: Named = ()
    is_failure: Callable[[Any], object] | None = None

    def of_result(self, result: object) -> int:
        return FAILURE if self.is_failure is not None and self.is_failure(result) else SUCCESS

    def of_error(self, error: BaseException) -> int:
        if not isinstance(error, Exception) or is_named(error, self.ignore):
            return IGNORED
        if isinstance(error, Rejected):
            rejections = tuple(one for one in classes(self.on) if issubclass(one, Rejected))
            if not isinstance(error, rejections):
                return IGNORED
        if not is_named(error, self.on):
            return SUCCESS
        return FAILURE if self.is_failure is None or self.is_failure(error) else SUCCESS


class Step:
    """A policy and what it holds of each call; `tell` hears of its events."""

    def __init__(self, name: str, mode: str, tell: Callable[..., None]) -> None:
        self.name = name
        self.observes = mode == "observe"
        self.is_off = mode == "off"
        self.waits_ns = 0  # before the call that entered last went on
        self.tell = tell

    def refusal(self, reason: str, retry_after_ns: int | None) -> Refusal:
        self.tell("rejection", self.name, reason, retry_after_ns)
        return Refusal(self.name, reason, retry_after_ns)


class BreakerStep(Step):
    def __init__(
        self, name: str, mode: str, tell: Any, model: Breaker, verdicts: Verdicts, records: bool
    ) -> None:
        super().__init__(name, mode, tell)
        self.model = model
        self.verdicts = verdicts
        self.records = records  # durations
        self.durations_ns: list[int] = []
        self.probes: list[Any] = []  # that what runs is inside of, the innermost last

    def changed(self, change: Change | None) -> None:
        if change is not None:
            old, new, generation, *_ = change
            kind = "transition" if max(old, new) <= State.OPEN else "override"
            self.tell(kind, self.name, (old, new), generation)

    def enter(self, now_ns: int) -> Any:
        permit = self.admit(now_ns)
        if not isinstance(permit, Refusal) and permit.lease is not None:
            self.probes.append(permit)
        return permit

    def admit(self, now_ns: int) -> Any:
        for probe in reversed(self.probes):
            if (permit := self.model.admit_inside(probe, now_ns)) is not None:
                return permit
        permit, change = self.model.admit(now_ns)
        if permit is None and self.observes:
            permit = self.model.admit_observed()
        self.changed(change)
        if permit is not None:
            return permit
        left_ns = self.model.retry_after_ns(now_ns)
        return self.refusal(REFUSING[self.model.state], None if left_ns < 0 else left_ns)

    def step_out(self, permit: Any) -> None:
        """What runs next is beside what holds the permit, not inside of it."""
        self.probes = [probe for probe in self.probes if probe is not permit]

    def undo(self, permit: Any) -> None:
        self.step_out(permit)
        self.model.undo(permit)

    def abandon(self, permit: Any, began_ns: int, now_ns: int) -> None:
        self.step_out(permit)
        self.model.abandon(permit)

    def leave(self, permit: Any, outcome: int, began_ns: int, now_ns: int) -> None:
        self.step_out(permit)
        timed = self.records or self.model.config.slow_ns > 0
        if self.records and outcome != IGNORED and not permit.is_silent:
            self.durations_ns.append(now_ns - began_ns)
        if outcome == SUCCESS and not timed and self.model.settle_fast(permit):
            return
        duration_ns = now_ns - began_ns if timed else -1
        self.changed(self.model.settle(permit, outcome, duration_ns, now_ns))

    def reset(self, now_ns: int) -> None:
        self.changed(self.model.override(State.CLOSED, now_ns))

    def counts(self, permit: Any) -> bool:
        """Whether a call that holds this is in flight."""
        return not permit.is_silent


class LimiterStep(Step):
    def __init__(
        self, name: str, mode: str, tell: Any, model: TokenBucket, max_wait_ns: int = 0
    ) -> None:
        super().__init__(name, mode, tell)
        self.model = model
        self.max_wait_ns = 0 if self.observes else max_wait_ns
        self.allowed = self.rejected = self.observed = 0

    def enter(self, now_ns: int, left_ns: int | None = None) -> Any:
        """Wait no longer than the time that is left, where there is a deadline."""
        longest_ns = self.max_wait_ns if left_ns is None else max(0, min(self.max_wait_ns, left_ns))
        due_ns = self.model.take_within(1, now_ns, longest_ns)
        self.waits_ns = max(0, due_ns)
        if due_ns >= 0:
            self.allowed += 1
            return "token"
        if self.observes:
            self.observed += 1
            return "nothing"
        self.rejected += 1
        return self.refusal("rate", self.model.wait_ns(1, now_ns))

    def take(self, n: int, now_ns: int, books: bool) -> int:
        """Tokens by hand: how long until they are there, or -1 when they were not taken."""
        if self.is_off:
            return 0
        books = books and not self.observes
        wait_ns = self.model.take_within(n, now_ns, 10**18 if books else 0)
        self.allowed += wait_ns >= 0
        if wait_ns >= 0 or not self.observes:
            self.rejected += wait_ns < 0
            return wait_ns
        self.observed += 1
        return 0

    def undo(self, held: str) -> None:
        if held == "token":
            self.allowed -= 1
            self.model.refund(1)
        else:
            self.observed -= 1

    def abandon(self, held: str, began_ns: int, now_ns: int) -> None:
        """Tokens are spent."""

    def leave(self, held: str, outcome: int, began_ns: int, now_ns: int) -> None:
        """Tokens are spent."""

    def reset(self, now_ns: int) -> None:
        self.model.clear()


class BulkheadStep(Step):
    def __init__(self, name: str, mode: str, tell: Any, model: Bulkhead) -> None:
        super().__init__(name, mode, tell)
        self.model = model
        self.observed = self.busy_ns = 0
        self.before_reset = (0,) * 7

    def enter(self, now_ns: int, tells: bool = True) -> Any:
        if self.model.try_enter():
            return now_ns
        if not self.observes:
            return self.refusal("full", None) if tells else Refusal(self.name, "full", None)
        self.model.rejected -= 1
        self.model.force_enter()
        self.observed += 1
        return now_ns

    def undo(self, since_ns: int) -> None:
        self.model.undo()

    def abandon(self, since_ns: int, began_ns: int, now_ns: int) -> None:
        self.leave(since_ns, IGNORED, began_ns, now_ns)

    def leave(self, since_ns: int, outcome: int, began_ns: int, now_ns: int) -> None:
        self.model.leave()
        self.busy_ns += now_ns - since_ns

    def totals(self) -> tuple[int, ...]:
        m = self.model
        return (
            m.admitted, m.completed, m.undone, m.rejected, m.over_released, self.observed,
            self.busy_ns,
        )  # fmt: skip

    def since_reset(self) -> list[int]:
        return [new - old for new, old in zip(self.totals(), self.before_reset, strict=True)]

    def reset(self, now_ns: int) -> None:
        self.before_reset = self.totals()

    def counts(self, since_ns: int) -> bool:
        return True


AnyStep = BreakerStep | LimiterStep | BulkheadStep


class Held(NamedTuple):
    """What a call that is inside holds, outermost first."""

    steps: list[tuple[AnyStep, Any]]
    began_ns: int


class Pipeline:
    """Steps around a call, those of inner pipelines in their places."""

    def __init__(self, steps: list[AnyStep]) -> None:
        self.steps = [step for step in steps if not step.is_off]
        self.inside: list[Held] = []
        self.open: list[Held] = []  # of blocks entered by hand: the newest is left first

    def enter(self, now_ns: int) -> Held | Refusal:
        """The call begins once it has waited."""
        steps: list[tuple[AnyStep, Any]] = []
        for step in self.steps:
            got = step.enter(now_ns)
            if isinstance(got, Refusal):
                for outer, its in reversed(steps):
                    outer.undo(its)
                return got
            now_ns += step.waits_ns
            steps.append((step, got))
        held = Held(steps, now_ns)
        self.inside.append(held)
        return held

    def step_out(self, held: Held) -> None:
        for step, its in held.steps:
            if isinstance(step, BreakerStep):
                step.step_out(its)

    def settle(self, held: Held, judge: Callable[[Verdicts], int], now_ns: int) -> None:
        self._forget(held)
        for step, its in reversed(held.steps):
            outcome = judge(step.verdicts) if isinstance(step, BreakerStep) else SUCCESS
            step.leave(its, outcome, held.began_ns, now_ns)

    def abandon(self, held: Held, now_ns: int) -> None:
        self._forget(held)
        for step, its in reversed(held.steps):
            step.abandon(its, held.began_ns, now_ns)

    def _forget(self, held: Held) -> None:
        self.inside = [other for other in self.inside if other is not held]
