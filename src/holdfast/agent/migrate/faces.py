"""What is known of the faces: their names, their arguments, and what they do otherwise.

Imports faces, when one is asked about; never the libraries, and never the code that is looked at.
"""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from typing import Any, Final

from holdfast.compat.differences import LIBRARIES, VERSIONS, differences_of

__all__ = [
    "ITEMS",
    "LIBRARIES",
    "ROOM",
    "VERSIONS",
    "arguments_of",
    "concerning",
    "everywhere",
    "has",
    "is_module",
    "public_names",
]

# What a loop over an object yields.
ITEMS: Final = {
    "stamina.retry_context": "stamina.Attempt",
    "tenacity.AsyncRetrying": "tenacity.AttemptManager",
    "tenacity.Retrying": "tenacity.AttemptManager",
}
ROOM: Final = "holdfast.compat."


@cache
def _differences(library: str) -> tuple[tuple[tuple[tuple[str, ...], ...], str], ...]:
    """Return the differences of a library with their names in parts."""
    return tuple(
        (tuple(tuple(name.split(".")) for name in names), text)
        for names, text in differences_of(library)
    )


def everywhere(library: str) -> list[str]:
    """Return what differs for whoever imports a library."""
    return [text for names, text in _differences(library) if not names]


def concerning(path: str, member: str = "") -> list[str]:
    """Return what differs for a use.

    Args:
        path: A name with its module, such as ``"tenacity.retry"``.
        member: The argument or the attribute that is used; "" for the name itself.
    """
    library, *parts = path.split(".")
    parts += [member] if member else []
    return [
        text
        for names, text in _differences(library)
        if any(name == tuple(parts[-len(name) :]) for name in names)
    ]


def _face(module: str) -> Any:
    """Return a module of a face; None if there is none, or it needs what is not installed."""
    try:
        return import_module(ROOM + module)
    except ImportError:
        return None


def _resolve(path: str) -> tuple[Any, list[str]]:
    """Return the object that a path names, and what of the path does not exist in a module."""
    top, *parts = path.split(".")
    found = _face(top)
    module = top
    while parts and found is not None:
        one = getattr(found, parts[0], _MISSING)
        if module and (one is _MISSING or inspect.ismodule(one)):
            inner = _face(f"{module}.{parts[0]}")
            one = inner if inner is not None else one
        if one is _MISSING:
            return None, parts if module else []
        module = f"{module}.{parts[0]}" if module and inspect.ismodule(one) else ""
        found = one
        del parts[0]
    return found, []


_MISSING: Final = object()


@cache
def is_module(path: str) -> bool:
    """Return whether a path is that of a module of a face, and of nothing else there."""
    return inspect.ismodule(_resolve(path)[0])


@cache
def has(path: str) -> bool:
    """Return whether a face has a name of its library; True where that cannot be told."""
    top = path.partition(".")[0]
    if _face(top) is None:
        return True
    return not _resolve(path)[1]


@cache
def arguments_of(path: str) -> tuple[str, ...]:
    """Return the names of the arguments that a call may give by position."""
    found, _ = _resolve(path)
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(one.name for one in parameters if one.kind in kinds)


@cache
def public_names(module: str) -> frozenset[str]:
    """Return what ``from module import *`` binds."""
    found, _ = _resolve(module)
    if found is None:
        return frozenset()
    names = dir(found)
    return frozenset(getattr(found, "__all__", [name for name in names if name[0] != "_"]))
