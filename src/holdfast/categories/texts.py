"""Categories by what an error says, where neither its class nor a code says it.

Read for errors of databases, whose drivers have one class for most failures, and for plain
``Exception``, ``RuntimeError`` and ``OSError``. No other error is judged by its text.
"""

from __future__ import annotations

from functools import lru_cache

from holdfast.categories.rules import PERMANENT, RESOURCE, TRANSIENT, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.categories.category import Category

__all__ = ["of_text"]

# In order of precedence, for a driver may tell of several addresses that it has tried.
_FRAGMENTS = {
    RESOURCE: (
        "out of memory",
        "no space left",
        "disk is full",
        "disk full",
        "too many open files",
        "can't start new thread",
    ),
    PERMANENT: (
        "authentication failed",
        "access denied",
        "no password supplied",
        "does not support ssl",
        "permission denied",
        "certificate verify failed",
        "no pg_hba.conf entry",
        "name or service not known",
        "does not exist",
        "no such table",
        "syntax error",
    ),
    TRANSIENT: (
        "connection refused",
        "connection reset",
        "connection timeout",
        "connection timed out",
        "timeout expired",
        "network error",
        "network is unreachable",
        "no route to host",
        "temporary failure",
        "server closed the connection",
        "closed connection",
        "server has gone away",
        "connection lost",
        "lost connection",
        "connection aborted",
        "connection is closed",
        "connection was closed",
        "connection already closed",
        "broken pipe",
        "pool limit exceeded",
        "connection pool exhausted",
        "too many connections",
        "too many clients",
        "remaining connection slots are reserved",
        "database is starting up",
        "database is shutting down",
        "database system is starting up",
        "database system is shutting down",
        "database is locked",
        "deadlock",
    ),
}


def _category_of_text(text: str) -> Category | None:
    """Return the category that a text in lower case speaks of; None if it speaks of none."""
    for category, fragments in _FRAGMENTS.items():
        for fragment in fragments:
            if fragment in text:
                return category
    return None


# An error that occurs often says the same each time.
_category_of_short_text = lru_cache(maxsize=64)(lambda text: _category_of_text(text.lower()))


def of_text(error: object) -> Category | None:
    """Return the category that the text of an error speaks of; None if it speaks of none."""
    try:
        text = str(error)
        if len(text) < _SHORT:
            return _category_of_short_text(text)
    except Exception:  # noqa: BLE001 - the caller's object: it has no text then
        return None
    return _category_of_text(text_of(error))


_SHORT = 500
