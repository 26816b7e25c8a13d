"""Blocks that one thread enters and another leaves, while the first looks at its deadlines."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Barrier
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate
from tests.stress.test_conservation import run_threads

pytestmark = pytest.mark.stress

THREADS = 4


def block(seconds: float) -> Iterator[None]:
    with hf.Timeout(seconds):
        yield


def test_a_thread_has_the_deadlines_of_the_blocks_that_nobody_has_left(stress_scale):
    to_leave: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(THREADS)]
    inner = hf.Timeout(5)
    all_are_left = Barrier(THREADS)
    in_force: list[int] = []

    def enter_and_leave(number: int) -> None:
        others = to_leave[(number + 1) % THREADS]
        for turn in range(400 * stress_scale):
            entered: Any = block(1_000 + turn % 3)
            next(entered)
            assert 500 < (hf.deadline() or 0) <= 1_002
            others.put(entered)
            del entered
            assert 0 < (inner.call(hf.deadline) or 0) <= 5
            to_leave[number].get().close()
        all_are_left.wait()
        in_force.append(gate._limits_in_force())

    run_threads(enter_and_leave, THREADS)
    assert in_force == [0] * THREADS
