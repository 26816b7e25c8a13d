"""What is called lives until its call has ended, whoever lets go of it meanwhile.

An iterator of a callable lets go of that once it is exhausted: here by a call from inside the call.
"""

import contextlib
import weakref
from functools import partial
from typing import Any

import pytest

from holdfast import (
    Bulkhead,
    CircuitBreaker,
    Constant,
    Fallback,
    ManualClock,
    Retry,
    State,
    Timeout,
)
from tests.gate.parts import pipe


class Whatever:
    """Equal to anything: as a sentinel, it makes the first answer the last."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Exhausting(CircuitBreaker):
    """Exhausts an iterator the first time that its state changes."""

    items: Any = None

    def _changed(self, *change: Any) -> None:
        items, self.items = self.items, None
        if items is not None:
            next(items, None)
        super()._changed(*change)


class Maker:
    """Called as a coroutine function is; answers with what `make` makes."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self.__code__ = coroutine.__code__

    def __call__(self) -> Any:
        return self._make()


async def coroutine() -> int:
    return 1


@pytest.mark.parametrize("method", ["__enter__", "_permit"])
def test_a_policy_may_be_let_go_of_while_it_is_entered(method: str) -> None:
    clock = ManualClock()
    breaker = Exhausting("b", half_open_max_calls=2, clock=clock)
    breaker.trip()
    clock.advance(3600)
    pipeline = pipe(breaker)
    breaker.items = items = iter(getattr(pipeline, method), Whatever())
    gone = weakref.ref(pipeline)
    del pipeline
    assert next(items, "no more") == "no more"
    assert gone() is None
    assert breaker.in_flight == 0


def settling(pipeline: Any) -> Any:
    return pipeline._permit().failure


def settling_with_an_error(pipeline: Any) -> Any:
    return partial(pipeline._permit().failure, KeyError())


def ending_a_block_of_a_permit(pipeline: Any) -> Any:
    return partial(pipeline._permit().__exit__, KeyError, KeyError(), None)


def leaving_by_hand(pipeline: Any) -> Any:
    pipeline.__enter__()
    pipeline.__enter__()  # the call from inside the call is to leave one as well
    return partial(type(pipeline).__exit__, pipeline, KeyError, KeyError(), None)


@pytest.mark.parametrize(
    "ends", [settling, settling_with_an_error, ending_a_block_of_a_permit, leaving_by_hand]
)
def test_what_is_held_may_be_let_go_of_while_it_is_left(ends: Any) -> None:
    first, last = (Exhausting(name, failure_threshold=1) for name in ("first", "last"))
    pipeline = pipe(first, last)
    last.items = items = iter(ends(pipeline), Whatever())
    gone = weakref.ref(pipeline)
    del pipeline
    assert next(items, "no more") == "no more"
    assert gone() is None
    assert (first.in_flight, last.in_flight) == (0, 0)
    assert first.state is last.state is State.OPEN


def test_a_guard_may_be_let_go_of_while_it_makes_a_coroutine() -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(coroutine())
        if len(made) == 1:
            next(items, None)
        return made[0]

    guard = CircuitBreaker("b")(Maker(make))
    items, gone = iter(guard, Whatever()), weakref.ref(guard)
    del guard
    assert next(items, "no more") == "no more"
    assert gone() is None
    for each in made:
        each.close()


def test_an_awaitable_may_be_let_go_of_while_it_is_asked_for_its_face() -> None:
    class Begun:
        def __getattribute__(self, name: str) -> Any:
            if name == "cr_code":
                guarded.send(None)  # from here on its iterator is driven
                raise AttributeError(name)
            return object.__getattribute__(self, name)

        def __getattr__(self, name: str) -> Any:
            return name, type(self)

        def __await__(self) -> Any:
            return iter([1])

    guarded = CircuitBreaker("b")(Maker(Begun))()
    assert guarded.cr_code == ("cr_code", Begun)
    guarded.close()


def begins_again(**options: Any) -> Retry:
    return Retry("r", attempts=2, backoff=Constant(0), on=KeyError, clock=ManualClock(), **options)


def dropping(policy: Any, method: str) -> tuple[Any, list[Any]]:
    """An iterator that calls the policy's method, and drops it and its arguments in that call."""
    seen: list[Any] = []

    class Argument:
        pass

    def work(argument: Argument, *, other: Argument) -> Any:
        seen.append((type(argument) is type(other) is Argument, ref() is not None))
        if len(seen) == 1:
            next(items, None)
            seen.append([Timeout(9) for _ in range(30)])
            raise KeyError
        return 1

    items = iter(partial(getattr(policy, method), work, Argument(), other=Argument()), Whatever())
    ref = weakref.ref(policy)
    del policy
    return items, seen


@pytest.mark.parametrize("method", ["call", "try_call", "_call_counted"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Timeout(5, clock=ManualClock()),
        lambda: CircuitBreaker("b", clock=ManualClock()),
        lambda: Bulkhead("places"),
        lambda: Fallback(7, on=KeyError),
        begins_again,
        lambda: pipe(Timeout(5, clock=ManualClock()), begins_again(), CircuitBreaker("b")),
    ],
)
def test_a_policy_may_be_let_go_of_while_it_calls(make: Any, method: str) -> None:
    items, seen = dropping(make(), method)
    with contextlib.suppress(KeyError):
        next(items, "no more")
    assert seen[0] == (True, True)
    if len(seen) > 2:  # the nested call, made first, and then the attempt that follows
        assert all(kept for kept, _ in (one for one in seen if isinstance(one, tuple)))
