"""What a storage in memory keeps: three tables of windows, by the text of their keys.

The storages for threads and for asyncio are faces of it: nothing here waits. Elsewhere: counting
(``_native.limit_windows``), and what a hit of an item means (``strategies``).
"""

from __future__ import annotations

from collections import Counter
from time import time
from weakref import WeakSet, ref

from holdfast._native.limit_windows import CounterWindows, FixedWindows, MovingWindows
from holdfast.clock import read_clock
from holdfast.compat.limits._policies import limit_of, memories
from holdfast.compat.limits.limits import plan_of
from holdfast.forks import mind
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast._native.limit_windows import Tally
    from holdfast.clock import Clock

__all__ = ["MOST_KEYS", "Entry", "Memory"]

MOST_KEYS = 1_000_000


class Entry:
    """A hit of a moving window.

    Args:
        expiry: For how many seconds it counts.
        atime: When it was, in seconds since 1970; None for now.

    Attributes:
        atime: When it was, in seconds since 1970.
        expiry: When it no longer counts.
    """

    __slots__ = ("atime", "expiry")

    def __init__(self, expiry: float, *, atime: float | None = None) -> None:
        self.atime = time() if atime is None else atime
        self.expiry = self.atime + expiry


def _tally_of(item: Any) -> Tally:
    return limit_of(item).tally


def _forget(key: int) -> Callable[[object], object]:
    return lambda _: memories.pop(key, None)


class Memory:
    """The windows of one storage. Seconds since 1970 outside, nanoseconds of the clock inside.

    Safe to share between threads and event loops.
    """

    __slots__ = (
        "__weakref__", "clock", "counter", "fixed", "most_keys", "moving", "strategies"
    )  # fmt: skip

    def __init__(self, clock: Clock | None, most_keys: int) -> None:
        problems = Problems("MemoryStorage")
        self.clock = read_clock(problems, clock)
        self.most_keys = problems.integer("most_keys", most_keys, least=1, most=2**31)
        problems.done()
        phase_ns = round(self.clock._wall_time() * 1e9) - self.clock.now_ns()
        self.fixed = FixedWindows(plan_of, self.clock, self.most_keys)
        self.moving = MovingWindows(plan_of, self.clock, self.most_keys)
        self.counter = CounterWindows(plan_of, self.clock, self.most_keys, phase_ns=phase_ns)
        for table in self.tables:
            table.tally_of = _tally_of
        self.strategies: WeakSet[Any] = WeakSet()  # that may count here without asking the storage
        mind(self)
        memories[id(self)] = ref(self, _forget(id(self)))

    def _after_fork(self) -> None:
        for table in self.tables:
            table._after_fork()

    @property
    def tables(self) -> tuple[FixedWindows, MovingWindows, CounterWindows]:
        """All there is."""
        return self.fixed, self.moving, self.counter

    def wall(self, at_ns: int) -> float:
        """Return a time of the clock in seconds since 1970; -1 is now."""
        now = self.clock._wall_time()
        return now if at_ns == -1 else now + (at_ns - self.clock.now_ns()) / 1e9

    # ---- fixed windows ----

    def incr(self, key: str, expiry: float, amount: int) -> int:
        """Add to a window, which begins if there is none; return what it has."""
        return self.fixed.add(key, round(expiry * 1e9), amount)

    def decr(self, key: str, amount: int) -> int:
        """Take from a window, not below 0; return what it has."""
        return self.fixed.take_back(key, amount)

    def get(self, key: str) -> int:
        """Return what a window has."""
        return self.fixed.look(key)[0]

    def get_expiry(self, key: str) -> float:
        """Return when a window ends; now, if there is none."""
        return self.wall(self.fixed.look(key)[1])

    # ---- moving windows ----

    def acquire_entry(self, key: str, limit: int, expiry: float, amount: int) -> bool:
        """Add hits, if the time that ends now has room for them."""
        return self.moving.hit_text(key, limit, round(expiry * 1e9), amount)

    def get_moving_window(self, key: str, limit: int, expiry: float) -> tuple[float, int]:
        """Return when the oldest hit was that counts, or now; and how many count."""
        oldest_ns, count = self.moving.look(key, limit, round(expiry * 1e9))
        return self.wall(oldest_ns), count

    # ---- counters of sliding windows ----

    def acquire_sliding(self, key: str, limit: int, expiry: float, amount: int) -> bool:
        """Add hits, if the weighted sum of two windows has room for them."""
        return self.counter.hit_text(key, limit, round(expiry * 1e9), amount)

    def get_sliding(self, key: str, expiry: float) -> tuple[int, float, int, float]:
        """Return count and seconds left of the window before, and of this one and the next."""
        before, before_ns, count, ns = self.counter.look(key, round(expiry * 1e9))
        return before, before_ns / 1e9, count, ns / 1e9

    def sliding_of(self, item: Any, identifiers: tuple[Any, ...]) -> tuple[int, float, int, float]:
        """Return the same of one who is limited by an item."""
        before, before_ns, count, ns = self.counter.look_item(item, *identifiers)
        return before, before_ns / 1e9, count, ns / 1e9

    # ---- all ----

    def clear(self, key: str) -> None:
        """Forget the fixed and the moving window of a key."""
        self.fixed.clear(key)
        self.moving.clear(key)

    def clear_sliding(self, key: str) -> None:
        """Forget the two windows of a key that are weighted."""
        self.counter.clear(key)

    def clear_all(self, head: str, tail: str) -> int:
        """Forget each window whose key begins and ends so; return how many."""
        dropped = 0
        for table in self.tables:
            for key, *_ in table.dump():
                if key.startswith(head) and key.endswith(tail):
                    table.clear(key)
                    dropped += 1
        return dropped

    def reset(self) -> int:
        """Forget everything; return how many keys had windows of the larger kind."""
        fixed, moving, counter = (table.reset() for table in self.tables)
        return max(fixed + counter, moving)

    def choose_again(self) -> None:
        """Have the strategies find out again whether they have to ask the storage."""
        for strategy in list(self.strategies):
            strategy._choose()

    def dump(self) -> tuple[int, float, float, list[list[Any]]]:
        """Return all windows, for ``loaded``."""
        rows = [table.dump() for table in self.tables]
        return self.most_keys, self.clock._wall_time(), self.clock.now(), rows

    @classmethod
    def loaded(cls, dumped: tuple[int, float, float, list[list[Any]]]) -> Memory:
        """Return the windows that were dumped, by the default clock: they end at the same time."""
        most_keys, wall, now, (fixed, moving, counter) = dumped
        memory = cls(None, most_keys)
        seconds = memory.clock.now() - now - (memory.clock._wall_time() - wall)
        later = round(seconds * 1e9)
        memory.fixed.load([(key, count, ends + later) for key, count, ends in fixed])
        memory.moving.load(
            [(key, ns, [(at + later, n) for at, n in runs]) for key, ns, runs in moving]
        )
        memory.counter.load(counter)  # its windows are numbered from 1970 on
        return memory

    # ---- as the original shows it ----

    def counts(self) -> Counter[str]:
        """Return what each fixed window has."""
        return Counter({key: self.fixed.look(key)[0] for key, *_ in self.fixed.dump()})

    def ends(self) -> dict[str, float]:
        """Return when each fixed window ends."""
        return {key: self.get_expiry(key) for key, *_ in self.fixed.dump()}

    def entries(self) -> dict[str, list[Entry]]:
        """Return the hits of each moving window, newest first."""
        shown: dict[str, list[Entry]] = {}
        for key, expiry_ns, runs in self.moving.dump():
            hits = [(self.wall(at_ns), cost) for at_ns, cost in reversed(runs)]
            seconds = expiry_ns / 1e9
            shown[key] = [Entry(seconds, atime=at) for at, cost in hits for _ in range(cost)]
        return shown
