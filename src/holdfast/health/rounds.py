"""One time from the start of a monitor to its stop: when its checks run, where, and for how long.

Plain checks run in a bounded number of threads, which take one run after the other from a queue,
so that many quick checks cost one wake-up of one thread. A run that does not end in time is given
up: its thread is replaced, and its result is dropped. Asynchronous checks are tasks of the event
loop that the monitor was started in; without one they run in the threads. On a manual clock
everything runs in the thread that advances it.

All state is guarded by the lock of the monitor, under which nothing of a user's runs. Elsewhere:
what becomes of the results (``monitor``).
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import partial
from heapq import heapify, heappop, heappush
from types import coroutine

from holdfast._native.gate import _under_deadline
from holdfast.clock import ManualClock, system_clock
from holdfast.errors import DeadlineExceededError
from holdfast.events import warn
from holdfast.health.breakers import NOTHING
from holdfast.health.composite import CompositeCheck
from holdfast.health.pulse import LoopPulse, ThreadPulse, judge
from holdfast.health.result import CheckResult, failed_by
from holdfast.health.schedule import SHARE_NS, early_ns, slot_after_ns
from holdfast.health.turns import Countdown, Run, Turn
from holdfast.periodic import Periodic
from holdfast.waiting.daemons import DaemonThreads
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Generator, Iterable
    from typing import Any, Protocol

    from holdfast._native.random import Random
    from holdfast.clock import Clock
    from holdfast.health.check import Check
    from holdfast.health.turns import Watched
    from holdfast.locks import RLock
    from holdfast.waiting.aio import TaskWaiter

    class Owner(Protocol):
        """The monitor, as far as it is of use here. Its lock is held but for the last four."""

        _lock: RLock
        _clock: Clock
        _random: Random
        _workers: int
        _checks: dict[str, Watched]
        _busy: dict[int, Run]
        _ending: list[Rounds]
        _has_news: bool

        @property
        def name(self) -> str: ...
        def _timeout_ns_of(self, check: Check) -> int: ...
        def _free(self, run: Run) -> None: ...
        def _go_on_with(self, rounds: Rounds) -> None: ...
        def _judge_later(self, turn: Turn) -> None: ...
        def _record(
            self, watched: Watched, result: CheckResult, began_ns: int, took_ns: int, now_ns: int
        ) -> None: ...
        def _weigh(
            self, run: Run, result: CheckResult, began_ns: int, ended_ns: int
        ) -> CheckResult: ...
        def _take_heard(self) -> list[tuple[Any, ...]] | None: ...
        def _tell_heard_in_thread(self, heard: list[tuple[Any, ...]]) -> None: ...
        def _see_to_news_in_thread(self) -> None: ...
        def _tell(self) -> None: ...
        def _tell_in_thread(self) -> None: ...


__all__ = ["Rounds", "is_within", "lateness_here"]

_QUICK_NS = 1_000_000  # a run that took no longer shares a thread with others
_PROGRESS_NS = 20_000_000  # how often the queue is looked at while runs wait in it
_JOIN_SECONDS = 1.0  # for a thread that is at its last instructions
_LOOK_NS = 500_000_000  # how often who waits sees whether the event loop still runs
_TASKS = 16  # so many tasks at one time for each worker
_GIVEN_UP = 4  # so many threads that were given up for each worker
_INTERRUPTED = CheckResult("unproven", "interrupted")

# The runs that this code belongs to, the innermost last.
_within: ContextVar[tuple[Run, ...]] = ContextVar("holdfast.health.within", default=())


def lateness_here(loop: object) -> int:
    """Return how much too late the run of this code began because an event loop was late, in ns.

    0 outside of a run, and if another loop or a thread begins the runs of the monitor.
    """
    return max((run.late_ns for run in _within.get() if run.rounds.is_of(loop)), default=0)


def is_within(rounds: Rounds) -> bool:
    """Return whether this code belongs to a run of these rounds."""
    return any(run.rounds is rounds for run in _within.get())


class Rounds:
    """The turns of a monitor's checks, from its start to its stop.

    Attributes:
        given_up: How many runs were given up and have not ended.
        has_started: Whether ``start`` or ``astart`` has returned.
        is_over: Whether it was stopped.
    """

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._owner = owner
        self._lock = owner._lock
        self._clock = owner._clock
        self._is_manual = isinstance(self._clock, ManualClock)
        self._loop = loop
        self._pulse = ThreadPulse(self._clock)
        self._loop_pulse = self._pulse if loop is None or self._is_manual else LoopPulse(loop)
        self._workers = owner._workers
        self._pool: DaemonThreads | None = None
        self._periodic: Periodic | None = None
        # When each check is due; an entry counts if it has the serial of its check.
        self._plan: list[tuple[int, int, Watched]] = []
        self._serial = 0
        self._next_ns = 0  # the tick that is planned; 0: one runs, and will look
        self._queue: deque[Run] = deque()  # of runs that wait for a thread
        self._suspects: deque[Run] = deque()  # the same, of those that were given up last time
        self._for_loop: deque[Run] = deque()  # of runs that wait to be a task
        self._running: dict[Run, None] = {}
        self._composites: dict[Turn, None] = {}
        self._hired = 0  # threads that work and were not given up
        self._suspected = 0  # those of them that run suspects
        self._tellers: set[int] = set()  # threads of the pool that tell of results
        self._tells_apart = False  # whether one of them tells of what the ticks have found
        self._starts_tasks = False
        self._tasks = 0
        self._taken_ns = 0  # when a thread has last taken a run
        self._late_ns = 0  # by how much the tick came late for the check that it looks at
        self._watchers: list[ThreadWaiter | TaskWaiter] = []
        self._cannot_start = False
        self._turn: float | None = None  # the share of the intervals that shifts all of them
        self.given_up = 0
        self.has_started = False
        self.is_over = False

    # ---- its life ----

    def start(self) -> None:
        """Have the checks run when they are due, in threads.

        Raises:
            RuntimeError: No thread can be started.
        """
        periodic = self._periodic = self._make_periodic()
        periodic.start()
        self.has_started = True
        if self.is_over:  # it was stopped meanwhile, perhaps before there was anything to stop
            periodic.stop(0)

    async def astart(self) -> None:
        """Have the checks run when they are due, in tasks of this event loop and in threads."""
        periodic = self._periodic = self._make_periodic()
        await periodic.astart()
        self.has_started = True
        if self.is_over:  # as above
            await periodic.astop(0)

    def _make_periodic(self) -> Periodic:
        return Periodic(self.tick, None, name=self._owner.name, clock=self._clock)

    @property
    def is_done(self) -> bool:
        """Whether it was stopped, and runs nothing any more."""
        return self.is_over and not self._running

    @property
    def waiting(self) -> int:
        """How many runs wait for a thread, or to be a task."""
        return len(self._queue) + len(self._suspects) + len(self._for_loop)

    @property
    def running(self) -> bool:
        """Whether it goes on, in this process and in an event loop that lives."""
        return not self.is_over and self._periodic is not None and self._periodic.running

    def is_starting_or_runs(self) -> bool:
        """Return whether it goes on, or will once its start, perhaps in another thread, returns."""
        # In this order: a start may return between the two.
        return not self.has_started or self.running

    def end(self) -> None:
        """Begin nothing more, and drop what is still to come; the lock is held."""
        self.is_over = True
        for queue in (self._queue, self._suspects, self._for_loop):
            while queue:
                run = queue.popleft()
                self._owner._free(run)
                self._begin_later(run)
        self._forget_dead()
        self._plan.clear()
        self._composites.clear()
        self._pulse.close()
        self._loop_pulse.close()

    def stop(self, timeout_ns: int | None) -> bool:
        """Wait until nothing of it runs, after ``end``; return whether that is so.

        It does not wait for what has called it, nor for runs that were given up, nor in a signal
        handler that has interrupted code of the monitor, without which nothing ends.
        """
        periodic = self._periodic
        began_ns = system_clock.now_ns()
        if self._lock.is_owned():
            timeout_ns = 0
        if periodic is not None:
            periodic.stop(_seconds(timeout_ns))
        self._cancel_tasks()
        here = _within.get()
        waits = timeout_ns != 0 and not is_within(self) and not self.blocks_loop()
        while waits:
            waiter = ThreadWaiter()
            left_ns = self._left_ns(waiter, timeout_ns, system_clock.now_ns() - began_ns)
            self._owner._tell()
            if left_ns == 0:
                break
            waiter.park(system_clock, left_ns)
        return self._let_threads_go(here, timeout_ns, began_ns)

    async def astop(self, timeout_ns: int | None) -> bool:
        """Wait as ``stop`` does; the event loop goes on meanwhile."""
        from holdfast.waiting.aio import TaskWaiter, now_ns_of_loop

        periodic = self._periodic
        began_ns = now_ns_of_loop()
        if periodic is not None:
            await periodic.astop(_seconds(timeout_ns))
        self._cancel_tasks()
        here = _within.get()
        while timeout_ns != 0 and not is_within(self):
            waiter = TaskWaiter()
            left_ns = self._left_ns(waiter, timeout_ns, now_ns_of_loop() - began_ns)
            self._owner._tell()
            if left_ns == 0:
                break
            await waiter.park(system_clock, left_ns)
        return self._let_threads_go(here, timeout_ns, system_clock.now_ns())

    def _left_ns(
        self, waiter: ThreadWaiter | TaskWaiter, timeout_ns: int | None, past_ns: int
    ) -> int | None:
        """Return how long to wait before the next look: 0 if there is nothing to wait for."""
        with self._lock:
            now_ns = self._clock.now_ns()
            self._give_up_overdue(now_ns)
            waited_for = [run for run in self._running if not run.is_given_up]
            self._watchers = [one for one in self._watchers if not one.woken]
            if not waited_for and not self._other_tellers():
                return 0
            self._watchers.append(waiter)
            left_ns = None if timeout_ns is None else max(0, timeout_ns - past_ns)
            if self._is_manual or not waited_for:
                return left_ns
            first_ns = min(run.deadline_ns + run.unit.grace_ns for run in waited_for)
            ahead_ns = max(1, first_ns - now_ns)
            return ahead_ns if left_ns is None else min(left_ns, ahead_ns)

    def _other_tellers(self) -> set[int]:
        """Return the threads that tell of results, but for this one; the lock is held."""
        return self._tellers - {threading.get_ident()}

    def _let_threads_go(self, here: tuple[Run, ...], timeout_ns: int | None, began_ns: int) -> bool:
        with self._lock:
            pool = self._pool
            tellers = self._other_tellers()
            is_done = not tellers and not any(run not in here for run in self._running)
            busy = {run.thread for run in self._running if run.thread is not None} | tellers
        if pool is None:
            return is_done
        pool.shutdown(wait=False)
        if timeout_ns == 0:
            return is_done
        # Those that run nothing and tell of nothing are at their last instructions.
        seconds = _JOIN_SECONDS
        if timeout_ns is not None:
            seconds = max(seconds, (timeout_ns - (system_clock.now_ns() - began_ns)) / 1e9)
        return pool.join(seconds, busy) and is_done

    def _cancel_tasks(self) -> None:
        here = _within.get()
        with self._lock:
            tasks = [run.task for run in self._running if run.task is not None and run not in here]
        for task in tasks:
            loop = task.get_loop()
            if _running_loop() is loop:
                task.cancel()
            else:
                with suppress(RuntimeError):  # the loop is closed, and its tasks are no more
                    loop.call_soon_threadsafe(task.cancel)
        with self._lock:
            self._forget_dead()

    def _forget_dead(self) -> None:
        """End runs whose event loop was closed; the lock is held."""
        for run in list(self._running):
            if run.task is not None and run.task.get_loop().is_closed():
                self._come_back(run)

    def is_of(self, loop: object) -> bool:
        """Return whether the ticks run in this event loop."""
        return self._loop is loop

    @property
    def stands_still(self) -> bool:
        """Whether its ticks belong to an event loop that does not run."""
        return self._loop is not None and not self._loop.is_running()

    @property
    def look_again_ns(self) -> int | None:
        """After how long to see whether it stands still; None: it never does."""
        return None if self._loop is None or self._is_manual else _LOOK_NS

    def blocks_loop(self) -> bool:
        """Return whether its tasks belong to the event loop that runs in this thread."""
        return self._loop is not None and _running_loop() is self._loop

    # ---- what is due; the lock is held ----

    def plan(self, watched: Watched) -> bool:
        """Have a check run when it is due; return whether ``wake`` is to be called, unlocked."""
        if self.is_over:
            return False
        self._serial += 1
        watched.serial = self._serial
        heappush(self._plan, (watched.due_ns, watched.serial, watched))
        if len(self._plan) > 64 + 2 * len(self._owner._checks):
            self._plan = [entry for entry in self._plan if entry[2].serial == entry[1]]
            heapify(self._plan)
        return watched.due_ns < self._next_ns

    def _plan_next(self, watched: Watched, now_ns: int) -> None:
        """Plan the turn after one that begins now."""
        if watched.is_first:
            watched.is_first = False
            if self._turn is None:
                self._turn = self._owner._random.unit()
            watched.slot_ns = now_ns + watched.first_interval_ns(self._turn)
        else:
            watched.slot_ns = slot_after_ns(watched.slot_ns, watched.interval_ns, now_ns)
        delay_ns = 0
        if watched.jitter:
            delay_ns = int(self._owner._random.unit() * watched.jitter * watched.interval_ns)
        watched.due_ns = watched.slot_ns + delay_ns
        self.plan(watched)

    def _take_due(self, now_ns: int) -> list[Watched]:
        """Return the checks that are due, and those that may share their wake-up."""
        due: list[Watched] = []
        early: list[tuple[int, int, Watched]] = []
        plan = self._plan
        while plan and plan[0][0] <= now_ns + SHARE_NS:
            entry = heappop(plan)
            due_ns, serial, watched = entry
            if watched.serial != serial:
                continue
            if due_ns - now_ns > early_ns(watched.interval_ns):
                early.append(entry)
                continue
            due.append(watched)
        for entry in early:
            heappush(plan, entry)
        if not any(watched.due_ns <= now_ns for watched in due):
            for watched in due:  # the tick is for something else
                heappush(plan, (watched.due_ns, watched.serial, watched))
            return []
        return due

    def begin(self, watched: Watched, now_ns: int) -> Turn | None:
        """Begin a turn, unless one goes on already; return the one that does.

        None: its run before has not ended although it was given up, which was its result.
        """
        if watched.turn is not None:
            return watched.turn
        timeout_ns = watched.units[0].timeout_ns
        if watched.is_composite:
            timeout_ns = self._owner._timeout_ns_of(watched.check)
        turn = Turn(watched, self, now_ns, timeout_ns)
        watched.turn = turn
        if turn.results is not None:
            self._composites[turn] = None
        for at, unit in enumerate(watched.units):
            self._join_or_queue(turn, at, unit, now_ns)
        return None if turn.is_over else turn

    def _join_or_queue(self, turn: Turn, at: int, unit: Any, now_ns: int) -> None:
        owner = self._owner
        run = owner._busy.get(id(unit.check))
        if run is None:
            run = owner._busy[id(unit.check)] = Run(unit, self, now_ns)
            run.late_ns = self._late_ns
            if self._loop is not None and unit.check.is_async:
                self._for_loop.append(run)
            elif unit.is_suspect:
                self._suspects.append(run)
            else:
                self._queue.append(run)
        elif run.is_given_up:
            self._give(turn, at, _not_ended(run, now_ns), now_ns, 0, now_ns)
            return
        elif run.rounds is not self or run.is_closed:
            # Of an earlier start, or of a check that was removed: no evidence, but it has to end.
            run.later.append((turn, at))
            return
        elif run.began_ns is not None:  # perhaps before the breaker of this turn's check opened
            turn.period = NOTHING
        run.takers.append((turn, at))

    # ---- ticks ----

    def wake(self) -> None:
        """Have a tick look at what is due; without the lock."""
        if self._periodic is not None:
            self._periodic.wake()

    def tick(self) -> int | None:
        """Begin what is due, give up what is overdue; return when the next tick is due."""
        with self._lock:
            if self.is_over:
                return None
            self._next_ns = 0
            now_ns = self._clock.now_ns()
            due = self._take_due(now_ns)
            for watched in due:
                self._late_ns = max(0, now_ns - watched.due_ns)
                self._plan_next(watched, now_ns)
                self.begin(watched, now_ns)
            self._late_ns = 0
            for rounds in (self, *self._owner._ending):
                rounds._give_up_overdue(now_ns)
        self.set_going(bool(due))
        self._tell_apart()
        with self._lock:
            next_ns = self._next_tick_ns()
            self._next_ns = (1 << 62) if next_ns is None else next_ns
            return next_ns

    def _next_tick_ns(self) -> int | None:
        plan = self._plan
        while plan and plan[0][2].serial != plan[0][1]:
            heappop(plan)
        times = [plan[0][0]] if plan else []
        if self._queue or self._suspects:
            times.append(self._clock.now_ns() + _PROGRESS_NS)
        times += [
            run.deadline_ns + run.unit.grace_ns
            for rounds in (self, *self._owner._ending)
            for run in rounds._running
            if not run.is_given_up
        ]
        if self._composites:
            times += [turn.deadline_ns for turn in self._composites]
        return min(times, default=None)

    def set_going(self, is_new: bool = True) -> None:
        """See to it that what waits in the queues runs; without the lock."""
        if self._is_manual:
            while (run := self._take_one()) is not None:
                self._run_here(run)
        else:
            self._hire(is_new)
        if self._for_loop:
            loop = self._loop
            if loop is _running_loop():
                self._start_tasks()
            elif loop is not None:
                with suppress(RuntimeError):  # the loop is closed: nobody will
                    loop.call_soon_threadsafe(self._start_tasks)

    def _give_up_overdue(self, now_ns: int) -> None:
        """Wait no longer for what has taken too long; the lock is held."""
        for run in list(self._running):
            if not run.is_given_up and now_ns >= run.deadline_ns + run.unit.grace_ns:
                if more_ns := run.more_ns():
                    run.deadline_ns = now_ns + more_ns - run.unit.grace_ns
                else:
                    self._give_up(run, now_ns)
        for turn in [one for one in self._composites if now_ns >= one.deadline_ns]:
            # Its members get the rest of their time, and so does the composite.
            stalled_ns = self._stalled_ns(turn)
            turn.deadline_ns = turn.began_ns + turn.timeout_ns + stalled_ns
            if now_ns >= turn.deadline_ns:
                self._give_up_composite(turn, now_ns, stalled_ns)
        queue = self._queue or self._suspects
        if queue and self._is_stuck():
            waited_ns = now_ns - max(self._taken_ns, queue[0].queued_ns)
            if waited_ns > queue[0].unit.timeout_ns:
                self._give_up_queued(now_ns)

    def _is_stuck(self) -> bool:
        """Return whether no thread will take a run before one that was given up comes back."""
        held = sum(run.is_given_up and not run.has_left for run in self._running)
        return held >= self._workers or (self._cannot_start and self._hired == held)

    def _give_up(self, run: Run, now_ns: int) -> None:
        run.is_given_up = True
        unit = run.unit
        unit.is_suspect = True
        self.given_up += 1
        began_ns = now_ns if run.began_ns is None else run.began_ns
        if run.task is not None:  # a task that ignores its end costs little: others go on
            run.has_left = True
            self._tasks -= 1
            self._owner._go_on_with(self)
        elif run.thread is not None:
            held = sum(one.is_given_up and one.thread is not None for one in self._running)
            if held <= _GIVEN_UP * self._workers:
                self._leave_place(run)
        result = CheckResult("failed", _too_long(unit.timeout_ns))
        result = self._owner._weigh(run, result, began_ns, now_ns)
        run.leave()
        for turn, at in run.takers:
            if not turn.is_over and not self.is_over:
                turn.watched.kernel.abandon()
                self._give(turn, at, result, began_ns, now_ns - began_ns, now_ns)
        run.takers = []
        for turn, at in run.later:
            turn.rounds._give(turn, at, _not_ended(run, now_ns), now_ns, 0, now_ns)
        run.later = []

    def _stalled_ns(self, turn: Turn) -> int:
        """Return for how long this process did not run while members ran that have not ended."""
        results = turn.results or ()
        runs = [
            self._owner._busy.get(id(unit.check))
            for unit, result in zip(turn.watched.units, results, strict=False)
            if result is None
        ]
        return max((run.stalled_ns() for run in runs if run is not None), default=0)

    def _give_up_composite(self, turn: Turn, now_ns: int, stalled_ns: int) -> None:
        """Have what is missing count as failed, unless it has not begun."""
        results = turn.results
        assert results is not None
        waiting = {id(run.unit.check) for run in (*self._queue, *self._suspects, *self._for_loop)}
        late = judge(
            CheckResult("failed", _too_long(turn.timeout_ns)),
            stalled_ns=stalled_ns,
            duration_ns=now_ns - turn.began_ns,
            timeout_ns=turn.timeout_ns,
        )
        for at, unit in enumerate(turn.watched.units):
            if results[at] is None:
                results[at] = _no_thread() if id(unit.check) in waiting else late
        self._composites.pop(turn, None)
        self._owner._judge_later(turn)

    def _give_up_queued(self, now_ns: int) -> None:
        """Let go of runs that no thread takes: that proves nothing about what they check."""
        for queue in (self._queue, self._suspects):
            while queue:
                run = queue.popleft()
                self._owner._free(run)
                for turn, at in run.takers:
                    self._give(turn, at, _no_thread(), run.queued_ns, 0, now_ns)
                self._begin_later(run)

    def _give(
        self, turn: Turn, at: int, result: CheckResult, began_ns: int, took_ns: int, now_ns: int
    ) -> None:
        """Give a turn a result of its run, or of the member number ``at``; the lock is held."""
        if turn.is_over or self.is_over or turn.watched.is_removed:
            return
        if turn.results is None:
            self._owner._record(turn.watched, result, began_ns, took_ns, now_ns)
            turn.end()
        else:
            turn.results[at] = result
            turn.counts[result.verdict] += 1
            check = turn.watched.check
            assert isinstance(check, CompositeCheck)
            if check._may_judge(turn.counts):
                self._owner._judge_later(turn)

    def settle(self, turn: Turn, result: CheckResult) -> None:
        """End the turn of a composite with a result; the lock is held."""
        self._composites.pop(turn, None)
        if turn.is_over or self.is_over or turn.watched.is_removed:
            return
        now_ns = self._clock.now_ns()
        began_ns = turn.began_ns
        self._owner._record(turn.watched, result, began_ns, now_ns - began_ns, now_ns)
        turn.end()

    # ---- telling; the lock is not held ----

    def _tell_apart(self) -> None:
        """Tell of what a tick has found: in a thread of the pool, as a callback may hang.

        In an event loop, on a manual clock and for one look it is told here.
        """
        owner = self._owner
        if self._is_manual or self._loop is not None or self._periodic is None:
            owner._tell()
            return
        owner._see_to_news_in_thread()
        with self._lock:
            if not owner._has_news or self._tells_apart or self.is_over:
                return
            self._tells_apart = True
            pool = self._need_pool()
        try:
            Context().run(pool.submit, self._tell_for_ticks)
        except RuntimeError:  # no thread can be started
            self._tells_apart = False
            owner._tell()

    def _tell_for_ticks(self) -> None:
        goes_on = True
        while goes_on:
            self._tell_here()
            with self._lock:
                goes_on = self._tells_apart = self._owner._has_news

    def _tell_here(self) -> None:
        """Tell in this thread of the pool."""
        me = threading.get_ident()
        with self._lock:
            self._tellers.add(me)
        self._owner._tell_in_thread()
        with self._lock:
            self._tellers.discard(me)
            if self._watchers:
                self._tell_watchers()

    # ---- runs in threads ----

    def _hire(self, is_new: bool) -> None:
        """Have as many threads as are of use: one for all quick runs, one for each of the others.

        Args:
            is_new: Whether runs were just queued; else those that wait have waited for too long.
        """
        with self._lock:
            waiting = len(self._queue) + len(self._suspects)
            if not waiting or self.is_over:
                return
            if is_new:
                slow = sum(1 for run in self._queue if not run.unit.is_quick)
                wanted = slow + len(self._suspects) + (len(self._queue) > slow)
            elif self._clock.now_ns() - self._taken_ns < _PROGRESS_NS:
                return  # they are taken all the time: more threads would only hinder those
            else:
                wanted = waiting
            number = max(0, min(wanted, self._most_hired() - self._hired))
            self._hired += number
            pool = self._need_pool()
        for at in range(number):
            try:
                # A thread may keep the context it is started in for its life.
                Context().run(pool.submit, self._work)
            except RuntimeError as error:  # the next tick tries again
                with self._lock:
                    self._hired -= number - at
                    is_news, self._cannot_start = not self._cannot_start, True
                if is_news:
                    warn("no thread for checks of %r: %s", self._owner.name, error)
                return
            self._cannot_start = False

    def _need_pool(self) -> DaemonThreads:
        if self._pool is None:
            most = self._workers * (1 + _GIVEN_UP) + 2  # one tells of results, one for the ticks
            self._pool = DaemonThreads(f"holdfast-{self._owner.name}", most)
        return self._pool

    def _work(self) -> None:
        """Run what waits, in this thread of the pool, until nothing does."""
        run = self._take_one()
        while run is not None:
            result = self._call(run)
            run = self._end_and_take(run, result)
        with self._lock:
            self._tell_watchers()

    def _take_one(self) -> Run | None:
        with self._lock:
            return self._take()

    def _take(self) -> Run | None:
        """Take the next run, or leave the pool; the lock is held."""
        queue, suspects = self._queue, self._suspects
        if (
            suspects
            and self._may_hang()
            and not (queue and queue[0].queued_ns < suspects[0].queued_ns)
        ):
            run = suspects.popleft()
            run.is_suspect = True
            self._suspected += 1
        elif queue:
            run = queue.popleft()
        else:
            if not self._is_manual:
                self._hired -= 1
            return None
        now_ns = self._taken_ns = self._clock.now_ns()
        run.begin(now_ns)
        run.thread = threading.get_ident()
        self._running[run] = None
        return run

    def _may_hang(self) -> bool:
        # What hung before may hold half of the threads only.
        return self._is_manual or self._suspected < max(1, self._workers // 2)

    def _call(self, run: Run) -> CheckResult:
        try:
            return Context().run(self._call_here, run, ())
        except Exception as error:  # noqa: BLE001 - of our own making: a check says what it raises
            return failed_by(error)
        except BaseException as error:  # noqa: BLE001 - it is nobody's here
            return CheckResult("unproven", f"interrupted by {type(error).__name__}")

    def _call_here(self, run: Run, outer: tuple[Run, ...]) -> CheckResult:
        """Run a check in this thread, where it sees how much time is left."""
        unit = run.unit
        _within.set((*outer, run))
        time = run.begin_here(self._pulse, self._clock)
        call = unit.call if self._is_manual else partial(unit.check._run, time)
        return _under_deadline((unit.limit, run.deadline_ns), call)

    async def _await_here(self, run: Run) -> CheckResult:
        """Await a check in this task, where it sees how much time is left."""
        time = run.begin_here(self._loop_pulse, self._clock)
        if self._is_manual:
            return await run.unit.limit.acall(run.unit.acall)
        return await _stepwise(run, run.unit.check._arun(time))  # type: ignore[no-any-return]

    def _end_and_take(self, run: Run, result: CheckResult) -> Run | None:
        """Note the result of a run, tell of it, and take the next run."""
        owner = self._owner
        with self._lock:
            stays = self._end(run, result)
            if not stays:
                self._hired += 1
            if not owner._has_news:
                return self._go_on()
            heard = owner._take_heard()
            if heard:
                self._tellers.add(threading.get_ident())
        if heard:
            # What is most frequent, with the least of the lock: threads that wait for it in a row
            # would get nothing else done.
            owner._tell_heard_in_thread(heard)
            with self._lock:
                self._tellers.discard(threading.get_ident())
                if self._watchers:
                    self._tell_watchers()
                if self._all_is_told():
                    return self._go_on()
        self._tell_here()
        with self._lock:
            return self._go_on()

    def _all_is_told(self) -> bool:
        return not self._owner._has_news

    def _go_on(self) -> Run | None:
        """Take the next run, unless enough other threads do; the lock is held."""
        if self._hired > self._most_hired():
            self._hired -= 1
            return None
        return self._take()

    def _most_hired(self) -> int:
        # A callback may hold one thread for long, which another one replaces.
        return self._workers + bool(self._tellers)

    def _end(self, run: Run, result: CheckResult) -> bool:
        """Give the result of a run to who takes it; return whether its thread kept its place."""
        now_ns = self._clock.now_ns()
        began_ns = run.began_ns
        assert began_ns is not None
        took_ns = now_ns - began_ns
        stays = not run.has_left
        self._come_back(run)
        if self.is_over or run.is_given_up:
            return stays
        unit = run.unit
        unit.is_quick = took_ns <= _QUICK_NS
        unit.is_suspect = False
        result = self._owner._weigh(run, result, began_ns, now_ns)
        for turn, at in run.takers:
            self._give(turn, at, result, began_ns, took_ns, now_ns)
        return stays

    def _come_back(self, run: Run) -> None:
        """Note that a run has ended; the lock is held."""
        if run not in self._running:
            return
        del self._running[run]
        self._owner._free(run)
        if run.task is not None and not run.has_left:
            self._tasks -= 1
        if run.is_given_up:
            self.given_up -= 1
        run.leave()
        if run.is_suspect:
            self._clear(run)
        if run.later:
            self._begin_later(run)
        if self._watchers:
            self._tell_watchers()

    def _begin_later(self, run: Run) -> None:
        """Have the turns of a later start have a run of their own."""
        for turn, at in run.later:
            if not turn.is_over and not turn.rounds.is_over:
                unit = turn.watched.units[at]
                turn.rounds._join_or_queue(turn, at, unit, self._clock.now_ns())
                self._owner._go_on_with(turn.rounds)

    def _clear(self, run: Run) -> None:
        if run.is_suspect:
            run.is_suspect = False
            self._suspected -= 1

    def _leave_place(self, run: Run) -> None:
        """Have another thread take the place of one that was given up."""
        run.has_left = True
        self._clear(run)
        if not self._is_manual:
            self._hired -= 1

    def _run_here(self, run: Run) -> None:
        """Run in this thread: on a manual clock."""
        result = _INTERRUPTED
        try:
            result = Context().run(self._call_here, run, _within.get())
        except Exception as error:  # noqa: BLE001 - as above
            result = failed_by(error)
        finally:
            with self._lock:
                self._end(run, result)
        self._owner._tell()

    # ---- runs in tasks ----

    def _start_tasks(self) -> None:
        """Make tasks of runs that wait, in the thread of the event loop."""
        if self._starts_tasks:
            return  # in a task that runs as it is made: whoever makes it goes on
        self._starts_tasks = True
        try:
            self._make_tasks()
        finally:
            self._starts_tasks = False

    def _make_tasks(self) -> None:
        while True:
            with self._lock:
                if self.is_over or not self._for_loop or self._tasks >= _TASKS * self._workers:
                    return
                run = self._for_loop.popleft()
                run.begin(self._clock.now_ns())
                self._running[run] = None
                self._tasks += 1
                loop = self._loop
            assert loop is not None
            # A task copies the current context: each run has its own.
            run.task = Context().run(
                loop.create_task, self._run_in_task(run), name=f"holdfast-{run.unit.check.name}"
            )
            run.task.add_done_callback(self._see_off)
            if self._next_ns > run.deadline_ns + run.unit.grace_ns:
                self.wake()

    def _see_off(self, task: asyncio.Task[None]) -> None:
        """End a run whose task was cancelled before it began."""
        with self._lock:
            run = next((run for run in self._running if run.task is task), None)
            if run is None:
                return
            self._end(run, CheckResult("unproven", "cancelled"))
        self._owner._tell()
        self._start_tasks()

    async def _run_in_task(self, run: Run) -> None:
        import asyncio

        task = run.task = asyncio.current_task()
        if task is not None:
            task.remove_done_callback(self._see_off)
        _within.set((run,))
        result = _INTERRUPTED
        try:
            result = await self._await_here(run)
        except DeadlineExceededError:
            result = CheckResult("failed", _too_long(run.unit.timeout_ns))
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            result = failed_by(error)
        except Exception as error:  # noqa: BLE001 - of our own making: a check says what it raises
            result = failed_by(error)
        finally:
            with self._lock:
                self._end(run, result)
        if self._owner._has_news:
            self._owner._tell()
        if self._for_loop:
            self._start_tasks()

    # ---- who waits ----

    def _tell_watchers(self) -> None:
        for one in self._watchers:
            one.wake()

    def ask(self, checks: Iterable[Watched], countdown: Countdown) -> list[Turn]:
        """Begin turns, or join those that go on, and count them; the lock is held.

        A turn that this very code belongs to is not counted: it would wait for itself.
        """
        if self.is_over:
            countdown.is_lost = True
            return []
        now_ns = self._clock.now_ns()
        mine = {id(turn) for run in _within.get() for turn, _ in run.takers}
        turns = []
        for watched in checks:
            turn = self.begin(watched, now_ns)
            if turn is not None and id(turn) not in mine:
                countdown.up()
                turn.waiting.append(countdown)
                turns.append(turn)
        return turns


@coroutine
def _stepwise(run: Run, steps: Coroutine[Any, Any, CheckResult]) -> Generator[Any, Any, Any]:
    """Await a check in this task, where it sees how much time is left."""
    step: Callable[[], Any] = partial(steps.send, None)
    while True:
        try:
            awaited = _under_deadline((run.unit.limit, run.deadline_ns), step)
        except StopIteration as done:
            return done.value
        try:
            step = partial(steps.send, (yield awaited))
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: BLE001 - raised in the check
            step = partial(steps.throw, error)


def _too_long(timeout_ns: int) -> str:
    return f"took longer than {timeout_ns / 1e9:g} s"


def _not_ended(run: Run, now_ns: int) -> CheckResult:
    began_ns = run.queued_ns if run.began_ns is None else run.began_ns
    took_ns = now_ns - began_ns
    result = CheckResult("failed", f"its run of {took_ns / 1e9:.1f} s ago has not ended")
    if run.unit.check.measures_self:
        return result
    # It had its timeout long ago: it proves nothing if this process did not run for most of the
    # time, which is a fourth of twice the time.
    stalled_ns = run.stalled_ns()
    return judge(result, stalled_ns=stalled_ns, duration_ns=took_ns, timeout_ns=2 * took_ns)


def _no_thread() -> CheckResult:
    return CheckResult("unproven", "no thread was free to run it")


def _seconds(ns: int | None) -> float:
    return float("inf") if ns is None else ns / 1e9


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, without importing asyncio."""
    import sys

    module: Any = sys.modules.get("asyncio")
    loop: asyncio.AbstractEventLoop | None = module and module._get_running_loop()
    return loop
