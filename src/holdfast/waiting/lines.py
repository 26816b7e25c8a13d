"""Who waits for the tokens of a rate limiter.

The kernels count; here is the line of those whose tokens are not there yet, first come, first
served. Elsewhere: when it is whose turn (``bucket_line``, ``window_line``), how a thread or a task
is put to sleep and woken (``parking``, ``aio``), and what a policy makes of the answer.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cache

from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.standstill import mind_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from holdfast._native.gate import Gate
    from holdfast.clock import Clock
    from holdfast.waiting.aio import TaskWaiter

__all__ = ["LAST_NS", "REFUSED", "TAKEN", "WAITS", "Line", "Turn"]

LAST_NS = 2**63 - 1  # where a clock stops: a wait beyond it would never end
NEW, WAITS, TAKEN, REFUSED, FORGOTTEN = range(5)
AT_ONCE = 64  # how many are served before the others of their event loop have their turn
PATIENCE_NS = 50_000_000  # how long one who was woken to go on is waited for


class Turn:
    """One who wants tokens, and what he was told last.

    Attributes:
        n: Tokens.
        waiter: What wakes him; None for tokens that somebody has reserved and nobody waits for.
        state: Whether he waits, has his tokens, has been refused, or was forgotten in a fork.
        due_ns: When he looks again, at the latest.
        deadline_ns: When he gives up.
        sleeps_ns: When he wakes by himself, once he sleeps.
        seen: How often tokens had been given back when ``due_ns`` was reckoned.
        clears: How often the limiter had been cleared when he was given his tokens.
        taken_ns: When that was.
    """

    __slots__ = (
        "clears",
        "deadline_ns",
        "due_ns",
        "n",
        "seen",
        "sleeps_ns",
        "state",
        "taken_ns",
        "waiter",
    )

    def __init__(self, n: int, waiter: ThreadWaiter | TaskWaiter | None) -> None:
        self.n = n
        self.waiter = waiter
        self.state = NEW
        self.due_ns = self.deadline_ns = self.taken_ns = self.sleeps_ns = 0
        self.seen = self.clears = 0

    def wake(self) -> bool:
        """Have him look; False: he never will."""
        return self.waiter is None or self.waiter.wake()

    @property
    def is_stranded(self) -> bool:
        """Whether he will never come, as his event loop was closed under him."""
        loop = None if self.waiter is None else self.waiter.loop
        return loop is not None and loop.is_closed()


class Line:
    """Threads and tasks that wait for the tokens of one limiter, first come, first served.

    Steps stand being interrupted by a signal handler that raises, and being re-entered by a
    finaliser (a collected task gives up waiting): one that meets a step under way in its own
    thread leaves a note and goes, and the step looks again before it ends. What an interruption
    leaves unfinished errs towards waiting longer, never towards a token too many.

    When there are tokens for thousands, one step serves the first of them and wakes the next in
    line, who goes on: so an event loop is never held up for long.

    Safe to share between threads and event loops.
    """

    __slots__ = (
        "__weakref__",
        "_again",
        "_busy",
        "_cells",
        "_clears",
        "_clock",
        "_gone",
        "_lock",
        "_looked_ns",
        "_queue",
        "_quiet",
        "_to_serve",
        "_told",
        "_told_ns",
    )

    _cells: Sequence[Any]
    _clears: int

    if TYPE_CHECKING:  # each subclass has its own

        def reserve(self, n: int, longest_ns: int) -> int:
            """Book ``n`` tokens; return the nanoseconds until they are due, or -1: too long."""

        def _line_up(self, turn: Turn, longest_ns: int) -> None: ...

        def _serve(self, now_ns: int) -> None:
            """Give tokens to all whose turn it is; see that the first of the others wakes."""

        def _forget(self, turn: Turn) -> None: ...

        def _give_back(self, turn: Turn) -> None:
            """Return the tokens that were booked, or taken, for a turn."""

        def _unbook(self, turn: Turn) -> None:
            """Return what the parent of a forked child had booked for a turn that waits."""

        def _resize(self, apply: Callable[[int], object]) -> None: ...

        def _clear(self) -> None: ...

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._clears = 0
        self._begin()
        mind(self)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._queue

    def take(self, n: int, longest_ns: int, policy: Gate | None = None) -> bool:
        """Take ``n`` tokens, waiting in this thread for up to ``longest_ns``.

        Args:
            n: How many.
            longest_ns: How long to wait at most.
            policy: Whose wait it is, which is not to stop an event loop unknowingly.

        Returns:
            Whether they are the caller's; if not, none were taken.
        """
        turn = Turn(n, ThreadWaiter())
        try:
            self._join(turn, longest_ns)
            if policy is not None and turn.state == WAITS:
                mind_loop(policy)
            while turn.state == WAITS:
                turn.waiter.park(self._clock, *self._sleep_ns(turn))  # type: ignore[union-attr]
                if turn.state == WAITS:
                    self._step(self._look_again, turn)
            if turn.state == FORGOTTEN:  # this is a forked child, in which everybody comes anew
                left_ns = max(0, turn.deadline_ns - self._clock.now_ns())
                return self.take(n, left_ns, policy)
            return turn.state == TAKEN
        except BaseException:
            self._abandon(turn)
            raise

    async def atake(self, n: int, longest_ns: int) -> bool:
        """Do what ``take`` does, waiting in this task."""
        turn = Turn(n, _task_waiter()())
        try:
            self._join(turn, longest_ns)
            while turn.state == WAITS:
                waiter: TaskWaiter = turn.waiter  # type: ignore[assignment]
                try:  # as park() does, with one coroutine less for each who waits
                    await waiter.begin(self._clock, *self._sleep_ns(turn))
                finally:
                    waiter.end()
                if turn.state == WAITS:
                    self._step(self._look_again, turn)
            return turn.state == TAKEN
        except BaseException:
            self._abandon(turn)
            raise

    def resize(self, apply: Callable[[int], object]) -> None:
        """Have ``apply(now_ns)`` change the rate, and tell all who wait what it means to them."""
        self._surely(self._resize, apply)

    def clear(self) -> None:
        """Have all tokens back, but for those of whom waits: they are served first."""
        self._surely(self._clear)

    def _after_fork(self) -> None:
        """Be empty in a forked child: who waited is in the parent.

        But greenlets that wait are in the child as well, and so is who forked in a signal handler
        while it waited: they are sent to ask again. Tasks are not: their loop is the parent's.
        """
        left = [turn for turn in self._queue if turn.waiter and turn.waiter.loop is None]
        self._begin()
        for turn in left:
            self._unbook(turn)
            turn.state = FORGOTTEN
            turn.wake()

    # ---- steps ----

    def _begin(self) -> None:
        self._lock = RLock()
        self._busy = False  # a step is under way, in the thread that holds the lock
        self._again = False  # somebody asked for something since the step last looked
        self._queue: OrderedDict[Turn, None] = OrderedDict()
        self._gone: list[Turn] = []  # whose owners were cut short; few, and a deque takes 760 bytes
        self._quiet = False  # this step found the first in line to wait, and changed nothing since
        self._to_serve = AT_ONCE  # how many more, until the next in line is woken to go on
        self._told: Turn | None = None  # who was woken for that
        self._told_ns = 0  # and when
        self._looked_ns = 0  # when somebody last looked whose turn it is

    def _step(self, do: Callable[..., object] | None = None, *args: object) -> bool:
        """Do something, and then all there is to do.

        Returns:
            False: a step is under way in this very thread, further out, and nothing was done; what
            others left to be done is done before it ends.
        """
        settle()
        with self._lock:
            self._again = True
            if self._busy:
                return False
            self._busy = True
            self._quiet = False
            try:
                self._mend()
                if do is not None:
                    do(*args)
                # From the last look to the end of the step there is no call, so nothing can come
                # between them: no finaliser, no signal handler.
                while self._again:
                    self._again = False
                    self._settle()
            finally:
                self._busy = False
        return True

    def _surely(self, do: Callable[..., object] | None, *args: object) -> None:
        try:
            self._step(do, *args)
        except BaseException:
            self._step()  # whoever waits has to be told, and nobody else may come by to do it
            raise

    def _join(self, turn: Turn, longest_ns: int) -> None:
        """Take the tokens, line up for them, or be refused."""
        if not self._step(self._line_up, turn, longest_ns):
            self._line_up(turn, 0)  # in a finaliser, amid a step: no time to wait

    def _sleep_ns(self, turn: Turn) -> tuple[int, int]:
        """Return how long somebody who waits is to sleep and until when, if nobody wakes him.

        Who is due and was not served sleeps until time passes. Time that has passed since the
        last look counts: nobody may be there to let more of it pass.
        """
        with self._lock:
            turn.sleeps_ns = until_ns = self._sleeps_until_ns(turn)
            end_ns = max(until_ns, self._looked_ns + 1)
        return max(1, until_ns - self._clock.now_ns()), end_ns

    def _abandon(self, turn: Turn) -> None:
        """Give up a turn, in the line or with its tokens, for an owner that was cut short."""
        self._gone.append(turn)
        self._surely(None)

    def _settle(self) -> None:
        self._mend()
        while self._gone:
            self._quiet = False
            self._forget(self._gone[0])
            del self._gone[0]
        if self._queue and not self._quiet:
            self._looked_ns = now_ns = self._clock.now_ns()
            self._serve(now_ns)

    def _give(self, turn: Turn, now_ns: int) -> None:
        """Hand the first in line his tokens; they go back if he will never come for them."""
        turn.clears, turn.taken_ns, turn.state = self._clears, now_ns, TAKEN
        self._remove(turn)
        if not turn.wake():
            self._forget(turn)

    def _refuse(self, turn: Turn) -> None:
        turn.state = REFUSED
        self._remove(turn)
        turn.wake()

    def _remove(self, turn: Turn) -> None:
        del self._queue[turn]
        if turn is self._told:
            self._told = None  # which would keep his event loop

    def _may_serve(self, first: Turn, now_ns: int) -> bool:
        """Whether this step may serve one more; if not, the first was woken, and goes on then."""
        if self._to_serve > 0:
            self._to_serve -= 1
            return True
        if first is not self._told:
            is_gone = not first.wake()
            self._told, self._told_ns = first, now_ns
            return is_gone
        if now_ns - self._told_ns < PATIENCE_NS:
            return False
        self._to_serve = AT_ONCE  # his loop is busy elsewhere, and whoever looks goes on
        return True

    def _look_again(self, turn: Turn) -> None:
        """See what has become of a turn, after a sleep."""
        if turn is self._told:
            self._told, self._to_serve = None, AT_ONCE
        self._looked_ns = now_ns = self._clock.now_ns()
        self._serve(now_ns)
        if turn.state == WAITS:
            turn.waiter = type(turn.waiter)()  # type: ignore[misc]

    # ---- what a subclass may change ----

    def _sleeps_until_ns(self, turn: Turn) -> int:
        """When somebody who waits is to look again, if nobody wakes him."""
        return turn.due_ns

    def _mend(self) -> None:
        """Tell those who wait of a change; done again if that was interrupted."""


@cache
def _task_waiter() -> type[TaskWaiter]:
    # Not before a task waits, for it imports asyncio; and once, as thousands may wait.
    from holdfast.waiting.aio import TaskWaiter

    return TaskWaiter
