"""A directory: calls by the name of an operation."""

import asyncio
import gc
import pydoc
import weakref
from typing import Any

import pytest

from holdfast import CircuitBreaker, CircuitOpenError, Pipeline, Retry
from holdfast._native import gate
from tests.gate.parts import fates
from tests.gate.test_handle import Named, awaited, coroutine, handle, plain
from tests.gate.test_leaks import growth


class Manager(gate.Directory):
    """A directory as managers are: of a class in Python, which makes operations when asked."""

    __slots__ = ("asked", "found")

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.found: Any = None

    def _missing(self, name: Any, /) -> Any:
        self.asked.append(name)
        if self.found is None:
            raise LookupError(f"nothing is registered for {name!r}")
        return self.found


gate._own_methods(Manager)


def manager(**operations: gate.Handle) -> Manager:
    made = Manager()
    made._handles.update(operations)
    return made


def test_a_call_goes_through_the_operation_of_its_name() -> None:  # RM-04
    breakers = CircuitBreaker("send"), CircuitBreaker("receive")
    rm = manager(send=handle(breakers[0]), receive=handle(Pipeline("p", Retry("r"), breakers[1])))
    assert rm.execute("send", plain, 7) == 7
    assert rm.execute("send", plain, value=8) == 8
    assert rm.execute("receive", plain) == 1
    assert asyncio.run(awaited(rm.aexecute("send", coroutine, 9))) == 9
    assert asyncio.run(awaited(rm.aexecute("receive", coroutine, value=9))) == 9
    assert [fates(breaker) for breaker in breakers] == [{"succeeded": 3}, {"succeeded": 2}]
    assert rm.asked == []


def test_a_call_by_name_follows_the_operation() -> None:
    on = handle(CircuitBreaker("b"))
    rm = manager(send=on)
    assert rm.execute("send", plain) == 1
    on._gate.force_open()  # type: ignore[union-attr]
    with pytest.raises(CircuitOpenError):
        rm.execute("send", plain)
    on._turn_to(CircuitBreaker("b"))
    assert rm.execute("send", plain) == 1
    del rm._handles["send"]
    with pytest.raises(LookupError):
        rm.execute("send", plain)


def test_a_name_that_is_not_there_is_asked_for_at_each_call() -> None:
    rm, breaker = manager(), CircuitBreaker("b")
    with pytest.raises(LookupError, match="nothing is registered for 'sned'"):
        rm.execute("sned", plain)
    with pytest.raises(LookupError, match="nothing is registered for 'sned'"):
        rm.aexecute("sned", coroutine)
    rm.found = Named("made", breaker)
    assert rm.execute("made", plain, 7) == 7
    assert asyncio.run(awaited(rm.aexecute("made", coroutine, 8))) == 8
    assert rm.asked == ["sned", "sned", "made", "made"]
    assert fates(breaker) == {"succeeded": 2}


def test_wrong_arguments_say_what_is_wrong() -> None:
    rm: Any = manager(send=handle(CircuitBreaker("b")), wrong=42)  # type: ignore[arg-type]
    both = "needs the name of an operation and the function to call"
    for wrong, error, message in (
        (lambda: rm.execute(), TypeError, f"execute() {both}"),
        (lambda: rm.execute("send"), TypeError, f"execute() {both}"),
        (lambda: rm.aexecute("send", value=1), TypeError, f"aexecute() {both}"),
        (lambda: rm.execute("send", 42), TypeError, "execute() needs a callable, not int"),
        (lambda: rm.aexecute("send", 42), TypeError, "aexecute() needs a callable, not int"),
        (lambda: rm.execute("send", coroutine), TypeError, "use 'await aexecute()'"),
        (lambda: rm.execute("send", lambda: coroutine()), TypeError, "use 'await aexecute()'"),
        (lambda: rm.execute([], plain), TypeError, "unhashable"),
        (lambda: rm.execute(7, plain), LookupError, "registered for 7"),
        (lambda: rm.execute(("send",), plain), LookupError, "registered for ('send',)"),
        (lambda: rm.execute((), plain), LookupError, "registered for ()"),
        (lambda: rm.execute("wrong", plain), LookupError, "registered for 'wrong'"),
        (lambda: gate.Directory().execute("send", plain), KeyError, "send"),
    ):
        with pytest.raises(error) as raised:
            wrong()
        assert message in str(raised.value)
    rm.found = 42
    with pytest.raises(TypeError, match="an operation is a handle, not int"):
        rm.execute("made", plain)


def test_a_subclass_owns_its_native_methods_and_shows_them() -> None:
    assert vars(Manager)["execute"].__objclass__ is Manager
    text = pydoc.plain(pydoc.render_doc(Manager))
    assert "execute(self, name, fn, /, *args, **kwargs)" in text
    with pytest.raises(AttributeError):
        manager()._handles = {}  # type: ignore[misc]


def test_an_operation_that_is_removed_while_it_is_called_ends_as_it_began() -> None:
    breaker = CircuitBreaker("b")
    rm = manager(send=handle(breaker))

    def remove() -> int:
        rm._handles.clear()
        gc.collect()
        return 7

    assert rm.execute("send", remove) == 7
    assert fates(breaker) == {"succeeded": 1}


def test_calls_by_name_leave_nothing_behind() -> None:
    rm = manager(send=handle(Pipeline("p", Retry("r"), CircuitBreaker("b"))))
    rm.found = Named("late", CircuitBreaker("late"))

    def work() -> None:
        rm.execute("send", plain, 7)
        rm.aexecute("send", coroutine, value=7).close()
        rm.execute("late", plain)
        for wrong in (lambda: rm.execute("send", 7), lambda: rm.execute([], plain)):  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                wrong()
        manager(send=Named("other"))
        rm.asked.clear()

    assert growth(work, 300) < 50


def test_directories_in_circles_are_collected() -> None:
    class Owner(gate.Directory):
        """With a __dict__."""

    class Operation(gate.Handle):
        """That knows its owner."""

    rm, operation = Owner(), Operation("send")
    operation.owner = rm  # type: ignore[attr-defined]
    rm._handles["send"] = operation
    gone = weakref.ref(rm), weakref.ref(operation)
    del rm, operation
    gc.collect()
    assert [each() for each in gone] == [None, None]
