"""What classes of storages do with their subclasses, for threads and for asyncio."""

from __future__ import annotations

import sys
from abc import ABCMeta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["is_for_original", "is_of_original", "wrap_methods"]

_MARK = "_raises_as_asked"


def wrap_methods(cls: type, names: Iterable[str], wrap: Callable[[Any], Any]) -> None:
    """Wrap the methods of a class that are not wrapped yet."""
    for name in names:
        method = getattr(cls, name)
        if getattr(method, _MARK, None) is not method:  # a copy of its attributes is another one
            wrapped = wrap(method)
            setattr(wrapped, _MARK, wrapped)
            setattr(cls, name, wrapped)


def is_for_original(cls: type, *bases: type) -> None:
    """Have limits, where a program has imported it, take a class of ours for one of its storages.

    A module that uses its strategies may not be migrated yet.
    """
    theirs = sys.modules.get(bases[0].__module__.removeprefix("holdfast.compat."))
    for base in bases if theirs is not None else ():
        found = getattr(theirs, base.__qualname__, None)
        if isinstance(found, ABCMeta) and not issubclass(cls, found):
            found.register(cls)


def is_of_original(cls: type, other: type, ours: type, module: str) -> Any:
    """Return whether a class counts as a subclass of ``ours``: one of the class it is the face of.

    For ``__subclasshook__``. What is not migrated yet works with what is.
    """
    if cls is ours and any(
        base.__module__ == module and base.__qualname__ == ours.__qualname__
        for base in other.__mro__
    ):
        return True
    return NotImplemented
