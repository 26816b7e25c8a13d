"""A breaker says why it opened: in the event, in the snapshot and in each rejection."""

import copy
import gc
import json
import pickle
import threading
import time
import weakref
from dataclasses import asdict, replace

import pytest

import holdfast as hf
from holdfast import State, Trip
from tests.apart import in_child
from tests.policies.calls import breaker_of, fail, half_open_breaker, raising, rejection, succeed


def opened(breaker):
    """Return the trip, after a look at all the places that show it."""
    error = rejection(breaker)
    trip = breaker.snapshot().trip
    assert error.trip == trip
    assert str(trip) in str(error)
    return trip


def test_failures_in_a_row_are_counted_and_the_last_error_is_named(clock):
    breaker = breaker_of(clock, failure_threshold=3)
    clock.advance(7)
    for text in "abc":
        breaker.try_call(raising(ConnectionError(text)))
    trip = Trip(
        rule="consecutive_failures",
        count=3,
        threshold=3,
        error_type="ConnectionError",
        error_text="c",
        time=7.0,
        at=7.0,
        generation=1,
    )
    assert opened(breaker) == trip
    assert str(trip) == "3 failures in a row, last ConnectionError: c"
    said = "circuit breaker 'payments' is open: 3 failures in a row, last ConnectionError: c; "
    assert str(rejection(breaker)) == f"{said}retry in 60.000 s"


def test_a_failure_rate_is_shown_with_its_calls_and_its_threshold(clock):
    breaker = breaker_of(clock, failure_rate=0.25, min_calls=4, failure_threshold=None)
    succeed(breaker, 3)
    breaker.try_call(raising(TimeoutError()))
    trip = opened(breaker)
    assert (trip.rule, trip.count, trip.calls, trip.threshold) == ("failure_rate", 1, 4, 0.25)
    assert str(trip) == "1 of 4 calls failed (threshold 0.25), last TimeoutError"


def test_a_rate_that_a_success_completes_names_no_error(clock):
    breaker = breaker_of(clock, failure_rate=0.25, min_calls=4, failure_threshold=None)
    fail(breaker, 2)
    succeed(breaker, 2)
    trip = opened(breaker)
    assert (trip.count, trip.calls, trip.error_type, trip.error_text) == (2, 4, None, None)
    assert str(trip) == "2 of 4 calls failed (threshold 0.25)"


def test_slow_calls_are_told_from_failed_ones(clock):
    breaker = breaker_of(
        clock, failure_threshold=None, slow_call_duration=1, slow_call_rate=0.5, min_calls=2
    )
    breaker.call(clock.advance, 1)
    breaker.call(clock.advance, 1)
    assert str(opened(breaker)) == "2 of 2 calls were slow (threshold 0.5)"
    clock.advance(60)
    breaker.call(clock.advance, 1)
    assert (opened(breaker).rule, str(opened(breaker))) == ("probe_slow", "a probe was slow")


def test_a_failed_probe_is_named_with_its_error(clock):
    breaker = half_open_breaker(clock)
    breaker.try_call(raising(ConnectionError("still down")))
    trip = opened(breaker)
    assert trip.rule == "probe_failed"
    assert str(trip) == "a probe failed with ConnectionError: still down"


@pytest.mark.parametrize("order", ["trip", "force_open"])
def test_an_order_opens_it_by_hand(clock, order):
    breaker = breaker_of(clock)
    getattr(breaker, order)()
    trip = opened(breaker)
    assert (trip.rule, trip.error_type, str(trip)) == ("manual", None, "by hand")


def test_a_result_that_is_a_failure_is_shown(clock):
    breaker = breaker_of(clock, failure_threshold=1, is_failure=lambda result: result == 503)
    breaker.call(lambda: 503)
    trip = opened(breaker)
    assert (trip.error_type, trip.error_text) == (None, "result 503")
    assert str(trip) == "1 failure, last result 503"


async def test_a_task_a_block_and_a_permit_tell_their_error_too(clock):
    async def down():
        raise ConnectionError("down")

    async def in_task(breaker):
        await breaker.try_acall(down)

    async def in_block(breaker):
        with pytest.raises(ConnectionError), breaker:
            raise ConnectionError("down")

    async def by_permit(breaker):
        breaker.acquire().failure(ConnectionError("down"))

    for make in (in_task, in_block, by_permit):
        breaker = breaker_of(clock, failure_threshold=1)
        await make(breaker)
        assert opened(breaker).error_text == "down"
    breaker = breaker_of(clock, failure_threshold=1)
    breaker.acquire().failure()
    assert (opened(breaker).error_type, opened(breaker).error_text) == (None, None)


def test_the_event_of_an_opening_has_the_trip_and_others_have_a_reason(clock):
    breaker = breaker_of(clock, failure_threshold=1, success_threshold=1)
    events = []
    breaker.on_event(events.append)
    fail(breaker)
    assert events[0].trip == breaker.snapshot().trip
    clock.advance(60)
    succeed(breaker)
    breaker.half_open()
    breaker.reset()
    told = [(event.new, event.reason, event.trip is None, event.retry_after) for event in events]
    assert told == [
        (State.OPEN, "consecutive_failures", False, 60.0),
        (State.HALF_OPEN, "reset_timeout", True, None),
        (State.CLOSED, "probes_succeeded", True, None),
        (State.HALF_OPEN, "manual", True, None),
        (State.CLOSED, "manual", True, None),
    ]
    revived = pickle.loads(pickle.dumps(events[0]))
    assert revived.trip == events[0].trip
    assert "1 failure, last" in repr(revived)


def test_the_snapshot_keeps_the_last_trip_and_rejections_show_only_their_own(clock):
    breaker = breaker_of(clock, failure_threshold=1)
    assert breaker.snapshot().trip is None
    fail(breaker)
    trip = breaker.snapshot().trip
    breaker.reset()
    assert breaker.snapshot().trip is trip
    breaker.half_open()
    probes = [breaker.acquire() for _ in range(3)]
    error = rejection(breaker)
    assert error.trip is None
    said = "circuit breaker 'payments' is half-open and all its probes are running"
    assert str(error) == said
    del probes


def test_a_rejection_keeps_the_trip_that_it_was_made_for(clock):
    breaker = breaker_of(clock, failure_threshold=1)
    breaker.try_call(raising(ConnectionError("first")))
    error = rejection(breaker)
    clock.advance(60)
    breaker.try_call(raising(ConnectionError("second")))
    assert error.trip.error_text == "first"
    assert rejection(breaker).trip.error_text == "second"


def test_a_trip_is_data(clock):
    breaker = breaker_of(clock, failure_threshold=1)
    fail(breaker)
    error, trip = rejection(breaker), breaker.snapshot().trip
    for again in (
        pickle.loads(pickle.dumps(trip)),
        copy.copy(trip),
        Trip.from_dict(json.loads(json.dumps(trip.to_dict()))),
        Trip(**json.loads(json.dumps(asdict(breaker.snapshot())))["trip"]),
        Trip.from_dict({**trip.to_dict(), "of a later version": 1}),
        pickle.loads(pickle.dumps(error)).trip,
        type(error)(*json.loads(json.dumps(error.args))).trip,
    ):
        assert again == trip
        assert hash(again) == hash(trip)
    with pytest.raises(AttributeError):
        trip.rule = "other"
    assert replace(trip, rule="of a later version").rule in str(
        replace(trip, rule="of a later version")
    )


def test_the_time_is_the_wall_clocks_unless_the_clock_is_a_manual_one():
    breaker = hf.CircuitBreaker("b", failure_threshold=1)
    before = time.time()
    fail(breaker)
    assert before <= breaker.snapshot().trip.time <= time.time()


def test_no_error_is_kept_alive_and_secrets_are_hidden(clock):
    class OwnError(Exception):
        """A user's."""

    breaker = breaker_of(clock, failure_threshold=1)
    breaker.on_event(lambda event: raising(ValueError("of a listener"))())
    error = OwnError("postgres://app:hunter2@db refused")
    kept = weakref.ref(error)
    breaker.try_call(raising(error))
    del error
    gc.collect()
    assert kept() is None
    trip = breaker.snapshot().trip
    assert trip.error_type.endswith("OwnError")
    assert trip.error_text == "postgres://app:***@db refused"


@pytest.mark.parametrize("raised", [ValueError, RecursionError, MemoryError])
def test_an_error_that_cannot_be_shown_changes_no_outcome(clock, raised):
    class HostileError(Exception):
        def __str__(self):
            raise raised

        __repr__ = __str__

    breaker = breaker_of(clock, failure_threshold=1)
    with pytest.raises(HostileError):
        breaker.call(raising(HostileError()))
    assert breaker.state is State.OPEN
    assert opened(breaker).error_text == f"<{raised.__name__} in its text>"


def test_an_interrupt_while_an_error_is_shown_ends_the_call_and_the_breaker_is_open(clock):
    class InterruptingError(Exception):
        def __str__(self):
            raise KeyboardInterrupt

    breaker = breaker_of(clock, failure_threshold=1)
    events = []
    breaker.on_event(events.append)
    with pytest.raises(KeyboardInterrupt):
        breaker.call(raising(InterruptingError()))
    assert [event.new for event in events] == [State.OPEN]
    assert rejection(breaker).trip is None


@pytest.mark.parametrize("shortage", [RecursionError, MemoryError])
def test_where_there_is_no_room_to_tell_of_a_change_the_call_ends_as_it_did(
    clock, monkeypatch, shortage
):
    def short(*_, **__):
        raise shortage

    monkeypatch.setattr(hf.CircuitBreaker, "_trip_of", short)
    monkeypatch.setattr(hf.CircuitBreaker, "_log", short)
    monkeypatch.setattr("sys.unraisablehook", lambda seen: pytest.fail(str(seen)))
    breaker = breaker_of(clock, failure_threshold=1, success_threshold=1)
    error = ConnectionError()
    assert breaker.try_call(raising(error)).error is error
    assert (breaker.state, error.__context__) == (State.OPEN, None)
    clock.advance(60)
    assert breaker.call(int) == 0
    assert breaker.state is State.CLOSED


def test_the_text_of_an_error_is_made_at_an_opening_only(clock):
    class CountingError(Exception):
        shown = 0

        def __str__(self):
            type(self).shown += 1
            return "text"

    breaker = breaker_of(clock, failure_threshold=5)
    for _ in range(4):
        breaker.try_call(raising(CountingError()))
    assert CountingError.shown == 0
    breaker.try_call(raising(CountingError()))
    assert CountingError.shown == 1


def test_threads_that_are_refused_while_it_trips_again_see_a_whole_trip():
    breaker = hf.CircuitBreaker("b", failure_threshold=1)
    breaker.trip()
    seen, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            error = breaker.try_call(len, "").rejection
            if error is not None and error.trip is not None:
                seen.append((error.trip.rule, str(error.trip)))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(300):
        breaker.half_open()
        breaker.try_call(raising(ConnectionError(number)))
        breaker.trip()
    stop.set()
    for thread in threads:
        thread.join()
    # Their own calls may be the probes that close it.
    assert {rule for rule, _ in seen} <= {"manual", "probe_failed", "consecutive_failures"}


def test_a_forked_child_knows_why_its_breaker_is_open_and_keeps_what_it_learns_to_itself(clock):
    breaker = breaker_of(clock, failure_threshold=1)
    breaker.try_call(raising(ConnectionError("of the parent")))

    def check():
        assert rejection(breaker).trip.error_text == "of the parent"
        clock.advance(60)
        breaker.try_call(raising(ConnectionError("of the child")))
        assert rejection(breaker).trip.error_text == "of the child"

    in_child(check)
    assert rejection(breaker).trip.error_text == "of the parent"


def test_a_trip_of_an_earlier_generation_replaces_no_later_one(clock):
    breaker = breaker_of(clock)
    breaker.trip()
    breaker._changed(0, 2, 0, 1, 5, 0, ConnectionError("late"))
    assert rejection(breaker).trip.rule == "manual"
