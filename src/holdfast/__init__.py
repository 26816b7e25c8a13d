"""holdfast: resilience and recovery for Python services, decided by a native core.

>>> import holdfast as hf
>>> breaker = hf.CircuitBreaker("payments", failure_threshold=5, reset_timeout=30)
>>> breaker.call(len, "ok")
2
"""

from holdfast import pipeline as _pipeline  # installs who waits for the policies
from holdfast._native.gate import Outcome, Permit
from holdfast._version import __version__
from holdfast.clock import Clock, ManualClock, SystemClock
from holdfast.errors import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    EmergencyModeError,
    HoldfastError,
    MissingExtraError,
    PoolStoppedError,
    RateLimitedError,
    Rejected,
    ShedError,
)
from holdfast.events import Event
from holdfast.mode import Mode
from holdfast.pipeline.pipeline import Pipeline
from holdfast.pipeline.pool import PoolBulkhead
from holdfast.policies.adaptive_backoff import AdaptiveBackoff
from holdfast.policies.backoff import (
    Backoff,
    Constant,
    Decorrelated,
    Exponential,
    Fibonacci,
    Linear,
    chain,
)
from holdfast.policies.base import Policy
from holdfast.policies.breaker import CircuitBreaker, State
from holdfast.policies.budget import RetryBudget
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.windows import CountWindow, TimeWindow
from holdfast.registry import registry

__all__ = [
    "AdaptiveBackoff",
    "Backoff",
    "Bulkhead",
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CircuitBreaker",
    "CircuitOpenError",
    "Clock",
    "ConfigError",
    "Constant",
    "CountWindow",
    "DeadlineExceededError",
    "Decorrelated",
    "EmergencyModeError",
    "Event",
    "Exponential",
    "Fibonacci",
    "HoldfastError",
    "Linear",
    "ManualClock",
    "MissingExtraError",
    "Mode",
    "Outcome",
    "Permit",
    "Pipeline",
    "Policy",
    "PoolBulkhead",
    "PoolStoppedError",
    "RateLimitedError",
    "RateLimiter",
    "Rejected",
    "RetryBudget",
    "ShedError",
    "State",
    "SystemClock",
    "TimeWindow",
    "__version__",
    "chain",
    "registry",
]

del _pipeline
