"""ThreadComponent: a function that runs in a thread of its own, as a component."""

from __future__ import annotations

import threading

from holdfast.supervision.component import Component, Exit
from holdfast.validation import Problems, explains_names, takes_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

__all__ = ["ThreadComponent"]


class ThreadComponent(Component):
    """A function that runs in a thread until ``stop``.

    When the function returns or raises by itself, the component has ended; an exception is the
    ``error`` of its ``Exit``. A thread cannot be killed: while the thread still runs after
    ``stop``, no other is started.

    Args:
        name: For messages and metrics, and the name of the thread; 1 to 200 characters.
        run: The function. It is called with a ``threading.Event`` that is set when it is to end, or
            without arguments if it takes none.
        stop: Another function, called when it is to end, such as one that closes its queue. A
            function ``run`` without arguments needs one.
        stop_timeout: Seconds that it has to end, 0 to a hundred years. The ``stop_timeout`` of the
            supervisor has to be longer.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads. In a forked child the thread does not run.

    >>> from holdfast.supervision import ThreadComponent
    >>> worker = ThreadComponent("worker", lambda stopping: stopping.wait())
    >>> worker.start(); worker.running
    True
    >>> worker.stop(); worker.running
    False
    """

    @explains_names
    def __init__(
        self,
        name: str,
        run: Callable[..., object],
        *,
        stop: Callable[[], object] | None = None,
        stop_timeout: float | timedelta = 5.0,
    ) -> None:
        problems = Problems("ThreadComponent", name)
        self.name = problems.name(name)
        self._run: Any = problems.callable("run", run, none=False)
        self._takes_event = self._run is not None and takes_one(self._run)
        self._stop = problems.callable("stop", stop)
        if self._run is not None and stop is None and not self._takes_event:
            problems.refuse("stop", stop, "a callable, as run takes no event that tells it to end")
        self._stop_timeout_ns = problems.duration("stop_timeout", stop_timeout)
        problems.done()
        # Asked of its module, which may have been patched since this one was imported.
        self._lock = threading.Lock()
        self._told: Callable[[Exit], object] | None = None
        self._one: _Running | None = None

    @property
    def running(self) -> bool:
        """Whether the thread runs."""
        one = self._one
        return one is not None and one.thread.is_alive()

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Have ``ended`` called once, in the thread, when the next one ends without ``stop``."""
        self._told = ended

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: It runs already, or no thread can be started.
        """
        with self._lock:
            if self.running:
                raise RuntimeError(f"{self!r}: its thread runs already")
            told, self._told = self._told, None
            one = _Running(told)
            one.thread = threading.Thread(
                target=self._work, args=(one,), name=self.name, daemon=True
            )
            one.thread.start()
            self._one = one

    def stop(self) -> None:
        """Ask the function to end, and wait until it has; not if the thread itself calls this.

        Raises:
            RuntimeError: It still runs after ``stop_timeout``. It can be called again.
        """
        one = self._one
        if one is None or not one.thread.is_alive():
            return
        one.stopping.set()
        if self._stop is not None:
            self._stop()
        if one.thread is threading.current_thread():
            return
        one.thread.join(min(self._stop_timeout_ns / 1e9, threading.TIMEOUT_MAX))
        if one.thread.is_alive():
            seconds = self._stop_timeout_ns / 1e9
            raise RuntimeError(f"{self!r}: its thread still runs {seconds:g} s after stop()")

    def _work(self, one: _Running) -> None:
        try:
            if self._takes_event:
                self._run(one.stopping)
            else:
                self._run()
        except BaseException as error:  # noqa: BLE001 - it is told to who watches
            ended = Exit(error=error)
        else:
            ended = Exit()
        if one.told is not None and not one.stopping.is_set():
            one.told(ended)


class _Running:
    """One thread, and what asks it to end."""

    __slots__ = ("stopping", "thread", "told")

    thread: threading.Thread

    def __init__(self, told: Callable[[Exit], object] | None) -> None:
        self.stopping = threading.Event()
        self.told = told
