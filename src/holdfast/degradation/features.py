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
    from collections.abc import Iterable, Iterator
    from typing import Any, NoReturn

    from holdfast.degradation.component import Component

    # The manager, whose module imports this one.
    Manager = Any

__all__ = ["Feature", "Features"]

_keep = object.__setattr__


class Feature:
    """A part of a service that is switched off while the service is degraded.

    ``DegradationManager.feature`` declares and returns it.

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
        _needs: tuple[Feature, ...]
        _up_to: Level

    def __init__(self, name: str) -> None:
        keep = (
            ("_enabled", True),
            ("_by_hand", False),  # whether it was disabled by hand
            ("_component", None),
            ("_declared", False),
            ("_name", name),
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

    def __repr__(self) -> str:
        return f"<Feature {self._name!r}: {'on' if self.enabled else 'off'}>"

    def _why_off(self) -> str:
        """Return why it is to be off whatever it needs, in one word, or ""."""
        if self._by_hand:
            return "disabled"
        if self._component is not None and self._component.level > self._up_to:
            return "level"
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

    __slots__ = ("_manager", "_order")

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        # By name; what a feature needs stands before it. Replaced whole, under the manager's lock.
        self._order: dict[str, Feature] = {}

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
            feature = self._order.get(name)
            if feature is None:
                feature = Feature(name)
                self._order = {**self._order, name: feature}
                self._manager._put(name, True)
            _keep(feature, "_by_hand", not on)

        self._manager._change_features(act, "enabled")

    def get(self, name: str) -> Feature | None:
        """Return the feature of this name, or None."""
        return self._order.get(name)

    def all(self) -> dict[str, bool]:
        """Return whether each known feature is on."""
        return {name: feature.enabled for name, feature in self._order.items()}

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._order.values())

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, name: object) -> bool:
        return name in self._order

    def __repr__(self) -> str:
        off = ", ".join(repr(one.name) for one in self if not one.enabled)
        return f"<Features: {len(self)}, off: {off or 'none'}>"

    # ---- for the manager, with its lock held ----

    def _declare(
        self,
        problems: Problems,
        name: str,
        component: Component | None,
        up_to: Level,
        needs: tuple[str, ...],
    ) -> None:
        """Declare a feature, unless that would make a circle or another one of its name."""
        known = dict(self._order)
        feature = known.get(name)
        if feature is not None and feature._declared:
            there = feature._component, feature._up_to, feature.needs
            if there != (component, up_to, needs):
                problems.refuse("name", name, f"another name: {feature!r} has other settings")
            return
        circle = _circle(name, needs, known)
        if circle:
            problems.refuse(
                "needs", needs, f"features that do not need it: {' -> '.join(map(shown, circle))}"
            )
            return
        for one in (*needs, name):
            if one not in known:
                known[one] = Feature(one)
                self._manager._put(one, True)
        feature = known[name]
        _keep(feature, "_component", component)
        _keep(feature, "_up_to", up_to)
        _keep(feature, "_needs", tuple(known[one] for one in needs))
        _keep(feature, "_declared", True)
        self._order = _sorted(known)

    def _settle(self, reason_on: str) -> Iterable[tuple[Feature, bool, str]]:
        """Switch what is to be switched; return each feature, whether it is on, and why.

        What needs a feature is switched off before it, and on after it.
        """
        found: list[tuple[Feature, bool, str]] = []
        features = list(self._order.values())
        is_on: dict[Feature, bool] = {}
        off: list[tuple[Feature, str]] = []
        for feature in features:
            why = feature._why_off()
            if not why and not all(is_on.get(one, one.enabled) for one in feature._needs):
                why = "needs"
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
        return found

    def _switch(self, feature: Feature, on: bool) -> None:
        _keep(feature, "_enabled", on)
        self._manager._put(feature.name, on)


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


def _circle(name: str, needs: Iterable[str], known: dict[str, Feature]) -> list[str]:
    """Return a way from what a feature needs back to it, with both ends; [] if there is none."""
    ways = [[name, one] for one in needs]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        last = way[-1]
        if last == name:
            return way
        if last not in seen and last in known:
            seen.add(last)
            ways.extend([*way, one] for one in known[last].needs)
    return []


def _sorted(known: dict[str, Feature]) -> dict[str, Feature]:
    """Return the features so that what a feature needs stands before it."""
    found: dict[str, Feature] = {}
    left: list[Feature] = []
    for feature in known.values():
        left.append(feature)
        while left:
            one = left[-1]
            missing = [need for need in one._needs if need.name not in found]
            if missing:
                left.extend(missing)
            else:
                left.pop()
                found.setdefault(one.name, one)
    return found
