"""Jobs: starts and stops of components, each with a time limit, in threads or in tasks.

Plain functions run in a bounded number of threads, coroutine functions in tasks of the event loop
that the supervisor was started in. On a manual clock plain functions run in the thread that
advances it. A job that takes too long is given up: a task is cancelled, and a thread goes on and is
replaced. Elsewhere: what is started and stopped when, and what follows (``crew``, ``course``).
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import partial

from holdfast.clock import ManualClock
from holdfast.locks import RLock
from holdfast.redaction import describe_error
from holdfast.waiting.daemons import DaemonThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from holdfast.clock import Clock

__all__ = ["Job", "Jobs", "words_of"]

MOST_ACTIVE = 32
_MOST_THREADS = 4096  # those that were given up included

# The jobs that this code belongs to.
_within: ContextVar[object] = ContextVar("holdfast.supervision", default=None)


class Job:
    """One start or stop of one component.

    Attributes:
        call: What is called; what it returns is awaited in a task.
        limit_ns: How long it may take.
        deadline_ns: Until when, once it runs; None: it still waits for a thread.
        is_late: Whether it was given up.
    """

    __slots__ = (
        "call",
        "deadline_ns",
        "generation",
        "is_late",
        "limit_ns",
        "name",
        "task",
        "thread",
        "verb",
    )

    def __init__(
        self, name: str, generation: int, verb: str, call: Callable[[], Any], limit_ns: int
    ) -> None:
        self.name = name
        self.generation = generation
        self.verb = verb
        self.call = call
        self.limit_ns = limit_ns
        self.deadline_ns: int | None = None
        self.is_late = False
        self.thread: int | None = None
        self.task: asyncio.Task[None] | None = None


class Jobs:
    """The jobs of a supervisor, from its start to its stop.

    Args:
        name: For the names of threads and tasks.
        clock: On which limits are measured.
        loop: In which coroutine functions run; None: none can.
        done: Called with each job that has ended, in its thread or task, and why it failed or None.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        loop: asyncio.AbstractEventLoop | None,
        done: Callable[[Job, str | None], object],
    ) -> None:
        self._name = name
        self._clock = clock
        self._loop = loop
        self._done = done
        self._is_manual = isinstance(clock, ManualClock)
        self._lock = RLock()
        self._pool: DaemonThreads | None = None
        self._running: dict[Job, None] = {}
        self._queue: deque[Job] = deque()
        self._active = 0  # in threads, without those that were given up
        self._tellers: set[int] = set()

    # ---- in the tick ----

    def begin(self, job: Job, *, in_task: bool) -> None:
        """Have a job run; on a manual clock, unless it is a task, it has run on return."""
        if in_task:
            self._begin_task(job)
        elif self._is_manual:
            self._start_clock(job)
            self._call(job, passes_on=True)
        else:
            with self._lock:
                self._queue.append(job)
            self._hire()

    def overdue(self, now_ns: int, late_ns: int = 0) -> list[Job]:
        """Give up jobs that have taken too long, and return them.

        Args:
            now_ns: The time.
            late_ns: For how long this process did not run: so much longer they may take.
        """
        found = []
        for job in list(self._running):
            if job.is_late or job.deadline_ns is None:
                continue
            if late_ns:
                later_ns = now_ns + min(late_ns, job.limit_ns)
                job.deadline_ns = max(job.deadline_ns + late_ns, later_ns)
            if job.deadline_ns > now_ns:
                continue
            with self._lock:
                if job not in self._running:  # it has ended since
                    continue
                job.is_late = True
                if job.thread is not None:
                    self._active -= 1
            found.append(job)
            if job.task is not None:
                job.task.cancel()
        if found:
            self._hire()
        return found

    def hasten(self, name: str, limit_ns: int) -> None:
        """Let the start of a component, which is to be stopped, go on for so long at most."""
        until_ns = self._clock.now_ns() + limit_ns
        with self._lock:
            there = [*self._running, *self._queue]
            found = [job for job in there if job.name == name and job.verb == "start"]
            for job in found:
                job.limit_ns = min(job.limit_ns, limit_ns)
                if job.deadline_ns is not None:
                    job.deadline_ns = min(job.deadline_ns, until_ns)
        for job in found:
            if job.task is not None and not job.task.cancelling():  # once: it may tidy up
                job.task.cancel()

    def next_ns(self) -> int | None:
        """Return when the next job is overdue."""
        return min(
            (
                job.deadline_ns
                for job in list(self._running)
                if not job.is_late and job.deadline_ns is not None
            ),
            default=None,
        )

    # ---- who waits, and the end ----

    def is_here(self) -> bool:
        """Return whether this code belongs to a job, or tells of something."""
        return _within.get() is self or threading.get_ident() in self._tellers

    def tell(self, work: Callable[[], object]) -> None:
        """Have a thread tell of something; here, if no thread can be started."""
        try:
            Context().run(self._threads().submit, partial(self._tell_here, work))
        except RuntimeError:
            work()

    def _tell_here(self, work: Callable[[], object]) -> None:
        me = threading.get_ident()
        self._tellers.add(me)
        try:
            work()
        finally:
            self._tellers.discard(me)

    def close(self) -> None:
        """Have the threads end once they have done what they are at."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def join(self, seconds: float) -> bool:
        """After ``close``, wait for the threads, but for those of jobs that were given up."""
        if self._pool is None:
            return True
        late = {job.thread for job in list(self._running) if job.is_late}
        return self._pool.join(seconds, late | {threading.get_ident()})

    # ---- threads ----

    def _threads(self) -> DaemonThreads:
        with self._lock:
            if self._pool is None:
                self._pool = DaemonThreads(f"holdfast-{self._name}", _MOST_THREADS)
            return self._pool

    def _hire(self) -> None:
        while True:
            with self._lock:
                if not self._queue or self._active >= MOST_ACTIVE:
                    return
                job = self._queue.popleft()
                self._active += 1
                job.thread = 0
                self._start_clock(job)  # at the latest now: the tick plans by it
            try:
                # A thread may keep the context it is started in for its life.
                Context().run(self._threads().submit, partial(self._work, job))
            except RuntimeError as error:  # no thread can be started
                self._end(job, words_of(error))

    def _work(self, job: Job) -> None:
        job.thread = threading.get_ident()
        self._start_clock(job)
        self._call(job)

    def _start_clock(self, job: Job) -> None:
        now_ns = self._clock.now_ns()
        with self._lock:  # its limit may be shortened meanwhile
            self._running[job] = None
            job.deadline_ns = now_ns + job.limit_ns

    def _call(self, job: Job, *, passes_on: bool = False) -> None:
        error: str | None = None
        try:
            Context().run(self._call_here, job)
        except BaseException as raised:
            error = words_of(raised)
            if passes_on and not isinstance(raised, Exception):
                raise
        finally:
            self._end(job, error)

    def _call_here(self, job: Job) -> None:
        _within.set(self)
        result = job.call()
        if hasattr(result, "__await__"):
            if hasattr(result, "close"):  # a coroutine that nobody awaits would warn
                result.close()
            raise TypeError(f"{job.verb}() returned an awaitable: make it a coroutine function")

    def _end(self, job: Job, error: str | None) -> None:
        is_overdue = job.deadline_ns is not None and self._clock.now_ns() > job.deadline_ns
        if self._is_manual and is_overdue and not job.is_late and error is None:
            error = f"it took longer than {job.limit_ns / 1e9:g} s"
        with self._lock:
            self._running.pop(job, None)
            if job.thread is not None and not job.is_late:
                self._active -= 1
        self._hire()  # first: the tick that takes this end plans by what runs
        self._done(job, error)

    # ---- tasks ----

    def _begin_task(self, job: Job) -> None:
        loop = self._loop
        assert loop is not None
        self._start_clock(job)
        # A task copies the current context: each job has its own.
        job.task = Context().run(
            loop.create_task, self._await(job), name=f"holdfast-{self._name}-{job.name}"
        )
        job.task.add_done_callback(lambda task: self._see_off(job, task))

    async def _await(self, job: Job) -> None:
        _within.set(self)
        result = job.call()
        if hasattr(result, "__await__"):
            await result

    def _see_off(self, job: Job, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._end(job, "it was cancelled")
            return
        raised = task.exception()
        self._end(job, None if raised is None else words_of(raised))

    def forget(self) -> None:
        """Cancel the tasks: their event loop was closed."""
        for job in list(self._running):
            if job.task is not None:
                with suppress(RuntimeError):
                    job.task.cancel()


def words_of(error: BaseException) -> str:
    """Return the class and the text of an error, without secrets."""
    name, text = describe_error(error)
    return f"{name}: {text}" if text else name
