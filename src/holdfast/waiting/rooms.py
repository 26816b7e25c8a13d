"""Who waits for a place in a bulkhead.

The kernel counts; here is the queue of those it made wait, and their duty to give back what they
were granted too late. Elsewhere: how a thread or a task is put to sleep and woken (``parking``,
``aio``), and what a policy makes of the answer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from itertools import starmap

from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.standstill import mind_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from typing import Any

    from holdfast._native.bulkhead import Bulkhead
    from holdfast.clock import Clock
    from holdfast.waiting.aio import TaskWaiter
    from holdfast.waiting.own_places import OwnPlaces

__all__ = ["ENTERED", "FULL", "QUEUED", "TIMED_OUT", "WaitingRoom"]

ENTERED, QUEUED, FULL = 0, 1, 2  # as the kernel answers
TIMED_OUT = 3

# For one call in C: the kernel's answer is noted before a signal handler can run and raise.
_ONCE: tuple[tuple[()], ...] = ((),)
_AT_ONCE = (FULL, ENTERED).__getitem__  # what it means that there was no room, or was


class WaitingRoom:
    """Threads and tasks that wait for a place in one bulkhead, first come, first served.

    Every step stands being interrupted by a signal handler that raises, and being re-entered by
    a finaliser (a collected permit leaves the bulkhead, a collected task gives up waiting):

    * What the queue and the kernel disagree about after an interruption is mended by the next
      step, and every step ends with one: ``len(queue)`` is what ``kernel.waiting()`` says. Fewer
      waiting than queued: the first were granted places and not told yet. More: somebody was
      counted and never came to stand in the queue.
    * A finaliser that meets a step under way in its own thread leaves a note and goes; the step
      looks again before it ends.

    Safe to share between threads and event loops: of the kernel, only ``enter_if_room``,
    ``leave``, ``undo`` and ``force_enter`` may be used past it.
    """

    __slots__ = (
        "__weakref__",
        "_again",
        "_busy",
        "_gone",
        "_kernel",
        "_lock",
        "_loops",
        "_own",
        "_queue",
    )

    def __init__(self, kernel: Bulkhead) -> None:
        self._kernel = kernel
        self._begin()
        mind(self)

    def enter(self, clock: Clock, timeout_ns: int | None, policy: Any = None) -> int:
        """Enter, waiting in this thread for up to ``timeout_ns`` on ``clock``; None: no limit.

        Args:
            clock: Whose time it is.
            timeout_ns: How long to wait at most.
            policy: Whose wait it is, which is not to stop an event loop unknowingly.

        Returns:
            ENTERED: the caller owes one ``leave``. FULL: also every place to wait is taken, or
            there was no time to wait. TIMED_OUT.
        """
        waiter = ThreadWaiter()
        place = _Place(waiter)
        began_ns = clock.now_ns()  # before others can see that it waits
        end_ns = None if timeout_ns is None else began_ns + timeout_ns
        try:
            answer = self._join(place, timeout_ns)
            if answer == QUEUED:
                if policy is not None:
                    mind_loop(policy, may_end=timeout_ns is not None)
                woken = waiter.park(clock, timeout_ns, end_ns)
                if place.forgotten:  # this is a forked child, in which everybody comes anew
                    return self.enter(clock, timeout_ns, policy)
                answer = ENTERED if woken else self._give_up(place)
                if policy is not None:
                    policy._waited(clock.now_ns() - began_ns)
            return answer
        except BaseException:
            self._abandon(place)
            raise

    async def aenter(
        self,
        clock: Clock,
        timeout_ns: int | None,
        policy: Any = None,
        *,
        by_hand: bool = False,
    ) -> int:
        """Do what ``enter`` does, waiting in this task; ``by_hand``: nothing shows it is inside."""
        from holdfast.waiting.aio import TaskWaiter

        waiter = TaskWaiter()
        place = _Place(waiter)
        began_ns = clock.now_ns()  # as above
        end_ns = None if timeout_ns is None else began_ns + timeout_ns
        try:
            answer = self._join(place, timeout_ns)
            if answer == QUEUED:
                if policy is not None and timeout_ns is None:
                    self._own_places().watch(waiter, policy, self._first)
                try:  # as park() does, with one coroutine less for each who waits
                    await waiter.begin(clock, timeout_ns, end_ns)
                finally:
                    waiter.end()
                answer = ENTERED if waiter.woken else self._give_up(place)
                if policy is not None:
                    policy._waited(clock.now_ns() - began_ns)
            if by_hand and timeout_ns is None and answer == ENTERED:
                self._own_places().take()
            return answer
        except BaseException:
            self._abandon(place)
            raise

    def leave(self) -> bool:
        """Leave the bulkhead and let in whoever is first.

        Returns:
            Whether somebody was inside; if not, nothing happened.
        """
        if self._own is not None:
            self._own.give_back()
        return self._free(self._kernel.leave)

    def undo(self) -> bool:
        """Do what ``leave`` does for one who entered and then did not do what he came for."""
        return self._free(self._kernel.undo)

    def resize(self, limit: int) -> None:
        """Change how many may be inside. Never waits: who is inside stays, who fits in comes in."""
        try:
            if self._kernel.resize(limit):
                self._step()
        except BaseException:
            self._step()
            raise

    def admit(self) -> None:
        """Let in whoever there is room for; due when the kernel says that waiters can come in."""
        try:
            self._step()
        except BaseException:
            self._step()
            raise

    def _after_fork(self) -> None:
        """Be empty in a forked child, as the kernel is: who waited or was inside is in the parent.

        But greenlets that wait are in the child as well, and so is who forked in a signal handler
        while it waited: they are sent to ask again. Tasks are not: their loop is the parent's.
        """
        left = [place for place, loop in self._queue.items() if loop is None]
        self._begin()
        for place in left:
            place.forgotten = True
            place.waiter.wake()

    def _begin(self) -> None:
        self._lock = RLock()
        self._busy = False  # a step is under way, in the thread that holds the lock
        self._again = False  # somebody asked for something since the step last looked
        self._queue: OrderedDict[_Place, AbstractEventLoop | None] = OrderedDict()
        # The places of the queue that belong to tasks, by loop: a full queue asks each loop once.
        self._loops: dict[AbstractEventLoop, dict[_Place, None]] = {}
        self._gone: deque[_Place] = deque()  # places whose owners wait no longer
        self._own: OwnPlaces | None = None

    def _free(self, leave: Callable[[], tuple[bool, bool]]) -> bool:
        try:
            inside, waiters = leave()
            if waiters:
                self._step()
        except BaseException:
            self._step()  # nobody else may come by to finish it
            raise
        return inside

    def _own_places(self) -> OwnPlaces:
        if self._own is None:
            from holdfast.waiting.own_places import OwnPlaces

            self._own = OwnPlaces(self._kernel.limit)
        return self._own

    def _first(self) -> ThreadWaiter | TaskWaiter | None:
        with self._lock:
            place = next(iter(self._queue), None)
        return None if place is None else place.waiter

    def _join(self, place: _Place, timeout_ns: int | None = None) -> int:
        """Have the kernel answer: inside, in the queue, or neither."""
        # No step takes a newcomer in a finaliser in the middle of one, which cannot wait for it.
        if timeout_ns == 0 or not self._step(place):
            place.answers.extend(map(_AT_ONCE, starmap(self._kernel.try_enter, _ONCE)))
        return place.answers[0]

    def _give_up(self, place: _Place) -> int:
        """Stop waiting as time is up; a place that was granted in this very moment is taken."""
        self._gone.append(place)
        self._step()
        if place.is_inside():
            return ENTERED
        self._kernel.count_timed_out()
        return TIMED_OUT

    def _abandon(self, place: _Place) -> None:
        """Give up a place, in the queue or inside, on behalf of an owner that was cut short."""
        place.abandoned = True
        self._gone.append(place)
        self.admit()

    def _step(self, newcomer: _Place | None = None) -> bool:
        """Do all there is to do, and first have a newcomer line up.

        Returns:
            False: a step is under way in this very thread, further out; it does what was asked
            for before it ends, but takes no newcomer.
        """
        settle()
        with self._lock:
            self._again = True
            if self._busy:
                return False
            self._busy = True
            try:
                if newcomer is not None:
                    self._line_up(newcomer)
                # From the last look to the end of the step there is no call, so nothing can come
                # between them: no finaliser, no signal handler.
                while self._again:
                    self._again = False
                    self._settle()
            finally:
                self._busy = False
        return True

    def _line_up(self, place: _Place) -> None:
        self._pass_over()
        self._agree()
        if self._kernel.waiting() >= self._kernel.max_waiting():
            self._evict()
        place.answers.extend(starmap(self._kernel.enter_or_queue, _ONCE))
        if place.answers[0] == QUEUED:
            loop = place.waiter.loop
            if loop is not None:
                self._loops.setdefault(loop, {})[place] = None
            self._queue[place] = loop

    def _remove(self, place: _Place) -> None:
        """Take a place out of the queue: last, so that an interrupted step does it again."""
        loop = place.waiter.loop
        if loop is not None:
            places = self._loops.get(loop, {})
            places.pop(place, None)
            if not places:
                self._loops.pop(loop, None)
        self._queue.pop(place, None)

    def _settle(self) -> None:
        self._agree()
        while self._gone:
            self._forget(self._gone[0])
            self._gone.popleft()
            self._agree()
        while self._queue and self._kernel.grant():
            self._agree()

    def _agree(self) -> None:
        """Bring queue and kernel together again."""
        while len(self._queue) > self._kernel.waiting():
            self._wake_first()
        while self._kernel.waiting() > len(self._queue):
            self._kernel.unqueue()

    def _wake_first(self) -> None:
        place = next(iter(self._queue))
        place.answers = [ENTERED]
        if not place.waiter.wake():
            place.abandoned = True
            self._gone.append(place)
            self._again = True
        self._remove(place)

    def _forget(self, place: _Place) -> None:
        is_queued = place in self._queue
        self._remove(place)  # also one that was cut short on its way into the queue
        if not is_queued and place.abandoned and place.is_inside():
            place.answers = []
            self._kernel.undo()

    def _pass_over(self) -> None:
        """Take those out who would be next, but whose event loop was closed under them.

        A waiting task is kept by the queue, and may keep others of its loop: those inside too.
        """
        while self._queue:
            place, loop = next(iter(self._queue.items()))
            if loop is None or not loop.is_closed():
                return
            self._remove(place)

    def _evict(self) -> None:
        """Take those out of a full queue whose event loop was closed under them."""
        for loop in list(self._loops):
            if loop.is_closed():
                for place in list(self._loops[loop]):
                    self._queue.pop(place, None)
                del self._loops[loop]
        self._agree()


class _Place:
    """One who wants to come in, what he was told last, and whether he has gone or was forgotten."""

    __slots__ = ("abandoned", "answers", "forgotten", "waiter")

    def __init__(self, waiter: ThreadWaiter | TaskWaiter) -> None:
        self.waiter = waiter
        self.answers: list[int] = []
        self.abandoned = False
        self.forgotten = False

    def is_inside(self) -> bool:
        return ENTERED in self.answers
