"""What this process has lost of the time, and a check that had no turn, show nothing of a start."""

import threading
import time

import pytest

from holdfast import ManualClock
from holdfast.health import CheckResult
from holdfast.supervision import Component, Supervisor
from holdfast.supervision.course import Phase, Rules
from holdfast.supervision.crew import Crew
from holdfast.supervision.intensity import Intensity
from holdfast.supervision.jobs import Job, Jobs
from tests.supervision.crewed import Checked, Crewed

SECOND = 10**9


class Verified:
    """A crew of one component that has started, and whose check is asked as the test says."""

    def __init__(self):
        self.crew = Crew("one_for_one", Intensity(3, 60 * SECOND))
        rules = Rules(
            restart="permanent",
            delay_ns=lambda attempt, before: SECOND,
            attempts=3,
            on_exit={},
            start_timeout_ns=30 * SECOND,
            stop_timeout_ns=10 * SECOND,
            healthy_after_ns=60 * SECOND,
            cool_down_ns=60 * SECOND,
            has_check=True,
        )
        self.course = self.crew.add("db", rules, (), 0)
        self.crew.start(now_ns=0)
        self.crew.look(0)
        self.crew.started("db", 1, None, now_ns=0)
        self.look(0)

    def look(self, second, lost=0):
        """Return what is told, and what is asked for."""
        self.crew.out.clear()
        self.crew.look(int(second * SECOND), int(lost * SECOND))
        return [how[0] if what == "say" else what for what, _, *how in self.crew.out]

    def answer(self, second, again):
        again_ns = None if again is None else int(again * SECOND)
        self.crew.answered("db", 1, "refused", again_ns, now_ns=int(second * SECOND))


def test_a_start_is_not_overdue_before_its_check_was_asked():
    one = Verified()
    for second in (30, 31, 60, 3600):
        assert one.look(second) == ["await"]
    assert one.course.phase is Phase.VERIFYING
    one.crew.proved("db", 1, good=True, why="", began_ns=3600 * SECOND, now_ns=3601 * SECOND)
    one.look(3601)
    assert one.course.phase is Phase.UP
    assert one.course.failed_total == one.course.attempts_total == 0


def test_a_start_whose_check_has_failed_is_overdue_when_its_time_is_over():
    one = Verified()
    one.answer(29.5, again=30.5)
    assert one.look(29.9) == []
    assert "attempt_failed" in one.look(30)
    assert one.course.last_error == "its check did not pass within 30 s: refused"


def test_a_check_that_failed_early_and_then_had_no_turn_is_asked_once_more():
    one = Verified()
    one.answer(1, again=2)
    assert one.look(30) == ["await"]
    one.answer(100, again=101)
    assert "attempt_failed" in one.look(100)


def test_an_answer_that_proves_nothing_ends_no_start():
    one = Verified()
    one.answer(29, again=30)
    one.answer(29.5, again=None)
    assert one.look(30) == ["await"]


def test_a_check_that_hangs_is_an_answer():
    one = Verified()
    assert one.look(30) == ["await"]
    one.crew.hangs("db", 1, now_ns=31 * SECOND)
    one.look(31)
    assert one.course.phase is Phase.WAITING
    assert one.course.last_error == "its check did not pass within 30 s: its check has not ended"


def test_a_start_gets_the_time_that_was_lost_in_the_middle_of_its_own():
    one = Verified()
    one.answer(21, again=22)
    assert one.look(21, lost=20) == []
    one.answer(29.9, again=30.9)
    assert one.look(30) == []
    one.answer(49.9, again=50.9)
    assert "attempt_failed" in one.look(50)


def test_a_job_gets_the_time_that_was_lost_in_the_middle_of_its_own():
    clock = ManualClock()
    jobs = Jobs("x", clock, None, lambda *_: None)
    job = Job("db", 1, "start", lambda: None, 30 * SECOND)
    jobs._start_clock(job)
    assert jobs.overdue(21 * SECOND, late_ns=20 * SECOND) == []
    assert jobs.overdue(49 * SECOND) == []
    assert jobs.overdue(50 * SECOND) == [job]


def test_a_start_whose_check_proves_nothing_is_awaited_and_then_runs():
    crewed = Crewed("db", kind=Checked)
    crewed["db"].healthy = CheckResult.unproven("this process did not run")
    crewed.supervisor.start()
    crewed.clock.advance(100)
    assert crewed.state("db") == "starting"
    assert crewed["db"].checked > 90  # it is asked all the time
    crewed["db"].healthy = True
    crewed.clock.advance(1)
    assert crewed.kinds() == ["started"]


@pytest.mark.parametrize("inner_fails", [True, False])
def test_a_nested_one_is_overdue_if_its_components_fail_and_not_if_they_take_their_time(
    inner_fails,
):
    clock = ManualClock()
    inner = Supervisor("inner", clock=clock)
    part = Checked("worker")
    part.healthy = False if inner_fails else CheckResult.unproven("it had no turn")
    inner.add(part)
    outer = Crewed(clock=clock)
    outer.add(inner)
    outer.supervisor.start()
    clock.advance(62)
    assert ("attempt_failed" in outer.kinds()) is inner_fails
    assert outer.supervisor.stop()


class Hangs(Component):
    """One whose check hangs until the test ends."""

    def __init__(self):
        super().__init__("hangs")
        self.go_on = threading.Event()

    def start(self):
        pass

    def stop(self):
        pass

    def check(self):
        self.go_on.wait(60)


def test_a_start_whose_check_hangs_is_overdue_long_before_the_limit_of_the_check():
    part = Hangs()
    told = []
    supervisor = Supervisor("x", timeout=50)
    supervisor.on_event(told.append)
    supervisor.add(part, start_timeout=0.3, first_delay=30)
    with supervisor:
        until = time.monotonic() + 30
        while not told and time.monotonic() < until:
            time.sleep(0.02)
        part.go_on.set()
    assert told[0].kind == "attempt_failed"
    assert told[0].reason == "its check did not pass within 0.3 s: its check has not ended"


class CountedLock:
    """A lock that counts how often it is taken."""

    def __init__(self, lock):
        self.lock = lock
        self.taken = 0

    def __enter__(self):
        self.taken += 1
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)

    def _is_owned(self):
        return self.lock._is_owned()


def test_who_looks_at_many_waits_for_few_locks_and_so_for_few_threads():
    crewed = Crewed(*(f"c{n}" for n in range(1000)), kind=Checked)
    supervisor = crewed.supervisor
    supervisor.start()
    crewed.clock.advance(1)
    monitor = supervisor._run.monitor
    supervisor._lock = CountedLock(supervisor._lock)
    monitor._lock = CountedLock(monitor._lock)
    status = supervisor.status()
    assert all(one.healthy and one.check.check_count for one in status.values())
    assert list(status) == list(crewed.parts)
    assert supervisor._lock.taken < 50
    assert monitor._lock.taken < 50
