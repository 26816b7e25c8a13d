"""The demo's manager with the real policies, on outcomes that are scripted."""

import asyncio
import math

import httpx
import pytest

from holdfast import deadline
from holdfast.clock import ManualClock
from holdfast.demo import guard
from holdfast.demo.client import CALL_TIMEOUT_SECONDS, MARGIN_SECONDS
from holdfast.demo.run import CALLS_PER_SECOND
from holdfast.demo.schedule import NS, PHASES, Schedule
from holdfast.demo.tally import Verdict
from holdfast.demo.upstream import WORKERS
from holdfast.errors import (
    BulkheadFullError,
    CircuitOpenError,
    DeadlineExceededError,
    RateLimitedError,
)
from holdfast.policies.breaker import State
from holdfast.policies.bulkhead import Bulkhead

SCHEDULE = Schedule.fit(10)


def phase(name):
    return next(phase for phase in PHASES if phase.name == name)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def guarded(clock):
    return guard.build_guard(SCHEDULE, 120, clock)


def fail():
    raise httpx.ConnectError("refused")


def open_by_failing(guarded):
    """Call until the breaker opens; the last call may find it open when it tries again."""
    call = guarded.operation(fail)
    while guarded.breaker.state is State.CLOSED:
        with pytest.raises((httpx.ConnectError, CircuitOpenError)):
            call()


def fails_first(times, error):
    """Return a function that raises so often, and then returns."""
    attempts = iter([error] * times)

    def act():
        if (raised := next(attempts, None)) is not None:
            raise raised
        return "answer"

    return act


def run_in_task(guarded, clock, act):
    """Run a plain function as a guarded task, and the clock while it pauses."""

    async def call():
        return act()

    async def main():
        task = asyncio.ensure_future(guarded.operation.acall(call))
        while not task.done():
            clock.advance(0.01)
            await asyncio.sleep(0)
        return await task

    return asyncio.run(main())


def test_it_starts_closed_and_lets_calls_pass(guarded):
    assert guarded.operation(lambda: "answer")() == "answer"
    standing = guarded.standing()
    assert standing.breaker == "closed"
    assert not standing.retry_after


def test_it_is_the_preset_of_a_node_with_another_time_scale(guarded):  # RM-08
    assert [policy.kind for policy in guarded.operation.policies][:-3] == [
        "error_budget",
        "error_budget",
        "latency_budget",
        "timeout",
        "retry",
        "circuit_breaker",
        "rate_limiter",
        "bulkhead",
        "timeout",
    ]
    inside = guarded.manager.bulkhead("send").snapshot()
    assert (inside.capacity, inside.queue_capacity) == (guard.MAX_CONCURRENT, guard.MAX_WAITING)
    assert guarded.manager.execute("sync", len, "ok") == 2


def test_a_failing_upstream_opens_it_and_says_when_to_come_back(guarded):  # CB-27
    open_by_failing(guarded)
    standing = guarded.standing()
    assert standing.breaker == "open"
    assert 0 < standing.retry_after <= 1


def test_transitions_are_told_in_words(guarded):  # CB-01
    told = []
    guarded.on_transition(lambda old, new: told.append((old, new)))
    open_by_failing(guarded)
    guarded.breaker.half_open()
    for _ in range(3):
        guarded.operation(lambda: None)()
    assert told == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


TRANSIENT = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("late"),
    httpx.HTTPStatusError("503", request=None, response=None),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_what_an_upstream_may_get_over_is_tried_again_and_recovered(guarded, clock, error):  # RT-23
    assert guarded.operation.call(fails_first(1, error)) == "answer"
    assert run_in_task(guarded, clock, fails_first(2, error)) == "answer"
    standing = guarded.standing()
    assert (standing.attempts, standing.retries, standing.recovered) == (5, 3, 2)
    assert standing.gave_up == {}


def test_a_fault_of_ones_own_is_not_tried_again(guarded):  # D-RT-1
    with pytest.raises(ZeroDivisionError):
        guarded.operation.call(lambda: 1 / 0)
    assert guarded.standing().gave_up == {"not-retryable": 1}


def test_a_call_that_fails_every_time_is_given_up(guarded):  # RT-21
    with pytest.raises(httpx.ConnectError):
        guarded.operation.call(fail)
    standing = guarded.standing()
    assert (standing.attempts, standing.retries) == (guard.ATTEMPTS, guard.ATTEMPTS - 1)
    assert standing.gave_up == {"exhausted": 1}


def test_while_all_fails_there_are_no_more_retries_than_the_budget_has(guarded, clock):  # D-RT-4
    guarded.breaker.disable()  # what bounds the retries is the budget alone
    began = clock.now()
    for _ in range(120):
        clock.advance(1 / 120)
        with pytest.raises(httpx.ConnectError):
            guarded.operation.call(fail)
    standing = guarded.standing()
    given_by_time = clock.now() - began
    assert standing.burst <= standing.retries <= standing.burst + given_by_time
    assert standing.gave_up["no-budget"] == standing.refused > 100
    assert standing.balance < 1


def test_an_attempt_that_takes_too_long_is_a_failure_and_tried_again(guarded, clock):  # CB-22
    durations = iter([guard.ATTEMPT_TIMEOUT_SECONDS, 0.01])

    def act():
        clock.advance(next(durations))
        return "answer"

    assert guarded.operation.call(act) == "answer"
    standing = guarded.standing()
    assert (standing.attempt_timeouts, standing.total_timeouts) == (1, 0)
    assert standing.recovered == 1
    assert guarded.breaker.snapshot().failed == 1


def test_no_call_takes_longer_than_on_the_unguarded_side(guarded, clock):  # TO-01
    began, left = clock.now(), []

    def act():
        left.append(CALL_TIMEOUT_SECONDS - (clock.now() - began))
        assert deadline() <= left[-1] + 1e-6
        clock.advance(guard.ATTEMPT_TIMEOUT_SECONDS - 0.001)
        raise httpx.ReadTimeout("late")

    with pytest.raises((httpx.ReadTimeout, DeadlineExceededError)):
        guarded.operation.call(act)
    standing = guarded.standing()
    assert len(left) == standing.attempts
    assert standing.attempts in (2, 3)  # the pause before the third may be too long
    assert min(left) > 0
    assert standing.total_timeouts == standing.attempts - 2


def test_an_attempt_has_time_for_a_slow_answer():
    [slow] = (phase.behaviour for phase in PHASES if phase.name == "slow")
    answer = guard.MAX_CONCURRENT / WORKERS * (slow.shortest + slow.longest) / 2
    left = guard.ATTEMPT_TIMEOUT_SECONDS - MARGIN_SECONDS
    assert answer < left


def test_an_attempt_has_time_for_another_after_it():
    longest = guard.MAX_WAIT_SECONDS + guard.ATTEMPT_TIMEOUT_SECONDS
    assert longest < CALL_TIMEOUT_SECONDS / 1.5


@pytest.mark.parametrize("seconds", [10, 20, 44.9, 3600, None])
def test_the_breaker_has_time_to_close_in_every_cycle(seconds):  # CB-26
    schedule = Schedule.fit(seconds)
    back_ns = schedule.cycle_ns * PHASES[-1].percent // 100
    # The last probe to fail may be sent just before the upstream is back, and time out.
    worst = CALL_TIMEOUT_SECONDS + guard.reset_timeout_seconds(schedule)
    assert 2 * worst * NS < back_ns


def test_the_bulkhead_keeps_every_worker_busy_and_what_it_lets_pass_in_time():
    assert guard.MAX_CONCURRENT > WORKERS
    turns = math.ceil(guard.MAX_CONCURRENT / WORKERS)
    work = turns * phase("slow").behaviour.longest
    assert 1.2 * work < guard.ATTEMPT_TIMEOUT_SECONDS


def test_calls_that_a_full_bulkhead_turns_away_leave_the_breaker_closed(guarded, clock):
    full = Bulkhead("full", max_concurrent=1)
    turned_away = guarded.operation(full(lambda: pytest.fail("there was a place")))
    with full:
        for _ in range(60):
            clock.advance(1 / 120)
            with pytest.raises(BulkheadFullError):
                turned_away()
    standing = guarded.standing()
    assert standing.breaker == "closed"
    assert standing.retries == 0  # a place that is taken is not asked for again


def test_the_bulkhead_has_room_for_what_a_healthy_upstream_has_under_way():
    assert 2 * CALLS_PER_SECOND * phase("healthy").behaviour.longest < guard.MAX_CONCURRENT


def test_a_flaky_upstream_alone_does_not_open_the_breaker(guarded):
    """Of fifty attempts so many fail at once once in a hundred thousand times."""
    failing = phase("flaky").behaviour.failing
    window, rate = 50, 0.5
    at_least_half = sum(
        math.comb(window, k) * failing**k * (1 - failing) ** (window - k)
        for k in range(round(window * rate), window + 1)
    )
    assert at_least_half < 1e-5


def test_the_limiter_has_room_for_the_retries_of_a_flaky_upstream(guarded):
    behaviour = phase("flaky").behaviour
    lost = behaviour.failing + behaviour.stalling
    attempts = sum(lost**n for n in range(guard.ATTEMPTS))
    limiter = guarded.manager.rate_limiter("send")
    assert CALLS_PER_SECOND * attempts < limiter.snapshot().rate


@pytest.mark.parametrize(("error", "verdict"), [
    (CircuitOpenError(), (Verdict.REJECTED, "circuit-open")),
    (RateLimitedError(), (Verdict.REJECTED, "rate-limited")),
    (BulkheadFullError(), (Verdict.REJECTED, "bulkhead-full")),
    (DeadlineExceededError("late"), (Verdict.TIMED_OUT, "")),
    (httpx.ReadTimeout("late"), (Verdict.TIMED_OUT, "")),
    (httpx.ConnectError("refused"), (Verdict.FAILED, "")), (ZeroDivisionError(), None),
], ids=lambda one: type(one).__name__)  # fmt: skip
def test_a_rejection_is_no_waste_and_all_else_is_judged_as_on_the_unguarded_side(error, verdict):
    assert guard.judge(error) == verdict
