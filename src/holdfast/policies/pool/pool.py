"""PoolBulkhead: tasks run in threads of their own, and only so many may be waiting to.

Owns admission, places and counts. Elsewhere: the threads (``waiting.worker_threads``), and the wait
for a place (``waiting.rooms``).
"""

from __future__ import annotations

from functools import partial
from itertools import starmap
from weakref import ref

from holdfast._native.bulkhead import Bulkhead as Kernel
from holdfast._native.gate import _probes_here, _set_probes, check_deadline
from holdfast.clock import read_clock
from holdfast.errors import BulkheadFullError, BulkheadTimeoutError, PoolStoppedError, Rejected
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Policy, settings_of, within_deadline_ns
from holdfast.stores.figures import POOL, POOL_WAIT
from holdfast.validation import Problems, require_callable, titled
from holdfast.waiting.rooms import ENTERED, FULL, TIMED_OUT, WaitingRoom
from holdfast.waiting.standstill import mind_loop
from holdfast.waiting.worker_threads import WorkerThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import timedelta
    from typing import Any, NoReturn, ParamSpec, TypeVar

    from holdfast.clock import Clock
    from holdfast.policies.pool.snapshot import PoolBulkheadSnapshot
    from holdfast.stores.ledger import Part

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = ["PoolBulkhead"]

MAX_WORKERS = 10_000
MAX_WAITING = 1_000_000
# Threads that may wait in submit(): as many as there can be; each is held up by its own wait.
MAX_SUBMITTERS = 1_000_000
ALL_PLACES = 2**21 - 1  # the most a bulkhead's kernel counts

# For one call in C, as in the room: what it answers is noted before a signal handler can raise.
_ONCE: tuple[tuple[()], ...] = ((),)


class PoolBulkhead(Policy):
    """Runs tasks in a bounded number of worker threads, with a bounded queue.

    If the queue is full, a task is rejected immediately, or after ``max_wait``. An accepted task
    runs even if the pool is stopped, unless its future is cancelled before the task starts.

    Args:
        name: The protected resource, for messages, metrics, threads and the registry.
        workers: The number of threads, 1 to 10,000. They are started on demand.
        max_waiting: Tasks that may wait for a thread, 0 to 1,000,000.
        max_wait: The longest wait of ``submit`` for a place, in seconds; None or ``math.inf`` for
            no limit.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared pool of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads. A coroutine can await ``asyncio.wrap_future(pool.submit(…))``.

    >>> pool = PoolBulkhead("reports", workers=2)
    >>> pool.submit(sum, [1, 2, 3]).result()
    6
    >>> pool.stop()
    True
    """

    __slots__ = (
        "_before_reset",
        "_lock",
        "_max_wait_ns",
        "_tally",
        "_waits",
        "_worker_threads",
    )

    kind = "pool_bulkhead"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(
        self,
        name: str,
        *,
        workers: int = 8,
        max_waiting: int = 50,
        max_wait: float | timedelta | None = 0.0,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("PoolBulkhead", name)
        name = problems.name(name)
        workers = problems.integer("workers", workers, least=1, most=MAX_WORKERS)
        waiting = problems.integer("max_waiting", max_waiting, least=0, most=MAX_WAITING)
        self._max_wait_ns = problems.wait("max_wait", max_wait)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        kernel = Kernel(workers + waiting, MAX_SUBMITTERS)
        self._worker_threads = WorkerThreads(name, workers)
        self._lock = RLock()
        self._tally = (0, 0)  # tasks that raised, and nanoseconds all of them ran
        self._before_reset: tuple[int, ...] | None = None
        self._keep(
            workers=workers,
            max_waiting=waiting,
            max_wait=max_wait,
            clock=clock,
            mode=mode,
        )
        self._waits = None
        self._bind("bulkhead", (kernel,), clock, name, NATIVE_MODES[mode], BulkheadFullError)
        mind(self)

    _setting_names = settings_of(__init__)

    # ---- tasks ----

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in a worker thread.

        Returns:
            A future with the result or the exception of the task. If it is cancelled before the
            task starts, its place becomes free immediately.

        Raises:
            BulkheadFullError: All threads and all places in the queue are taken.
            BulkheadTimeoutError: No place became free within ``max_wait``.
            DeadlineExceededError: No place became free before the deadline of an enclosing
                Timeout.
            PoolStoppedError: ``stop`` was called.
            TypeError: ``fn`` is not callable, or is a coroutine or generator function.
        """
        from holdfast.waiting.pool_future import PoolFuture

        settle()
        require_callable("fn", fn)
        if self._worker_threads.stopped:
            raise PoolStoppedError(f"{titled(self)} is stopped and accepts no more tasks")
        future: Future[T] = PoolFuture(self)
        task = _Task(self, future, fn, args, kwargs)
        # Weak: the future may be kept for long, and is to keep neither the task nor the pool.
        future.add_done_callback(partial(_settle_cancelled, ref(task)))
        try:
            self._take_place(task)
            if not self._worker_threads.give(task):
                raise PoolStoppedError(f"{titled(self)} was stopped before it accepted the task")
        except BaseException:
            future.cancel()
            raise
        return future

    def stop(self, wait: bool = True, timeout: float | timedelta | None = None) -> bool:
        """Accept no more tasks. Accepted tasks still run.

        Callers that wait in ``submit`` get ``PoolStoppedError``. Repeated calls have no effect.

        Args:
            wait: Whether to wait for the accepted tasks.
            timeout: The longest wait in seconds of the pool's clock; None or ``math.inf`` for no
                limit.

        Returns:
            Whether all accepted tasks have run.

        Raises:
            ConfigError: ``wait`` is not a bool, or ``timeout`` is not a duration.
            RuntimeError: A task of the pool would wait for itself.
        """
        problems = Problems("PoolBulkhead", self.name)
        problems.flag("wait", wait)
        timeout_ns = problems.wait("timeout", timeout)
        problems.done()
        if wait and self._worker_threads.is_here():
            raise RuntimeError(
                f"a task of {titled(self)} cannot wait for itself: use stop(wait=False)"
            )
        if not self.stopped:
            self._say("stopped", "is stopped")
        self._worker_threads.stop()
        self._room.resize(ALL_PLACES)  # who waits comes in, finds the pool stopped, and goes
        if wait and (self._worker_threads.active or self._worker_threads.queued):
            mind_loop(self)
        return self._worker_threads.wait(self._clock, timeout_ns if wait else 0)

    def _take_place(self, task: _Task) -> None:
        """Enter, waiting for a place if need be, or raise."""
        if self.mode is Mode.OFF:
            return
        if self.mode is Mode.OBSERVE:
            task.answers.extend(starmap(self._try_enter, _ONCE))
            return
        wait_ns = within_deadline_ns(self._max_wait_ns)
        asked = (self._clock, wait_ns, self)
        task.answers.extend(starmap(self._room.enter, (asked,)))
        if task.answers[0] != ENTERED:
            check_deadline()  # or it is the time of the call that is over
        if task.answers[0] == FULL:
            self._refuse_task("full", BulkheadFullError)
        elif task.answers[0] == TIMED_OUT:
            waited_ns = -1 if wait_ns is None else wait_ns
            self._refuse_task("timeout", BulkheadTimeoutError, waited_ns)

    def _refuse_task(self, reason: str, cls: type[Rejected], waited_ns: int = -1) -> None:
        """Raise a rejection with the figures of the pool: its kernel counts both as one."""
        workers, waiting = self._setting("workers"), self._setting("max_waiting")
        try:
            self._refuse(reason, -1, cls, waited_ns)
        except Rejected as error:
            places = self._kernel.in_flight()
            queued = min(max(0, places - workers), waiting)
            error._figures = (min(places, workers), workers, queued, waiting)
            raise

    @property
    def _room(self) -> WaitingRoom:
        room: WaitingRoom | None = self._queue
        return self._once("_queue", partial(WaitingRoom, self._kernel)) if room is None else room

    def _waited(self, ns: int) -> None:
        """Be told by the room how long ``submit`` has waited; tasks' waits for a thread count."""

    # ---- no guard ----

    def _refuse_to_guard(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse what would run in the calling thread."""
        raise TypeError(f"{titled(self)} runs tasks in its own threads: use submit(fn, …)")

    __call__ = call = acall = try_call = try_acall = _refuse_to_guard
    call_with_stats = acall_with_stats = _refuse_to_guard
    __enter__ = __aenter__ = _refuse_to_guard

    # ---- what others see ----

    @property
    def stopped(self) -> bool:
        """Whether it accepts no more tasks."""
        return self._worker_threads.stopped

    def snapshot(self) -> PoolBulkheadSnapshot:
        """Return the current occupation and counts."""
        from holdfast.policies.pool.snapshot import PoolBulkheadSnapshot

        threads, workers = self._worker_threads, self._setting("workers")
        queue_capacity = self._setting("max_waiting")
        accepted, completed, cancelled, rejected, _, timed_out, _, observed, failed, busy_ns = (
            self._since_reset()
        )
        active, queued = threads.active, threads.queued
        return PoolBulkheadSnapshot(
            name=self.name,
            workers=workers,
            active=active,
            utilization=active / workers,
            queued=queued,
            queue_capacity=queue_capacity,
            queue_utilization=min(1.0, queued / queue_capacity) if queue_capacity else 0.0,
            capacity=workers + queue_capacity,
            submitting=self._kernel.waiting(),
            accepted=accepted,
            completed=completed,
            failed=failed,
            cancelled=cancelled,
            rejected=self._rejected(rejected),
            timed_out=timed_out,
            observed=observed,
            average_execution_time=busy_ns / completed / 1e9 if completed else None,
            stopped=threads.stopped,
        )

    def _in_words(self) -> str:
        threads, workers = self._worker_threads, self._setting("workers")
        text = f"{threads.active} of {workers} running"
        if threads.queued:
            text += f", {threads.queued} waiting"
        return f"{text}, stopped" if threads.stopped else text

    def _figured(self) -> tuple[Part, ...]:
        waits = ((POOL_WAIT, self._waits, 0),) if self._waits is not None else ()
        return ((POOL, self._kernel, self._worker_threads.workers), *waits)

    def reset(self) -> None:
        """Set the counts in snapshots to zero. Tasks are not affected."""
        self._before_reset = self._counted()
        self._say("reset", "was reset")

    def _counted(self) -> tuple[int, ...]:
        return (*self._kernel.counters(), self._observed, *self._tally)

    def _since_reset(self) -> list[int]:
        """Return the kernel's counters, observed and failed tasks, and nanoseconds of running."""
        now = self._counted()
        return [
            new - old for new, old in zip(now, self._before_reset or (0,) * len(now), strict=True)
        ]

    # ---- how tasks end ----

    def _ran(self, task: _Task, failed: bool, ns: int) -> None:
        """Give back the place of a task that has run."""
        if task.has_place():
            with self._lock:
                old_failed, old_ns = self._tally
                self._tally = (old_failed + failed, old_ns + ns)
            self._room.leave()

    def _cancelled(self, task: _Task) -> bool:
        """Give back the place of a task that never runs; return whether it was in the queue.

        It leaves the queue last: should an interrupt end this before, a worker comes upon the
        task, finds it cancelled and does the rest.
        """
        with self._lock:
            if task.has_place():
                task.answers.extend(starmap(self._kernel.undo, _ONCE))
        self._room.admit()
        return self._worker_threads.take_back(task)

    def _after_fork(self) -> None:
        """In a forked child: the threads and their tasks are the parent's."""
        stopped = self._worker_threads.stopped
        self._lock = RLock()
        self._tally = (0, 0)
        self._before_reset = None
        self._worker_threads = WorkerThreads(self.name, self._worker_threads.workers)
        if stopped:
            self._worker_threads.stop()


class _Task:
    """One call to come, and what it holds."""

    __slots__ = (
        "__weakref__",
        "answers",
        "args",
        "came_ns",
        "fn",
        "future",
        "kwargs",
        "pool",
        "probes",
    )

    def __init__(
        self,
        pool: PoolBulkhead,
        future: Future[Any],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.pool = pool
        self.future = future
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.probes = _probes_here()  # a breaker's, that submitted it: the task belongs to them
        self.came_ns = pool._clock.now_ns()
        # What it was told when it asked for a place, and when it gave that back without running.
        self.answers: list[Any] = []

    def has_place(self) -> bool:
        return len(self.answers) == 1 and self.answers[0] < FULL

    def run(self) -> Callable[[], object]:
        """Run in a thread of the pool; whatever is raised goes into the future.

        Returns:
            What tells the future. By then the place is free: who waits for the result finds it so.
        """
        pool, future = self.pool, self.future
        if not future.set_running_or_notify_cancel():
            # Whoever cancelled it may come to tell only when this task is gone.
            pool._cancelled(self)
            return _nothing
        failed, began_ns = False, pool._clock.now_ns()
        pool._record_wait(POOL_WAIT, began_ns - self.came_ns)
        try:
            tell = partial(future.set_result, self._call())
        except BaseException as error:  # noqa: BLE001 - the future's to raise
            tell, failed = partial(future.set_exception, error), True
        pool._ran(self, failed, pool._clock.now_ns() - began_ns)
        try:
            return tell
        finally:
            # An error's traceback holds this frame, which must not hold what holds the error.
            del self, pool, future, tell

    def _call(self) -> Any:
        probes = self.probes
        try:
            if probes is not None:
                _set_probes(probes)
            return self.fn(*self.args, **self.kwargs)
        finally:
            if probes is not None:
                _set_probes(None)
            del self  # of this frame the same holds


def _settle_cancelled(reference: ref[_Task], future: Future[Any]) -> None:
    """Be called by a future that is done: if it was cancelled, before its task began."""
    task = reference()
    if task is not None and future.cancelled() and task.pool._cancelled(task):
        future.set_running_or_notify_cancel()  # no thread will come by to do it


def _nothing() -> None:
    """Tell the future of a cancelled task, which knows."""
