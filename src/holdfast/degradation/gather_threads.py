"""Calls that are made together in threads, and one by one in the thread of the caller.

A thread cannot be stopped. When the calls are to go on one by one, those that no thread has begun
are taken back, and those that run are waited for. Elsewhere: the threads (``worker_threads``,
``daemons``), and when the calls go on one by one (``gather_course``).
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from functools import partial
from types import CoroutineType

from holdfast._native import gate
from holdfast.degradation.gather_course import is_cancellation
from holdfast.forks import settle
from holdfast.policies.timeout import Timeout
from holdfast.waiting.daemons import DaemonThreads
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.standstill import mind_loop
from holdfast.waiting.worker_threads import WorkerThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.degradation.gather_course import Course

__all__ = ["run_in_threads"]


def run_in_threads(course: Course) -> None:
    """Make the calls, and tell ``course`` what becomes of them.

    Raises:
        DeadlineExceededError: The time of the caller is over. Calls that have begun go on.
    """
    settle()
    mind_loop(_face)
    crew = _Crew(course)
    if course.goes_on and course.calls:
        try:
            crew.run_concurrently()
            crew.wait_for_running()
        finally:
            crew.end()
    crew.run_one_by_one()


class Gather:
    """What the warning names that a wait blocks an event loop."""

    kind = "gather"
    name = "gather_or_sequential"


_face = Gather()


class _Run:
    """One concurrent run of one call."""

    __slots__ = ("_context", "_crew", "_fn", "error", "index", "value")

    def __init__(self, crew: _Crew, index: int, fn: Callable[[], Any]) -> None:
        self.index = index
        self.value: Any = None
        self.error: BaseException | None = None
        self._crew = crew
        self._fn: Any = fn
        self._context: Any = copy_context()

    def run(self) -> Callable[[], object]:
        """Run in a thread of the crew; return what tells of the end."""
        try:
            value = self._context.run(gate._under_deadline, self._crew.deadline, self._fn)
            self.value = _no_coroutine(value)
        except BaseException as error:  # noqa: BLE001 - the caller's to judge
            self.error = error
        self._fn = self._context = None
        return self._tell

    def _tell(self) -> None:
        self._crew.told(self)

    def end(self) -> tuple[int, Any, BaseException | None]:
        """Return what it has come to, and hold it no longer."""
        value, error = self.value, self.error
        self.value = self.error = None
        return self.index, value, error


def _no_coroutine(value: Any) -> Any:
    if type(value) is CoroutineType:
        value.close()
        raise TypeError("the call returned a coroutine: use agather_or_sequential()")
    return value


class _Crew:
    """The threads of one gathering. Only ``told`` is called by them.

    Attributes:
        deadline: Of the concurrent runs: that of the caller, or an earlier one; as of the gate.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._callers = gate._deadline_here()
        self.deadline = self._earlier(course.timeout_ns)
        self._running: dict[_Run, None] = {}  # given to the threads, and not taken from `_ended`
        self._ended: deque[_Run] = deque()
        self._waiter = ThreadWaiter()
        workers = min(course.max_concurrent, max(1, len(course.calls)))
        pool = DaemonThreads(f"holdfast-{course.name}", workers)
        self._threads = WorkerThreads(course.name, workers, pool)

    def _earlier(self, ns: int | None) -> Any:
        """Return the deadline of the caller, or that in ``ns`` from now if it is earlier."""
        course = self._course
        if ns is None or self._callers_left_ns(ns) < ns:
            return self._callers
        limit = Timeout(max(ns, 1000) / 1e9, clock=course.clock)
        return limit, course.clock.now_ns() + ns

    def _callers_left_ns(self, otherwise: int) -> int:
        if self._callers is None:
            return otherwise
        owner: Any = self._callers[0]
        left_ns: int = self._callers[1] - owner._clock.now_ns()
        return left_ns

    def _check_callers_time(self) -> None:
        if self._callers_left_ns(1) <= 0:
            assert self._callers is not None
            owner: Any = self._callers[0]
            raise owner._exceeded(-self._callers_left_ns(0), False)

    # ---- in the threads ----

    def told(self, run: _Run) -> None:
        """Let the caller know that a run has ended."""
        self._ended.append(run)  # before the waiter is looked up: one of the two is seen
        self._waiter.wake()

    # ---- in the thread of the caller ----

    def run_concurrently(self) -> None:
        """Run the calls until all have ended, or the course says that they go on one by one."""
        course = self._course
        waiting = deque(range(len(course.calls)))
        while course.goes_on and (waiting or self._running):
            # One by one as others end: no further call begins before it is known how those ended.
            while waiting and len(self._running) < course.max_concurrent:
                self._check_callers_time()
                if not self._give(waiting.popleft()):
                    return
            if not self._wait(self.deadline):
                self._check_callers_time()
                course.time_is_up()

    def _give(self, index: int) -> bool:
        run = _Run(self, index, self._guarded(index))
        self._running[run] = None
        self._course.began(index)
        try:
            self._threads.give(run)
        except (RuntimeError, MemoryError, OSError) as error:
            del self._running[run]
            self._course.never_began(index)
            self._course.cannot_run(error)
            return False
        return True

    def _guarded(self, index: int) -> Callable[[], Any]:
        fn, policy = self._course.calls[index], self._course.policy
        return fn if policy is None else partial(policy.call, fn)

    def _wait(self, deadline: Any) -> bool:
        """Wait for a run to end, and take what has; False: the deadline has passed before."""
        while not self._ended:
            self._waiter = waiter = ThreadWaiter()
            if self._ended:
                break
            if deadline is None:
                waiter.park(self._course.clock, None)
            elif not waiter.park_until(deadline[0]._clock, deadline[1]):
                break
        return self._take_ended()

    def _take_ended(self) -> bool:
        is_any = bool(self._ended)
        while self._ended:
            run = self._ended.popleft()
            del self._running[run]
            self._course.take(*run.end())
        return is_any

    def wait_for_running(self) -> None:
        """Drop the calls that no thread has begun, and wait for those that run; for a while."""
        self._take_back()
        if self._running and self._course.interruption is None:
            limit = self._earlier(self._course.grace_ns)
            while self._running and self._wait(limit):
                pass
            self._check_callers_time()
        for run in self._running:
            self._course.left_running(run.index)

    def _take_back(self) -> None:
        for run in list(self._running):
            if self._threads.take_back(run):
                del self._running[run]
                self._course.never_began(run.index)

    def end(self) -> None:
        """Have the threads end, however the wait for them has ended."""
        self._take_back()
        self._threads.stop()

    def run_one_by_one(self) -> None:
        """Run what has not succeeded in this thread; what still runs elsewhere comes last."""
        while todo := self._course.to_run():
            for index in todo:
                self._check_callers_time()
                self._run_here(index)
                if self._course.interruption is not None:
                    return
            self._take_ended()  # of those that were left running
        self._take_ended()

    def _run_here(self, index: int) -> None:
        course = self._course
        value: Any = None
        error: BaseException | None = None
        course.began(index)
        try:
            value = _no_coroutine(copy_context().run(self._guarded(index)))
        except Exception as raised:  # noqa: BLE001 - the report has it
            error = raised
        except BaseException as raised:
            if not is_cancellation(raised):
                raise
            error = raised
        course.take_alone(index, value, error)
        del error  # its traceback refers to this frame
