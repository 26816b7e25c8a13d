"""Loops that cost nothing but what they time, and how they are run: short, in turn, over and over.

A statement is written out in the body of its loop, whose names are local variables: a call through
``fn(*args)`` would add more than much of what is measured here.
"""

from __future__ import annotations

import atexit
import gc
from functools import cache
from itertools import repeat
from time import perf_counter_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Runner
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from typing import Any

    from holdfast.bench.cases import Case

__all__ = ["loop_of", "run_in_turn"]

ROUND_NS = 250_000  # short enough that most rounds are not interrupted, even on a busy machine

_SYNC = """
def loop(repeats, perf_counter_ns=perf_counter_ns, {names}):
    began = perf_counter_ns()
    for _ in repeats:
        {statement}
    return perf_counter_ns() - began
"""
_ASYNC = _SYNC.replace("def", "async def")


def loop_of(case: Case) -> Callable[[Iterable[object]], int]:
    """Return a function that runs the case's statement once for each repeat, and says how long.

    That of an asynchronous case drives the coroutine itself: nothing in it is ever suspended. Only
    what needs an event loop has one.
    """
    source = (_ASYNC if case.awaits else _SYNC).format(
        names=", ".join(f"{name}={name}" for name in case.names),
        statement="\n        ".join(case.statement.splitlines()),
    )
    made: dict[str, Any] = {}
    exec(source, {"perf_counter_ns": perf_counter_ns, **case.names}, made)
    loop = made["loop"]
    if case.in_loop:
        return lambda repeats: int(_runner().run(loop(repeats)))
    return (lambda repeats: _result(loop(repeats))) if case.awaits else loop


@cache
def _runner() -> Runner:
    """Return the event loop of this process's cases."""
    from asyncio import Runner

    runner = Runner()
    # As in every service: a loop without any timer turns faster, with ours or another's.
    runner.get_loop().call_later(86_400, int)
    atexit.register(runner.close)
    return runner


def _result(coroutine: Coroutine[Any, Any, int]) -> int:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return int(stop.value)
    raise RuntimeError("a benchmark was suspended and cannot be resumed")


def run_in_turn(cases: Mapping[str, Case], rounds: int) -> dict[str, float]:
    """Time the cases in turn, ``rounds`` times; return each one's least nanoseconds a statement."""
    loops = {name: loop_of(case) for name, case in cases.items()}
    repeats = {name: min(_repeats(loop), cases[name].most) for name, loop in loops.items()}
    least = dict.fromkeys(cases, float("inf"))
    gc.disable()
    try:
        for _ in range(rounds):
            for name, loop in loops.items():
                least[name] = min(least[name], loop(repeat(None, repeats[name])) / repeats[name])
                tidy = cases[name].tidy
                if tidy is not None:
                    tidy()
    finally:
        gc.enable()
    return least


def _repeats(loop: Callable[[Iterable[object]], int]) -> int:
    """Return how many repeats make a round; on the way the interpreter specialises the loop."""
    repeats = 100
    while (took_ns := loop(repeat(None, repeats))) < ROUND_NS // 2:
        repeats *= 2
    return max(1, repeats * ROUND_NS // took_ns)
