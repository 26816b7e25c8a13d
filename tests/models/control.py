"""What a pipeline that retries, cuts short and stands in means: a call goes inward step by step.

A call through steps is one function that calls itself for the steps inside: it enters a step, lets
the rest run, and leaves the step with what came of it. Threads and tasks differ in three places:
in ``wait``, where a task is cut, in what a ``Timeout`` makes of the end, and in how a caller
interrupts.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import holdfast as hf
from tests.models.control_steps import FallbackStep, PickyError, RetryStep, TimeoutStep
from tests.models.pipeline import BreakerStep, BulkheadStep, LimiterStep, Refusal, Step, is_named
from tests.models.windows import FAILURE

REFUSALS: dict[type[Step], type[hf.Rejected]] = {
    BreakerStep: hf.CircuitOpenError,
    LimiterStep: hf.RateLimitedError,
    BulkheadStep: hf.BulkheadFullError,
}
WHY = {
    "exhausted": "",
    "out_of_time": ", no time for another within max_time",
    "deadline": ", no time for another before the deadline",
    "no_budget": ", no budget for another",
}


class UnclearError(Exception):
    """Two things happen at once, and which is first is nobody's promise."""


class Exhausted(NamedTuple):
    name: str
    attempts: int
    elapsed_ns: int
    result: object


@dataclass(eq=False)
class Raised:
    """An exception under way: the very object, or one of the class that a policy makes."""

    error: BaseException
    made: TimeoutStep | Refusal | Exhausted | None = None
    is_own: bool = False  # the script's own object
    cause: Raised | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def retry_after(self) -> object:
        if isinstance(self.made, Refusal):
            ns = self.made.retry_after_ns
            return None if ns is None else ns / 1e9
        return getattr(self.error, "retry_after", None)


@dataclass
class End:
    """How what is inside a step has ended."""

    ran: bool  # it was called at all, or something stood in for it
    value: Any = None
    raised: Raised | None = None
    refused: bool = False  # by a step of this call

    @property
    def error(self) -> BaseException | None:
        return self.raised and self.raised.error


@dataclass(eq=False)
class Deadline:
    """What is in force inside of a timeout, and in a task the alarm of that very timeout."""

    ns: int
    owner: TimeoutStep  # of this one or of one around it
    rings_ns: int
    step: TimeoutStep
    call: Call
    at: int
    outer: Deadline | None
    cancels_before: int | None = None  # its first wait, where the alarm is set
    rang: bool = False
    is_due: bool = False  # it cuts the next wait

    def all(self) -> Iterator[Deadline]:
        """This one and those around it."""
        one: Deadline | None = self
        while one is not None:
            yield one
            one = one.outer


class Time:
    """What the clock shows, and who waits on it."""

    def __init__(self, now_ns: int, *, awaits: bool) -> None:
        self.now_ns = now_ns
        self.awaits = awaits
        self.interrupt_ns: int | None = None  # when the caller loses patience
        self.cancels = 0

    def _comes(self, ns: int) -> bool:
        at_ns = self.interrupt_ns
        if at_ns is None or not self.now_ns < at_ns <= self.now_ns + ns:
            return False
        self.interrupt_ns = None
        return True

    def busy(self, ns: int) -> Raised | None:
        """Let time pass without a wait: a task hears of nothing meanwhile."""
        interrupt_ns = self.interrupt_ns
        if self._comes(ns) and not self.awaits:
            self.now_ns = interrupt_ns or 0
            return Raised(KeyboardInterrupt())
        self.now_ns += ns
        return None

    def wait(self, ns: int, deadline: Deadline | None) -> Raised | None:
        """Wait; return what ends the wait before time."""
        if ns == 0 or not self.awaits:
            return self.busy(ns)
        alarms = [] if deadline is None else list(deadline.all())
        if self._cuts_at_once(alarms):
            return Raised(CancelledError())
        waiting = [max(one.rings_ns, self.now_ns) for one in alarms if not one.rang]
        end_ns = self.now_ns + ns
        due_ns = min(waiting, default=end_ns + 1)
        interrupt_ns = self.interrupt_ns
        if end_ns == due_ns or interrupt_ns in (end_ns, due_ns):
            raise UnclearError  # of two timers for one moment, either may ring first
        if self._comes(min(end_ns, due_ns) - self.now_ns):
            self.now_ns = interrupt_ns or 0
            self.cancels += 1
            return Raised(CancelledError())
        self.now_ns = min(end_ns, due_ns)
        if due_ns > end_ns:
            return None
        self._ring(alarms)
        return Raised(CancelledError())

    def _cuts_at_once(self, alarms: list[Deadline]) -> bool:
        """Whether an alarm has rung before the wait begins; those that are new are set."""
        for one in alarms:
            if one.cancels_before is None:
                one.cancels_before = self.cancels
            elif not one.rang and one.rings_ns <= self.now_ns:
                one.is_due = True  # it rang while the task was busy
        if not any(one.is_due for one in alarms):
            return False
        self._ring(alarms)
        return True

    def _ring(self, alarms: list[Deadline]) -> None:
        """All that are late cut together."""
        for one in alarms:
            if one.is_due or (not one.rang and one.rings_ns <= self.now_ns):
                one.rang, one.is_due = True, False
                one.call.fired[one.at] = one


@dataclass(eq=False)
class Call:
    """One call through steps; `work` is the function, told the deadline it runs under."""

    time: Time
    steps: list[Any]
    work: Callable[[Deadline | None], End]
    holds: str = ""  # "with" or "permit": what is inside runs by hand
    attempts: int = 0
    stand_ins: int = 0
    waited_ns: int = 0
    fired: dict[int, Deadline] = field(default_factory=dict)  # by the timeout whose alarm cut it
    around: Deadline | None = None
    begun: list[list[int]] = field(default_factory=list)  # by breaker: when its first attempt was

    def run(self, deadline: Deadline | None = None) -> End:
        self.around = deadline
        return self.through(0, deadline)

    def through(self, at: int, deadline: Deadline | None) -> End:
        """Pass the steps from `at` on, run, and come back."""
        if at == len(self.steps):
            self._begin()
            self.attempts += 1
            return self.work(self.around if self.holds == "permit" else deadline)
        step = self.steps[at]
        if isinstance(step, RetryStep):
            return self._retry(step, at, deadline)
        if isinstance(step, TimeoutStep):
            return self._timeout(step, at, deadline)
        if isinstance(step, FallbackStep):
            return self._fallback(step, at, deadline)
        return self._admit(step, at, deadline)

    def _begin(self) -> None:
        for began in self.begun:
            if not began:
                began.append(self.time.now_ns)

    # --- what admits -------------------------------------------------------------------------

    def _admit(self, step: Any, at: int, deadline: Deadline | None) -> End:
        time = self.time
        if isinstance(step, LimiterStep):
            got = step.enter(time.now_ns, deadline and deadline.ns - time.now_ns)
        else:
            got = step.enter(time.now_ns)
        if isinstance(got, Refusal):
            self._begin()
            kind = REFUSALS[type(step)]
            return End(ran=False, raised=Raised(kind.__new__(kind), got), refused=True)
        if interrupted := step.waits_ns and time.wait(step.waits_ns, deadline):
            step.undo(got)
            return End(ran=False, raised=interrupted)
        began: list[int] = []
        self.begun.append(began)
        end = self.through(at + 1, deadline)
        self.begun.pop()
        if not end.ran:
            step.undo(got)
            return end
        outcome = 0
        if isinstance(step, BreakerStep):
            judge = step.verdicts
            if end.error is not None:
                outcome = judge.of_error(end.error)
            elif not self.holds:  # a block has no result
                outcome = judge.of_result(end.value)
        step.leave(got, outcome, began[0] if began else time.now_ns, time.now_ns)
        return end

    # --- timeouts ----------------------------------------------------------------------------

    def _timeout(self, step: TimeoutStep, at: int, around: Deadline | None) -> End:
        time, since_ns = self.time, self.time.now_ns
        if step.observes:
            end = self.through(at + 1, around)
            if end.ran:
                step.count_observed(time.now_ns - since_ns)
            return end
        if around is not None and around.ns <= since_ns:
            step.refused += 1
            return End(ran=False, raised=exceeded(around.owner))
        until_ns = since_ns + step.duration_ns
        is_own = around is None or until_ns < around.ns
        ns, owner = (until_ns, step) if around is None or is_own else (around.ns, around.owner)
        inside = Deadline(ns, owner, until_ns, step, self, at, around)
        end = self.through(at + 1, inside)
        is_late = time.now_ns >= inside.ns
        is_cut = False
        if (
            time.awaits and not self.holds
        ):  # an alarm cuts, and what comes to its end all the same is in time
            is_late = is_late and end.error is not None
            is_cut = isinstance(end.error, CancelledError) and self._was_cut(at)
        if is_cut:  # whoever cuts first among those of this call
            owner, is_own = self.fired[min(self.fired)].step, min(self.fired) == at
            for one in inside.all():  # those around the call have asked for the same
                one.is_due |= one.rang and one.call is not self
        self.fired.pop(at, None)
        if self.holds:  # all that it has kept is whose deadline it was
            is_own = inside.owner is step and end.ran  # a block that was not entered took no time
        expired = is_own and (is_late or is_cut)
        is_dropped = is_late and end.error is None
        step.expired += expired
        step.in_time += end.ran and not expired  # a wait that was in vain is no call
        step.late += is_own and is_dropped
        if is_cut:
            return End(end.ran, raised=exceeded(owner, cause=end.raised))
        if is_dropped:
            return End(end.ran, raised=exceeded(owner))
        return end

    def _was_cut(self, at: int) -> bool:
        """By an alarm of that timeout or of one around it, and by no caller since it was set."""
        outermost = min(self.fired, default=at + 1)
        if outermost > at:
            return False
        before = self.fired[outermost].cancels_before
        return before is not None and self.time.cancels <= before

    # --- fallbacks ---------------------------------------------------------------------------

    def _fallback(self, step: FallbackStep, at: int, deadline: Deadline | None) -> End:
        end = self.through(at + 1, deadline)
        first = end.raised
        takes = first is not None and is_named(first.error, step.on)
        if first is None or not takes or step.observes:
            step.passed += not takes
            step.observed += takes
            return end
        for one in deadline.all() if deadline is not None else ():
            one.is_due |= one.rang and one.call is self  # it has no more time than the call
        end = step.stand_in(first, self.time, deadline)
        if end.raised is None:
            step.used += 1
            self.stand_ins += 1
        else:
            step.failed += 1
            if end.raised is not first and end.raised.cause is None:
                end.raised.cause = first
        return end

    # --- retries -----------------------------------------------------------------------------

    def _retry(self, step: RetryStep, at: int, deadline: Deadline | None) -> End:
        time, began_ns = self.time, self.time.now_ns
        if not step.observes and deadline is not None and deadline.ns <= began_ns:
            return End(ran=False, raised=exceeded(deadline.owner))
        retries, delay_ns, ran = 0, None, False
        while True:
            end = self.through(at + 1, deadline)
            ran = end.ran = end.ran or ran
            if not self._may_follow(step, end, retries):
                return end
            step.record(failed=True)
            if step.observes:
                step.observed += step.attempts > 1
                step.gave_up["exhausted"] += 1
                return end
            elapsed_ns = time.now_ns - began_ns
            why, next_ns = "exhausted", 0
            if retries < step.attempts - 1:
                next_ns = step.delay_ns(retries, delay_ns, end)
                why = step.why_not(next_ns, elapsed_ns, time.now_ns, deadline and deadline.ns)
            if why:
                return self._give_up(step, end, why, retries + 1, elapsed_ns)
            step.hear("again", retries + 1, next_ns, elapsed_ns, end)
            retries, delay_ns = retries + 1, next_ns
            step.count_delay(delay_ns)
            if interrupted := time.wait(delay_ns, deadline):
                step.gave_up["cancelled"] += 1
                step.give_back()
                return End(ran=ran, raised=interrupted)
            step.count_retry(retries)
            self.waited_ns += delay_ns

    def _may_follow(self, step: RetryStep, end: End, retries: int) -> bool:
        """Whether the end is one that is tried again; count it if it is not."""
        error = end.error
        if error is None:
            if step.on_result is not None and step.on_result(end.value):
                return True
            step.succeed(retries)
            return False
        if not isinstance(error, Exception):
            step.gave_up["cancelled"] += 1
            return False
        named = step.judge.of_error(error) == FAILURE
        rejected = isinstance(error, hf.Rejected) and not named
        try:
            may = named and (not step.wants or step.wants(error))
        except PickyError as raised:
            end.raised, end.refused, may = Raised(raised), False, False
        step.gave_up["rejected" if rejected else "not_retryable"] += not may
        return bool(may)

    def _give_up(self, step: RetryStep, end: End, why: str, made: int, elapsed_ns: int) -> End:
        step.gave_up[why] += 1
        step.hear(why, made, 0, elapsed_ns, end)
        raised = end.raised
        if step.wraps:
            error = hf.RetryExhaustedError(step.name, made, 0.0, "")
            error.__cause__ = None if end.raised is None else end.raised.error
            what = Exhausted(step.name, made, elapsed_ns, end.value)
            return End(end.ran, raised=Raised(error, what, cause=raised))
        if raised is not None and step.attempts > 1:
            ending = f", policy {step.name!r}"
            attempts = "1 attempt" if made == 1 else f"{made} attempts"
            raised.notes[:] = [note for note in raised.notes if not note.endswith(ending)]
            raised.notes.append(f"{attempts} in {elapsed_ns / 1e9:.3g} s{WHY[why]}{ending}")
        return end


def exceeded(owner: TimeoutStep, cause: Raised | None = None) -> Raised:
    return Raised(hf.DeadlineExceededError("late"), owner, cause=cause)
