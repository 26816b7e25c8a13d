"""A stream's first item behind timeouts: raised as late or handed over, never both."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from holdfast import (
    Constant,
    DeadlineExceededError,
    Fallback,
    ManualClock,
    Pipeline,
    Retry,
    Timeout,
)
from tests.gate.parts import suspend


def late_stream(policy: Any) -> AsyncGenerator[int, None]:
    @policy
    async def stream() -> AsyncGenerator[int, None]:
        await suspend("waits")
        yield 1
        yield 2

    guarded: AsyncGenerator[int, None] = stream()
    return guarded


def item_of(step: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        step.send(None)
    return stop.value.value


@pytest.mark.parametrize("passed", [0.5, 1, 2])
@pytest.mark.parametrize("around", [(), (Retry("r", attempts=1),), (Fallback(7, on=KeyError),)])
def test_an_item_in_no_event_loop_comes_in_time_or_is_late(passed, around):
    clock = ManualClock(auto=False)
    inner, outer = Timeout(1, clock=clock), Timeout(10, clock=clock)
    stream = late_stream(Pipeline("p", outer, *around, inner))
    first = stream.__anext__()
    assert first.send(None) == "waits"
    clock.advance(passed)
    if passed >= 1:
        with pytest.raises(DeadlineExceededError, match="timed out after 1 s"):
            first.send(None)
        assert (inner.snapshot().late, inner.snapshot().expired) == (1, 1)
    else:
        assert item_of(first) == 1
        clock.advance(20)  # the stream's own time
        assert item_of(stream.__anext__()) == 2
        assert (inner.snapshot().late, inner.snapshot().expired) == (0, 0)
        assert (inner.snapshot().in_time, outer.snapshot().in_time) == (1, 1)


def test_an_item_that_is_late_while_it_is_handed_over_is_handed_over():
    clock = ManualClock(auto=False)
    retry = Retry("r", attempts=2, backoff=Constant(0), on=OSError, clock=clock)
    timeout = Timeout(1, clock=clock)
    retry.on_event(lambda event: clock.advance(5) if event.kind == "recovered" else None)
    errors = [OSError()]

    @Pipeline("p", timeout, retry)
    def stream() -> Generator[int, None, None]:
        if errors:
            raise errors.pop()
        yield 1

    assert next(stream()) == 1
    assert (timeout.snapshot().expired, timeout.snapshot().in_time) == (0, 1)


def test_an_item_in_no_event_loop_that_nobody_waited_for_is_not_late():
    clock = ManualClock(auto=False)

    @Timeout(1, clock=clock)
    async def stream() -> AsyncGenerator[int, None]:
        clock.advance(2)
        yield 1

    assert item_of(stream().__anext__()) == 1
