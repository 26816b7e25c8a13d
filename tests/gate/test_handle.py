"""A handle: a name whose gate may be replaced, and what it guards follows."""

import asyncio
import contextlib
import copy
import functools
import gc
import pickle
import pydoc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest

from holdfast import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    Fallback,
    Hedge,
    Pipeline,
    Retry,
    Timeout,
)
from holdfast._native import gate
from tests.gate.parts import fates, places
from tests.gate.test_leaks import growth


class Named(gate.Handle):
    """A handle as operations are: of a class in Python."""

    __slots__ = ("asked", "turns_to")

    def __init__(self, name: str, turns_to: gate.Gate | None = None) -> None:
        super().__init__(name)
        self.asked = 0
        self.turns_to = turns_to

    def _missing(self) -> None:
        self.asked += 1
        if self.turns_to is None:
            raise LookupError(f"nothing protects {self.name!r}")
        self._turn_to(self.turns_to)


gate._own_methods(Named)


def handle(*policies: Any) -> Named:
    made = Named("send")
    made._turn_to(Pipeline("send", *policies) if len(policies) != 1 else policies[0])
    return made


def plain(value: Any = 1) -> Any:
    return value


async def coroutine(value: Any = 1) -> Any:
    await asyncio.sleep(0)
    return value


def generator(value: Any = 1) -> Iterator[Any]:
    yield value


async def async_generator(value: Any = 1) -> AsyncIterator[Any]:
    yield value


async def first(items: AsyncIterator[Any]) -> Any:
    value, *_ = [item async for item in items]
    return value


def only(items: Iterator[Any]) -> Any:
    (value,) = items
    return value


class Service:
    """Methods of every kind, guarded by what is turned to later."""

    guard: ClassVar[Named] = Named("service")

    @guard
    def method(self, value: int) -> int:
        return value

    @guard
    async def amethod(self, value: int) -> int:
        return value

    @guard
    @classmethod
    def of_class(cls, value: int) -> int:
        return value

    @guard
    @staticmethod
    def static(value: int) -> int:
        return value


CALLS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda on: on(plain)(7),
    "coroutine": lambda on: asyncio.run(on(coroutine)(7)),
    "generator": lambda on: only(on(generator)(7)),
    "async generator": lambda on: asyncio.run(first(on(async_generator)(7))),
    "partial": lambda on: on(functools.partial(plain, 7))(),
    "builtin": lambda on: on(int)("7"),
    "context manager": lambda on: entered(on(contextlib.contextmanager(generator))(7)),
    "coroutine of a plain function": lambda on: asyncio.run(on(lambda: coroutine(7))()),
    "call": lambda on: on.call(plain, 7),
    "try_call": lambda on: on.try_call(plain, 7).unwrap(),
    "acall": lambda on: asyncio.run(awaited(on.acall(coroutine, 7))),
    "try_acall": lambda on: asyncio.run(awaited(on.try_acall(coroutine, 7))).unwrap(),
    "guard of a guard": lambda on: on(on(plain))(7),
}


async def awaited(awaitable: Any) -> Any:
    return await awaitable


def entered(manager: Any) -> Any:
    with manager as value:
        return value


PIPELINES: dict[str, Callable[[CircuitBreaker], gate.Gate]] = {
    "lone": lambda breaker: breaker,
    "several": lambda breaker: Pipeline("p", breaker, places()),
    "controlled": lambda breaker: Pipeline("p", Timeout(9), breaker),
    "retried": lambda breaker: Pipeline("p", Retry("r"), breaker),
    "fallen back": lambda breaker: Pipeline("p", Fallback("f"), breaker),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("kind", PIPELINES)
def test_calls_of_every_kind_go_through_the_gate(kind: str, call: Callable[[Any], Any]) -> None:
    breaker = CircuitBreaker("b")
    assert call(handle(PIPELINES[kind](breaker))) == 7
    assert fates(breaker)["succeeded"] >= 1


@pytest.mark.parametrize("before", PIPELINES)
@pytest.mark.parametrize("after", PIPELINES)
@pytest.mark.parametrize("fn", [plain, coroutine, generator, async_generator])
def test_a_decorated_function_follows_to_every_other_gate(
    fn: Any, before: str, after: str
) -> None:  # RM-02
    breakers = CircuitBreaker("before"), CircuitBreaker("after")
    on = handle(PIPELINES[before](breakers[0]))
    guarded = on(fn)
    for breaker, kind in zip(breakers, (before, after), strict=True):
        on._turn_to(PIPELINES[kind](breaker))
        result = guarded(7)
        if fn is coroutine:
            result = asyncio.run(result)
        elif fn is generator:
            result = only(result)
        elif fn is async_generator:
            result = asyncio.run(first(result))
        assert result == 7
    assert [fates(breaker) for breaker in breakers] == [{"succeeded": 1}] * 2


def test_methods_follow() -> None:
    for _ in range(2):
        breaker = CircuitBreaker("b")
        Service.guard._turn_to(breaker)
        service: Any = Service()
        assert service.method(1) == 1
        assert asyncio.run(service.amethod(2)) == 2
        assert (type(service).of_class(3), service.of_class(4), service.static(5)) == (3, 4, 5)
        assert fates(breaker) == {"succeeded": 5}


def test_calls_in_flight_end_on_the_gate_that_they_began_with() -> None:
    old, new = places(), Bulkhead("new", max_concurrent=10)
    on = handle(old)
    seen: list[tuple[int, int]] = []

    @on
    def turning(to: gate.Gate) -> None:
        on._turn_to(to)
        seen.append((old.in_flight, new.in_flight))

    turning(new)
    assert seen == [(1, 0)]
    assert (old.in_flight, new.in_flight) == (0, 0)
    turning(old)
    assert seen[1] == (0, 1)
    assert (old.in_flight, new.in_flight) == (0, 0)


def test_awaitables_generators_and_permits_end_where_they_were_made() -> None:
    old, new = places(), Bulkhead("new", max_concurrent=10)
    on = handle(old)
    items, permit = on(generator)(7), on.acquire()
    awaitable = on(coroutine)(7)
    assert next(items) == 7
    on._turn_to(new)
    assert (old.in_flight, new.in_flight) == (2, 0)
    assert asyncio.run(awaited(awaitable)) == 7
    assert list(items) == []
    assert permit.success()
    assert (old.in_flight, new.in_flight) == (0, 0)
    assert (old.snapshot().admitted, new.snapshot().admitted) == (3, 0)


def test_a_call_keeps_the_gate_that_nobody_else_has() -> None:
    on = handle(Pipeline("old", Retry("r", attempts=2), CircuitBreaker("b")))
    first_gate: Any = on._gate
    alive = weakref.ref(first_gate)
    del first_gate

    def turn() -> bool:
        on._turn_to(None)
        gc.collect()
        return alive() is not None

    assert on.call(turn)
    gc.collect()
    assert alive() is None


def test_permits_come_from_the_present_gate() -> None:
    on = handle(places(1))
    with on.acquire(), pytest.raises(BulkheadFullError):
        on.acquire()
    permit = asyncio.run(awaited(on.aacquire()))
    with pytest.raises(BulkheadFullError):
        on.acquire()
    permit.ignore()
    on._turn_to(Retry("r"))
    with pytest.raises(TypeError, match="cannot run a block again"):
        on.acquire()
    with pytest.raises(TypeError, match="cannot run a block again"):
        on.aacquire()


# ---- without a gate ----


def test_the_first_call_asks_for_the_gate_and_later_ones_do_not() -> None:
    on = Named("late", CircuitBreaker("b"))
    guarded = on(plain)
    assert on._gate is None
    assert [guarded(7), on.call(plain, 8), on.try_call(plain, 9).value] == [7, 8, 9]
    assert on.asked == 1
    assert on._gate is on.turns_to
    on._turn_to(None)
    assert on._gate is None
    assert guarded(7) == 7
    assert on.asked == 2


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nothing_runs_where_nothing_protects_it(call: Callable[[Any], Any]) -> None:  # D-RM
    with pytest.raises(LookupError, match="nothing protects 'bare'"):
        call(Named("bare"))
    with pytest.raises(RuntimeError, match="'bare'> has no gate"):
        call(gate.Handle("bare"))


# ---- refusals ----


def test_a_hedged_gate_refuses_generators_when_they_are_decorated_and_when_it_comes_later() -> None:
    hedged = Pipeline("h", Hedge("h", delay=1), CircuitBreaker("b"))
    with pytest.raises(TypeError, match="cannot run a generator twice"):
        handle(hedged)(generator)
    on = handle(CircuitBreaker("b"))
    guarded = on(generator), on(async_generator)
    on._turn_to(hedged)
    for each in guarded:
        with pytest.raises(TypeError, match="cannot run a generator twice"):
            each(7)


@pytest.mark.parametrize("wrong", [42, "gate", gate.Gate, Named("other"), CircuitBreaker])
def test_it_turns_to_policies_only(wrong: Any) -> None:
    on = handle(breaker := CircuitBreaker("b"))
    with pytest.raises(TypeError, match=r"<Named 'send'> turns to a policy or to None, not to"):
        on._turn_to(wrong)
    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\)"):
        on._turn_to(CircuitBreaker.__new__(CircuitBreaker))
    assert on._gate is breaker


def test_wrong_arguments_say_what_is_wrong() -> None:
    on: Any = handle(CircuitBreaker("b"))
    for wrong, error, message in (
        (lambda: on(42), TypeError, "<Named 'send'> guards callables, not int"),
        (lambda: on(), TypeError, "<Named 'send'> as a decorator takes the function"),
        (lambda: on(plain, 1), TypeError, "takes one argument"),
        (lambda: on.call(), TypeError, "call() needs the function to call"),
        (lambda: on.call(42), TypeError, "call() needs a callable, not int"),
        (lambda: on.call(coroutine), TypeError, "use 'await acall()'"),
        (lambda: on.acall(42), TypeError, "acall() needs a callable"),
        (lambda: gate.Handle(42), TypeError, "must be str"),  # type: ignore[arg-type]
        (lambda: gate.Handle(), TypeError, "name"),  # type: ignore[call-arg]
        (lambda: gate.Handle.__init__(on, "again"), RuntimeError, "named once"),
    ):
        with pytest.raises(error) as raised:
            wrong()
        assert message in str(raised.value)


# ---- what it looks like ----


def test_it_shows_its_name() -> None:
    on = handle(CircuitBreaker("b"))
    assert (on.name, repr(on)) == ("send", "<Named 'send'>")
    assert repr(on(plain)) == f"<{plain!r} guarded by <Named 'send'>>"
    assert repr(Named.__new__(Named)) == "<Named None>"


def test_a_guard_has_the_handle_as_its_policy_and_the_face_of_the_function() -> None:
    on = handle(CircuitBreaker("b"))
    guarded: Any = on(plain)
    assert guarded.policy is on
    assert type(guarded) is gate.Guard
    assert (guarded.__wrapped__, guarded.__name__) == (plain, "plain")
    assert asyncio.iscoroutinefunction(on(coroutine))
    assert pickle.loads(pickle.dumps(known_by_name)) is known_by_name
    with pytest.raises(AttributeError, match=r"use policy\.call"):
        _ = guarded.call


@handle(CircuitBreaker("known"))
def known_by_name() -> None: ...


def test_it_is_not_pickled_and_a_copy_is_itself() -> None:
    on = handle(CircuitBreaker("b"))
    assert copy.copy(on) is copy.deepcopy({"on": on})["on"] is on
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot pickle <Named 'send'>: it belongs to one"):
            pickle.dumps(on, protocol)


def test_help_shows_its_methods() -> None:
    text = pydoc.plain(pydoc.render_doc(Named))
    for method in ("call(self, fn, /, *args, **kwargs)", "acall(self, fn", "acquire(self, /)"):
        assert method in text
    assert "may be replaced at any time" in pydoc.plain(pydoc.render_doc(gate.Handle))


def test_a_subclass_owns_its_native_methods() -> None:
    for name in ("call", "try_call", "acall", "try_acall", "acquire"):
        assert vars(Named)[name].__objclass__ is Named
    with pytest.raises(TypeError, match="a subclass of Gate, Handle or Directory"):
        gate._own_methods(int)  # type: ignore[arg-type]


# ---- memory ----


def test_turning_and_calling_leaves_nothing_behind() -> None:
    on = Named("leaky")
    gates = [PIPELINES[kind](CircuitBreaker("b")) for kind in PIPELINES]
    guarded = on(plain), on(coroutine), on(generator)

    def work() -> None:
        for each in gates:
            on._turn_to(each)
            guarded[0](7)
            with contextlib.suppress(StopIteration):
                guarded[1]().send(None)
            list(guarded[2]())
            on.call(plain)
            on.try_call(plain)
        on._turn_to(None)
        with contextlib.suppress(LookupError):
            guarded[0]()
        Named("other", gates[0])(plain)()

    assert growth(work, 300) < 50


def test_a_gate_that_is_replaced_goes_when_its_calls_are_over() -> None:
    on = handle(CircuitBreaker("b"))
    guarded = on(plain)
    guarded()
    gone = weakref.ref(on._gate)
    on._turn_to(CircuitBreaker("b"))
    gc.collect()
    assert gone() is None


def test_handles_in_circles_are_collected() -> None:
    class Owner(gate.Handle):
        """With a __dict__."""

    on = Owner("circle")
    breaker = CircuitBreaker("b")
    on._turn_to(breaker)
    on.self, on.guarded = on, on(plain)  # type: ignore[attr-defined]
    breaker.on_event(on.guarded)  # type: ignore[attr-defined]
    gone = weakref.ref(on), weakref.ref(breaker)
    del on, breaker
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_handles_whose_gates_hold_each_other_are_collected() -> None:
    def make_circles() -> None:
        first, second, alone = Named("first"), Named("second"), Named("alone")
        first._turn_to(Pipeline("first", Fallback(second.call), CircuitBreaker("b")))
        second._turn_to(Retry("second", before_sleep=first(plain)))
        alone._turn_to(Fallback(alone.try_call))

    def left() -> int:
        gc.collect()  # weak references say nothing: they are cleared before what they are to
        return sum(isinstance(each, gate.Handle | gate.Gate) for each in gc.get_objects())

    make_circles()
    before = left()
    for _ in range(5):
        make_circles()
    assert left() == before


def test_a_gate_that_is_taken_away_before_it_is_seen_is_asked_for_again() -> None:
    class Contended(gate.Handle):
        """Another thread registers and unregisters."""

        asked = 0

        def _missing(self) -> bool:
            self.asked += 1
            if self.asked == 3:
                raise LookupError("nothing protects it")
            return True

    with pytest.raises(LookupError, match="nothing protects it"):
        Contended("send").call(plain)


def test_a_gate_that_is_returned_where_there_is_none_is_that_of_one_call() -> None:
    class Lender(gate.Handle):
        """Another thread takes each gate away at once."""

        asked = 0

        def _missing(self) -> gate.Gate:
            self.asked += 1
            return CircuitBreaker("b")

    on = Lender("send")
    assert on.call(plain) == 1
    assert on(plain)() == 1
    assert on.asked == 2
    assert on._gate is None


def test_an_open_breaker_refuses_until_the_handle_turns_to_another() -> None:
    on = handle(CircuitBreaker("b"))
    guarded = on(plain)
    on._gate.force_open()  # type: ignore[union-attr]
    with pytest.raises(CircuitOpenError):
        guarded()
    on._turn_to(CircuitBreaker("b"))
    assert guarded() == 1


class Steered(gate.Handle):
    """A handle without a gate that names a course of its guarded calls."""

    __slots__ = ("course",)

    def _missing(self) -> object:
        return self.course


gate._own_methods(Steered)


def steered(course: Callable[..., Any]) -> Steered:
    made = Steered("steered")
    made.course = course
    return made


def test_a_course_gets_the_function_and_its_arguments_as_they_are() -> None:
    def course(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return fn, args, kwargs

    on = steered(course)
    assert on(plain)(1, 2, fn=3) == (plain, (1, 2), {"fn": 3})
    assert on(plain)() == (plain, (), {})
    assert on(coroutine)("a")[1] == ("a",)

    class Service:
        method = on(plain)

    service = Service()
    assert service.method(7)[1] == (service, 7)


def test_what_a_course_raises_reaches_the_caller() -> None:
    def course(fn: Any, /, *_: Any) -> Any:
        raise LookupError(fn.__name__)

    with pytest.raises(LookupError, match="plain"):
        steered(course)(plain)(7)


def test_a_course_is_left_when_the_handle_turns_to_a_gate() -> None:
    on = steered(lambda fn, value: fn(value) + 1)
    guarded = on(plain)
    assert guarded(7) == 8
    breaker = CircuitBreaker("b")
    on._turn_to(breaker)
    assert guarded(7) == 7
    assert breaker.snapshot().succeeded == 1
    on._turn_to(None)
    assert guarded(7) == 8


def test_a_course_of_call_gets_none_and_what_is_to_be_called() -> None:
    on = steered(lambda guarded, *args, **kwargs: (guarded, args, kwargs))
    assert on.call(plain, 7, fn=8) == (None, (plain, 7), {"fn": 8})
    assert on.call() == (None, (), {})


def test_a_course_is_for_guarded_calls_and_call_alone() -> None:
    on = steered(lambda fn, value: fn(value))
    for use in (lambda: on.try_call(plain, 7), lambda: on.acall(coroutine), on.acquire):
        with pytest.raises(RuntimeError, match="has no gate"):
            use()


def test_a_course_that_calls_and_raises_leaks_nothing() -> None:
    on = steered(lambda fn, *args: fn(*args))
    guarded, fails = on(plain), on(int)

    def calls() -> None:
        guarded([1])
        with contextlib.suppress(ValueError):
            fails("no number")

    assert growth(calls, 100) < 50
