"""What a bulkhead's accounting means: who is inside and who waits, as numbers."""

ENTERED, QUEUED, FULL = 0, 1, 2


class Bulkhead:
    def __init__(self, limit: int, max_waiting: int) -> None:
        self.limit = limit
        self.max_waiting = max_waiting
        self.in_flight = self.waiting = 0
        self.admitted = self.completed = self.undone = self.rejected = 0
        self.waited = self.timed_out = self.over_released = 0

    def counters(self) -> tuple[int, ...]:
        return (
            self.admitted, self.completed, self.undone, self.rejected,
            self.waited, self.timed_out, self.over_released,
        )  # fmt: skip

    @property
    def has_room(self) -> bool:
        return self.in_flight < self.limit

    @property
    def grant_is_due(self) -> bool:
        return self.has_room and self.waiting > 0

    def force_enter(self) -> None:
        self.in_flight += 1
        self.admitted += 1

    def _enter(self) -> bool:
        """Nobody passes those who wait, even when there is room."""
        if self.waiting or not self.has_room:
            return False
        self.force_enter()
        return True

    def try_enter(self) -> bool:
        entered = self._enter()
        self.rejected += not entered
        return entered

    def enter_or_queue(self) -> int:
        if self._enter():
            return ENTERED
        if self.waiting >= self.max_waiting:
            self.rejected += 1
            return FULL
        self.waiting += 1
        return QUEUED

    def _free(self) -> bool:
        """A slot that nobody holds cannot be given back: capacity never grows."""
        if not self.in_flight:
            self.over_released += 1
            return False
        self.in_flight -= 1
        return True

    def leave(self) -> tuple[bool, bool]:
        inside = self._free()
        self.completed += inside
        return inside, inside and self.grant_is_due

    def undo(self) -> tuple[bool, bool]:
        inside = self._free()
        self.undone += inside
        return inside, inside and self.grant_is_due

    def grant(self) -> bool:
        if not self.grant_is_due:
            return False
        self.waiting -= 1
        self.waited += 1
        self.force_enter()
        return True

    def unqueue(self) -> bool:
        waits = self.waiting > 0
        self.waiting -= waits
        return waits

    def resize(self, limit: int) -> bool:
        self.limit = limit
        return self.grant_is_due

    def forget(self) -> None:
        """Start with counts of zero: in a forked child nobody of the parent's is inside."""
        self.__init__(self.limit, self.max_waiting)  # type: ignore[misc]
