"""Threads that run jobs at their times, for all loops of the process together.

One thread, the leader, waits for the earliest job and runs it. If a job takes longer than
``GRACE_SECONDS``, a second thread becomes the leader, so each job that hangs delays the others by
no more. The number of threads depends on the jobs that run at one time, not on the jobs there are.
Elsewhere: when a job is due (``periodic``).
"""

from __future__ import annotations

import threading
from contextvars import Context
from heapq import heappop, heappush
from itertools import count

from holdfast.clock import system_clock
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Job(Protocol):
        """What the threads run."""

        def run(self) -> None:
            """Do it; what goes wrong is the job's own to report."""

        def is_wanted(self) -> bool:
            """Return whether it is still to run. The lock is held."""

        def is_at_work(self) -> bool:
            """Return whether ``run`` has not come to the end of what it does."""

    class Waiter(Protocol):
        """Somebody who waits for the threads."""

        def wake(self) -> bool:
            """End the wait."""


__all__ = ["GRACE_SECONDS", "TimerThreads"]

GRACE_SECONDS = 0.05
_GRACE_NS = int(GRACE_SECONDS * 1e9)
_NEVER_NS = 1 << 62


class TimerThreads:
    """Jobs by the time at which they are due on the system's clock, and the threads for them.

    Attributes:
        lock: Of the jobs, and of what their owners know of them. Re-entrant: a finaliser or a
            signal handler may add or drop a job while its thread holds the lock.
        watchers: Who is woken when a thread ends, or when a job's owner says so.

    Safe to share between threads.
    """

    __slots__ = ("_closed", "_deputy", "_hands", "_heap", "_jobs", "_leader", "lock", "watchers")

    _serials = count(1)

    def __init__(self) -> None:
        # Asked of its module, which may have been patched since this one was imported.
        self.lock = threading.RLock()
        self.watchers: dict[Waiter, None] = {}
        self._heap: list[tuple[int, int, Job]] = []
        self._jobs: dict[Job, int] = {}  # with the serial of the entry that counts; 0: it runs
        self._hands: dict[_Hand, None] = {}
        self._leader: _Hand | None = None
        self._deputy: _Hand | None = None  # looks whether the leader takes too long
        self._closed = False

    def put(self, job: Job, due_ns: int) -> None:
        """Have a job run once, at a time of the system's clock, instead of any time before.

        A job that is not wanted any more is not taken.

        Raises:
            RuntimeError: No thread can be started; the job was dropped.
        """
        try:
            with self.lock:
                if self._closed:
                    return
                serial = self._jobs[job] = next(self._serials)
                if not job.is_wanted():  # asked afterwards: a signal handler may have dropped it
                    self.drop(job)
                    return
                if len(self._jobs) == 1:  # the threads do not end after all
                    self.tell_watchers()
                heappush(self._heap, (due_ns, serial, job))
                self._forget_dropped()
                hand = self._needed(due_ns)
                is_extra = hand is self._deputy
            if hand is not None:
                (self._try_to_start if is_extra else self._start)(hand)
        except BaseException:  # no thread can be started, or Ctrl-C
            self._give_up_starting()
            self.drop(job)
            raise

    def drop(self, job: Job) -> None:
        """Have a job not run; one that runs comes to its end. Without jobs, the threads end."""
        with self.lock:
            if self._jobs.pop(job, None) is not None and not self._jobs:
                self._heap.clear()
                self._wake_all()

    def close(self) -> None:
        """Run no job any more: the process ends, and a job could find it half taken apart."""
        with self.lock:
            self._closed = True
            self._jobs.clear()
            self._heap.clear()
            self._wake_all()

    def ending(self) -> list[_Hand]:
        """Return the threads that have no job and will soon have ended. The lock is held."""
        me = threading.current_thread()
        return [] if self._jobs else [hand for hand in self._hands if hand.will_end(me)]

    def tell_watchers(self) -> None:
        """Have everybody who waits look again."""
        for watcher in list(self.watchers):
            watcher.wake()

    def _wake_all(self) -> None:
        for hand in list(self._hands):
            hand.wake()

    def _needed(self, due_ns: int) -> _Hand | None:
        """Have a thread see to a time; return one that is to be started, or None."""
        leader = self._leader
        if leader is None:
            self._leader = self._hire()
            return self._leader
        if leader.since_ns is None:
            if due_ns < leader.until_ns:
                leader.wake()
            return None
        return self._deputy_needed(leader.since_ns)

    def _deputy_needed(self, since_ns: int) -> _Hand | None:
        """Have a thread look after the leader, which runs a job; return one to start, or None."""
        if len(self._jobs) < 2:  # nobody would be delayed
            return None
        deputy = self._deputy
        if deputy is None:
            self._deputy = self._hire()
            return self._deputy
        if deputy.until_ns > since_ns + 2 * _GRACE_NS:
            deputy.wake()
        return None

    def _hire(self) -> _Hand:
        hand = _Hand(self)
        self._hands[hand] = None
        return hand

    def _start(self, hand: _Hand) -> None:
        # Without the lock: as the thread starts, it may collect garbage, and a finaliser may want
        # the lock. A thread may keep the context it is started in.
        Context().run(hand.thread.start)
        hand.starter = None

    def _give_up_starting(self) -> None:
        """Count on no thread that this one was about to start."""
        me = threading.current_thread()
        with self.lock:
            for hand in list(self._hands):
                if hand.starter is me:
                    self._let_go(hand)

    def _let_go(self, hand: _Hand) -> None:
        hand.has_left = True
        self._hands.pop(hand, None)
        if self._leader is hand:
            self._leader = None
        if self._deputy is hand:
            self._deputy = None

    def _work(self, hand: _Hand) -> None:
        """Take a part, as long as there is one for this thread."""
        try:
            while self._take_part(hand):
                pass
        except Exception:
            raise
        except BaseException:  # noqa: BLE001 - the job has reported it, or a greenlet was killed
            pass
        finally:
            with self.lock:
                self._let_go(hand)
                next_hand = self._needed(0) if self._jobs and self._leader is None else None
                self.tell_watchers()
            if next_hand is not None:
                self._start(next_hand)

    def _take_part(self, hand: _Hand) -> bool:
        """Run the next job or wait; return False where there is nothing for this thread."""
        waiter = ThreadWaiter()
        helper = None
        with self.lock:
            self._hands[hand] = None  # it may have been given up as it started
            hand.has_left = False
            hand.since_ns = None
            hand.job = None
            # From here on it can be woken: also by a finaliser that this thread runs meanwhile.
            hand.waiter, hand.until_ns = waiter, _NEVER_NS
            now_ns = system_clock.now_ns()
            if not self._jobs or not self._has_part(hand, now_ns):
                self._let_go(hand)
                return False
            if self._leader is hand:
                job = self._take_due(now_ns)
                if job is None:
                    hand.until_ns = self._first_due_ns()
                else:
                    hand.job, hand.since_ns = job, now_ns
                    helper = self._deputy_needed(now_ns)
            else:
                job = None
                since_ns = None if self._leader is None else self._leader.since_ns
                hand.until_ns = _GRACE_NS + (self._first_due_ns() if since_ns is None else since_ns)
            wait_ns = hand.until_ns - now_ns
        if job is None:
            waiter.park(system_clock, None if wait_ns > _NEVER_NS // 2 else max(0, wait_ns))
            return True
        if helper is not None:
            self._try_to_start(helper)
        job.run()
        return True

    def _has_part(self, hand: _Hand, now_ns: int) -> bool:
        """Make a thread the leader or the deputy if one is wanted; return whether it is either."""
        leader = self._leader
        if leader is hand:
            return True
        if leader is None or (
            leader.since_ns is not None and now_ns - leader.since_ns >= _GRACE_NS
        ):
            if self._deputy is hand:
                self._deputy = None
            self._leader = hand
        elif self._deputy is None:
            self._deputy = hand
        return self._leader is hand or self._deputy is hand

    def _try_to_start(self, hand: _Hand) -> None:
        try:
            self._start(hand)
        except RuntimeError as error:  # the next job that is due tries again
            self._give_up_starting()
            from holdfast.events import warn

            warn("no second thread for periodic work, so one tick may delay others: %s", error)

    # A finaliser may put a job in between any two steps: an entry is taken out, looked at, and put
    # back where it belongs.

    def _first_due_ns(self) -> int:
        while self._heap:
            entry = heappop(self._heap)
            if self._jobs.get(entry[2]) == entry[1]:
                heappush(self._heap, entry)
                return entry[0]
        return _NEVER_NS

    def _take_due(self, now_ns: int) -> Job | None:
        while self._heap:
            entry = heappop(self._heap)
            due_ns, serial, job = entry
            if self._jobs.get(job) != serial:
                continue
            if due_ns > now_ns:
                heappush(self._heap, entry)
                return None
            self._jobs[job] = 0
            return job
        return None

    def _forget_dropped(self) -> None:
        """Keep the heap no longer than twice the jobs there are."""
        if len(self._heap) > 64 + 2 * len(self._jobs):
            entries, self._heap = self._heap, []
            for entry in entries:
                if self._jobs.get(entry[2]) == entry[1]:
                    heappush(self._heap, entry)


class _Hand:
    """One thread, and what it is at."""

    __slots__ = ("has_left", "job", "since_ns", "starter", "thread", "until_ns", "waiter")

    def __init__(self, threads: TimerThreads) -> None:
        self.has_left = False
        self.job: Job | None = None
        # Who starts the thread, until it runs: so long this one cannot wait for its end.
        self.starter: threading.Thread | None = threading.current_thread()
        self.since_ns: int | None = None  # when the job that it runs began
        self.until_ns = 0  # how long it waits; it has not begun, so it need not be woken
        self.waiter: ThreadWaiter | None = None
        self.thread: Any = threading.Thread(
            target=threads._work, args=(self,), name="holdfast-periodic", daemon=True
        )

    def wake(self) -> None:
        if self.waiter is not None:
            self.waiter.wake()

    def will_end(self, me: threading.Thread) -> bool:
        """Return whether it is another thread than ``me``, and held up by neither a job nor me."""
        is_mine = self.thread is me or self.starter is me
        return not is_mine and (self.job is None or not self.job.is_at_work())
