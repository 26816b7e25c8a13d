"""The standard library as it was before gevent or eventlet patched it, and threads of the system.

What waits for processes must go on while greenlets run, and greenlets must go on while it waits.
Neither library is imported here. Functions of the system itself are in the module ``posix``, which
nobody patches.
"""

from __future__ import annotations

import sys
import threading
from contextvars import Context
from importlib import import_module

from holdfast.waiting.hubs import thread_beside_hub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from typing import Any

__all__ = ["original", "start_thread"]


def original(module: str, name: str) -> Any:
    """Return what a module of the standard library has under a name, not patched."""
    if "gevent.monkey" in sys.modules:
        return sys.modules["gevent.monkey"].get_original(module, name)
    if "eventlet.patcher" in sys.modules:
        return getattr(sys.modules["eventlet.patcher"].original(module), name)
    return getattr(import_module(module), name)


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
