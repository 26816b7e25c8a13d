"""Feature flags: what is switched off by hand, by the level of a component, or with what it needs.

Each flag is computed when something changes, so that asking costs next to nothing. Elsewhere: when
that is, and the order in which it is told (``manager``).
"""

from __future__ import annotations

from holdfast.degradation.level import Level, read_level
from holdfast.degradation.snapshot import FeatureSnapshot
from holdfast.validation import Problems, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, NoReturn

    from holdfast.degradation.component import Component

    # The manager, whose module imports this one.
    Manager = Any

__all__ = ["Feature", "Features"]

_keep = object.__setattr__


class Feature:
    """A part of a service that is switched off while the service is degraded.

    ``DegradationManager.feature`` declares and returns it. It is true while it is on.

    Attributes:
        enabled: Whether it is on. Reading it costs what reading any attribute does.

    Safe to share between threads and event loops.
    """

    __slots__ = (
        "__weakref__",
        "_by_hand",
        "_component",
        "_declared",
        "_enabled",
        "_name",
        "_needed_by",
        "_needs",
        "_up_to",
    )

    if TYPE_CHECKING:

        @property
        def enabled(self) -> bool:
            """Whether it is on."""

        _by_hand: bool
        _component: Component | None
        _declared: bool
        _name: str
        _needed_by: list[Feature]
        _needs: tuple[Feature, ...]
        _up_to: Level

    def __init__(self, name: str) -> None:
        keep: tuple[tuple[str, object], ...] = (
            ("_enabled", True),
            ("_by_hand", False),  # whether it was disabled by hand
            ("_component", None),
            ("_declared", False),
            ("_name", name),
            ("_needed_by", []),
            ("_needs", ()),
            ("_up_to", Level.DEGRADED),
        )
        for field, value in keep:
            _keep(self, field, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Feature is changed by its manager: cannot set {name!r}")

    @property
    def name(self) -> str:
        """The name of the feature."""
        return self._name

    @property
    def component(self) -> Component | None:
        """The component whose level it follows, or None."""
        return self._component

    @property
    def up_to(self) -> Level:
        """The worst level of the component at which it is on."""
        return self._up_to

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the features that it needs."""
        return tuple(one.name for one in self._needs)

    def snapshot(self) -> FeatureSnapshot:
        """Return its current state; see ``FeatureSnapshot`` for the fields."""
        component = self._component
        return FeatureSnapshot(
            name=self._name,
            enabled=self.enabled,
            disabled_by_hand=self._by_hand,
            component=None if component is None else component.name,
            up_to=self._up_to,
            needs=self.needs,
        )

    def __bool__(self) -> bool:
        return self.enabled

    def __repr__(self) -> str:
        return f"<Feature {self._name!r}: {'on' if self.enabled else 'off'}>"

    def _why_off(self, is_on: Mapping[Feature, bool]) -> str:
        """Return why it is to be off, in one word, or "".

        Args:
            is_on: Which features will be on; of all others, those that are.
        """
        if self._by_hand:
            return "disabled"
        if self._component is not None and self._component.level > self._up_to:
            return "level"
        if not all(is_on.get(one, one.enabled) for one in self._needs):
            return "needs"
        return ""


if not TYPE_CHECKING:  # read as fast as any slot, and never written
    Feature.enabled = Feature._enabled


class Features:
    """The features of a manager, by name: ``DegradationManager.features``.

    A feature that nobody knows is enabled. ``disable`` switches a feature off until ``enable``. An
    enabled feature still is off while the level of its component is too bad, or while a feature
    that it needs is off.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_by_component", "_by_name", "_is_settling", "_manager", "_unsettled")

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._by_name: dict[str, Feature] = {}  # this and the next change with its lock held
        self._by_component: dict[Component, list[Feature]] = {}
        self._unsettled: dict[Feature, None] = {}  # what may have to be switched, in this order
        self._is_settling = False

    def enable(self, name: str) -> None:
        """Take back ``disable``.

        Raises:
            ConfigError: ``name`` is not a name.
        """
        self.set(name, True)

    def disable(self, name: str) -> None:
        """Switch a feature off, and with it all features that need it.

        Raises:
            ConfigError: ``name`` is not a name.
        """
        self.set(name, False)

    def set(self, name: str, on: bool) -> None:
        """Enable or disable a feature. A name that nobody knows becomes a feature.

        Raises:
            ConfigError: ``name`` is not a name, or ``on`` is not a bool.
        """
        problems = Problems("Features")
        name = problems.name(name)
        on = problems.flag("on", on)
        problems.done()

        def act() -> None:
            feature = self._known(name)
            _keep(feature, "_by_hand", not on)
            self._unsettled[feature] = None

        self._manager._change_features(act, "enabled")

    def get(self, name: str) -> Feature | None:
        """Return the feature of this name, or None."""
        return self._by_name.get(name)

    def all(self) -> dict[str, bool]:
        """Return whether each known feature is on."""
        return {feature.name: feature.enabled for feature in self}

    def __iter__(self) -> Iterator[Feature]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __repr__(self) -> str:
        off = ", ".join(repr(one.name) for one in self if not one.enabled)
        return f"<Features: {len(self)}, off: {off or 'none'}>"

    # ---- for the manager, with its lock held ----

    def _known(self, name: str) -> Feature:
        """Return the feature of this name; the first call makes it."""
        feature = self._by_name.get(name)
        if feature is None:
            feature = Feature(name)
            self._manager._put(name, True)
            self._by_name[name] = feature
        return feature

    def _declare(
        self,
        problems: Problems,
        name: str,
        component: Component | None,
        up_to: Level,
        needs: tuple[str, ...],
    ) -> None:
        """Declare a feature, unless that would make a circle or another one of its name."""
        feature = self._by_name.get(name)
        if feature is not None and feature._declared:
            there = feature._component, feature._up_to, feature.needs
            if there != (component, up_to, needs):
                problems.refuse("name", name, f"another name: {feature!r} has other settings")
            return
        circle = self._circle(name, needs)
        if circle:
            problems.refuse(
                "needs", needs, f"features that do not need it: {' -> '.join(map(shown, circle))}"
            )
            return
        needed = tuple(map(self._known, needs))
        feature = self._known(name)
        _keep(feature, "_component", component)
        _keep(feature, "_up_to", up_to)
        _keep(feature, "_needs", needed)
        for one in needed:
            one._needed_by.append(feature)
        if component is not None:
            self._by_component.setdefault(component, []).append(feature)
        _keep(feature, "_declared", True)
        self._unsettled[feature] = None

    def _circle(self, name: str, needs: tuple[str, ...]) -> list[str]:
        """Return a way from a feature back to it over what it needs; [] if there is none."""
        there = self._by_name.get(name)
        if there is None or not there._needed_by:  # nothing leads to it
            return [name, name] if name in needs else []
        reached_by = dict.fromkeys(needs, name)
        left = list(reached_by)
        while left:
            last = left.pop()
            if last == name:
                way = [name, reached_by[name]]
                while way[-1] != name:
                    way.append(reached_by[way[-1]])
                return way[::-1]
            for one in self._by_name[last].needs if last in self._by_name else ():
                if one not in reached_by:
                    reached_by[one] = last
                    left.append(one)
        return []

    def _have_moved(self, component: Component) -> None:
        """Have the features settled that follow a component, as it has another level."""
        self._unsettled.update(dict.fromkeys(self._by_component.get(component, ())))

    def _settle(self, reason_on: str) -> list[tuple[Feature, bool, str]]:
        """Switch what is to be switched; return each feature, whether it is on, and why.

        What needs a feature is switched off before it, and on after it. Only what may have changed
        is looked at, so that this takes no longer where there are many features.
        """
        found: list[tuple[Feature, bool, str]] = []
        if self._is_settling:  # here is a finaliser: what it has changed is settled below as well
            return found
        self._is_settling = True
        try:
            while self._unsettled:
                self._settle_once(found, reason_on)
        finally:
            self._is_settling = False
        return found

    def _settle_once(self, found: list[tuple[Feature, bool, str]], reason_on: str) -> None:
        changed, self._unsettled = self._unsettled, {}
        try:
            features: Iterable[Feature] = changed
            is_on: dict[Feature, bool] = {}
            if all(one.enabled is not bool(one._why_off(is_on)) for one in changed):
                return
            features = _reached(changed)
            off: list[tuple[Feature, str]] = []
            for feature in features:
                why = feature._why_off(is_on)
                is_on[feature] = not why
                if why and feature.enabled:
                    off.append((feature, why))
            for feature, why in reversed(off):
                self._switch(feature, False)
                found.append((feature, False, why))
            for feature in features:
                if is_on[feature] and not feature.enabled:
                    self._switch(feature, True)
                    found.append((feature, True, reason_on))
        except BaseException:  # Ctrl-C: the next change has it settled
            self._unsettled.update(dict.fromkeys(features))
            raise

    def _settle_all(self) -> None:
        """Switch what is to be switched of all features."""
        self._unsettled.update(dict.fromkeys(self))
        self._settle("level")

    def _switch(self, feature: Feature, on: bool) -> None:
        self._manager._put(feature.name, on)
        _keep(feature, "_enabled", on)  # last: a switch that Ctrl-C ends here is made again


def _reached(changed: Iterable[Feature]) -> list[Feature]:
    """Return features and all that needs them, each after what it needs."""
    found: dict[Feature, None] = {}
    ways = list(changed)
    entered: set[Feature] = set()
    while ways:
        last = ways[-1]
        if last in entered:
            ways.pop()
            found[last] = None  # once, after all that needs it
        else:
            entered.add(last)
            ways += [one for one in last._needed_by if one not in entered]
    return list(reversed(found))


def read_needs(problems: Problems, needs: object) -> tuple[str, ...]:
    """Return the names of features that a feature needs, each once."""
    if isinstance(needs, str):
        return (problems.name(needs, "needs"),)
    if not isinstance(needs, (tuple, list, set, frozenset)):
        problems.refuse("needs", needs, "names of features")
        return ()
    names = sorted(needs, key=str) if isinstance(needs, (set, frozenset)) else needs
    return tuple(dict.fromkeys(problems.name(one, "needs") for one in names))


def read_up_to(problems: Problems, up_to: object) -> Level:
    """Return the worst level at which a feature is on."""
    return read_level(problems, "up_to", up_to)
