"""Calls that are made together in tasks of an event loop, and one by one in further tasks.

Imported by the first gathering in tasks, after asyncio. Elsewhere: when the calls go on one by one
(``gather_course``).
"""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from functools import partial

from holdfast._native import gate
from holdfast.waiting.aio import TaskWaiter, now_ns_of_loop
from holdfast.waiting.carried import carried
from holdfast.waiting.foreign import loop_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.degradation.gather_course import Course

__all__ = ["run_in_tasks"]

_left: set[Task[Any]] = set()  # those that ignored a cancellation: a loop has only weak references
_bare = gate.Gate()  # for calls that no policy guards
_bare._compose("", ())


async def run_in_tasks(course: Course) -> None:
    """Make the calls, and tell ``course`` what becomes of them.

    Raises:
        CancelledError: The caller was cancelled, and the calls with it.
        DeadlineExceededError: The time of the caller is over.
    """
    crew = _Crew(course)
    try:
        await crew.run_concurrently()
        await crew.stop()
        await crew.run_one_by_one()
    except GeneratorExit:  # nobody awaits it any more
        crew.leave()
        raise
    except BaseException:
        await crew.stop_for_good()
        raise


class _Crew:
    """The tasks of one gathering, for the task of the caller."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._loop = loop_here("agather_or_sequential()", "gather_or_sequential()")
        self._deadline = gate._deadline_here()
        self._running: dict[Task[Any], int] = {}
        self._ended: deque[Task[Any]] = deque()
        self._stopped: set[Task[Any]] = set()  # cancelled from here
        self._waiter: TaskWaiter | None = None

    # ---- tasks ----

    def _start(self, index: int) -> Task[Any]:
        course = self._course
        policy: Any = _bare if course.policy is None else course.policy
        steps = carried(self._deadline, partial(policy.acall, course.calls[index]))
        try:  # not every factory of tasks takes a name
            task: Task[Any] = self._loop.create_task(steps)
        except BaseException:
            steps.close()
            raise
        if hasattr(task, "set_name"):
            task.set_name(f"holdfast-{course.name}_{index}")
        self._running[task] = index
        course.began(index)
        task.add_done_callback(self._tell)
        return task

    def _tell(self, task: Task[Any]) -> None:
        self._ended.append(task)
        if self._waiter is not None:
            self._waiter.wake()

    def _take_ended(self) -> None:
        while self._ended:
            task = self._ended.popleft()
            index = self._running.pop(task)
            if task in self._stopped and task.cancelled():
                continue  # as it was told to: it has come to nothing
            self._course.take(index, *_end_of(task))

    async def _wait(self, clock: Clock, limit_ns: int | None) -> bool:
        """Wait for a task to end, and take what has; False: time is up before."""
        self._waiter = waiter = TaskWaiter()
        try:
            if not self._ended:
                await waiter.park(clock, limit_ns)
        finally:
            self._waiter = None
        is_any = bool(self._ended)
        self._take_ended()
        return is_any

    # ---- concurrently ----

    async def run_concurrently(self) -> None:
        """Run the calls until all have ended, or the course says that they go on one by one."""
        course = self._course
        limit = _Limit(course.clock, course.timeout_ns)
        waiting = deque(range(len(course.calls)))
        while course.goes_on and (waiting or self._running):
            while waiting and len(self._running) < course.max_concurrent:
                self._check_callers_time()
                try:
                    self._start(waiting[0])
                except (RuntimeError, MemoryError) as error:
                    course.cannot_run(error)
                    return
                waiting.popleft()
            if not await self._wait(course.clock, limit.left_ns()):
                course.time_is_up()

    def _check_callers_time(self) -> None:
        if self._deadline is not None:
            owner: Any = self._deadline[0]
            late_ns = owner._clock.now_ns() - self._deadline[1]
            if late_ns >= 0:
                raise owner._exceeded(late_ns, False)

    async def stop(self) -> None:
        """Cancel what still runs and wait for its end; for a while, as it may not heed that."""
        limit = _Limit(self._course.clock, self._course.grace_ns)
        self._cancel_all()
        while self._running and await self._wait(self._course.clock, limit.left_ns()):
            pass
        for index in self._running.values():
            self._course.left_running(index)

    def _cancel_all(self) -> None:
        for task in self._running:
            self._stopped.add(task)
            task.cancel()

    async def stop_for_good(self) -> None:
        """Stop as the caller is stopped, who may be cancelled again meanwhile."""
        limit = _Limit(self._course.clock, self._course.grace_ns)
        self._cancel_all()
        while self._running:
            try:
                if not await self._wait(self._course.clock, limit.left_ns()):
                    break
            except CancelledError:
                self._cancel_all()
        self.leave()

    def leave(self) -> None:
        """Cancel what still runs, and wait no longer."""
        self._cancel_all()
        for task in self._running:
            _leave(task)

    # ---- one by one ----

    async def run_one_by_one(self) -> None:
        """Run what has not succeeded, each alone; what ignores its cancellation comes last."""
        course = self._course
        while todo := course.to_run():
            for index in todo:
                self._check_callers_time()
                await self._run_alone(index)
                if course.interruption is not None:
                    return
            self._take_ended()  # of those that were left running
        for task in self._running:
            _leave(task)

    async def _run_alone(self, index: int) -> None:
        task = self._start(index)
        while task not in self._ended:
            self._waiter = waiter = TaskWaiter()
            try:
                await waiter.park(self._course.clock, None)
            finally:
                self._waiter = None
        self._ended.remove(task)
        del self._running[task]
        self._course.take_alone(index, *_end_of(task))


class _Limit:
    """How long something may take, on a clock or, where that is the system's, on the loop's."""

    def __init__(self, clock: Clock, ns: int | None) -> None:
        self._now_ns = clock.now_ns if _is_manual(clock) else now_ns_of_loop
        self._end_ns = None if ns is None else self._now_ns() + ns

    def left_ns(self) -> int | None:
        """Return how much of it is left; None: there is no limit."""
        return None if self._end_ns is None else max(0, self._end_ns - self._now_ns())


def _is_manual(clock: Clock) -> bool:
    from holdfast.clock import ManualClock

    return isinstance(clock, ManualClock)


def _end_of(task: Task[Any]) -> tuple[Any, BaseException | None]:
    if task.cancelled():
        return None, CancelledError()
    error = task.exception()
    return (None, error) if error is not None else (task.result(), None)


def _leave(task: Task[Any]) -> None:
    """Have a task that ignored its cancellation run to its end, which nobody waits for."""
    _left.add(task)
    task.add_done_callback(_forget)


def _forget(task: Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # or asyncio would log that nobody has asked for it
