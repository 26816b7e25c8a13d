"""One timeout in several event loops: of several threads, and one after another."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import holdfast as hf
from tests.waiting.virtual import LoopClock, VirtualLoop, ended


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(n: int, work: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run_it() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run_it) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def run(clock: LoopClock, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine in a loop of its own, of which several move one clock."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(main())


@pytest.mark.parametrize("seconds", [30, 0.0005])
def test_threads_that_open_and_close_loops_use_one_timeout(restless, seconds):
    clock = LoopClock()
    policy = hf.Timeout(seconds, clock=clock)

    async def main() -> None:
        await ended(policy.acall(asyncio.sleep, 0.0001))

    def work() -> None:
        for _ in range(30):
            run(clock, main)

    in_threads(4, work)
    snapshot = policy.snapshot()
    assert snapshot.in_time + snapshot.expired == 120


def test_tasks_of_several_loops_are_cut_each_in_its_own(restless):
    clock = LoopClock()
    policy = hf.Timeout(0.01, clock=clock)

    async def main() -> None:
        calls = [policy.acall(asyncio.sleep, 60) for _ in range(20)]
        assert {type(e) for e in await asyncio.gather(*calls, return_exceptions=True)} == {
            hf.DeadlineExceededError
        }

    in_threads(4, lambda: run(clock, main))
    assert policy.snapshot().expired == 80


def test_loops_that_equal_one_another_cut_their_own_calls():
    class Equal(VirtualLoop):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 1

    clock = LoopClock()
    policy = hf.Timeout(1, clock=clock)
    loops = [Equal(clock), Equal(clock)]
    for loop in loops:
        begun = loop.time()
        loop.run_until_complete(ended(policy.acall(asyncio.sleep, 60)))
        assert loop.time() == begun + 1
    for loop in loops:
        loop.close()


def test_a_timer_that_is_set_while_another_is_being_set_is_not_lost():
    class Busy(VirtualLoop):
        """Begins another call, with less time, where a timer is set."""

        begin: Any = None

        def call_later(self, *args: Any, **options: Any) -> Any:
            begin, self.begin = self.begin, None
            if begin is not None:
                begin()
            return super().call_later(*args, **options)

    loop = Busy()
    policy = hf.Timeout(5, clock=loop.clock)
    ends: list[float] = []

    async def one() -> None:
        await ended(policy.acall(asyncio.sleep, 60))
        ends.append(loop.time())

    async def main() -> None:
        first = loop.create_task(one())

        def begin() -> None:
            policy.resize(1)
            call: Any = policy.acall(asyncio.sleep, 60)
            call.send(None)
            calls.append(call)

        loop.begin = begin
        await first

    calls: list[Any] = []
    loop.run_until_complete(main())
    assert ends == [5]
    assert loop.begin is None
    for call in calls:
        call.close()
    loop.run_until_complete(asyncio.sleep(10))
    assert loop.pending == 0
    loop.close()
