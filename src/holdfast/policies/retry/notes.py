"""The notes that a retry adds to the exception of a call it gives up."""

from __future__ import annotations

__all__ = ["WHY", "add_note", "failure_in_words"]

# What a note on an exception says after the number of attempts, by why there was no other.
WHY = {
    "exhausted": "",
    "out_of_time": ", no time for another within max_time",
    "deadline": ", no time for another before the deadline",
    "no_budget": ", no budget for another",
}


def failure_in_words(error: BaseException | None) -> str:
    """Return a failure in words, also one that has none of its own."""
    if error is None:
        return "a result"
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the caller's object; it is the new error's cause
        return type(error).__name__


def add_note(error: BaseException, note: str, signature: str) -> None:
    """Add a note, once: an exception that is raised again and again is not to grow.

    One that cannot be changed, such as a frozen dataclass, goes on without.
    """
    try:
        notes: list[object] | None = getattr(error, "__notes__", None)
        if notes:
            notes[:] = [one for one in notes if not _is_note(one, signature)]
        error.add_note(note)
    except Exception:  # noqa: BLE001 - the caller's object, and his to see as it is
        pass


def _is_note(one: object, signature: str) -> bool:
    return isinstance(one, str) and one.endswith(signature) and one[:1].isdigit()
