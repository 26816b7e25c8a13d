"""Records in the words of another system, and at its levels: who moves here keeps its searches.

Owns the words. Elsewhere: which records there are (``records``), and who asks for them (``logs``).
"""

from __future__ import annotations

from holdfast.records import DEBUG, ERROR, INFO, WARNING

__all__ = ["WORDINGS", "Wording"]


class Wording:
    """How records begin, and their levels where those are not the usual.

    Args:
        levels: The level by record.
        words: What a message begins with, by record.
        only: For which reason of an event, if not for all, by record.
    """

    __slots__ = ("_only", "_words", "levels")

    def __init__(
        self,
        levels: dict[str, int | None] | None = None,
        words: dict[str, str] | None = None,
        only: dict[str, str] | None = None,
    ) -> None:
        self.levels = levels or {}
        self._words = words or {}
        self._only = only or {}

    def put(self, record: str, reason: object, text: str) -> str:
        """Return a message with the words of its record before it."""
        words = self._words.get(record)
        if words is None or self._only.get(record, reason) != reason:
            return text
        return f"{words}: {text}"


WORDINGS: dict[str, Wording] = {
    "holdfast": Wording(),
    # Of a collector of market data: its breakers warn of each call that fails or is rejected.
    "collector": Wording(
        levels={
            "opened": INFO,
            "half_open": INFO,
            "closed": INFO,
            "rejection": WARNING,
            "call_failed": WARNING,
            "call_succeeded": DEBUG,
            "retry": WARNING,
            "recovered": INFO,
            "gave_up": ERROR,
            "timeout": WARNING,
        },
        words={
            "opened": "Circuit breaker state changed",
            "half_open": "Circuit breaker state changed",
            "closed": "Circuit breaker state changed",
            "retry": "Operation failed, retrying",
            "recovered": "Operation recovered after retry",
            "gave_up": "Operation failed after all retries",
        },
        only={"gave_up": "exhausted"},
    ),
}
