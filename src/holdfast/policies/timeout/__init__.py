"""Timeouts: how long a call may take."""

from holdfast.policies.timeout.adaptive import AdaptiveTimeout
from holdfast.policies.timeout.timeout import Timeout

__all__ = ["AdaptiveTimeout", "Timeout"]
