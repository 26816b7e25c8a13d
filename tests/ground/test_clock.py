"""Clocks in seconds, and the timers of a clock that is moved by hand."""

import gc
import threading
import time
from datetime import timedelta

import pytest

from holdfast import Clock, ConfigError, ManualClock, SystemClock
from holdfast.clock import read_clock, system_clock
from holdfast.validation import Problems
from tests.waiting.parties import Party

SECOND = 10**9


def test_the_system_clock_is_the_monotonic_clock_of_the_machine() -> None:
    before = time.monotonic_ns()
    ns, seconds = system_clock.now_ns(), system_clock.now()
    after = time.monotonic_ns()
    assert before <= ns <= seconds * 1e9 + 1000 <= after + 2000
    assert not system_clock.auto
    assert isinstance(system_clock, Clock)


def test_a_manual_clock_shows_what_it_is_set_to() -> None:
    # trap 22
    clock = ManualClock(start=5)
    assert clock.now() == 5.0
    clock.advance(0.1)
    clock.advance(timedelta(milliseconds=400))
    assert (clock.now(), clock.now_ns(), clock.coarse_ns()) == (5.5, 5_500_000_000, 5_500_000_000)
    clock.set(7)
    assert (clock.now(), clock.now_ns()) == (7.0, 7 * SECOND)
    assert clock.auto
    assert repr(clock) == "ManualClock(7.0, auto=True)"
    assert isinstance(clock, Clock)


def test_a_step_back_is_shown_and_policies_do_not_see_it() -> None:
    # trap 20
    clock = ManualClock(start=3600)
    clock.set(0)
    assert (clock.now(), clock.now_ns()) == (0.0, 3600 * SECOND)
    clock.advance(1)
    assert (clock.now(), clock.now_ns()) == (1.0, 3601 * SECOND)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "1", None, 10**300])
def test_a_manual_clock_refuses_what_is_no_time(value: float) -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="start: got "):
        ManualClock(start=value)
    for move in (clock.advance, clock.set):
        with pytest.raises(ConfigError, match="seconds: got "):
            move(value)
    with pytest.raises((ValueError, TypeError)):
        clock.advance_ns(-1)
    assert clock.now() == 0.0


def test_whether_a_clock_moves_by_itself_is_yes_or_no() -> None:
    assert ManualClock(auto=False).auto is False
    with pytest.raises(ConfigError, match="auto: got 1, allowed True or False"):
        ManualClock(auto=1)  # type: ignore[arg-type]


def test_a_clock_of_a_policy_is_the_given_one_or_the_systems() -> None:
    problems, clock = Problems("x"), ManualClock()
    assert read_clock(problems, None) is system_clock
    assert read_clock(problems, clock) is clock
    problems.done()


@pytest.mark.parametrize(("args", "kwargs"), [((1,), {}), ((), {"start": 1}), ((), {"auto": True})])
def test_a_system_clock_takes_no_arguments(args: tuple[int], kwargs: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="argument"):
        SystemClock(*args, **kwargs)


@pytest.mark.parametrize("value", [time, time.monotonic, 0.0, "system", SystemClock])
def test_what_is_no_clock_is_refused(value: object) -> None:
    problems = Problems("x")
    assert read_clock(problems, value) is system_clock  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="allowed a SystemClock or a ManualClock"):
        problems.done()


# ---- timers ----


def test_advance_stops_at_every_deadline_on_the_way_in_order() -> None:
    clock = ManualClock()
    seen: list[tuple[str, float]] = []
    for name, seconds in (("c", 3), ("a", 1), ("b", 2), ("later", 5), ("b too", 2)):
        clock.call_at_ns(seconds * SECOND, lambda name=name: seen.append((name, clock.now())))
    clock.advance(4)
    assert seen == [("a", 1.0), ("b", 2.0), ("b too", 2.0), ("c", 3.0)]
    assert clock.now() == 4.0
    clock.set(5)
    assert seen[-1] == ("later", 5.0)


def test_a_deadline_that_has_passed_is_called_at_once() -> None:
    clock = ManualClock(start=2)
    seen: list[str] = []
    clock.call_at_ns(2 * SECOND, lambda: seen.append("now"))()
    clock.call_at_ns(1 * SECOND, lambda: seen.append("past"))()
    assert seen == ["now", "past"]
    clock.advance(10)
    assert seen == ["now", "past"]


def test_a_timer_can_be_cancelled_any_number_of_times_also_after_it_fired() -> None:
    clock = ManualClock()
    seen: list[str] = []
    cancel_a = clock.call_at_ns(SECOND, lambda: seen.append("a"))
    cancel_b = clock.call_at_ns(SECOND, lambda: seen.append("b"))
    cancel_a()
    cancel_a()
    clock.advance(2)
    cancel_b()
    assert seen == ["b"]


def test_a_step_back_keeps_timers_where_they_are_in_policy_time() -> None:
    # trap 20
    clock = ManualClock(start=100)
    seen: list[float] = []
    clock.call_at_ns(101 * SECOND, lambda: seen.append(clock.now()))
    clock.set(0)
    assert not seen
    clock.advance(1)
    assert seen == [1.0]


def test_a_callback_may_move_the_clock_and_set_and_cancel_timers() -> None:
    clock = ManualClock()
    seen: list[tuple[str, float]] = []
    cancel_late = clock.call_at_ns(8 * SECOND, lambda: seen.append(("never", clock.now())))

    def first() -> None:
        seen.append(("first", clock.now()))
        clock.call_at_ns(clock.now_ns() + SECOND, lambda: seen.append(("second", clock.now())))
        cancel_late()
        clock.advance(3)

    clock.call_at_ns(SECOND, first)
    clock.advance(6)
    assert seen == [("first", 1.0), ("second", 2.0)]
    assert clock.now() == 9.0  # 6 by the outer, 3 by the inner


def test_callbacks_run_with_no_lock_held() -> None:
    clock = ManualClock()
    done = threading.Event()

    def callback() -> None:
        other = threading.Thread(target=lambda: (clock.advance(1), done.set()))
        other.start()
        other.join(10)

    clock.call_at_ns(SECOND, callback)
    clock.advance(1)
    assert done.is_set()
    assert clock.now() == 2.0


def test_threads_that_advance_at_once_add_up_and_fire_every_timer_once() -> None:
    clock = ManualClock()
    fired: list[int] = []
    for at in range(1, 401):
        clock.call_at_ns(at, lambda at=at: fired.append(at))
    start = threading.Barrier(4)

    def move() -> None:
        start.wait()
        for _ in range(100):
            clock.advance_ns(1)

    for party in [Party(move) for _ in range(4)]:
        party.result()
    assert clock.now_ns() == 400
    assert sorted(fired) == list(range(1, 401))


def test_cancelled_timers_do_not_pile_up() -> None:
    # trap 43, trap 67
    clock = ManualClock()
    for _ in range(10_000):
        clock.call_at_ns(3600 * SECOND, clock.now)()
    assert len(clock._timers) <= 100
    assert not clock._callbacks


def test_a_cancelled_timer_keeps_nothing_alive() -> None:
    class Waiter:
        def wake(self) -> None: ...

    clock, waiter = ManualClock(), Waiter()
    gc.collect()
    clock.call_at_ns(SECOND, waiter.wake)()
    assert not [one for one in gc.get_referrers(waiter) if one is not globals() and callable(one)]
