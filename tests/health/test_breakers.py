"""A health check closes and opens a real circuit breaker."""

import threading
from itertools import pairwise

import pytest

import holdfast as hf
from holdfast._native.check import CheckState
from holdfast.health.breakers import BreakerLink
from holdfast.policies.breaker import State

PASSED, LIMPED, FAILED, UNPROVEN = range(4)


def down():
    raise ConnectionError("down")


def breaker_of(clock, **settings):
    settings = {"failure_threshold": 1, "reset_timeout": 60, "success_threshold": 1} | settings
    return hf.CircuitBreaker("db", clock=clock, **settings)


class Checked:
    """One check of one breaker, as a monitor runs it."""

    def __init__(self, breaker, *, failures=3, successes=1, opens=False):
        self.state = CheckState(failures, successes, 0)
        self.link = BreakerLink(breaker, "ping", successes=successes, opens=opens)
        self.clock = breaker._clock

    def begin(self):
        return self.link.begin()

    def end(self, began, verdict, why=""):
        self.state.record(verdict, self.clock.now_ns(), 0)
        self.link.put(
            began,
            verdict,
            unhealthy=self.state.state == 3,
            failures=self.state.failures_in_a_row,
            why=why,
        )
        self.link.settle()

    def run(self, *verdicts, why="", every=1):
        for verdict in verdicts:
            self.end(self.begin(), verdict, why)
            self.clock.advance(every)


def opened(clock, **settings):
    breaker = breaker_of(clock, **settings)
    breaker.try_call(down)
    assert breaker.state is State.OPEN
    return breaker


# ---- closing ----


def test_a_pass_closes_an_open_breaker_before_any_user_calls(clock):  # CB-30
    breaker = opened(clock)
    events = []
    breaker.on_event(events.append)
    Checked(breaker).run(PASSED)
    assert breaker.state is State.CLOSED
    [event] = events
    assert (event.kind, event.old, event.new) == ("transition", "open", "closed")
    assert (event.reason, event.trip) == ("health", None)
    assert breaker.call(len, "ok") == 2


def test_as_many_passes_as_successes_says_close_it(clock):  # CB-30
    breaker = opened(clock)
    check = Checked(breaker, successes=3)
    check.run(PASSED, PASSED, FAILED, PASSED, LIMPED, PASSED, PASSED)
    assert (breaker.state, check.link.is_closing) == (State.OPEN, True)
    check.run(UNPROVEN, PASSED)  # what proves nothing ends no run
    assert (breaker.state, check.link.is_closing) == (State.CLOSED, False)


def test_a_pass_that_began_before_the_breaker_opened_closes_nothing(clock):  # trap 65
    breaker = breaker_of(clock)
    check = Checked(breaker)
    began = check.begin()
    breaker.try_call(down)
    check.end(began, PASSED)
    assert breaker.state is State.OPEN
    check.run(PASSED)
    assert breaker.state is State.CLOSED


def test_a_pass_that_began_before_a_failed_probe_closes_nothing(clock):  # trap 65
    breaker = opened(clock)
    check = Checked(breaker)
    began = check.begin()
    clock.advance(60)
    breaker.try_call(down)  # the probe of a user
    check.end(began, PASSED)
    assert breaker.state is State.OPEN


def test_passes_from_before_a_failed_probe_are_no_part_of_the_run(clock):  # trap 65
    breaker = opened(clock)
    check = Checked(breaker, successes=2)
    check.run(PASSED)
    clock.advance(60)
    breaker.try_call(down)
    check.run(PASSED)
    assert breaker.state is State.OPEN
    check.run(PASSED)
    assert breaker.state is State.CLOSED


def test_passes_count_on_when_the_open_time_ends(clock):
    breaker = opened(clock, success_threshold=2)
    check = Checked(breaker, successes=2)
    check.run(PASSED)
    clock.advance(60)
    breaker.call(len, "")
    assert breaker.state is State.HALF_OPEN
    check.run(PASSED)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("outcome", [len, down], ids=["success", "failure"])
def test_the_result_of_a_users_probe_that_comes_late_decides_nothing(clock, outcome):  # trap 2
    breaker = opened(clock)
    clock.advance(60)
    permit = breaker.acquire()
    assert breaker.state is State.HALF_OPEN
    Checked(breaker).run(PASSED)
    assert breaker.state is State.CLOSED
    permit.success() if outcome is len else permit.failure(ConnectionError())
    seen = breaker.snapshot()
    assert (seen.state, seen.late, seen.in_flight) == (State.CLOSED, 1, 0)


@pytest.mark.parametrize("order", ["force_open", "disable", "metrics_only"])
@pytest.mark.parametrize("amid", [False, True], ids=["before the run", "during the run"])
def test_what_only_an_order_ends_is_never_touched(clock, order, amid):  # CB-30
    breaker = opened(clock)
    check = Checked(breaker, failures=1, opens=True)
    began = check.begin()
    getattr(breaker, order)()
    before = breaker.state, breaker.snapshot().generation
    for verdict in (PASSED, FAILED, PASSED, FAILED):
        check.end(began if amid else check.begin(), verdict)
    assert (breaker.state, breaker.snapshot().generation) == before
    breaker.trip()
    check.run(PASSED)
    assert breaker.state is State.CLOSED


def test_a_breaker_that_is_off_is_left_alone(clock):
    breaker = breaker_of(clock, mode="off")
    breaker.trip()
    Checked(breaker).run(PASSED)
    assert breaker.state is State.OPEN


def test_passes_of_a_closed_breaker_say_nothing_of_its_next_opening(clock):
    breaker = breaker_of(clock)
    check = Checked(breaker, successes=2)
    check.run(PASSED, PASSED, PASSED)
    breaker.try_call(down)
    check.run(PASSED)
    assert breaker.state is State.OPEN


# ---- a check that passes while calls fail ----


def passes_until_closed(check, breaker):
    passes = 0
    while breaker.state is not State.CLOSED:
        check.run(PASSED, every=0.001)
        passes += 1
    return passes


def test_each_time_calls_fail_again_soon_it_takes_twice_as_many_passes(clock):  # CB-30
    breaker = breaker_of(clock, failure_threshold=2, reset_timeout=1e6)
    breaker.trip()
    check = Checked(breaker)
    needed = []
    for _ in range(12):
        needed.append(passes_until_closed(check, breaker))
        breaker.call(len, "")  # some calls succeed
        breaker.try_call(down)
        breaker.try_call(down)
    assert needed == [*(2**n for n in range(11)), 1024]


def test_a_breaker_that_opens_later_and_had_successes_has_recovered_meanwhile(clock):
    breaker = opened(clock)
    check = Checked(breaker)
    assert passes_until_closed(check, breaker) == 1
    breaker.try_call(down)
    assert passes_until_closed(check, breaker) == 2
    breaker.call(len, "")
    clock.advance(60)
    breaker.try_call(down)
    assert passes_until_closed(check, breaker) == 1


def test_without_one_success_it_has_not_recovered_however_long_that_lasted(clock):
    breaker = opened(clock)
    check = Checked(breaker)
    passes_until_closed(check, breaker)
    clock.advance(3600)
    breaker.try_call(down)
    assert passes_until_closed(check, breaker) == 2


def test_a_failed_probe_of_a_user_takes_nothing_off_the_passes_needed(clock):
    breaker = opened(clock)
    check = Checked(breaker)
    passes_until_closed(check, breaker)
    breaker.try_call(down)
    check.run(PASSED)
    assert check.link.needed == 2
    clock.advance(60)
    breaker.try_call(down)
    assert passes_until_closed(check, breaker) == 2


@pytest.mark.parametrize(("after", "needed"), [(1, 2), (86_400, 1)], ids=["soon", "a day later"])
def test_failed_probes_of_users_do_not_hide_when_it_opened_again(clock, after, needed):
    breaker = opened(clock)
    check = Checked(breaker)
    passes_until_closed(check, breaker)
    breaker.call(len, "")
    clock.advance(after)
    breaker.try_call(down)
    for _ in range(5):
        check.run(FAILED, every=60)
        breaker.try_call(down)
    check.run(PASSED, every=0)
    assert check.link.needed == needed


def test_a_closing_by_users_probes_is_a_recovery(clock):
    breaker = opened(clock)
    check = Checked(breaker)
    passes_until_closed(check, breaker)
    breaker.try_call(down)
    check.run(PASSED)
    assert check.link.needed == 2
    clock.advance(60)
    breaker.call(len, "")  # it closes the breaker
    breaker.try_call(down)
    assert passes_until_closed(check, breaker) == 1


# ---- opening ----


def test_a_check_that_becomes_unhealthy_opens_the_breaker_and_says_why(clock):  # CB-30
    breaker = breaker_of(clock)
    events = []
    breaker.on_event(events.append)
    check = Checked(breaker, failures=2, opens=True)
    check.run(PASSED, FAILED, why="no answer")
    assert breaker.state is State.CLOSED
    check.run(FAILED, why="no answer")
    assert breaker.state is State.OPEN
    [event] = events
    assert (event.kind, event.new, event.reason) == ("transition", "open", "health")
    assert event.retry_after == 60
    trip = breaker.snapshot().trip
    assert (trip.rule, trip.count, trip.error_text) == ("health", 2, "ping: no answer")
    assert str(trip) == "a health check is unhealthy: ping: no answer"
    assert hf.Trip.from_dict(trip.to_dict()) == trip


def test_an_unhealthy_check_opens_nothing_unless_it_is_asked_to(clock):  # CB-30
    breaker = breaker_of(clock)
    Checked(breaker, failures=1).run(FAILED, FAILED)
    assert breaker.state is State.CLOSED


def test_while_the_check_stays_unhealthy_calls_that_succeed_keep_the_breaker_closed(clock):
    breaker = breaker_of(clock)
    check = Checked(breaker, failures=1, opens=True)
    check.run(FAILED)
    clock.advance(60)
    breaker.call(len, "")
    check.run(FAILED, FAILED)
    assert breaker.state is State.CLOSED
    check.run(PASSED, FAILED)  # unhealthy anew
    assert breaker.state is State.OPEN


def test_a_failure_that_began_before_the_breaker_closed_opens_nothing(clock):  # trap 65
    breaker = breaker_of(clock)
    check = Checked(breaker, failures=1, opens=True)
    began = check.begin()
    breaker.reset()
    check.end(began, FAILED)
    assert breaker.state is State.CLOSED
    check.run(FAILED)
    assert breaker.state is State.OPEN


def test_a_failure_amid_a_recovery_opens_it_for_longer(clock):
    breaker = opened(clock, reset_backoff=(2.0, 1000, 0.0))
    clock.advance(60)
    permit = breaker.acquire()
    Checked(breaker, failures=1, opens=True).run(FAILED, every=0)
    assert (breaker.state, breaker.retry_after) == (State.OPEN, 120)
    permit.ignore()


def test_a_monitor_that_starts_anew_goes_on_with_no_run(clock):  # trap 61
    breaker = opened(clock)
    check = Checked(breaker, failures=1, successes=2, opens=True)
    check.run(PASSED)
    check.link.forget()
    check.state.start(clock.now_ns())
    check.run(PASSED)
    assert breaker.state is State.OPEN
    check.run(PASSED)
    assert breaker.state is State.CLOSED
    check.run(FAILED)
    breaker.reset()
    check.link.forget()
    check.run(FAILED)
    assert breaker.state is State.OPEN


def test_the_log_says_that_a_health_check_did_it(clock, caplog):
    caplog.set_level("INFO", "holdfast")
    breaker = breaker_of(clock)
    check = Checked(breaker, failures=1, opens=True)
    check.run(FAILED, PASSED, every=0)
    assert [record.getMessage() for record in caplog.records] == [
        "circuit breaker 'db' opened: a health check is unhealthy: ping; retry in 60.000 s",
        "circuit breaker 'db' closed: a health check passed",
    ]


@pytest.mark.stress
def test_checks_and_calls_at_once_leave_one_story(clock, stress_scale):  # trap 8
    breaker = breaker_of(clock, reset_timeout=1e-6)
    story = []
    breaker.on_event(story.append)
    stop = threading.Event()

    def call():
        while not stop.is_set():
            breaker.try_call(down)
            breaker.try_call(len, "")

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    checks = [Checked(breaker, failures=1, opens=True) for _ in range(2)]
    for _ in range(60 * stress_scale):
        for check in checks:
            check.run(PASSED, FAILED, every=1e-6)
    stop.set()
    for thread in threads:
        thread.join()
    moves = [event for event in story if event.kind == "transition"]
    moves.sort(key=lambda event: event.generation)
    assert len({event.generation for event in moves}) == len(moves)
    assert all(one.new == other.old for one, other in pairwise(moves))
    seen = breaker.snapshot()
    assert seen.in_flight == 0
    assert sum(seen.state_changes.values()) == len(moves)
