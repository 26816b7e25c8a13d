"""Calls of a ``Timeout(thread=True)``: run in a pool of threads, and left behind when time is over.

Owns the work that goes on after its call has ended, and who is told when it stops. Elsewhere: the
threads (``worker_threads``, ``daemons``), and what the caller is told (the timeout).
"""

from __future__ import annotations

from contextvars import copy_context
from threading import local

from holdfast._native import gate
from holdfast.errors import Rejected
from holdfast.forks import call_in_child, mind, settle
from holdfast.locks import RLock
from holdfast.validation import titled
from holdfast.waiting.daemons import DaemonThreads
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.standstill import mind_loop
from holdfast.waiting.worker_threads import WorkerThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from holdfast._native.timeout import Timeout as Kernel

    class Timeout(Protocol):
        """Limits the duration of a call.

        In asyncio, the task is cancelled at the deadline and ``DeadlineExceededError`` is raised.
        A cancellation by the caller remains a cancellation, as with ``asyncio.timeout``. A call
        that completes in spite of the cancellation returns its result. In a thread, the timeout
        is cooperative: waits of holdfast end in time, and the function can call ``deadline()``
        and ``check_deadline()``. A function that returns late raises the error and its value is
        dropped; an exception of the function is raised unchanged. A nested deadline is never
        later than the outer deadline. For a generator, the limit applies to the time until its
        first item.

        Args:
            duration: Seconds that a call may take, from a microsecond to a hundred years.
            name: For messages, metrics and the registry. A policy without a name is not
                registered.
            thread: Run synchronous calls in a worker thread so that the caller continues at the
                deadline. The function then runs to its end and is counted; until then it holds
                the bulkhead slots of the same pipeline. The exit of the process does not wait for
                it. A call that gets no thread in time is not run. The worker gets a copy of the
                caller's context variables. Coroutines, generators and blocks do not move to a
                thread.
            workers: The number of worker threads with ``thread=True``, 1 to 10,000.
            clock: The source of time; use a ``ManualClock`` in tests.
            mode: "enforce", "observe" or "off"; None uses the mode of the process
                (HOLDFAST_MODE).
            shared: Return the existing shared timeout of this name, if its settings are equal.

        Raises:
            ConfigError: One or more arguments are invalid; the message lists all of them.

        Safe to share between threads and event loops.
        """

        @property
        def name(self) -> str | None: ...

        def _setting(self, field: str) -> Any: ...

        _kernel: Kernel
        _worker_threads: WorkerThreads | None


__all__ = ["Work", "leave_here", "run_in_thread", "threads_of"]

_making = RLock()  # held while a timeout gets its threads; re-entrant, as a finaliser may need some
_here = local()  # .left: what the work of this thread has left behind in other threads


def run_in_thread(
    policy: Timeout,
    rest: Any,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    works: list[Work | bool | None],
) -> Any:
    """Call ``fn`` through ``rest`` of a pipeline in a thread; wait for it until the deadline.

    It runs in a copy of the caller's context, and under the caller's deadline. However the wait
    ends, ``works`` has then got what goes on in threads, and after it None where ``rest`` has
    refused and ``fn`` was not called, or False where it has judged the result a failure.

    Raises:
        DeadlineExceededError: Time is over. Work that has begun goes on; what has not never will.
    """
    settle()
    deadline = gate._deadline_here()
    if deadline is None:
        raise RuntimeError(
            f"{titled(policy)} was to run a call in a thread and has no deadline for it"
        )
    mind_loop(policy)
    owner: Any = deadline[0]  # perhaps a timeout around this one
    work = Work(policy, deadline, rest, fn, args, kwargs)
    threads = threads_of(policy)
    try:
        if not threads.give(work):
            raise RuntimeError(f"{titled(policy)} accepts no more calls")
        work.waiter.park_until(owner._clock, deadline[1])
    finally:  # interrupted, it leaves as much behind
        left = work.let_go()
        threads.take_back(work)
        works.extend(left)
        leave_here(left)
    if not work.ended:
        raise owner._exceeded(owner._clock.now_ns() - deadline[1], False)
    if work.refused:
        works.append(None)
    elif work.failed:
        works.append(False)
    return work.take()


class Work:
    """One call in a thread.

    Attributes:
        ended: Whether it has come to its end.
        failed: Whether the rest of the pipeline has judged the result a failure.
        waiter: Where its caller waits for it.
    """

    def __init__(
        self,
        policy: Timeout,
        deadline: tuple[Any, int],
        rest: Any,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.ended = self.failed = False
        self.waiter = ThreadWaiter()
        self._kernel = policy._kernel
        self._call: Any = (rest, fn, args, kwargs)
        self._context: Any = copy_context()
        self._deadline: Any = deadline
        self._lock = RLock()
        self._begun = self._let_go = self._left_behind = self._called = False
        self._left: list[Work] = []  # what this one has left behind in its turn
        self._on_stop: list[Callable[[], object]] = []
        self._value: Any = None
        self._error: BaseException | None = None

    # ---- in its thread ----

    def run(self) -> Callable[[], object]:
        """Run in a thread of the pool, unless nobody waits for it; return what tells of it."""
        with self._lock:
            self._begun = begun = not self._let_go
        if begun:
            _here.left = self._left
            try:
                self._value = self._context.run(gate._under_deadline, self._deadline, self._make)
            except BaseException as error:  # noqa: BLE001 - the caller's to raise
                self._error = error
            _here.left = None
        self._call = self._context = self._deadline = None
        return self._tell if begun else _nothing

    def _make(self) -> Any:
        rest = self._call[0]
        if rest is None:
            return self._make_call()
        value, self.failed = rest._call_within(self._make_call)
        return value

    def _make_call(self) -> Any:
        self._called = True
        _, fn, args, kwargs = self._call
        return fn(*args, **kwargs)

    def _tell(self) -> None:
        with self._lock:
            self.ended = True
        self.waiter.wake()
        if self._left_behind:
            self._value = self._error = None
            self._kernel.count_stopped()
        callbacks, self._on_stop = self._on_stop, []
        for callback in callbacks:
            self.call_at_stop(callback)
            callback()

    # ---- outside ----

    def let_go(self) -> list[Work]:
        """Have nobody wait for it any longer; return what goes on in threads.

        One that has not begun never will. One that has ended has its result to be taken.
        """
        with self._lock:
            self._let_go = True
            if self.ended:
                return self._left
            if self._begun and not self._left_behind:
                self._kernel.count_abandoned()  # before it can be counted as stopped
                self._left_behind = True
            return [self] if self._begun else []

    @property
    def refused(self) -> bool:
        """Whether it ended without calling the function: the rest of the pipeline refused."""
        return not self._called and isinstance(self._error, Rejected)

    def take(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame

    @property
    def stopped(self) -> bool:
        """Whether it has ended, and all that it has left behind."""
        return self.ended and all(work.stopped for work in self._left)

    def call_at_stop(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called whenever it may have stopped, unless it has."""
        with self._lock:
            if not self.ended:
                self._on_stop.append(callback)
                return
        for work in self._left:
            work.call_at_stop(callback)


def leave_here(left: list[Work]) -> None:
    """Let the work this thread runs, if it does, go on as long as those."""
    mine: list[Work] | None = getattr(_here, "left", None)
    if left and mine is not None:
        mine[:] = [work for work in mine if not work.stopped]  # or it would grow without end
        mine.extend(left)


def threads_of(policy: Any) -> WorkerThreads:
    """Return the threads of a policy that runs calls in threads, which are made for the first."""
    threads: WorkerThreads | None = policy._worker_threads
    if threads is None:
        name, workers = policy.name or policy.kind, policy._setting("workers")
        made = WorkerThreads(name, workers, DaemonThreads(f"holdfast-{name}", workers))
        with _making:
            threads = policy._worker_threads
            if threads is None:  # nobody was faster
                mind(policy)
                threads = policy._worker_threads = made
    return threads


def _nothing() -> None:
    """Tell nobody."""


def _after_fork() -> None:
    """In a forked child: have a lock nobody holds."""
    global _making  # noqa: PLW0603 - a lock that another thread held cannot be freed
    _making = RLock()


call_in_child(_after_fork)
