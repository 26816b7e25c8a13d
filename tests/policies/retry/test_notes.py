"""What a retry says of a call that it gives up: a note on its error, or an error of its own."""

from __future__ import annotations

import pickle
import traceback

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, outage, raising
from tests.policies.retry.retries import Flaky, every_way, retry_of, why


@every_way
def test_the_last_error_says_how_often_and_how_long_it_was_tried(make, clock):  # RT-08
    flaky, retry = Flaky(clock), retry_of(clock, backoff=hf.Constant(0.65))
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert raised.value.__notes__ == ["3 attempts in 1.3 s, policy 'network'"]


@every_way
def test_the_same_error_raised_again_and_again_does_not_grow(make, clock):  # trap 14
    error = OutageError()
    error.add_note("mine, policy 'network'")
    for _ in range(20):
        with pytest.raises(OutageError):
            make(retry_of(clock), clock, raising(error))
        with pytest.raises(OutageError):
            make(hf.Retry("other", attempts=2, on=OutageError, clock=clock), clock, raising(error))
    assert len(error.__notes__) == 3
    assert error.__notes__[0] == "mine, policy 'network'"
    assert (error.__cause__, error.__context__) == (None, None)


class FrozenError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"frozen: {name}")


class NotedError(Exception):
    __notes__ = ()


class OddlyNotedError(Exception):
    def __init__(self) -> None:
        self.__notes__ = [1, None]


class MuteError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@every_way
@pytest.mark.parametrize("kind", [FrozenError, NotedError, OddlyNotedError, MuteError])
def test_an_error_that_takes_no_note_is_raised_without(make, kind, clock):
    error = kind()
    with pytest.raises(kind) as raised:
        make(retry_of(clock, on=kind), clock, raising(error))
    assert raised.value is error
    with pytest.raises(hf.RetryExhaustedError) as wrapped:
        make(retry_of(clock, on=kind, wrap=True), clock, raising(error))
    assert wrapped.value.__cause__ is error


def test_nested_retries_each_leave_their_note(clock):
    inner = hf.Retry("inner", attempts=2, backoff=hf.Constant(1), on=OutageError, clock=clock)
    flaky = Flaky(clock)
    with pytest.raises(OutageError) as raised:
        hf.Pipeline("p", retry_of(clock), inner).call(flaky)
    assert raised.value.__notes__ == [
        "2 attempts in 1 s, policy 'inner'",
        "3 attempts in 5 s, policy 'network'",
    ]
    assert len(flaky.made) == 6
    assert inner.snapshot().failed == 3


def test_the_traceback_has_no_frame_of_ours(clock):
    with pytest.raises(OutageError) as raised:
        retry_of(clock).call(outage)
    files = [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert not [file for file in files if "/src/holdfast/" in file]


@every_way
def test_wrapped_the_last_error_is_the_cause_of_one_that_tells_of_the_call(make, clock):
    # RT-08: "max retries (N) exceeded: <last error>", cause kept
    error = OutageError("down")
    with pytest.raises(hf.RetryExhaustedError) as raised:
        make(retry_of(clock, wrap=True), clock, raising(error))
    wrapped = raised.value
    assert wrapped.__cause__ is error
    assert not hasattr(error, "__notes__")
    assert (wrapped.name, wrapped.attempts, wrapped.elapsed) == ("network", 3, 2.0)
    assert wrapped.result is None
    assert str(wrapped) == (
        "max retries exceeded: OutageError: down (3 attempts in 2 s, policy 'network')"
    )
    assert wrapped.code == "RETRY_EXHAUSTED"
    twin = pickle.loads(pickle.dumps(wrapped))
    assert (type(twin), twin.args, str(twin)) == (type(wrapped), wrapped.args, str(wrapped))
    assert (twin.name, twin.attempts, twin.elapsed) == ("network", 3, 2.0)


@every_way
def test_wrapped_a_result_that_is_not_good_enough_is_in_the_error(make, clock):
    retry = retry_of(clock, wrap=True, on_result=lambda result: result == 503)
    with pytest.raises(hf.RetryExhaustedError, match="a result") as raised:
        make(retry, clock, lambda: 503)
    assert (raised.value.result, raised.value.__cause__) == (503, None)
    assert why(retry) == {"exhausted": 1}


def test_wrapped_a_retry_around_may_retry_that(clock):
    inner = retry_of(clock, attempts=2, wrap=True)
    outer = hf.Retry("outer", attempts=2, on=hf.RetryExhaustedError, clock=clock)
    flaky = Flaky(clock, 3)
    assert hf.Pipeline("p", outer, inner).call(flaky) == "fine"
    assert len(flaky.made) == 4
