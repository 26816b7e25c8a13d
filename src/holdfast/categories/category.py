"""The four categories of errors, and how a category is read from what a user gives.

Elsewhere: which error belongs to which category.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Category", "allowed_categories", "read_category"]


class Category(StrEnum):
    """What kind of failure an error is.

    A member equals its value: ``Category.TRANSIENT == "transient"``. Members are immutable and may
    be shared by all threads.

    >>> Category("transient")
    <Category.TRANSIENT: 'transient'>
    """

    TRANSIENT = "transient"
    """A later call may succeed: the network, a timeout, an overloaded or restarting server."""
    PERMANENT = "permanent"
    """Each repetition fails: wrong credentials, a malformed request, a missing object."""
    RESOURCE = "resource"
    """Memory, disk space or file descriptors are used up."""
    LOGIC = "logic"
    """A defect of the program, an invalid state, or damaged data."""


def read_category(value: object) -> Category | None:
    """Return the category that a member or its name means; None if ``value`` is neither."""
    if isinstance(value, Category):
        return value
    return Category._value2member_map_.get(value) if isinstance(value, str) else None  # type: ignore[return-value]


def allowed_categories(value: object) -> str:
    """Return which categories there are, for an error message, with the nearest to ``value``."""
    from difflib import get_close_matches

    names = [str(category) for category in Category]
    likely = get_close_matches(value, names, 1) if isinstance(value, str) else []
    meant = f"; did you mean {likely[0]!r}?" if likely else ""
    return f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}{meant}"
