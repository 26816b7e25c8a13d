"""One component of a degradation manager: who asks for which level of it, and the level in force.

The level is decided by ``csrc/holdfast/hf_level.h``. Elsewhere: the order in which changes are told
(``manager``), which function runs at a level (``calls``), features (``features``).
"""

from __future__ import annotations

from holdfast._native.level import Level as Kernel
from holdfast.degradation.calls import acall, call, choices_of, guarded, ordered
from holdfast.degradation.level import LEVELS, Level, read_level
from holdfast.degradation.snapshot import ComponentSnapshot, Request
from holdfast.errors import EmergencyModeError
from holdfast.events import Event, Listeners
from holdfast.stores.figures import DEGRADATION, pair
from holdfast.stores.ledger import ledger
from holdfast.validation import Problems
from holdfast.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn, TypeVar, overload

    from holdfast.clock import Clock
    from holdfast.degradation.driving import Following, Levels, Source
    from holdfast.events import Listener

    # The manager, whose module imports this one.
    Manager = Any
    F = TypeVar("F", bound=Callable[..., Any])
    R = TypeVar("R")

__all__ = ["Component"]

_keep = object.__setattr__


class Component(Whole):
    """A part of a service that can be degraded; ``DegradationManager.component`` returns it.

    Several sources may ask for levels of one component: a health check, a budget, a breaker. The
    worst level of those counts. The level gets worse at once. It gets better when no source has
    asked for the worse level for the manager's ``stable_time``; it then is the worst level that any
    source asked for within that time. No call is needed for that. A level that is ordered by
    ``force`` wins over all sources.

    Used as a decorator, it runs the function only at levels at which it may run:

    >>> from holdfast import ManualClock
    >>> from holdfast.degradation import DegradationManager, Level
    >>> search = DegradationManager("shop", clock=ManualClock()).component("search")
    >>> @search(degraded=lambda text: ["from the cache"])
    ... def find(text):
    ...     return ["fresh"]
    >>> search.set(Level.DEGRADED)
    >>> find("shoes")
    ['from the cache']

    Attributes:
        level: The level in force. Reading it costs what reading any attribute does.

    Safe to share between threads and event loops.
    """

    __slots__ = (
        "__weakref__",
        "_followed",
        "_kernel",
        "_level",
        "_listed",
        "_listeners",
        "_manager",
        "_name",
        "_requests",
        "_timer_ns",
    )

    if TYPE_CHECKING:

        @property
        def level(self) -> Level:
            """The level in force."""

        _followed: list[Following]
        _kernel: Kernel
        _listed: _Listed
        _listeners: Listeners
        _manager: Manager
        _name: str
        _requests: dict[str, tuple[Level, str]]
        _timer_ns: int | None

    def __init__(self, manager: Manager, name: str) -> None:
        clock: Clock = manager._clock
        ledger.prepare()
        keep: tuple[tuple[str, object], ...] = (
            ("_level", Level.NORMAL),
            ("_followed", []),
            ("_kernel", Kernel(manager._stable_ns, clock.now_ns())),
            ("_listed", _Listed(pair(manager.name, name), clock)),
            ("_listeners", Listeners()),
            ("_manager", manager),
            ("_name", name),
            ("_requests", {}),
            ("_timer_ns", None),  # on a manual clock: when it is looked at
        )
        for field, value in keep:
            _keep(self, field, value)
        ledger.enter(self._listed, 0, ((DEGRADATION, self._kernel, 0),))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"a Component is changed by set(), recover() and force(): cannot set {name!r}"
        )

    @property
    def name(self) -> str:
        """The name of the component."""
        return self._name

    @property
    def manager(self) -> Manager:
        """The manager it belongs to."""
        return self._manager

    @property
    def forced(self) -> Level | None:
        """The level that was ordered by ``force``, or None."""
        forced = self._kernel.forced()
        return None if forced is None else LEVELS[forced]

    @property
    def requests(self) -> tuple[Request, ...]:
        """What sources ask for, without those that ask for NORMAL."""
        return tuple(
            Request(source, level, reason)
            for source, (level, reason) in self._requests.copy().items()
        )

    # ---- changing the level ----

    def set(self, level: Level | int | str, *, source: str = "manual", reason: str = "") -> None:
        """Ask for a level on behalf of a source, until the source asks for another one.

        Args:
            level: The level; NORMAL asks for nothing.
            source: Who asks. Each source has one request.
            reason: Why, in a few words, for events; the source if it is empty.

        Raises:
            ConfigError: One or more arguments are invalid; the message lists all of them.
        """
        problems = Problems("Component", self._name)
        wanted = read_level(problems, "level", level)
        source = problems.name(source, "source")
        if reason != "":
            reason = problems.name(reason, "reason")
        problems.done()

        def act(now_ns: int) -> bool:
            if wanted:
                self._requests[source] = wanted, reason
            else:
                self._requests.pop(source, None)
            asked = max((level for level, _ in self._requests.values()), default=Level.NORMAL)
            return self._kernel.ask(asked, now_ns)

        self._change(act, reason or source)

    def recover(self, source: str | None = None) -> None:
        """Take back what was asked for.

        Args:
            source: The source whose request is taken back: the level gets better after the
                ``stable_time``. None takes back all requests, and the level is NORMAL at once,
                unless another level is ordered by ``force``. A source that still needs a worse
                level has to ask again.

        Raises:
            ConfigError: ``source`` is neither None nor a name.
        """
        if source is not None:
            self.set(Level.NORMAL, source=source)
            return

        def act(now_ns: int) -> bool:
            self._requests.clear()
            return self._kernel.recover(now_ns)

        self._change(act, "recovered", at_once=True)

    def force(self, level: Level | int | str, *, reason: str = "forced") -> None:
        """Order a level, which holds until ``unforce``, whatever sources ask for.

        Args:
            level: The level.
            reason: Why, in a few words, for events.

        Raises:
            ConfigError: One or more arguments are invalid; the message lists all of them.
        """
        problems = Problems("Component", self._name)
        wanted = read_level(problems, "level", level)
        reason = problems.name(reason, "reason")
        problems.done()
        self._change(lambda now_ns: self._kernel.force(wanted, now_ns), reason, at_once=True)

    def unforce(self) -> None:
        """Take back an order: the level is at once what the sources have asked for."""
        self._change(lambda now_ns: self._kernel.force(None, now_ns), "unforced", at_once=True)

    def follow(
        self, source: Source, *, check: str | None = None, levels: Levels | None = None
    ) -> Following:
        """Have the state of something else drive the level: it asks for levels as any source does.

        The state of this moment is taken over at once, and each change when it is told. A better
        state is a better level after the ``stable_time``. By default,

        - a ``HealthMonitor`` asks for NORMAL while it is "healthy", for DEGRADED while it is
          "degraded", SEVERELY_DEGRADED "critical", EMERGENCY "failed"; "unknown" changes nothing;
        - one ``check`` of it for NORMAL ("healthy"), DEGRADED ("degraded"), or SEVERELY_DEGRADED
          ("unhealthy"); for NORMAL if it is "removed" from the monitor;
        - an ``ErrorBudget`` or a ``LatencyBudget`` for DEGRADED while it is "exhausted", else
          ("healthy") NORMAL;
        - a ``CircuitBreaker`` for DEGRADED while it is "open" or "forced-open"; for NORMAL as soon
          as it is "half-open", or would admit a call, so that calls can show a recovery;
        - another ``Component`` for its own level ("normal", "degraded" …).

        Args:
            source: What to follow. The component keeps it alive, and not the other way round.
            check: The name of a check, to follow only this one of a ``HealthMonitor``.
            levels: Other levels for some states: a dict of levels by states; None as a level leaves
                what was asked for before.

        Returns:
            What ends it when it is called.

        Raises:
            ConfigError: An argument is invalid, the component follows the source already, or
                components would follow each other in a circle.
        """
        from holdfast.degradation.driving import follow

        return follow(self, source, check=check, levels=levels)

    # ---- calling functions by the level ----

    def execute(
        self,
        normal: Callable[..., R],
        degraded: Callable[..., R] | None = None,
        emergency: Callable[..., R] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> R:
        """Call the function of the level in force, and return what it returns.

        Args:
            normal: Runs at NORMAL.
            degraded: Runs at DEGRADED and SEVERELY_DEGRADED; None is ``normal``.
            emergency: Runs at EMERGENCY; None refuses the call.
            args: The positional arguments of each of the functions.
            kwargs: Their arguments by name.

        Raises:
            EmergencyModeError: The level is EMERGENCY, and there is no ``emergency``.
            TypeError: One of the functions is not callable, or is a coroutine function.
        """
        result: R = call(self, choices_of(normal, degraded, emergency), args, kwargs or {})
        return result

    async def aexecute(
        self,
        normal: Callable[..., Any],
        degraded: Callable[..., Any] | None = None,
        emergency: Callable[..., Any] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function of the level in force, and await it; as ``execute``.

        The functions may be coroutine functions or plain ones.
        """
        return await acall(self, choices_of(normal, degraded, emergency), args, kwargs or {})

    def execute_with_fallback(
        self,
        choices: Mapping[Level, Callable[..., R]],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> R:
        """Call the function of the level in force, else that of the next more degraded level.

        Args:
            choices: Functions by level.
            args: The positional arguments of each of the functions.
            kwargs: Their arguments by name.

        Raises:
            EmergencyModeError: Neither this level nor a more degraded one has a function.
            ConfigError: ``choices`` is empty, or a key is not a level.
            TypeError: One of the functions is not callable, or is a coroutine function.
        """
        result: R = call(self, ordered(choices), args, kwargs or {})
        return result

    async def aexecute_with_fallback(
        self,
        choices: Mapping[Level, Callable[..., Any]],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function by the level in force, and await it; as ``execute_with_fallback``.

        The functions may be coroutine functions or plain ones.
        """
        return await acall(self, ordered(choices), args, kwargs or {})

    if TYPE_CHECKING:

        @overload
        def __call__(self, fn: F, /) -> F: ...
        @overload
        def __call__(
            self,
            /,
            *,
            degraded: Callable[..., Any] | None = ...,
            emergency: Callable[..., Any] | None = ...,
        ) -> Callable[[F], F]: ...

    def __call__(
        self,
        fn: Any = None,
        /,
        *,
        degraded: Callable[..., Any] | None = None,
        emergency: Callable[..., Any] | None = None,
    ) -> Any:
        """Decorate a function: each call runs it, or what stands in for it at the level in force.

        Args:
            fn: A plain function or a coroutine function.
            degraded: Runs instead at DEGRADED and SEVERELY_DEGRADED; None is ``fn``.
            emergency: Runs instead at EMERGENCY; None refuses the call.

        Raises:
            TypeError: One of them is not callable, or is a coroutine function where ``fn`` is not.
        """
        if fn is None:
            return lambda inner: guarded(self, inner, degraded, emergency)
        return guarded(self, fn, degraded, emergency)

    # ---- what others see ----

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Add a listener for the changes of this component's level.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def snapshot(self) -> ComponentSnapshot:
        """Return the current level and counts; see ``ComponentSnapshot`` for the fields."""
        self._look()
        now_ns = self._manager._clock.now_ns()
        kernel = self._kernel
        ends_ns = kernel.ends_ns()
        normal, degraded, severely, emergency = (ns / 1e9 for ns in kernel.times(now_ns))
        into = kernel.changes()
        return ComponentSnapshot(
            name=self._name,
            level=self.level,
            forced=self.forced,
            requests=self.requests,
            time_in_level=max(0, now_ns - kernel.since_ns()) / 1e9,
            seconds=(normal, degraded, severely, emergency),
            changes=(into[0], into[1], into[2], into[3]),
            rises_in=None if ends_ns is None else max(0, ends_ns - now_ns) / 1e9,
        )

    def __repr__(self) -> str:
        forced = "" if self.forced is None else ", forced"
        return f"<Component {self._name!r}: {self.level.word}{forced}>"

    # ---- for the manager and what watches ----

    def _change(self, act: Callable[[int], bool], reason: str, *, at_once: bool = False) -> None:
        self._manager._change(self, act, reason, at_once)

    def _look(self) -> None:
        """Put the level into force that is due by now."""
        for following in list(self._followed):
            following._look_in_silence()
        self._change(self._kernel.look, "stable")

    def _see_to_watching(self) -> None:
        """Have it watched, as it is degraded: in a forked child, nobody has had that done."""
        self._manager._see_to_watching()

    def _decided(self) -> Level:
        """Return the level that the kernel says, which may not be shown yet."""
        return LEVELS[self._kernel.get()]

    def _show(self, level: Level) -> None:
        _keep(self, "_level", level)

    def _at(self, timer_ns: int | None) -> None:
        _keep(self, "_timer_ns", timer_ns)

    def _tell(self, event: Event) -> None:
        self._listeners.emit(event)

    def _refusal(self, level: Level) -> EmergencyModeError:
        ends_ns = self._kernel.ends_ns()
        now_ns = self._manager._clock.now_ns()
        return EmergencyModeError(
            policy=self,
            name=self._name,
            reason=level.word,
            retry_after=None if ends_ns is None else max(0, ends_ns - now_ns) / 1e9,
        )


if not TYPE_CHECKING:  # read as fast as any slot, and never written
    Component.level = Component._level


class _Listed:
    """What the ledger knows of a component: its kind, and its name within the process."""

    __slots__ = ("__weakref__", "_clock", "kind", "name")

    def __init__(self, name: str, clock: Clock) -> None:
        self.kind, self.name, self._clock = "degradation", name, clock
