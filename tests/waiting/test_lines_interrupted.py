"""Whatever cuts a step of a line short, nobody waits in vain and no token comes of nothing."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from holdfast import ManualClock, RateLimiter
from holdfast._native.bucket import TokenBucket
from holdfast.waiting.bucket_line import BucketLine
from holdfast.waiting.lines import TAKEN, WAITS, Turn
from holdfast.waiting.parking import ThreadWaiter
from tests.waiting.houses import Meddled, interrupt
from tests.waiting.parties import Party, until

BURST, LONG = 3, 10**15
SECOND = 10**9


class Scene:
    """Three wait for a token each, second after second; something is done and cut short."""

    def __init__(self, step: str, at: int, meddle: Callable[["Scene"], object] | None) -> None:
        self.clock = ManualClock(auto=False)
        self.kernel = TokenBucket(1, SECOND, BURST, 0)
        self.kernel.try_take(BURST, 0)
        self.meddled = Meddled(self.kernel, interrupt if meddle is None else lambda: meddle(self))
        self.line = BucketLine((self.meddled,), self.clock)  # type: ignore[arg-type]
        self.turns = [self.queued() for _ in range(3)]
        self.meddled.uses, self.meddled.at = 0, at
        with suppress(KeyboardInterrupt):
            getattr(self, step)()
        self.over = self.meddled.uses < at
        self.meddled.at = -1

    def queued(self) -> Turn:
        turn = Turn(1, ThreadWaiter())
        self.line._join(turn, LONG)
        assert turn.state == WAITS
        return turn

    def clears(self) -> None:
        self.line.clear()

    def resizes(self) -> None:
        self.line.resize(lambda now_ns: self.kernel.resize(2, SECOND, BURST, now_ns))

    def first_leaves(self) -> None:
        self.line._abandon(self.turns[0])

    def joins(self) -> None:
        self.turns.append(Turn(1, ThreadWaiter()))
        self.line._join(self.turns[-1], LONG)

    def has_tokens(self) -> int:
        """How many were given out, to those in line and to whoever comes."""
        for turn in self.turns:
            if turn.state == WAITS:
                self.line._step(partial(self.line._look_again, turn))
        given = sum(turn.state == TAKEN for turn in self.turns)
        return given + sum(self.kernel.try_take(1, self.clock.now_ns()) for _ in range(10))

    def holds(self, step: str) -> None:
        assert self.has_tokens() <= (BURST if step == "clears" else 0)
        self.clock.advance(20)
        self.line._step()
        for turn in self.turns:
            assert turn.state != WAITS or turn not in self.line._queue
        assert not self.line._queue


STEPS = ["clears", "resizes", "first_leaves", "joins"]


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_step_leaves_nobody_behind(step):
    for at in range(1, 100):
        scene = Scene(step, at, None)
        scene.holds(step)
        if scene.over:
            break
    assert at > 1


@pytest.mark.parametrize("step", STEPS)
def test_a_finaliser_that_gives_up_a_turn_amid_a_step_is_heard(step):
    for at in range(1, 100):
        scene = Scene(step, at, lambda scene: scene.line._abandon(scene.turns[1]))
        assert scene.turns[1] not in scene.line._queue or scene.over
        scene.holds(step)
        if scene.over:
            break
    assert at > 1


@pytest.mark.parametrize("window", [None, "sliding"])
def test_who_waits_in_a_forked_child_asks_again(window):
    clock = ManualClock(auto=False)
    limiter = RateLimiter("l", rate=1, per=10, max_wait=None, window=window, clock=clock)
    limiter.try_acquire()
    party = Party(limiter.acquire)
    until(lambda: not limiter._line.is_empty)
    with limiter._line._lock:  # a fork leaves no other thread in the middle of a step
        before = next(iter(limiter._line._queue))
        limiter._line._after_fork()  # as of a greenlet, or of who forked in a signal handler
    until(lambda: not limiter._line.is_empty)
    assert before not in limiter._line._queue
    clock.advance(9.9)
    assert not limiter.try_acquire()
    clock.advance(1.1)
    party.result()
    assert not limiter.try_acquire()


@pytest.mark.parametrize("window", [None, "sliding"])
@pytest.mark.parametrize("later", [0, 1])
def test_a_forked_child_past_the_deadline_of_a_wait_takes_what_is_there(window, later, monkeypatch):
    clock = ManualClock(auto=False)
    limiter = RateLimiter("l", rate=1, per=10, max_wait=20, window=window, clock=clock)
    limiter.try_acquire()

    def fork(*_: object) -> None:
        monkeypatch.undo()
        clock.advance(20 + later)
        limiter._line._after_fork()

    monkeypatch.setattr(ThreadWaiter, "park", fork)
    limiter.acquire()
    assert not limiter.try_acquire()
