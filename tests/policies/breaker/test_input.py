"""What a breaker refuses to be made with, and how it says so."""

import copy
import enum
import math
import pickle
import weakref
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

import holdfast as hf
from holdfast import CountWindow, State, TimeWindow
from tests.policies.calls import breaker_of, fail, rejection, succeed

NAN, INF = math.nan, math.inf
NEVER_A_NUMBER: list[Any] = ["5", b"5", [5], 1j, object()]
NO_THRESHOLD = [0, -1, 1_000_001, 2**31, 2**64, 10**400, 5.0, True, NAN, *NEVER_A_NUMBER]
NO_SHARE = [0, 0.0, -0.1, 1.0000001, 50, NAN, INF, -INF, True, 10**400, *NEVER_A_NUMBER]
NO_DURATION = [0, 0.0, -1, -1e-9, NAN, INF, -INF, True, 10**10, 1e300, 10**400, timedelta(0),
               timedelta(days=-1), timedelta.max, *NEVER_A_NUMBER]  # fmt: skip
NO_EXCEPTIONS: list[Any] = [
    None, 1, "OSError", OSError(), int, BaseException, KeyboardInterrupt, (OSError, int),
    [OSError()], (OSError, (ValueError,)), {OSError: 1}, ("logic", 1), "transiet",
]  # fmt: skip

REFUSED: dict[str, list[Any]] = {
    "failure_threshold": NO_THRESHOLD,
    "success_threshold": [None, *NO_THRESHOLD],
    "half_open_max_calls": [None, 33, *NO_THRESHOLD],
    "min_calls": [None, 101, *NO_THRESHOLD],
    "failure_rate": NO_SHARE,
    "slow_call_rate": NO_SHARE,
    "slow_call_duration": NO_DURATION,
    "reset_timeout": [None, *NO_DURATION],
    "probe_timeout": NO_DURATION,
    "failure_reset": NO_DURATION,
    "window": [None, 10, 10.0, "10", CountWindow, (CountWindow(10),)],
    "reset_backoff": [2, 2.0, (), (2,), (2, 60), (2, 60, 0, 0), [2, 60, 0], "260"],
    "on": NO_EXCEPTIONS,
    "ignore": NO_EXCEPTIONS,
    "is_failure": [1, "bool", True, (bool,)],
    "latency": [1, 0, "yes", 1.0],
    "clock": [0, 1.0, "manual", object(), hf.ManualClock],
    "mode": ["on", "ENFORCE", 0, True, b"off"],
    "shared": [1, 0, None, "yes"],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in REFUSED.items() for value in values],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_value_that_cannot_be_is_refused_by_name(field, value):  # CB-15
    others = {"slow_call_duration": 1} if field == "slow_call_rate" else {}
    with pytest.raises(hf.ConfigError) as caught:
        hf.CircuitBreaker("payments", **others, **{field: value})  # type: ignore[arg-type]
    assert caught.value.code == "INVALID_CONFIG"
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{field}: got ")
    assert ", allowed " in caught.value.problems[0]
    assert str(caught.value).startswith("CircuitBreaker 'payments': ")
    assert hf.registry.all() == []


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00", None, 1, b"payments", ["x"]])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(hf.ConfigError, match="name: got "):
        hf.CircuitBreaker(name)


@pytest.mark.parametrize(
    ("backoff", "part"),
    [
        ((0.5, 600, 0), "factor"),
        ((NAN, 600, 0), "factor"),
        ((1001, 600, 0), "factor"),
        (("2", 600, 0), "factor"),
        ((2, 59, 0), "max"),
        ((2, INF, 0), "max"),
        ((2, None, 0), "max"),
        ((2, 600, -0.1), "jitter"),
        ((2, 600, 1.1), "jitter"),
        ((2, 600, None), "jitter"),
    ],
)
def test_each_part_of_a_backoff_is_refused_by_name(backoff, part):  # CB-15
    with pytest.raises(hf.ConfigError) as caught:
        hf.CircuitBreaker("payments", reset_backoff=backoff)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [f"reset_backoff {part}"]


def test_a_breaker_that_nothing_could_open_is_refused():
    with pytest.raises(hf.ConfigError, match="failure_threshold: got None"):
        hf.CircuitBreaker("payments", failure_threshold=None)
    hf.CircuitBreaker("payments", failure_threshold=None, failure_rate=0.5)
    hf.CircuitBreaker("payments", failure_threshold=None, slow_call_rate=0.5, slow_call_duration=1)


def test_a_slow_call_rate_needs_to_know_what_is_slow():
    with pytest.raises(hf.ConfigError, match="slow_call_duration: got None, allowed seconds"):
        hf.CircuitBreaker("payments", slow_call_rate=0.5)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.CircuitBreaker(
            "",
            failure_threshold=0,
            reset_timeout=-1,
            on=int,  # type: ignore[arg-type]
            window="10",  # type: ignore[arg-type]
            mode="on",
        )
    assert {problem.split(":")[0] for problem in caught.value.problems} == {
        "name",
        "failure_threshold",
        "reset_timeout",
        "on",
        "window",
        "mode",
    }


@pytest.mark.parametrize(
    "arguments", [{"max_failures": 5}, {"threshold": 5}, {"window_size": 10}, {"on_error": OSError}]
)
def test_an_unknown_argument_is_refused(arguments):
    with pytest.raises(TypeError, match=next(iter(arguments))):
        hf.CircuitBreaker("payments", **arguments)


def test_settings_are_given_by_name():
    with pytest.raises(TypeError, match="by position, allowed by name only"):
        hf.CircuitBreaker("payments", 5)  # type: ignore[misc]
    with pytest.raises(TypeError, match="name"):
        hf.CircuitBreaker()  # type: ignore[call-arg]


def test_a_coroutine_function_cannot_say_what_a_failure_is():
    async def is_failure(result: object) -> bool:
        return True

    with pytest.raises(hf.ConfigError, match=r"is_failure: got .* not a coroutine or generator"):
        hf.CircuitBreaker("payments", is_failure=is_failure)


# --- what may be given ---------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_original(clock):  # CB-10, CB-12
    breaker = breaker_of(clock)
    fail(breaker, 4)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN
    clock.advance(59.999)
    assert rejection(breaker) is not None
    clock.advance(0.001)
    probes = [breaker.acquire() for _ in range(3)]
    assert rejection(breaker) is not None
    clock.advance(29.99)
    assert rejection(breaker) is not None
    clock.advance(0.01)
    succeed(breaker, 2)
    assert breaker.state is State.HALF_OPEN
    succeed(breaker)
    assert breaker.state is State.CLOSED
    del probes


class Whole:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Three(enum.IntEnum):
    THREE = 3


@pytest.mark.parametrize("three", [3, Whole(3), Three.THREE])
def test_a_threshold_may_be_anything_that_counts_as_a_whole_number(clock, three):  # CB-15
    breaker = breaker_of(clock, failure_threshold=three)
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("seconds", [90, 90.0, timedelta(minutes=1.5)])
def test_a_duration_may_be_given_in_seconds_or_as_a_timedelta(clock, seconds):  # CB-15
    breaker = breaker_of(
        clock, reset_timeout=seconds, probe_timeout=seconds, half_open_max_calls=1,
        reset_backoff=(2, timedelta(minutes=2), 0),
        failure_reset=seconds,
    )  # fmt: skip
    breaker.trip()
    assert breaker.retry_after == 90
    clock.advance(90)
    lost = breaker.acquire()
    clock.advance(89)
    assert not breaker.peek()
    clock.advance(1)
    assert breaker.peek()
    lost.failure()
    assert breaker.retry_after == 120


def test_the_extremes_that_may_be_given_work(clock):  # CB-15
    century = 100 * 365 * 86_400
    breaker = breaker_of(
        clock, failure_threshold=1_000_000, success_threshold=1_000_000, half_open_max_calls=32,
        failure_rate=1e-9, slow_call_rate=1.0, slow_call_duration=1e-9, min_calls=100_000,
        window=CountWindow(100_000), reset_timeout=century, reset_backoff=(1000, century, 1),
        probe_timeout=century, failure_reset=century,
    )  # fmt: skip
    for _ in range(10):
        succeed(breaker)
        fail(breaker)
    breaker.trip()
    assert breaker.retry_after == century
    breaker.half_open()
    probes = [breaker.acquire() for _ in range(32)]
    assert rejection(breaker) is not None
    probes.pop().failure()
    assert breaker.retry_after == century
    clock.advance(century)
    succeed(breaker)
    assert breaker.state is State.HALF_OPEN


def test_the_shortest_times_that_may_be_given_work(clock):  # CB-15
    breaker = breaker_of(
        clock, failure_threshold=1, success_threshold=1, reset_timeout=1e-9, probe_timeout=1e-9,
        failure_reset=1e-9, failure_rate=0.5, window=TimeWindow(0.01),
    )  # fmt: skip
    fail(breaker)
    assert rejection(breaker) is not None
    clock.advance_ns(1)
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_a_fraction_is_no_number_but_says_so():
    with pytest.raises(hf.ConfigError, match=r"failure_rate: got Fraction\(1, 2\)"):
        hf.CircuitBreaker("payments", failure_rate=Fraction(1, 2))  # type: ignore[arg-type]


# --- what may be called --------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 1, "len"])
def test_what_cannot_be_called_is_refused_before_admission(clock, wrong):
    breaker = breaker_of(clock, failure_threshold=1)
    for method in (breaker.call, breaker.try_call, breaker.acall, breaker.try_acall, breaker):
        with pytest.raises(TypeError):
            method(wrong)
        with pytest.raises(TypeError):
            method()  # type: ignore[call-arg]
    assert breaker.snapshot().requests == 0


def test_a_coroutine_function_is_refused_by_call_before_admission(clock):
    async def charge() -> None: ...

    breaker = breaker_of(clock, failure_threshold=1)
    for method in (breaker.call, breaker.try_call):
        with pytest.raises(TypeError, match="coroutine function"):
            method(charge)
    assert breaker.snapshot().requests == 0
    assert breaker.state is State.CLOSED


# --- what it is as an object ---------------------------------------------------------------------


def test_a_copy_of_a_breaker_is_itself_since_its_state_is_shared(clock):  # trap 56
    breaker = breaker_of(clock)
    for attempt in (copy.copy, copy.deepcopy):
        assert attempt(breaker) is breaker
        assert attempt([breaker, clock]) == [breaker, clock]
    with pytest.raises(TypeError, match="a policy belongs to one process"):
        pickle.dumps(breaker)


def test_a_breaker_can_be_weakly_referenced_hashed_and_compared_by_identity(clock):
    one, other = breaker_of(clock), breaker_of(clock)
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2
    assert weakref.ref(one)() is one
    assert repr(one) == "<CircuitBreaker 'payments' closed>"
