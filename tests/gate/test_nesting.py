"""Guards of guards, outcomes of outcomes: however many, the C stack holds them or says so.

What CPython recurses through on its own account, such as methods of methods, is not looked at.
"""

import asyncio
import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Bulkhead, CircuitBreaker, Fallback, Pipeline, Retry, Timeout, deadline

MANY = 100_000
breaker = CircuitBreaker("b", ignore=(RecursionError, LookupError))


places = Bulkhead("places", max_concurrent=1_000_000)
controlled = Pipeline(
    "controlled", Fallback(3, on=KeyError), Timeout(30), Retry("r"), breaker, places
)
each_policy = pytest.mark.parametrize("policy", [breaker, controlled], ids=["plain", "controlled"])


def nested(innermost: Any, times: int = MANY, policy: Any = breaker) -> Any:
    for _ in range(times):
        innermost = policy(innermost)
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


@each_policy
@pytest.mark.parametrize("fn", [plain, coroutine])
def test_a_call_through_too_many_guards_is_a_recursion_error(
    fn: Callable[[], Any], policy: Any
) -> None:
    with pytest.raises(RecursionError):
        nested(fn, policy=policy)()
    assert (breaker.in_flight, places.in_flight, deadline()) == (0, 0, None)


@each_policy
def test_guards_within_the_limit_call_through(policy: Any) -> None:
    assert nested(plain, 50, policy)() == 1
    assert asyncio.run(nested(coroutine, 50, policy)()) == 1
    assert places.in_flight == 0


def test_a_function_may_call_itself_through_its_own_pipeline() -> None:
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + controlled.call(down, n - 1)

    assert down(50) == 50
    with pytest.raises(RecursionError):
        down(MANY)
    assert (places.in_flight, deadline()) == (0, None)


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
