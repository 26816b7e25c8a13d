"""What tests ask back-offs, and one that says what it was told to say."""

from __future__ import annotations

from typing import Any

import holdfast as hf

HUNDRED_YEARS = 100 * 365 * 86_400.0


def delays(backoff: hf.Backoff, n: int) -> list[float]:
    return [backoff.delay(attempt) for attempt in range(n)]


class Own(hf.Backoff):
    """Says what it was told to say, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[int, Any]] = []

    def delay(self, attempt: int, previous: Any = None) -> float:
        self.asked.append((attempt, previous))
        return self.answer  # type: ignore[no-any-return]
