"""The standard library as it was before gevent or eventlet patched it, and threads of the system.

What waits for processes must go on while greenlets run, and greenlets must go on while it waits.
Neither library is imported here. Functions of the system itself are in the module ``posix``, which
nobody patches.
"""

from __future__ import annotations

import os
import posix
import sys
import threading
from contextvars import Context
from importlib import import_module
from types import ModuleType

from holdfast.waiting.hubs import thread_beside_hub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from typing import Any

__all__ = ["original", "original_module", "start_thread"]

_copies: dict[str, Any] = {}


def original(module: str, name: str) -> Any:
    """Return what a module of the standard library has under a name, not patched."""
    if (get_original := _of("gevent.monkey", "get_original")) is not None:
        return get_original(module, name)
    if (original_of := _of("eventlet.patcher", "original")) is not None:
        return getattr(original_of(module), name)
    return getattr(import_module(module), name)


def _of(module: str, name: str) -> Any:
    """Return a function; None where nobody has imported it, or a thread is at it just now."""
    return getattr(sys.modules.get(module), name, None)


def original_module(name: str) -> Any:
    """Return a module in Python of the standard library, or a copy of it that is not patched.

    gevent takes functions out of ``subprocess``, so that what it had before does not work either.
    """
    if _of("gevent.monkey", "get_original") is None:
        original_of = _of("eventlet.patcher", "original")
        return import_module(name) if original_of is None else original_of(name)
    if name not in _copies:
        from importlib.util import find_spec, module_from_spec

        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return import_module(name)
        copy = module_from_spec(spec)
        spec.loader.exec_module(copy)
        copy.os = _plain_os()  # type: ignore[attr-defined]  # gevent closes files later, for one
        _copies[name] = copy
    return _copies[name]


def _plain_os() -> ModuleType:
    """Return ``os`` with the functions of the system; its environment is that of ``os``."""
    plain = ModuleType("os")
    vars(plain).update(vars(os))
    names = [name for name in dir(posix) if not name.startswith("_") and name != "environ"]
    vars(plain).update({name: getattr(posix, name) for name in names})
    return plain


def start_thread(function: Callable[[], object], name: str) -> Thread | None:
    """Call a function in a new thread of the system, which ends with the process.

    Returns:
        The thread; None where only the system knows it, beside greenlets.

    Raises:
        RuntimeError: No thread can be started.
    """
    beside = thread_beside_hub()
    if beside is not None:
        beside(function)
        return None
    thread = threading.Thread(target=function, name=name, daemon=True)
    Context().run(thread.start)  # a thread may keep the context it is started in
    return thread
