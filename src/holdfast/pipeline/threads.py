"""Calls of a ``Timeout(thread=True)``: run in a pool of threads, and left behind when time is over.

Owns the work that goes on after its call has ended, and who is told when it stops. Not here: the
threads (``crew``), and what the caller is told (``policies.timeout``).
"""

from __future__ import annotations

from contextvars import copy_context
from threading import Lock

from holdfast._native import gate
from holdfast.pipeline.crew import Crew
from holdfast.pipeline.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.policies.timeout import Timeout

__all__ = ["Work", "run_in_thread"]

_crews = Lock()  # held while a timeout's threads are made


def run_in_thread(
    policy: Timeout,
    rest: Any,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call ``fn`` through ``rest`` of a pipeline in a thread; wait for it until the deadline.

    It runs in a copy of the caller's context, and under the caller's deadline.

    Raises:
        DeadlineExceededError: Time is over. Work that has begun goes on, and is the error's
            ``_work``; what has not begun never will.
    """
    work = Work(policy, rest, fn, args, kwargs)
    crew = _crew_of(policy)
    if not crew.give(work):
        raise RuntimeError(f"{policy!r} was forked or ended while it was called")
    left_ns = gate._deadline_left_ns()
    try:
        done = work.waiter.park(policy._clock, None if left_ns is None else max(0, left_ns))
    except BaseException:  # the caller is interrupted: what runs is left behind as well
        if not crew.take_back(work):
            work.leave_behind()
        raise
    if done:
        return work.take()
    error = policy._exceeded()
    if not crew.take_back(work) and work.leave_behind():
        error._work = work  # type: ignore[attr-defined]  # for the gate: csrc/python/timeout.c
    elif work.ended:
        return work.take()
    raise error


class Work:
    """One call in a thread.

    Attributes:
        ended: Whether it has come to its end.
        waiter: Where its caller waits for it.
    """

    def __init__(
        self,
        policy: Timeout,
        rest: Any,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.ended = False
        self.waiter = ThreadWaiter()
        self._policy = policy
        self._call = (rest, fn, args, kwargs)
        self._context = copy_context()
        self._deadline = gate._deadline_here()
        self._lock = Lock()
        self._left_behind = False
        self._on_stop: list[Callable[[], object]] = []
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self) -> Callable[[], object]:
        """Run in a thread of the pool; return what tells of it."""
        try:
            self._value = self._context.run(gate._under_deadline, self._deadline, self._make_call)
        except BaseException as error:  # noqa: BLE001 - the caller's to raise
            self._error = error
        del self._call, self._context
        return self._tell

    def take(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame

    def leave_behind(self) -> bool:
        """Have nobody wait for it any longer. False: it has ended, and its result is to be had."""
        with self._lock:
            if self.ended:
                return False
            self._left_behind = True
        self._policy._kernel.count_abandoned()
        return True

    def call_at_end(self, callback: Callable[[], object]) -> bool:
        """Have ``callback`` called when it stops. False: it has stopped."""
        with self._lock:
            if self.ended:
                return False
            self._on_stop.append(callback)
        return True

    def _make_call(self) -> Any:
        rest, fn, args, kwargs = self._call
        return fn(*args, **kwargs) if rest is None else rest.call(fn, *args, **kwargs)

    def _tell(self) -> None:
        with self._lock:
            self.ended = True
        self.waiter.wake()
        if self._left_behind:
            self._value = self._error = None
            self._policy._kernel.count_stopped()
        for callback in self._on_stop:
            callback()


def _crew_of(policy: Timeout) -> Crew:
    with _crews:
        crew: Crew | None = policy._crew
        if crew is None:
            crew = policy._crew = Crew(policy.name or "timeout", policy._workers)
    return crew
