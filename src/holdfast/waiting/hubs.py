"""Waiting of greenlets: others of their thread go on meanwhile, and one of them may end the wait.

gevent and eventlet run many greenlets in one thread, by turns, around a hub. A lock of the system
would stop all of them, whoever holds what is waited for included. So where a thread has a hub, the
wait is the hub's, whether the standard library is patched or not. Elsewhere: threads without a hub
(``parking``). Neither library is imported here: a thread has a hub only once somebody else did.
"""

from __future__ import annotations

import _thread
import sys
from _thread import get_native_id
from contextlib import suppress
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["lock_of_hub", "sleep_of_hub", "thread_beside_hub"]

# What wakes a greenlet of eventlet from another thread is seen this much later at most, in seconds.
LOOK_AGAIN = 0.01


def lock_of_hub() -> GeventLock | EventletLock | None:
    """Return a lock, held, that a greenlet of this thread can wait for; None: it has no hub."""
    hub = _gevent_hub()
    if hub is not None:
        return GeventLock(hub)
    return None if _eventlet_hub() is None else EventletLock()


def sleep_of_hub() -> Callable[[float], object] | None:
    """Return what lets seconds pass for a greenlet of this thread; None: it has no hub."""
    sleep: Callable[[float], object] | None = None
    if _gevent_hub() is not None:
        sleep = _found("gevent", "sleep")
    elif _eventlet_hub() is not None:
        sleep = _found("eventlet", "sleep")
    return sleep


def thread_beside_hub() -> Callable[[Callable[[], object]], object] | None:
    """Return what calls a function in a new thread of the system; None: this one has no hub.

    For what makes a thread its own, such as an event loop of asyncio: of all greenlets of a thread
    one may run one. If the function needs a hub there, it gets one, which ends with the thread.
    """
    start: Any
    if _gevent_hub() is not None:
        start = _thread.start_new_thread
        if hasattr(sys.modules.get("gevent.monkey"), "get_original"):
            start = _found("gevent.monkey", "get_original")("_thread", "start_new_thread")
    elif _eventlet_hub() is not None:
        start = _found("eventlet.patcher", "original")("_thread").start_new_thread
    else:
        return None
    return lambda function: start(_call_and_leave, (function,))


def _call_and_leave(function: Callable[[], object]) -> None:
    try:
        function()
    finally:
        with suppress(Exception):  # of theirs: no more than a file of the system is left
            _end_hub()


def _end_hub() -> None:
    if "gevent._hub_local" in sys.modules:
        hub = _found("gevent._hub_local", "get_hub_if_exists")()
        if hub is not None:
            hub.destroy(destroy_loop=True)
    if "eventlet.hubs" in sys.modules:
        hub = getattr(_found("eventlet.hubs", "_threadlocal"), "hub", None)
        close: Any = getattr(getattr(hub, "poll", None), "close", None)
        if close is not None:
            close()


class GeventLock:
    """A held lock for one greenlet of gevent to wait for, once; any thread may release it."""

    __slots__ = ("_hub", "_released", "_waiter")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._released = False
        self._waiter: Any = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for up to ``timeout`` seconds; -1: as long as it takes. Returns whether released."""
        if self._released or not blocking:
            return self._released
        loop = self._hub.loop
        # The first never rings. It is there for the hub, which would else take a greenlet that
        # nothing of this thread can wake for a defect; another thread may wake it.
        end = loop.async_() if timeout < 0 else loop.timer(timeout)
        self._waiter = waiter = _found("gevent.hub", "Waiter")(self._hub)
        try:
            end.start(waiter.switch, None)
            if not self._released:
                waiter.get()
        finally:
            self._waiter = None
            end.stop()
            end.close()
        return self._released

    def release(self) -> None:
        """Let the greenlet go on.

        Raises:
            RuntimeError: It was released before.
        """
        if self._released:
            raise RuntimeError("released before")
        self._released = True
        loop = self._hub.loop
        is_here = _found("gevent._hub_local", "get_hub_if_exists")() is self._hub
        (loop.run_callback if is_here else loop.run_callback_threadsafe)(self._resume)

    def _resume(self) -> None:
        if self._waiter is not None:
            self._waiter.switch(None)


class EventletLock:
    """A held lock for one greenlet of eventlet to wait for, once; any thread may release it."""

    __slots__ = ("_event", "_released", "_thread")

    def __init__(self) -> None:
        self._released = False
        self._thread = get_native_id()
        self._event: Any = _found("eventlet", "Event")()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait as a ``GeventLock`` does."""
        end = None if timeout < 0 else monotonic() + timeout
        while blocking and not self._released:
            left = LOOK_AGAIN if end is None else min(LOOK_AGAIN, end - monotonic())
            # Also without time: who asks again and again waits for others to go on.
            self._event.wait(max(0.0, left))
            if left <= 0:
                break
        return self._released

    def release(self) -> None:
        """Let the greenlet go on, as a ``GeventLock`` does."""
        if self._released:
            raise RuntimeError("released before")
        self._released = True
        if get_native_id() == self._thread:  # eventlet's own means do not reach into other threads
            self._event.send()


# While another thread imports a module, there may be nothing in it yet.


def _gevent_hub() -> Any:
    if "gevent.hub" not in sys.modules:
        return None
    is_patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)
    if is_patched is not None and is_patched("time"):
        return _found("gevent.hub", "get_hub")()
    hub_if_exists = getattr(sys.modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    return None if hub_if_exists is None else hub_if_exists()


def _eventlet_hub() -> Any:
    if "eventlet.hubs" not in sys.modules:
        return None
    is_patched = getattr(sys.modules.get("eventlet.patcher"), "is_monkey_patched", None)
    if is_patched is not None and is_patched("time"):
        return _found("eventlet.hubs", "get_hub")()
    return getattr(getattr(sys.modules["eventlet.hubs"], "_threadlocal", None), "hub", None)


def _found(module: str, name: str) -> Any:
    found: Any = getattr(sys.modules[module], name)
    return found
