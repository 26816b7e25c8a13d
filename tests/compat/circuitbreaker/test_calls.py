"""The face of circuitbreaker: ways to call, and subclasses that change them."""

import copy
import inspect
import pickle

import pytest

from holdfast.compat.circuitbreaker import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    circuit,
)
from tests.compat.circuitbreaker.parts import OutageError, Told, fail, guarded

# ---- ways to call ----


def test_a_decorated_function_keeps_its_signature_and_kind():
    breaker = CircuitBreaker(name="payments")

    @breaker
    def plain(card: str, *, amount: int = 1) -> str:
        """Pay."""
        return card * amount

    @breaker
    async def coroutine(): ...

    @breaker
    def generator():
        yield 1

    @breaker
    async def async_generator():
        yield 1

    assert str(inspect.signature(plain)) == "(card: str, *, amount: int = 1) -> str"
    assert plain.__doc__ == "Pay."
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert not inspect.iscoroutinefunction(plain)


@circuit(name="of the module")
def of_the_module():
    return "ours"


def test_a_decorated_function_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(of_the_module)) is of_the_module


def test_methods_of_all_kinds_are_guarded(clock):
    breaker = CircuitBreaker(failure_threshold=1, name="payments")

    class Client:
        @breaker
        def charge(self, card):
            return self, card

        @classmethod
        @breaker
        def of(cls, card):
            return cls, card

        @staticmethod
        @breaker
        def card(card):
            return card

    client = Client()
    assert client.charge(1) == (client, 1)
    assert Client.of(2) == (Client, 2)
    assert client.card(3) == 3
    breaker.policy.trip()
    for call in (lambda: client.charge(1), lambda: Client.of(2), lambda: client.card(3)):
        fail(call, error=CircuitBreakerError)


async def use_of(kind, breaker, function):
    """Call a function through the method of its kind."""
    if kind == "call":
        return breaker.call(function)
    if kind == "call_generator":
        return list(breaker.call_generator(function))
    if kind == "call_async":
        return await breaker.call_async(function)
    return [item async for item in breaker.call_async_generator(function)]


def functions(errors):
    def call(*_, **__):
        if errors:
            raise errors[0]
        return "a"

    def call_generator(*_, **__):
        yield call()

    async def call_async(*_, **__):
        return call()

    async def call_async_generator(*_, **__):
        yield call()

    return {f.__name__: f for f in (call, call_generator, call_async, call_async_generator)}


KINDS = ("call", "call_generator", "call_async", "call_async_generator")


@pytest.mark.parametrize("cls", [CircuitBreaker, Told])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_way_to_call_counts_and_is_refused_while_the_circuit_is_open(kind, cls):
    errors = []
    breaker = cls(failure_threshold=2, name="payments")
    function = functions(errors)[kind]
    assert await use_of(kind, breaker, function) in ("a", ["a"])
    errors.append(OutageError())
    for _ in range(2):
        with pytest.raises(OutageError):
            await use_of(kind, breaker, function)
    assert breaker.opened
    with pytest.raises(CircuitBreakerError):
        await use_of(kind, breaker, function)
    told = breaker.policy.snapshot()
    assert (told.succeeded, told.failed, told.rejected) == (1, 2, 1)
    if cls is Told:
        assert breaker.told == [None, OutageError, OutageError]


@pytest.mark.parametrize("cls", [CircuitBreaker, Told])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_fallback_function_stands_in_while_the_circuit_is_open(kind, cls, clock):
    errors = [OutageError()]
    given = []

    def fallback(*args, **kwargs):
        given.append((args, kwargs))
        return "b"

    def fallback_generator(*args, **kwargs):
        yield fallback(*args, **kwargs)

    async def fallback_async(*args, **kwargs):
        return fallback(*args, **kwargs)

    async def fallback_async_generator(*args, **kwargs):
        yield fallback(*args, **kwargs)

    fallbacks = (fallback, fallback_generator, fallback_async, fallback_async_generator)
    breaker = cls(1, name="payments", fallback_function=fallbacks[KINDS.index(kind)])
    inner = functions(errors)[kind]

    async def run(*args, **kwargs):
        made = call(*args, **kwargs)
        if kind == "call_async":
            return await made
        if kind == "call_async_generator":
            return [item async for item in made]
        return list(made) if kind == "call_generator" else made

    call = breaker(inner)
    with pytest.raises(OutageError):
        await run()
    assert breaker.opened
    call = breaker(inner)
    assert await run(5, card="4242") in ("b", ["b"])
    assert given == [((5,), {"card": "4242"})]
    assert breaker.policy.snapshot().rejected == 1
    errors.clear()
    clock.advance(30)
    assert await run() in ("a", ["a"])
    assert breaker.closed


def test_a_fallback_function_does_not_stand_in_for_the_rejection_of_another_circuit(clock):
    inner = CircuitBreaker(failure_threshold=1, name="inner")
    call = guarded(inner, [OutageError()])
    fail(call)
    outer = CircuitBreaker(name="outer", fallback_function=lambda: "instead")
    with pytest.raises(CircuitBreakerError) as raised:
        outer(lambda: call())()
    assert (raised.value.name, outer.failure_count) == ("inner", 1)


def test_call_is_that_of_the_policy_unless_a_subclass_overrides_something(clock):
    breaker, told = CircuitBreaker(), Told()
    assert breaker.call == breaker.policy.call
    assert told.call != told.policy.call
    assert inspect.signature(CircuitBreaker.call).parameters.keys() == {
        *("self", "func", "args", "kwargs")
    }
    assert told.call(len, "ab") == 2
    assert told.told == [None]


async def test_call_guards_what_a_coroutine_function_gives():
    breaker = CircuitBreaker(failure_threshold=1, name="payments")

    async def remote():
        raise OutageError

    with pytest.raises(OutageError):
        await breaker.call(remote)
    assert breaker.opened
    with pytest.raises(CircuitBreakerError):
        await breaker.call(remote)
    breaker.reset()
    with pytest.raises(OutageError):
        await breaker.call(lambda: remote())
    assert breaker.opened


def test_a_block_counts_and_is_refused_while_the_circuit_is_open(clock):
    breaker = CircuitBreaker(failure_threshold=1, name="payments")
    with breaker as nothing:
        assert nothing is None
    with pytest.raises(OutageError), breaker:
        raise OutageError
    with pytest.raises(CircuitBreakerError), breaker:
        pytest.fail("the block ran")
    told = breaker.policy.snapshot()
    assert (told.succeeded, told.failed, told.rejected) == (1, 1, 1)


def test_a_generator_that_is_closed_half_way_proves_nothing(clock):  # trap 5
    breaker = CircuitBreaker(failure_threshold=1, name="payments")

    @breaker
    def items():
        yield 1
        yield 2

    half = items()
    assert next(half) == 1
    half.close()
    told = breaker.policy.snapshot()
    assert (told.succeeded, told.failed, told.in_flight) == (0, 0, 0)


# ---- subclasses, and what tests of users replace ----


def test_a_subclass_that_says_it_is_open_is_believed(clock):
    class Shut(CircuitBreaker):
        opened = True

    calls = []
    with pytest.raises(CircuitBreakerError) as raised:
        Shut(name="shut")(calls.append)(1)
    assert (raised.value.name, calls) == ("shut", [])


def test_a_subclass_is_told_of_successes_by_reset(clock):
    resets = []

    class Told(CircuitBreaker):
        def reset(self):
            resets.append(self.failure_count)
            super().reset()

    errors = []
    breaker = Told(name="told")
    call = guarded(breaker, errors)
    call()
    errors.append(OutageError())
    fail(call)
    assert resets == [0]
    assert breaker.failure_count == 1


def test_a_subclass_that_overrides_call_is_asked(clock):
    class Twice(CircuitBreaker):
        def call(self, func, *args, **kwargs):
            return [super(Twice, self).call(func, *args, **kwargs) for _ in range(2)]

    breaker = Twice(name="twice")
    assert guarded(breaker, [])("a") == ["a", "a"]
    assert breaker.policy.snapshot().succeeded == 2


def test_a_test_can_put_a_circuit_into_a_state(clock):
    breaker = CircuitBreaker(name="payments")
    call = guarded(breaker, [])
    breaker._state = STATE_OPEN
    fail(call, error=CircuitBreakerError)
    breaker._state = STATE_CLOSED
    assert call("a") == "a"
    breaker._state = STATE_HALF_OPEN
    assert (breaker._state, breaker._failure_count) == (STATE_HALF_OPEN, 0)
    breaker.reset()
    assert breaker.closed


def test_a_copy_is_the_same_circuit():
    breaker = CircuitBreaker(name="payments")
    assert copy.copy(breaker) is breaker
    assert copy.deepcopy([breaker]) == [breaker]
