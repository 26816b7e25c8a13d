"""What the two windows mean: marks of finished calls, counted when asked."""

from collections import Counter
from typing import NamedTuple

SUCCESS, FAILURE, IGNORED = 0, 1, 2


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
        """The slice of the latest record, for one whose clock is behind it."""
        current = now_ns // self.slice_ns
        return current if self.head is None else max(current, self.head)

    def record(self, generation: int, now_ns: int, outcome: int, slow: bool) -> None:
        """A clock a little behind counts in the newest slice; a window behind, nowhere."""
        if not self.marks.enter(generation):
            return
        self.head = self.slice_at(now_ns)
        if now_ns // self.slice_ns > self.head - self.slices:
            self.marks.marks.append(Mark(outcome, slow and outcome != IGNORED, self.head))

    def read(self, generation: int, now_ns: int) -> Tally:
        oldest = self.slice_at(now_ns) - self.slices + 1
        marks = [mark for mark in self.marks.of(generation) if mark.slice >= oldest]
        kinds = Counter(mark.kind for mark in marks)
        return Tally(
            calls=kinds[SUCCESS] + kinds[FAILURE],
            failures=kinds[FAILURE],
            slow=sum(mark.slow for mark in marks),
            ignored=kinds[IGNORED],
        )
