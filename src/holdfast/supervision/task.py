"""TaskComponent: a coroutine function that runs in a task of its own, as a component."""

from __future__ import annotations

import asyncio

from holdfast.supervision.component import Component, Exit
from holdfast.validation import Problems, answers_at_once, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta
    from typing import Any

__all__ = ["TaskComponent"]


class TaskComponent(Component):
    """A coroutine function that runs in a task of asyncio until it is cancelled.

    When the function returns or raises by itself, the component has ended; an exception is the
    ``error`` of its ``Exit``. Its supervisor is to be started with ``astart`` or ``async with``.

    Args:
        name: For messages and metrics, and the name of the task; 1 to 200 characters.
        run: A coroutine function without arguments.
        stop_timeout: Seconds that the task has to end once it was cancelled, 0 to a hundred years.
            The ``stop_timeout`` of the supervisor has to be longer.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    It is started in the event loop of its task. Safe to share between threads and event loops.

    >>> async def serve(): ...
    >>> TaskComponent("server", serve).running
    False
    """

    @explains_names
    def __init__(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, object]],
        *,
        stop_timeout: float | timedelta = 5.0,
    ) -> None:
        problems = Problems("TaskComponent", name)
        self.name = problems.name(name)
        given: object = run
        if not callable(given) or answers_at_once(run):
            problems.refuse("run", run, "a coroutine function without arguments")
        self._run = run
        self._stop_timeout_ns = problems.duration("stop_timeout", stop_timeout)
        problems.done()
        self._told: Callable[[Exit], object] | None = None
        self._task: asyncio.Task[object] | None = None
        self._stopped: asyncio.Task[object] | None = None  # whose end is not told
        self._stops = 0  # that wait for it

    @property
    def running(self) -> bool:
        """Whether the task runs."""
        task = self._task
        return task is not None and not task.done() and not task.get_loop().is_closed()

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Have ``ended`` called once, in the loop, when the next task ends without ``stop``."""
        self._told = ended

    async def start(self) -> None:
        """Start the task in the running event loop.

        Raises:
            RuntimeError: It runs already.
        """
        if self.running:
            raise RuntimeError(f"{self!r}: its task runs already")
        told, self._told = self._told, None
        self._task = task = asyncio.get_running_loop().create_task(self._run(), name=self.name)
        task.add_done_callback(lambda done: self._ended(done, told))

    async def stop(self) -> None:
        """Cancel the task, and wait until it has ended; not if the task itself calls this.

        Raises:
            RuntimeError: It still runs after ``stop_timeout``. It can be called again.
        """
        task = self._task
        if task is None or not self.running:
            self._task = None
            return
        loop = task.get_loop()
        if loop is asyncio.get_running_loop():
            await self._cancel(task)
        else:
            there = asyncio.run_coroutine_threadsafe(self._cancel(task), loop)
            await asyncio.wrap_future(there)

    async def _cancel(self, task: asyncio.Task[object]) -> None:
        self._stopped = task
        if not self._stops:  # once for all who wait, as it may tidy up
            task.cancel()
        if task is asyncio.current_task():
            return
        seconds = self._stop_timeout_ns / 1e9
        self._stops += 1
        try:
            _, running = await asyncio.wait({task}, timeout=seconds)
        finally:
            self._stops -= 1
        if running:
            raise RuntimeError(
                f"{self!r}: its task still runs {seconds:g} s after it was cancelled"
            )

    def _ended(self, task: asyncio.Task[object], told: Callable[[Exit], object] | None) -> None:
        if task.cancelled():
            ended = Exit(error=asyncio.CancelledError("the task was cancelled"))
        else:
            error = task.exception()  # asked for, so that it is not logged as never retrieved
            ended = Exit(error=error)
        if task is not self._stopped and told is not None:
            told(ended)
