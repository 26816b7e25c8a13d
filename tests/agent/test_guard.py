"""The demo's pipeline with the real policies, on outcomes that are scripted."""

from __future__ import annotations

import asyncio
import math

import httpx
import pytest

from holdfast.agent.demo import guard
from holdfast.agent.demo.client import CALL_TIMEOUT_SECONDS
from holdfast.agent.demo.run import CALLS_PER_SECOND
from holdfast.agent.demo.schedule import NS, PHASES, Schedule
from holdfast.agent.demo.tally import Verdict
from holdfast.agent.demo.upstream import WORKERS
from holdfast.errors import BulkheadFullError, CircuitOpenError, RateLimitedError
from holdfast.policies.bulkhead import Bulkhead

SCHEDULE = Schedule.fit(10)


@pytest.fixture
def guarded():
    return guard.build_guard(SCHEDULE, 120)


def fail():
    raise httpx.ConnectError("refused")


def open_by_failing(guarded):
    call = guarded.pipeline(fail)
    for _ in range(10):
        with pytest.raises(httpx.ConnectError):
            call()


def test_it_starts_closed_and_lets_calls_pass(guarded):  # CB-02
    assert guarded.pipeline(lambda: "answer")() == "answer"
    assert guarded.state() == "closed"
    assert not guarded.retry_after_seconds()


def test_a_failing_upstream_opens_it_and_says_when_to_come_back(guarded):  # CB-27
    open_by_failing(guarded)
    assert guarded.state() == "open"
    assert 0 < guarded.retry_after_seconds() <= 1


def test_threads_and_tasks_share_one_breaker(guarded):
    open_by_failing(guarded)

    @guarded.pipeline
    async def call():
        pytest.fail("an open breaker let a call through")

    with pytest.raises(CircuitOpenError):
        asyncio.run(call())


def test_transitions_are_told_in_words(guarded):  # CB-01
    told = []
    guarded.on_transition(lambda old, new: told.append((old, new)))
    open_by_failing(guarded)
    guarded.breaker.half_open()
    for _ in range(3):
        guarded.pipeline(lambda: None)()
    assert told == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


@pytest.mark.parametrize(
    ("rejection", "reason"),
    [
        (CircuitOpenError, "circuit-open"),
        (RateLimitedError, "rate-limited"),
        (BulkheadFullError, "bulkhead-full"),
    ],
)
def test_a_rejection_is_no_waste_and_has_its_reason(guarded, rejection, reason):
    assert guard.judge(rejection.__new__(rejection)) == (Verdict.REJECTED, reason)


def test_what_the_upstream_did_is_judged_as_on_the_unguarded_side():
    assert guard.judge(httpx.ReadTimeout("late")) == (Verdict.TIMED_OUT, "")
    assert guard.judge(httpx.ConnectError("refused")) == (Verdict.FAILED, "")
    assert guard.judge(ZeroDivisionError()) is None


@pytest.mark.parametrize("seconds", [10, 20, 44.9, 3600, None])
def test_the_breaker_has_time_to_close_in_every_cycle(seconds):  # CB-26
    schedule = Schedule.fit(seconds)
    back_ns = schedule.cycle_ns * PHASES[-1].percent // 100
    # The last probe to fail may be sent just before the upstream is back, and time out.
    worst = CALL_TIMEOUT_SECONDS + guard.reset_timeout_seconds(schedule)
    assert 2 * worst * NS < back_ns


def test_the_bulkhead_keeps_every_worker_busy_and_what_it_lets_pass_in_time():  # BH-01
    assert guard.MAX_CONCURRENT > WORKERS
    turns = math.ceil(guard.MAX_CONCURRENT / WORKERS)
    assert 2 * turns * PHASES[1].behaviour.longest < CALL_TIMEOUT_SECONDS


def test_calls_that_a_full_bulkhead_turns_away_leave_the_breaker_closed(guarded):
    full = Bulkhead("full", max_concurrent=1)
    turned_away = guarded.pipeline(full(lambda: pytest.fail("there was a place")))
    with full:
        for _ in range(20):
            with pytest.raises(BulkheadFullError):
                turned_away()
    assert guarded.state() == "closed"


def test_the_bulkhead_has_room_for_what_a_healthy_upstream_has_under_way():  # BH-01
    assert 2 * CALLS_PER_SECOND * PHASES[0].behaviour.longest < guard.MAX_CONCURRENT
