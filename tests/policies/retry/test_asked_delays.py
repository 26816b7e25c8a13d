"""Delays that the other side asks for: understood in every form they come in, or refused aloud."""

import email.utils
import itertools
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

import holdfast as hf
from tests.policies.retry.retries import BusyError, Flaky, retry_of


def pause(clock: hf.ManualClock, asked: Any, within: float = 0, **settings: Any) -> float:
    """Return how long a retry pauses that a hook, and the error itself, ask to wait."""
    paused = []
    for hook in (None, lambda error: asked):
        retry = retry_of(clock, on=BusyError, attempts=2, retry_after=hook, **settings)
        flaky = Flaky(clock, failures=1, error=BusyError(None if hook else asked))
        retry.call(flaky)
        paused.append(round(flaky.made[1] - flaky.made[0], 9))
    assert paused[0] - within <= paused[1] <= paused[0]
    return paused[0]


def http(moment: datetime) -> str:
    return email.utils.format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("2.5", 2.5),
        ("0", 0),
        (b"7", 7),
        ("9" * 400, 60),
        (Decimal("1.25"), 1.25),
        (Decimal("1e400"), 60),
        (Decimal("Infinity"), 60),
        (Fraction(7, 2), 3.5),
        (Fraction(10**400), 60),
        (timedelta(milliseconds=1500), 1.5),
    ],
)
def test_numbers_of_every_kind_and_text_are_seconds(clock, asked, seconds):
    assert pause(clock, asked) == seconds


def test_numbers_of_numpy_are_seconds(clock):
    numpy = pytest.importorskip("numpy")
    for kind in (numpy.int64, numpy.uint8, numpy.float32, numpy.float64, numpy.array):
        assert pause(clock, kind(3)) == 3
    assert pause(clock, numpy.timedelta64(1500, "ms")) == 1.5
    assert pause(clock, numpy.float32("inf")) == 60
    for nonsense in (numpy.True_, numpy.float64("nan"), numpy.int64(-3), numpy.array([1, 2])):
        assert pause(clock, nonsense) == 1


@pytest.mark.parametrize(
    "form",
    [
        http,
        lambda moment: http(moment).encode(),
        datetime.isoformat,
        lambda moment: moment.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
        lambda moment: moment.strftime("%a %b %d %H:%M:%S %Y"),
        lambda moment: moment,
        lambda moment: moment.astimezone(timezone(timedelta(hours=9))),
        lambda moment: moment.astimezone().replace(tzinfo=None),
    ],
    ids=["http", "bytes", "iso", "rfc850", "asctime", "aware", "elsewhere", "local"],
)
def test_a_date_is_the_time_until_then(clock, form):
    """By the wall clock, of which a hundred seconds may pass in this test."""
    now = datetime.now(UTC)
    in_an_hour = form(now + timedelta(hours=1))
    assert 3500 < pause(clock, in_an_hour, within=100, max_retry_after=7200) <= 3600
    assert pause(clock, form(now + timedelta(days=1))) == 60
    assert pause(clock, form(now - timedelta(hours=1))) == 1  # it has passed: as the back-off says


@pytest.mark.parametrize(
    "nonsense",
    [
        *("soon", "", "-5", "nan", "inf", "1_0", "٣", b"\xff", "Wed, 99 Oct 2015 07:28:00 GMT"),
        *(-1, True, float("nan"), Decimal("NaN"), Decimal("sNaN"), Fraction(-1, 2), -1j, [5], len),
        *((), (5,), (5, 6), time.gmtime(0)),
    ],
)
def test_what_is_no_delay_is_refused_aloud_and_the_back_off_holds(clock, nonsense, caplog):
    assert pause(clock, nonsense) == 1
    assert len(caplog.records) == 2  # each policy said so
    assert "which is not a delay" in caplog.text
    assert "'network'" in caplog.text


def test_a_policy_says_so_once(clock, caplog):
    retry = retry_of(clock, on=BusyError, retry_after=lambda error: "soon")
    for _ in range(3):
        assert retry.call(Flaky(clock, failures=2, error=BusyError(None))) == "fine"
    assert len(caplog.records) == 1


def test_nothing_is_said_where_nothing_is_asked(clock, caplog):
    assert pause(clock, None) == 1
    assert pause(clock, "Wed, 21 Oct 2015 07:28:00 GMT") == 1
    assert not caplog.records


# ---- what a response asks for ----


class Response:
    def __init__(self, headers: object) -> None:
        self.status_code = 503
        self.headers = headers


class Pair(NamedTuple):  # a response is one, whatever it is made of
    status_code: int
    headers: dict[str, str]


class ResponseError(Exception):
    """As the errors of HTTP clients: with what is asked about it."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.__dict__.update(given)


class OddError(Exception):
    @property
    def response(self) -> object:
        raise RuntimeError


def pauses(retry: hf.Retry, flaky: Flaky) -> list[float]:
    retry.call(flaky)
    return [round(b - a, 9) for a, b in itertools.pairwise(flaky.made)]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ResponseError(response=Response({"Retry-After": "30"})), 30),
        (ResponseError(headers={"retry-after": "7"}), 7),
        (ResponseError(retry_after=None, response=Response({"Retry-After": b"5"})), 5),
        (ResponseError(retry_after=2, response=Response({"Retry-After": "30"})), 2),
        (ResponseError(response=Response({"Retry-After": "1000"})), 60),
        (ResponseError(trailing_metadata=lambda: [("grpc-retry-pushback-ms", "2500")]), 2.5),
        (ResponseError(response=None, headers=None), 1),
        (ResponseError(response=Response({"Retry-After": "soon"})), 1),
        (ResponseError(response=Response({})), 1),
        (ResponseError(response=1, headers=2, trailing_metadata=3), 1),
        (OddError(), 1),
    ],
    ids=lambda one: repr(vars(one))[:40] if isinstance(one, Exception) else None,
)
def test_the_response_of_an_error_is_waited_for(clock, error, seconds):
    for failure in (error, ExceptionGroup("", [BusyError(None), error])):
        retry = retry_of(clock, on=Exception)
        assert pauses(retry, Flaky(clock, failures=1, error=failure)) == [seconds]


def test_a_builtin_error_that_was_given_a_response_is_like_any_other(clock):
    error = ConnectionError()
    flaky = Flaky(clock, failures=1, error=error)
    assert pauses(retry_of(clock, on=ConnectionError), flaky) == [1]
    error.response = Response({"Retry-After": "30"})  # type: ignore[attr-defined]
    flaky = Flaky(clock, failures=1, error=error)
    assert pauses(retry_of(clock, on=ConnectionError), flaky) == [30]


def test_an_own_hook_is_asked_instead_of_the_response(clock):
    error = ResponseError(response=Response({"Retry-After": "30"}))
    retry = retry_of(clock, on=Exception, retry_after=lambda error: None)
    assert pauses(retry, Flaky(clock, failures=1, error=error)) == [1]


def test_a_response_that_is_retried_is_waited_for_as_long_as_it_asks(clock):
    answers = [Response({"Retry-After": "30"}), Pair(503, {"Retry-After": "7"}), "fine"]
    for on_result, expected in (("http", [30, 7]), (lambda r: r != "fine", [1, 1])):
        made = []

        def call(made: list[float] = made) -> object:
            made.append(clock.now())
            return answers[len(made) - 1]

        assert retry_of(clock, on_result=on_result).call(call) == "fine"
        assert [round(b - a, 9) for a, b in itertools.pairwise(made)] == expected


def test_an_interruption_while_a_response_is_read_ends_the_call(clock):
    class EndedError(Exception):
        @property
        def headers(self) -> object:
            raise KeyboardInterrupt

    retry = retry_of(clock, on=Exception)
    with pytest.raises(KeyboardInterrupt):
        retry.call(Flaky(clock, failures=1, error=EndedError()))
    assert retry.snapshot().gave_up["cancelled"] == 1
