"""A hedged call in plain Python: which attempts begin when, and which of them answers.

Time is in whole microseconds. The model knows nothing of tasks, threads or timers: it goes from one
event to the next. No two events may be at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Call", "Script", "hedged"]

ANSWER, FAILURE, OTHER = "answer", "failure", "other"  # OTHER: an error that `on` does not name


@dataclass(frozen=True)
class Script:
    """What one attempt does: takes so long, and ends so."""

    duration: int
    end: str


@dataclass
class Call:
    """What becomes of a call.

    Attributes:
        begun: When each attempt began.
        answered_by: The number of the attempt whose result or error the caller gets.
        at: When that was.
        failed: Whether every attempt failed.
        cancelled: The numbers of the attempts that were ended.
        refused: Attempts that the budget has not granted.
    """

    begun: list[int] = field(default_factory=list)
    answered_by: int = 0
    at: int = 0
    failed: bool = False
    cancelled: set[int] = field(default_factory=set)
    refused: int = 0


def hedged(scripts: list[Script], delay: int, most: int, tokens: int) -> Call:
    """Return what becomes of a call.

    Args:
        scripts: Of each attempt.
        delay: After which a further attempt begins beside the last.
        most: Further attempts.
        tokens: Further attempts that the budget grants.
    """
    call = Call()
    running: dict[int, int] = {}  # the number of each attempt and when it ends
    made, due, now, last = 0, None, 0, 0

    def begin() -> None:
        number = len(call.begun) + 1
        call.begun.append(now)
        running[number] = now + scripts[number - 1].duration

    def begin_further() -> int | None:
        """Return when the one after is due."""
        nonlocal made, tokens
        if made == most:
            return None
        made += 1
        if tokens > 0:
            tokens -= 1
            begin()
        else:
            call.refused += 1
        return now + delay if made < most else None

    begin()
    due = delay
    while running:
        number, ends = min(running.items(), key=lambda item: (item[1], item[0]))
        if due is not None and due < ends:
            now = due
            due = begin_further()
            continue
        now = ends
        del running[number]
        if scripts[number - 1].end != FAILURE:
            call.answered_by, call.at, call.cancelled = number, now, set(running)
            return call
        last = number
        due = begin_further()
    call.answered_by, call.at, call.failed = last, now, True
    return call
