"""A refused, cancelled or dropped call gives back what it held: no less, and no more."""

import asyncio
import gc
from typing import Any

import pytest

import holdfast as hf
from tests.gate.parts import suspend
from tests.waiting.parties import Party, auntil, until
from tests.waiting.virtual import ended, turns

# ---- a bulkhead slot ----


class Slots:
    """A pipeline of two bulkheads of one slot each, the inner of which the test holds.

    ``outside`` stands around both: with a timeout there the call is controlled.
    """

    def __init__(self, outside: tuple[hf.Policy, ...] = ()) -> None:
        self.clock = hf.ManualClock(auto=False)
        self.outer = self._bulkhead("outer", None)
        self.inner = self._bulkhead("inner", 5.0)
        self.pipe = hf.Pipeline("p", *outside, self.outer, self.inner)
        self.inner.enter()

    def _bulkhead(self, name: str, max_wait: float | None) -> hf.Bulkhead:
        return hf.Bulkhead(
            name, max_concurrent=1, max_waiting=5, max_wait=max_wait, clock=self.clock
        )

    def assert_next_is_in(self) -> None:
        """One holds the outer slot, nobody waits for it."""
        assert (self.outer.in_flight, self.outer.waiting) == (1, 0)
        self.outer.leave()
        assert self.outer.in_flight == 0


@pytest.fixture(params=["plain", "controlled"])
def slots(request: pytest.FixtureRequest) -> Slots:
    return Slots((hf.Timeout(3600),) if request.param == "controlled" else ())


def test_a_slot_given_back_by_a_thread_refused_further_in_lets_the_next_thread_in(slots):
    # trap 33
    refused = Party(slots.pipe.try_call, int)
    until(lambda: slots.inner.waiting == 1)
    following = Party(slots.outer.enter)
    until(lambda: slots.outer.waiting == 1)
    slots.clock.advance(5)  # the inner bulkhead's max_wait
    assert isinstance(refused.result().rejection, hf.BulkheadTimeoutError)
    following.result()
    slots.assert_next_is_in()


async def refuse(slots: Slots, task: asyncio.Task[Any]) -> None:
    slots.clock.advance(5)
    assert isinstance(await ended(task), hf.BulkheadTimeoutError)


async def cancel(slots: Slots, task: asyncio.Task[Any]) -> None:
    task.cancel()
    assert isinstance(await ended(task), asyncio.CancelledError)


async def cancel_inside(slots: Slots, task: asyncio.Task[Any]) -> None:
    slots.inner.leave()
    await auntil(lambda: not slots.inner.waiting)
    await asyncio.sleep(0)  # the call has begun
    await cancel(slots, task)


@pytest.mark.parametrize("give_up", [refuse, cancel, cancel_inside])
@pytest.mark.parametrize("following", ["task", "thread"])
def test_a_slot_given_back_by_a_task_lets_the_next_in(slots, give_up, following):
    # trap 33
    async def main() -> None:
        task = asyncio.create_task(slots.pipe.acall(asyncio.Event().wait))
        await auntil(lambda: slots.inner.waiting == 1)
        thread, waiter = None, None
        if following == "thread":
            thread = Party(slots.outer.enter)
        else:
            waiter = asyncio.create_task(slots.outer.aenter())
        await auntil(lambda: slots.outer.waiting == 1)
        await give_up(slots, task)
        if thread is not None:
            thread.result()
        elif waiter is not None:
            await asyncio.wait_for(waiter, 20)
        slots.assert_next_is_in()

    asyncio.run(main())


@pytest.mark.parametrize("runs", [True, False], ids=["running", "waiting"])
def test_a_slot_given_back_by_a_dropped_call_lets_the_next_in(slots, runs):  # trap 33
    async def main() -> None:
        if runs:
            slots.inner.leave()
        call = slots.pipe.acall(suspend)
        call.send(None)
        waiter = asyncio.create_task(slots.outer.aenter())
        await auntil(lambda: slots.outer.waiting == 1)
        call.close()
        await asyncio.wait_for(waiter, 20)
        slots.assert_next_is_in()

    asyncio.run(main())


# ---- tokens ----

# Where the call is dropped; tokens it used of the limiters outside and inside of the retry.
USED = {"first wait": (0, 0), "pause": (1, 1), "second attempt": (1, 2), "second wait": (1, 1)}


class Tokens:
    """A retry between two limiters, and further in one that observes and has no token left."""

    def __init__(self, stage: str, window: str | None) -> None:
        clock = hf.ManualClock(auto=False)
        shared: dict[str, Any] = {"per": 3600, "window": window, "clock": clock}
        self.limiters = [hf.RateLimiter("l", rate=5, **shared) for _ in range(2)]
        self.empty = hf.RateLimiter("empty", rate=1, mode="observe", **shared)
        self.empty.acquire()
        self.bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)
        pause = 3600 if stage == "pause" else 0
        self.retry = hf.Retry(
            "r", backoff=hf.Constant(pause), max_time=None, budget=None, clock=clock
        )
        outer, inner = self.limiters
        self.pipe = hf.Pipeline("p", outer, self.retry, inner, self.empty, self.bulkhead)
        self.stage = stage
        self.attempts = 0
        if stage == "first wait":
            self.bulkhead.enter()

    async def work(self) -> None:
        self.attempts += 1
        if self.attempts == 2:
            await asyncio.Event().wait()
        if self.stage == "second wait":
            self.bulkhead.resize(2)
            self.bulkhead.enter()
            self.bulkhead.resize(1)
        raise ConnectionError

    def used(self) -> tuple[int, int]:
        gc.collect()
        return tuple(5 - int(limiter.available) for limiter in self.limiters)


def close(call: Any) -> None:
    call.close()


def collect(call: Any) -> None:
    del call


def interrupt(call: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        call.throw(KeyboardInterrupt)


@pytest.mark.parametrize("drop", [close, collect, interrupt])
@pytest.mark.parametrize("window", [None, "sliding"])
@pytest.mark.parametrize("stage", USED)
def test_a_dropped_call_gives_back_the_tokens_of_what_never_ran_and_no_others(stage, window, drop):
    # trap 41, trap 50
    async def main() -> None:
        calls = [one.pipe.acall(one.work)]
        calls[0].send(None)
        drop(calls.pop())

    one = Tokens(stage, window)
    asyncio.run(main())
    assert one.attempts == USED[stage][1]
    assert one.used() == USED[stage]
    assert one.empty.available == 0
    assert one.bulkhead.waiting == 0
    assert one.retry.snapshot().gave_up["cancelled"] == 1


@pytest.mark.parametrize("stage", USED)
def test_a_cancelled_task_gives_back_the_tokens_of_what_never_ran_and_no_others(stage):
    # trap 41, trap 50
    async def main() -> None:
        task = asyncio.create_task(one.pipe.acall(one.work))
        await turns(3)
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)

    one = Tokens(stage, None)
    asyncio.run(main())
    assert one.used() == USED[stage]
    assert one.empty.available == 0
