"""Calls at a fixed rate, from threads and from asyncio tasks.

Arrivals are due at fixed times whatever becomes of the calls. A lane has a bounded number of
workers, as a service has; when all of them are stuck, calls wait for one and their latency,
counted from when they were due, says so. (Sending the next call only after the last one ended
would slow down with the upstream and hide that.)
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.demo.schedule import NS
from holdfast.demo.tally import Call, Trip, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from holdfast.demo.tally import Lane, TaskCall, ThreadCall


class Pace(Protocol):
    """The time since the start, and waiting for a point of it."""

    def now_ns(self) -> int:
        """Return the time since the start."""

    def until(self, at_ns: int) -> bool:
        """Block until then; at once, with False, when the run is to stop."""

    async def auntil(self, at_ns: int) -> bool:
        """Wait until then; False when the run is to stop."""


class RealPace:
    """Real time from the making of it, until somebody says ``stop``. Any thread may use it."""

    def __init__(self) -> None:
        self._start_ns = time.monotonic_ns()
        self._stop = threading.Event()

    def now_ns(self) -> int:
        """Return the time since this was made."""
        return time.monotonic_ns() - self._start_ns

    def until(self, at_ns: int) -> bool:
        """Block until then; at once, with False, when stopped."""
        return not self._stop.wait(max(0, at_ns - self.now_ns()) / NS)

    async def auntil(self, at_ns: int) -> bool:
        """Wait until then; False when stopped meanwhile, which is noticed at that time."""
        await asyncio.sleep(max(0, at_ns - self.now_ns()) / NS)
        return not self._stop.is_set()

    def stop(self) -> None:
        """End every wait, and the run."""
        self._stop.set()


class Arrivals:
    """Hands out the times at which a lane's calls are due, each once, to any thread.

    Args:
        per_second: Calls each second.
        offset_ns: When the first is due.
        end_ns: Nothing is due from then on; None for no end.
    """

    def __init__(self, per_second: int, offset_ns: int, end_ns: int | None) -> None:
        self._per_second = per_second
        self._offset_ns = offset_ns
        self._end_ns = end_ns
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """Return when the next call is due, or None when there is none."""
        with self._lock:
            due_ns = self._offset_ns + self._taken * NS // self._per_second
            if self._end_ns is not None and due_ns >= self._end_ns:
                return None
            self._taken += 1
            return due_ns


@dataclass(frozen=True, slots=True)
class Orders:
    """What a lane is to do.

    Args:
        lane: Whose calls these are.
        arrivals: When they are due.
        pace: The run's time.
        judge: What an exception of a call means; None: nothing foreseen, the lane gives up.
        record: Is told of every finished call.
        workers: Calls that can be under way at once.
    """

    lane: Lane
    arrivals: Arrivals
    pace: Pace
    judge: Callable[[Exception], tuple[Verdict, str] | None]
    record: Callable[[Lane, Call], None]
    workers: int

    def finish(self, due_ns: int, sent_ns: int, trip: Trip, error: Exception | None) -> None:
        """Judge and record a call that has just ended; raises what nobody foresaw."""
        ending = (Verdict.GOOD, "")
        if error is not None:
            judged = self.judge(error)
            if judged is None:
                raise error
            ending = judged
        if ending[0] is Verdict.REJECTED and trip.requests:
            # Another attempt was turned away; the first was sent all the same, and came to nothing.
            ending = (Verdict.FAILED, "")
        done_ns = self.pace.now_ns()
        self.record(self.lane, Call(due_ns, sent_ns, done_ns, *ending, trip.requests))


class Traffic(ABC):
    """One lane's calls, in a thread of its own, until its arrivals or the run end.

    An exception that is no verdict on a call ends the lane and is left in ``error``.
    """

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.error: Exception | None = None
        # Daemons: a call that never returns cannot keep the process.
        self._thread = threading.Thread(target=self.run, name=" ".join(orders.lane), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the last call; True when it has ended within ``seconds``."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Make the calls, in the calling thread."""
        try:
            self._make_calls()
        except Exception as error:  # noqa: BLE001 - raised by whoever watches the lane
            self.error = error

    @abstractmethod
    def _make_calls(self) -> None:
        """Return when the workers have made the last call."""


class ThreadTraffic(Traffic):
    """A lane whose workers are threads; they share the call that ``open_call`` yields."""

    def __init__(
        self,
        orders: Orders,
        open_call: Callable[[], AbstractContextManager[ThreadCall]],
    ) -> None:
        super().__init__(orders)
        self._open_call = open_call

    def _make_calls(self) -> None:
        with self._open_call() as call:
            workers = [
                threading.Thread(target=self._work, args=(call,), daemon=True)
                for _ in range(self.orders.workers)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

    def _work(self, call: ThreadCall) -> None:
        orders = self.orders
        try:
            while (due_ns := orders.arrivals.take()) is not None and orders.pace.until(due_ns):
                sent_ns, trip, error = orders.pace.now_ns(), Trip(), None
                try:
                    call(trip)
                except Exception as raised:  # noqa: BLE001 - judged
                    error = raised
                orders.finish(due_ns, sent_ns, trip, error)
        except Exception as error:  # noqa: BLE001 - raised by whoever watches the lane
            self.error = error


class TaskTraffic(Traffic):
    """A lane whose workers are tasks of one event loop; they share what ``open_call`` yields."""

    def __init__(
        self,
        orders: Orders,
        open_call: Callable[[], AbstractAsyncContextManager[TaskCall]],
    ) -> None:
        super().__init__(orders)
        self._open_call = open_call

    def _make_calls(self) -> None:
        asyncio.run(self._make_calls_in_loop())

    async def _make_calls_in_loop(self) -> None:
        async with self._open_call() as call, asyncio.TaskGroup() as group:
            for _ in range(self.orders.workers):
                group.create_task(self._work(call))

    async def _work(self, call: TaskCall) -> None:
        orders = self.orders
        while (due_ns := orders.arrivals.take()) is not None and await orders.pace.auntil(due_ns):
            sent_ns, trip, error = orders.pace.now_ns(), Trip(), None
            try:
                await call(trip)
            except Exception as raised:  # noqa: BLE001 - judged
                error = raised
            orders.finish(due_ns, sent_ns, trip, error)
