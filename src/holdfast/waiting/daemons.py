"""Threads that end with the process, whatever they are at.

Those of ``concurrent.futures`` are waited for when the interpreter ends: one that hangs would keep
the process for ever. Elsewhere: what they do (``worker_threads``).
"""

from __future__ import annotations

import queue
import threading  # whose classes gevent replaces
from contextlib import suppress
from time import monotonic

from holdfast.clock import system_clock
from holdfast.waiting.hubs import thread_beside_hub
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["DaemonThreads"]


class DaemonThreads:
    """At most ``most`` threads, started as they are needed; they end when nobody holds this.

    If gevent or eventlet patches the standard library meanwhile, they stay threads of the system: a
    greenlet would stop all of its thread in what they wait in.

    Safe to share between threads.
    """

    __slots__ = ("_jobs", "_most", "_name", "_threads")

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._jobs = _Jobs()
        self._threads: list[threading.Thread | _Beside] = []

    def submit(self, job: Callable[[], object]) -> None:
        """Have a thread run ``job``, which raises nothing: a new one, or the next that is free.

        Raises:
            RuntimeError: No thread can be started; the job was not taken.
        """
        with self._jobs.lock:
            if self._jobs.unfinished >= len(self._threads) < self._most:
                self._start_thread()
            self._jobs.unfinished += 1
            self._jobs.waiting.put(job)

    def prepare(self) -> None:
        """Have a thread for the first job: later Pythons start none when the interpreter ends.

        Raises:
            RuntimeError: No thread can be started.
        """
        with self._jobs.lock:
            if not self._threads:
                self._start_thread()

    def _start_thread(self) -> None:
        thread = self._jobs.thread(f"{self._name}_{len(self._threads)}")
        try:
            self._threads.append(thread)
            thread.start()
        except BaseException:  # Ctrl-C too: then it is not waited for, whether it runs or not
            with suppress(ValueError):
                self._threads.remove(thread)
            raise

    def shutdown(self, *, wait: bool) -> None:
        """Have the threads end once every job has run; ``wait`` until they have."""
        self._jobs.waiting.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def join(self, seconds: float, without: Collection[int | None] = ()) -> bool:
        """After ``shutdown``, wait for the threads to end, but for this one and those of some ids.

        Returns:
            False: after so many seconds some have not.
        """
        until = monotonic() + seconds
        with self._jobs.lock:
            threads = list(self._threads)
        me = threading.current_thread()
        waited_for = [one for one in threads if one is not me and one.ident not in without]
        for thread in waited_for:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in waited_for)

    def __del__(self) -> None:
        jobs: _Jobs | None = getattr(self, "_jobs", None)  # Ctrl-C may come in __init__()
        if jobs is not None:
            jobs.waiting.put(None)


class _Jobs:
    """What the threads hold: not who has started them, so that they can tell when he is gone."""

    __slots__ = ("_queue", "lock", "unfinished", "waiting")

    def __init__(self) -> None:
        # Re-entrant: a finaliser may submit a job while this thread holds the lock.
        self.lock = threading.RLock()
        self.unfinished = 0
        # Asked of its module, which may have been patched since this one was imported.
        self._queue = queue.SimpleQueue
        self.waiting: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    def thread(self, name: str) -> threading.Thread | _Beside:
        """Return a thread that does jobs, not started yet."""
        beside = None if self._queue is queue.SimpleQueue else thread_beside_hub()
        if beside is not None:
            return _Beside(self.work, beside)
        return threading.Thread(target=self.work, name=name, daemon=True)

    def work(self) -> None:
        while (job := self.waiting.get()) is not None:
            job()
            del job  # or it would live until the next one comes, and hold whoever started this
            with self.lock:
                self.unfinished -= 1
        self.waiting.put(None)  # for the other threads


class _Beside:
    """A thread of the system in a program whose other threads are greenlets, as a ``Thread``."""

    __slots__ = ("_start", "_waiters", "_work", "ident", "is_over")

    def __init__(
        self, work: Callable[[], object], start: Callable[[Callable[[], object]], object]
    ) -> None:
        self._work = work
        self._start = start
        self._waiters: list[ThreadWaiter] = []
        self.ident: int | None = None
        self.is_over = False

    def start(self) -> None:
        self._start(self._run)

    def is_alive(self) -> bool:
        return not self.is_over

    def join(self, timeout: float | None = None) -> None:
        waiter = ThreadWaiter()
        self._waiters.append(waiter)
        if not self.is_over:
            waiter.park(system_clock, None if timeout is None else int(timeout * 1e9))

    def _run(self) -> None:
        self.ident = threading.get_ident()
        try:
            self._work()
        finally:
            self.is_over = True
            for waiter in self._waiters:
                waiter.wake()
