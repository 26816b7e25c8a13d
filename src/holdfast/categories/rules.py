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

__all__ = [
    "LOGIC",
    "PERMANENT",
    "RESOURCE",
    "TRANSIENT",
    "Numbers",
    "Wrapper",
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


class Numbers(tuple["str | dict[int, Category] | int | Judge | None", ...]):
    """The rule of a class whose errors have a number; the native gate reads it.

    Args:
        name: The attribute with the number.
        table: The categories of the numbers; all others are unknown.
        mask: Which bits of the number count; None for all.
        otherwise: A function of an error without a number; None if its category is unknown.
    """

    __slots__ = ()

    def __new__(
        cls,
        name: str,
        table: dict[int, Category],
        *,
        mask: int | None = None,
        otherwise: Judge | None = None,
    ) -> Numbers:
        """Put the arguments into the order that the gate knows."""
        return tuple.__new__(cls, (name, table, mask, otherwise))


class Wrapper(tuple["Category | str | Numbers | Callable[[Any], object] | None", ...]):
    """The rule of a class of a library that wraps the errors of another one; read by the gate.

    The first error of which a category is known decides, from the outermost one inwards.

    Args:
        default: The category if nothing is known of the errors inside; None if unknown.
        inside: The attribute with the error inside, or a function that returns that error. Among
            several values the first exception counts, or else the cause of the error; anything
            else than an exception means there is none.
        first: A rule of the error itself, whose category has precedence.
    """

    __slots__ = ()

    def __new__(
        cls,
        default: Category | None,
        inside: str | Callable[[Any], object] = "__cause__",
        first: Numbers | Judge | None = None,
    ) -> Wrapper:
        """Put the arguments into the order that the gate knows."""
        return tuple.__new__(cls, (default, inside, first))


if TYPE_CHECKING:
    Rule = Category | Numbers | Wrapper | Judge


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


def in_context(error: Any) -> object:
    """Return the error that another one repeats without naming it as its cause.

    Any error may have been handled when this one was raised, so the text must be the same.
    """
    try:
        context = error.__context__
        args = context.args if isinstance(context, OSError) else ()
        if args and (str(args[-1]) in str(error) or text_of(args[-1]) in text_of(error)):
            return context
    except Exception:  # noqa: BLE001 - the caller's object: nothing is known of it then
        pass
    return attribute(error, "__cause__")
