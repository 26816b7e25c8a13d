"""What rules are made of: the categories, and careful looks at errors of others.

Elsewhere: which class has which rule (``classes``, and a file for each group of libraries).
"""

from __future__ import annotations

from holdfast.categories.category import Category

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Judge = Callable[[Any], Category | None]
    Rule = Category | Judge

__all__ = [
    "LOGIC",
    "PERMANENT",
    "RESOURCE",
    "TRANSIENT",
    "attribute",
    "each",
    "in_context",
    "integer",
    "text_of",
]

TRANSIENT = Category.TRANSIENT
PERMANENT = Category.PERMANENT
RESOURCE = Category.RESOURCE
LOGIC = Category.LOGIC

_MOST_TEXT = 2000


def each(rule: Rule, names: str) -> dict[str, Rule]:
    """Return the same rule for several classes."""
    return dict.fromkeys(names.split(), rule)


def attribute(of: object, name: str) -> Any:
    """Return an attribute; None if there is none, or if reading it raises."""
    try:
        return getattr(of, name, None)
    except Exception:  # noqa: BLE001 - the caller's object: nothing is known of it then
        return None


def integer(of: object, name: str) -> int | None:
    """Return an attribute that is an int; None for all else."""
    try:
        value = getattr(of, name, None)
    except Exception:  # noqa: BLE001 - the caller's object: nothing is known of it then
        return None
    if type(value) is int:
        return value
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def text_of(error: object) -> str:
    """Return the text of an error in lower case, its beginning at most."""
    try:
        return str(error)[:_MOST_TEXT].lower()
    except Exception:  # noqa: BLE001 - the caller's object: it has no text then
        return ""


def in_context(error: BaseException) -> object:
    """Return the error that another one repeats without naming it as its cause.

    Any error may have been handled when this one was raised, so the text must be the same.
    """
    context = attribute(error, "__context__")
    args = attribute(context, "args")
    if isinstance(context, OSError) and args and text_of(args[-1]) in text_of(error):
        return context
    return attribute(error, "__cause__")
