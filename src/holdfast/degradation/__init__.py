"""Degradation: a service that does less, on purpose, while parts of it do not work.

>>> from holdfast.degradation import DegradationManager, Level
>>> shop = DegradationManager("shop")
>>> shop.component("search").level
<Level.NORMAL: 0>
"""

from holdfast.degradation.component import Component
from holdfast.degradation.degraded_mode import DegradationMode
from holdfast.degradation.driving import Following
from holdfast.degradation.features import Feature, Features
from holdfast.degradation.gather import agather_or_sequential, gather_or_sequential
from holdfast.degradation.gathered import Gathered, GatheredCall, GatherError
from holdfast.degradation.level import Level, should_degrade
from holdfast.degradation.manager import DegradationManager
from holdfast.degradation.shed_snapshot import ShedderSnapshot
from holdfast.degradation.shedding import LoadShedder
from holdfast.degradation.snapshot import (
    ComponentSnapshot,
    DegradationSnapshot,
    FeatureSnapshot,
    Request,
)

__all__ = [
    "Component",
    "ComponentSnapshot",
    "DegradationManager",
    "DegradationMode",
    "DegradationSnapshot",
    "Feature",
    "FeatureSnapshot",
    "Features",
    "Following",
    "GatherError",
    "Gathered",
    "GatheredCall",
    "Level",
    "LoadShedder",
    "Request",
    "ShedderSnapshot",
    "agather_or_sequential",
    "gather_or_sequential",
    "should_degrade",
]
