"""Who waits for token buckets, where tokens can be booked ahead."""

from __future__ import annotations

from holdfast.waiting.lines import LAST_NS, REFUSED, TAKEN, WAITS, Line, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast._native.bucket import TokenBucket
    from holdfast.clock import Clock

__all__ = ["BucketLine"]


class BucketLine(Line):
    """Those who wait for token buckets, where tokens can be booked ahead.

    Each has booked his own, so he knows when they are due and sleeps till then. Who leaves gives
    his back, so those behind him are due earlier; so are all after a change of the rate. Only the
    first in line is woken for that, the others as they come to be first: of n who leave, each costs
    one step, whatever n is. A call that had its token and was refused further in gives it back as
    well, and tells nobody: the first is told at the next step. Who joins after that may be due
    before those ahead of him, who still go by what they were told: he sleeps until the first looks.

    What is booked behind the first is what the whole line has booked but his own, so when he is due
    follows from the kernel's word.
    """

    __slots__ = ("_booked", "_changed")

    def __init__(self, cells: Sequence[TokenBucket], clock: Clock) -> None:
        self._cells = cells
        super().__init__(clock)

    def reserve(self, n: int, longest_ns: int) -> int:
        """Book ``n`` tokens; return the nanoseconds until they are due, or -1: too long."""
        answers: list[int] = []
        if not self._step(lambda: answers.append(self._reserve(n, longest_ns))):
            answers.append(self._book(n, self._clock.now_ns(), longest_ns))
        return answers[0]

    def _begin(self) -> None:
        super()._begin()
        self._booked = 0  # by the line; too few rather than too many when interrupted
        self._changed = False  # what is due when, and nobody has been told yet

    def _book(self, n: int, now_ns: int, longest_ns: int) -> int:
        """Book ``n`` tokens of every limit; return the nanoseconds until they are due, or -1."""
        wait_ns = 0
        for at, cell in enumerate(self._cells):
            due_ns = cell.take_within(n, now_ns, longest_ns)
            if due_ns < 0:
                for other in self._cells[:at]:
                    other.refund(n)
                return -1
            wait_ns = max(wait_ns, due_ns)
        return wait_ns

    def _reserve(self, n: int, longest_ns: int) -> int:
        now_ns = self._clock.now_ns()
        wait_ns = self._book(n, now_ns, longest_ns)
        if wait_ns > 0 and self._queue:  # those before it are due before it, come what may
            self._append(Turn(n, None), now_ns + wait_ns)
        return wait_ns

    def _line_up(self, turn: Turn, longest_ns: int) -> None:
        now_ns = self._clock.now_ns()
        turn.clears, turn.taken_ns = self._clears, now_ns
        turn.deadline_ns = min(now_ns + longest_ns, LAST_NS)
        turn.seen = self._given_back()
        wait_ns = self._book(turn.n, now_ns, longest_ns)
        if wait_ns <= 0:
            turn.state = REFUSED if wait_ns < 0 else TAKEN
        else:
            turn.state = WAITS
            self._append(turn, now_ns + wait_ns)

    def _append(self, turn: Turn, due_ns: int) -> None:
        turn.due_ns = min(due_ns, LAST_NS)
        self._queue[turn] = None
        self._booked += turn.n

    def _remove(self, turn: Turn) -> None:
        self._booked -= turn.n
        super()._remove(turn)

    def _serve(self, now_ns: int) -> None:
        while self._queue:
            first = next(iter(self._queue))
            if first.waiter is None:
                self._remove(first)
            elif first.due_ns <= now_ns:
                if not self._may_serve(first, now_ns):
                    return
                self._give(first, now_ns)
            elif first.is_stranded:
                self._forget(first)
            elif first.seen != self._given_back():
                first.seen = self._given_back()
                first.due_ns = min(first.due_ns, self._due_ns(first, 0, now_ns))
            else:
                if first.due_ns < first.sleeps_ns:
                    first.wake()
                    first.sleeps_ns = first.due_ns
                return

    def _sleeps_until_ns(self, turn: Turn) -> int:
        first = next(iter(self._queue), turn)
        return max(turn.due_ns, first.due_ns)

    def _given_back(self) -> int:
        """How often tokens were given back so far, by whomever."""
        times = 0
        for cell in self._cells:
            times += cell.counters()[2]
        return times

    def _due_ns(self, turn: Turn, before: int, now_ns: int) -> int:
        """When a turn is due; ``before``: tokens that the line has booked before it."""
        after = max(0, self._booked - before - turn.n)
        ahead_ns = 0
        for cell in self._cells:
            ahead_ns = max(ahead_ns, cell.due_ns(after, now_ns))
        return min(now_ns + ahead_ns, LAST_NS)

    def _forget(self, turn: Turn) -> None:
        if turn in self._queue:
            self._remove(turn)
        elif turn.state != TAKEN or turn.clears != self._clears:
            return  # he holds nothing, or it was forgotten when the limiter was cleared
        turn.state = REFUSED
        self._give_back(turn)

    def _give_back(self, turn: Turn) -> None:
        for cell in self._cells:
            cell.refund(turn.n)

    def _unbook(self, turn: Turn) -> None:
        for cell in self._cells:
            cell.unbook(turn.n)

    def _resize(self, apply: Callable[[int], object]) -> None:
        now_ns = self._clock.now_ns()
        self._serve(now_ns)
        self._changed = True
        apply(now_ns)

    def _clear(self) -> None:
        now_ns = self._clock.now_ns()
        self._serve(now_ns)
        self._booked = sum(turn.n for turn in self._queue)
        self._clears += 1
        self._changed = True
        for cell in self._cells:
            cell.clear_but(self._booked, now_ns)

    def _mend(self) -> None:
        """Reckon when all who wait are due now, and refuse those for whom it is too late.

        Who is due earlier than he wakes is woken when he comes to be first.
        """
        if not self._changed:
            return
        now_ns, seen, before = self._clock.now_ns(), self._given_back(), 0
        self._booked = booked = sum(turn.n for turn in self._queue)
        for turn in list(self._queue):
            ahead_ns, after = 0, booked - before - turn.n  # as in _due_ns(), for thousands at once
            for cell in self._cells:
                ahead_ns = max(ahead_ns, cell.due_ns(after, now_ns))
            turn.seen, turn.due_ns = seen, min(now_ns + ahead_ns, LAST_NS)
            if turn.due_ns > turn.deadline_ns and ahead_ns > 0 and turn.waiter is not None:
                self._give_back(turn)
                self._refuse(turn)
                seen, booked = self._given_back(), self._booked
            else:
                before += turn.n
        self._changed = False
