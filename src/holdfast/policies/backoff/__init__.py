"""Back-offs: how long to wait before each retry."""

from holdfast.policies.backoff.adaptive import AdaptiveBackoff
from holdfast.policies.backoff.base import Backoff
from holdfast.policies.backoff.formulas import (
    Constant,
    Decorrelated,
    Exponential,
    Fibonacci,
    Linear,
    chain,
)

__all__ = [
    "AdaptiveBackoff",
    "Backoff",
    "Constant",
    "Decorrelated",
    "Exponential",
    "Fibonacci",
    "Linear",
    "chain",
]
