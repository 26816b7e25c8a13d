"""`for attempt in retry.attempts()`: a block of code that is tried again, in threads and tasks."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError
from tests.policies.retry.retries import budget_of, retry_of, why


def ended(retry: hf.Retry) -> tuple[int, int]:
    snapshot = retry.snapshot()
    return snapshot.succeeded, snapshot.failed


# ---- the loop ----


def test_a_block_runs_until_it_comes_to_its_end(clock):
    retry = retry_of(clock)
    made = []
    for attempt in retry.attempts():
        with attempt:
            made.append((attempt.number, clock.now()))
            if attempt.number < 3:
                raise OutageError
    assert made == [(1, 0.0), (2, 1.0), (3, 2.0)]
    snapshot = retry.snapshot()
    assert (ended(retry), snapshot.recovered) == ((1, 0), 1)
    assert snapshot.retries[:3] == (1, 1, 0)


def test_code_in_the_loop_and_after_it_runs_as_it_stands(clock):
    lines = []
    for attempt in retry_of(clock).attempts():
        lines.append("before")
        with attempt:
            lines.append("in")
            if attempt.number == 1:
                raise OutageError
        lines.append("after")
    else:
        lines.append("else")
    assert lines == ["before", "in", "after", "before", "in", "after", "else"]


@pytest.mark.parametrize("number", [1, 2])
def test_breaking_out_of_the_block_is_its_end(number, clock):
    retry = retry_of(clock)
    for attempt in retry.attempts():
        with attempt:
            if attempt.number == number:
                break
            raise OutageError
    assert attempt.number == number
    assert ended(retry) == (1, 0)


def test_a_loop_that_is_left_after_a_failure_gives_its_retry_back_at_once(clock):  # trap 44
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)
    gc.disable()
    try:
        for attempt in retry.attempts():
            with attempt:
                raise OutageError
            break
        assert budget.balance == 5.0
    finally:
        gc.enable()
    assert attempt.error is not None
    assert why(retry) == {"cancelled": 1}
    assert sum(retry.snapshot().retries) == 0
    assert clock.now() == 0.0


def test_an_error_beside_the_block_leaves_the_loop_and_gives_its_retry_back(clock):  # trap 44
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)

    def call() -> None:
        for attempt in retry.attempts():
            with attempt:
                raise OutageError
            raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"):
        call()
    gc.collect()
    assert (budget.balance, why(retry)) == (5.0, {"cancelled": 1})


def test_a_loop_whose_attempts_are_never_entered_ends_and_counts_nothing(clock):
    retry = retry_of(clock)
    assert [attempt.number for attempt in retry.attempts()] == [1]
    for _ in retry.attempts():
        break
    assert iter(retry.attempts()) is not iter(retry.attempts())
    gc.collect()
    assert ended(retry) == (0, 0)


def test_the_attempts_of_one_call_are_iterated_over_once(clock):
    attempts = retry_of(clock).attempts()
    for attempt in attempts:
        with attempt:
            pass
    assert list(attempts) == []


def test_an_attempt_is_made_once(clock):
    retry = retry_of(clock)
    for attempt in retry.attempts():
        with attempt, pytest.raises(RuntimeError, match="entered only once"), attempt:
            raise AssertionError("ran")
        with pytest.raises(RuntimeError, match="entered only once"), attempt:
            raise AssertionError("ran")
        with pytest.raises(RuntimeError, match="end only once"):
            attempt.__exit__(None, None, None)
    assert ended(retry) == (1, 0)


def test_two_loops_at_a_time_in_one_thread_do_not_mix(clock):  # trap 56
    retry = retry_of(clock)
    one, other = retry.attempts(), retry.attempts()
    for number in (1, 2):
        for attempts in (one, other):
            attempt = next(attempts)
            assert attempt.number == number
            with attempt:
                raise OutageError
    for attempts in (one, other):
        with next(attempts):
            pass
        with pytest.raises(StopIteration):
            next(attempts)
    assert (ended(retry), retry.snapshot().attempts) == ((2, 0), 6)


def test_an_attempt_keeps_what_its_block_raised_when_another_one_follows(clock):
    errors: list[Any] = []
    for attempt in retry_of(clock, attempts=9).attempts():
        assert attempt.error is None
        with attempt:
            if attempt.number < 3:
                raise OutageError(attempt.number)
        errors.append(attempt.error)
    assert [error and error.args for error in errors] == [(1,), (2,), None]


# ---- results ----


def test_without_a_result_the_block_is_a_success(clock):
    retry = retry_of(clock, on_result=lambda result: True)
    for attempt in retry.attempts():
        with attempt:
            pass
    assert ended(retry) == (1, 0)


def test_the_last_result_set_in_a_block_is_judged_and_none_when_it_raises(clock):
    judged: list[Any] = []
    retry = retry_of(clock, on_result=judged.append)
    for attempt in retry.attempts():
        with attempt:
            attempt.set_result("early")
            if attempt.number == 1:
                raise OutageError
            attempt.set_result("late")
    assert judged == ["late"]


def test_a_result_that_is_set_after_the_block_is_an_error(clock):
    # tenacity has it set there, and a result nobody looks at would go unnoticed
    for attempt in retry_of(clock).attempts():
        with attempt:
            pass
        with pytest.raises(RuntimeError, match="inside the block"):
            attempt.set_result(1)


# ---- modes, deadlines, memory ----


def test_a_block_is_not_begun_once_its_deadline_has_passed(clock):  # GEN-04
    retry = retry_of(clock)
    attempts = retry.attempts()
    with pytest.raises(hf.DeadlineExceededError), hf.Timeout(1, clock=clock):
        next(attempts, clock.advance(1))
    assert ended(retry) == (0, 0)
    with hf.Timeout(1, clock=clock, mode="observe"):
        clock.advance(1)
        for attempt in retry.attempts():
            with attempt:
                pass
    assert ended(retry) == (1, 0)


@pytest.mark.parametrize("end", ["succeeds", "fails"])
def test_a_loop_leaves_no_cycle_behind(end, clock):  # trap 14
    class Big:
        pass

    retry = retry_of(clock, attempts=2)
    gone: list[weakref.ref[Big]] = []

    def call() -> None:
        big = Big()
        gone.append(weakref.ref(big))
        for attempt in retry.attempts():
            with attempt:
                if attempt.number == 1 or end == "fails":
                    raise OutageError

    gc.collect()
    gc.disable()
    try:
        try:
            call()
        except OutageError:
            assert end == "fails"
        assert gone[0]() is None
    finally:
        gc.enable()


def test_only_a_retry_has_attempts(clock):
    breaker: Any = hf.CircuitBreaker("b", clock=clock)
    assert not hasattr(breaker, "attempts")
    for method, arguments in (
        ("_attempt_made", (0, -1, 0, None, None, False, [None])),
        ("_pause_ended", (1, False)),
        ("_check_begin", ()),
    ):
        with pytest.raises(TypeError, match="is not a retry"):
            getattr(breaker, method)(*arguments)
