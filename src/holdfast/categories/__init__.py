"""Categories of exceptions: what kind of failure an exception is.

Owns the words, and what is known of which class. The native gate asks once per class and keeps the
answer (``csrc/python/category.c``). Elsewhere: what a policy does with a category.
"""

from __future__ import annotations

from enum import StrEnum

from holdfast._native.gate import _forget_classes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Category", "classify", "register"]


class Category(StrEnum):
    """What kind of failure an exception is.

    TRANSIENT: the same call may succeed later. PERMANENT: it will fail again. RESOURCE: something
    is used up, such as memory, disk space or a quota. LOGIC: the program is wrong.

    Safe to share between threads and event loops.

    >>> Category("transient")
    <Category.TRANSIENT: 'transient'>
    """

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    RESOURCE = "resource"
    LOGIC = "logic"


_BY_CLASS: dict[object, Category | Callable[[BaseException], Category | str | None]] = {
    ConnectionError: Category.TRANSIENT,
    TimeoutError: Category.TRANSIENT,
}


def classify(error: BaseException) -> Category | None:
    """Return the category of an exception; None if nothing is known of it.

    >>> classify(ConnectionResetError())
    <Category.TRANSIENT: 'transient'>
    """
    known = _of_class(type(error))
    category = known(error) if callable(known) else known
    return None if category is None else Category(category)


def register(
    cls: type[BaseException] | str,
    category: Category | str | Callable[[BaseException], Category | str | None],
) -> Callable[[], None]:
    """Set the category of an exception class and of its subclasses.

    Args:
        cls: The class, or its dotted name.
        category: The category, or a function that gets the exception and returns the category or
            None.

    Returns:
        A function that removes the entry.
    """
    before = _BY_CLASS.get(cls)
    _BY_CLASS[cls] = category if callable(category) else Category(category)
    _forget_classes()

    def remove() -> None:
        if before is None:
            _BY_CLASS.pop(cls, None)
        else:
            _BY_CLASS[cls] = before
        _forget_classes()

    return remove


def _of_class(
    cls: type[BaseException],
) -> Category | Callable[[BaseException], Category | str | None] | None:
    """Return what is known of a class: the entry of the nearest class in its MRO.

    The answer is a category, or a function that must look at the exception, or None. The gate
    keeps it until ``_forget_classes()`` is called.
    """
    for base in cls.__mro__:
        for key in (base, f"{base.__module__}.{base.__qualname__}"):
            if key in _BY_CLASS:
                return _BY_CLASS[key]
    return None
