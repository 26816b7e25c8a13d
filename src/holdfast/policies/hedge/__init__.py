"""Hedge: a further attempt beside one that takes unusually long."""

from holdfast.policies.hedge.hedge import Hedge
from holdfast.policies.hedge.quantile import Quantile

__all__ = ["Hedge", "Quantile"]
