"""The levels of a service: components, features, and the order in which changes are told.

Elsewhere: the level of one component (``component``), flags (``features``).
"""

from __future__ import annotations

from holdfast._native.level import Flags, own_methods
from holdfast.clock import read_clock
from holdfast.degradation.component import Component
from holdfast.degradation.features import Feature, Features, read_needs, read_up_to
from holdfast.degradation.level import LEVELS, Level, should_degrade
from holdfast.degradation.snapshot import DegradationSnapshot
from holdfast.degradation.watching import life, watch
from holdfast.events import Event, Listeners
from holdfast.forks import mind
from holdfast.policies.telling import Telling
from holdfast.records import note
from holdfast.redaction import one_line
from holdfast.validation import Problems, explains_names, nearest, shown
from holdfast.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, NoReturn, TypeVar

    from holdfast.clock import Clock
    from holdfast.events import Listener

    R = TypeVar("R")

__all__ = ["DegradationManager"]

_keep = object.__setattr__


class DegradationManager(Whole, Flags):
    """Decides what a service does while parts of it do not work: levels, and features by them.

    Args:
        name: For messages and metrics.
        stable_time: A level gets better when nobody has asked for it for so many seconds, 0 to a
            hundred years.
        clock: The source of time; use a ``ManualClock`` in tests.

    Attributes:
        overall: The worst level of all components; NORMAL without components.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Listeners hear of all changes in the order in which they happened. A level that nobody asks for
    any more gets better without any call: a background thread looks at degraded components once a
    second, or on a manual clock a timer. A forked child begins with what is asked for at that
    moment. Safe to share between threads and event loops.

    >>> from holdfast import ManualClock
    >>> clock = ManualClock()
    >>> shop = DegradationManager("shop", stable_time=30, clock=clock)
    >>> search = shop.component("search")
    >>> search.set(Level.DEGRADED, source="latency")
    >>> search.recover("latency")
    >>> clock.advance(30)
    >>> search.level
    <Level.NORMAL: 0>
    """

    __slots__ = (
        "__weakref__",
        "_at",
        "_clock",
        "_components",
        "_features",
        "_life",
        "_listeners",
        "_name",
        "_overall",
        "_stable_ns",
        "_telling",
    )

    kind = "degradation"

    if TYPE_CHECKING:

        @property
        def overall(self) -> Level:
            """The worst level of all components."""

        _at: tuple[set[Component], ...]
        _clock: Clock
        _components: dict[str, Component]
        _features: Features
        _life: object
        _listeners: Listeners
        _name: str
        _stable_ns: int
        _telling: Telling

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        stable_time: float | timedelta = 30.0,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("DegradationManager", name)
        name = problems.name(name)
        stable_ns = problems.duration("stable_time", stable_time)
        clock = read_clock(problems, clock)
        problems.done()
        keep: tuple[tuple[str, object], ...] = (
            ("_at", tuple(set() for _ in LEVELS)),  # the components at each level, once they moved
            ("_clock", clock),
            ("_components", {}),
            ("_life", life()),  # of the process in which degraded components are watched
            ("_listeners", Listeners()),
            ("_name", name),
            ("_stable_ns", stable_ns),
            ("_telling", Telling()),
            ("_features", Features(self)),
            ("_overall", Level.NORMAL),
        )
        for field, value in keep:
            _keep(self, field, value)
        mind(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a DegradationManager is changed by its methods: cannot set {name!r}")

    @property
    def name(self) -> str:
        """The name of the manager."""
        return self._name

    @property
    def stable_time(self) -> float:
        """Seconds after which a level that nobody asks for any more gets better."""
        return self._stable_ns / 1e9

    @property
    def features(self) -> Features:
        """The features, by name."""
        return self._features

    # ---- components ----

    def component(self, name: str) -> Component:
        """Return the component of this name; the first call makes it.

        Raises:
            ConfigError: ``name`` is not a name.
        """
        given: object = name
        there = self._components.get(name) if isinstance(given, str) else None
        if there is not None:
            return there
        problems = Problems("DegradationManager", self._name)
        name = problems.name(name)
        problems.done()

        # Without a lock, since the ledger may log. Of two that are made at once, one is kept.
        return self._components.setdefault(name, Component(self, name))

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order in which they were made."""
        return tuple(self._components.values())

    def level(self, name: str) -> Level:
        """Return the level of a component.

        Raises:
            LookupError: There is no component of this name.
        """
        return self._known(name).level

    def set(
        self, name: str, level: Level | int | str, *, source: str = "manual", reason: str = ""
    ) -> None:
        """Ask for a level of a component, which is made if need be; see ``Component.set``."""
        self.component(name).set(level, source=source, reason=reason)

    def recover(self, name: str, source: str | None = None) -> None:
        """Take back what was asked for of a component; see ``Component.recover``.

        Raises:
            LookupError: There is no component of this name.
            ConfigError: ``source`` is neither None nor a name.
        """
        self._known(name).recover(source)

    def recover_all(self) -> None:
        """Take back all that was asked for, of all components: they are NORMAL at once.

        A component whose level is ordered by ``Component.force`` keeps this level.
        """
        for component in self.components:
            component.recover()
        self._note("all_recovered", None, "degradation %r: all components recover", self._name)

    should_degrade = staticmethod(should_degrade)

    def auto_degrade(
        self,
        name: str,
        error_rate: float | None = None,
        latency: float | timedelta | None = None,
        error_threshold: float | None = None,
        latency_threshold: float | timedelta | None = None,
        *,
        source: str = "auto",
    ) -> Level:
        """Ask for the level that ``should_degrade`` returns, and return it.

        A level that gets better does so after the ``stable_time``, as with any other source.

        Args:
            name: The component, which is made if need be.
            error_rate: The share of calls that fail, or any other rate. None: not measured.
            latency: The latency in seconds. None: not measured.
            error_threshold: The highest error rate that is normal.
            latency_threshold: The highest latency that is normal, in seconds.
            source: Who asks.

        Raises:
            ConfigError: One or more arguments are invalid.
        """
        found = should_degrade(error_rate, latency, error_threshold, latency_threshold)
        self.component(name).set(found, source=source)
        return found

    # ---- calling functions by the level ----

    def execute(
        self,
        name: str,
        normal: Callable[..., R],
        degraded: Callable[..., R] | None = None,
        emergency: Callable[..., R] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> R:
        """Call a function by the level of a component; see ``Component.execute``."""
        return self.component(name).execute(normal, degraded, emergency, args, kwargs)

    async def aexecute(
        self,
        name: str,
        normal: Callable[..., Any],
        degraded: Callable[..., Any] | None = None,
        emergency: Callable[..., Any] | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function by the level of a component, and await it; see ``Component.aexecute``."""
        return await self.component(name).aexecute(normal, degraded, emergency, args, kwargs)

    def execute_with_fallback(
        self,
        name: str,
        choices: Mapping[Level, Callable[..., R]],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> R:
        """Call the function of a component's level; see ``Component.execute_with_fallback``."""
        return self.component(name).execute_with_fallback(choices, args, kwargs)

    async def aexecute_with_fallback(
        self,
        name: str,
        choices: Mapping[Level, Callable[..., Any]],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call and await a function; see ``Component.aexecute_with_fallback``."""
        return await self.component(name).aexecute_with_fallback(choices, args, kwargs)

    # ---- features ----

    def feature(
        self,
        name: str,
        component: Component | str | None = None,
        up_to: Level | int | str = Level.DEGRADED,
        needs: Iterable[str] = (),
    ) -> Feature:
        """Declare a feature, and return it; without settings, return the feature of this name.

        Args:
            name: Its name.
            component: The component whose level it follows, or the name of it. None: no level
                switches it off.
            up_to: The worst level of the component at which it is on.
            needs: The names of features without which it is off. They may be declared later.

        Raises:
            ConfigError: An argument is invalid, a feature of this name has other settings, or the
                features would need each other in a circle, which the message names.
        """
        problems = Problems("DegradationManager", self._name)
        name = problems.name(name)
        worst = read_up_to(problems, up_to)
        needed = read_needs(problems, needs)
        given: object = component
        if isinstance(given, str):
            problems.name(given, "component")
        elif isinstance(given, Component):
            if given.manager is not self:
                problems.refuse("component", given, "a component of this manager")
        elif given is not None:
            problems.refuse("component", given, "a component of this manager, its name, or None")
        problems.done()
        there = self.features.get(name)
        if there is not None and (given, worst, needed) == (None, Level.DEGRADED, ()):
            return there
        follows = self.component(given) if isinstance(given, str) else component
        assert not isinstance(follows, str)
        self._change_features(
            lambda: self.features._declare(problems, name, follows, worst, needed), "declared"
        )
        problems.done()
        return self.features._by_name[name]

    # ---- what others see ----

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Add a listener for changes of levels ("degradation") and of features ("feature").

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def snapshot(self) -> DegradationSnapshot:
        """Return all levels and features; see ``DegradationSnapshot`` for the fields."""
        components = tuple(component.snapshot() for component in self.components)
        return DegradationSnapshot(
            name=self._name,
            overall=max((one.level for one in components), default=Level.NORMAL),
            components=components,
            features=tuple(feature.snapshot() for feature in self.features),
        )

    def __repr__(self) -> str:
        return (
            f"<DegradationManager {self._name!r} of {len(self._components)} components: "
            f"{self.overall.word}>"
        )

    def _known(self, name: str) -> Component:
        given: object = name
        there = self._components.get(name) if isinstance(given, str) else None
        if there is None:
            hint = nearest(name, tuple(self._components))
            raise LookupError(f"no component is called {shown(name)}{hint}")
        return there

    # ---- what changes ----

    def _change(
        self, component: Component, act: Callable[[int], bool], reason: str, at_once: bool
    ) -> None:
        """Change what a component's level is made from, and tell of what changes by that.

        Args:
            component: The component.
            act: Called with the time.
            reason: Why.
            at_once: Whether that is also the reason of a level that gets better.
        """

        def find() -> list[Any]:
            now_ns = self._clock.now_ns()
            act(now_ns)
            old, new = component.level, component._decided()
            was = self.overall
            at = now_ns / 1e9
            news: list[Any] = []
            if new is not old:
                # The level comes last: what Ctrl-C ends before it, the next change does again.
                self._have_moved(component, new)
                component._show(new)
                why = reason if new > old or at_once else "stable"
                event = self._level_event(component, old, new, why, at)
                news.append((component, event, was, self.overall))
            return news + self._settled_features("level", at)

        self._telling.change(find, self._tell)
        if component.level != Level.NORMAL and not self._watch(component):
            _keep(self, "_life", None)  # the next call tries again
        self._see_to_watching()

    def _have_moved(self, component: Component, new: Level) -> None:
        self.features._have_moved(component)
        for at in self._at:
            at.discard(component)
        self._at[new].add(component)
        worst = max((level for level in LEVELS if self._at[level]), default=Level.NORMAL)
        _keep(self, "_overall", worst)

    def _see_to_watching(self) -> None:
        """Have degraded components watched where they are not, as in a forked child."""
        here = life()
        if self._life is here:
            return
        _keep(self, "_life", here)
        for component in self.components:
            if component.level != Level.NORMAL and not self._watch(component):
                _keep(self, "_life", None)

    def _watch(self, component: Component) -> bool:
        return watch(component, self._clock, self.stable_time)

    def _change_features(self, act: Callable[[], object], reason_on: str) -> None:
        def find() -> list[Any]:
            act()
            return self._settled_features(reason_on, self._clock.now_ns() / 1e9)

        self._telling.change(find, self._tell)

    def _level_event(
        self, component: Component, old: Level, new: Level, reason: str, at: float
    ) -> Event:
        return Event("degradation", self, component.name, old=old, new=new, reason=reason, at=at)

    def _settled_features(self, reason_on: str, at: float) -> list[Any]:
        return [
            (None, Event("feature", self, feature.name, old=not on, new=on, reason=why, at=at))
            for feature, on, why in self.features._settle(reason_on)
        ]

    def _tell(
        self,
        component: Component | None,
        event: Event,
        was: Level = Level.NORMAL,
        overall: Level = Level.NORMAL,
    ) -> None:
        """Tell of a change of a component, which may have changed the worst level, or a feature."""
        try:
            if component is not None:
                component._tell(event)
            self._listeners.emit(event)
        finally:
            self._log(event, was, overall)

    def _log(self, event: Event, was: Level, overall: Level) -> None:
        old: Any = event.old
        new: Any = event.new
        why = f" ({one_line(event.reason)})" if event.reason else ""
        if event.kind == "feature":
            text = "feature %r is %s%s"
            self._note("feature", event.name, text, event.name, "on" if new else "off", why)
            return
        text = "component %r is %s, and was %s%s"
        self._note("component_level", event.name, text, event.name, new.word, old.word, why)
        if overall is not was:
            record = "system_worse" if overall > was else "system_better"
            text = "degradation %r is %s, and was %s"
            self._note(record, None, text, self._name, overall.word, was.word)

    def _note(self, record: str, name: str | None, text: str, *args: object) -> None:
        note(record, "degradation", name or self._name, text, *args, clock=self._clock)

    def _after_fork(self) -> None:
        """In a forked child: what nobody asks for any more does not hold; nobody is told."""
        now_ns = self._clock.now_ns()
        for component in list(self._components.values()):
            component._kernel.look(now_ns)
            self._have_moved(component, component._decided())
            component._show(component._decided())
        self.features._settle_all()


if not TYPE_CHECKING:  # read as fast as any slot, and never written
    DegradationManager.overall = DegradationManager._overall

own_methods(DegradationManager)
