"""Bulkhead: never more than so many calls inside at once, and a bounded queue for the others.

Owns the settings and the face; the counting is ``csrc/holdfast/hf_bulkhead.h``, the waiting
``waiting.rooms``'.
"""

from __future__ import annotations

from functools import partial

from holdfast._native.bulkhead import Bulkhead as Kernel
from holdfast._native.gate import Gate, _fork_number, check_deadline
from holdfast.clock import read_clock
from holdfast.errors import BulkheadFullError, BulkheadTimeoutError
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Default, Policy, settings_of, within_deadline_ns
from holdfast.stores.figures import BULKHEAD, WAIT
from holdfast.validation import Problems, duration_to_ns, titled, wait_to_ns
from holdfast.waiting.rooms import ENTERED, FULL, WaitingRoom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.policies.bulkhead.snapshot import BulkheadSnapshot
    from holdfast.stores.ledger import Part

__all__ = ["Bulkhead"]

MAX_PLACES = 1_000_000


class Bulkhead(Policy):
    """Limits the number of calls that run at the same time.

    If all slots are taken, a call waits in a first-in, first-out queue of threads and tasks. The
    queue has room for ``max_waiting`` calls, and each waits at most ``max_wait`` seconds.

    Args:
        name: The protected resource, for messages, metrics and the registry.
        max_concurrent: Calls that may run at the same time, 1 to 1,000,000.
        max_waiting: Calls that may wait for a slot, 0 to 1,000,000.
        max_wait: The longest wait of a call in seconds; None or ``math.inf`` for no limit. If it
            is omitted, only ``enter(timeout)`` waits, and ``lint`` of a pipeline reports it.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared bulkhead of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops, which may use the same object together. In a
    thread that runs an event loop, use `async with`, ``acall`` or ``aenter``. A blocking wait
    would block the loop: it issues a RuntimeWarning (once), or raises a RuntimeError if it has no
    limit.

    >>> with Bulkhead("connections", max_concurrent=2) as places:
    ...     places.in_flight
    1
    """

    __slots__ = ("_before_reset", "_max_wait_ns", "_waits")

    kind = "bulkhead"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(
        self,
        name: str,
        *,
        max_concurrent: int = 100,
        max_waiting: int = 0,
        max_wait: float | timedelta | None = Default(0),  # noqa: B008 - a number
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("Bulkhead", name)
        name = problems.name(name)
        limit = problems.integer("max_concurrent", max_concurrent, least=1, most=MAX_PLACES)
        waiting = problems.integer("max_waiting", max_waiting, least=0, most=MAX_PLACES)
        max_wait_ns = problems.wait("max_wait", max_wait)
        if waiting == 0 and max_wait_ns != 0:
            problems.refuse(
                "max_wait",
                max_wait,
                "0 if max_waiting is 0; give max_waiting= for calls that wait",
            )
        if waiting > 0 and duration_to_ns(max_wait) == 0 and not isinstance(max_wait, Default):
            problems.refuse(
                "max_wait",
                max_wait,
                f"a time above 0, or None: {waiting} calls may wait, and with 0 none would; "
                "omit it if only enter(timeout) waits",
            )
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        kernel = Kernel(limit, waiting)
        # First of all, for it refuses to be done twice.
        self._bind(
            "bulkhead",
            (kernel,),
            clock,
            name,
            NATIVE_MODES[mode],
            BulkheadFullError,
            can_wait=waiting > 0 and max_wait_ns != 0 and mode is Mode.ENFORCE,
        )
        self._max_wait_ns = max_wait_ns
        self._waits = None
        self._before_reset: tuple[int, tuple[int, ...]] = (0, ())
        self._keep(
            max_concurrent=limit,
            max_waiting=waiting,
            max_wait=max_wait,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    # ---- places by hand ----

    if TYPE_CHECKING:

        def try_enter(self) -> bool:
            """Take a slot if one is free and no call waits for it. Never blocks.

            Returns:
                True: the caller has a slot and must call leave() exactly once.
            """

    else:
        try_enter = Gate._try_enter

    def enter(self, timeout: float | timedelta | None = None) -> None:
        """Take a slot, or wait for a free slot in this thread.

        Args:
            timeout: The longest wait in seconds; ``math.inf`` for no limit, None for the policy's
                ``max_wait``.

        Raises:
            BulkheadFullError: All slots and all places in the queue are taken.
            BulkheadTimeoutError: No slot became free in time.
            RuntimeError: The wait would have no limit and would block the event loop of this
                thread.
        """
        if not self._passes():
            wait_ns = self._wait_ns_of(timeout)
            answer = self._room.enter(self._clock, wait_ns, self)
            if answer != ENTERED:
                self._refuse_as(answer, wait_ns)

    async def aenter(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - decided before any wait
    ) -> None:
        """Take a slot, or wait for a free slot in this task; see ``enter``.

        If the task is cancelled, it holds no slot.

        Args:
            timeout: The longest wait in seconds; ``math.inf`` for no limit, None for the policy's
                ``max_wait``.

        Raises:
            BulkheadFullError: All slots and all places in the queue are taken.
            BulkheadTimeoutError: No slot became free in time.
        """
        if not self._passes():
            wait_ns = self._wait_ns_of(timeout)
            answer = await self._room.aenter(self._clock, wait_ns, self, by_hand=True)
            if answer != ENTERED:
                self._refuse_as(answer, wait_ns)

    def leave(self) -> None:
        """Give back a slot that ``try_enter``, ``enter`` or ``aenter`` has taken.

        Without such a slot, only a counter changes and a warning is issued.
        """
        if not self._room.leave() and self.mode is not Mode.OFF:
            from warnings import warn

            self._say("over_released", "was left without a slot taken")
            warn(f"leave() of {titled(self)} without a slot taken", RuntimeWarning, stacklevel=2)

    def resize(self, max_concurrent: int) -> None:
        """Change the number of slots.

        Running calls continue. If there are more slots now, waiting calls get them.

        Raises:
            ConfigError: ``max_concurrent`` is not an integer from 1 to 1,000,000.
        """
        problems = Problems("Bulkhead", self.name)
        limit = problems.integer("max_concurrent", max_concurrent, least=1, most=MAX_PLACES)
        problems.done()
        self._change(max_concurrent=limit)
        is_other = False
        while self._kernel.limit() != (
            limit := self._setting("max_concurrent")
        ):  # or another thread's, given meanwhile
            self._room.resize(limit)
            is_other = True
        if is_other:
            self._say("resized", "has %d slots", limit)

    # ---- what others see ----

    @property
    def in_flight(self) -> int:
        """The number of running calls."""
        return self._kernel.in_flight()

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a slot."""
        return self._kernel.waiting()

    def snapshot(self) -> BulkheadSnapshot:
        """Return the current occupation and counts; see ``BulkheadSnapshot`` for the fields."""
        from holdfast.policies.bulkhead.snapshot import BulkheadSnapshot

        kernel = self._kernel
        counts, busy_ns, observed = self._counts_since_reset()
        admitted, completed, undone, rejected, waited, timed_out, over_released = counts
        active, capacity = kernel.in_flight(), kernel.limit()
        queued, queue_capacity = kernel.waiting(), kernel.max_waiting()
        return BulkheadSnapshot(
            name=self.name,
            active=active,
            capacity=capacity,
            utilization=active / capacity,
            queued=queued,
            queue_capacity=queue_capacity,
            queue_utilization=queued / queue_capacity if queue_capacity else 0.0,
            available=max(0, capacity - active),
            admitted=admitted,
            completed=completed,
            undone=undone,
            rejected=self._rejected(rejected),
            timed_out=timed_out,
            waited=waited,
            over_released=over_released,
            observed=observed,
            average_execution_time=busy_ns / completed / 1e9 if completed else None,
        )

    def reset(self) -> None:
        """Set the counts in snapshots to zero. Running and waiting calls are not affected."""
        counts = (*self._kernel.counters(), self._busy_ns, self._observed)
        self._before_reset = _fork_number(), counts
        self._say("reset", "was reset")

    def _in_words(self) -> str:
        text = f"{self._kernel.in_flight()} of {self._kernel.limit()} inside"
        waiting = self._kernel.waiting()
        return f"{text}, {waiting} waiting" if waiting else text

    def _figured(self) -> tuple[Part, ...]:
        waits = ((WAIT, self._waits, 0),) if self._waits is not None else ()
        return ((BULKHEAD, self._kernel, 0), *waits)

    def _counts_since_reset(self) -> tuple[list[int], int, int]:
        """Return the kernel's counters, the time spent inside, and the observed calls.

        What metrics export is never set back; only what a snapshot shows is.
        """
        counts = (*self._kernel.counters(), self._busy_ns, self._observed)
        fork, before = self._before_reset
        if fork != _fork_number():  # nothing was reset, or in a parent of this process
            before = (0,) * len(counts)
        *kernel, busy_ns, observed = (new - old for new, old in zip(counts, before, strict=True))
        return kernel, busy_ns, observed

    def _further_costs(self) -> list[str]:
        return ["may wait"] * self._can_wait

    # ---- what the native gate asks ----

    def _leave_with(self, works: list[Any], place: list[int]) -> None:
        """Give a place back once all that a call has left behind in threads has stopped."""

        def leave() -> None:  # any number of times: the place is left once
            if all(work.stopped for work in works):
                self._leave_place(place)

        def watch() -> None:
            for work in works:
                work.call_at_stop(leave)
            leave()

        try:
            watch()
        except BaseException:  # interrupted before all were told, perhaps
            watch()
            raise

    # Once inside, nothing is called on the way back to the gate: an interrupt, which arrives only
    # where something is called, would leave a place behind that nobody holds.

    def _block(self) -> None:
        wait_ns = self._wait_ns_of(None)
        answer = self._room.enter(self._clock, wait_ns, self)
        if answer != ENTERED:
            self._refuse_as(answer, wait_ns)

    async def _suspend(self) -> None:
        wait_ns = self._wait_ns_of(None)
        answer = await self._room.aenter(self._clock, wait_ns, self)
        if answer != ENTERED:
            self._refuse_as(answer, wait_ns)

    def _admit(self) -> None:
        self._room.admit()

    # ---- waiting ----

    @property
    def _room(self) -> WaitingRoom:
        room: WaitingRoom | None = self._queue
        if room is None:
            room = self._once("_queue", partial(WaitingRoom, self._kernel))
        return room

    def _waited(self, ns: int) -> None:
        """Be told by the room how long a call has waited, whatever became of it."""
        self._record_wait(WAIT, ns)

    def _passes(self) -> bool:
        """Whether there is nothing to wait for: observed or switched off, everybody enters."""
        return self.mode is not Mode.ENFORCE and self._try_enter()

    def _wait_ns_of(self, timeout: float | timedelta | None) -> int | None:
        wait_ns = self._max_wait_ns if timeout is None else wait_to_ns("timeout", timeout)
        return within_deadline_ns(wait_ns)

    def _refuse_as(self, answer: int, wait_ns: int | None) -> None:
        check_deadline()  # or it is the time of the call that is over
        if answer == FULL:
            self._refuse("full")
        self._refuse("timeout", -1, BulkheadTimeoutError, -1 if wait_ns is None else wait_ns)
