"""Guards of guards, outcomes of outcomes: however many, the C stack holds them or says so.

What CPython recurses through on its own account, such as methods of methods, is not looked at.
"""

import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import CircuitBreaker

MANY = 100_000
breaker = CircuitBreaker("b", ignore=(RecursionError, LookupError))


def nested(innermost: Any, times: int = MANY) -> Any:
    for _ in range(times):
        innermost = breaker(innermost)
    return innermost


class Innermost:
    """The far end of a chain; its death shows that all of the chain has died."""

    def __call__(self) -> int:
        return 1


def plain() -> int:
    return 1


async def coroutine() -> int:
    return 1


def test_a_long_chain_of_outcomes_dies_without_overflowing_the_stack() -> None:
    outcome: Any = breaker.try_call(Innermost)
    innermost = weakref.ref(outcome.value)
    for _ in range(MANY):
        outcome = breaker.try_call(functools.partial(next, iter([outcome])))
    del outcome
    assert innermost() is None


def test_a_long_chain_of_guards_dies_without_overflowing_the_stack() -> None:
    fn = Innermost()
    innermost = weakref.ref(fn)
    chain = nested(fn)
    del fn
    chain.__dict__.clear()
    del chain
    assert innermost() is None


@pytest.mark.parametrize("fn", [plain, coroutine])
def test_a_call_through_too_many_guards_is_a_recursion_error(fn: Callable[[], Any]) -> None:
    with pytest.raises(RecursionError):
        nested(fn)()
    assert breaker.in_flight == 0


def test_guards_within_the_limit_call_through() -> None:
    assert nested(plain, 50)() == 1
    with pytest.raises(StopIteration) as stop:
        nested(coroutine, 50)().send(None)
    assert stop.value.value == 1


def chained_coroutines() -> Any:
    innermost = coroutine()
    chain: Any = innermost
    for _ in range(MANY):
        chain = breaker(functools.partial(next, iter([chain])))()
    innermost.close()  # nobody forgot to await it
    return chain, weakref.ref(innermost)


def test_to_await_too_many_coroutines_of_coroutines_is_a_recursion_error() -> None:
    chain, _ = chained_coroutines()
    with pytest.raises(RecursionError):
        chain.send(None)
    del chain
    assert breaker.in_flight == 0


def test_too_many_coroutines_of_coroutines_may_be_thrown_into_and_closed() -> None:
    # Far down nothing is closed, only dropped; sys.unraisablehook is told, if it can be reached.
    with pytest.raises(LookupError):
        chained_coroutines()[0].throw(LookupError())
    chained_coroutines()[0].close()
    assert breaker.in_flight == 0


def test_a_long_chain_of_coroutines_dies_without_overflowing_the_stack() -> None:
    chain, innermost = chained_coroutines()
    del chain
    assert innermost() is None


def test_a_partial_of_itself_is_looked_at_for_a_while_only() -> None:
    class Circular(functools.partial[int]):
        func = property(lambda self: self)  # type: ignore[assignment]

    assert breaker(Circular(int))() == breaker.call(Circular(int)) == 0


def test_a_call_through_too_many_guards_of_partials_or_of_methods_is_a_recursion_error() -> None:
    for between in (functools.partial, lambda fn: types.MethodType(fn, "x")):
        chain: Any = len
        for _ in range(MANY):
            chain = breaker(between(chain))
        with pytest.raises(RecursionError):
            chain()
    assert breaker.in_flight == 0


def test_the_outermost_of_many_coroutines_of_coroutines_is_named_as_the_innermost() -> None:
    chain, _ = chained_coroutines()
    assert (chain.__name__, chain.cr_code) == ("coroutine", coroutine.__code__)
    assert "guarded coroutine coroutine" in repr(chain)
    assert (chain.cr_await, chain.cr_origin) == (None, None)
    chain.close()
