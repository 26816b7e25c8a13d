"""Load shedding: refusing a share of the calls while the load is too high, by their priority.

Owns which share of which priority is refused. Elsewhere: priorities (``priorities``), the counts
that metrics export (``csrc/holdfast/hf_level.h``, of the component).
"""

from __future__ import annotations

from functools import wraps

from holdfast._native.gate import _callable_kind
from holdfast._native.random import Random
from holdfast.clock import read_clock
from holdfast.degradation.component import Component
from holdfast.errors import ShedError
from holdfast.events import warn
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.priorities import PRIORITIES, current
from holdfast.seeds import fresh_seed
from holdfast.validation import Problems, explains_names, require_callable, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from typing import Any, ParamSpec, TypeVar

    from holdfast.clock import Clock
    from holdfast.degradation.shed_snapshot import ShedderSnapshot
    from holdfast.priorities import Word

    F = TypeVar("F", bound=Callable[..., Any])
    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["LoadShedder"]

_COROUTINE = 1  # of _callable_kind
_MOST_LOAD = 1e18
# The mix of priorities is that of about so many of the last calls: then half of them is forgotten.
_MEMORY = 2048


class LoadShedder:
    """Refuses a share of the calls of a component while its load is above a maximum.

    The share is ``(load - max_load) / max_load``, at most ``most``: at 1.5 times the maximum, half
    of the calls. Calls of the priority "sheddable" are refused first, then "normal" ones, then
    "high" ones, so that the share of all calls holds; "critical" calls are never refused. Which
    share of a priority that takes follows from the mix of the last calls. Off by default.

    Args:
        component: The component whose calls are shed, and whose metrics count them.
        max_load: The load from which on calls are refused, in any unit: requests per second, calls
            in flight, a share of a processor.
        load: Called for the current load, in the same unit. None: ``observe`` tells it.
        interval: Seconds between two calls of ``load``.
        max_age: Seconds after which a load that was told is of no use: nothing is refused then.
        most: The greatest share that is refused, above 0 and at most 1.
        enabled: Whether it refuses at all.
        seed: With a seed, the same calls are refused each time; None chooses one by chance.
        clock: The source of time; None: that of the component's manager.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops. No lock is held while ``load`` runs.

    >>> from holdfast import ManualClock, priority
    >>> from holdfast.degradation import DegradationManager
    >>> search = DegradationManager("shop", clock=ManualClock()).component("search")
    >>> shedder = LoadShedder(search, max_load=100, enabled=True)
    >>> shedder.observe(150)
    >>> shedder.share
    0.5
    >>> with priority("critical"):
    ...     shedder.call(len, "ok")
    2
    """

    __slots__ = (
        "__weakref__",
        "_asks",
        "_clock",
        "_component",
        "_enabled",
        "_has_warned",
        "_interval_ns",
        "_lock",
        "_max_age_ns",
        "_max_load",
        "_mix",
        "_most",
        "_next_ns",
        "_random",
        "_refused",
        "_seen",
        "_told",
        "_unknown",
    )

    @explains_names
    def __init__(
        self,
        component: Component,
        *,
        max_load: float,
        load: Callable[[], float] | None = None,
        interval: float | timedelta = 0.1,
        max_age: float | timedelta = 30.0,
        most: float = 0.9,
        enabled: bool = False,
        seed: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("LoadShedder", getattr(component, "name", None))
        is_one = problems.instance("component", component, Component, "a Component")
        self._max_load = problems.number("max_load", max_load, above=0.0, most=_MOST_LOAD)
        self._asks = problems.callable("load", load)
        self._interval_ns = problems.duration("interval", interval)
        self._max_age_ns = problems.duration("max_age", max_age, least_ns=1)
        self._most = problems.fraction("most", most, zero=False)
        self._enabled = problems.flag("enabled", enabled)
        seed = problems.integer("seed", seed, least=0, most=2**64 - 1, none=True)
        if clock is not None or is_one is None:
            self._clock = read_clock(problems, clock)
        else:
            self._clock = component.manager._clock
        problems.done()
        self._component = component
        self._random = Random(fresh_seed(), seeded=False) if seed is None else Random(seed)
        # Re-entrant: a signal handler or a finaliser may call while this thread holds the lock.
        self._lock = RLock()
        self._mix = [0] * len(PRIORITIES)  # how many of the last calls have each priority
        self._seen = [0] * len(PRIORITIES)
        self._refused = [0] * len(PRIORITIES)
        self._told: tuple[float, int] | None = None  # the load, and when it was told
        self._next_ns: int | None = None  # when `load` is called again
        self._unknown = 0
        self._has_warned = False
        mind(self)

    # ---- the load ----

    @property
    def component(self) -> Component:
        """The component whose calls are shed."""
        return self._component

    @property
    def enabled(self) -> bool:
        """Whether it refuses calls when the load is too high."""
        return self._enabled

    def enable(self) -> None:
        """Refuse calls when the load is too high."""
        if not self._enabled:
            self._enabled = True
            self._log("shedding_on", "load shedding of component %r is on")

    def disable(self) -> None:
        """Refuse nothing."""
        if self._enabled:
            self._enabled = False
            self._log("shedding_off", "load shedding of component %r is off")

    def observe(self, load: float) -> None:
        """Tell the current load.

        Args:
            load: In the unit of ``max_load``, from 0 on.

        Raises:
            ConfigError: It is no such number.
        """
        problems = Problems("LoadShedder", self._component.name)
        value = problems.number("load", load, most=_MOST_LOAD)
        problems.done()
        self._told = value, self._clock.now_ns()

    @property
    def load(self) -> float | None:
        """The load that was told last; None if there is none, or if it is too old."""
        told = self._told
        if told is None or self._clock.now_ns() - told[1] > self._max_age_ns:
            return None
        return told[0]

    @property
    def share(self) -> float:
        """The share of all calls that is to be refused, 0.0 to ``most``; 0.0 while it is off."""
        if not self._enabled:
            return 0.0
        load = self.load
        if load is None or load <= self._max_load:
            return 0.0
        return min(self._most, (load - self._max_load) / self._max_load)

    # ---- calls ----

    def try_admit(self, priority: Word | None = None) -> bool:
        """Return whether a call may be made; count it.

        Args:
            priority: Its priority; None: that of the context, see ``holdfast.priority``.

        Raises:
            ConfigError: ``priority`` is none.
        """
        number = self._number(priority)
        if not self._enabled:
            return True
        self._ask()
        share = self.share
        settle()
        with self._lock:
            self._seen[number] += 1
            self._count(number)
            admitted = share == 0.0 or self._random.unit() >= self._share_of(number, share)
            if not admitted:
                self._refused[number] += 1
        if not admitted:
            self._component._kernel.count_shed(number)
            self._log("shed", "a call of component %r is shed: %s", PRIORITIES[number])
        return admitted

    def admit(self, priority: Word | None = None) -> None:
        """Raise an error if a call is shed.

        Args:
            priority: Its priority; None: that of the context.

        Raises:
            ShedError: The call is not to be made.
            ConfigError: ``priority`` is none.
        """
        if not self.try_admit(priority):
            raise ShedError(policy=self, name=self._component.name, reason="load")

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` unless the call is shed.

        Raises:
            ShedError: It is.
        """
        self.admit()
        return fn(*args, **kwargs)

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` and await what it returns, unless the call is shed.

        Raises:
            ShedError: It is.
        """
        self.admit()
        return await fn(*args, **kwargs)

    def __call__(self, fn: F, /) -> F:
        """Decorate a function, plain or a coroutine function: calls that are shed do not run it.

        Raises:
            TypeError: ``fn`` is not callable, or is a generator function.
        """
        guarded: Any
        if _callable_kind(fn) == _COROUTINE:

            @wraps(fn)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                return await self.acall(fn, *args, **kwargs)

        else:
            require_callable("fn", fn)

            @wraps(fn)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                return self.call(fn, *args, **kwargs)

        return guarded  # type: ignore[no-any-return]  # of the same signature

    # ---- what others see ----

    def snapshot(self) -> ShedderSnapshot:
        """Return the load and the counts; see ``ShedderSnapshot`` for the fields."""
        from holdfast.degradation.shed_snapshot import ShedderSnapshot

        with self._lock:
            seen, refused = tuple(self._seen), tuple(self._refused)
        return ShedderSnapshot(
            component=self._component.name,
            enabled=self._enabled,
            load=self.load,
            max_load=self._max_load,
            share=self.share,
            calls=dict(zip(PRIORITIES, seen, strict=True)),
            shed=dict(zip(PRIORITIES, refused, strict=True)),
            unknown=self._unknown,
        )

    def __repr__(self) -> str:
        state = f"sheds {self.share:.0%}" if self._enabled else "off"
        return f"<LoadShedder of {self._component.name!r}: {state}>"

    # ---- inside ----

    def _log(self, record: str, text: str, *details: object) -> None:
        from holdfast.records import note

        name = self._component.name
        note(record, "degradation", name, text, name, *details, clock=self._clock)

    def _number(self, priority: Word | None) -> int:
        if priority is None:
            return current.get()
        try:
            return PRIORITIES.index(priority)
        except ValueError:  # no such priority: the message says which there are
            pass
        problems = Problems("LoadShedder", self._component.name)
        number = PRIORITIES.index(problems.choice("priority", priority, PRIORITIES))
        problems.done()
        return number

    def _ask(self) -> None:
        """Call ``load`` if it is time; one thread does."""
        if self._asks is None:
            return
        now_ns = self._clock.now_ns()
        if self._next_ns is not None and now_ns < self._next_ns:
            return
        settle()
        with self._lock:
            if self._next_ns is not None and now_ns < self._next_ns:
                return
            self._next_ns = now_ns + self._interval_ns
        try:
            self.observe(self._asks())
        except Exception as error:  # noqa: BLE001 - the user's function must not end the call
            self._unknown += 1
            if not self._has_warned:
                self._has_warned = True
                warn("the load of component %r: %s raised %r", self._component.name,
                     shown(self._asks), error)  # fmt: skip

    def _count(self, number: int) -> None:
        """Count a call in the mix of priorities."""
        mix = self._mix
        mix[number] += 1
        if sum(mix) >= _MEMORY:
            self._mix = [count // 2 for count in mix]
            self._mix[number] += not self._mix[number]  # this call is one of the last

    def _share_of(self, number: int, share: float) -> float:
        """Return the share of the calls of a priority that is refused for a share of all calls."""
        wanted = share * sum(self._mix)
        for less_important in range(len(PRIORITIES) - 1, number, -1):
            wanted -= self._mix[less_important]
        if number == 0 or wanted <= 0:
            return 0.0
        return min(1.0, wanted / self._mix[number])

    def _after_fork(self) -> None:
        """In a forked child: have a lock nobody holds, and count from zero."""
        self._lock = RLock()
        self._seen = [0] * len(PRIORITIES)
        self._refused = [0] * len(PRIORITIES)
        self._unknown = 0
