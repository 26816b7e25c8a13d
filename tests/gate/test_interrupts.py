"""A signal handler that raises, at every point at which one may run: no place is lost.

The interpreter runs handlers as a function of Python is entered and as a call of C returns, and in
loops, which all call something. A profiler is called there too, and what it raises goes the same
way.
"""

import _thread
import signal
import sys
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

import pytest

from holdfast import Bulkhead, ManualClock, Rejected

# The manual clock, which lets others leave as it is moved, stands for the rest of the world.
WHERE = {
    f"holdfast.{module}"
    for module in (
        "policies.base",
        "policies.bulkhead.bulkhead",
        "waiting.parking",
        "waiting.streams",
        "waiting.rooms",
    )
}


class Interrupt(BaseException):
    pass


def within(bulkhead: Bulkhead) -> None:
    with bulkhead:
        pass


def try_call(bulkhead: Bulkhead) -> None:
    bulkhead.try_call(int)


WAYS: dict[str, Callable[[Bulkhead], Any]] = {
    "call": lambda bulkhead: bulkhead.call(int),
    "try_call": try_call,
    "with": within,
    "permit": lambda bulkhead: bulkhead._permit().success(),
}


def interrupted(act: Callable[[Any], Any], policy: Any, at: int, where: set[str] = WHERE) -> bool:
    """Act, interrupted at the n-th point; false where there are fewer."""
    points = 0

    def profiler(frame: FrameType, event: str, arg: object) -> None:
        nonlocal points
        if frame.f_globals["__name__"] in where and event in ("call", "c_return"):
            points += 1
            if points == at:
                raise Interrupt

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        act(policy)
    except (Interrupt, Rejected, StopIteration):
        pass
    finally:
        sys.setprofile(before)
    return points >= at


@pytest.mark.parametrize("ending", ["a place comes free", "the time is up"])
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_at_any_point_of_a_wait_loses_no_place(way: str, ending: str) -> None:
    # trap 32, trap 35
    at, more = 0, True
    while more:
        at += 1
        clock = ManualClock()
        bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=5.0, clock=clock)
        bulkhead.enter()
        if ending == "a place comes free":
            clock.call_at_ns(1_000_000_000, lambda held=bulkhead: leave(held))
        more = interrupted(WAYS[way], bulkhead, at)
        clock.advance(10)  # for who was inside before to leave, if it was not waited for
        before = 0 if ending == "a place comes free" else 1
        assert (bulkhead.in_flight, bulkhead.waiting) == (before, 0), at
    assert at > 20


@pytest.mark.filterwarnings("ignore:.* was never awaited")  # an interrupt may come in between
def test_an_interrupt_as_an_asynchronous_generator_begins_leaves_the_loop_its_hooks() -> None:
    @Bulkhead("b")
    async def stream() -> AsyncIterator[int]:
        yield 1

    def begin(at: int) -> bool:
        return interrupted(lambda _: stream().__anext__().send(None), None, at)

    def seen(generator: object) -> None: ...

    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(seen, seen)
    try:
        for at in range(1, 100):
            more = begin(at)
            assert sys.get_asyncgen_hooks() == (seen, seen), at
            if not more:
                break
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert at > 5


def leave(bulkhead: Bulkhead) -> None:
    """Leave uninterrupted, as somebody else would."""
    profiler = sys.getprofile()
    sys.setprofile(None)
    try:
        bulkhead.leave()
    finally:
        sys.setprofile(profiler)


class InterruptedAtTheEnd(Bulkhead):
    """Its wait ends with a place and with a signal, which nothing has noticed yet."""

    _block = _thread.interrupt_main  # type: ignore[assignment]


def test_a_signal_that_comes_as_a_block_is_entered_loses_no_place() -> None:
    # The handler runs as `__enter__` returns: from 3.14 on that is before the block begins.
    bulkhead = InterruptedAtTheEnd("places", max_concurrent=1, max_waiting=1, max_wait=None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in range(3):
            bulkhead.enter()  # the place that is handed over
            with pytest.raises(KeyboardInterrupt), bulkhead:
                pass
            assert bulkhead.in_flight == 0
    finally:
        signal.signal(signal.SIGINT, before)
