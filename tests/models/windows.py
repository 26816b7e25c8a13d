"""What the two windows mean: marks of finished calls, counted when asked."""

from collections import Counter
from typing import NamedTuple

SUCCESS, FAILURE, IGNORED = 0, 1, 2
SLOW = 3  # a mark beside that of the outcome


class Tally(NamedTuple):
    calls: int = 0
    failures: int = 0
    slow: int = 0
    ignored: int = 0


class Mark(NamedTuple):
    kind: int
    slow: bool = False
    slice: int = 0


class Marks:
    """The marks of one generation; that of a later one begins with none, an earlier leaves none."""

    def __init__(self) -> None:
        self.generation = 0
        self.marks: list[Mark] = []

    def enter(self, generation: int) -> bool:
        if generation > self.generation:
            self.generation = generation
            self.marks = []
        return generation == self.generation

    def of(self, generation: int) -> list[Mark]:
        return self.marks if generation == self.generation else []


class CountWindow:
    """The last ``n`` successes and failures of a generation, and all that it ignored."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.judged = Marks()
        self.ignored = Marks()  # an ignored call begins no window, though its generation is later

    def record(self, generation: int, outcome: int, slow: bool) -> None:
        marks = self.ignored if outcome == IGNORED else self.judged
        if marks.enter(generation):
            marks.marks.append(Mark(outcome, slow))

    def read(self, generation: int) -> Tally:
        last = self.judged.of(generation)[-self.n :]
        return Tally(
            calls=len(last),
            failures=sum(mark.kind == FAILURE for mark in last),
            slow=sum(mark.slow for mark in last),
            ignored=len(self.ignored.of(generation)),
        )


class TimeWindow:
    """The calls of the last ``slices`` slices of time, the running one included."""

    def __init__(self, slices: int, slice_ns: int) -> None:
        self.slices = slices
        self.slice_ns = slice_ns
        self.head: int | None = None
        self.marks = Marks()

    def slice_at(self, now_ns: int) -> int:
        """A clock a little behind counts in the newest slice; a window behind, it stepped back."""
        current = now_ns // self.slice_ns
        if self.head is not None and self.head - self.slices < current < self.head:
            return self.head
        return current

    def record(self, generation: int, now_ns: int, outcome: int, slow: bool) -> None:
        if not self.marks.enter(generation):
            return
        self.head = self.slice_at(now_ns)
        self._put(Mark(outcome, slice=self.head))
        if slow and outcome != IGNORED:
            self._put(Mark(SLOW, slice=self.head))

    def _put(self, mark: Mark) -> None:
        """What time left in later slices before it stepped back gives way to what comes there."""
        self.marks.marks = [old for old in self.marks.marks if not self._gives_way(old, mark)]
        self.marks.marks.append(mark)

    def _gives_way(self, old: Mark, mark: Mark) -> bool:
        apart = mark.slice - old.slice
        return old.kind == mark.kind and apart != 0 and apart % self.slices == 0

    def read(self, generation: int, now_ns: int) -> Tally:
        newest = self.slice_at(now_ns)
        total = Counter[str]()
        for number in range(newest - self.slices + 1, newest + 1):
            kinds = Counter(m.kind for m in self.marks.of(generation) if m.slice == number)
            calls = kinds[SUCCESS] + kinds[FAILURE]
            total["calls"] += calls
            total["failures"] += kinds[FAILURE]
            total["slow"] += min(kinds[SLOW], calls)
            total["ignored"] += kinds[IGNORED]
        return Tally(**total)
