"""Storages of other processes: those of limits itself, where it is installed.

Its Redis, Valkey, memcached and MongoDB storages are used as they are. What they raise is raised as
the exceptions of this package, which users of it catch.
"""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

from holdfast.compat.limits.errors import (
    ConcurrentUpdateError,
    ConfigurationError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

__all__ = ["attribute_of", "class_for"]

#: The schemes of its storages, to tell what is missing from what nobody knows.
SCHEMES = frozenset(
    f"{prefix}{scheme}"
    for prefix in ("", "async+")
    for scheme in (
        "redis", "rediss", "redis+unix", "redis+cluster", "redis+sentinel", "valkey", "valkeys",
        "valkey+unix", "valkey+cluster", "valkey+sentinel", "memcached", "mongodb", "mongodb+srv",
    )
)  # fmt: skip

_METHODS = (
    "__init__", "incr", "get", "get_expiry", "check", "reset", "clear", "decr",
    "acquire_entry", "get_moving_window",
    "acquire_sliding_window_entry", "get_sliding_window", "clear_sliding_window",
)  # fmt: skip


def original(module: str) -> ModuleType | None:
    """Return a module of limits; None if it is not installed, or stands for this package."""
    try:
        root = import_module("limits")
        return None if root.__name__.startswith("holdfast.") else import_module(module)
    except ImportError:
        return None


def class_for(scheme: str) -> type | None:
    """Return the class of storages of limits, or of its users, that has a scheme.

    Raises:
        ConfigurationError: limits has such storages, but is not installed.
    """
    if original("limits.storage") is None:
        if scheme in SCHEMES:
            raise ConfigurationError(f"the storage {scheme}:// needs limits: pip install limits")
        return None
    for module in ("limits._storage_scheme", "limits.storage.registry"):  # of 5.3, and before
        theirs = getattr(original(module), "SCHEMES", {}).get(scheme)
        if theirs is not None:
            return adopted(theirs)
    return None


def attribute_of(ours: str, name: str, module: str) -> Any:
    """Return what limits has of a name in a module, for the ``__getattr__`` of ours.

    Raises:
        AttributeError: It has no such name.
        ConfigurationError: It is not installed.
    """
    if name.startswith("__"):
        raise AttributeError(f"module {ours!r} has no attribute {name!r}")
    there = original(module)
    if there is None:
        if name.endswith(("Storage", "StorageBase")):
            return _absent(ours, name)
        raise AttributeError(f"module {ours!r} has no attribute {name!r}")
    found = getattr(there, name)
    return adopted(found) if isinstance(found, type) and hasattr(found, "STORAGE_SCHEME") else found


@functools.cache
def adopted(theirs: type) -> type:
    """Return a class of storages of limits, as one that raises the exceptions of this package."""
    methods = {
        name: _raising_ours(getattr(theirs, name)) for name in _METHODS if hasattr(theirs, name)
    }
    ours = theirs.__module__.replace("limits.", "holdfast.compat.limits.", 1)
    names = {"__module__": ours, "__qualname__": theirs.__qualname__, "__doc__": theirs.__doc__}
    return type(theirs)(theirs.__name__, (theirs,), methods | names)


@functools.cache
def _absent(module: str, name: str) -> type:
    """Return a class of storages that cannot be made."""

    def refuse(*_: object, **__: object) -> None:
        raise ConfigurationError(f"{name} needs limits: pip install limits")

    return type(name, (), {"__init__": refuse, "__module__": module, "__doc__": "Not there."})


def _raising_ours(method: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(method):

        @functools.wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - raised, as that of this package
                raise _ours(error) from error.__cause__

        return awaited

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - raised, as that of this package
            raise _ours(error) from error.__cause__

    return called


def _ours(error: Any) -> Exception:
    """Return an exception of limits as that of this package; any other as it is."""
    theirs = sys.modules.get("limits.errors")
    if theirs is None:
        return error  # type: ignore[no-any-return]
    if isinstance(error, theirs.StorageError):
        return StorageError(error.storage_error)
    for cls in (ConfigurationError, ConcurrentUpdateError):
        if type(error) is getattr(theirs, cls.__name__):
            made = cls.__new__(cls)
            made.args = error.args
            return made
    return error  # type: ignore[no-any-return]
