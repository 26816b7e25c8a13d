"""What a retry refuses as a setting, and how it says so."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf

NAN, INF = float("nan"), float("inf")

CALLABLE = "a callable that is not a coroutine or generator function, or None"
SECONDS = "seconds or a timedelta from 0 to 3153600000"


async def coroutine_function(error: object) -> bool:
    return True


def generator_function(error: object) -> Iterator[bool]:
    yield True


async def async_generator_function(error: object) -> AsyncIterator[bool]:
    yield True


class AsyncCallable:
    async def __call__(self, error: object) -> bool:
        return True


MATCHES = (
    "subclasses of Exception, categories ('transient', 'permanent', 'resource', 'logic'), "
    "or a predicate"
)
NO_ANSWERS: list[Any] = [
    coroutine_function,
    functools.partial(coroutine_function, 1),
    generator_function,
    async_generator_function,
    AsyncCallable(),
]
NOT_CALLABLE: list[Any] = [1, "len", b"", 1.5, object(), {}]

SETTINGS: list[tuple[str, str, list[Any]]] = [
    (
        "attempts",
        "an integer from 1 to 1000000",
        [0, -1, 1_000_001, 10**30, 1.0, 4.5, NAN, "4", True, False, b"4", [4]],
    ),
    (
        "backoff",
        "a Backoff, as Exponential(0.1), or the seconds of a constant delay",
        [-1, NAN, True, "exponential", object(), hf.Exponential, lambda n: 1.0, timedelta(-1)],
    ),
    (
        "backoff",
        "at most one AdaptiveBackoff",
        [
            hf.AdaptiveBackoff(hf.AdaptiveBackoff(hf.Constant(1))),
            hf.AdaptiveBackoff(hf.Constant(1)) + hf.AdaptiveBackoff(hf.Constant(1)),
        ],
    ),
    ("on", MATCHES, [None, 1, "OSError", b"", 1.5, {}, object()]),
    (
        "on",
        MATCHES,
        [
            int,
            BaseException,
            GeneratorExit,
            (OSError, None),
            [OSError, 1],
            (OSError, (ValueError,)),
        ],
    ),
    ("on", CALLABLE.removesuffix(", or None"), NO_ANSWERS),
    (
        "ignore",
        MATCHES,
        [None, 1, "OSError", BaseException, (OSError, None)],
    ),
    ("ignore", CALLABLE.removesuffix(", or None"), NO_ANSWERS),
    ("on_result", CALLABLE, NO_ANSWERS),
    ("on_result", '"http", a predicate of the result, or None', [*NOT_CALLABLE, "HTTP", ("http",)]),
    (
        "max_time",
        f"{SECONDS}, or None",
        [-1, -1e-9, NAN, INF, -INF, "1", True, b"", 1e10, 10**30, timedelta(-1), timedelta.max],
    ),
    (
        "budget",
        'a RetryBudget, "own" or None',
        [0, 0.2, "none", "OWN", True, False, hf.RetryBudget, object(), (), b"own"],
    ),
    ("retry_after", CALLABLE, [*NOT_CALLABLE, *NO_ANSWERS]),
    (
        "max_retry_after",
        SECONDS,
        [None, -1, NAN, INF, "60", True, 1e10, 10**30, timedelta(-1), timedelta.max],
    ),
    ("before_sleep", CALLABLE, [*NOT_CALLABLE, *NO_ANSWERS]),
    ("on_exhausted", CALLABLE, [*NOT_CALLABLE, *NO_ANSWERS]),
    ("wrap", "True or False", [None, 0, 1, "yes", OSError]),
    ("clock", "a SystemClock or a ManualClock", [0, "now", object(), hf.ManualClock]),
    ("mode", "", ["on", "Observe", 0, True, b"off"]),
    ("shared", "True or False", [None, 0, 1, "yes"]),
]
CASES = [(field, allowed, value) for field, allowed, values in SETTINGS for value in values]


@pytest.mark.parametrize(
    ("field", "allowed", "value"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_a_wrong_setting_is_refused_by_name(field, allowed, value):
    with pytest.raises(hf.ConfigError) as refused:
        hf.Retry("r", **{field: value})
    (problem,) = refused.value.problems
    assert problem.startswith(f"{field}: got ")
    assert f", allowed {allowed}" in problem
    assert problem.rpartition(", allowed ")[2].startswith(allowed)
    assert str(refused.value) == f"Retry 'r': {problem}"
    assert list(hf.registry.all()) == []


@pytest.mark.parametrize("name", ["", None, 1, b"r", "a\nb", "x" * 201, ["r"]])
def test_a_wrong_name_is_refused(name):
    with pytest.raises(hf.ConfigError, match="name: got"):
        hf.Retry(name)


def test_all_wrong_settings_are_named_at_once():
    bad: dict[str, Any] = {
        "attempts": 0, "backoff": "1", "on": 1, "ignore": 1, "on_result": 1, "max_time": -1,
        "budget": 1, "retry_after": 1, "max_retry_after": -1, "before_sleep": 1, "on_exhausted": 1,
        "wrap": 1, "clock": 1, "mode": 1, "shared": 1,
    }  # fmt: skip
    with pytest.raises(hf.ConfigError) as refused:
        hf.Retry("r", **bad)
    assert [problem.split(":")[0] for problem in refused.value.problems] == list(bad)


def test_unknown_settings_and_settings_by_place_are_refused():
    for wrong in ({"max_retries": 3}, {"retries": 3}, {"jitter": True}, {"delay": 1}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            hf.Retry("r", **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="by position, allowed by name only"):
        hf.Retry("r", 3)  # type: ignore[misc]
    with pytest.raises(TypeError, match="name"):
        hf.Retry()  # type: ignore[call-arg]


def test_the_ends_of_every_range_are_taken():
    for settings in (
        {"attempts": 1}, {"attempts": 1_000_000}, {"on": ()}, {"on": []}, {"on": {OSError}},
        {"on": hf.Rejected}, {"on": ExceptionGroup}, {"ignore": [OSError]}, {"max_time": 0},
        {"max_time": timedelta(days=36_500)}, {"max_retry_after": timedelta(0)}, {"budget": None},
        {"budget": "own"}, {"retry_after": bool}, {"mode": "observe"}, {"mode": hf.Mode.OFF},
    ):  # fmt: skip
        assert isinstance(hf.Retry("r", **settings), hf.Retry)  # type: ignore[arg-type]


def test_what_cannot_be_called_cannot_be_retried():
    retry = hf.Retry("r")
    for wrong in (None, 42, "len"):
        with pytest.raises(TypeError):
            retry.call(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            retry(wrong)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="acall"):
        retry.call(coroutine_function, 1)
    assert retry.snapshot().attempts == 0


def test_wrong_arguments_of_the_call_are_the_callers_mistake():
    retry = hf.Retry("r", backoff=hf.Constant(0))
    with pytest.raises(TypeError, match="positional"):
        retry.call(lambda: None, 1)
    assert retry.snapshot().gave_up["not_retryable"] == 1
