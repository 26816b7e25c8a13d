"""Which delay a response or an error requests."""

import datetime
import email.utils
import math
import time
import types
from unittest.mock import MagicMock

import pytest

import holdfast as hf


def response(**headers: object) -> types.SimpleNamespace:
    return types.SimpleNamespace(
        status_code=503, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


class FailedError(Exception):
    response: object = None


def failed(response: object) -> FailedError:
    error = FailedError()
    error.response = response
    return error


@pytest.mark.parametrize("name", ["Retry_After", "retry_after", "RETRY_AFTER"])
def test_seconds_are_read_from_a_response_and_from_an_error_that_has_one(name):
    answer = response(**{name: "2.5"})
    assert hf.retry_after(answer) == hf.retry_after(failed(answer)) == 2.5
    assert hf.retry_after(answer.headers) == 2.5


def test_a_date_is_the_time_until_it_and_none_if_it_has_passed():
    soon, past = (email.utils.formatdate(time.time() + by, usegmt=True) for by in (90, -90))
    assert 80 < hf.retry_after(response(Retry_After=soon)) <= 90
    assert hf.retry_after(response(Retry_After=past)) is None


def test_milliseconds_are_read_where_a_server_sends_them():
    assert hf.retry_after(response(Retry_After_Ms="250", Retry_After="1")) == 0.25


@pytest.mark.parametrize("value", [
    "-1", "nan", "inf", "soon", "", None, -1, math.nan, [], object(), b"\xff", True,
], ids=lambda value: repr(value)[:8])  # fmt: skip
def test_what_is_no_delay_requests_none(value):
    assert hf.retry_after(response(Retry_After=value)) is None


@pytest.mark.parametrize("delay", [3, 3.0, "3", b"3", datetime.timedelta(seconds=3)])
def test_an_error_may_have_the_delay_itself(delay):
    error = FailedError()
    error.retry_after = delay
    assert hf.retry_after(error) == 3.0


def test_a_rejection_says_when_it_is_over(clock):
    breaker = hf.CircuitBreaker("b", reset_timeout=7, clock=clock)
    breaker.trip()
    with pytest.raises(hf.CircuitOpenError) as raised:
        breaker.call(len, "")
    assert hf.retry_after(raised.value) == 7.0


def test_a_group_requests_its_longest_delay():
    errors = [failed(response(Retry_After=str(n))) for n in (1, 3, 2)]
    assert hf.retry_after(ExceptionGroup("", [*errors, ValueError()])) == 3.0


def test_a_reply_of_aws_has_its_headers_in_the_metadata():
    reply = {"ResponseMetadata": {"HTTPHeaders": {"retry-after": "4"}}}
    assert hf.retry_after(reply) == hf.retry_after(failed(reply)) == 4.0


def test_an_error_of_grpc_has_its_delay_in_the_trailing_metadata():
    error = FailedError()
    error.trailing_metadata = lambda: (("a", "b"), ("grpc-retry-pushback-ms", "1500"))
    assert hf.retry_after(error) == 1.5
    error.trailing_metadata = lambda: (("grpc-retry-pushback-ms", "-1"),)
    assert hf.retry_after(error) is None


class Raises:
    def __getattr__(self, name):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "odd",
    [None, 5, "text", {}, {1: 2}, Raises(), MagicMock(), object, {"headers": 1}],
    ids=lambda odd: type(odd).__name__,
)
def test_no_odd_object_raises_or_requests_a_delay(odd):
    assert hf.retry_after(odd) is None
    assert hf.retry_after(failed(odd)) is None
    assert hf.retry_after(types.SimpleNamespace(headers=odd)) is None
