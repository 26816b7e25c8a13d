"""Doing less when not all works: calls one by one instead of together."""

from holdfast.degradation.degraded_mode import DegradationMode
from holdfast.degradation.gather import agather_or_sequential, gather_or_sequential
from holdfast.degradation.gathered import Gathered, GatheredCall, GatherError

__all__ = [
    "DegradationMode",
    "GatherError",
    "Gathered",
    "GatheredCall",
    "agather_or_sequential",
    "gather_or_sequential",
]
