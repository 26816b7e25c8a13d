"""Timeouts by the type of operation, and the operations that are active.

Owns which operations there are and how long each type may take. Elsewhere: one operation
(``timed``), what a deadline means (``policies.timeout``), and the loop that looks for too many
(``periodic``).
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from itertools import count
from math import inf
from weakref import ref

from holdfast._native.meter import Meter
from holdfast.clock import read_clock, system_clock
from holdfast.errors import DeadlineExceededError
from holdfast.forks import mind, settle
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.manager.timed import TimedOperation, enclosing
from holdfast.mode import read_mode
from holdfast.periodic import LEAST_NS as LEAST_INTERVAL_NS
from holdfast.periodic import Periodic
from holdfast.policies.base import made_within, within_deadline_ns
from holdfast.policies.timeout import Timeout
from holdfast.records import note
from holdfast.stores.figures import TIMED
from holdfast.stores.ledger import ledger
from holdfast.validation import Problems, wait_to_ns
from holdfast.waiting.parking import ThreadWaiter, current
from holdfast.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import timedelta
    from typing import Any, ParamSpec, TypeVar

    from holdfast.clock import Clock
    from holdfast.manager.timeouts_snapshot import (
        ActiveOperation,
        TimeoutManagerSnapshot,
        TimeoutTypeSnapshot,
    )
    from holdfast.mode import Mode
    from holdfast.waiting.aio import TaskWaiter

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["OPERATION_TIMEOUTS", "TimeoutManager"]

# Seconds by the type of operation, of a collector of market data.
OPERATION_TIMEOUTS: dict[str, float] = {
    "api_call": 10.0,
    "database_query": 5.0,
    "redis_operation": 2.0,
    "concurrent_op": 15.0,
    "health_check": 3.0,
    "backfill": 60.0,
    "symbol_fetch": 20.0,
    "market_data": 8.0,
}

MOST_TYPES = 256
OTHERS = "(other)"
_LEAST_NS = 1000
_MOST_DURATIONS = 16  # of one type, that are kept for the next operation of the same duration


class TimeoutManager(Whole, Life):
    """Limits operations by their type, and knows which are active.

    A type is a word such as "api_call". Types that ``timeouts`` does not name have the default;
    after 256 types, further types are counted together as "(other)". Each type is a ``Timeout``
    with that name, so metrics show for each how many operations have expired.

    Args:
        name: For messages; metrics show ``name/type``.
        timeouts: Seconds by type, from a microsecond to a hundred years each; for example
            ``OPERATION_TIMEOUTS``.
        default: Seconds for all other types.
        warn_above: A warning is logged while more operations than this are active, 1 to 1,000,000.
        interval: Seconds between two looks at that, once ``start`` or ``astart`` was called.
        thread: Run synchronous calls in worker threads: the caller continues at the deadline, as
            with ``Timeout(thread=True)``.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. A forked child has no active operations.

    >>> timeouts = TimeoutManager(timeouts={"api_call": 10})
    >>> timeouts.execute("api_call", len, "four")
    4
    >>> timeouts.timeout_for("backup")
    30.0
    """

    kind = "timeouts"

    def __init__(
        self,
        name: str = "timeouts",
        timeouts: Mapping[str, float | timedelta] | None = None,
        *,
        default: float | timedelta = 30.0,
        warn_above: int = 100,
        interval: float | timedelta = 30.0,
        thread: bool = False,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
    ) -> None:
        problems = Problems("TimeoutManager", name)
        self._name = problems.name(name)
        durations = _read_timeouts(problems, timeouts)
        self._default_ns = problems.duration("default", default, least_ns=_LEAST_NS)
        self._warn_above = _read_warn_above(problems, warn_above)
        interval_ns = problems.duration("interval", interval, least_ns=LEAST_INTERVAL_NS)
        self._thread = problems.flag("thread", thread)
        self._clock = read_clock(problems, clock)
        self._mode = read_mode(problems, mode)
        problems.done()
        self._lock = RLock()
        self._types: dict[str, _Type] = {}
        self._given: dict[str, int] = {}  # by type: timeouts that are registered with a manager
        self._active: dict[str, TimedOperation] = {}
        self._looked = 0  # how many were active after the last look for those that are over
        self._watchers: dict[ThreadWaiter | TaskWaiter, None] = {}
        self._started = self._cancelled = self._most_active = 0
        self._serials = count(1)
        ledger.prepare()
        self._meter = Meter()  # as above, for metrics
        ledger.enter(self, 0, ((TIMED, self._meter, 0),))
        for kind, ns in durations.items():
            self._types[kind] = _Type(self._make(kind, ns), own=True)
        self._loop = Periodic(
            self._look, interval_ns / 1e9, name=f"timeouts of {self._name}", clock=self._clock
        )
        mind(self)

    @property
    def name(self) -> str:
        """The name, for messages and metrics."""
        return self._name

    # ---- operations ----

    def execute(self, kind: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` as an operation of the type ``kind``.

        Raises:
            DeadlineExceededError: It took too long.
            OperationCancelledError: It was cancelled by ``cancel``, ``cancel_all`` or ``stop``.
            ConfigError: ``kind`` is not a name.
            TypeError: ``fn`` is a coroutine function; use ``aexecute``.
        """
        return self.operation(kind).call(fn, *args, **kwargs)

    async def aexecute(
        self, kind: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn(*args, **kwargs)`` as an operation of the type ``kind``; see ``execute``."""
        return await self.operation(kind).acall(fn, *args, **kwargs)

    def execute_with_fallback(
        self, kind: str, fn: Callable[[], R], fallback: Callable[[], R], /
    ) -> R:
        """Call ``fn`` as an operation of the type ``kind``; after its timeout, call ``fallback``.

        The fallback has no further deadline. If the deadline of an enclosing operation or
        ``Timeout`` has passed, there is no time for it, and the error is raised.

        Raises:
            DeadlineExceededError: An enclosing deadline has passed.
            OperationCancelledError: It was cancelled.
            ConfigError: ``kind`` is not a name.
            TypeError: ``fn`` is a coroutine function.
        """
        try:
            return self.execute(kind, fn)
        except DeadlineExceededError:
            if _is_late():
                raise
            return fallback()

    async def aexecute_with_fallback(
        self,
        kind: str,
        fn: Callable[[], Awaitable[R]],
        fallback: Callable[[], Awaitable[R]],
        /,
    ) -> R:
        """Await ``fn`` or ``fallback`` for ``kind``, as ``execute_with_fallback`` calls them."""
        try:
            return await self.aexecute(kind, fn)
        except DeadlineExceededError:
            if _is_late():
                raise
            return await fallback()

    def operation(
        self,
        kind: str,
        operation_id: str | None = None,
        *,
        timeout: float | timedelta | None = None,
        parent: TimedOperation | None = None,
    ) -> TimedOperation:
        """Return a new operation, which has not begun: call it, or use it as a context manager.

        Args:
            kind: Its type.
            operation_id: How ``cancel`` and ``is_active`` know it; None for a new one.
            timeout: Seconds that it may take, if not as long as its type.
            parent: The operation that it is a part of, in whatever thread or task. It then ends no
                later than that, and is cancelled with it. None: the operation that this code
                belongs to, if any.

        Raises:
            ConfigError: An argument is invalid, or an active operation has this identifier.
        """
        problems = Problems("TimeoutManager", self._name)
        kind = problems.name(kind, "kind")
        ns = problems.duration("timeout", timeout, least_ns=_LEAST_NS, none=True)
        if operation_id is not None:
            operation_id = problems.name(operation_id, "operation_id")
            self._make_room(operation_id)
            self._refuse_taken(problems, operation_id)
        if parent is not None:
            problems.instance("parent", parent, TimedOperation, "a TimedOperation, or None")
        problems.done()
        with self._locked():
            policy = self._policy_of(kind, ns)
            if operation_id is None:
                operation_id = self._new_id(kind)
        return TimedOperation(self, kind, operation_id, policy, parent or enclosing())

    def begin(
        self,
        kind: str,
        operation_id: str | None = None,
        *,
        timeout: float | timedelta | None = None,
        parent: TimedOperation | None = None,
    ) -> TimedOperation:
        """Begin an operation by hand, which ``complete`` ends; as ``operation(…).begin()``.

        Args:
            kind: Its type.
            operation_id: How ``complete`` and ``cancel`` know it; None for a new identifier.
            timeout: Seconds that it may take, if not as long as its type.
            parent: The operation that it is a part of.

        Raises:
            ConfigError: An argument is invalid, or an active operation has this identifier.
            OperationCancelledError: The parent was cancelled.
        """
        return self.operation(kind, operation_id, timeout=timeout, parent=parent).begin()

    def complete(self, operation_id: str) -> bool:
        """End an operation that was begun by hand.

        Args:
            operation_id: Its identifier.

        Returns:
            Whether it was active, not cancelled, and in time.

        Raises:
            RuntimeError: It was not begun by hand; its end is the end of its code.
        """
        operation = self._active.get(operation_id)
        return operation is not None and operation.complete()

    def cancel(self, operation_id: str) -> bool:
        """Cancel an operation and its parts; see ``TimedOperation`` for the effect.

        Args:
            operation_id: Its identifier.

        Returns:
            Whether it was active, and not cancelled before.
        """
        operation = self._active.get(operation_id)
        return operation is not None and operation.cancel()

    def cancel_all(self) -> int:
        """Cancel all active operations.

        Returns:
            How many there were that had not been cancelled before.
        """
        with self._locked():
            before = self._cancelled
            operations = list(self._active.values())
        for operation in operations:
            operation.cancel()  # with its parts, which are counted too
        return self._cancelled - before

    # ---- what is active ----

    @property
    def active_count(self) -> int:
        """The number of operations that have begun and not ended."""
        self._expire()
        return len(self._active)

    def is_active(self, operation_id: str) -> bool:
        """Return whether an operation with the identifier ``operation_id`` is active."""
        return self.get(operation_id) is not None

    def get(self, operation_id: str) -> TimedOperation | None:
        """Return the active operation with the identifier ``operation_id``, or None."""
        operation = self._active.get(operation_id)
        if operation is not None:
            operation._expire()
        return operation if operation is not None and operation.active else None

    def active(self) -> tuple[ActiveOperation, ...]:
        """Return the operations that have begun and not ended, the oldest first."""
        from holdfast.manager.timeouts_snapshot import ActiveOperation

        self._expire()
        with self._locked():
            operations = list(self._active.values())
        return tuple(
            ActiveOperation(
                kind=one.kind,
                id=one.id,
                timeout=one.timeout,
                elapsed=one.elapsed,
                remaining=one.remaining,
                parent=None if one.parent is None else one.parent.id,
                cancelled=one.cancelled,
            )
            for one in operations
        )

    def snapshot(self) -> TimeoutManagerSnapshot:
        """Return the active operations and the counts of each type."""
        from holdfast.manager.timeouts_snapshot import TimeoutManagerSnapshot

        operations = self.active()
        with self._locked():
            types = dict(self._types)
            active: dict[str, int] = {}
            for one in self._active.values():
                key = one.kind if one.kind in types else OTHERS
                active[key] = active.get(key, 0) + 1
            shown = {kind: one.snapshot(active.get(kind, 0)) for kind, one in types.items()}
            return TimeoutManagerSnapshot(
                name=self._name,
                default=self._default_ns / 1e9,
                warn_above=self._warn_above,
                active=len(self._active),
                most_active=self._most_active,
                started=self._started,
                cancelled=self._cancelled,
                types=shown,
                operations=operations,
            )

    # ---- settings ----

    def timeout_for(self, kind: str) -> float:
        """Return the seconds that an operation of the type ``kind`` may take from now on."""
        its = self._types.get(kind)
        if its is not None:
            return its.policy.duration
        return self._given.get(kind, self._default_ns) / 1e9

    def update(
        self,
        timeouts: Mapping[str, float | timedelta] | None = None,
        *,
        default: float | timedelta | None = None,
        warn_above: int | None = None,
    ) -> None:
        """Change timeouts, for operations that begin from now on.

        Args:
            timeouts: Seconds by type; types that it does not name stay as they are.
            default: Seconds for all types without a timeout; None: as before.
            warn_above: The number of active operations to warn above; None: as before.

        Raises:
            ConfigError: One or more arguments are invalid; all timeouts are as before.
        """
        problems = Problems("TimeoutManager", self._name)
        durations = _read_timeouts(problems, timeouts)
        default_ns = problems.duration("default", default, least_ns=_LEAST_NS, none=True)
        if warn_above is not None:
            warn_above = _read_warn_above(problems, warn_above)
        changed: list[Timeout] = []
        with self._locked():
            if len(self._types.keys() | durations.keys()) > MOST_TYPES:
                problems.refuse("timeouts", timeouts, f"at most {MOST_TYPES} types in all")
            problems.done()
            if warn_above is not None:
                self._warn_above = warn_above
            if default_ns is not None:
                self._default_ns = default_ns
                for its in self._types.values():
                    if not its.own:
                        its.policy._put_duration(default_ns / 1e9, default_ns)
                        changed.append(its.policy)
            for kind, ns in durations.items():
                there = self._types.get(kind)
                if there is None:
                    self._types[kind] = _Type(self._make(kind, ns), own=True)
                else:
                    there.own = True
                    there.policy._put_duration(ns / 1e9, ns)
                    changed.append(there.policy)
        for policy in changed:
            policy._say_duration()

    def _give(self, kind: str, ns: int | None) -> None:
        """Have the timeout of a type that is registered with a manager; None: no longer."""
        with self._locked():
            its = self._types.get(kind)
            if ns is None:
                self._given.pop(kind, None)
            else:
                self._given[kind] = ns
            if its is not None:
                its.own = ns is not None
                now_ns = self._default_ns if ns is None else ns
                its.policy._put_duration(now_ns / 1e9, now_ns)
            elif ns is not None and len(self._types) < MOST_TYPES:
                self._types[kind] = _Type(self._make(kind, ns), own=True)
        if its is not None:
            its.policy._say_duration()

    # ---- life ----

    @property
    def running(self) -> bool:
        """Whether it looks for too many operations."""
        return self._loop.running

    def start(self) -> None:
        """Look for too many active operations from now on, in a thread.

        Operations need none of this: they are limited whether it runs or not.
        """
        self._loop.start()

    async def astart(self) -> None:
        """Look for too many active operations from now on, in a task of the running event loop."""
        await self._loop.astart()

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Cancel all active operations, and wait until their code has ended.

        It does not wait for an operation that it is called in, nor, in the thread of an event
        loop, for those of tasks. Operations that begin later are limited as before.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits.

        Returns:
            Whether all have ended, except those that it does not wait for.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        wait = _Wait(self, timeout, in_task=False)
        ended = self._loop.stop(wait.left)
        self.cancel_all()
        token = current.set(None)  # it may be called in one of those that it has cancelled
        try:
            while not wait.is_over():
                waiter = ThreadWaiter()
                self._watchers[waiter] = None
                try:
                    if not wait.is_over():
                        waiter.park(system_clock, wait.left_ns)
                finally:
                    self._watchers.pop(waiter, None)
                if not waiter.woken and wait.left_ns == 0:
                    return wait.is_over() and ended
        finally:
            current.reset(token)
        return ended

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """Cancel and wait as ``stop`` does, for ``timeout`` seconds at most; the loop goes on."""
        from holdfast.waiting.aio import TaskWaiter

        wait = _Wait(self, timeout, in_task=True)
        ended = await self._loop.astop(wait.left)
        self.cancel_all()
        while not wait.is_over():
            waiter = TaskWaiter()
            self._watchers[waiter] = None
            try:
                if not wait.is_over():
                    await waiter.park(system_clock, wait.left_ns)
            finally:
                self._watchers.pop(waiter, None)
            if not waiter.woken and wait.left_ns == 0:
                return wait.is_over() and ended
        return ended

    def __repr__(self) -> str:
        return f"<TimeoutManager {self._name!r} {len(self._active)} active>"

    # ---- for its operations ----

    def _locked(self) -> RLock:
        settle()
        return self._lock

    def _make_room(self, operation_id: str) -> None:
        """Forget those that were begun by hand, whose time is over, and that nobody completes.

        The lock is not held: they are counted, and listeners may hear of it.
        """
        self.get(operation_id)
        if len(self._active) >= 2 * max(self._looked, self._warn_above):
            self._expire()
            self._looked = len(self._active)

    def _enter(self, operation: TimedOperation) -> None:
        """Take one that begins. The lock is held."""
        if operation.id in self._active:
            problems = Problems("TimeoutManager", self._name)
            self._refuse_taken(problems, operation.id)
            problems.done()
        self._active[operation.id] = operation
        self._started += 1
        self._meter.set(0, len(self._active))
        self._meter.count(0)
        self._most_active = max(self._most_active, len(self._active))

    def _leave(self, operation: TimedOperation) -> None:
        """Forget one that has ended. The lock is held."""
        if self._active.get(operation.id) is operation:
            del self._active[operation.id]
            self._meter.set(0, len(self._active))
        for waiter in list(self._watchers):
            waiter.wake()

    def _say(self, record: str, operation: TimedOperation, text: str) -> None:
        """Log how an operation has ended. The lock is not held."""
        note(
            record,
            "timeout",
            f"{self._name}/{operation.kind}",
            "%s: operation %r (%s) %s after %.3g s",
            self._name,
            operation.id,
            operation.kind,
            text,
            operation.elapsed,
            clock=self._clock,
        )

    def _count_cancelled(self) -> None:
        self._cancelled += 1
        self._meter.count(1)

    # ---- within ----

    def _refuse_taken(self, problems: Problems, operation_id: str) -> None:
        if operation_id in self._active:
            problems.refuse(
                "operation_id", operation_id, "an identifier that no active operation has"
            )

    def _new_id(self, kind: str) -> str:
        while (operation_id := f"{kind}-{next(self._serials)}") in self._active:
            pass
        return operation_id

    def _make(self, kind: str, ns: int) -> Timeout:
        return made_within(
            self._name,
            Timeout,
            ns / 1e9,
            name=kind,
            thread=self._thread,
            clock=self._clock,
            mode=self._mode,
        )

    def _policy_of(self, kind: str, ns: int | None) -> Timeout:
        """Return what limits an operation. The lock is held."""
        its = self._types.get(kind)
        if its is None and len(self._types) >= MOST_TYPES:
            ns = self._given.get(kind) if ns is None else ns
            kind = OTHERS
            its = self._types.get(kind)
        if its is None:
            its = self._types[kind] = _Type(self._make(kind, self._default_ns), own=False)
        if ns is None:
            return its.policy
        return its.of_duration(ns, lambda: self._make(kind, ns))

    def _expire(self) -> None:
        for operation in list(self._active.values()):
            operation._expire()

    def _look(self) -> None:
        self._expire()
        with self._locked():
            operations = list(self._active.values())
        if len(operations) <= self._warn_above:
            return
        kinds: dict[str, int] = {}
        for operation in operations:
            kinds[operation.kind] = kinds.get(operation.kind, 0) + 1
        most = sorted(kinds.items(), key=lambda one: -one[1])[:3]
        note(
            "many_active",
            "timeout",
            self._name,
            "%s: High number of active operations detected: %d, more than %d (%s); "
            "the oldest since %.3g s",
            self._name,
            len(operations),
            self._warn_above,
            ", ".join(f"{n} {kind}" for kind, n in most),
            operations[0].elapsed,
            clock=self._clock,
        )

    def _after_fork(self) -> None:
        self._lock = RLock()
        self._active = {}
        self._looked = 0
        self._watchers = {}


class _Type:
    """One type of operation, for one thread at a time: its manager has a lock.

    Attributes:
        policy: What limits its operations.
        own: Whether it has a timeout of its own.
    """

    __slots__ = ("_counts", "_died", "_kernels", "_others", "own", "policy")

    def __init__(self, policy: Timeout, *, own: bool) -> None:
        self.policy = policy
        self.own = own
        self._others: OrderedDict[int, Timeout] = OrderedDict()  # by duration, the newest last
        # Of those of other durations, also of those that only an operation still has.
        self._kernels: dict[int, tuple[ref[Timeout], Any]] = {}
        self._died: deque[int] = deque()  # which of them no call can count in any more
        self._counts = (0, 0, 0, 0)  # of those

    def of_duration(self, ns: int, make: Callable[[], Timeout]) -> Timeout:
        """Return a timeout of another duration, which counts for the same type."""
        there = self._others.get(ns)
        if there is None:
            self._bury()
            there = make()
            key, died = id(there._kernel), self._died
            self._kernels[key] = ref(there, lambda _: died.append(key)), there._kernel
            self._others[ns] = there
        self._others.move_to_end(ns)
        if len(self._others) > _MOST_DURATIONS:
            self._others.popitem(last=False)
        return there

    def snapshot(self, active: int) -> TimeoutTypeSnapshot:
        """Return its counts."""
        from holdfast.manager.timeouts_snapshot import TimeoutTypeSnapshot

        self._bury()
        counts = self._counts
        for kernel in (self.policy._kernel, *(kernel for _, kernel in self._kernels.values())):
            counts = _added(counts, kernel)
        in_time, expired, late, refused = counts
        ended = in_time + expired
        return TimeoutTypeSnapshot(
            timeout=self.policy.duration,
            own=self.own,
            active=active,
            in_time=in_time,
            expired=expired,
            timeout_rate=expired / ended if ended else 0.0,
            late=late,
            refused=refused,
        )

    def _bury(self) -> None:
        """Keep only the sum of those that died."""
        while self._died:
            _, kernel = self._kernels.pop(self._died.popleft())
            self._counts = _added(self._counts, kernel)


_Counts = tuple[int, int, int, int]


def _added(counts: _Counts, kernel: Any) -> _Counts:
    in_time, expired, late, refused, *_ = kernel.counters()
    return counts[0] + in_time, counts[1] + expired, counts[2] + late, counts[3] + refused


def _read_timeouts(problems: Problems, timeouts: Any) -> dict[str, int]:
    """Check timeouts by type."""
    if timeouts is None:
        return {}
    try:
        given = dict(timeouts)
    except (TypeError, ValueError):
        problems.refuse("timeouts", timeouts, "a dict of seconds by the type of operation")
        return {}
    if len(given) > MOST_TYPES:
        problems.refuse("timeouts", timeouts, f"at most {MOST_TYPES} types")
    read = {}
    for kind, duration in given.items():
        named = problems.name(kind, "timeouts")
        read[named] = problems.duration(f"timeouts[{named!r}]", duration, least_ns=_LEAST_NS)
    return read


def _read_warn_above(problems: Problems, value: int) -> int:
    return problems.integer("warn_above", value, least=1, most=1_000_000)


def _is_late() -> bool:
    left_ns = within_deadline_ns(None)
    return left_ns is not None and left_ns <= 0


def _loop_here() -> Any:
    """Return the event loop that runs in this thread, or None."""
    asyncio: Any = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


class _Wait:
    """How long ``stop`` may still wait, and for what."""

    __slots__ = ("_around", "_end_ns", "_loop", "_manager")

    def __init__(
        self, manager: TimeoutManager, timeout: float | timedelta, *, in_task: bool
    ) -> None:
        timeout_ns = wait_to_ns("timeout", timeout)
        self._end_ns = None if timeout_ns is None else system_clock.now_ns() + timeout_ns
        self._manager = manager
        self._loop = None if in_task else _loop_here()
        self._around: set[TimedOperation] = set()
        operation = enclosing()
        while operation is not None:
            self._around.add(operation)
            operation = operation.parent

    @property
    def left_ns(self) -> int | None:
        """How long it may wait; None: without limit."""
        return None if self._end_ns is None else max(0, self._end_ns - system_clock.now_ns())

    @property
    def left(self) -> float:
        """The same in seconds."""
        left_ns = self.left_ns
        return inf if left_ns is None else left_ns / 1e9

    def is_over(self) -> bool:
        """Return whether nothing is active any more that it waits for."""
        with self._manager._locked():
            operations = list(self._manager._active.values())
        return all(
            one in self._around or (self._loop is not None and one._loop is self._loop)
            for one in operations
        )
