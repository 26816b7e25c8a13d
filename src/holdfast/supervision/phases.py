"""Phases: what is started one after the other, taken back if one fails, and stopped in reverse.

Owns the order, the roll-back, and the time that a stop may take. Nothing of the user's runs under
its lock. Elsewhere: what a phase starts and stops (``component_manager``).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from math import inf
from time import monotonic_ns

from holdfast.clock import system_clock
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.records import note
from holdfast.redaction import describe_error
from holdfast.supervision.errors import AlreadyStartedError, LayerError, PhaseStartError
from holdfast.validation import wait_to_ns
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import timedelta
    from typing import Any, Protocol, TypeAlias, TypeVar

    from holdfast.waiting.aio import TaskWaiter

    class Phase(Protocol):
        """One phase. Its stop is called also if its start failed, and perhaps twice."""

        number: int
        title: str

        def start(self) -> object: ...
        async def astart(self) -> object: ...
        def stop(self, timeout: float) -> bool: ...
        async def astop(self, timeout: float) -> bool: ...  # noqa: ASYNC109 - as in stop

    #: What is to be called: a phase, whether it starts, and how many seconds a stop may take. What
    #: it raises is thrown into the generator.
    Steps: TypeAlias = Generator[tuple[Phase, bool, float], Any, None]
    W = TypeVar("W", ThreadWaiter, TaskWaiter)

__all__ = ["Phases"]

_ROLL_BACK_NS = 10_000_000_000  # for stopping what had started before a phase failed


class Phases:
    """Starts phases in order and stops them in reverse, in threads or in an event loop.

    If one does not start, it and those before it are stopped in reverse order. A stop while a
    start goes on ends the start. Stopped phases can be started again. In a forked child nothing is
    started.

    Args:
        name: Of the manager, for messages and logs.
        phases: The phases, in the order of a start.

    Safe to share between threads and event loops.
    """

    def __init__(self, name: str, phases: Sequence[Phase]) -> None:
        self._name = name
        self._phases = tuple(phases)
        self._lock = RLock()  # held for moments; re-entrant for signal handlers
        self._course: _Course | None = None
        mind(self)

    @property
    def running(self) -> bool:
        """Whether all phases have started, and no stop has begun since."""
        settle()
        course = self._course
        return course is not None and course.has_started and not course.is_stopped

    @property
    def is_begun(self) -> bool:
        """Whether a start has begun, and has neither failed nor was it undone by a stop."""
        settle()
        return self._course is not None

    def start(self) -> None:
        """Start all phases.

        Raises:
            AlreadyStartedError: They were started, and not stopped since.
            PhaseStartError: One did not start, or was stopped meanwhile.
        """
        _run(self._starting(self._begin(None)))

    async def astart(self) -> None:
        """Start all phases in the running event loop; see ``start``."""
        import asyncio

        await _arun(self._starting(self._begin(asyncio.current_task())))

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Stop what has started, in reverse order; end a start that goes on.

        It may be called from anywhere, any number of times.

        Args:
            timeout: How many seconds to wait at most, for all phases together; 0 never waits.

        Returns:
            Whether nothing of them runs any more.

        Raises:
            ConfigError: ``timeout`` is not a duration.
            ExceptionGroup: What phases raised, after all were stopped.
        """
        left = _Left(wait_to_ns("timeout", timeout))
        course = self._end()
        if course is None:
            return True
        try:
            _run(self._stopping(course, left))
            while (waiter := self._wait_for(course, left, ThreadWaiter)) is not None:
                waiter.park(system_clock, left.ns())
        finally:
            ended = self._leave(course)
        return ended

    async def astop(self, timeout: float | timedelta = 10.0) -> bool:  # noqa: ASYNC109 - as in stop
        """Stop as ``stop(timeout)`` does, without blocking the event loop."""
        from holdfast.waiting.aio import TaskWaiter

        left = _Left(wait_to_ns("timeout", timeout))
        course = self._end()
        if course is None:
            return True
        try:
            await _arun(self._stopping(course, left))
            while (waiter := self._wait_for(course, left, TaskWaiter)) is not None:
                await waiter.park(system_clock, left.ns())
        finally:
            ended = self._leave(course)
        return ended

    # ---- what follows from what ----

    def _begin(self, task: Any) -> _Course:
        settle()
        with self._lock:
            there = self._course
            if there is not None:
                done = "is being stopped" if there.is_stopped else "was started already"
                raise AlreadyStartedError(f"component manager {self._name!r} {done}: stop it first")
            self._course = course = _Course(task)
        return course

    def _starting(self, course: _Course) -> Steps:
        error = None
        try:
            for phase in self._phases:
                with self._lock:
                    if course.is_stopped:
                        break
                    course.begun.append(phase)
                self._note("phase_starting", "Starting", phase)
                yield phase, True, 0.0
        except BaseException as raised:  # noqa: BLE001 - raised below, once it is taken back
            error = raised
        raised_back = None
        why = "it was stopped meanwhile"
        if error is not None and not course.is_stopped:
            why = _words(error)
        try:
            with self._lock:
                course.has_started = error is None and not course.is_stopped
            if course.has_started:
                return
            # Who has stopped it already waits for the end of this.
            yield from self._stopping(course, _Left(0 if course.is_stopped else _ROLL_BACK_NS))
        except Exception as another:  # noqa: BLE001 - told with the reason
            raised_back = another
        finally:
            self._finish(course)
        if error is not None and not isinstance(error, Exception):
            raise error
        failed = self._failed(course.begun[-1] if course.begun else self._phases[0], why)
        if raised_back is not None:
            failed.add_note(f"while what had started was stopped: {_words(raised_back)}")
        raise failed from error

    def _stopping(self, course: _Course, left: _Left) -> Steps:
        """Stop all phases that were begun, whatever any of them raises."""
        ended = True
        errors: list[Exception] = []
        with self._lock:
            begun = course.begun[::-1]
        for phase in begun:
            with self._lock:
                is_first = phase not in course.told
                course.told.append(phase)
            if is_first:
                self._note("phase_stopping", "Stopping", phase)
            try:
                ended = (yield phase, False, left.seconds()) and ended
            except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
                errors.append(error)
        with self._lock:
            course.is_down = ended
        if errors:
            raise ExceptionGroup(f"stopping component manager {self._name!r}", errors)

    def _finish(self, course: _Course) -> None:
        """A start has ended, somehow."""
        with self._lock:
            course.is_starting = False
            if not course.has_started:
                course.is_stopped = True  # if something is left, another stop is needed
                if course.is_down and course.stops == 0:
                    self._course = None
            watchers, course.watchers = course.watchers, []
        for waiter in watchers:
            waiter.wake()

    def _end(self) -> _Course | None:
        settle()
        with self._lock:
            course = self._course
            if course is not None:
                course.is_stopped = True
                course.stops += 1
            return course

    def _wait_for(self, course: _Course, left: _Left, make: Callable[[], W]) -> W | None:
        """Return a wait for the end of a start that goes on elsewhere; None: there is none."""
        with self._lock:
            if not course.is_starting or left.ns() == 0 or course.is_here(make is not ThreadWaiter):
                return None
            waiter = make()
            course.watchers.append(waiter)
            return waiter

    def _leave(self, course: _Course) -> bool:
        """One stop has ended; return whether nothing runs any more."""
        with self._lock:
            course.stops -= 1
            ended = course.is_down and not course.is_starting
            if ended and course.stops == 0 and self._course is course:
                self._course = None
            return ended

    def _failed(self, phase: Phase, why: str) -> PhaseStartError:
        return PhaseStartError(self._name, phase.number, phase.title, why)

    def _note(self, record: str, doing: str, phase: Phase) -> None:
        note(
            record,
            "component_manager",
            self._name,
            f"{doing} Phase %d: %s: component manager %r",
            phase.number,
            phase.title,
            self._name,
            phase=phase.number,
        )

    def _after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and nothing that was started."""
        self._lock = RLock()
        self._course = None


class _Course:
    """One time from a start to its stop.

    Attributes:
        begun: The phases whose start was called.
        told: Those whose stop was logged.
        is_starting: Whether the start goes on.
        has_started: Whether all phases have started.
        is_stopped: Whether a stop was called.
        is_down: Whether all phases were stopped, and nothing of them runs.
        stops: How many stops go on.
        watchers: Who waits for the end of the start.
    """

    def __init__(self, task: Any) -> None:
        self.begun: list[Phase] = []
        self.told: list[Phase] = []
        self.is_starting = True
        self.has_started = self.is_stopped = self.is_down = False
        self.stops = 0
        self.watchers: list[ThreadWaiter | TaskWaiter] = []
        self._task = task  # that starts, unless a thread does
        self._thread = threading.get_ident()

    def is_here(self, in_task: bool) -> bool:
        """Return whether the start could not go on while this code waits."""
        if self._task is None or not in_task:
            return self._thread == threading.get_ident()
        import asyncio

        return self._task is asyncio.current_task()


class _Left:
    """How much is left of a time."""

    __slots__ = ("_until_ns",)

    def __init__(self, timeout_ns: int | None) -> None:
        self._until_ns = None if timeout_ns is None else monotonic_ns() + timeout_ns

    def ns(self) -> int | None:
        return None if self._until_ns is None else max(0, self._until_ns - monotonic_ns())

    def seconds(self) -> float:
        ns = self.ns()
        return inf if ns is None else ns / 1e9


def _run(steps: Steps) -> None:
    """Do in this thread what is to be done."""
    error: BaseException | None = None
    answer: object = None
    with suppress(StopIteration):
        while True:
            phase, starts, seconds = steps.send(answer) if error is None else steps.throw(error)
            answer = error = None
            try:
                answer = phase.start() if starts else phase.stop(seconds)
            except BaseException as raised:  # noqa: BLE001 - its generator decides
                error = raised


async def _arun(steps: Steps) -> None:
    """Do in this task what is to be done."""
    error: BaseException | None = None
    answer: object = None
    with suppress(StopIteration):
        while True:
            phase, starts, seconds = steps.send(answer) if error is None else steps.throw(error)
            answer = error = None
            try:
                answer = await (phase.astart() if starts else phase.astop(seconds))
            except BaseException as raised:  # noqa: BLE001 - its generator decides
                error = raised


def _words(error: BaseException) -> str:
    name, text = describe_error(error)
    if isinstance(error, LayerError):
        return text
    return f"{name}: {text}" if text else name
