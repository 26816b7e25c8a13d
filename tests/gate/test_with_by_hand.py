"""Entries made without a `with` statement: ExitStack, calls by hand, look-ups nobody follows up.

The interpreter looks up both methods before it calls the first, and the two look-ups must give
the two ends of one entry; what else looks them up must not disturb that.
"""

import contextlib
import gc
import inspect
import weakref
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from random import Random
from typing import Any
from unittest import mock

import pytest

from holdfast import Bulkhead, CircuitBreaker, ManualClock, Pipeline
from tests.gate.parts import fates, places, tripping
from tests.interpreters import GIL, lists_survive_no_memory
from tests.waiting.parties import Party

NOTHING = (None, None, None)


def test_an_exit_stack_hands_the_exception_over() -> None:
    breaker = tripping()
    with contextlib.suppress(KeyError), contextlib.ExitStack() as stack:
        stack.enter_context(breaker)
        raise KeyError
    assert fates(breaker) == {"failed": 1}


def test_an_exit_stack_can_be_taken_apart_and_closed_elsewhere() -> None:
    bulkhead = places()
    with contextlib.ExitStack() as stack:
        stack.enter_context(bulkhead)
        kept = stack.pop_all()
    assert bulkhead.in_flight == 1
    Party(kept.close).result()
    assert bulkhead.in_flight == 0


def test_an_exit_stack_leaves_what_it_has_entered_itself_in_whatever_order() -> None:
    """Each in a context of its own, as threads and greenlets are; known by its duration."""
    clock, random = ManualClock(), Random(1)
    breaker = CircuitBreaker("b", latency=True, clock=clock)
    flows = [(copy_context(), contextlib.ExitStack(), list[float]()) for _ in range(100)]
    for _ in range(2):
        for context, stack, entered in flows:
            context.run(stack.enter_context, breaker)
            entered.append(clock.now())
            clock.advance(random.randrange(1, 5))
    total = 0.0
    for context, stack, entered in random.sample(flows, 100):
        context.run(stack.close)
        total += sum(clock.now() - since for since in entered)
        assert breaker.snapshot().latency.total == total
        clock.advance(random.randrange(1, 5))
    with pytest.raises(RuntimeError, match="without an entry"):
        breaker.__exit__(*NOTHING)


@pytest.mark.parametrize("seed", range(5))
def test_an_exit_takes_the_newest_of_its_own_or_else_the_oldest_of_whoever_was_first(
    seed: int,
) -> None:
    clock, random = ManualClock(), Random(seed)
    breaker = CircuitBreaker("b", latency=True, clock=clock)
    contexts = [copy_context() for _ in range(3)]
    entered: dict[int, list[float]] = {}
    total = 0.0
    for turn in range(600):
        clock.advance(random.randrange(1, 5))
        at = random.randrange(3)
        if random.random() < (0.7 if turn < 300 else 0.2) or not entered:
            contexts[at].run(breaker.__enter__)
            entered.setdefault(at, []).append(clock.now())
            continue
        if random.random() < 0.5:
            at = 3  # a stranger
        (contexts[at] if at < 3 else copy_context()).run(breaker.__exit__, *NOTHING)
        whose = at if at in entered else next(iter(entered))
        total += clock.now() - entered[whose].pop(-1 if at in entered else 0)
        if not entered[whose]:
            del entered[whose]
        assert breaker.snapshot().latency.total == total


@pytest.mark.parametrize("exit_first", [True, False])
def test_methods_looked_up_beforehand_may_be_called_later(exit_first: bool) -> None:
    bulkhead = places()
    if exit_first:
        leave, enter = bulkhead.__exit__, bulkhead.__enter__
    else:
        enter, leave = bulkhead.__enter__, bulkhead.__exit__
    for _ in range(2):
        assert enter() is bulkhead
        assert bulkhead.in_flight == 1
        assert leave(*NOTHING) is False
        assert bulkhead.in_flight == 0


@pytest.mark.parametrize("name", ["__enter__", "__exit__"])
def test_asking_for_a_method_does_not_mix_up_later_blocks(name: str) -> None:
    """Each block still leaves its own entry, not the oldest, and so has its own duration."""
    clock = ManualClock()
    breaker = CircuitBreaker("b", latency=True, clock=clock)
    with contextlib.ExitStack() as stack:
        stack.enter_context(breaker)
        clock.advance(10)
        assert hasattr(breaker, name)
        for turn in range(1, 4):
            with breaker:
                clock.advance(1)
            assert breaker.snapshot().latency.total == turn
    assert breaker.snapshot().latency.total == 3 + 13


def look(policy: Any, name: str) -> None:
    hasattr(policy, name)


def look_at_members(policy: Any, name: str) -> None:
    inspect.getmembers(policy, callable)


def look_in_a_loop(policy: Any, name: str) -> None:
    for each in (name, *dir(policy), name):
        getattr(policy, each, None)


def look_by_attribute(policy: Any, name: str) -> None:
    if name.endswith("exit__"):
        policy.__exit__  # noqa: B018
    else:
        policy.__enter__  # noqa: B018


def imitate(policy: Any, name: str) -> None:
    mock.create_autospec(policy)
    mock.MagicMock(spec=policy)


LOOKS = [look, look_at_members, look_in_a_loop, look_by_attribute, imitate]


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("kept", ["__enter__", "__exit__"])
def test_a_look_for_another_reason_makes_no_pair_with_a_method_that_was_kept(
    looks: Callable[[Any, str], None], kept: str
) -> None:
    bulkhead = places(2)
    other = "__exit__" if kept == "__enter__" else "__enter__"
    method = getattr(bulkhead, kept)
    looks(bulkhead, other)
    with bulkhead:
        looks(bulkhead, other)
        assert bulkhead.in_flight == 1
    for _ in range(2):
        (method if kept == "__enter__" else bulkhead.__enter__)()
        looks(bulkhead, other)
        looks(bulkhead, kept)
        assert bulkhead.in_flight == 1
        (method if kept == "__exit__" else bulkhead.__exit__)(*NOTHING)
        assert bulkhead.in_flight == 0
    with pytest.raises(RuntimeError, match="without an entry"):
        bulkhead.__exit__(*NOTHING)


@pytest.mark.parametrize("looks", LOOKS)
def test_a_look_inside_of_one_instruction_makes_no_pair(looks: Callable[[Any, str], None]) -> None:
    bulkhead = places(2)
    enter, leave = map(partial(getattr, bulkhead), ("__enter__", "__exit__"))
    looks(bulkhead, "__exit__")
    for _ in range(2):
        enter()
        assert bulkhead.in_flight == 1
        bulkhead.__exit__(*NOTHING)
        enter()
        leave(*NOTHING)
        assert bulkhead.in_flight == 0


def test_asking_for_a_method_keeps_no_policy_alive() -> None:
    for name in ("__enter__", "__exit__", "__aenter__", "__aexit__"):
        bulkhead = places()
        assert hasattr(bulkhead, name)
        ref = weakref.ref(bulkhead)
        del bulkhead
        if not GIL:  # there the thread keeps the last look-up that could begin a `with`
            assert hasattr(places(), "__enter__")
        assert ref() is None, name


def test_a_thread_that_asked_for_a_method_keeps_no_policy_alive() -> None:
    bulkhead = places()
    assert Party(hasattr, bulkhead, "__enter__").result()
    ref = weakref.ref(bulkhead)
    del bulkhead
    assert ref() is None


def test_a_method_may_die_in_another_thread_than_it_was_looked_up_in() -> None:
    bulkhead = places()
    kept = [bulkhead.__enter__]
    Party(kept.clear).result()
    with bulkhead:
        assert bulkhead.in_flight == 1
    assert bulkhead.in_flight == 0


def test_an_exit_without_an_entry_is_an_error_that_names_the_policy() -> None:
    bulkhead = places()
    with pytest.raises(RuntimeError, match="exit of <Bulkhead 'places'> without an entry"):
        bulkhead.__exit__(*NOTHING)
    with bulkhead, pytest.raises(RuntimeError, match="without an entry"):
        bulkhead.__exit__(*NOTHING)
    assert bulkhead.in_flight == 0


def test_an_entry_that_is_never_left_comes_home_with_its_policy() -> None:  # trap 4
    inner = places()
    kernel = inner._kernel
    inner.__enter__()
    del inner
    gc.collect()
    assert kernel.in_flight() == 0


def test_an_entry_that_is_never_left_comes_home_with_a_policy_in_a_cycle() -> None:  # trap 4
    class Holder(Bulkhead):
        """May keep itself alive."""

    inner = Holder("places", max_concurrent=1)
    kernel = inner._kernel
    inner.itself = inner  # type: ignore[attr-defined]
    inner.__enter__()
    del inner
    gc.collect()
    assert kernel.in_flight() == 0


@lists_survive_no_memory
def test_an_entry_that_there_is_no_memory_for_is_given_back_at_once() -> None:
    testing = pytest.importorskip("_testcapi")
    bulkhead = places()
    given_back = 0
    for at in range(40):
        with contextlib.suppress(MemoryError):
            testing.set_nomemory(at, at + 1)
            try:
                bulkhead.__enter__()
            finally:
                testing.remove_mem_hooks()
        given_back += bulkhead.in_flight == 0
        with contextlib.suppress(RuntimeError):
            bulkhead.__exit__(*NOTHING)
        assert bulkhead.in_flight == 0
    assert 0 < given_back < 40


def test_a_bulkhead_that_dies_with_an_entry_open_calls_nobody_in() -> None:
    # Nobody can wait any more; the dying policy must not be brought back to look for them.
    bulkhead = places(1, max_waiting=1, max_wait=1.0)
    kernel = bulkhead._kernel
    bulkhead.__enter__()
    kernel.enter_or_queue()
    assert kernel.waiting() == 1
    del bulkhead
    gc.collect()
    assert kernel.in_flight() == 0


def test_a_pipeline_that_dies_with_an_entry_open_dies_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # An interruption is told to whoever looks at what nobody could be told of, without the dead.
    class Interrupted(Bulkhead):
        def _admit(self) -> None:
            raise KeyboardInterrupt

    told: list[Any] = []
    monkeypatch.setattr(
        "sys.unraisablehook", lambda seen: told.append((seen.exc_type, seen.object))
    )
    bulkhead = Interrupted("places", max_concurrent=1, max_waiting=1, max_wait=1.0)
    pipeline = Pipeline("pipe", bulkhead)
    pipeline.__enter__()
    bulkhead._kernel.enter_or_queue()
    del pipeline
    gc.collect()
    assert told == [(KeyboardInterrupt, None)]
    assert bulkhead.in_flight == 0


@pytest.mark.parametrize(
    "misuse",
    [
        lambda cls, it: cls.__enter__(),
        lambda cls, it: cls.__enter__(it, 1),
        lambda cls, it: cls.__exit__(it),
        lambda cls, it: cls.__exit__(it, None, None, None, None),
        lambda cls, it: cls.__enter__(None),
        lambda cls, it: cls.__enter__(self=it),
        lambda cls, it: cls.__exit__(42, None, None, None),
        lambda cls, it: it.__enter__(1),
        lambda cls, it: it.__enter__(a=1),
        lambda cls, it: it.__exit__(),
        lambda cls, it: it.__exit__(None, None),
        lambda cls, it: descriptor(cls, "__enter__").__get__(42, int),
        lambda cls, it: descriptor(cls, "__exit__").__get__("x", str)(*NOTHING),
        lambda cls, it: descriptor(cls, "__aenter__").__get__(object(), object),
    ],
)
def test_misuse_is_a_type_error(misuse: Callable[[type, Bulkhead], Any]) -> None:
    bulkhead = places()
    with pytest.raises(TypeError):
        misuse(Bulkhead, bulkhead)
    assert bulkhead.in_flight == 0


def descriptor(cls: type, name: str) -> Any:
    return next(base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)


def test_a_subclass_may_wrap_both_methods() -> None:
    log = []

    class Logged(Bulkhead):
        def __enter__(self) -> Any:
            log.append("in")
            return super().__enter__()

        def __exit__(self, *exc: Any) -> bool:
            log.append("out")
            return super().__exit__(*exc)

    bulkhead = Logged("logged")
    with bulkhead:
        assert bulkhead.in_flight == 1
    assert bulkhead.in_flight == 0
    assert log == ["in", "out"]


def test_a_policy_that_was_never_initialised_lets_no_block_begin() -> None:
    policy = Bulkhead.__new__(Bulkhead)
    with pytest.raises(RuntimeError, match=r"Bulkhead.__init__\(\) did not call"), policy:
        pytest.fail("ran")
