"""call, acall, try_call and try_acall: which functions they take, and what they give back."""

import asyncio
import copy
import functools
import gc
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from holdfast import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    ManualClock,
    Outcome,
    RateLimitedError,
    Rejected,
)
from tests.gate.parts import fates, half_open, pipe, places, tokens, tripping


async def coroutine(*args: Any) -> Any:
    await asyncio.sleep(0)
    return args


def generator(*args: Any) -> Iterator[Any]:
    yield from args


async def async_generator(*args: Any) -> AsyncIterator[Any]:
    for arg in args:
        yield arg


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def fail(error: BaseException) -> Any:
    raise error


async def afail(error: BaseException) -> Any:
    raise error


# ---- call ----


def test_call_passes_arguments_and_result_through() -> None:
    breaker = CircuitBreaker("b")
    assert breaker.call(echo) == ((), {})
    assert breaker.call(echo, 1, 2, a=3) == ((1, 2), {"a": 3})
    assert breaker.call(echo, *range(40), fn=1, self=2) == (tuple(range(40)), {"fn": 1, "self": 2})
    assert fates(breaker) == {"succeeded": 3}


def test_call_leaves_the_callers_arguments_alone() -> None:
    """What it was called with may be a tuple that others look at meanwhile."""

    class Method:
        def look(self, given: list[Any]) -> bool:
            return given[0][0] == self.look

    for method in ("call", "try_call"):
        given: list[Any] = []
        given.append((Method().look, given))
        outcome = getattr(places(), method)(*given[0])
        assert outcome is True or outcome.value is True


@pytest.mark.parametrize("fn", [
    coroutine, functools.partial(coroutine, 1), CircuitBreaker("guarded")(coroutine),
    lambda: coroutine(), lambda: CircuitBreaker("guarded")(coroutine)(),
])  # fmt: skip
@pytest.mark.parametrize("method", ["call", "try_call"])
def test_what_only_a_loop_can_run_is_refused_and_proves_nothing(
    fn: Callable[..., Any], method: str
) -> None:  # D-CB-8
    breaker, bulkhead, limiter = half_open(), places(), tokens()
    other = "await acall" if method == "call" else "await try_acall"
    with pytest.raises(TypeError, match=rf"^{method}\(\) got .*coroutine.*use '{other}\(\)'"):
        getattr(pipe(breaker, bulkhead, limiter), method)(fn)
    gc.collect()  # no coroutine complains that it was never awaited
    assert (breaker.snapshot().admitted, breaker.snapshot().probes) == (0, 0)
    assert (bulkhead.in_flight, limiter.available) == (0, 1)


def test_call_drives_generators_and_try_call_refuses_what_it_would_not_see_the_end_of() -> None:
    async def items() -> list[Any]:
        return [item async for item in breaker.call(async_generator, 1, 2)]

    breaker = CircuitBreaker("b")
    assert list(breaker.call(generator, 1, 2)) == [1, 2]
    assert asyncio.run(items()) == [1, 2]
    assert fates(breaker) == {"succeeded": 2}
    for fn, word in ((generator, "generator"), (async_generator, "asynchronous generator")):
        with pytest.raises(TypeError, match=rf"try_call\(\) got the {word} function .*'call\(\)'"):
            breaker.try_call(fn)


@pytest.mark.parametrize("method", ["call", "try_call", "acall", "try_acall"])
def test_something_to_call_is_needed(method: str) -> None:
    with pytest.raises(TypeError, match=rf"{method}\(\) needs the function to call"):
        getattr(places(), method)()
    for wrong in (None, 42, coroutine_object()):
        with pytest.raises(TypeError, match=rf"{method}\(\) needs a callable, not"):
            getattr(places(), method)(wrong)


def coroutine_object() -> Any:
    it = coroutine()
    it.close()
    return it


# ---- acall ----


@pytest.mark.parametrize("fn", [
    coroutine, functools.partial(coroutine), lambda *args: coroutine(*args),
    lambda *args: asyncio.ensure_future(coroutine(*args)),
    lambda *args: asyncio.gather(coroutine(*args)), CircuitBreaker("guarded")(coroutine),
])  # fmt: skip
async def test_acall_awaits_whatever_can_be_awaited(fn: Callable[..., Any]) -> None:
    breaker, bulkhead = CircuitBreaker("b"), places()
    answer = await pipe(breaker, bulkhead).acall(fn, 1, 2)
    assert answer in ((1, 2), [(1, 2)])
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"succeeded": 1})


async def test_acall_calls_the_function_once_admitted() -> None:
    breaker = tripping()
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        await breaker.acall(fail, AssertionError("called"))
    breaker.reset()
    with pytest.raises(OSError, match="down"):
        await breaker.acall(fail, OSError("down"))
    assert fates(breaker) == {"failed": 1}


@pytest.mark.parametrize("method", ["acall", "try_acall"])
@pytest.mark.parametrize("fn", [echo, int, generator, async_generator])
async def test_a_function_whose_answer_cannot_be_awaited_proves_nothing(
    fn: Callable[..., Any], method: str
) -> None:  # D-CB-8
    breaker, bulkhead = half_open(), places()
    with pytest.raises(TypeError, match=r"acall\(\) needs a function that returns an awaitable"):
        await getattr(pipe(breaker, bulkhead), method)(fn)
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"ignored": 1})


async def test_arguments_of_acall_live_as_long_as_it_does() -> None:
    bulkhead = places()
    assert await bulkhead.acall(coroutine, *map(str, range(50))) == tuple(map(str, range(50)))

    async def keywords(**kwargs: int) -> dict[str, int]:
        return kwargs

    many = {f"k{n}": n for n in range(50)}
    assert await bulkhead.acall(keywords, **many) == many
    assert (await bulkhead.try_acall(keywords, a=1)).value == {"a": 1}


# ---- Outcome ----


def outcomes(policy: Any, fn: Callable[..., Any], *args: Any) -> tuple[Outcome[Any], Outcome[Any]]:
    """What try_call and try_acall say."""

    async def main() -> Any:
        async def work() -> Any:
            return fn(*args)

        return await policy.try_acall(work)

    return policy.try_call(fn, *args), asyncio.run(main())


def test_an_outcome_is_a_value_an_error_or_a_rejection() -> None:
    breaker, error = CircuitBreaker("b"), KeyError("key")
    for value in (42, None, False, error):
        for outcome in outcomes(breaker, lambda value=value: value):
            assert outcome
            assert outcome.ok is True
            assert (outcome.value, outcome.error, outcome.rejection) == (value, None, None)
            assert outcome.unwrap() is value
            assert repr(outcome) == f"<Outcome value={value!r}>"
    for outcome in outcomes(breaker, fail, error):
        assert not outcome
        assert outcome.ok is False
        assert (outcome.value, outcome.error, outcome.rejection) == (None, error, None)
        assert repr(outcome) == "<Outcome error=KeyError('key')>"
        with pytest.raises(KeyError) as caught:
            outcome.unwrap()
        assert caught.value is error
    breaker.force_open()
    for outcome in outcomes(breaker, fail, AssertionError("ran")):
        assert not outcome
        assert (outcome.ok, outcome.value, outcome.error) == (False, None, None)
        assert isinstance(outcome.rejection, CircuitOpenError)
        assert outcome.rejection is outcome.rejection
        assert outcome.rejection.policy is breaker
        assert "circuit breaker 'b' is forced open" in repr(outcome)
        with pytest.raises(CircuitOpenError) as refused:
            outcome.unwrap()
        assert refused.value is outcome.rejection


def test_a_rejection_after_a_wait_is_a_rejection_too() -> None:  # BH-02
    limiter = tokens(max_wait=0.5)
    limiter.acquire()
    bulkhead = places(1, max_waiting=1, max_wait=1.0, clock=ManualClock())
    bulkhead.enter()
    full = places(1)
    full.enter()
    for policy, kind in ((limiter, RateLimitedError), (full, BulkheadFullError)):
        for outcome in outcomes(policy, fail, AssertionError("ran")):
            assert type(outcome.rejection) is kind
            assert (outcome.error, outcome.ok, bool(outcome)) == (None, False, False)
            with pytest.raises(kind):
                outcome.unwrap()
    outcome = bulkhead.try_call(fail, AssertionError("ran"))
    assert isinstance(outcome.rejection, BulkheadTimeoutError)
    assert outcome.error is None
    assert "BulkheadTimeoutError" in repr(outcome)


def test_a_rejection_that_the_function_raised_is_its_error() -> None:
    inner = tripping()
    inner.force_open()
    for outcome in outcomes(CircuitBreaker("outer"), inner.call, int):
        assert isinstance(outcome.error, Rejected)
        assert outcome.rejection is None


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError()]
)
def test_what_is_no_exception_is_no_outcome_and_proves_nothing(error: BaseException) -> None:
    breaker, bulkhead = half_open(), places()  # trap 5
    pipeline = pipe(breaker, bulkhead)
    coroutine = pipeline.try_acall(afail, error)
    for attempt in (
        lambda: pipeline.try_call(fail, error),
        lambda: pipeline.call(fail, error),
        lambda: pipeline(fail)(error),
        lambda: coroutine.send(None),
    ):
        with pytest.raises(type(error)) as caught:
            attempt()
        assert caught.value is error
    assert fates(breaker) == {"ignored": 4}
    assert (bulkhead.in_flight, breaker.snapshot().probes) == (0, 0)


def test_an_outcome_cannot_be_made_or_changed() -> None:
    outcome: Any = CircuitBreaker("b").try_call(int)
    for name in ("value", "error", "rejection", "ok", "other"):
        with pytest.raises(AttributeError):
            setattr(outcome, name, 1)
    with pytest.raises(TypeError):
        Outcome()
    with pytest.raises(TypeError):
        type("Sub", (Outcome,), {})
    with pytest.raises(TypeError):
        pickle.dumps(outcome)
    with pytest.raises(TypeError):
        copy.copy(outcome)


def test_an_outcome_can_be_matched() -> None:
    def told(outcome: Outcome[int]) -> str:
        match outcome:
            case Outcome(ok=True, value=value):
                return f"value {value}"
            case Outcome(error=OSError()):
                return "down"
            case Outcome(rejection=Rejected(name=name)):
                return f"refused by {name}"
        return "other"

    breaker = CircuitBreaker("b")
    assert told(breaker.try_call(int)) == "value 0"
    assert told(breaker.try_call(fail, OSError())) == "down"
    breaker.force_open()
    assert told(breaker.try_call(int)) == "refused by b"
    assert Outcome[int].__origin__ is Outcome


def test_an_outcome_keeps_the_policy_that_refused_alive_until_somebody_looks() -> None:
    breaker = tripping()
    breaker.force_open()
    outcome = breaker.try_call(int)
    del breaker
    gc.collect()
    assert outcome.rejection is not None
    assert outcome.rejection.name == "tripping"


def test_an_outcome_in_a_cycle_is_collected() -> None:
    class Result:
        def __init__(self) -> None:
            self.outcome: Any = None

        def __del__(self) -> None:
            seen.append((self.outcome.ok, self.outcome.unwrap() is self, repr(self.outcome)[:8]))

    seen: list[Any] = []
    outcome = CircuitBreaker("b").try_call(Result)
    outcome.value.outcome = outcome
    del outcome
    gc.collect()
    assert seen == [(True, True, "<Outcome")]


def test_an_outcome_shows_one_rejection_to_a_finaliser_that_looks_while_it_is_made() -> None:
    breaker = tripping()
    breaker.force_open()
    kept = [breaker.try_call(int).rejection for _ in range(100)]  # none is left at hand
    outcome = breaker.try_call(int)
    seen: list[Any] = []

    class Looks:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            seen.append(outcome.rejection)

    threshold = gc.get_threshold()
    gc.collect()
    try:
        Looks()
        gc.set_threshold(1)
        rejection = outcome.rejection
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(seen) == 1
    assert seen[0] is rejection is outcome.rejection
    assert kept


def test_an_outcome_gives_a_default_instead_of_an_error_or_a_rejection() -> None:
    breaker = CircuitBreaker("b")
    assert breaker.try_call(len, "ab").value_or(9) == 2
    assert breaker.try_call(lambda: None).value_or(9) is None
    assert breaker.try_call(int, "x").value_or(9) == 9
    breaker.force_open()
    assert breaker.try_call(len, "ab").value_or(default := object()) is default


def test_a_match_statement_takes_an_outcome_apart() -> None:
    def told(outcome: Outcome[object]) -> str:
        match outcome:
            case Outcome(ok=True, value=value):
                return f"value {value}"
            case Outcome(None, None, rejection):
                return f"rejected, {rejection.reason}"
            case Outcome(_, error):
                return f"failed, {error!r}"

    breaker = CircuitBreaker("b")
    assert told(breaker.try_call(len, "ab")) == "value 2"
    assert told(breaker.try_call({}.__getitem__, 1)) == "failed, KeyError(1)"
    breaker.force_open()
    assert told(breaker.try_call(len, "ab")) == "rejected, forced-open"
