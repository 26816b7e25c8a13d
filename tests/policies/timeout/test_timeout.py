"""Timeouts in threads: cooperative, counted, and bounding what waits inside of them."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import pytest

import holdfast as hf
from tests.policies.timeout.timeouts import Work, counts, permit_of, raised


def test_its_default_is_thirty_seconds():  # TO-01
    assert hf.Timeout().duration == 30
    assert hf.Timeout(timedelta(minutes=1)).duration == 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"duration": 0}, r"duration: got 0, allowed seconds or a timedelta from 1e-06 to"),
        ({"duration": -1}, r"duration: got -1"),
        ({"duration": float("nan")}, r"duration: got nan"),
        ({"duration": float("inf")}, r"duration: got inf"),
        ({"duration": None}, r"duration: got None"),
        ({"duration": "30"}, r"duration: got '30'"),
        ({"duration": True}, r"duration: got True"),
        ({"thread": 1}, r"thread: got 1, allowed True or False"),
        ({"workers": 0}, r"workers: got 0, allowed an integer from 1 to 10000"),
        ({"workers": 10_001}, r"workers: got 10001"),
        ({"name": ""}, r"name: got ''"),
        ({"clock": 7}, r"clock: got 7"),
        ({"mode": "loud"}, r"mode: got 'loud'"),
        ({"shared": True}, r"shared: got True, allowed False for a policy without a name"),
    ],
)
def test_what_it_cannot_be_is_refused_by_name(settings, message):
    with pytest.raises(hf.ConfigError, match=message):
        hf.Timeout(**settings)


def test_everything_that_is_wrong_is_named_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.Timeout(-1, workers=0, mode="loud")
    assert len(caught.value.problems) == 3
    assert str(caught.value).startswith("Timeout: duration")


def test_one_without_a_name_is_not_in_the_registry():
    nameless = hf.Timeout(1)
    named = hf.Timeout(1, name="network", shared=True)
    assert nameless.name is None
    assert hf.registry.get("timeout", "network") is named
    assert nameless not in hf.registry.all()
    assert hf.Timeout(1, name="network", shared=True) is named
    with pytest.raises(hf.ConfigError):
        hf.Timeout(2, name="network", shared=True)
    assert "Timeout" in repr(nameless)
    assert nameless.describe().startswith("Timeout: duration=1, ")  # no "None", as if of the limit


def test_a_value_that_comes_in_time_is_returned(clock):
    policy = hf.Timeout(1, clock=clock)
    assert policy.call(Work(clock, 0.999)) == "value"
    assert policy(Work(clock, 0.5))() == "value"
    assert policy.try_call(Work(clock, 0.5)).value == "value"
    assert counts(policy) == (3, 0, 0, 0)
    assert policy.snapshot().timeout_rate == 0.0


@pytest.mark.parametrize("seconds", [1, 5])
def test_a_late_value_is_dropped_and_counted(clock, seconds):  # D-CB-4, D-CB-6, TO-10
    policy = hf.Timeout(1, clock=clock)
    error = raised(policy.call, Work(clock, seconds))
    assert type(error) is hf.DeadlineExceededError
    assert isinstance(error, TimeoutError)
    assert error.__cause__ is None
    assert counts(policy) == (0, 1, 1, 0)
    assert policy.snapshot().timeout_rate == 1.0
    outcome = policy.try_call(Work(clock, seconds))
    assert type(outcome.error) is hf.DeadlineExceededError
    assert outcome.rejection is None
    assert counts(policy) == (0, 2, 2, 0)


def test_a_late_value_is_let_go_of(clock):
    class Value:
        alive = 0

        def __init__(self) -> None:
            Value.alive += 1
            clock.advance(2)

        def __del__(self) -> None:
            Value.alive -= 1

    with pytest.raises(hf.DeadlineExceededError):
        hf.Timeout(1, clock=clock).call(Value)
    gc.collect()
    assert Value.alive == 0


@pytest.mark.parametrize("error", [LookupError("its own"), KeyboardInterrupt(), TimeoutError()])
def test_a_late_exception_passes_unchanged(clock, error):
    policy = hf.Timeout(1, clock=clock)
    assert raised(policy.call, Work(clock, 2, error)) is error
    assert counts(policy) == (0, 1, 0, 0)


def test_the_breaker_around_it_records_a_failure(clock):  # CB-22
    breaker = hf.CircuitBreaker("b", clock=clock, failure_threshold=2)
    pipe = hf.Pipeline("p", breaker, hf.Timeout(1, clock=clock))
    for _ in range(2):
        assert type(raised(pipe.call, Work(clock, 2))) is hf.DeadlineExceededError
    assert breaker.snapshot().failed == 2
    assert type(raised(pipe.call, Work(clock, 0))) is hf.CircuitOpenError


def test_the_breaker_inside_it_has_seen_a_success(clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    pipe = hf.Pipeline("p", hf.Timeout(1, clock=clock), breaker)
    raised(pipe.call, Work(clock, 2))
    assert breaker.snapshot().succeeded == 1


def test_every_time_over_is_an_event(clock):
    policy = hf.Timeout(1, name="network", clock=clock)
    events = []
    policy.on_event(events.append)
    policy.call(Work(clock, 0.5))
    raised(policy.call, Work(clock, 1))
    assert [(e.kind, e.name, e.reason, e.at) for e in events] == [
        ("timeout", "network", "deadline", 1.5)
    ]


def test_deadlines_only_shrink(clock):
    outer, inner = hf.Timeout(1, clock=clock), hf.Timeout(5, clock=clock)
    assert type(raised(outer.call, inner.call, Work(clock, 2))) is hf.DeadlineExceededError
    assert counts(outer) == (0, 1, 0, 0)  # the inner one raised it: that is no value
    assert counts(inner) == (1, 0, 0, 0)  # and the time that was over is not its own

    pipe = hf.Pipeline("p", outer, inner)
    raised(pipe.call, Work(clock, 2))
    assert counts(outer) == (0, 2, 0, 0)
    assert counts(inner) == (2, 0, 0, 0)


def test_what_an_inner_one_raises_in_time_is_the_callers_to_catch(clock):
    outer, inner = hf.Timeout(5, clock=clock), hf.Timeout(1, clock=clock)

    def between() -> str:
        assert type(raised(inner.call, Work(clock, 2))) is hf.DeadlineExceededError
        return "went on"

    assert outer.call(between) == "went on"
    assert (counts(outer), counts(inner)) == ((1, 0, 0, 0), (0, 1, 1, 0))


def test_nothing_is_begun_once_the_enclosing_time_is_over(clock):  # GEN-04, trap 42
    outer, inner = hf.Timeout(1, clock=clock), hf.Timeout(5, clock=clock)
    late = Work(clock, 0)

    def body() -> None:
        clock.advance(2)
        inner.call(late)

    assert type(raised(outer.call, body)) is hf.DeadlineExceededError
    assert late.runs == 0
    assert counts(inner) == (0, 0, 0, 1)


def test_one_policy_inside_of_itself(clock):
    policy = hf.Timeout(3, clock=clock)

    def again(depth: int) -> float:
        clock.advance(1)
        left = hf.deadline()
        assert left is not None
        return left if depth == 0 else policy.call(again, depth - 1)

    assert policy.call(again, 1) == 1
    assert type(raised(policy.call, again, 2)) is hf.DeadlineExceededError


def test_clocks_of_their_own(clock):
    other = hf.ManualClock(start=500)
    outer, inner = hf.Timeout(4, clock=other), hf.Timeout(9, clock=clock)
    pipe = hf.Pipeline("p", outer, inner)
    assert pipe.call(hf.deadline) == 4
    assert pipe.call(Work(clock, 8)) == "value"
    assert type(raised(pipe.call, Work(other, 4))) is hf.DeadlineExceededError
    # The outer one would be over first when the call began: its deadline is the one in force.
    assert pipe.call(Work(clock, 9)) == "value"


def test_resized_while_a_call_is_under_way_it_keeps_its_deadline(clock):
    policy = hf.Timeout(5, clock=clock)

    def body() -> float | None:
        policy.resize(1)
        assert policy.call(hf.deadline) == 1
        return hf.deadline()

    assert policy.call(body) == 5
    assert policy.duration == policy.snapshot().duration == 1
    with pytest.raises(hf.ConfigError, match="duration: got -2"):
        policy.resize(-2)
    assert policy.duration == 1


def test_loops_may_ask_whether_their_time_is_over(clock):  # TO-09
    policy = hf.Timeout(2.5, clock=clock)
    done = []

    def body() -> None:
        for i in range(10):
            hf.check_deadline()
            done.append(i)
            clock.advance(1)

    error = raised(policy.call, body)
    assert type(error) is hf.DeadlineExceededError
    assert done == [0, 1, 2]
    assert counts(policy) == (0, 1, 0, 0)


def test_a_limiter_inside_refuses_at_once_what_would_come_too_late(clock):  # trap 42
    limiter = hf.RateLimiter("l", rate=1, per=10, burst=1, max_wait=None, clock=clock)
    policy = hf.Timeout(5, clock=clock)
    pipe = hf.Pipeline("p", policy, limiter)
    pipe.call(int)
    before = clock.now()
    assert type(raised(pipe.call, int)) is hf.RateLimitedError
    assert clock.now() == before
    clock.advance(6)
    pipe.call(int)  # four seconds to wait: in time
    assert clock.now() == 10


def test_a_wait_for_a_place_ends_with_the_deadline(clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None, clock=clock)
    policy = hf.Timeout(5, clock=clock)
    breaker = hf.CircuitBreaker("c", clock=clock)
    pipe = hf.Pipeline("p", breaker, policy, bulkhead)
    with bulkhead:
        assert type(raised(pipe.call, int)) is hf.DeadlineExceededError
    assert clock.now() == 5
    assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)
    assert bulkhead.snapshot().timed_out == 1
    assert pipe.call(int) == 0


def test_a_wait_for_a_place_that_is_hopeless_is_not_begun(clock):  # trap 42
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None, clock=clock)
    policy = hf.Timeout(1, clock=clock)

    def body() -> None:
        clock.advance(2)
        with bulkhead:
            before = clock.now()
            assert type(raised(bulkhead.call, int)) is hf.DeadlineExceededError
            assert clock.now() == before

    raised(policy.call, body)
    assert bulkhead.waiting == 0


def test_observing_changes_nothing_and_counts(clock):
    policy = hf.Timeout(1, clock=clock, mode="observe")
    assert policy.call(Work(clock, 2)) == "value"
    assert policy.call(Work(clock, 0.5)) == "value"
    assert policy.call(hf.deadline) is None
    with policy:
        clock.advance(3)
    permit = permit_of(policy)
    clock.advance(3)
    assert permit.success() is True
    assert counts(policy) == (2, 0, 0, 0)
    assert policy.snapshot().observed == 3


def test_observing_it_refuses_nothing(clock):
    outer, inner = hf.Timeout(1, clock=clock), hf.Timeout(1, clock=clock, mode="observe")
    late = Work(clock, 0)

    def body() -> None:
        clock.advance(2)
        inner.call(late)

    raised(outer.call, body)
    assert late.runs == 1


def test_switched_off_it_is_not_there(clock):
    policy = hf.Timeout(1, clock=clock, mode="off")
    assert policy.call(Work(clock, 2)) == "value"
    assert policy.call(hf.deadline) is None
    with policy:
        clock.advance(3)
    assert counts(policy) == (0, 0, 0, 0)


def test_reset_forgets_nothing(clock):
    policy = hf.Timeout(1, clock=clock)
    policy.call(int)
    policy.reset()
    assert counts(policy) == (1, 0, 0, 0)


def test_a_call_that_is_interrupted_leaves_no_deadline_behind(clock):
    policy = hf.Timeout(1, clock=clock)
    for error in (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
        with pytest.raises(error):
            policy.call(Work(clock, 0, error()))
        assert hf.deadline() is None
    assert counts(policy) == (4, 0, 0, 0)


def test_a_coroutine_function_is_refused_and_not_counted(clock):
    async def body() -> None: ...

    policy = hf.Timeout(1, clock=clock)
    with pytest.raises(TypeError, match="acall"):
        policy.call(body)
    with pytest.raises(TypeError, match="acall"):
        policy.call(lambda: body())
    assert counts(policy) == (0, 0, 0, 0)
    assert hf.deadline() is None
