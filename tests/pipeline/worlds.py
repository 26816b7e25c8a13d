"""A call as a script tells it, through real policies and through models: in a thread or a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import holdfast as hf
from tests.models.control import Call, Deadline, End, Exhausted, Raised, Time
from tests.models.control_steps import FallbackStep, PickyError, RetryStep, TimeoutStep
from tests.models.pipeline import Refusal
from tests.pipeline.composed import Policy
from tests.pipeline.controlled import Replayed, errors, part_of
from tests.pipeline.shown import seconds
from tests.waiting.clock_loop import asleep_ns, loop_of

WAYS = ("call", "guard", "try_call", "_call_counted")
HOLDS = ("with", "permit")
LONGEST = 10  # pipelines
MOST_RETRIES = 3  # in one: the attempts of each multiply those of the others
ODD_NS = 1000  # added to waits in tasks, so that few end just when a deadline does


@dataclass
class Attempt:
    """What the function does when it is called for the nth time."""

    parts: list[tuple[str, int]]  # "busy" or "wait", and how long
    inner: Script | None  # a call that it makes then
    forgives: bool  # goes on whatever came of that
    after_ns: int  # how long it then waits
    stubborn: bool  # goes on when it is cancelled
    end: str


@dataclass
class Script:
    """A call through one of the policies."""

    at: int
    way: str
    attempts: list[Attempt]
    interrupt_ns: int | None = None  # after the beginning of the outermost

    def attempt(self, n: int) -> Attempt:
        return self.attempts[min(n, len(self.attempts) - 1)]


@dataclass
class Plan:
    """Policies, and pipelines of them and of the pipelines before."""

    parts: int
    pipelines: list[list[int]]
    is_for_blocks: bool = False  # without what would run them again


class World:
    """Real policies on a clock of their own, and models on another; calls are made of both."""

    def __init__(self, plan: Plan, draw: Replayed, *, awaits: bool) -> None:
        self.plan = plan
        self.awaits = awaits
        self.clock = hf.ManualClock()
        self.time = Time(0, awaits=awaits)
        self.budgets: list[tuple[Any, Any]] = []
        self.heard: list[tuple[list[hf.RetryState], Any]] = []
        self.errors: dict[str, BaseException] = {}
        self._raised: dict[str, Raised] = {}
        self.left: list[float | None] = []  # until the deadline, wherever somebody looked
        self.expected_left: list[float | None] = []
        self._task: asyncio.Task[Any] | None = None
        self.loop = loop_of(self.clock) if awaits else None
        self.parts = [part_of(draw, at, self) for at in range(plan.parts)]
        Policy.of("all", self.parts)  # in a pipeline a breaker times its calls
        self.policies = list(self.parts)
        for at, chosen in enumerate(plan.pipelines):
            parts: list[Policy] = []
            for one in chosen:
                part = self.policies[one % len(self.policies)]
                steps = [step for other in [*parts, part] for step in other.steps]
                retries = sum(isinstance(step, RetryStep) for step in steps)
                if len(steps) <= LONGEST and retries <= MOST_RETRIES:
                    parts.append(part)
            self.policies.append(Policy.of(f"pipeline {at}", parts))

    def way(self, script: Script) -> str:
        """Blocks and permits are not run again; those of tasks are for others to check."""
        steps = self.policies[script.at % len(self.policies)].steps
        controls = any(isinstance(step, RetryStep | FallbackStep) for step in steps)
        has_permits = isinstance(self.policies[script.at % len(self.policies)].real, hf.Pipeline)
        if script.way in HOLDS and (self.awaits or controls or not has_permits):
            return "call"
        return script.way

    def close(self) -> None:
        if self.loop is not None:
            self.loop.close()

    def tell(self, *event: object) -> None:
        """Events are for others to check."""

    def raised(self, key: str) -> Raised:
        if key not in self._raised:
            self._raised[key] = Raised(self.errors[key], is_own=True)
        return self._raised[key]

    def pass_time(self, ns: int) -> None:
        self.clock.advance_ns(ns)
        self.time.busy(ns)

    # --- by the models -----------------------------------------------------------------------

    def expect(self, script: Script, deadline: Deadline | None = None) -> tuple[End, Call]:
        """What comes of a call."""
        made = 0

        def work(inside: Deadline | None) -> End:
            nonlocal made
            made += 1
            return self._expect_attempt(script.attempt(made - 1), inside)

        way = self.way(script)
        steps = self.policies[script.at % len(self.policies)].model.steps
        call = Call(self.time, steps, work, holds=way if way in HOLDS else "")
        return call.run(deadline), call

    def expect_left(self, deadline: Deadline | None) -> None:
        left_ns = None if deadline is None else max(0, deadline.ns - self.time.now_ns)
        self.expected_left.append(seconds(left_ns))

    def _expect_attempt(self, attempt: Attempt, deadline: Deadline | None) -> End:
        self.expect_left(deadline)
        for kind, ns in attempt.parts:
            if kind == "busy" or not self.awaits:
                raised = self.time.busy(ns)
            else:
                raised = self._expect_wait(ns, deadline)
            is_cancelled = raised and isinstance(raised.error, asyncio.CancelledError)
            if raised is not None and not (is_cancelled and attempt.stubborn):
                return End(ran=True, raised=raised)
        if attempt.inner is not None:
            end, _ = self.expect(attempt.inner, deadline)
            if end.raised is not None and not (
                attempt.forgives and isinstance(end.raised.error, Exception)
            ):
                return End(ran=True, raised=end.raised)
            if attempt.after_ns and (raised := self._expect_wait(attempt.after_ns, deadline)):
                return End(ran=True, raised=raised)
        if attempt.end in self.errors:
            return End(ran=True, raised=self.raised(attempt.end))
        return End(ran=True, value=attempt.end)

    def _expect_wait(self, ns: int, deadline: Deadline | None) -> Raised | None:
        return self.time.wait(ns + ODD_NS if self.awaits else ns, deadline)

    # --- by the real thing -------------------------------------------------------------------

    def make(self, script: Script) -> tuple[Any, BaseException | None, Any]:
        """Make the call: its value, what it raised, and what else it said of itself."""
        if self.loop is None:
            return self._call(script)

        async def main() -> Any:
            self._task = asyncio.current_task()
            return await self._acall(script)

        return self.loop.run_until_complete(main())

    async def asleep(self, ns: int) -> None:
        await asleep_ns(self.clock, ns)

    def interrupt(self) -> None:
        if not self.awaits:
            raise KeyboardInterrupt
        if asyncio.current_task(self.loop) is None and self._task is not None:
            self._task.cancel()

    def _call(self, script: Script) -> tuple[Any, BaseException | None, Any]:
        made = 0

        def fn() -> str:
            nonlocal made
            made += 1
            self.left.append(hf.deadline())
            attempt = script.attempt(made - 1)
            for _, ns in attempt.parts:
                self.clock.advance_ns(ns)
            if attempt.inner is not None:
                _, error, _ = self._call(attempt.inner)
                if error and not (attempt.forgives and isinstance(error, Exception)):
                    raise error
                self.clock.advance_ns(attempt.after_ns)
            return self._end(attempt)

        real = self.policies[script.at % len(self.policies)].real
        ways: dict[str, Callable[[], Any]] = {
            "guard": lambda: real(fn)(),
            "call": lambda: real.call(fn),
            "try_call": lambda: real.try_call(fn),
            "_call_counted": lambda: real._call_counted(fn),
            "with": lambda: with_block(real, fn),
            "permit": lambda: with_permit(real, fn),
        }
        try:
            got = ways[self.way(script)]()
        except BaseException as error:
            return None, error, made
        return read(got, made)

    async def _acall(self, script: Script) -> tuple[Any, BaseException | None, Any]:
        made = 0

        async def fn() -> str:
            nonlocal made
            made += 1
            self.left.append(hf.deadline())
            attempt = script.attempt(made - 1)
            for kind, ns in attempt.parts:
                if kind == "busy":
                    self.clock.advance_ns(ns)
                    continue
                try:
                    await self.asleep(ns + ODD_NS)
                except asyncio.CancelledError:
                    if not attempt.stubborn:
                        raise
            if attempt.inner is not None:
                _, error, _ = await self._acall(attempt.inner)
                if error and not (attempt.forgives and isinstance(error, Exception)):
                    raise error
                if attempt.after_ns:
                    await self.asleep(attempt.after_ns + ODD_NS)
            return self._end(attempt)

        real = self.policies[script.at % len(self.policies)].real
        ways: dict[str, Callable[[], Any]] = {
            "guard": lambda: real(fn)(),
            "call": lambda: real.acall(fn),
            "try_call": lambda: real.try_acall(fn),
            "_call_counted": lambda: real._acall_counted(fn),
        }
        try:
            got = await ways[self.way(script)]()
        except BaseException as error:
            return None, error, made
        return read(got, made)

    def _end(self, attempt: Attempt) -> str:
        if attempt.end in self.errors:
            raise self.errors[attempt.end]
        return attempt.end

    # --- both --------------------------------------------------------------------------------

    def compare(self, script: Script) -> None:
        """Make a call both ways, and compare what came of it."""
        self.errors = errors()
        self._raised = {}
        cancel: Callable[[], object] = int
        if script.interrupt_ns is not None:
            at_ns = self.time.now_ns + script.interrupt_ns
            self.time.interrupt_ns = at_ns
            cancel = self.clock.call_at_ns(at_ns, self.interrupt)
        end, call = self.expect(script)
        self.time.interrupt_ns = None
        value, error, what = self.make(script)
        cancel()
        assert same(error, end.raised), (error, end)
        assert self.clock.now_ns() == self.time.now_ns
        assert self.left == self.expected_left
        assert hf.deadline() is None
        if error is None:
            assert value == end.value
        if isinstance(what, int):
            assert what == call.attempts
            return
        outcome, made, waited_ns, stand_ins = what
        assert bool(outcome) is (error is None)
        assert (outcome.rejection is not None) is end.refused
        if made is not None:
            assert (made, waited_ns, stand_ins) == (call.attempts, call.waited_ns, call.stand_ins)


def with_block(policy: Any, fn: Callable[[], str]) -> str:
    with policy:
        return fn()


def with_permit(policy: Any, fn: Callable[[], str]) -> str:
    with policy.acquire():
        return fn()


def read(got: Any, made: int) -> tuple[Any, BaseException | None, Any]:
    counts = (None, None, None)
    if isinstance(got, tuple):
        got, *counts = got
        assert counts[0] == made
    if not isinstance(got, hf.Outcome):
        return got, None, made
    return (got.value if got else None), got.error or got.rejection, (got, *counts)


def same(real: BaseException | None, want: Raised | None, depth: int = 4) -> bool:
    """Whether an exception is what the model says, with its cause and notes."""
    if real is None or want is None or depth == 0:
        return depth == 0 or (real is None and want is None)
    if want.is_own and real is not want.error:
        return False
    if type(real) is not type(want.error) or getattr(real, "__notes__", []) != want.notes:
        return False
    if not isinstance(want.error, PickyError) and not same(real.__cause__, want.cause, depth - 1):
        return False
    made = want.made
    if isinstance(made, Refusal):
        assert isinstance(real, hf.Rejected)
        said = (real.name, real.reason, real.retry_after)
        return said == (made.name, made.reason, seconds(made.retry_after_ns))
    if isinstance(made, Exhausted):
        assert isinstance(real, hf.RetryExhaustedError)
        shown = (real.name, real.attempts, real.elapsed, real.result)
        return shown == (made.name, made.attempts, made.elapsed_ns / 1e9, made.result)
    return not isinstance(made, TimeoutStep) or f"timeout {made.name!r}" in str(real)
