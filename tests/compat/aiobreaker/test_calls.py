"""The face of aiobreaker: ways to call, and what is decorated."""

import inspect

import pytest

from holdfast.compat.aiobreaker import (
    CircuitBreaker,
    CircuitBreakerError,
)
from holdfast.compat.aiobreaker.state import (
    CircuitBreakerOpenError,
)
from tests.compat.aiobreaker.parts import (
    Told,
    afail,
    fail,
)
from tests.compat.aiobreaker.storages import OutageError


def test_a_decorated_function_looks_like_the_function():
    breaker = CircuitBreaker()

    @breaker
    def plain(card: str) -> str:
        """Pay."""
        return card

    @breaker()
    async def coroutine(): ...

    @breaker(ignore_on_call=True)
    def generator():
        yield 1

    assert (plain.__name__, plain.__doc__) == ("plain", "Pay.")
    assert str(inspect.signature(plain)) == "(card: str) -> str"
    assert inspect.iscoroutinefunction(coroutine)
    assert not inspect.iscoroutinefunction(plain)
    assert list(generator()) == [1]
    with pytest.raises(TypeError, match="does not accept positional arguments"):
        breaker(True)
    with pytest.raises(TypeError, match="does not accept positional arguments"):
        breaker(plain, plain)


def test_a_decorated_function_counts_once_also_through_call(clock, storage):
    breaker = CircuitBreaker(state_storage=storage)
    guarded = breaker(fail)
    with pytest.raises(OutageError):
        breaker.call(guarded)
    assert breaker.fail_counter == 1
    twice = breaker(ignore_on_call=False)(fail)
    with pytest.raises(OutageError):
        breaker.call(twice)
    assert breaker.fail_counter == 3


async def test_a_decorated_coroutine_function_counts_once_also_through_call_async(storage):
    breaker = CircuitBreaker(state_storage=storage)
    guarded = breaker(afail)
    with pytest.raises(OutageError):
        await breaker.call_async(guarded)
    assert breaker.fail_counter == 1


@pytest.mark.parametrize("told", [[], [Told()]])
async def test_each_way_to_call_counts_and_opens_the_circuit(told, clock, storage):
    def items(*_):
        yield 1
        raise OutageError

    breaker = CircuitBreaker(fail_max=8, state_storage=storage, listeners=told)
    ways = (
        breaker(fail),
        breaker(afail),
        breaker(items),
        lambda: breaker.call(fail),
        lambda: breaker.call(items),
        lambda: breaker.call_async(afail),
        lambda: breaker.call(afail),
    )

    async def run(way):
        made = way()
        if inspect.isawaitable(made):
            await made
        elif inspect.isgenerator(made):
            list(made)

    for n, way in enumerate(ways):
        assert breaker.fail_counter == n
        with pytest.raises(OutageError):
            await run(way)
    for way in ways:
        breaker.close()
        breaker.fail_max = 1
        with pytest.raises(CircuitBreakerError) as tripped:
            await run(way)
        assert type(tripped.value) is CircuitBreakerError
        assert isinstance(tripped.value.__cause__, OutageError)
        with pytest.raises(CircuitBreakerOpenError):
            await run(way)


def test_arguments_and_results_pass(clock, storage):
    breaker = CircuitBreaker(state_storage=storage)

    def call(*args, **kwargs):
        return args, kwargs

    assert breaker.call(call, 1, a=2) == ((1,), {"a": 2})
    assert breaker(call)(1, a=2) == ((1,), {"a": 2})
    assert breaker.state.call(call, 1, a=2) == ((1,), {"a": 2})


def test_what_is_sent_to_a_generator_arrives(clock, storage):
    breaker = CircuitBreaker(state_storage=storage)

    @breaker
    def echo():
        got = yield "ready"
        return (yield got)

    talk = echo()
    assert next(talk) == "ready"
    assert talk.send("hello") == "hello"
    with pytest.raises(StopIteration, match="bye"):
        talk.send("bye")
    half = echo()
    next(half)
    half.close()
    assert breaker.policy.snapshot().succeeded == 1


def test_a_plain_function_that_returns_a_generator_settles_when_that_ends(clock, storage):
    breaker = CircuitBreaker(state_storage=storage)

    def items():
        yield 1
        raise OutageError

    made = breaker.call(lambda: items())
    assert next(made) == 1
    with pytest.raises(OutageError):
        next(made)
    assert breaker.fail_counter == 1
