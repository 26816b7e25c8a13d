"""What a degradation manager shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.degradation.level import Level

__all__ = ["ComponentSnapshot", "DegradationSnapshot", "FeatureSnapshot", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """The level that one source asks for.

    Attributes:
        source: Who asks.
        level: The level.
        reason: Why, in a few words.
    """

    source: str
    level: Level
    reason: str


@dataclass(frozen=True, slots=True)
class ComponentSnapshot:
    """A component at one moment.

    Attributes:
        name: Its name.
        level: The level in force.
        forced: The level that was ordered by hand, or None.
        requests: What sources ask for, without those that ask for NORMAL.
        time_in_level: Seconds since the level came into force.
        seconds: Seconds in each level in this process, by the level, up to now.
        changes: The number of changes into each level in this process, by the level.
        rises_in: Seconds until the level may rise; None if time does not change it.
    """

    name: str
    level: Level
    forced: Level | None
    requests: tuple[Request, ...]
    time_in_level: float
    seconds: tuple[float, float, float, float]
    changes: tuple[int, int, int, int]
    rises_in: float | None


@dataclass(frozen=True, slots=True)
class FeatureSnapshot:
    """A feature at one moment.

    Attributes:
        name: Its name.
        enabled: Whether it is on.
        disabled_by_hand: Whether it was disabled by hand.
        component: The name of the component whose level it follows, or None.
        up_to: The worst level of this component at which it is on.
        needs: The features that it needs.
    """

    name: str
    enabled: bool
    disabled_by_hand: bool
    component: str | None
    up_to: Level
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DegradationSnapshot:
    """A degradation manager at one moment.

    Attributes:
        name: Its name.
        overall: The worst level of its components.
        components: Its components, in the order in which they were made.
        features: Its features, in the order in which they were declared.
    """

    kind: str = field(default="degradation", init=False)
    name: str
    overall: Level
    components: tuple[ComponentSnapshot, ...]
    features: tuple[FeatureSnapshot, ...]
