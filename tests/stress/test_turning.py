"""Operations are recompiled while sixteen threads and their tasks call them: nothing is lost."""

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate
from tests.stress.test_conservation import run_threads

pytestmark = pytest.mark.stress

THREADS = 16


class Manager(gate.Directory):
    """Whose operation is made anew by whoever finds that it is not there."""

    __slots__ = ("made",)

    def _missing(self, name: str, /) -> gate.Handle:
        return self._handles.setdefault(name, Operation(name))


class Operation(gate.Handle):
    """That finds its gate when it is asked."""

    __slots__ = ("gates",)

    def _missing(self) -> None:
        self._turn_to(hf.Pipeline(self.name, BREAKER))


BREAKER = hf.CircuitBreaker("found late", failure_threshold=10**6)

for cls in (Manager, Operation):
    gate._own_methods(cls)


def plain(value: int) -> int:
    return value


async def coroutine(value: int) -> int:
    await asyncio.sleep(0)
    return value


def generator(value: int) -> Any:
    yield value


def gates() -> tuple[hf.CircuitBreaker, hf.Bulkhead, list[Any]]:
    """Gates of every shape over one breaker and one bulkhead."""
    breaker = hf.CircuitBreaker("kept", failure_threshold=10**6)
    bulkhead = hf.Bulkhead("kept", max_concurrent=10**6)
    shapes = (
        (breaker,),
        (bulkhead, breaker),
        (hf.Timeout(60), breaker),
        (hf.Retry("r", attempts=2), breaker, bulkhead),
        (hf.Fallback("never"), hf.Timeout(60), hf.Retry("r"), bulkhead, breaker),
    )
    return breaker, bulkhead, [hf.Pipeline(f"p{at}", *each) for at, each in enumerate(shapes)]


def test_turning_while_threads_and_tasks_call_loses_no_call_and_no_count(stress_scale: int) -> None:
    # RM-02, RM-10
    breaker, bulkhead, shapes = gates()
    rm, on, turns = Manager(), Operation("send"), 200 * stress_scale
    on._turn_to(shapes[0])
    rm._handles["send"] = on
    guarded: Any = [on(fn) for fn in (plain, coroutine, generator)]
    over = threading.Event()
    called = [0] * THREADS

    async def tasks(number: int) -> None:
        results = await asyncio.gather(
            *(guarded[1](at) for at in range(turns)),
            *(rm.aexecute("send", coroutine, at) for at in range(turns)),
        )
        assert results == [*range(turns)] * 2
        called[number] += 2 * turns

    def threads(number: int) -> None:
        for at in range(turns):
            assert guarded[0](at) == at
            assert list(guarded[2](at)) == [at]
            assert rm.execute("send", plain, at) == at
            assert on.call(plain, at) == at
            assert on.try_call(plain, at).value == at
            called[number] += 5

    def turn() -> None:
        while not over.is_set():
            for each in shapes:
                on._turn_to(each)
                # One that nobody else holds: whoever reads it keeps it alive.
                on._turn_to(hf.Pipeline("passing", breaker, bulkhead))

    turner = threading.Thread(target=turn)
    turner.start()
    try:
        run_threads(
            lambda number: asyncio.run(tasks(number)) if number % 4 == 0 else threads(number),
            THREADS,
        )
    finally:
        over.set()
        turner.join()
    counts = breaker.snapshot()
    assert counts.succeeded == counts.admitted == sum(called)
    assert (counts.in_flight, bulkhead.in_flight) == (0, 0)


def test_gates_that_were_replaced_go_while_threads_call(stress_scale: int) -> None:
    on = Operation("send")
    on._turn_to(hf.CircuitBreaker("first"))
    guarded = on(plain)
    replaced: list[Any] = []

    def work(number: int) -> None:
        for at in range(100 * stress_scale):
            assert guarded(at) == at
            if number == 0:
                replaced.append(weakref.ref(on._gate))  # type: ignore[arg-type]
                on._turn_to(hf.CircuitBreaker("next"))

    run_threads(work, THREADS)
    gc.collect()
    assert [gone() for gone in replaced] == [None] * len(replaced)


def test_operations_that_come_and_go_are_found_or_made(stress_scale: int) -> None:
    rm = Manager()
    before = BREAKER.snapshot().admitted

    def work(number: int) -> None:
        for at in range(100 * stress_scale):
            assert rm.execute(f"op{at % 3}", plain, at) == at
            if number % 4 == 0:
                rm._handles.pop(f"op{at % 3}", None)
            if number % 4 == 1 and (found := rm._handles.get("op0")):
                found._turn_to(None)

    run_threads(work, THREADS)
    assert BREAKER.snapshot().admitted - before == THREADS * 100 * stress_scale
    assert BREAKER.in_flight == 0
