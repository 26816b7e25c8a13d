"""What a function of the user's has to answer at once: one that gives a coroutine has not."""

import functools
import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, breaker_of, fine, outage
from tests.policies.retry.retries import Flaky, every_way, retry_of, why


async def coroutine(about: object) -> bool:
    return False


def generator(about: object) -> Iterator[bool]:
    yield False


async def async_generator(about: object) -> AsyncIterator[bool]:
    yield False


def guarded(about: object) -> Any:
    return hf.CircuitBreaker("b").acall(coroutine, about)


SOURCES = [coroutine, generator, async_generator, guarded]
# None of these shows beforehand what it will give.
each_source = pytest.mark.parametrize(
    "answer", [functools.partial(lambda source, about: source(about), each) for each in SOURCES]
)


@pytest.fixture(autouse=True)
def _nothing_is_left_unawaited() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


@each_source
def test_a_predicate_of_a_breaker_that_has_to_be_awaited_is_an_error(clock, answer):
    breaker = breaker_of(clock, failure_threshold=1, is_failure=answer)
    with pytest.raises(TypeError, match=r"is_failure: .* must return a plain value"):
        breaker.call(fine)
    with pytest.raises(TypeError, match="is_failure: ") as raised:
        breaker.call(outage)
    assert isinstance(raised.value.__context__, OutageError)
    assert (breaker.state, breaker.snapshot().ignored) == (hf.State.CLOSED, 2)


@every_way
@pytest.mark.parametrize("field", ["on", "on_result", "retry_after", "before_sleep"])
def test_what_a_retry_asks_and_has_to_await_is_an_error(clock, make, field):
    retry = retry_of(clock, **{field: lambda about: coroutine(about)})
    flaky = Flaky(clock, failures=0 if field == "on_result" else 1)
    with pytest.raises(TypeError, match=f"{field}: .* must return a plain value"):
        make(retry, clock, flaky)
    assert (len(flaky.made), why(retry)) == (1, {"not_retryable": 1})


@each_source
def test_a_hook_at_the_end_of_a_retry_that_has_to_be_awaited_is_an_error(clock, answer):
    with pytest.raises(TypeError, match="on_exhausted: "):
        retry_of(clock, on_exhausted=answer).call(outage)


@each_source
def test_a_listener_that_has_to_be_awaited_is_reported_as_one_that_raised(clock, answer, caplog):
    breaker = breaker_of(clock)
    breaker.on_event(answer)
    breaker.trip()
    assert breaker.state is hf.State.OPEN
    assert "must return a plain value" in caplog.text


def test_a_back_off_that_has_to_be_awaited_is_an_error(clock):
    class Later(hf.Backoff):
        async def delay(self, attempt: int, previous: Any = None) -> float:  # type: ignore[override]
            return 1.0

    with pytest.raises(TypeError, match=r"delay: .* must return a plain value"):
        retry_of(clock, backoff=Later()).call(outage)


@pytest.mark.parametrize(
    "wrong", [lambda: True, lambda a, b: True, lambda *, about: True, lambda a, *, b: True]
)
def test_what_does_not_take_one_argument_is_refused_when_it_is_given(wrong):
    one = "allowed a callable that takes one argument"
    with pytest.raises(hf.ConfigError, match=f"is_failure: .*, {one}"):
        hf.CircuitBreaker("b", is_failure=wrong)
    for field in ("on", "on_result", "retry_after", "before_sleep", "on_exhausted"):
        with pytest.raises(hf.ConfigError, match=f"{field}: .*, {one}"):
            hf.Retry("r", **{field: wrong})
    with pytest.raises(TypeError, match=r"listener: .* one argument"):
        hf.CircuitBreaker("b").on_event(wrong)


@pytest.mark.parametrize(
    "right", [bool, print, str.isdigit, "".startswith, functools.partial(max, 0), lambda *a: a]
)
def test_what_may_take_one_argument_is_taken(right):
    hf.Retry("r", on_result=right, before_sleep=right)
    hf.CircuitBreaker("b", is_failure=right)
