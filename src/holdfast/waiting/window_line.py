"""Who waits for sliding windows, which cannot be booked ahead."""

from __future__ import annotations

from holdfast.clock import ManualClock
from holdfast.waiting.lines import LAST_NS, REFUSED, TAKEN, WAITS, Line, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast._native.bucket import SlidingWindow
    from holdfast.clock import Clock

__all__ = ["WindowLine"]


class WindowLine(Line):
    """Those who wait for sliding windows, which cannot be booked ahead.

    The first in line sleeps until there may be room for him; whoever looks gives it to him. The
    others sleep until they are first, or until their time is up.
    """

    __slots__ = ()

    def __init__(self, cells: Sequence[SlidingWindow], clock: Clock) -> None:
        self._cells = cells
        super().__init__(clock)

    def _room_ns(self, n: int, now_ns: int) -> int:
        """How long until there may be room for ``n``."""
        longest_ns = 0
        for cell in self._cells:
            wait_ns = cell.wait_ns(n, now_ns)
            if wait_ns is None:
                return LAST_NS
            if wait_ns > longest_ns:
                longest_ns = wait_ns
        return longest_ns

    def _try(self, n: int, now_ns: int) -> bool:
        for at, cell in enumerate(self._cells):
            if not cell.try_take(n, now_ns):
                for other in self._cells[:at]:
                    other.refund(n, now_ns)
                return False
        return True

    def _line_up(self, turn: Turn, longest_ns: int) -> None:
        now_ns = self._clock.now_ns()
        turn.clears, turn.taken_ns = self._clears, now_ns
        turn.deadline_ns = min(now_ns + longest_ns, LAST_NS)
        self._serve(now_ns)
        first = next(iter(self._queue), None)
        if first is not None and first.n == turn.n and self._quiet:  # it was reckoned just now
            wait_ns = first.due_ns - now_ns
        else:
            wait_ns = self._room_ns(turn.n, now_ns)
        waits = longest_ns > 0 and now_ns + wait_ns <= turn.deadline_ns
        if not self._queue and (wait_ns == 0 or not waits) and self._try(turn.n, now_ns):
            turn.state = TAKEN
        elif not waits:
            turn.state = REFUSED
        else:
            looks_ns = turn.deadline_ns if self._queue else now_ns + max(1, wait_ns)
            turn.state, turn.due_ns = WAITS, min(turn.deadline_ns, looks_ns)
            self._queue[turn] = None
            self._hurry(turn, now_ns)

    def _look_again(self, turn: Turn) -> None:
        super()._look_again(turn)
        if turn.state != WAITS:
            return
        now_ns = self._clock.now_ns()
        if now_ns >= turn.deadline_ns:
            self._refuse(turn)
        else:
            self._hurry(turn, now_ns)

    def _hurry(self, turn: Turn, now_ns: int) -> None:
        """Have a turn behind others look as the first does, where it moves the clock itself."""
        if turn.state == WAITS and isinstance(self._clock, ManualClock) and self._clock.auto:
            room_ns = now_ns + max(1, self._room_ns(turn.n, now_ns))
            turn.due_ns = min(turn.deadline_ns, room_ns)

    def _serve(self, now_ns: int) -> None:
        while self._queue:
            first = next(iter(self._queue))
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
            elif self._try(first.n, now_ns):
                self._give(first, now_ns)

    def _forget(self, turn: Turn) -> None:
        if turn in self._queue:
            self._remove(turn)
        elif turn.state == TAKEN and turn.clears == self._clears:
            self._give_back(turn)
        turn.state = REFUSED

    def _give_back(self, turn: Turn) -> None:
        if turn.state == TAKEN:
            for cell in self._cells:
                cell.refund(turn.n, turn.taken_ns)

    def _unbook(self, turn: Turn) -> None:
        """Do nothing: who waits for a window has booked nothing."""

    def _resize(self, apply: Callable[[int], object]) -> None:
        self._quiet = False
        apply(self._clock.now_ns())  # then the step serves whom there is room for

    def _clear(self) -> None:
        self._clears += 1
        self._quiet = False
        for cell in self._cells:
            cell.clear()
