"""Further attempts of a hedged call in an event loop, each a task of its own.

The first attempt is the call itself, in the task of the caller. Imported by the first race, after
asyncio. Elsewhere: the first attempt (``csrc/python/step_hedge.c``, ``coroutine_race.c``).
"""

from __future__ import annotations

from asyncio import CancelledError, _get_running_loop
from contextlib import suppress
from functools import partial
from weakref import ref

from holdfast._native import gate
from holdfast.events import warn
from holdfast.waiting.carried import carried
from holdfast.waiting.hedged import Judged, closing_of, judge, may_begin, told_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any

    from holdfast.waiting.hedged import Hedge

    # (value, error or None, whether every attempt failed)
    End = tuple[Any, BaseException | None, bool]

__all__ = ["begin_race"]

_tasks: set[Task[Any]] = set()  # those that run: an event loop itself has only weak references
_bare = gate.Gate()  # for attempts that nothing further in guards
_bare._compose("", ())


def begin_race(policy: Hedge, first: gate.GuardedCoroutine[Any], at: int, *, late: bool) -> Race:
    """Begin a race with the first attempt of a call, which has failed or takes long.

    Args:
        policy: The hedge.
        first: The call.
        at: Which step of its gate the hedge is.
        late: Whether time has passed; else the first attempt has failed.
    """
    parts = gate._race_parts(first, at)
    loop = _get_running_loop()
    race = Race(policy, ref(first), at, parts, loop)
    if late:
        race.ring()
    return race


class Race:
    """The attempts of one call.

    In its event loop only, except for ``drop``.

    Attributes:
        is_over: Whether no further attempt begins: one has answered, or the caller gave up.
    """

    __slots__ = (
        "_at",
        "_call",
        "_cancel_timer",
        "_context",
        "_deadline",
        "_end",
        "_failures",
        "_first",
        "_first_runs",
        "_future",
        "_hedged",
        "_kernel",
        "_loop",
        "_made",
        "_policy",
        "_refusal",
        "_rest",
        "_running",
        "is_over",
    )

    def __init__(
        self,
        policy: Hedge,
        first: ref[gate.GuardedCoroutine[Any]],
        at: int,
        parts: tuple[Any, ...] | None,
        loop: AbstractEventLoop | None,
    ) -> None:
        self._policy = policy
        self._kernel = policy._kernel
        self._first = first
        self._at = at
        self._loop: Any = loop
        self._made = 0  # further attempts, those included that the budget has refused
        self._first_runs = True
        self._hedged = False  # whether a further attempt has called the function
        self._running: dict[Task[Any], Attempt] = {}
        self._failures: list[Judged] = []
        self._refusal: Judged | None = None  # the last attempt that was refused further in
        self._end: End | None = None
        self._future: Future[None] | None = None
        self._cancel_timer: Callable[[], object] | None = None
        self.is_over = parts is None or loop is None  # it cannot be called again, or not here
        self._rest: Any = None
        self._call: Any = None
        self._context: Any = None
        self._deadline: Any = None
        if parts is not None:
            rest, fn, args, kwargs, self._context, self._deadline = parts
            self._rest = _bare if rest is None else rest
            self._call = partial(fn, *args, **kwargs)

    # ---- further attempts ----

    def ring(self) -> None:
        """Begin a further attempt, as time has passed without an answer."""
        self._cancel_timer = None
        if not self.is_over:
            self._begin_next(failed=False)

    def _begin_next(self, *, failed: bool) -> None:
        """Begin a further attempt, if there is to be one, and set the time for the one after."""
        policy = self._policy
        self._stop_timer()
        if self._made == policy._max or self._caller_gives_up():
            return
        self._made += 1
        if may_begin(policy):
            error = self._failures[-1].error if failed else None
            policy._began(1 + self._made, error, failed=failed)
            if self.is_over:  # by what listens
                self._give_back()
                return
            try:
                self._start(Attempt(self, 1 + self._made))
            except Exception as raised:  # noqa: BLE001 - no task: the attempts that run go on
                warn("%r: a further attempt could not be started: %r", policy, raised)
        if self._made < policy._max and not self.is_over:
            self._set_timer()

    def _caller_gives_up(self) -> bool:
        """Return whether the first attempt is being cancelled, and not by this race."""
        if not self._first_runs:
            return False
        first = self._first()
        return first is None or gate._is_ending(first, self._at)

    def _start(self, attempt: Attempt) -> None:
        try:
            task = self._make_task(
                carried(self._deadline, partial(self._rest._acall_counted, attempt))
            )
        except BaseException:
            self._give_back()
            raise
        self._running[task] = attempt
        task.add_done_callback(self._ended)

    def _make_task(self, steps: Any) -> Task[Any]:
        context: Context = self._context.copy()
        try:  # not every factory of tasks takes a context
            task: Task[Any] = context.run(self._loop.create_task, steps)
        except BaseException:
            steps.close()
            raise
        _tasks.add(task)
        return task

    def _give_back(self) -> None:
        if self._policy.budget is not None:
            self._policy.budget.give_back()

    def _set_timer(self) -> None:
        due_ns = self._kernel.due_ns(self._policy._clock.now_ns())
        if due_ns is not None:
            self._cancel_timer = self._policy._set_timer(self._loop, self.ring, due_ns)

    def _stop_timer(self) -> None:
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None

    # ---- ends ----

    def _ended(self, task: Task[Any]) -> None:
        """Take the end of a further attempt."""
        _tasks.discard(task)
        attempt = self._running.pop(task)
        if not attempt.called:  # refused by a policy further in, or cancelled before it ran
            self._give_back()
        if task.cancelled():  # by itself, if not by this race
            judged = Judged(None, CancelledError(), failed=True)
        else:
            judged = self._judged(task)
        if self.is_over:
            if judged.returned:
                self._close(judged.value)
            return
        if attempt.called:
            self._take(judged, attempt.number)
        elif not self._running and not self._first_runs:
            self._conclude()

    def _judged(self, task: Task[Any]) -> Judged:
        error = task.exception()
        if error is not None:
            return judge(self._policy, None, error)
        outcome = task.result()[0]
        error = outcome.rejection if outcome.error is None else outcome.error
        if self.is_over:  # nobody needs the verdict
            return Judged(outcome.value, error, failed=False)
        return judge(self._policy, outcome.value, error)

    def _take(self, judged: Judged, number: int) -> None:
        """Take how an attempt has ended: its answer is the call's, its failure begins another."""
        if judged.refused:
            self._refusal = judged  # which is no reason to end the others
        elif judged.failed:
            self._failures.append(judged)
            if not self.is_over:
                self._begin_next(failed=True)
        else:
            if number > 1:
                self._kernel.count_won()
            self._decide((judged.value, judged.error, False))
            if number > 1:
                self._policy._emit("hedge_won", old=number)
        if not self._running and not self._first_runs and not self.is_over:
            self._conclude()

    def _conclude(self) -> None:
        """End the race with the last failure, or with a refusal: no attempt has answered."""
        if not self._failures:
            assert self._refusal is not None
            self._decide((None, self._refusal.error, False))
            return
        last = self._failures[-1]
        self._policy._all_failed([one.error for one in self._failures])
        self._decide((last.value, last.error, True))

    def _decide(self, end: End) -> None:
        if self.is_over:
            return
        self._end = end
        self._stop()
        if self._first_runs:
            self._kernel.count_cancelled()
            first = self._first()
            if first is not None:
                gate._cut_first(first, self._at)
        elif self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _stop(self) -> None:
        """End all further attempts, and what earlier ones have left."""
        self.is_over = True
        self._stop_timer()
        for task in list(self._running):
            self._kernel.count_cancelled()
            task.cancel()
        for failure in self._failures:
            if failure.returned:
                self._close(failure.value)

    def _close(self, value: Any) -> None:
        """Close what is not the answer of the call."""
        answer = None if self._end is None else self._end[0]
        closing = closing_of(self._policy, value, answer, in_loop=True)
        if closing is not None:
            try:
                task = self._make_task(_await(closing, self._policy))
            except Exception as error:  # noqa: BLE001 - no task: the call has its answer
                told_of(self._policy, error)
            else:
                task.add_done_callback(_tasks.discard)

    # ---- the first attempt, and the caller ----

    def first_ended(
        self, error: BaseException | None, value: Any, failed: int, foreign: int
    ) -> Any:
        """Take the end of the first attempt.

        Args:
            error: What it raised, or None.
            value: What it returned, or None.
            failed: Whether that is a failure.
            foreign: Whether somebody else than this race has cancelled it.

        Returns:
            The end of the race, or a coroutine of that.
        """
        self._first_runs = False
        if self._call is None or self._loop is None:  # no race can be run
            return value, error, bool(failed)
        if self._end is not None and not foreign and _is_of_a_call(error):
            if error is None:
                self._close(value)
            return self._end
        if foreign or (error is not None and not isinstance(error, Exception)):
            self._give_up()
            return value, error, False
        self._take(Judged(value, error, failed=bool(failed)), 1)
        return self._end or self._wait()

    async def _wait(self) -> End:
        self._future = self._loop.create_future()
        try:
            if self._end is None:
                await self._future
        except BaseException:
            self.drop()
            raise
        assert self._end is not None
        return self._end

    def _give_up(self) -> None:
        """End all attempts: the caller was cancelled. An answer that has come is closed."""
        end, self._end = self._end, None
        if not self.is_over:
            self._stop()
        if end is not None and end[1] is None:
            self._close(end[0])

    def drop(self) -> None:
        """End all attempts, as nobody waits for the call any more; from any thread."""
        if self._loop is None or self._loop.is_closed():
            return
        if _get_running_loop() is self._loop:
            self._give_up()
            return
        with suppress(RuntimeError):  # the loop was closed meanwhile, and its tasks are no more
            self._loop.call_soon_threadsafe(self._give_up)


class Attempt:
    """One further attempt: calls the function.

    Attributes:
        number: 2 for the first further attempt.
        called: Whether the function was called; else a policy further in has refused.
    """

    __slots__ = ("_race", "called", "number")

    def __init__(self, race: Race, number: int) -> None:
        self._race = race
        self.number = number
        self.called = False

    def __call__(self) -> Any:
        race = self._race
        self.called = True
        race._kernel.count_attempt(not race._hedged)
        race._hedged = True
        return race._call()


def _is_of_a_call(error: BaseException | None) -> bool:
    """Return whether that ends a call; else it is to end the program."""
    return error is None or isinstance(error, (Exception, CancelledError))


async def _await(closing: Any, policy: Hedge) -> None:
    try:
        await closing
    except Exception as error:  # noqa: BLE001 - the user's object; the call has its answer
        told_of(policy, error)
