"""ResourceOptimiser: proposes how many workers there should be, and has bulkheads follow.

Owns when a proposal is made, and who follows it. Elsewhere: its numbers (``proposal``), and what
they are made from (``performance``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.clock import read_clock
from holdfast.events import Event, Listeners
from holdfast.forks import mind, settle
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.periodic import Periodic
from holdfast.records import note
from holdfast.resources.proposal import FIELDS, NEWEST, Proposal, average, propose, triggers
from holdfast.validation import Problems, explains_names, wait_to_ns
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Protocol

    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.resources.performance import PerformanceMonitor

    class Resizable(Protocol):
        """A ``Bulkhead``, or what is resized like one."""

        def resize(self, n: int, /) -> object: ...


__all__ = ["ResourceOptimiser", "ResourceOptimiserSnapshot"]

HISTORY = 100
_KIND = "resource_optimiser"
_LEAST_INTERVAL_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ResourceOptimiserSnapshot:
    """What a resource optimiser has proposed: data only.

    Attributes:
        name: Its name.
        running: Whether it runs.
        interval: Seconds from one proposal to the next.
        proposals: How many it has made.
        proposal: The newest one; None before the first.
        triggers: Why the newest was made before its time; empty if it was not.
        followers: How many bulkheads follow.
        failures: How often one of them could not be resized.
        callback_failures: Errors that listeners have raised.
    """

    name: str
    running: bool
    interval: float
    proposals: int
    proposal: Proposal | None
    triggers: tuple[str, ...]
    followers: int
    failures: int
    callback_failures: int
    kind: str = field(default=_KIND, init=False)


class _Follower:
    """A bulkhead that has as many slots as a number of the proposal says."""

    __slots__ = ("bulkhead", "field", "was_failing")

    def __init__(self, bulkhead: Resizable, name: str) -> None:
        self.bulkhead, self.field, self.was_failing = bulkhead, name, False


class ResourceOptimiser(Whole, Life):
    """Proposes how many workers there should be, and says why.

    It is made from the average of the newest five reports of a monitor: two workers for each
    processor, fewer where memory is small, and where processors or memory are nearly used up.
    A bulkhead follows a proposal only after ``follow``. While it runs, a proposal is made once an
    interval, and after each report of the monitor while the newest five show on average more
    than 85 % of the processors, 90 % of the memory, 5 % of calls without a result, 5 s a call, or
    1,000 threads and tasks.

    Args:
        name: A name for logs and events.
        monitor: Whose reports it reads. Start it too: nothing is known without reports.
        interval: Seconds from one proposal to the next, at least 1.
        clock: The source of time, that of the monitor; None for the system's clock.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    A running optimiser is kept alive, and with it the monitor and all that follows. In a forked
    child it is stopped and has proposed nothing. Safe to share between threads and event loops.

    >>> from holdfast.resources import PerformanceMonitor
    >>> optimiser = ResourceOptimiser("shop", monitor=PerformanceMonitor("shop"))
    >>> 2 <= optimiser.propose().workers <= 20
    True
    """

    kind = _KIND

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        monitor: PerformanceMonitor,
        interval: float | timedelta = 300.0,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("ResourceOptimiser", name)
        self._name = problems.name(name)
        for method in ("report", "on_event", "history"):
            if not hasattr(monitor, method):
                problems.refuse("monitor", monitor, "a PerformanceMonitor")
                break
        interval_ns = problems.duration("interval", interval, least_ns=_LEAST_INTERVAL_NS)
        self._clock = read_clock(problems, clock)
        problems.done()
        self._monitor = monitor
        # Guards what follows, and the history. Nothing of a user's runs under it.
        self._lock = RLock()
        self._followers: dict[_Follower, None] = {}
        self._history: deque[Proposal] = deque(maxlen=HISTORY)
        self._triggers: tuple[str, ...] = ()
        self._proposals = self._failures = 0
        self._listeners = Listeners()
        self._unsubscribe: Callable[[], None] | None = None
        self._loop = Periodic(
            self._tick, interval_ns / 1e9, name=f"optimiser {self._name}", clock=self._clock
        )
        mind(self)

    @property
    def name(self) -> str:
        """The name, for messages."""
        return self._name

    @property
    def interval(self) -> float:
        """Seconds from one proposal to the next."""
        return self._loop.interval or 0.0

    # ---- proposals ----

    def propose(self) -> Proposal:
        """Return what fits now; nothing follows it.

        A monitor without a report looks first.
        """
        settle()
        newest = self._monitor.history[-NEWEST:] or (self._monitor.report(),)
        system = newest[-1].system
        return propose(
            system.processors,
            system.memory_limit,
            cpu=average(report.system.cpu for report in newest),
            used=average(report.system.memory for report in newest),
        )

    def apply(self) -> Proposal:
        """Propose, and resize all that follows, now and in this thread."""
        return self._adopt(())

    @property
    def proposal(self) -> Proposal | None:
        """The newest proposal that was followed; None before the first."""
        with self._lock:
            return self._history[-1] if self._history else None

    @property
    def history(self) -> tuple[Proposal, ...]:
        """The last 100 proposals, oldest first; one like that before it is not in it again."""
        with self._lock:
            return tuple(self._history)

    def follow(self, bulkhead: Resizable, number: str) -> Callable[[], None]:
        """Have a bulkhead as many slots as a number of each proposal says, from the next one on.

        Args:
            bulkhead: A ``Bulkhead``, or anything with ``resize(n)``.
            number: "workers", "backfill", "writes" or "breaker_calls".

        Returns:
            A function that ends it; the bulkhead stays as it is then. It may be called repeatedly.

        Raises:
            ConfigError: An argument is invalid, or the bulkhead follows another number.
        """
        problems = Problems("ResourceOptimiser", self._name)
        if not callable(getattr(bulkhead, "resize", None)):
            problems.refuse("bulkhead", bulkhead, "a Bulkhead, or anything with resize(n)")
        number = problems.choice("number", number, FIELDS)
        problems.done()
        follower = _Follower(bulkhead, number)
        settle()
        with self._lock:
            others = {one.field for one in self._followers if one.bulkhead is bulkhead} - {number}
            if not others:
                self._followers[follower] = None
        if others:  # it would be resized to one number and then to the other, each time
            allowed = f"the one that it follows already, {others.pop()!r}"
            problems.refuse("number", number, allowed)
            problems.done()

        def end() -> None:
            with self._lock:
                self._followers.pop(follower, None)

        return end

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for each proposal with other numbers than the one before.

        The kind of the event is "proposed"; ``old`` and ``new`` are the workers before and now, and
        ``reason`` has the reasons. No lock is held. What a listener raises is logged and counted.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def snapshot(self) -> ResourceOptimiserSnapshot:
        """Return the newest proposal, and what became of it."""
        settle()
        with self._lock:
            return ResourceOptimiserSnapshot(
                name=self._name,
                running=self.running,
                interval=self.interval,
                proposals=self._proposals,
                proposal=self._history[-1] if self._history else None,
                triggers=self._triggers,
                followers=len(self._followers),
                failures=self._failures,
                callback_failures=self._listeners.raised,
            )

    # ---- how it goes on ----

    def _tick(self) -> None:
        self._adopt(())

    def _reported(self, _: Event) -> None:
        """After a report: do not wait for the interval where the newest ones are bad."""
        if self.running and (why := triggers(self._monitor.history)):
            self._adopt(why)

    def _adopt(self, why: tuple[str, ...]) -> Proposal:
        made = self.propose()
        with self._lock:
            before = self._history[-1] if self._history else None
            is_other = before is None or before.numbers != made.numbers
            if is_other:
                self._history.append(made)
            else:
                self._history[-1] = made  # with its own reasons
            self._proposals += 1
            self._triggers = why
            followers = list(self._followers)
        for follower in followers:
            if why and not self.running:  # it was stopped meanwhile, and nobody waits for a report
                break
            n = getattr(made, follower.field)
            self._resize(follower, n)
            while (n := self._wanted(follower, n)) is not None:  # another thread's, made meanwhile
                self._resize(follower, n)
        if is_other:
            reason = "; ".join((*why, *made.reasons))
            text = "resource optimiser %r proposes %d workers: %s"
            self._note("proposed", text, made.workers, reason)
            old = None if before is None else before.workers
            at = self._clock.now()
            self._listeners.emit(
                Event("proposed", self, self._name, old=old, new=made.workers, reason=reason, at=at)
            )
        return made

    def _wanted(self, follower: _Follower, n: int) -> int | None:
        """Return how many it should have, if that is not n and it still follows."""
        with self._lock:
            wanted: int = getattr(self._history[-1], follower.field)
            return wanted if wanted != n and follower in self._followers else None

    def _resize(self, follower: _Follower, n: int) -> None:
        """Resize one; what it raises is counted, and logged once until it can be resized again."""
        try:
            follower.bulkhead.resize(n)
        except Exception as error:  # noqa: BLE001 - of anybody's object
            with self._lock:
                self._failures += 1
            if not follower.was_failing:
                text = "resource optimiser %r: %r cannot be resized to %d: %r"
                self._note("follower_failed", text, follower.bulkhead, n, error)
            follower.was_failing = True
        else:
            follower.was_failing = False

    def _note(self, record: str, text: str, *args: Any) -> None:
        note(record, _KIND, self._name, text, self._name, *args, clock=self._clock)

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        return self._loop.running

    def start(self) -> None:
        """Propose at once, and then once an interval, in a thread. One that runs already goes on.

        Raises:
            RuntimeError: No thread can be started.
        """
        settle()
        self._loop.start()
        with self._lock:
            if self._unsubscribe is None:
                self._unsubscribe = self._monitor.on_event(self._reported)

    async def astart(self) -> None:
        """Start as ``start`` does. It proposes in a thread: nothing blocks the event loop."""
        self.start()

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Propose no more, and wait until a proposal that goes on is followed.

        Bulkheads that follow stay as they are. It may be called from anywhere, any number of times,
        also by a listener: it does not wait for itself.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits.

        Returns:
            Whether nothing goes on any more, except what calls this.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        wait_to_ns("timeout", timeout)
        self._leave()
        return self._loop.stop(timeout)

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """Stop as ``stop`` does, in ``timeout`` seconds at most; the event loop goes on."""
        wait_to_ns("timeout", timeout)
        self._leave()
        return await self._loop.astop(timeout)

    def _leave(self) -> None:
        settle()
        with self._lock:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def _after_fork(self) -> None:
        """In a forked child: have locks that nobody holds, and no proposal."""
        self._lock = RLock()
        self._history.clear()
        self._triggers = ()
        self._proposals = self._failures = 0
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def __repr__(self) -> str:
        """Show the name and whether it runs."""
        return f"ResourceOptimiser({self._name!r}, running={self.running})"
