"""Whole pipelines as users see them, against a model of composition that reads from top to bottom.

The kernels have theirs (``tests/native/``). Here policies, alone and composed, have settings in
seconds, a clock that steps back and listeners, and it counts what stands around a call: who
refuses, what others take back, what its end means to each.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

import holdfast as hf
from tests.models.breaker import State
from tests.models.pipeline import BreakerStep, BulkheadStep, Held, LimiterStep, Refusal
from tests.models.windows import FAILURE, IGNORED, SUCCESS
from tests.pipeline.composed import (
    ENDS,
    MAKERS,
    MS,
    NESTS,
    WAYS,
    Policy,
    exact,
    nest_way,
    pauses,
    went,
)
from tests.pipeline.shown import STATES, check_refusal, check_shown, seconds

pytestmark = pytest.mark.stress

ORDERS = ("reset", "half_open", "trip", "force_open", "disable", "metrics_only")  # as State counts
EXPECTED = (hf.Rejected, *{type(end) for end in ENDS if isinstance(end, BaseException)})
picks = st.integers(0, 100)
few = st.lists(picks, min_size=1, max_size=3)
ends = st.sampled_from(ENDS)


class PipelineMachine(RuleBasedStateMachine):
    """Calls, permits and blocks that go through pipelines and their policies, in any order."""

    permits = Bundle("permits")
    nests = Bundle("nests")
    places = Bundle("places")

    @initialize(data=st.data(), start=st.sampled_from([0, 5 * MS + 7, 10**18]))
    def make(self, data: st.DataObject, start: int) -> None:
        draw: Any = data.draw
        self.clock = hf.ManualClock()
        self.clock.advance_ns(start)
        self.told: list[tuple[Any, ...]] = []
        self.expected: list[tuple[Any, ...]] = []
        self.by_hand: Counter[str] = Counter()  # places of bulkheads
        kinds = draw(st.lists(st.sampled_from(list(MAKERS)), min_size=1, max_size=3))
        self.parts = [
            MAKERS[kind](draw, f"{kind} {at}", self.clock, self.expect)
            for at, kind in enumerate(kinds)
        ]
        self.pipes = [Policy.of("first", self.parts)]
        if draw(st.booleans()):  # one that shares
            self.pipes.append(Policy.of("second", self.some(draw, self.parts)))
        if draw(st.booleans()):  # one that nests
            self.pipes.append(Policy.of("outer", self.some(draw, self.parts + self.pipes)))
        self.everything = self.pipes + self.parts
        self.listens = draw(st.booleans())
        for part in self.parts:
            note(part.real.describe())
            if self.listens:
                part.real.on_event(self.note_event)

    def some(self, draw: Any, among: list[Policy]) -> list[Policy]:
        return draw(st.lists(st.sampled_from(among), min_size=1, max_size=2))

    def pick(self, at: int) -> Policy:
        return self.everything[at % len(self.everything)]

    def expect(self, kind: str, name: str, what: Any, figure: int | None) -> None:
        shown = seconds(figure) if kind == "rejection" else figure
        self.expected.append((kind, name, what, shown))

    def note_event(self, event: hf.Event) -> None:
        if event.kind == "rejection":
            self.told.append(("rejection", event.name, event.reason, event.retry_after))
        else:
            change = STATES.index(event.old), STATES.index(event.new)
            self.told.append((event.kind, event.name, change, event.generation))

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    # --- time --------------------------------------------------------------------------------

    @rule(ns=pauses)
    def wait(self, ns: int) -> None:
        self.clock.advance_ns(ns)

    @rule(at=picks, beside=st.sampled_from([-1, 0, 1]))
    def wait_out_an_opening(self, at: int, beside: int) -> None:  # CB-04
        if chosen := self.one(at, BreakerStep):
            left_ns = chosen[1].model.retry_after_ns(self.now_ns)
            self.clock.advance_ns(max(0, left_ns + beside))

    @rule(share=st.floats(0, 1))
    def the_clock_steps_back(self, share: float) -> None:  # trap 20
        before_ns, shown_ns = self.now_ns, self.clock.shown_ns()
        self.clock.set_ns(min(shown_ns, int(shown_ns * share)))
        assert self.now_ns == before_ns

    # --- calls -------------------------------------------------------------------------------

    @rule(
        calls=st.lists(
            st.tuples(picks, st.sampled_from(list(WAYS)), pauses), min_size=1, max_size=3
        ),
        end=ends,
    )
    def call(self, calls: list[tuple[int, str, int]], end: BaseException | str) -> None:
        # trap 6, trap 55
        """Each call makes the next one inside; the last one ends."""
        with suppress(*EXPECTED):
            self.perform(calls, end)

    def perform(self, calls: list[tuple[int, str, int]], end: BaseException | str) -> str:
        if not calls:
            if isinstance(end, str):
                return end
            raise end.with_traceback(None)
        (at, way, lasts), *inner = calls
        policy = self.pick(at)
        judges_result, go = WAYS[policy.way(way)]
        held = policy.model.enter(self.now_ns)
        ran: list[BaseException | None] = []

        def work() -> str:
            ran.append(None)
            self.clock.advance_ns(lasts)
            try:
                return self.perform(inner, end)
            except BaseException as error:
                ran[-1] = error
                raise

        answer, error = went(go, policy.real, work)
        if isinstance(held, Refusal):
            assert not ran
            check_refusal(policy, held, error)
            raise error  # type: ignore[misc]
        assert ran == [error]
        if error is not None:
            policy.model.settle(held, lambda v: v.of_error(error), self.now_ns)
            raise error
        policy.model.settle(
            held, lambda v: v.of_result(answer) if judges_result else SUCCESS, self.now_ns
        )
        return answer

    # --- permits -----------------------------------------------------------------------------

    @rule(target=permits, at=picks)
    def acquire(self, at: int) -> object:  # CB-17, trap 7
        among = [policy for policy in self.everything if policy.has_permits]
        policy = among[at % len(among)]
        held = policy.model.enter(self.now_ns)
        try:
            got = policy.real.acquire()
        except hf.Rejected as error:
            assert isinstance(held, Refusal)
            check_refusal(policy, held, error)
            return multiple()
        assert isinstance(held, Held)
        policy.model.step_out(held)
        return [policy, got, held]  # a list, for what consumes it may drop the permit

    @rule(permit=consumes(permits), outcome=st.sampled_from([SUCCESS, FAILURE, IGNORED]))
    def settle(self, permit: list[Any], outcome: int) -> None:  # CB-17, trap 1, trap 2, trap 3
        policy, got, held = permit
        assert (got.success, got.failure, got.ignore)[outcome]() is True
        policy.model.settle(held, lambda _: outcome, self.now_ns)
        assert got.settled
        for again in (got.success, got.failure, got.ignore):
            assert again() is False

    @rule(permit=consumes(permits), end=ends.filter(lambda end: not isinstance(end, str)))
    def settle_with_an_exception(self, permit: list[Any], end: BaseException) -> None:
        policy, got, held = permit
        assert got.failure(end) is True
        policy.model.settle(held, lambda v: v.of_error(end), self.now_ns)
        assert got.failure(end) is False

    @rule(permit=consumes(permits))
    def drop(self, permit: list[Any]) -> None:  # trap 4
        policy, _, held = permit
        permit.clear()
        gc.collect(0)
        policy.model.abandon(held, self.now_ns)

    # --- blocks, coroutines and streams that stay open, inside one another -------------------

    @rule(target=nests, ats=few, way=st.sampled_from(list(NESTS)))
    def open(self, ats: list[int], way: str) -> object:
        policies = [self.pick(at) for at in ats]
        way = nest_way(policies, way)
        is_stack = "stack" in way
        inside: list[tuple[Policy, Held]] = []
        refusal, now_ns = None, self.now_ns
        for policy in policies:
            held = policy.model.enter(now_ns)
            if isinstance(held, Refusal):
                refusal = policy, held
                break
            now_ns = held.began_ns
            inside.append((policy, held))
            if is_stack:
                policy.model.open.append(held)
        nest = NESTS[way]([policy.real for policy in policies])
        try:
            nest.send(None)
        except hf.Rejected as error:
            assert refusal is not None
            check_refusal(*refusal, error)
            self.leave(inside, is_stack, error)
            return multiple()
        assert refusal is None
        if way == "stream":
            for policy, held in inside:
                policy.model.step_out(held)  # its consumer is not inside
        return [nest, inside, way]

    def leave(
        self, inside: list[tuple[Policy, Held]], is_stack: bool, error: BaseException | None
    ) -> None:
        for policy, its in reversed(inside):
            held = policy.model.open.pop() if is_stack else its
            policy.model.settle(
                held, lambda v: SUCCESS if error is None else v.of_error(error), self.now_ns
            )

    @rule(nest=consumes(nests), end=ends)
    def end(self, nest: list[Any], end: BaseException | str) -> None:
        real, inside, way = nest
        error = None if isinstance(end, str) else end
        try:
            if error is None:
                real.send(None)
            else:
                real.throw(error.with_traceback(None))
        except StopIteration:
            assert error is None
        except EXPECTED as caught:
            if caught is not error:
                raise
        else:
            raise AssertionError("it goes on")
        self.leave(inside, "stack" in way, error)

    @rule(nest=consumes(nests))
    def close(self, nest: list[Any]) -> None:  # trap 5
        nest[0].close()
        self.leave_unfinished(nest)

    @rule(nest=consumes(nests))
    def forget(self, nest: list[Any]) -> None:  # trap 4, trap 5
        nest[0] = None
        gc.collect(0)
        self.leave_unfinished(nest)

    def leave_unfinished(self, nest: list[Any]) -> None:
        """A block or a stream sees it as an exception; of an awaitable nothing is ever heard."""
        _, inside, way = nest
        if way != "acall":
            self.leave(inside, "stack" in way, GeneratorExit())
            return
        for policy, held in reversed(inside):
            policy.model.abandon(held, self.now_ns)

    # --- by hand -----------------------------------------------------------------------------

    def one(self, at: int, kind: type[Any]) -> tuple[Any, Any] | None:
        """A policy of a kind, and its step; None when there is none."""
        among = [part for part in self.parts if isinstance(part.steps[0], kind)]
        if not among:
            return None
        part = among[at % len(among)]
        return part.real, part.steps[0]

    @rule(at=picks, to=st.sampled_from([*State, State.CLOSED, State.OPEN, State.HALF_OPEN]))
    def order(self, at: int, to: State) -> None:  # CB-19, trap 12
        if chosen := self.one(at, BreakerStep):
            breaker, step = chosen
            getattr(breaker, ORDERS[to])()
            step.changed(step.model.override(to, self.now_ns))

    @rule(at=picks, rate=st.integers(1, 5), burst=st.none() | st.integers(1, 5))
    def resize_limiter(self, at: int, rate: int, burst: int | None) -> None:
        if chosen := self.one(at, LimiterStep):
            limiter, step = chosen
            limiter.resize(rate=rate, burst=burst)
            step.model.resize(*exact(rate, 7 * MS), burst or step.model.burst, self.now_ns)

    @rule(at=picks, n=st.integers(1, 3), books=st.booleans())
    def take_tokens(self, at: int, n: int, books: bool) -> None:
        if chosen := self.one(at, LimiterStep):
            limiter, step = chosen
            if n > step.model.burst:
                return
            want_ns = step.take(n, self.now_ns, books)
            if books:
                assert limiter.reserve(n) == seconds(want_ns)
            else:
                assert limiter.try_acquire(n) is (want_ns == 0)

    @rule(at=picks)
    def clear_limiter(self, at: int) -> None:
        if chosen := self.one(at, LimiterStep):
            limiter, step = chosen
            limiter.clear()
            step.model.clear()

    @rule(at=picks, places=st.integers(1, 4))
    def resize_bulkhead(self, at: int, places: int) -> None:
        if chosen := self.one(at, BulkheadStep):
            bulkhead, step = chosen
            bulkhead.resize(places)
            step.model.resize(places)

    @rule(target=places, at=picks)
    def enter_by_hand(self, at: int) -> object:
        chosen = self.one(at, BulkheadStep)
        if not chosen or chosen[1].is_off:
            return multiple()
        bulkhead, step = chosen
        held = step.enter(self.now_ns, tells=False)
        assert bulkhead.try_enter() is not isinstance(held, Refusal)
        if isinstance(held, Refusal):
            return multiple()
        self.by_hand[step.name] += 1
        return chosen

    @rule(place=consumes(places))
    def leave_by_hand(self, place: tuple[Any, BulkheadStep]) -> None:
        bulkhead, step = place
        bulkhead.leave()
        step.model.leave()
        self.by_hand[step.name] -= 1

    @rule(at=picks)
    def reset(self, at: int) -> None:  # GEN-09
        policy = self.pick(at)
        policy.real.reset()
        for step in policy.steps:
            step.reset(self.now_ns)

    # --- always ------------------------------------------------------------------------------

    @invariant()
    def tells_every_event_once(self) -> None:  # CB-07, trap 8
        assert self.told == (self.expected if self.listens else [])

    @invariant()
    def shows_what_each_policy_is(self) -> None:
        # CB-01, CB-23, CB-24, BH-07, RL-07, trap 9, trap 15, trap 18, trap 23, trap 28
        for part in self.parts:
            check_shown(part, self.now_ns)

    @invariant()
    def what_is_inside_is_what_was_not_left(self) -> None:  # CB-16, trap 3, trap 4
        """Counted from the calls that are open, not by the models of the policies."""
        inside = self.by_hand.copy()
        for policy in self.everything:
            for held in policy.model.inside:
                for step, its in held.steps:
                    if not isinstance(step, LimiterStep) and step.counts(its):
                        inside[step.name] += 1
        for part in self.parts:
            if hasattr(part.real, "in_flight"):
                assert part.real.in_flight == inside[part.real.name]

    @invariant()
    def a_pipeline_shows_its_parts(self) -> None:
        for pipe in self.pipes:
            parts = tuple(part.snapshot() for part in pipe.real.policies)
            assert pipe.real.snapshot().policies == parts


# The same examples in every quick run, more and random ones in `make stress`.
scale = int(os.environ.get("STRESS_SCALE", "1"))

TestPipeline = PipelineMachine.TestCase
TestPipeline.settings = settings(
    max_examples=80 * scale,
    stateful_step_count=40,
    derandomize=scale == 1,
    suppress_health_check=[HealthCheck.too_slow],
)
