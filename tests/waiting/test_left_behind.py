"""Work that goes on after its call has ended keeps its places until it has stopped (trap 52)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import holdfast as hf
from holdfast.waiting.left_behind import Work
from tests.policies.calls import OutageError
from tests.waiting.left_behind import Held, begin, house, leave_behind, threaded
from tests.waiting.parties import Party, until


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


def again(clock: hf.Clock, attempts: int = 2) -> hf.Retry:
    return hf.Retry("r", attempts=attempts, on=TimeoutError, backoff=hf.Constant(0), clock=clock)


def test_a_bulkhead_outside_keeps_its_place_until_the_work_has_stopped(clock, held):
    bulkhead, timeout = house(places=1, clock=clock), threaded(clock)
    pipe = hf.Pipeline("p", bulkhead, timeout)
    leave_behind(pipe, held, clock)
    assert bulkhead.in_flight == 1
    with pytest.raises(hf.BulkheadFullError):
        pipe.call(len, "ok")
    clock.advance(5)
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)
    shown = bulkhead.snapshot()
    assert (shown.completed, shown.average_execution_time) == (1, 6.0)
    assert pipe.call(len, "ok") == 2


def test_every_bulkhead_outside_does_and_one_inside_leaves_as_the_function_does(clock, held):
    first, second, inside = (house(name) for name in ("first", "second", "inside"))
    leave_behind(hf.Pipeline("p", first, second, threaded(clock), inside), held, clock)
    assert (first.in_flight, second.in_flight, inside.in_flight) == (1, 1, 1)
    held.go.set()
    until(lambda: (first.in_flight, second.in_flight, inside.in_flight) == (0, 0, 0))
    assert [b.snapshot().over_released for b in (first, second, inside)] == [0, 0, 0]


def test_who_waits_for_the_place_gets_it_when_the_work_stops(clock, held):
    bulkhead = house(places=1, max_waiting=1, max_wait=100, clock=clock)
    pipe = hf.Pipeline("p", bulkhead, threaded(clock))
    leave_behind(pipe, held, clock)
    waits = Party(pipe.call, len, "ok")
    until(lambda: bulkhead.waiting == 1)
    held.go.set()
    assert waits.result() == 2
    assert bulkhead.in_flight == 0


def test_work_that_fails_in_the_end_leaves_its_place_too(clock):
    bulkhead, held = house(), Held(error=OutageError())
    leave_behind(hf.Pipeline("p", bulkhead, threaded(clock)), held, clock)
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)


def test_the_time_of_a_timeout_around_it_keeps_the_place_as_well(clock, held):
    bulkhead = house()
    outer = hf.Timeout(1, clock=clock)
    leave_behind(hf.Pipeline("p", bulkhead, outer, threaded(clock, 5)), held, clock)
    assert bulkhead.in_flight == 1
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)


def test_a_call_that_never_ran_keeps_no_place(clock, held):
    bulkhead, timeout = house(), threaded(clock, workers=1)
    leave_behind(timeout, held, clock)
    pipe = hf.Pipeline("p", bulkhead, timeout)
    party = Party(pipe.call, len, "ok")
    until(lambda: bulkhead.in_flight == 1)
    until(lambda: timeout._worker_threads.queued == 1)
    clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    assert bulkhead.in_flight == 0


def test_observed_a_place_is_kept_all_the_same(clock, held):
    bulkhead = house(places=1, mode="observe")
    pipe = hf.Pipeline("p", bulkhead, threaded(clock))
    leave_behind(pipe, held, clock)
    leave_behind(pipe, held, clock)
    assert (bulkhead.in_flight, bulkhead.snapshot().observed) == (2, 1)
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)


def test_and_for_several_until_the_last_has_stopped(clock):
    bulkhead, timeout = house(), threaded(clock)
    pipe = hf.Pipeline("p", bulkhead, again(clock, 3), timeout)
    works = [Held() for _ in range(3)]
    left = iter(works)
    party = Party(pipe.call, lambda: next(left)())
    for held in works:
        until(lambda held=held: held.begun)
        clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    for number, held in enumerate((works[1], works[2], works[0]), 1):
        assert bulkhead.in_flight == 1
        held.go.set()
        until(lambda number=number: timeout.snapshot().running == 3 - number)
    until(lambda: bulkhead.in_flight == 0)
    assert bulkhead.snapshot().over_released == 0


def test_within_a_retry_each_attempt_keeps_a_place_of_its_own(clock):
    bulkhead, timeout = house(), threaded(clock)
    pipe = hf.Pipeline("p", again(clock, 3), bulkhead, timeout)
    works = [Held() for _ in range(2)]
    left = iter(works)

    def third() -> str:
        held = next(left, None)
        return "third" if held is None else held()

    party = Party(pipe.call, third)
    for held in works:
        until(lambda held=held: held.begun)
        clock.advance(1)
    assert party.result() == "third"
    # Those of the two that go on; the third attempt gave its own back.
    assert bulkhead.in_flight == 2
    works[1].go.set()
    until(lambda: bulkhead.in_flight == 1)
    works[0].go.set()
    until(lambda: bulkhead.in_flight == 0)
    assert bulkhead.snapshot().completed == 3


def test_a_fallback_inside_does_not_hide_it(clock, held):
    bulkhead = house()
    pipe = hf.Pipeline("p", bulkhead, hf.Fallback("instead"), threaded(clock))
    party = begin(pipe, held)
    clock.advance(1)
    assert party.result() == "instead"
    assert bulkhead.in_flight == 1
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)


def test_work_of_a_second_timeout_inside_keeps_the_places_outside_of_both(clock, held):
    outside, between, inside = (house(name) for name in ("outside", "between", "inside"))
    first, second = threaded(clock, 2), threaded(clock, 1)
    leave_behind(hf.Pipeline("p", outside, first, between, second, inside), held, clock)
    assert (first.snapshot().abandoned, second.snapshot().abandoned) == (0, 1)
    until(lambda: first._worker_threads.active == 0)
    assert (outside.in_flight, between.in_flight, inside.in_flight) == (1, 1, 1)
    held.go.set()
    until(lambda: (outside.in_flight, between.in_flight, inside.in_flight) == (0, 0, 0))


def test_even_when_both_are_left_behind_at_once(clock, held):
    outside = house("outside")
    first, second = threaded(clock, 1), threaded(clock, 2)
    leave_behind(hf.Pipeline("p", outside, first, second), held, clock)
    until(lambda: first.snapshot().running == 0)  # it has ended at the same deadline
    assert second.snapshot().running == 1
    assert outside.in_flight == 1
    held.go.set()
    until(lambda: outside.in_flight == 0)
    assert outside.snapshot().over_released == 0


def test_and_when_a_retry_inside_has_succeeded_since(clock, held):
    outside = house("outside")
    pipe = hf.Pipeline("p", outside, threaded(clock, 9), again(clock), threaded(clock, 1))
    calls: list[int] = []

    def second() -> str:
        calls.append(1)
        return held() if len(calls) == 1 else "second"

    party = begin(pipe, held, lambda _: pipe.call(second))
    clock.advance(1)
    assert party.result() == "second"
    assert outside.in_flight == 1
    held.go.set()
    until(lambda: outside.in_flight == 0)


def test_what_a_call_inside_leaves_behind_by_itself_counts_as_well(clock, held):
    outside = house("outside")
    pipe = hf.Pipeline("p", outside, threaded(clock, 9))
    inner = threaded(clock, 1)

    def call() -> str:
        try:
            return str(inner.call(held))
        except hf.DeadlineExceededError:
            return "without it"

    party = begin(pipe, held, lambda _: pipe.call(call))
    clock.advance(1)
    assert party.result() == "without it"
    assert outside.in_flight == 1
    held.go.set()
    until(lambda: outside.in_flight == 0)


def test_work_that_leaves_much_behind_forgets_what_has_stopped(clock):
    outer, inner = threaded(clock, 1000), threaded(clock, 1)
    sizes: list[int] = []
    go = threading.Event()

    def busy() -> None:
        from holdfast.waiting import left_behind as threads

        for _ in range(20):
            one = Held()
            leave_behind_here(inner, one, clock)
            one.go.set()
            until(lambda: inner.snapshot().running == 0)
            sizes.append(len(threads._here.left))

    outer.call(busy)
    go.set()
    assert max(sizes) <= 2


def leave_behind_here(timeout: hf.Timeout, held: Held, clock: hf.ManualClock) -> None:
    """Leave it behind from this thread, while another moves the clock."""
    mover = Party(lambda: (until(lambda: held.begun), clock.advance(1)))
    with pytest.raises(hf.DeadlineExceededError):
        timeout.call(held)
    mover.result()


class Stopping(Work):
    """A work whose end the test decides."""

    def __init__(self) -> None:
        self.ended = False
        self._lock = threading.Lock()
        self._left = []
        self._on_stop = []
        self._left_behind = False
        self._error = self._value = None
        self.waiter = type("Nobody", (), {"wake": lambda _: True})()


def test_a_place_is_left_once_however_often_it_is_told(clock):
    bulkhead = house()
    assert bulkhead.try_enter()
    assert bulkhead.try_enter()
    works = [Stopping(), Stopping()]
    place = [0]
    bulkhead._leave_with(list(works), place)
    bulkhead._leave_with(list(works), place)  # as after an interrupt
    works[0]._tell()
    assert bulkhead.in_flight == 2
    works[1]._tell()
    assert bulkhead.in_flight == 1
    bulkhead._leave_with(list(works), place)
    assert (bulkhead.in_flight, place) == (1, [])
    bulkhead.leave()


def test_a_place_whose_works_stop_while_they_are_asked_is_left_once(clock):
    bulkhead = house()

    class Racing(Stopping):
        def call_at_stop(self, callback: Any) -> None:
            super().call_at_stop(callback)
            self._tell()  # it stops right then, in another thread

    for _ in range(3):
        assert bulkhead.try_enter()
    bulkhead._leave_with([Racing(), Racing()], [0])
    assert bulkhead.in_flight == 2
    bulkhead._leave_with([Racing()], [0])
    assert bulkhead.in_flight == 1
    bulkhead.leave()
    assert bulkhead.snapshot().over_released == 0


def test_what_is_no_place_is_refused():
    with pytest.raises(TypeError):
        house()._leave_place(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        house()._leave_place(["3"])  # type: ignore[list-item]
