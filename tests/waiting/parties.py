"""Threads, tasks and event loops that take part in a test, and are always joined in the end.

Nothing here sleeps: a test waits for what it can see (``until``), and a wait that never ends
fails the test.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

LIMIT = 20.0  # seconds after which whatever is waited for is taken not to come


def until(true: Callable[[], object]) -> None:
    """Wait for other threads to make something true, letting them run."""
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, f"still not so after {LIMIT} s: {true}"
        time.sleep(0)


async def auntil(true: Callable[[], object]) -> None:
    """Wait for other tasks and threads to make something true, letting them run."""
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, f"still not so after {LIMIT} s: {true}"
        await asyncio.sleep(0)


class Party(threading.Thread):
    """A thread that runs one function, and its result."""

    def __init__(self, fn: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)  # a defect must fail its test, not hold up the end
        self._work = (fn, args)
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        fn, args = self._work
        try:
            self._result = fn(*args)
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        self.join(LIMIT)
        assert not self.is_alive(), f"{self._work} does not end"
        if self._error is not None:
            raise self._error
        return self._result


class LoopParty:
    """An event loop in a thread of its own, which tells who touches it from another thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_debug(True)
        self._thread = Party(self._run)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Start a task in it; return its concurrent future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def kill(self) -> None:
        """Close it under its tasks, which are neither cancelled nor told."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.result()
        self.loop.close()
