"""Who waits for a token bucket where those who want the fewest tokens come first."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count

from holdfast.waiting.lines import LAST_NS, REFUSED, TAKEN, WAITS, Line, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from holdfast._native.bucket import TokenBucket

    class Time(Protocol):
        """What tells the time: a clock, or what reads that of an event loop."""

        def now_ns(self) -> int: ...


__all__ = ["LeastFirstLine"]

SPARE = 64  # of those who have left, so many are kept until they would be first


class LeastFirstLine(Line):
    """Those who wait for a token bucket: who wants the fewest tokens is first, then who came first.

    Nobody books ahead, so whoever wants fewer tokens than the first may take what is there. The
    first sleeps until his tokens are there, and gets them from whoever looks then; a call that
    comes between finds them gone. The others sleep until they are first.
    """

    __slots__ = ("_heap", "_serials")

    def __init__(self, cell: TokenBucket, time: Time) -> None:
        self._cells = (cell,)
        super().__init__(time)  # type: ignore[arg-type]  # of a clock it asks now_ns() alone

    @property
    def size(self) -> int:
        """How many wait."""
        return len(self._queue)

    def reserve(self, n: int, longest_ns: int) -> int:
        """Book ``n`` tokens before all who wait; return the nanoseconds until they are due."""
        answers: list[int] = []
        if not self._step(lambda: answers.append(self._book(n, longest_ns))):
            answers.append(self._book(n, longest_ns))
        return answers[0]

    def _begin(self) -> None:
        super()._begin()
        self._heap: list[
            tuple[int, int, Turn]
        ] = []  # those who left it in between stay for a while
        self._serials = count()

    def recount(self, parts: int, before: int) -> None:
        """Count what those who wait want in parts of tokens, where it was in other parts before.

        Within a step only, as the one that changes the rate.
        """
        for turn in self._queue:
            turn.n = -(-turn.n * parts // before)
        self._heap = [(turn.n, serial, turn) for _, serial, turn in self._heap]
        heapify(self._heap)

    def _book(self, n: int, longest_ns: int) -> int:
        self._quiet = False  # who waits does so for longer
        wait_ns: int = self._cells[0].take_within(n, self._clock.now_ns(), longest_ns)
        return wait_ns

    def _first(self) -> Turn | None:
        heap = self._heap
        while heap and heap[0][2] not in self._queue:
            heappop(heap)
        return heap[0][2] if heap else None

    def _room_ns(self, n: int, now_ns: int) -> int:
        """How long until there are ``n`` tokens, if nobody takes any."""
        wait_ns: int | None = self._cells[0].wait_ns(n, now_ns)
        return LAST_NS if wait_ns is None else wait_ns

    def _line_up(self, turn: Turn, longest_ns: int) -> None:
        now_ns = self._clock.now_ns()
        turn.clears, turn.taken_ns = self._clears, now_ns
        turn.deadline_ns = min(now_ns + longest_ns, LAST_NS)
        self._serve(now_ns)
        first = self._first()
        leads = first is None or turn.n < first.n
        wait_ns = self._room_ns(turn.n, now_ns)
        waits = longest_ns > 0 and now_ns + wait_ns <= turn.deadline_ns
        if leads and (wait_ns == 0 or not waits) and self._cells[0].try_take(turn.n, now_ns):
            turn.state = TAKEN
        elif not waits:
            turn.state = REFUSED
        else:
            due_ns = now_ns + max(1, wait_ns) if leads else turn.deadline_ns
            turn.state, turn.due_ns = WAITS, min(turn.deadline_ns, due_ns)
            if len(self._heap) > 2 * len(self._queue) + SPARE:  # most have left the queue
                self._heap = [entry for entry in self._heap if entry[2] in self._queue]
                heapify(self._heap)
            self._queue[turn] = None
            heappush(self._heap, (turn.n, next(self._serials), turn))

    def _look_again(self, turn: Turn) -> None:
        super()._look_again(turn)
        if turn.state != WAITS:
            return
        if self._clock.now_ns() >= turn.deadline_ns:
            self._refuse(turn)
        elif turn is not self._first():  # somebody who wants less has come before
            turn.due_ns = turn.deadline_ns

    def _serve(self, now_ns: int) -> None:
        while (first := self._first()) is not None:
            wait_ns = self._room_ns(first.n, now_ns)
            is_late = wait_ns > 0 and now_ns + wait_ns > first.deadline_ns
            if first.is_stranded:
                self._remove(first)
            elif wait_ns > 0 and not is_late:
                due_ns = now_ns + wait_ns
                if due_ns < first.due_ns:
                    first.wake()
                first.due_ns = due_ns
                self._quiet = True
                return
            elif not self._may_serve(first, now_ns):
                return
            elif is_late:
                self._refuse(first)
            elif self._cells[0].try_take(first.n, now_ns):
                self._give(first, now_ns)

    def _forget(self, turn: Turn) -> None:
        if turn in self._queue:
            self._remove(turn)
        elif turn.state == TAKEN and turn.clears == self._clears:
            self._give_back(turn)
        turn.state = REFUSED

    def _give_back(self, turn: Turn) -> None:
        if turn.state == TAKEN:
            self._cells[0].refund(turn.n)

    def _unbook(self, turn: Turn) -> None:
        """Do nothing: who waits has booked nothing."""

    def _resize(self, apply: Callable[[int], object]) -> None:
        self._quiet = False
        apply(self._clock.now_ns())  # then the step serves whom there is room for

    def _clear(self) -> None:
        self._clears += 1
        self._quiet = False
        self._cells[0].clear()
