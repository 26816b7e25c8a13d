"""Orders: putting a breaker into a state by hand."""

import itertools

import pytest

import holdfast as hf
from holdfast import State
from tests.policies.calls import breaker_of, changes, fail, rejection, succeed

ORDERS = {
    "reset": State.CLOSED,
    "half_open": State.HALF_OPEN,
    "trip": State.OPEN,
    "force_open": State.FORCED_OPEN,
    "disable": State.DISABLED,
    "metrics_only": State.METRICS_ONLY,
}
ORDINARY = {State.CLOSED, State.HALF_OPEN, State.OPEN}
CENTURY = 99 * 365 * 86_400


def order(breaker: hf.CircuitBreaker, name: str) -> None:
    getattr(breaker, name)()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(ORDERS, ORDERS)))
def test_an_order_leads_from_any_state_to_any_other_and_all_that_shows_it_agrees(
    clock, first, second
):
    # CB-07, CB-19, D-CB-7, trap 8
    breaker = breaker_of(clock)
    order(breaker, first)
    events: list[hf.Event] = []
    breaker.on_event(events.append)
    before = changes(breaker)
    order(breaker, second)
    old, new = ORDERS[first], ORDERS[second]
    assert breaker.state is breaker.snapshot().state is new
    counted = {pair: n for pair, n in changes(breaker).items() if n != before.get(pair, 0)}
    told = [(event.old, event.new, event.generation) for event in events]
    if old is new:
        assert (counted, told) == ({}, [])
    else:
        assert counted == {(old, new): 1}
        assert told == [(old, new, breaker.snapshot().generation)]
        expected = "transition" if {old, new} <= ORDINARY else "override"
        assert events[0].kind == expected


@pytest.mark.parametrize("between", ["reset", "trip", "force_open", "disable", "metrics_only"])
def test_any_order_but_half_open_starts_the_growth_of_the_open_time_afresh(clock, between):
    # CB-15, CB-19
    breaker = breaker_of(clock, reset_timeout=10, reset_backoff=(2, 1000, 0))
    for grown in (20, 40, 80):
        breaker.half_open()
        fail(breaker)
        assert breaker.retry_after == grown
    order(breaker, between)
    breaker.half_open()
    fail(breaker)
    assert breaker.retry_after == 20


@pytest.mark.parametrize("first", ORDERS)
def test_reset_closes_it_and_forgets_failures_and_window(clock, first):  # CB-18, CB-19, D-CB-7
    breaker = breaker_of(clock, failure_threshold=3, failure_rate=0.9, min_calls=3)
    fail(breaker, 2)
    order(breaker, first)
    breaker.reset()
    s = breaker.snapshot()
    assert (s.state, s.consecutive_failures, s.window) == (State.CLOSED, 0, (0, 0, 0, 0))
    assert breaker.retry_after == 0
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def test_resetting_everything_in_the_registry_closes_it(clock):  # CB-19
    breaker = breaker_of(clock)
    breaker.force_open()
    hf.registry.reset_all()
    assert breaker.state is State.CLOSED


def test_forced_open_refuses_everything_and_no_timer_ends_it(clock):  # trap 12
    breaker = breaker_of(clock, reset_timeout=60)
    breaker.trip()
    clock.advance(30)
    breaker.force_open()
    for pause in (0, 30, 30, CENTURY):
        clock.advance(pause)
        assert not breaker.peek()
        assert breaker.retry_after is None
        refused = rejection(breaker)
        assert refused is not None
        assert (refused.reason, refused.retry_after) == ("forced-open", None)
    assert breaker.state is State.FORCED_OPEN


def test_disabled_lets_every_call_pass_and_counts_nothing(clock):
    breaker = breaker_of(clock, failure_threshold=1, failure_rate=0.1, min_calls=1)
    breaker.force_open()
    breaker.disable()
    before = breaker.snapshot()
    fail(breaker, 20)
    succeed(breaker, 20)
    held = breaker.acquire()
    assert breaker.snapshot() == before
    breaker.reset()
    held.failure()
    assert breaker.state is State.CLOSED
    assert breaker.snapshot().failed == breaker.snapshot().late == 0


def test_disabled_it_records_no_durations(clock):
    breaker = breaker_of(clock, latency=True)
    breaker.disable()
    breaker.call(clock.advance, 5)
    latency = breaker.snapshot().latency
    assert latency is not None
    assert (latency.count, latency.total) == (0, 0.0)


def test_metrics_only_lets_every_call_pass_counts_and_never_changes(clock):
    breaker = breaker_of(
        clock, failure_threshold=3, failure_rate=0.5, min_calls=1, slow_call_duration=1,
        slow_call_rate=0.1,
    )  # fmt: skip
    breaker.metrics_only()
    for _ in range(20):
        fail(breaker)
        breaker.call(clock.advance, 2)
        fail(breaker)
    s = breaker.snapshot()
    assert s.state is State.METRICS_ONLY
    assert (s.admitted, s.failed, s.succeeded, s.slow) == (60, 40, 20, 20)
    assert s.window == (60, 40, 20, 0)
    assert s.consecutive_failures == 1
    breaker.reset()
    assert breaker.snapshot().window == (0, 0, 0, 0)
