"""Effects of faults on this machine: each lasts for a limited time, and gives all back at its end.

An effect ends with its time, with ``end_effects`` and with the process. A process that is killed
leaves nothing behind: an effect has threads, memory and files without a name, and the system takes
all three from a process that has ended. Other modules define what an effect takes: ``cpu``,
``space`` and ``partition``.
"""

from __future__ import annotations

import atexit
import sys
from threading import TIMEOUT_MAX

from holdfast.clock import ManualClock
from holdfast.forks import mind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.clock import Clock

__all__ = ["Effect", "Run", "end_effects"]

# How long the end of an effect waits for one of its threads, in seconds.
_JOIN = 1.0

# Effects that run. They live until their end, even if the application has dropped them.
_running: set[Effect] = set()


def end_effects() -> None:
    """End all effects of this process."""
    for effect in list(_running):
        effect.stop()


class Effect:
    """Something that one process takes from its machine, or does to itself, for a limited time.

    Args:
        clock: Its source of time.

    Safe to share between threads and event loops.
    """

    __slots__ = ("__weakref__", "_clock", "_lock", "_run")

    # How many threads work. Unless the clock is a manual one, one thread waits for the end as well.
    _threads = 1
    # Whether the threads are the system's even if gevent or eventlet has replaced them with
    # greenlets. Work that does not wait would block the greenlets of its thread.
    _in_system_threads = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = self._thread_function("RLock")()  # a signal handler may stop the effect
        self._run: Run | None = None

    @property
    def is_on(self) -> bool:
        """Whether the effect lasts."""
        run = self._run
        return run is not None and run.goes_on()

    def left_ns(self) -> int:
        """Return how long the effect still lasts; 0 if it is off."""
        run = self._run
        if run is None or run.is_over:
            return 0
        return max(0, run.ends_ns - self._clock.now_ns())

    def start(self, duration_ns: int) -> bool:
        """Start the effect. It never waits: threads of the effect do the work.

        Args:
            duration_ns: How long the effect lasts.

        Returns:
            False: it was on.

        Raises:
            OSError: The system refuses what the effect needs.
            RuntimeError: No thread can be started.
        """
        with self._lock:
            if self._run is not None:
                return False
            self._run = run = Run(self, self._clock, self._clock.now_ns() + duration_ns)
            _running.add(self)
        mind(self)
        try:
            self._begin()
            self._start_threads(run)
        except BaseException:
            self._end(run)
            raise
        finally:
            with self._lock:
                run.is_begun = True
                is_over = run.is_over
                if is_over:  # another thread has stopped it meanwhile
                    self._give_back()
            if is_over:
                self._finish(run)
        return True

    def stop(self) -> None:
        """End the effect, if it is on, and wait until it has given all back."""
        run = self._run
        if run is not None:
            self._end(run)

    # ---- what effects differ in ----

    def _begin(self) -> None:
        """Do what is done before ``start`` returns."""

    def _work(self, run: Run) -> None:
        """Do the work of one thread, for as long as ``run.goes_on()``."""

    def _give_back(self) -> None:
        """Give back what was taken. The caller has the lock."""

    def _finished(self) -> None:
        """Do what follows the end, without the lock."""

    # ---- its life ----

    def _start_threads(self, run: Run) -> None:
        works = [self._work_until_end] * self._threads
        if isinstance(self._clock, ManualClock):
            run.cancel = self._clock.call_at_ns(run.ends_ns, lambda: self._end(run))
        else:
            works[:1] = [self._wait_for_end]
        for work in works:
            run.start_thread(work)

    def _work_until_end(self, run: Run) -> None:
        try:
            self._work(run)
        except Exception:  # the effect ends early, and the log says why
            from logging import getLogger

            getLogger("holdfast.chaos").exception("%s ended early", type(self).__name__)
            self._end(run)

    def _wait_for_end(self, run: Run) -> None:
        self._work_until_end(run)
        if not isinstance(self._clock, ManualClock):
            while run.goes_on():
                run.wait((run.ends_ns - self._clock.now_ns()) / 1e9)
            self._end(run)

    def _end(self, run: Run) -> None:
        with self._lock:
            if self._run is not run or run.is_over:
                return
            run.end()
            self._give_back()
            is_begun = run.is_begun
        run.cancel()
        run.join()
        if is_begun:
            self._finish(run)  # else the thread that starts it does

    def _finish(self, run: Run) -> None:
        # A new run begins after this: what is done at a beginning and at an end has an order.
        try:
            self._finished()
        finally:
            with self._lock:
                if self._run is run:
                    self._run = None
                    _running.discard(self)

    def _after_fork(self) -> None:
        """Give back the child's share. The threads belong to the parent."""
        self._lock = self._thread_function("RLock")()
        self._run = None
        _running.discard(self)
        self._give_back()

    def _thread_function(self, name: str) -> Any:
        """Return a function of ``_thread``, of the system if this effect has system threads."""
        if self._in_system_threads:
            # While another thread imports them, there may be nothing in them yet.
            monkey: Any = sys.modules.get("gevent.monkey")
            patcher: Any = sys.modules.get("eventlet.patcher")
            if hasattr(monkey, "get_original"):
                return monkey.get_original("_thread", name)
            if hasattr(patcher, "original"):
                return getattr(patcher.original("_thread"), name)
        import _thread

        return getattr(_thread, name)


class Run:
    """One run of an effect, from its start to its end."""

    __slots__ = (
        "_clock",
        "_get_ident",
        "_lock_type",
        "_over",
        "_start_new_thread",
        "_threads",
        "cancel",
        "ends_ns",
        "is_begun",
        "is_over",
    )

    def __init__(self, effect: Effect, clock: Clock, ends_ns: int) -> None:
        self._clock = clock
        self._lock_type = effect._thread_function("allocate_lock")
        self._start_new_thread = effect._thread_function("start_new_thread")
        self._get_ident = effect._thread_function("get_ident")
        self._over = self._lock_type()
        self._over.acquire()  # until the end
        self._threads: list[_Thread] = []
        self.ends_ns = ends_ns
        self.is_begun = False  # whether all is done that belongs to the start
        self.is_over = False
        self.cancel: Callable[[], None] = _nothing

    def goes_on(self) -> bool:
        """Return whether the end is neither here nor requested."""
        return not self.is_over and self._clock.now_ns() < self.ends_ns

    def wait(self, seconds: float) -> bool:
        """Wait for the end, for at most ``seconds``. Returns whether it is over."""
        if self._over.acquire(timeout=max(0.0, min(seconds, TIMEOUT_MAX))):
            self._over.release()  # for the other threads
        return self.is_over

    def end(self) -> None:
        """Wake the threads that wait for the end; called once."""
        self.is_over = True
        self._over.release()

    def start_thread(self, work: Callable[[Run], None]) -> None:
        """Have a thread run ``work(self)``; the process does not wait for it at its exit.

        Raises:
            RuntimeError: No thread can be started.
        """
        thread = _Thread(self._lock_type())

        def run() -> None:
            thread.ident = self._get_ident()
            try:
                work(self)
            finally:
                thread.alive.release()

        self._threads.append(thread)
        try:
            self._start_new_thread(run, ())
        except BaseException:
            thread.alive.release()
            raise

    def join(self) -> None:
        """Wait until the other threads have ended, for a second each at most."""
        me = self._get_ident()
        for thread in self._threads:
            if thread.ident != me and thread.alive.acquire(timeout=_JOIN):
                thread.alive.release()


class _Thread:
    """A thread: its number, once it runs, and a lock that it holds until it ends."""

    __slots__ = ("alive", "ident")

    def __init__(self, alive: Any) -> None:
        alive.acquire()
        self.alive = alive
        self.ident: int | None = None


def _nothing() -> None:
    """Cancel nothing: no timer was set."""


atexit.register(end_effects)
