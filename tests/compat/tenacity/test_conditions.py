"""The conditions and waits of the face of tenacity, alone and combined."""

import datetime
import functools
import logging
import operator
import random
import re
import threading
import time

import pytest

from holdfast.compat import tenacity
from holdfast.compat.tenacity import (
    Future,
    RetryCallState,
    retry_all,
    retry_any,
    retry_base,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_message,
    retry_if_not_exception_type,
    retry_if_not_result,
    retry_if_result,
    retry_unless_exception_type,
    wait_chain,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_incrementing,
    wait_none,
    wait_random,
    wait_random_exponential,
)
from holdfast.compat.tenacity._utils import (
    find_ordinal,
    get_callback_name,
    is_coroutine_callable,
    to_ordinal,
    to_seconds,
)
from holdfast.compat.tenacity.retry import sees_results
from holdfast.compat.tenacity.stop import (
    stop_after_attempt,
    stop_after_delay,
    stop_before_delay,
    stop_never,
    stop_when_event_set,
)


def state(number=1, *, seconds=0.0, sleep=0.0, error=None, result=None) -> RetryCallState:
    """Return the state of a call after so many attempts and seconds."""
    made = RetryCallState(None, None, (), {})
    made.attempt_number = number
    made.outcome = Future.construct(number, result if error is None else error, error is not None)
    made.outcome_timestamp = made.start_time + seconds
    made.start_time = 0.0
    made.outcome_timestamp = seconds
    made.upcoming_sleep = sleep
    return made


def caused() -> Exception:
    error, cause = ValueError("outer"), KeyError("inner")
    error.__cause__ = cause
    return error


TIMEOUT = TimeoutError("timed out")


@pytest.mark.parametrize(
    ("condition", "of_timeout", "of_key_error", "of_result"),
    [
        (tenacity.retry_never, False, False, False),
        (tenacity.retry_always, True, True, True),
        (retry_if_exception_type(), True, True, False),
        (retry_if_exception_type(OSError), True, False, False),
        (retry_if_exception_type((OSError, KeyError)), True, True, False),
        (retry_if_not_exception_type(OSError), False, True, False),
        (retry_unless_exception_type(OSError), False, True, True),
        (retry_if_exception(lambda error: "timed" in str(error)), True, False, False),
        (retry_if_exception_message(message="timed out"), True, False, False),
        (retry_if_exception_message(match="time"), True, False, False),
        (retry_if_exception_message(match=re.compile("out")), False, False, False),
        (retry_if_not_exception_message(message="timed out"), False, True, True),
        (retry_if_result(lambda result: result is None), False, False, True),
        (retry_if_not_result(lambda result: result is None), False, False, False),
        (retry_if_exception_cause_type(KeyError), False, False, False),
        (
            retry_if_exception_type(OSError) | retry_if_result(lambda r: r is None),
            True,
            False,
            True,
        ),
        (retry_if_exception_type() & retry_if_exception_message(match="t"), True, False, False),
        (retry_if_exception_type() & (lambda state: False), False, False, False),
        ((lambda state: True) & retry_if_exception_type(OSError), True, False, False),
        ((lambda state: True) | retry_if_exception_type(OSError), True, True, True),
    ],
)
def test_a_condition_says_what_is_tried_again(condition, of_timeout, of_key_error, of_result):
    assert condition(state(error=TIMEOUT)) is of_timeout
    assert condition(state(error=KeyError("x"))) is of_key_error
    assert condition(state(result=None)) is of_result


def test_a_cause_is_found_however_far_up_and_in_a_circle():
    condition = retry_if_exception_cause_type(KeyError)
    error = RuntimeError()
    error.__cause__ = caused()
    assert condition(state(error=error))
    circle = RuntimeError()
    circle.__cause__ = circle
    assert not condition(state(error=circle))


@pytest.mark.parametrize("arguments", [{}, {"message": "a", "match": "b"}])
def test_a_message_or_a_pattern_is_needed(arguments):
    with pytest.raises(TypeError, match="'message' or 'match'"):
        retry_if_exception_message(**arguments)


@pytest.mark.parametrize(
    "condition",
    [retry_if_exception_type(), retry_if_result(bool), tenacity.wait_exception(lambda error: 1)],
)
def test_a_condition_needs_an_outcome(condition):
    with pytest.raises(RuntimeError, match="before outcome was set"):
        condition(RetryCallState(None, None, (), {}))


def test_combinations_are_flat():
    a, b, c = retry_if_exception_type(OSError), retry_if_exception_type(), retry_if_result(bool)
    assert (a | b | c).retries == (a, b, c)
    assert (a & b & c).retries == (a, b, c)
    assert (a | (b | c)).retries == (a, b, c)

    def own(_state):
        return True

    assert (a | b | own).retries == (a, b, own)
    assert (own | (a | b)).retries == (own, a, b)
    assert (a & b & own).retries == (a, b, own)
    assert isinstance(a | b & c, retry_any)
    assert isinstance((a | b) & c, retry_all)


class Own(retry_if_exception_type):
    """Tries results again as well, in its own way."""

    def __call__(self, retry_state):
        return super().__call__(retry_state) or retry_state.outcome.result() == "again"


@pytest.mark.parametrize(
    ("condition", "sees"),
    [
        (retry_if_exception_type(OSError), False),
        (retry_if_exception_type(OSError) | retry_if_exception_message(match="x"), False),
        (retry_if_exception_type(OSError) & retry_if_not_exception_type(KeyError), False),
        (retry_if_exception_type(OSError) | retry_if_result(bool), True),
        (retry_unless_exception_type(OSError), True),
        (retry_if_not_exception_message("x"), True),
        (tenacity.retry_always, True),
        (Own(), True),
        (lambda state: False, True),
        (retry_any(), True),
    ],
)
def test_only_conditions_that_may_say_yes_are_asked_of_results(condition, sees):
    assert sees_results(condition) is sees


def test_a_subclass_that_tries_results_again_is_asked_of_each():
    results = iter(["again", "done"])
    work = tenacity.retry(retry=Own(), wait=wait_none())(lambda: next(results))
    assert work() == "done"


@pytest.mark.parametrize(
    ("stop", "number", "seconds", "sleep", "stops"),
    [
        (stop_never, 1_000, 1e9, 0, False),
        (stop_after_attempt(3), 2, 0, 0, False),
        (stop_after_attempt(3), 3, 0, 0, True),
        (stop_after_delay(10), 1, 9.9, 5, False),
        (stop_after_delay(datetime.timedelta(seconds=10)), 1, 10, 0, True),
        (stop_before_delay(10), 1, 5, 4.9, False),
        (stop_before_delay(10), 1, 5, 5, True),
        (stop_after_attempt(3) | stop_after_delay(10), 3, 0, 0, True),
        (stop_after_attempt(3) & stop_after_delay(10), 3, 0, 0, False),
        (stop_after_attempt(3) & (lambda state: True), 3, 0, 0, True),
    ],
)
def test_a_stop_says_when_to_give_up(stop, number, seconds, sleep, stops):
    assert stop(state(number, seconds=seconds, sleep=sleep, error=TIMEOUT)) is stops


def test_an_event_ends_the_attempts():
    event = threading.Event()
    stop = stop_when_event_set(event)
    assert not stop(state())
    event.set()
    assert stop(state())


def test_a_limit_of_time_needs_an_attempt_that_has_ended():
    with pytest.raises(RuntimeError, match="seconds_since_start"):
        stop_after_delay(1)(RetryCallState(None, None, (), {}))


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        (wait_none(), [0, 0, 0]),
        (wait_fixed(datetime.timedelta(minutes=1)), [60, 60, 60]),
        (wait_incrementing(start=500, increment=100), [500, 600, 700]),
        (wait_incrementing(start=5, increment=-3), [5, 2, 0]),
        (wait_incrementing(start=50, increment=50, max=90), [50, 90, 90]),
        (wait_exponential(), [1, 2, 4]),
        (wait_exponential(multiplier=3, exp_base=10, max=100), [3, 30, 100]),
        (wait_exponential(min=3, max=5), [3, 3, 4]),
        (wait_exponential(multiplier=0), [0, 0, 0]),
        (wait_exponential_jitter(jitter=0, max=3), [1, 2, 3]),
        (wait_exponential_jitter(jitter=0, multiplier=5, min=7), [7, 10, 20]),
        (wait_chain(wait_fixed(1), wait_fixed(2)), [1, 2, 2]),
        (wait_fixed(1) + wait_incrementing(0, 1), [1, 2, 3]),
        (sum([wait_fixed(1), wait_fixed(2)]), [3, 3, 3]),
        (wait_fixed(1) + (lambda state: state.attempt_number), [2, 3, 4]),
        ((lambda state: state.attempt_number) + wait_fixed(1), [2, 3, 4]),
        (tenacity.wait_exception(lambda error: len(str(error))), [9, 9, 9]),
    ],
)
def test_a_wait_says_how_long(wait, seconds):
    assert [wait(state(n, error=TIMEOUT)) for n in (1, 2, 3)] == seconds


@pytest.mark.parametrize(
    "wait",
    [
        wait_exponential(max=60),
        wait_exponential(multiplier=0.001, exp_base=1.5, max=60),
        wait_exponential_jitter(max=60),
        wait_random_exponential(max=60),
    ],
)
def test_no_wait_is_longer_than_its_limit_however_many_attempts(wait):  # trap 49
    for number in (1, 5, 64, 1_024, 100_000, 10**9):
        assert 0 <= wait(state(number)) <= 60


@pytest.mark.parametrize("wait", [wait_exponential(), wait_exponential_jitter()])
def test_a_wait_without_limit_stays_a_number(wait):  # trap 49
    assert 0 < wait(state(100_000)) <= tenacity._utils.MAX_WAIT


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        (wait_random(1, 20), 1, 20),
        (wait_random_exponential(multiplier=4, min=1), 1, 8),
        (wait_exponential_jitter(jitter=3), 2, 5),
        (tenacity.wait_full_jitter(max=2), 0, 2),
    ],
)
def test_a_random_wait_is_spread_between_its_bounds(wait, least, most):
    random.seed(7)
    drawn = [wait(state(2)) for _ in range(400)]
    assert least <= min(drawn) < least + (most - least) / 10
    assert most - (most - least) / 10 < max(drawn) <= most


def test_a_random_wait_is_drawn_where_tests_replace_it(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.25)
    assert wait_random(1, 5)(state(1)) == 2


def test_waits_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        wait_chain()
    with pytest.raises(ValueError, match="'initial' and 'multiplier'"):
        wait_exponential_jitter(initial=2, multiplier=2)
    with pytest.warns(DeprecationWarning, match="'multiplier' instead"):
        assert wait_exponential_jitter(initial=2).multiplier == 2
    with pytest.raises(TypeError):
        operator.add(5, wait_fixed(1))
    with pytest.raises(RuntimeError, match="exception is None"):
        tenacity.wait_exception(lambda error: 1)(state(result=1))


def test_attempts_are_logged(caplog):
    logger = logging.getLogger("tried again")
    calls = iter([ConnectionError("refused"), None])

    @tenacity.retry(
        wait=wait_fixed(0.25),
        sleep=lambda seconds: None,
        before=tenacity.before_log(logger, logging.INFO),
        after=tenacity.after_log(logger, logging.INFO, "%.0f"),
        before_sleep=tenacity.before_sleep_log(logger, logging.INFO, exc_info=True),
    )
    def fetch() -> None:
        if (error := next(calls)) is not None:
            raise error

    with caplog.at_level(logging.INFO):
        fetch()
    name = f"{__name__}.test_attempts_are_logged.<locals>.fetch"
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == f"Starting call to '{name}', this is the 1st time calling it."
    assert texts[1] == (f"Finished call to '{name}' after 0(s), this was the 1st time calling it.")
    assert texts[2].startswith(
        f"Retrying {name} in 0.25 seconds as it raised ConnectionError: refused.\nTraceback"
    )
    assert texts[3] == f"Starting call to '{name}', this is the 2nd time calling it."


def test_a_result_that_is_tried_again_is_logged(caplog):
    results = iter([0, 1])
    log = tenacity.before_sleep_log(logging.getLogger("results"), logging.WARNING)
    tenacity.retry(retry=retry_if_not_result(bool), before_sleep=log)(lambda: next(results))()
    assert caplog.messages[0].endswith("in 0 seconds as it returned 0.")


def test_what_logs_needs_an_attempt():
    log = tenacity.before_sleep_log(logging.getLogger("nothing"), logging.INFO)
    with pytest.raises(RuntimeError, match="before outcome"):
        log(RetryCallState(None, None, (), {}))
    with pytest.raises(RuntimeError, match="before next_action"):
        log(state(error=TIMEOUT))


def test_a_pause_ends_when_its_event_is_set():
    event = threading.Event()
    pause = tenacity.sleep_using_event(event)
    begun = time.monotonic()
    pause(0.02)
    assert time.monotonic() - begun >= 0.015
    event.set()
    pause(60)
    assert time.monotonic() - begun < 30


def test_numbers_have_ordinals():
    numbers = [0, 1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111, 113]
    endings = [to_ordinal(n).removeprefix(str(n)) for n in numbers]
    assert " ".join(endings) == "th st nd rd th th th th st nd rd st th th"
    assert find_ordinal(112) == "th"


def test_callables_have_names_or_are_shown():
    assert get_callback_name(state) == f"{__name__}.state"
    partial = functools.partial(state, 1)
    assert get_callback_name(partial) == repr(partial)


def test_durations_may_be_timedeltas():
    assert to_seconds(datetime.timedelta(milliseconds=1500)) == 1.5
    assert to_seconds(2) == 2.0


class Asked:
    async def __call__(self) -> None: ...


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("call", "gives_coroutine"),
    [
        (coroutine, True),
        (functools.partial(coroutine), True),
        (Asked(), True),
        (Asked, False),
        (state, False),
        (lambda: coroutine(), False),
    ],
)
def test_coroutine_functions_are_told_from_others(call, gives_coroutine):
    assert is_coroutine_callable(call) is gives_coroutine


def test_a_base_class_is_abstract():
    for base in (retry_base, tenacity.stop.stop_base, tenacity.wait.wait_base):
        with pytest.raises(TypeError, match="abstract"):
            base()
