"""Clean-ups: each once, outside every lock, within a time limit, in threads of their own.

They run one after the other, in the order that is given. The next one begins beside one that takes
long, so that a clean-up that hangs delays the others by little. One that takes too long is given
up: its thread goes on alone. What a clean-up returns is awaited, in the event loop that it belongs
to or in one of its own. A method of a task, a transport or a timer of asyncio is called in the
thread of its event loop. Elsewhere: who has to be cleaned (``cleanups``), and a single clean-up in
the thread of whoever asks for it (``cleanup_here``).
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import partial

from holdfast.clock import system_clock
from holdfast.events import warn
from holdfast.locks import RLock
from holdfast.redaction import describe_error
from holdfast.resources.awaited import Awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections import deque
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any, Protocol

    from holdfast.resources.resource import Resource
    from holdfast.waiting.daemons import DaemonThreads

    class Owner(Protocol):
        """The manager, as far as it is of use here."""

        _rounds: dict[Awaited, None]
        _stuck: set[int]  # threads of clean-ups that were given up

        @property
        def _limit_ns(self) -> int: ...
        def _threads(self) -> DaemonThreads: ...
        def _has_cleaned(self, resource: Resource, error: str | None) -> None: ...


__all__ = ["Round", "is_within", "loop_of", "needs_await", "running_loop", "swap_within", "within"]

_NOBODY = "a listener of a clean-up raised %r in a thread that nobody waits for"
_MOST_ACTIVE = 32
_LEAST_PACE_NS = 1_000_000
_MOST_PACE_NS = 1_000_000_000
_LATE_NS = 250_000_000  # a look that is later shows that this process did not run

# The managers whose clean-ups this code belongs to, and single clean-ups.
_within: ContextVar[tuple[object, ...]] = ContextVar("holdfast.resources", default=())


def is_within(owner: object) -> bool:
    """Return whether this code belongs to a clean-up of a manager."""
    return any(one is owner or (isinstance(one, Awaited) and one.is_of(owner)) for one in within())


def within() -> tuple[object, ...]:
    """Return the managers, and the single clean-ups, that this code belongs to."""
    return _within.get()


def swap_within(old: tuple[object, ...], new: tuple[object, ...]) -> None:
    """Have this code belong to other clean-ups, if it belongs to these very ones."""
    if _within.get() is old:
        _within.set(new)


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that runs here, without importing asyncio."""
    find = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return None if find is None else find()


class _Job:
    """One clean-up.

    Attributes:
        began_ns: When it began.
        has_ended: Whether it was not given up before its end.
        is_slow: Whether the next one has begun beside it.
        is_late: Whether it was given up.
        future: Of what it calls or awaits in another event loop.
        thread: The thread that it runs in.
    """

    __slots__ = ("began_ns", "future", "has_ended", "is_late", "is_slow", "resource", "thread")

    resource: Resource

    def __init__(self) -> None:
        self.began_ns = system_clock.now_ns()
        self.has_ended = False
        self.is_slow = False
        self.is_late = False
        self.future: Future[Any] | None = None
        self.thread = threading.get_ident()


class Round(Awaited):
    """Several clean-ups, from the first to the last.

    One thread or task drives it, and others may wait for its end.

    Attributes:
        queue: What has not begun.
        failures: How many have raised or were given up.

    Args:
        owner: Its manager, which is told of each end.
        queue: What is to be cleaned, in this order; it is taken from there.
        budget_ns: In what time all should be done: the next begins beside one that takes a good
            part of it.
        context: What each runs in, one after the other; None: each in a new one.
    """

    def __init__(
        self,
        owner: Owner,
        queue: deque[Resource],
        budget_ns: int,
        context: Context | None = None,
    ) -> None:
        super().__init__()
        self._owner = owner
        self._context = context
        self._pool = owner._threads()
        self._lock = RLock()
        self.queue = queue
        self._running: dict[_Job, None] = {}
        self._quick = 0  # workers, without those whose clean-up is slow
        self._until_ns = system_clock.now_ns() + budget_ns
        self._planned_ns: int | None = None
        self.failures = 0
        self._chain = (*within(), owner)
        self._blocked: AbstractEventLoop | None = None  # whose thread drives this, and waits
        self._is_in_the_way = False  # that thread: what its event loop has to await waits for it

    @property
    def is_over(self) -> bool:
        """Whether every clean-up has ended or was given up."""
        return not self.queue and not self._running

    # ---- who drives it, and who waits ----

    def drive(self, timeout_ns: int | None = None) -> bool:
        """Run all; return whether they have ended.

        After a timeout another thread goes on; also once one has to be awaited in the event loop of
        this thread.
        """
        self._blocked = running_loop()
        if self._blocked is not None:
            self._call_here(self._blocked)
        began_ns = system_clock.now_ns()
        try:
            self._park(partial(self._look, timeout_ns, began_ns, blocks=self._blocked is not None))
        finally:
            if not self.is_over:
                self.leave()
        return self.is_over

    async def adrive(self, timeout_ns: int | None = None) -> bool:
        """Run all as ``drive`` does; the event loop goes on meanwhile."""
        began_ns = system_clock.now_ns()
        try:
            await self._apark(partial(self._look, timeout_ns, began_ns, blocks=False))
        finally:
            if not self.is_over:
                self.leave()
        return self.is_over

    def _call_here(self, loop: AbstractEventLoop) -> None:
        """Call what belongs to an event loop in its thread, which is this one and will wait."""
        for resource in list(self.queue):
            if loop_of(resource._cleanup, resource._loop) is not loop:
                continue
            job = _Job()
            job.resource = resource
            self._running[job] = None  # first, as in _take()
            try:
                self.queue.remove(resource)
                self._report(job, Context().run(self._run, job))
            finally:
                del self._running[job]

    def leave(self) -> None:
        """Have another thread drive it to its end."""
        self._blocked = None
        with suppress(RuntimeError):  # no thread can be started: the process ends
            Context().run(self._pool.submit, self._go_on)

    def _go_on(self) -> None:
        try:
            self.drive()
        except BaseException as raised:  # noqa: BLE001 - of a listener: nobody has called it
            warn(_NOBODY, raised)

    def _look(self, timeout_ns: int | None, began_ns: int, *, blocks: bool) -> int | None:
        """Do what is due; return how long to wait before the next look, 0: no longer."""
        step_ns = self._step()
        left_ns = self._left(timeout_ns, began_ns)
        if blocks and self._is_in_the_way:
            return 0
        return step_ns if left_ns is None else min(left_ns, step_ns)

    # ---- what the driver does ----

    def _step(self) -> int:
        """Begin what can begin, and give up what takes too long.

        Returns:
            How long to wait before the next look, at least a nanosecond.
        """
        late, needs_worker = [], False
        with self._lock:
            now_ns = self._forgive(system_clock.now_ns())
            limit_ns = self._owner._limit_ns
            pace_ns = self._pace_ns(now_ns)
            next_ns = now_ns + min(pace_ns, limit_ns // 10)  # one may begin in the next moment
            for job in list(self._running):
                took_ns = now_ns - job.began_ns
                may_go_beside = took_ns >= pace_ns and len(self._running) < _MOST_ACTIVE
                if not job.is_slow and (may_go_beside or took_ns >= limit_ns):
                    job.is_slow = True
                    self._quick -= 1
                if took_ns >= limit_ns:
                    del self._running[job]
                    if not job.has_ended:  # else those hang who are told of its end
                        job.is_late = True
                        self._owner._stuck.add(job.thread)
                        late.append(job)
                else:
                    next_ns = min(next_ns, job.began_ns + limit_ns)
            if self.queue and self._quick <= 0:
                needs_worker = not self._hire()
            elif not self.queue and self._running:
                next_ns = min(job.began_ns for job in self._running) + limit_ns
            self._planned_ns = next_ns
        interruption = None
        for job in late:
            try:
                self._give_up(job, limit_ns)
            except BaseException as raised:  # noqa: BLE001 - of a listener: raised after the others
                interruption = raised
        self._tell()
        if interruption is not None:
            raise interruption
        if needs_worker:
            self._work()
        return max(1, next_ns - now_ns)

    def _forgive(self, now_ns: int) -> int:
        """Give what runs more time if this process did not run meanwhile; return the time."""
        planned_ns = self._planned_ns
        if planned_ns is not None and now_ns - planned_ns > _LATE_NS:
            for job in self._running:
                job.began_ns += now_ns - planned_ns
        return now_ns

    def _pace_ns(self, now_ns: int) -> int:
        share_ns = (self._until_ns - now_ns) // (2 * len(self.queue) + 2)
        return min(max(share_ns, _LEAST_PACE_NS), _MOST_PACE_NS)

    def _hire(self) -> bool:
        """Have a worker; return whether it has a thread, or this one has to work."""
        has_thread = True
        try:
            # A thread may keep the context it is started in for its life.
            Context().run(self._pool.submit, self._work)
        except RuntimeError:  # no thread can be started, as when the interpreter ends
            has_thread = False
        self._quick += 1  # last: Ctrl-C before this only means one worker more
        return has_thread

    def _give_up(self, job: _Job, limit_ns: int) -> None:
        if job.future is not None:
            job.future.cancel()
        self._report(job, f"it took longer than {limit_ns / 1e9:g} s")

    def _report(self, job: _Job, error: str | None) -> None:
        if error is not None:
            with self._lock:
                self.failures += 1
        outer = _within.set(self._chain)  # listeners may stop the manager, as clean-ups may
        try:
            self._owner._has_cleaned(job.resource, error)
        finally:
            _within.reset(outer)

    def _tell(self) -> None:
        if self.is_over:
            self._owner._rounds.pop(self, None)
            self._wake()

    # ---- in a worker ----

    def _work(self) -> None:
        while (job := self._take()) is not None:
            error = (self._context or Context()).run(self._run, job)
            with self._lock:
                job.has_ended = not job.is_late
                self._owner._stuck.discard(job.thread)
            if job.has_ended:
                try:
                    self._report(job, error)
                except BaseException as raised:  # noqa: BLE001 - of a listener: nobody has called it
                    warn(_NOBODY, raised)
            with self._lock:
                self._running.pop(job, None)
            self._tell()
            if job.is_slow:  # another worker goes on
                return

    def _take(self) -> _Job | None:
        with self._lock:
            if not self.queue:
                self._quick -= 1
                return None
            job = _Job()
            self._running[job] = None  # first: is_over is asked without the lock
            job.resource = self.queue.popleft()
            return job

    def _run(self, job: _Job) -> str | None:
        """Run a clean-up; return why it failed, or None."""
        _within.set(self._chain)
        cleanup = job.resource._cleanup
        if cleanup is None:
            return None
        try:
            loop = loop_of(cleanup, job.resource._loop)
            if loop is None or loop is running_loop() or not loop.is_running():
                result: Any = cleanup()
            else:
                result = self._call_in(loop, job, cleanup)
            if needs_await(result):
                self._finish(job, result)
        except BaseException as raised:  # noqa: BLE001 - the user's code: counted and logged
            name, text = describe_error(raised)
            return f"{name}: {text}" if text else name
        return None

    def _call_in(self, loop: AbstractEventLoop, job: _Job, cleanup: Callable[[], object]) -> Any:
        """Call a clean-up in the thread of an event loop, and return what it returns."""
        from concurrent.futures import Future

        future: Future[Any] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return  # it was given up
            try:
                future.set_result(cleanup())
            except BaseException as raised:  # noqa: BLE001 - raised again in the thread that waits
                future.set_exception(raised)

        job.future = future
        loop.call_soon_threadsafe(call)
        return future.result()

    def _finish(self, job: _Job, result: Any) -> None:
        """Await what a clean-up has returned."""
        import asyncio

        loop = job.resource._loop
        if loop is not None and loop.is_running():
            if loop is self._blocked:
                self._is_in_the_way = True
                self._wake()
            coroutine = _awaiting(result, self._chain)
            try:
                job.future = asyncio.run_coroutine_threadsafe(coroutine, loop)
            except RuntimeError:  # it was closed since
                coroutine.close()
            else:
                self._await_future(job.future)
                return
        asyncio.run(_within_limit(result, self._owner._limit_ns / 1e9))

    def _await_future(self, future: Future[Any]) -> None:
        from concurrent.futures import CancelledError

        try:
            future.result()
        except CancelledError:  # a loop that ends cancels its tasks
            raise RuntimeError("it was cancelled, as by the end of its event loop") from None


_ITERABLE_COROUTINE = 0x100  # a code flag: of types.coroutine
_ASYNCIO = frozenset(("asyncio", "_asyncio", "uvloop"))


def needs_await(result: Any) -> bool:
    """Return whether what a clean-up has returned has to be awaited.

    Raises:
        TypeError: It is a generator, of which nothing has run.
    """
    if hasattr(result, "__await__"):
        return True
    code = getattr(result, "gi_code", None) or getattr(result, "ag_code", None)
    if code is None:
        return False
    if code.co_flags & _ITERABLE_COROUTINE:
        return True
    raise TypeError("it returned a generator, of which nothing has run")


def loop_of(cleanup: Any, loop: AbstractEventLoop | None) -> AbstractEventLoop | None:
    """Return the event loop in whose thread a clean-up has to be called; None: in any thread.

    A method of a task, transport, server or timer does not wait, and wakes its event loop only in
    that loop's own thread.

    Args:
        cleanup: The clean-up.
        loop: The event loop that registered it.
    """
    while isinstance(cleanup, partial):
        cleanup = cleanup.func
    owner = getattr(cleanup, "__self__", None)
    if owner is None:  # most are functions
        return None
    bases = type(owner).__mro__
    if not any(base.__module__.partition(".")[0] in _ASYNCIO for base in bases):
        return None
    find = getattr(owner, "get_loop", None)
    return loop if find is None else find()


async def _awaiting(result: Any, chain: tuple[object, ...]) -> None:
    _within.set(chain)
    await result


async def _within_limit(result: Any, seconds: float) -> None:
    from asyncio import timeout

    async with timeout(seconds):
        await result
