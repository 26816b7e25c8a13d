"""A breaker that only observes, one that stands aside, and the mode of the process."""

import pytest

import holdfast as hf
from holdfast import Mode, State
from tests.policies.calls import breaker_of, changes, fail, fine, succeed


def test_an_observing_breaker_rejects_nothing_and_counts_what_it_would_have(clock):
    breaker = breaker_of(clock, mode="observe", failure_threshold=2)
    events: list[hf.Event] = []
    breaker.on_event(events.append)
    fail(breaker, 2)
    assert breaker.state is State.OPEN
    succeed(breaker, 5)
    fail(breaker, 3)
    with breaker:
        pass
    breaker.acquire().success()
    s = breaker.snapshot()
    assert (s.requests, s.admitted, s.rejected, s.observed) == (12, 12, 0, 10)
    assert (s.succeeded, s.failed) == (7, 5)
    assert [event.kind for event in events] == ["transition"]


def test_an_observing_breaker_goes_through_its_states_as_if_it_rejected(clock):
    observing, enforcing = (
        breaker_of(
            clock, mode=mode, failure_threshold=2, half_open_max_calls=1, success_threshold=2,
            reset_timeout=60,
        )
        for mode in ("observe", "enforce")
    )  # fmt: skip
    script: list[tuple[float, bool]] = [
        (0, False), (0, False), (1, True), (1, False), (58, True), (1, False), (59, True),
        (1, True), (1, False), (1, True), (60, True), (1, True), (1, False), (0, False),
    ]  # fmt: skip
    for pause, ok in script * 3:
        clock.advance(pause)
        for breaker in (observing, enforcing):
            if breaker is enforcing and not breaker.peek():
                assert breaker.try_call(fine).rejection
            else:
                (succeed if ok else fail)(breaker)
        assert observing.state is enforcing.state
    assert changes(observing) == changes(enforcing)
    assert len(changes(observing)) == 4
    assert observing.snapshot().observed == enforcing.snapshot().rejected > 0
    assert observing.snapshot().rejected == 0


@pytest.mark.parametrize("end", ["success", "failure", "ignore"])
def test_a_call_that_only_observing_admitted_decides_nothing(clock, end):
    breaker = breaker_of(
        clock, mode="observe", half_open_max_calls=1, success_threshold=1, reset_timeout=60
    )
    breaker.half_open()
    probe = breaker.acquire()
    observed = [breaker.acquire() for _ in range(5)]
    for permit in observed:
        getattr(permit, end)()
        assert breaker.state is State.HALF_OPEN
        assert not breaker.peek()
    assert breaker.snapshot().probes == 1
    probe.success()
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("order", ["force_open", "metrics_only", "disable"])
def test_orders_hold_while_observing_and_nothing_is_rejected(clock, order):
    breaker = breaker_of(clock, mode="observe", failure_threshold=1)
    getattr(breaker, order)()
    state = breaker.state
    fail(breaker, 5)
    succeed(breaker, 5)
    assert breaker.state is state
    assert breaker.snapshot().observed == (10 if order == "force_open" else 0)


def test_a_breaker_that_is_off_lets_every_call_pass_and_counts_nothing(clock):
    breaker = breaker_of(clock, mode="off", failure_threshold=1, is_failure=lambda _: True)
    before = breaker.snapshot()
    fail(breaker, 5)
    succeed(breaker, 5)
    with breaker:
        pass
    breaker.acquire().failure()
    assert breaker.snapshot() == before
    breaker.force_open()
    succeed(breaker, 5)
    succeed(hf.Pipeline("payments", breaker))
    assert breaker.snapshot().requests == 0


@pytest.mark.parametrize("mode", [*Mode, *(mode.value for mode in Mode)])
def test_the_mode_of_a_breaker_is_shown(clock, mode):
    breaker = breaker_of(clock, mode=mode)
    assert breaker.mode is Mode(mode)
    assert f"mode={breaker.mode.value!r}" in breaker.describe()
