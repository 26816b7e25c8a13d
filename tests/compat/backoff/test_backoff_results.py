"""The face of backoff: results that are tried again, wait generators and jitters."""

import inspect
import itertools
import logging
import math

import pytest

from holdfast.compat import backoff
from holdfast.compat.backoff import types
from holdfast.compat.backoff._common import _maybe_call, _next_wait
from holdfast.testing import use_clock


def answering(*answers):
    """Return a function that gives answers, the last one for ever."""
    left = list(answers)

    def poll(*args, **kwargs):
        return left.pop(0) if len(left) > 1 else left[0]

    return poll


def first(gen, n):
    """Return what a wait generator yields once it is primed."""
    gen.send(None)
    return list(itertools.islice(gen, n))


def test_it_takes_what_the_library_takes():  # RT-18
    assert [*inspect.signature(backoff.on_predicate).parameters] == [
        "wait_gen", "predicate", "max_tries", "max_time", "jitter", "on_success", "on_backoff",
        "on_giveup", "logger", "backoff_log_level", "giveup_log_level", "wait_gen_kwargs",
    ]  # fmt: skip
    assert types.__all__ == ["Details"]


def test_a_result_that_is_false_is_tried_again(slept):
    poll = backoff.on_predicate(backoff.fibo, jitter=None)(answering(None, [], 0, "mail"))
    assert poll() == "mail"
    assert slept == [1, 1, 2]


def test_a_predicate_says_which_results_are_tried_again(slept):
    poll = backoff.on_predicate(backoff.constant, lambda n: n < 3)(answering(1, 2, 3))
    assert poll() == 3
    assert len(slept) == 2


@pytest.mark.parametrize("limit", [3, lambda: 3])
def test_after_so_many_tries_the_last_result_is_returned(slept, limit):
    poll = backoff.on_predicate(backoff.expo, max_tries=limit)(answering(0, False, None, "late"))
    assert poll() is None
    assert len(slept) == 2
    assert poll.policy.snapshot().gave_up["exhausted"] == 1


def test_after_so_much_time_the_last_result_is_returned():
    with use_clock() as clock:
        poll = backoff.on_predicate(backoff.constant, interval=4, max_time=10, jitter=None)(
            answering(False)
        )
        assert poll() is False
        assert clock.now() == 10
        assert poll.policy.snapshot().gave_up["out_of_time"] == 1


def test_handlers_are_told_of_results():
    told = {"success": [], "backoff": [], "giveup": []}
    target = answering(0, [], "mail")
    poll = backoff.on_predicate(
        backoff.constant, interval=0, jitter=None, on_success=told["success"].append,
        on_backoff=told["backoff"].append, on_giveup=told["giveup"].append,
    )(target)  # fmt: skip
    poll("box", new=True)
    common = {"target": target, "args": ("box",), "kwargs": {"new": True}}
    for details in (*told["success"], *told["backoff"]):
        assert isinstance(details.pop("elapsed"), float)
    assert told == {
        "success": [{**common, "tries": 3, "value": "mail"}],
        "backoff": [
            {**common, "tries": 1, "value": 0, "wait": 0},
            {**common, "tries": 2, "value": [], "wait": 0},
        ],
        "giveup": [],
    }


def test_waits_that_end_give_the_call_up_with_its_value(slept, caplog):  # theirs told none
    told = []
    poll = backoff.on_predicate(
        backoff.constant, interval=[1, 6], jitter=None, on_giveup=told.append
    )(answering(False))
    with caplog.at_level(logging.INFO):
        assert poll() is False
    assert slept == [1, 6]
    assert (told[0]["value"], told[0]["tries"]) == (False, 3)
    assert [text for _, _, text in caplog.record_tuples] == [
        "Backing off poll(...) for 1.0s (False)",
        "Backing off poll(...) for 6.0s (False)",
        "Giving up poll(...) after 3 tries (False)",
    ]


def test_a_pause_can_depend_on_the_result(slept):
    poll = backoff.on_predicate(
        backoff.runtime, predicate=lambda seconds: seconds > 0, value=int, jitter=None
    )(answering(1, 3, 7, 0))
    # int() is 0: a callable that can do without arguments is called once, as theirs is.
    with pytest.raises(TypeError, match="not callable"):
        poll()
    poll = backoff.on_predicate(
        backoff.runtime, lambda seconds: seconds > 0, value=lambda s: s, jitter=None
    )(answering(1, 3, 7, 0))
    assert poll() == 0
    assert slept == [1, 3, 7]


def test_an_exception_is_raised_at_once_and_counted(slept):
    def poll():
        raise ConnectionError

    again = backoff.on_predicate(backoff.expo)(poll)
    with pytest.raises(ConnectionError):
        again()
    assert slept == []
    assert again.policy.snapshot().gave_up["not_retryable"] == 1


def test_an_exception_after_a_retry_ends_the_call(slept):
    answers = iter([False, ConnectionError()])

    def poll():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    again = backoff.on_predicate(backoff.expo)(poll)
    with pytest.raises(ConnectionError):
        again()
    assert again.policy.snapshot().attempts == 2


def test_what_a_predicate_raises_is_raised(slept):
    again = backoff.on_predicate(backoff.expo, lambda result: result.missing)(answering(1))
    with pytest.raises(AttributeError):
        again()
    assert again.policy.snapshot().failed == 1


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({}, [1, 2, 4, 8, 16]),
        ({"base": 3, "factor": 5}, [5, 15, 45, 135, 405]),
        ({"factor": 0.5}, [0.5, 1, 2, 4, 8]),
        ({"max_value": 4}, [1, 2, 4, 4, 4]),
        ({"base": 0.5}, [1, 0.5, 0.25, 0.125, 0.0625]),
    ],
)
def test_expo_yields_powers(settings, waits):
    assert first(backoff.expo(**settings), 5) == waits


@pytest.mark.parametrize("gen", [backoff.expo(), backoff.fibo(), backoff.expo(base=1e300)])
def test_waits_grow_no_further_than_can_be_slept(gen):  # trap 49: 2 ** 1024 is no float
    waits = first(gen, 5000)
    assert waits[-1] == 100 * 365 * 24 * 3600
    assert waits == sorted(waits)
    assert math.isfinite(backoff.full_jitter(waits[-1]))


def test_fibo_yields_the_numbers_of_fibonacci():
    assert first(backoff.fibo(), 7) == [1, 1, 2, 3, 5, 8, 13]
    assert first(backoff.fibo(max_value=8), 8) == [1, 1, 2, 3, 5, 8, 8, 8]


def test_constant_yields_one_pause_or_given_ones():
    assert first(backoff.constant(3), 4) == [3] * 4
    assert first(backoff.constant(interval=(1, 6)), 4) == [1, 6]
    assert first(backoff.constant(interval=iter([1, 6])), 4) == [1, 6]


def test_runtime_asks_for_each_pause():
    gen = backoff.runtime(value=lambda found: found * 2)
    gen.send(None)
    assert [gen.send(number) for number in range(5)] == [0, 2, 4, 6, 8]


def test_a_wait_generator_gets_what_was_found(slept):
    found = []

    def listening():
        value = yield
        while True:
            found.append(value)
            value = yield 1

    backoff.on_predicate(listening)(answering(0, [], "mail"))()
    assert found == [0, []]


def test_jitters_stay_in_their_range():  # trap 49
    for value in range(100):
        assert 0 <= backoff.full_jitter(value) <= value
        assert value <= backoff.random_jitter(value) < value + 1


def test_a_pause_is_jittered_by_default(slept):
    backoff.on_predicate(backoff.constant, interval=1000)(answering(*[0] * 50, 1))()
    assert len(set(slept)) > 40
    assert all(0 <= seconds <= 1000 for seconds in slept)


def test_the_next_wait_is_at_most_what_is_left_of_the_time():
    def waiting():
        value = yield
        while True:
            value = yield value + 2

    gen = waiting()
    gen.send(None)
    assert _next_wait(gen, 4, None, 0, None) == 6
    assert _next_wait(gen, 9, None, 0, 10) == 10
    assert _next_wait(gen, 4, lambda s: s * 10, 5, 10) == 5


@pytest.mark.parametrize(
    ("given", "value"), [(3, 3), (None, None), (lambda: 4, 4), (len, len), ("text", "text")]
)
def test_a_setting_may_be_a_value_or_a_callable_of_nothing(given, value):
    assert _maybe_call(given) == value
