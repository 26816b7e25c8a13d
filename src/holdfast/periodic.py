"""The one background loop: a function that is called again and again, in a thread or a task.

Everything in holdfast that runs by itself runs here. Owns when a tick is due, that no two ticks
overlap, and the end of the loop. Elsewhere: the threads (``waiting.timer_threads``), and the waits
of tasks (``waiting.aio``).
"""

from __future__ import annotations

import atexit
import sys
import threading
from contextvars import Context, ContextVar

from holdfast._native.random import Random
from holdfast.clock import ManualClock, read_clock, system_clock
from holdfast.forks import call_in_child, settle
from holdfast.life import Life
from holdfast.seeds import fresh_seed
from holdfast.validation import Problems, answers_at_once, wait_to_ns
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.timer_threads import TimerThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.waiting.aio import TaskWaiter

__all__ = ["Periodic"]

LEAST_NS = 1_000_000
_AGAIN_NS = 1_000_000_000  # after a tick that was to say when the next is due, and raised
_NEVER_NS = 1 << 62
_CO_GENERATOR = 0x20 | 0x200  # code flags of generator functions of both kinds

_threads = TimerThreads()
# The tick that this code belongs to, also in the threads and tasks that a tick has made.
_here: ContextVar[object] = ContextVar("holdfast.tick", default=None)


class Periodic(Life):
    """Calls a function at once when it is started, and then once an interval.

    Ticks never overlap. The times of the ticks are fixed when the loop starts, so they do not
    drift. Times that pass during a tick are missed, and are not made up. An exception from the
    function is counted, and logged if the tick before has not raised one of the same class; the
    loop goes on.

    ``start`` runs the ticks in a thread. All loops of the process share few threads; a tick that
    takes long delays the ticks of other loops by 50 ms at most. On a ``ManualClock`` no thread is
    needed: the ticks run in the thread that starts the loop, wakes it or advances the clock.
    ``astart`` runs the ticks in a task of the running event loop. Ticks in a thread run in a new
    context of context variables. A forked child runs none of its parent's loops.

    Args:
        tick: What is called, without arguments. It may be a coroutine function if the loop is
            started with ``astart``.
        interval: Seconds from one tick to the next, from a millisecond to a hundred years. None:
            each tick returns when the next is due, as a time of the clock in nanoseconds, or None
            if none is due before ``wake``. After a tick that raised, one is due a second later.
        name: For messages and logs.
        clock: The source of time; use a ``ManualClock`` in tests.
        jitter: The share of the interval, 0 to 1, by which a tick may be delayed at random, so
            that many processes do not do the same at the same time. The first tick is not
            delayed, and the average interval stays the same.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    A running loop is kept alive, and so is everything that its tick refers to. Safe to share
    between threads and event loops.

    >>> from holdfast import ManualClock
    >>> clock = ManualClock()
    >>> with Periodic(lambda: print(clock.now()), 10, name="example", clock=clock):
    ...     clock.advance(25)
    0.0
    10.0
    20.0
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_failing",
        "_failures",
        "_interval_ns",
        "_jitter",
        "_late_ns",
        "_missed",
        "_name",
        "_random",
        "_run",
        "_tick",
        "_ticking",
        "_ticks",
    )

    def __init__(
        self,
        tick: Callable[[], object],
        interval: float | timedelta | None,
        *,
        name: str,
        clock: Clock | None = None,
        jitter: float = 0.0,
    ) -> None:
        problems = Problems("Periodic", name)
        given: object = tick
        if not callable(given) or _is_generator_function(given):
            problems.refuse("tick", tick, "a callable that is not a generator function")
        self._tick = tick
        interval_ns = problems.duration("interval", interval, least_ns=LEAST_NS, none=True)
        self._interval_ns = interval_ns or 0  # 0: the ticks say when the next is due
        self._name = problems.name(name)
        self._clock = read_clock(problems, clock)
        self._jitter = problems.fraction("jitter", jitter)
        if self._jitter and interval is None:
            problems.refuse("jitter", jitter, "0 where the ticks say when the next is due")
        problems.done()
        self._random = Random(fresh_seed(), seeded=False) if self._jitter else None
        self._run: _Run | None = None
        self._ticking: _Ticking | None = None
        self._ticks = self._failures = self._missed = self._late_ns = 0
        self._failing: type | None = None  # the class of what the last tick raised

    @property
    def name(self) -> str:
        """The name, for messages and logs."""
        return self._name

    @property
    def interval(self) -> float | None:
        """Seconds from one tick to the next; None if the ticks say when the next is due."""
        return self._interval_ns / 1e9 if self._interval_ns else None

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        with _lock():
            return self._live_run() is not None

    @property
    def ticks(self) -> int:
        """How many ticks have ended, those that raised included."""
        return self._ticks

    @property
    def failures(self) -> int:
        """How many ticks have raised an exception."""
        return self._failures

    @property
    def missed(self) -> int:
        """How many ticks were left out because an earlier tick, or the process, was late."""
        return self._missed

    @property
    def lateness(self) -> float:
        """How many seconds after its time the newest tick began.

        A tick that is late by much shows that its thread, its event loop or the whole process did
        not run: what the tick measures then says little about what it measures.
        """
        return self._late_ns / 1e9

    def start(self) -> None:
        """Run the ticks in a thread, the first at once. A loop that runs already goes on.

        Raises:
            TypeError: The tick is a coroutine function; use ``astart``.
            RuntimeError: No thread can be started.
        """
        if not answers_at_once(self._tick):
            raise TypeError(
                f"Periodic {self._name!r}: the tick is a coroutine function, which needs a task:"
                " use 'await astart()' or 'async with'"
            )
        run: _Run
        with _lock():
            if self._live_run() is not None:
                return
            manual = isinstance(self._clock, ManualClock)
            run = self._run = _ManualRun(self) if manual else _ThreadRun(self)
        try:
            run.kick()
        except BaseException:  # no thread can be started, or Ctrl-C in the first tick
            with _lock():
                run.end()
            raise

    async def astart(self) -> None:
        """Run the ticks in a task of the running event loop. A loop that runs already goes on."""
        from holdfast.waiting.foreign import loop_here

        loop = loop_here(self, "start()")
        with _lock():
            if self._live_run() is not None:
                return
            self._run = run = _TaskRun(self, loop)
        run.begin()  # without the lock: an eager task runs the first tick here

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """End the loop: begin no further tick, and wait until a tick that runs has ended.

        It may be called from anywhere, any number of times. It does not wait in the tick itself,
        in the thread of the event loop that runs the ticks, and in a signal handler that
        interrupts code of a loop.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits. A tick
                in a task is cancelled after nine tenths of them.

        Returns:
            Whether no tick runs any more, except the tick that calls this. A tick that still runs
            after the timeout is logged.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        ending, ended = self._end(timeout)
        if ending is not None:
            ended = ending.wait()
            self._report_hanging(ending, ended)
        return ended

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """End the loop as ``stop`` does; the event loop goes on meanwhile."""
        ending, ended = self._end(timeout, in_task=True)
        if ending is not None:
            ended = await ending.wait_in_task()
            self._report_hanging(ending, ended)
        return ended

    def wake(self) -> None:
        """Have a tick run soon, besides those that are due; if one runs, another one after it.

        It returns without waiting. Several calls before a tick begins cause one tick. A loop that
        does not run stays as it is.
        """
        with _lock():
            run = self._live_run()
            if run is None:
                return
            run.wake()
            if self._ticking is not None:
                return  # the end of the tick will see it
        run.kick()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"Periodic({self._name!r}, interval={self.interval!r}, {state})"

    # ---- for the runs; those with the lock held say so ----

    def _live_run(self) -> _Run | None:
        """Return the run that goes on, if any; a forked child has none. The lock is held."""
        run = self._run
        if run is not None and not run.is_alive():
            run = self._run = None
        if self._ticking is not None and self._ticking.run.threads is not _threads:
            self._ticking = None
        return run

    def _end(
        self, timeout: float | timedelta, *, in_task: bool = False
    ) -> tuple[_Ending | None, bool]:
        """End the run.

        Returns:
            The wait for it, if there is to be one, and whether no tick runs.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        interrupts = _is_lock_held_here()
        with _lock():
            run = self._live_run()
            self._run = None
            if run is not None:
                run.end()
            if self._ticking is not None:  # perhaps of an earlier run
                run = self._ticking.run
            if run is None or (self._ticking is not None and self._ticking.is_here()):
                return None, True
            if timeout_ns == 0 or interrupts or not run.can_be_awaited(in_task):
                return None, not run.is_at_work()
        return _Ending(run, timeout_ns), False

    def _begin(self, run: _Run) -> _Ticking | None:
        """Begin a tick of a run; None if it was stopped or another tick has not ended."""
        with _lock():
            if self._live_run() is not run or self._ticking is not None:
                return None
            self._late_ns = max(0, self._clock.now_ns() - run.due_ns)
            run.woken = False
            self._ticking = ticking = _Ticking(run)
            return ticking

    def _finish(self, ticking: _Ticking, error: BaseException | None) -> None:
        """End a tick, and plan the next one."""
        is_news = False
        with _lock():
            if self._ticking is not ticking:  # in a forked child
                return
            self._ticking = None
            self._ticks += 1
            if error is not None:
                self._failures += 1
                is_news = self._failing is not type(error)
            self._failing = None if error is None else type(error)
            if self._live_run() is ticking.run:
                ticking.run.plan(ticking.next_ns if error is None else None)
            else:
                ticking.run.tell_watchers()
        if is_news:
            from logging import getLogger

            getLogger("holdfast").error(
                "the tick of periodic %r raised", self._name, exc_info=error
            )

    def _go_on(self) -> None:
        """After a tick: see to the next one of the run that goes on, perhaps a later run."""
        with _lock():
            run = None if self._ticking is not None else self._live_run()
        if run is not None:
            run.kick()

    def _report_hanging(self, ending: _Ending, ended: bool) -> None:
        if not ended:
            from logging import getLogger

            getLogger("holdfast").error(
                "periodic %r was stopped, but its tick still runs after %g s",
                self._name,
                (ending.timeout_ns or 0) / 1e9,
            )


class _Ticking:
    """One tick that runs.

    Attributes:
        next_ns: When it has said that the next is due, of a loop without an interval.
    """

    __slots__ = ("_thread", "next_ns", "run")

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.next_ns = _NEVER_NS
        # Asked of its module: for greenlets it answers otherwise once it was patched. Tasks share
        # the thread of their loop.
        self._thread = None if isinstance(run, _TaskRun) else threading.get_ident()

    def is_here(self) -> bool:
        """Return whether this code belongs to the tick, or has interrupted the thread of it."""
        return _here.get() is self or self._thread == threading.get_ident()

    def note(self, result: Any) -> None:
        """Note what the tick has returned.

        Raises:
            TypeError: It was to say when the next is due, and has not.
        """
        if self.run.owner._interval_ns or result is None:
            return
        if type(result) is not int:
            raise TypeError(
                f"a tick says when the next is due in whole nanoseconds, not with {result!r}"
            )
        self.next_ns = min(result, _NEVER_NS)


class _Run:
    """One time from a start to its stop.

    Attributes:
        due_ns: When the next tick is due.
        watchers: Who waits for its end.
        woken: Whether a tick was asked for that has not begun.
        threads: What it was started with: a forked child has another.
    """

    __slots__ = (
        "began_ns",
        "clock",
        "due_ns",
        "is_over",
        "owner",
        "planned_ns",
        "slot",
        "threads",
        "watchers",
        "woken",
    )

    def __init__(self, owner: Periodic) -> None:
        self.owner = owner
        self.clock = owner._clock
        self.threads = _threads
        self.watchers: dict[ThreadWaiter | TaskWaiter, None] | None = None
        self.began_ns = self.due_ns = self.planned_ns = self.clock.now_ns()
        self.slot = 0
        self.woken = False
        self.is_over = False

    # ---- the lock is held ----

    def is_alive(self) -> bool:
        """Return whether it goes on, in this process."""
        return not self.is_over and self.threads is _threads

    def is_at_work(self) -> bool:
        """Return whether a tick of it runs."""
        ticking = self.owner._ticking
        return ticking is not None and ticking.run is self

    def is_left(self) -> bool:
        """Return whether something of it has not ended: a tick, a thread or a task."""
        return self.is_at_work()

    def can_be_awaited(self, in_task: bool) -> bool:  # noqa: ARG002 - of tasks
        """Return whether its end can be awaited here, in a task or by blocking the thread."""
        return True

    def end(self) -> None:
        """Begin no further tick."""
        self.is_over = True

    def watch(self, waiter: ThreadWaiter | TaskWaiter) -> None:
        """Have somebody woken when a tick of it ends, or a thread."""
        if self.watchers is None:
            self.watchers = {}
        self.watchers[waiter] = self.threads.watchers[waiter] = None

    def unwatch(self, waiter: ThreadWaiter | TaskWaiter) -> None:
        """Wake somebody no more, as nobody waits."""
        if self.watchers is not None:
            self.watchers.pop(waiter, None)
        self.threads.watchers.pop(waiter, None)

    def tell_watchers(self) -> None:
        """Have everybody who waits for its end look again."""
        for waiter in list(self.watchers or ()):
            waiter.wake()

    def wake(self) -> None:
        """Have the next tick due now."""
        if not self.woken:
            self.woken = True
            now_ns = self.clock.now_ns()
            if self.owner._ticking is not None or self.due_ns > now_ns:
                self.due_ns = now_ns

    def plan(self, said_ns: int | None) -> None:
        """Choose the time of the next tick, after one has ended.

        Args:
            said_ns: When the tick has said that it is due; None: it has raised.
        """
        now_ns = self.clock.now_ns()
        if not self.owner._interval_ns:
            self.planned_ns = now_ns + _AGAIN_NS if said_ns is None else said_ns
        elif self.planned_ns <= now_ns:
            self._plan_slot(self.slot + 1)
            if self.planned_ns <= now_ns:
                slot = (now_ns - self.began_ns) // self.owner._interval_ns + 1
                self.owner._missed += slot - self.slot
                self._plan_slot(slot)
        if not self.woken:
            self.due_ns = self.planned_ns

    def _plan_slot(self, slot: int) -> None:
        owner = self.owner
        self.slot = slot
        self.planned_ns = self.began_ns + slot * owner._interval_ns
        if owner._random is not None:
            self.planned_ns += int(owner._random.unit() * owner._jitter * owner._interval_ns)

    # ---- the lock is not held ----

    def kick(self) -> None:
        """See to it that the next tick runs when it is due."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Cancel the tick that runs, where that is possible."""

    def tick(self) -> None:
        """Run a tick in this thread, if one may run."""
        owner = self.owner
        ticking = owner._begin(self)
        if ticking is None:
            return
        error: BaseException | None = None
        try:
            Context().run(_call, ticking, owner._tick)
        except Exception as raised:  # noqa: BLE001 - counted and logged; the loop goes on
            error = raised
        except BaseException as raised:
            error = raised
            raise
        finally:
            owner._finish(ticking, error)
            del error  # its traceback refers to this frame


class _ThreadRun(_Run):
    """Ticks in the threads that all loops share."""

    __slots__ = ()

    def is_left(self) -> bool:
        return self.is_at_work() or bool(self.threads.ending())

    def end(self) -> None:
        super().end()
        self.threads.drop(self)

    def is_wanted(self) -> bool:
        return self.is_alive()

    def kick(self) -> None:
        while True:
            due_ns = self.due_ns
            # The clock of the threads is the system's, and that of the loop may be another one.
            ahead_ns = max(0, due_ns - self.clock.now_ns())
            self.threads.put(self, system_clock.now_ns() + ahead_ns)
            if self.due_ns == due_ns:
                return  # else somebody has woken it meanwhile: this time may stand over his

    def run(self) -> None:
        try:
            self.tick()
        finally:
            self.owner._go_on()


class _ManualRun(_Run):
    """Ticks in whatever thread moves a manual clock."""

    __slots__ = ("_cancel_timer",)

    def __init__(self, owner: Periodic) -> None:
        super().__init__(owner)
        self._cancel_timer: Callable[[], object] | None = None

    def end(self) -> None:
        super().end()
        if self._cancel_timer is not None:
            self._cancel_timer()

    def kick(self) -> None:
        try:
            while self._is_due():
                self.tick()
        finally:
            with _lock():
                goes_on = self._goes_on()
            if goes_on:
                self._set_timer()
            else:
                self.owner._go_on()

    def _goes_on(self) -> bool:
        return self.owner._live_run() is self and self.owner._ticking is None

    def _is_due(self) -> bool:
        with _lock():
            return self._goes_on() and self.due_ns <= self.clock.now_ns()

    def _set_timer(self) -> None:
        clock = self.clock
        assert isinstance(clock, ManualClock)
        while True:
            due_ns = self.due_ns
            cancel = clock.call_at_ns(due_ns, self.kick) if due_ns < _NEVER_NS else _nothing
            with _lock():
                before, self._cancel_timer = self._cancel_timer, cancel
                if self.is_over:
                    cancel()
            if before is not None:
                before()
            if self.is_over or self.due_ns == due_ns:
                return  # as above


class _TaskRun(_Run):
    """Ticks in a task of an event loop."""

    __slots__ = ("_has_ended", "_loop", "_task", "_waiter")

    def __init__(self, owner: Periodic, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(owner)
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._waiter: TaskWaiter | None = None
        self._has_ended = False

    def is_alive(self) -> bool:
        return super().is_alive() and not self._loop.is_closed()

    def is_left(self) -> bool:
        return not self._has_ended and not self._loop.is_closed()

    def can_be_awaited(self, in_task: bool) -> bool:
        here = sys.modules["asyncio"]._get_running_loop()
        return self._loop.is_running() and (in_task or here is not self._loop)

    def end(self) -> None:
        super().end()
        self.kick()

    def kick(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            waiter.wake()

    def cancel(self) -> None:
        if self._task is not None and self.is_left():
            try:  # noqa: SIM105 - contextlib is not worth importing for one line
                self._loop.call_soon_threadsafe(self._task.cancel)
            except RuntimeError:
                pass  # the loop was closed since

    def begin(self) -> None:
        """Make the task."""
        # A task factory need not know the argument `context`; a task copies the current one.
        self._task = Context().run(
            self._loop.create_task, self._work(), name=f"holdfast-{self.owner._name}"
        )

    async def _work(self) -> None:
        from asyncio import sleep

        from holdfast.waiting.aio import TaskWaiter

        owner = self.owner
        try:
            while True:
                waiter = TaskWaiter()
                with _lock():
                    if owner._live_run() is not self:
                        return
                    self._waiter = waiter
                    is_free = owner._ticking is None
                    due_ns = self.due_ns
                    ahead_ns = due_ns - self.clock.now_ns()
                if ahead_ns > 0 or not is_free:
                    is_planned = is_free and due_ns < _NEVER_NS
                    await waiter.park(self.clock, ahead_ns if is_planned else None, due_ns)
                else:
                    await self._tick()
                    if self.woken:
                        await sleep(0)  # other tasks have their turn
        finally:
            with _lock():
                self.is_over = self._has_ended = True
                self.tell_watchers()
            owner._go_on()

    async def _tick(self) -> None:
        from asyncio import CancelledError, current_task

        owner = self.owner
        ticking = owner._begin(self)
        if ticking is None:
            return
        error: BaseException | None = None
        _here.set(ticking)
        try:
            result: Any = owner._tick()
            if hasattr(result, "__await__"):
                result = await result
            ticking.note(result)
        except Exception as raised:  # noqa: BLE001 - counted and logged; the loop goes on
            error = raised
        except CancelledError as raised:
            task = current_task()
            if task is None or task.cancelling():
                raise
            error = raised  # something that the tick has awaited was cancelled
        except BaseException as raised:
            error = raised
            raise
        finally:
            _here.set(None)
            owner._finish(ticking, error)
            del error


class _Ending:
    """A wait for what is left of a run.

    Attributes:
        timeout_ns: How long it may take, on the system's clock; None: as long as it takes.
    """

    __slots__ = ("_began_ns", "_hands", "_is_cancelled", "_now_ns", "_run", "timeout_ns")

    def __init__(self, run: _Run, timeout_ns: int | None) -> None:
        self.timeout_ns = timeout_ns
        self._run = run
        self._hands: dict[Any, None] = {}
        self._is_cancelled = False
        self._now_ns: Callable[[], int] = system_clock.now_ns
        self._began_ns = 0

    def wait(self) -> bool:
        """Wait in a thread; return whether no tick runs any more."""
        self._began_ns = self._now_ns()
        while True:
            waiter = ThreadWaiter()
            try:
                left_ns = self._look(waiter)
                if left_ns == 0:
                    return self._has_ended()
                waiter.park(system_clock, left_ns)
            finally:
                self._run.unwatch(waiter)

    async def wait_in_task(self) -> bool:
        """Wait in a task, on its loop's clock; return whether no tick runs any more."""
        from holdfast.waiting.aio import TaskWaiter, now_ns_of_loop

        self._now_ns = now_ns_of_loop
        self._began_ns = self._now_ns()
        while True:
            waiter = TaskWaiter()
            try:
                left_ns = self._look(waiter)
                if left_ns == 0:
                    return self._has_ended()
                await waiter.park(system_clock, left_ns)
            finally:
                self._run.unwatch(waiter)

    def _look(self, waiter: ThreadWaiter | TaskWaiter) -> int | None:
        """Return how long to wait before the next look: 0 if there is nothing to wait for."""
        run = self._run
        with _lock():
            run.watch(waiter)
            if not run.is_left():
                return 0
            for hand in run.threads.ending():
                self._hands[hand] = None
        if self.timeout_ns is None:
            return None
        past_ns = self._now_ns() - self._began_ns
        cancel_ns = self.timeout_ns * 9 // 10
        if past_ns < cancel_ns:
            return cancel_ns - past_ns
        if not self._is_cancelled:
            self._is_cancelled = True
            run.cancel()
        return max(0, self.timeout_ns - past_ns)

    def _has_ended(self) -> bool:
        for hand in self._hands:
            if hand.has_left:  # the thread is at its last instructions
                hand.thread.join(1.0)
        with _lock():
            return not self._run.is_at_work()


def _call(ticking: _Ticking, tick: Callable[[], object]) -> None:
    _here.set(ticking)
    result = tick()
    if hasattr(result, "__await__"):
        if hasattr(result, "close"):
            result.close()
        raise TypeError("the tick returned an awaitable, which needs a task: use 'await astart()'")
    ticking.note(result)


def _nothing() -> None:
    """Cancel no timer."""


def _is_generator_function(tick: Any) -> bool:
    while not hasattr(tick, "__code__") and hasattr(tick, "func"):  # a partial
        tick = tick.func
    return any(
        bool(getattr(getattr(one, "__code__", None), "co_flags", 0) & _CO_GENERATOR)
        for one in (tick, type(tick).__call__)
    )


def _lock() -> Any:
    settle()
    return _threads.lock


def _is_lock_held_here() -> bool:
    """Return whether this code has interrupted other code of this thread that holds the lock."""
    held: bool = _threads.lock._is_owned()  # type: ignore[attr-defined]  # Condition asks it as well
    return held


def _forget() -> None:
    """In a forked child: run no loop of the parent's, with a lock that nobody holds."""
    global _threads  # noqa: PLW0603 - one for the process, and another for each child
    _threads = TimerThreads()


def _at_exit() -> None:
    _threads.close()


call_in_child(_forget)
atexit.register(_at_exit)
