"""The extension module: loaded once, by one interpreter, and hard to crash by misuse."""

import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

import holdfast
from holdfast import Bulkhead, CircuitBreaker, Fallback, Pipeline, RateLimiter, Retry, Timeout
from holdfast._native import gate
from holdfast._native.bulkhead import Bulkhead as Kernel
from holdfast._native.histogram import Histogram
from holdfast.clock import system_clock
from tests.apart import run_apart
from tests.gate.parts import places, tokens, tripping

NATIVE = [
    gate.Gate, gate.Guard, gate.GuardedCoroutine, gate.Outcome, gate.Permit, gate.Rejected,
    gate.HoldfastError,
]  # fmt: skip


def test_the_constants_and_types_are_there() -> None:
    assert gate.MAX_STEPS == 16
    for cls in NATIVE:
        assert cls.__module__ in ("holdfast._native.gate", "holdfast.errors")
        assert cls.__doc__ or cls is gate.Guard


def uninitialised() -> list[Any]:
    return [cls.__new__(cls) for cls in (CircuitBreaker, RateLimiter, Bulkhead, Pipeline)]


ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, holdfast.Rejected)
KERNEL = Kernel(1, 0)
BOUND = ("bulkhead", (KERNEL,), system_clock, "n", 0, gate.Rejected)
WRONGLY_BOUND: list[dict[int, Any]] = [
    {1: ()}, {1: (42,)}, {0: "bucket"}, {2: 42}, {5: int}, {5: 42}, {4: 3}, {4: -1},
    {0: "pipeline"}, {0: "none"}, {1: (KERNEL,) * 9}, {1: (KERNEL,) * 2}, {1: [KERNEL]},
]  # fmt: skip
OF_A_GATE: list[Callable[[Any], Any]] = [
    lambda p: p.call(int),
    lambda p: p.try_call(int),
    lambda p: p(int)(),
    lambda p: p._permit().success(),
    lambda p: p.acall(int).close(),
    lambda p: p._apermit().close(),
    lambda p: p._try_enter(),
    lambda p: p._try_take(),
    lambda p: p._try_take(1),
    lambda p: p._weight(1),
    lambda p: p._wait_ns(1),
    lambda p: p._refuse("open"),
    lambda p: p._refuse("open", -1, int),
    lambda p: p._refuse("open", -1, 42),
    lambda p: p._refuse("no such word"),
    lambda p: p._record_latency(42),
    lambda p: p._record_latency(KERNEL),
    lambda p: p._record_latency(Histogram()),
    lambda p: p._bind(),
    *(
        lambda p, bad=bad: p._bind(*(bad.get(n, arg) for n, arg in enumerate(BOUND)))
        for bad in WRONGLY_BOUND
    ),
    lambda p: p._compose("n", (p,)),
    lambda p: p._compose("n", (42,)),
    lambda p: p._compose("n", (places(),) * 17),
    lambda p: p._compose("n", [places()]),
    lambda p: p._compose(),
]


@pytest.mark.parametrize("use", OF_A_GATE)
def test_misuse_of_what_is_private_is_an_error_and_no_crash(use: Callable[[Any], Any]) -> None:
    kinds = [
        tripping(), tokens(), RateLimiter("sliding", rate=1, window="sliding"), places(),
        Pipeline("p", places()),
    ]  # fmt: skip
    for policy in (*kinds, *uninitialised(), gate.Gate()):
        with contextlib.suppress(*ERRORS):
            use(policy)
        assert "Gate" in repr(policy) or type(policy).__name__ in repr(policy)
    gc.collect()


@pytest.mark.parametrize("name", ["call", "acquire", "try_enter", "__enter__", "try_acquire"])
def test_a_method_of_one_policy_on_another_is_a_type_error(name: str) -> None:
    for cls in (CircuitBreaker, RateLimiter, Bulkhead, Pipeline):
        method = getattr(cls, name, None)
        if method is not None:
            for other in (42, None, object(), int):
                with pytest.raises((TypeError, AttributeError)):
                    method(other)


def test_a_policy_is_bound_once() -> None:
    for policy in (tripping(), tokens(), places()):
        with pytest.raises(RuntimeError, match="once"):
            policy._bind(*BOUND)
        with pytest.raises(RuntimeError, match="once"):
            policy._compose("n", (places(),))
        assert policy.call(int) == 0


def test_its_types_take_part_in_garbage_collection() -> None:
    guard = places()(int)
    coroutine = places().acall(int)
    for thing in (guard, coroutine, places()._permit(), places().try_call(int), places()):
        assert gc.is_tracked(thing)
        assert type(thing) in gc.get_referents(thing)
    coroutine.close()


def test_what_the_garbage_collector_shows_of_a_policy_has_no_holes() -> None:
    for policy in (Retry("r"), Timeout(1), Fallback(0), tripping(), tokens(), places()):
        assert "<NULL>" not in repr(gc.get_referents(policy))


def test_what_it_defines_has_no_attribute_dictionary_to_misspell() -> None:
    for thing in (places()._permit(), places().try_call(int)):
        with pytest.raises(AttributeError):
            thing.settld = True  # type: ignore[attr-defined,union-attr]
    assert sys.getsizeof(places()._permit()) < 1024


@pytest.mark.parametrize("policy", ["CircuitBreaker('b')", "Timeout(5)", "Fallback(1)"])
def test_a_finaliser_may_call_when_the_interpreter_has_no_modules_any_more(policy: str) -> None:
    source = f"""
    import os, holdfast

    class Last:
        def __del__(self, call=holdfast.{policy}.call, make=type("Odd", (), {{}}), write=os.write):
            call(make)
            write(1, b"called")

    os.register_at_fork(before=lambda: None)  # what it refers to dies last
    last = Last()
    """
    assert run_apart(source) == "called"
