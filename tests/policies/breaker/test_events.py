"""What a breaker tells its listeners, and that they cannot harm it."""

import logging
from collections.abc import Callable

import pytest

import holdfast as hf
from holdfast import State
from holdfast.events import Listeners
from tests.policies.calls import (
    OutageError,
    breaker_of,
    fail,
    half_open_breaker,
    raising,
    rejection,
    succeed,
)

Told = list[tuple[str, State, State]]


def listen(breaker: hf.CircuitBreaker) -> Told:
    """Return a list that fills with the transitions told."""
    told: Told = []

    def note(event: hf.Event) -> None:
        if event.kind != "rejection":
            told.append((event.kind, event.old, event.new))

    breaker.on_event(note)
    return told


def test_every_transition_is_told_once_in_order(clock):  # CB-07, trap 8
    breaker = breaker_of(clock, failure_threshold=2, success_threshold=2, reset_timeout=60)
    told = listen(breaker)
    fail(breaker, 2)
    clock.advance(60)
    succeed(breaker)
    fail(breaker)
    clock.advance(60)
    succeed(breaker, 2)
    breaker.force_open()
    breaker.reset()
    assert told == [
        ("transition", State.CLOSED, State.OPEN),
        ("transition", State.OPEN, State.HALF_OPEN),
        ("transition", State.HALF_OPEN, State.OPEN),
        ("transition", State.OPEN, State.HALF_OPEN),
        ("transition", State.HALF_OPEN, State.CLOSED),
        ("override", State.CLOSED, State.FORCED_OPEN),
        ("override", State.FORCED_OPEN, State.CLOSED),
    ]


def test_an_event_says_who_what_and_when(clock):
    breaker = breaker_of(clock, failure_threshold=1, reset_timeout=60)
    events: list[hf.Event] = []
    breaker.on_event(events.append)
    clock.advance(7)
    fail(breaker)
    clock.advance(20)
    assert rejection(breaker) is not None
    opened, refused = events
    assert opened.policy is refused.policy is breaker
    assert opened.name == refused.name == "payments"
    assert (opened.kind, opened.old, opened.new) == ("transition", State.CLOSED, State.OPEN)
    assert (opened.at, opened.generation) == (7.0, breaker.snapshot().generation)
    assert (refused.kind, refused.at) == ("rejection", 27.0)
    assert (refused.reason, refused.retry_after) == ("open", 40.0)


@pytest.mark.parametrize(
    ("order", "reason", "retry_after"),
    [("trip", "open", 60.0), ("half_open", "half-open", 0.0), ("force_open", "forced-open", None)],
)
def test_every_rejection_is_told_with_its_reason(clock, order, reason, retry_after):
    breaker = breaker_of(clock, half_open_max_calls=1)
    getattr(breaker, order)()
    probe = breaker.acquire() if order == "half_open" else None
    events: list[hf.Event] = []
    breaker.on_event(events.append)
    for _ in range(3):
        refused = rejection(breaker)
        assert refused is not None
        assert (refused.reason, refused.retry_after) == (reason, retry_after)
    assert [(e.kind, e.reason, e.retry_after) for e in events] == [
        ("rejection", reason, retry_after)
    ] * 3
    del probe


def test_an_event_tells_what_was_decided_not_what_came_of_it_since(clock):  # D-CB-9
    breaker = breaker_of(clock, failure_threshold=1)
    breaker.on_event(lambda event: breaker.reset() if event.new is State.OPEN else None)
    told = listen(breaker)
    fail(breaker)
    assert breaker.state is State.CLOSED
    assert told == [
        ("transition", State.CLOSED, State.OPEN),
        ("transition", State.OPEN, State.CLOSED),
    ]


def test_a_listener_may_use_everything_the_breaker_has(clock):
    # trap 13, GEN-14: under a lock of the breaker's this would never return
    breaker = breaker_of(clock, failure_threshold=1, failure_rate=0.5, latency=True)
    seen: list[object] = []

    def listener(event: hf.Event) -> None:
        if event.kind == "rejection":
            return
        seen.append((breaker.state, breaker.peek(), breaker.snapshot().state))
        assert breaker.describe()
        assert breaker.in_flight == 0
        breaker.try_call(len, "")
        breaker.on_event(lambda _: None)()

    breaker.on_event(listener)
    fail(breaker)
    assert seen == [(State.OPEN, False, State.OPEN)]


def test_a_listener_that_raises_changes_no_outcome_and_keeps_no_other_from_hearing(clock, caplog):
    # trap 13
    breaker = breaker_of(clock, failure_threshold=1, success_threshold=1, reset_timeout=60)
    breaker.on_event(lambda _: raising(ValueError("from a listener"))())
    told = listen(breaker)
    error = OutageError()
    with caplog.at_level(logging.ERROR, "holdfast"):
        with pytest.raises(OutageError) as caught:
            breaker.call(raising(error))
        assert caught.value is error
        assert error.__context__ is None
        with pytest.raises(hf.CircuitOpenError):
            breaker.call(len, "")
        clock.advance(60)
        assert breaker.call(len, "abc") == 3
        breaker.trip()
    assert [new for _, _, new in told] == [State.OPEN, State.HALF_OPEN, State.CLOSED, State.OPEN]
    assert breaker._listeners.raised == 5
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["from a listener"] * 5


def test_an_interrupt_in_a_listener_ends_the_call_and_leaves_nothing_behind(clock):
    # trap 13, trap 5
    breaker = half_open_breaker(clock, half_open_max_calls=1, success_threshold=1)
    breaker.trip()
    clock.advance(60)

    def interrupt(event: hf.Event) -> None:
        raise KeyboardInterrupt

    stop = breaker.on_event(interrupt)
    with pytest.raises(KeyboardInterrupt):
        breaker.call(len, "")
    assert breaker.state is State.HALF_OPEN
    s = breaker.snapshot()
    assert (s.in_flight, s.probes) == (0, 0)
    with pytest.raises(KeyboardInterrupt):
        breaker.call(len, "")
    assert breaker.state is State.CLOSED
    assert breaker.in_flight == 0
    with pytest.raises(KeyboardInterrupt):
        breaker.trip()
    with pytest.raises(KeyboardInterrupt):
        breaker.try_call(len, "")
    stop()
    assert isinstance(rejection(breaker), hf.CircuitOpenError)


def test_who_subscribes_while_another_unsubscribes_hears_rejections(clock):  # trap 13
    breaker = breaker_of(clock)
    events: list[hf.Event] = []

    class Interleaved(Listeners):
        """Lets another thread subscribe right after it was asked whether anybody listens."""

        meanwhile: list[Callable[[], object]]

        @property
        def is_wanted(self) -> bool:
            wanted = super().is_wanted
            while self.meanwhile:
                self.meanwhile.pop()()
            return wanted

    listeners = breaker._once("_listeners", Interleaved)
    listeners.meanwhile = []
    stop = breaker.on_event(lambda _: None)
    listeners.meanwhile = [lambda: breaker.on_event(events.append)]
    stop()
    breaker.trip()
    rejection(breaker)
    assert [event.kind for event in events] == ["transition", "rejection"]
