"""One operation of a ``TimeoutManager``: its deadline, its end, and how it is cancelled.

Elsewhere: which operations there are (``timeouts``), what a deadline means (``policies.timeout``),
and how waits in a thread end (``waiting.cancelling``).
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, ExitStack, suppress
from contextvars import Context
from weakref import ref

from holdfast.errors import DeadlineExceededError, OperationCancelledError
from holdfast.policies.base import within_deadline_ns
from holdfast.policies.timeout import Timeout
from holdfast.records import DEBUG, alone, area_of, takes
from holdfast.waiting.cancelling import Cancelled, Scope
from holdfast.waiting.parking import current
from holdfast.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable
    from contextvars import Token
    from logging import Logger
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeVar

    from holdfast._native.gate import Permit

    P = ParamSpec("P")
    R = TypeVar("R")
    Manager = Any  # a TimeoutManager, whose module imports this one

__all__ = ["TimedOperation", "enclosing"]

_NEW, _ACTIVE, _ENDED = range(3)
_logger: Logger | None = None


class _OperationScope(Scope):
    """The scope of one operation, which is known as long as it goes on."""

    __slots__ = ("operation",)

    def __init__(self, operation: TimedOperation) -> None:
        super().__init__()
        self.operation: TimedOperation | None = operation


def enclosing() -> TimedOperation | None:
    """Return the innermost operation that this code belongs to and that goes on."""
    scope = current.get()
    return scope.operation if isinstance(scope, _OperationScope) else None


def _wants_each() -> bool:
    """Return whether a logger may take that an operation has completed; each asks that."""
    global _logger  # noqa: PLW0603 - asked for once
    if alone() is None:
        return takes("operation_completed", "timeout")
    if _logger is None:
        if "logging" not in sys.modules:
            return False  # nobody has asked for more than warnings
        from logging import getLogger

        _logger = getLogger(area_of("timeout"))
    return _logger.isEnabledFor(DEBUG)


class TimedOperation(Whole):
    """An operation with a deadline that can be cancelled; ``TimeoutManager.operation`` makes one.

    It is used once, in one of these ways::

        operation.call(fetch, url)          # or: await operation.acall(fetch, url)
        with operation: ...                 # or: async with
        operation.begin(); ...; operation.complete()

    In a task, the deadline and ``cancel`` end the operation at once. In a thread they are
    cooperative: waits of holdfast and ``check_deadline()`` end it. Where it ends, a cancelled
    operation raises ``OperationCancelledError``. One that comes to its end in spite of that keeps
    its result. Inside of a cancelled operation, code that runs in a thread gets an exception that
    is no ``Exception``, so that no policy and no ``except Exception`` takes it for a failure.

    Attributes:
        kind: The type of the operation, such as "api_call".
        id: Its identifier, which no other active operation of the manager has.
        timeout: Seconds that it may take.

    Any thread may look at it and cancel it; the other methods are for the code that runs it.
    """

    __slots__ = (
        "__weakref__",
        "_began_ns",
        "_cancelling",
        "_children",
        "_deadline_ns",
        "_ended_ns",
        "_fired",
        "_loop",
        "_manager",
        "_overran",
        "_parent",
        "_permit",
        "_policy",
        "_scope",
        "_stack",
        "_state",
        "_task",
        "_token",
        "id",
        "kind",
        "timeout",
    )

    def __init__(
        self,
        manager: Manager,
        kind: str,
        operation_id: str,
        policy: Timeout,
        parent: TimedOperation | None,
    ) -> None:
        self.kind = kind
        self.id = operation_id
        self.timeout = policy.duration
        self._manager = manager
        self._policy = policy
        self._parent = parent
        self._scope = _OperationScope(self)
        self._children: dict[TimedOperation, None] = {}
        self._state = _NEW
        self._began_ns = self._deadline_ns = self._ended_ns = 0
        self._token: Token[Scope | None] | None = None
        self._stack: Any = None  # of the block that it is
        self._permit: Permit | None = None  # of one that is begun by hand
        self._loop: AbstractEventLoop | None = None
        self._task: ref[Task[Any]] | None = None
        self._cancelling = 0
        self._fired = False  # the task was asked to end
        self._overran = False  # it ended with the error of a deadline

    # ---- what anybody may ask ----

    @property
    def active(self) -> bool:
        """Whether it has begun and not ended."""
        return self._state == _ACTIVE

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled while it was active."""
        return self._scope.is_cut

    @property
    def parent(self) -> TimedOperation | None:
        """The operation that it is a part of, whose deadline and cancellation are also its own."""
        return self._parent

    @property
    def elapsed(self) -> float:
        """Seconds since it began, until its end; 0.0 before its begin."""
        if self._state == _NEW:
            return 0.0
        until = self._ended_ns if self._state == _ENDED else self._policy._clock.now_ns()
        return max(0.0, (until - self._began_ns) / 1e9)

    @property
    def remaining(self) -> float:
        """Seconds until its deadline or that of a parent; 0.0 afterwards and if it is cancelled."""
        if self._state == _NEW:
            return self.timeout
        if self._scope.is_cut or self._state == _ENDED:
            return 0.0
        return max(0, self._left_ns()) / 1e9

    def cancel(self) -> bool:
        """Cancel it, and all operations that are parts of it.

        Returns:
            Whether it was active and not cancelled before.
        """
        manager = self._manager
        with manager._locked():
            if self._state != _ACTIVE or self._scope.is_cut:
                return False
            manager._count_cancelled()
            self._scope.is_cut = True
            parts = list(self._children)
        for part in parts:
            part.cancel()
        self._scope.cut()
        if self._loop is not None:
            self._ask_task()
        elif self._permit is not None:
            self._finish_by_hand(late=False)
        manager._say("operation_cancelled", self, "was cancelled")
        return True

    def check(self) -> None:
        """Raise if it was cancelled or its time is over; for loops in synchronous code.

        Raises:
            DeadlineExceededError: Its deadline, or that of a parent, has passed.
            OperationCancelledError: It was begun by hand and then cancelled.
            Cancelled: It was cancelled, and runs in this thread.
        """
        if self._scope.is_cut and self._permit is not None:
            raise self._error()
        self._scope.check()
        if self._state != _NEW and (left_ns := self._left_ns()) <= 0:
            raise self._policy._exceeded(-left_ns, True)

    # ---- how it is run ----

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` as this operation, in this thread.

        Raises:
            DeadlineExceededError: It took too long; its value is dropped.
            OperationCancelledError: It was cancelled.
            ConfigError: An active operation has the same identifier.
            RuntimeError: It has been used before.
            TypeError: ``fn`` is a coroutine function; use ``acall``.
        """
        self._begin()
        try:
            around = self._time_of_parent()
            if around is None:
                return self._policy.call(fn, *args, **kwargs)
            return around.call(self._policy.call, fn, *args, **kwargs)
        except DeadlineExceededError:
            self._overran = True
            raise
        except Cancelled as cut:
            if self._is_cut_alone():
                raise self._error() from cut
            raise
        finally:
            self._end()

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn`` as this operation, in this task; raises what ``call`` raises."""
        self._begin()
        error: BaseException | None = None
        try:
            self._watch_task()
            around = self._time_of_parent()
            if around is None:
                return await self._policy.acall(fn, *args, **kwargs)
            return await around.acall(self._policy.acall, fn, *args, **kwargs)
        except BaseException as raised:
            error = raised
            self._overran = isinstance(raised, DeadlineExceededError)
            if self._close_task(raised):
                raise self._error() from raised
            raise
        finally:
            if error is None:
                self._close_task(None)
            error = None
            self._end()

    def __enter__(self) -> Self:
        self._begin()
        stack = ExitStack()
        try:
            if (around := self._time_of_parent()) is not None:
                stack.enter_context(around)
            stack.enter_context(self._policy)
        except BaseException:
            stack.close()
            self._end(is_told=False)
            raise
        self._stack = stack
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, None
        self._overran = isinstance(error, DeadlineExceededError)
        try:
            stack.__exit__(cls, error, traceback)
            if isinstance(error, Cancelled) and self._is_cut_alone():
                raise self._error() from error
        except DeadlineExceededError:
            self._overran = True
            raise
        finally:
            self._end()

    async def __aenter__(self) -> Self:
        self._begin()
        stack = AsyncExitStack()
        try:
            self._watch_task()
            if (around := self._time_of_parent()) is not None:
                await stack.enter_async_context(around)
            await stack.enter_async_context(self._policy)
        except BaseException:
            await stack.aclose()
            self._close_task(None)
            self._end(is_told=False)
            raise
        self._stack = stack
        return self

    async def __aexit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, None
        self._overran = isinstance(error, DeadlineExceededError)
        closed = False
        try:
            try:
                await stack.__aexit__(cls, error, traceback)
            except DeadlineExceededError:
                self._overran = True
                raise
            finally:
                closed = self._close_task(error)
            if closed:
                raise self._error() from error
        finally:
            self._end()

    def begin(self) -> Self:
        """Begin it by hand; ``complete`` ends it, in whatever thread.

        Its deadline is not that of the code between the two: ask ``remaining``, or call ``check``.
        One that is not completed by its deadline is forgotten, and counted as expired.

        Raises:
            OperationCancelledError: Its parent was cancelled.
            ConfigError: An active operation has the same identifier.
            RuntimeError: It has been used before.
        """
        self._begin(by_hand=True)
        try:
            self._permit = self._policy._permit()
        except BaseException:
            self._end(is_told=False)
            raise
        if self._scope.is_cut:  # by another thread, before there was a permit
            self._finish_by_hand(late=False)
        return self

    def complete(self) -> bool:
        """End one that was begun by hand.

        Returns:
            Whether it was active, not cancelled, and in time.

        Raises:
            RuntimeError: It was not begun by hand.
        """
        if self._permit is None:
            raise RuntimeError(
                f"operation {self.id!r} was not begun by hand: its end is that of its code"
            )
        if self._state != _ACTIVE or self._scope.is_cut:
            return False
        return self._finish_by_hand(late=self._left_ns() <= 0)

    def __repr__(self) -> str:
        state = ("new", "active", "ended")[self._state]
        if self._scope.is_cut:
            state += ", cancelled"
        return f"<TimedOperation {self.kind!r} {self.id!r} {state}>"

    # ---- its begin and its end ----

    def _begin(self, *, by_hand: bool = False) -> None:
        scope = current.get()
        if scope is not None:
            scope.check()
        manager, parent = self._manager, self._parent
        manager._make_room(self.id)
        with manager._locked():
            if self._state != _NEW:
                raise RuntimeError(f"operation {self.id!r} was used before: make another one")
            if parent is not None and parent._scope.is_cut:
                raise parent._error()
            manager._enter(self)
            self._state = _ACTIVE
            self._began_ns = self._policy._clock.now_ns()
            duration_ns = self._policy._kernel.duration_ns()
            self.timeout = duration_ns / 1e9
            self._began_ns = self._policy._clock.now_ns()
            self._deadline_ns = self._began_ns + duration_ns
            if parent is not None and parent._state == _ACTIVE:
                parent._children[self] = None
        if not by_hand:
            self._token = current.set(self._scope)

    def _end(self, *, is_told: bool = True) -> bool:
        """Be active no longer; return whether it was."""
        with self._manager._locked():
            if self._state != _ACTIVE:
                return False
            self._state = _ENDED
            self._ended_ns = self._policy._clock.now_ns()
            self._scope.is_over = True
            self._scope.operation = None
            if self._parent is not None:
                self._parent._children.pop(self, None)
            self._manager._leave(self)
        token, self._token = self._token, None
        if token is not None:
            with suppress(ValueError):  # a block that ends in another context
                current.reset(token)
        if is_told and not self._scope.is_cut:
            if self._overran and self._left_ns() <= 0:  # and not something inside of it alone
                self._manager._say("operation_timed_out", self, "timed out")
            elif _wants_each():
                self._manager._say("operation_completed", self, "completed")
        return True

    def _finish_by_hand(self, *, late: bool) -> bool:
        """End one that was begun by hand; only the first of several who try does it."""
        permit = self._permit
        self._overran = late
        if not self._end():
            return False
        assert permit is not None
        try:
            if self._scope.is_cut:
                permit.ignore()
            else:
                permit.success()
        except DeadlineExceededError:
            return False
        return not late and not self._scope.is_cut

    def _expire(self) -> None:
        """Forget one that was begun by hand, if its time is over."""
        if self._permit is not None and self._state == _ACTIVE and self._left_ns() <= 0:
            self._finish_by_hand(late=True)

    def _left_ns(self) -> int:
        """Return how long it has until its deadline, or that of a parent."""
        left_ns: int = self._deadline_ns - self._policy._clock.now_ns()
        parent = self._parent
        return left_ns if parent is None else min(left_ns, parent._left_ns())

    def _time_of_parent(self) -> Timeout | None:
        """Return what limits it to the time its parent has, unless that is in force here."""
        parent = self._parent
        if parent is None:
            return None
        left_ns = parent._left_ns()
        if left_ns >= self._policy._kernel.duration_ns():
            return None
        here_ns = within_deadline_ns(None)
        if here_ns is not None and here_ns <= left_ns:
            return None
        if left_ns <= 0:
            raise parent._policy._exceeded(-left_ns, True)
        return Timeout(max(left_ns, 1000) / 1e9, clock=self._policy._clock)

    def _error(self) -> OperationCancelledError:
        return OperationCancelledError(self.kind, self.id, self.elapsed)

    def _is_cut_alone(self) -> bool:
        """Return whether it was cancelled, and nothing that it is inside of in this context."""
        token = self._token
        outer = None if token is None else token.old_value
        return self._scope.is_cut and not (isinstance(outer, Scope) and outer.is_in_force())

    # ---- its task ----

    def _watch_task(self) -> None:
        if "asyncio" not in sys.modules:
            return
        from asyncio import current_task

        try:
            task = current_task()
        except RuntimeError:  # another library's task: its timeouts say that they cannot cut it
            return
        if task is not None:
            self._task = ref(task)
            self._cancelling = task.cancelling()
            self._loop = task.get_loop()
            if self._scope.is_cut:  # between its begin and this
                self._ask_task()

    def _ask_task(self) -> None:
        """Have the task end, from any thread; never while it runs, or a later wait would end."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._ring, context=Context())

    def _ring(self) -> None:
        task = None if self._task is None else self._task()
        if self._state == _ACTIVE and not self._fired and task is not None:
            self._fired = True
            task.cancel()

    def _close_task(self, error: BaseException | None) -> bool:
        """Return whether ``error`` is of its own cancellation, and of nothing else's."""
        task = None if self._task is None else self._task()
        self._task = self._loop = None
        left = self._cancelling
        if self._fired and task is not None:
            left = task.uncancel()
        fired, self._fired = self._fired, False
        if isinstance(error, Cancelled):  # it has checked, before the loop could end its wait
            return self._is_cut_alone()
        if not fired:
            return False
        from asyncio import CancelledError

        return left <= self._cancelling and isinstance(error, CancelledError)
