"""Threads that run tasks one after the other, in the order they were given.

Owns the queue of tasks and who works on it. Elsewhere: how many tasks may be given, and what is
counted of them (``pool``).
"""

from __future__ import annotations

from collections import OrderedDict
from contextvars import Context
from threading import get_ident

from holdfast.locks import RLock
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from holdfast.clock import Clock

    class Task(Protocol):
        """What worker threads run."""

        def run(self) -> Callable[[], object]:
            """Do it, and return what tells of it; whatever goes wrong is the task's own to tell."""

    class Pool(Protocol):
        """Where the threads come from."""

        def submit(self, job: Callable[[], object], /) -> object:
            """Have one of them run ``job``."""

        def shutdown(self, *, wait: bool) -> None:
            """Have them end."""


__all__ = ["WorkerThreads"]


class WorkerThreads:
    """At most ``workers`` threads, started as they are needed.

    A thread works until no task is left and then waits in its pool to be asked again. The tasks
    themselves stay here, so that one that was taken back leaves nothing behind.

    Args:
        name: For the names of the threads.
        workers: How many there may be.
        pool: Where they come from; None: from one that the end of the process waits for.

    Safe to share between threads.
    """

    __slots__ = (
        "_active",
        "_executor",
        "_hired",
        "_lock",
        "_name",
        "_stopped",
        "_tasks",
        "_threads",
        "_watchers",
        "workers",
    )

    def __init__(self, name: str, workers: int, pool: Pool | None = None) -> None:
        self.workers = workers
        self._name = name
        # Re-entrant: a finaliser may take a task back while this thread holds the lock.
        self._lock = RLock()
        self._executor = pool
        self._tasks: OrderedDict[Task, None] = OrderedDict()
        self._hired = 0  # threads that work, or were asked to
        self._threads: set[int] = set()  # those that run a task, or tell of one
        self._active = 0  # tasks that run
        self._watchers: list[ThreadWaiter] = []
        self._stopped = False

    @property
    def active(self) -> int:
        """Tasks that run."""
        return self._active

    @property
    def queued(self) -> int:
        """Tasks that wait for a thread."""
        return len(self._tasks)

    @property
    def stopped(self) -> bool:
        """Whether it accepts no more tasks."""
        return self._stopped

    def give(self, task: Task) -> bool:
        """Have a task run.

        Returns:
            False: it takes no more.

        Raises:
            RuntimeError: No thread can be started; the task was not taken.
        """
        with self._lock:
            if self._stopped:
                return False
            self._tasks[task] = None
            if self._hired < self.workers:
                try:
                    self._hired += 1
                    # A thread may take the context it is started in, and keep that for its life.
                    Context().run(self._threads_here().submit, self._work)
                except BaseException:
                    self._hired = max(0, self._hired - 1)
                    self._tasks.pop(task, None)
                    raise
            return True

    def _threads_here(self) -> Pool:
        # Not before a task is there: a server may patch threads once it has forked its workers.
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            prefix = f"holdfast-{self._name}"
            self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix=prefix)
        return self._executor

    def take_back(self, task: Task) -> bool:
        """Return whether the task was still waiting, and will not run."""
        with self._lock:
            waited = task in self._tasks
            self._tasks.pop(task, None)
            return waited

    def stop(self) -> None:
        """Take no more tasks. Those given still run, and then the threads end."""
        with self._lock:
            self._stopped = True
        if self._executor is not None:
            self._executor.shutdown(wait=False)

    def is_here(self) -> bool:
        """Return whether the calling thread is one of these, at a task or telling of it."""
        return get_ident() in self._threads

    def wait(self, clock: Clock, timeout_ns: int | None) -> bool:
        """Wait until every task has run, and for the threads to end if they were stopped.

        Returns:
            False: after ``timeout_ns`` on ``clock`` some have not.
        """
        watcher = ThreadWaiter()
        with self._lock:
            self._watchers.append(watcher)
            if self._is_done():
                watcher.wake()
        try:
            done = watcher.park(clock, timeout_ns)
        finally:
            with self._lock:
                self._watchers.remove(watcher)
        if done and self._stopped and self._executor is not None:
            self._executor.shutdown(wait=True)
        return done

    def _is_done(self) -> bool:
        # For the same reason fewer may be hired than are at work.
        return self._hired == 0 and not self._threads

    def _work(self) -> None:
        """Run tasks in this thread until none is left."""
        me = get_ident()
        while True:
            with self._lock:
                try:
                    task, _ = self._tasks.popitem(last=False)
                except KeyError:
                    # Not below 0: one whose start failed comes on top if it starts after all.
                    self._hired = max(0, self._hired - 1)
                    if self._is_done():
                        for watcher in self._watchers:
                            watcher.wake()
                    return
                self._active += 1
                self._threads.add(me)
            tell = task.run()
            with self._lock:
                self._active -= 1
            try:
                tell()
            except BaseException:  # noqa: BLE001 - a callback of the user's; the thread goes on
                _report()
            self._threads.discard(me)
            del task, tell  # or they would live until the next task comes


def _report() -> None:
    from logging import getLogger

    getLogger("holdfast").exception("a callback of a pool's task raised")
