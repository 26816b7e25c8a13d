"""holdfast: resilience and recovery for Python services, decided by a native core.

>>> import holdfast as hf
>>> breaker = hf.CircuitBreaker("payments", failure_threshold=5, reset_timeout=30)
>>> breaker.call(len, "ok")
2
"""

from holdfast._native.gate import Guard, Outcome, Permit, check_deadline, deadline
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
    OperationCancelledError,
    PoolStoppedError,
    RateLimitedError,
    Rejected,
    RetryExhaustedError,
    ShedError,
)
from holdfast.events import Event
from holdfast.mode import Mode
from holdfast.pipeline.pipeline import Pipeline
from holdfast.policies.backoff import (
    AdaptiveBackoff,
    Backoff,
    Constant,
    Decorrelated,
    Exponential,
    Fibonacci,
    Linear,
    chain,
)
from holdfast.policies.base import Policy
from holdfast.policies.breaker import CircuitBreaker, CountWindow, State, TimeWindow
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.fallback import Fallback
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.pool import PoolBulkhead
from holdfast.policies.retry import Retry, RetryBudget
from holdfast.policies.timeout import AdaptiveTimeout, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    import holdfast.chaos as chaos
    from holdfast.categories.requested import retry_after
    from holdfast.health.composite import CompositeCheck
    from holdfast.health.http import HttpCheck
    from holdfast.health.monitor import HealthMonitor
    from holdfast.health.ping import PingCheck
    from holdfast.health.tcp import TcpCheck
    from holdfast.health.threshold import ThresholdCheck
    from holdfast.manager.error_recovery import ErrorRecoveryManager
    from holdfast.manager.errors import UnprotectedError
    from holdfast.manager.manager import ResilienceManager
    from holdfast.manager.protect import protect
    from holdfast.manager.recovery import RecoveryOutcome
    from holdfast.manager.snapshot import snapshot
    from holdfast.manager.timeouts import TimeoutManager
    from holdfast.pipeline.kinds import registry
    from holdfast.policies.error_budget import ErrorBudget
    from holdfast.policies.hedge import Hedge, Quantile
    from holdfast.policies.latency_budget import LatencyBudget
    from holdfast.policies.limiter.adaptive import AdaptiveRateLimiter
    from holdfast.policies.slo_tracker import SloTracker
    from holdfast.priorities import priority
    from holdfast.resources.errors import ResourceLimitError
    from holdfast.resources.manager import ResourceManager
    from holdfast.resources.optimiser import ResourceOptimiser
    from holdfast.resources.performance import PerformanceMonitor
    from holdfast.resources.proposal import Proposal
    from holdfast.resources.report import PerformanceReport
    from holdfast.resources.resource import Resource
    from holdfast.supervision.callables import CallableComponent
    from holdfast.supervision.component import Component, Exit
    from holdfast.supervision.component_manager import ComponentManager
    from holdfast.supervision.errors import (
        AlreadyStartedError,
        NotInitializedError,
        PhaseStartError,
    )
    from holdfast.supervision.process import ProcessComponent
    from holdfast.supervision.restart import RestartComponent
    from holdfast.supervision.states import ComponentState
    from holdfast.supervision.supervisor import Supervisor
    from holdfast.supervision.task import TaskComponent
    from holdfast.supervision.thread import ThreadComponent
    from holdfast.telemetry.json_lines import JsonFormatter
    from holdfast.telemetry.logs import log_events
    from holdfast.trip import Trip
else:
    from holdfast.registry import registry

__all__ = [
    "AdaptiveBackoff",
    "AdaptiveRateLimiter",
    "AdaptiveTimeout",
    "AlreadyStartedError",
    "Backoff",
    "Bulkhead",
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CallableComponent",
    "CircuitBreaker",
    "CircuitOpenError",
    "Clock",
    "Component",
    "ComponentManager",
    "ComponentState",
    "CompositeCheck",
    "ConfigError",
    "Constant",
    "CountWindow",
    "DeadlineExceededError",
    "Decorrelated",
    "EmergencyModeError",
    "ErrorBudget",
    "ErrorRecoveryManager",
    "Event",
    "Exit",
    "Exponential",
    "Fallback",
    "Fibonacci",
    "Guard",
    "HealthMonitor",
    "Hedge",
    "HoldfastError",
    "HttpCheck",
    "JsonFormatter",
    "LatencyBudget",
    "Linear",
    "ManualClock",
    "MissingExtraError",
    "Mode",
    "NotInitializedError",
    "OperationCancelledError",
    "Outcome",
    "PerformanceMonitor",
    "PerformanceReport",
    "Permit",
    "PhaseStartError",
    "PingCheck",
    "Pipeline",
    "Policy",
    "PoolBulkhead",
    "PoolStoppedError",
    "ProcessComponent",
    "Proposal",
    "Quantile",
    "RateLimitedError",
    "RateLimiter",
    "RecoveryOutcome",
    "Rejected",
    "ResilienceManager",
    "Resource",
    "ResourceLimitError",
    "ResourceManager",
    "ResourceOptimiser",
    "RestartComponent",
    "Retry",
    "RetryBudget",
    "RetryExhaustedError",
    "ShedError",
    "SloTracker",
    "State",
    "Supervisor",
    "SystemClock",
    "TaskComponent",
    "TcpCheck",
    "ThreadComponent",
    "ThresholdCheck",
    "TimeWindow",
    "Timeout",
    "TimeoutManager",
    "Trip",
    "UnprotectedError",
    "__version__",
    "chain",
    "chaos",
    "check_deadline",
    "deadline",
    "log_events",
    "priority",
    "protect",
    "registry",
    "retry_after",
    "snapshot",
]

# Public functions that are rarely used, and the modules they are imported from at the first use.
# Type checkers import them above, under TYPE_CHECKING.
_LATER: dict[str, str] = {
    "CallableComponent": "holdfast.supervision.callables",
    "ProcessComponent": "holdfast.supervision.process",
    "Resource": "holdfast.resources.resource",
    "ResourceLimitError": "holdfast.resources.errors",
    "ResourceManager": "holdfast.resources.manager",
    "ResourceOptimiser": "holdfast.resources.optimiser",
    "Proposal": "holdfast.resources.proposal",
    "RestartComponent": "holdfast.supervision.restart",
    "TaskComponent": "holdfast.supervision.task",
    "ThreadComponent": "holdfast.supervision.thread",
    "Component": "holdfast.supervision.component",
    "ComponentState": "holdfast.supervision.states",
    "CompositeCheck": "holdfast.health.composite",
    "HealthMonitor": "holdfast.health.monitor",
    "LatencyBudget": "holdfast.policies.latency_budget",
    "HttpCheck": "holdfast.health.http",
    "PingCheck": "holdfast.health.ping",
    "ResilienceManager": "holdfast.manager.manager",
    "SloTracker": "holdfast.policies.slo_tracker",
    "Supervisor": "holdfast.supervision.supervisor",
    "TcpCheck": "holdfast.health.tcp",
    "ThresholdCheck": "holdfast.health.threshold",
    "Hedge": "holdfast.policies.hedge",
    "Quantile": "holdfast.policies.hedge",
    "ErrorBudget": "holdfast.policies.error_budget",
    "Exit": "holdfast.supervision.component",
    "AdaptiveRateLimiter": "holdfast.policies.limiter.adaptive",
    "ErrorRecoveryManager": "holdfast.manager.error_recovery",
    "PerformanceMonitor": "holdfast.resources.performance",
    "PerformanceReport": "holdfast.resources.report",
    "RecoveryOutcome": "holdfast.manager.recovery",
    "TimeoutManager": "holdfast.manager.timeouts",
    "Trip": "holdfast.trip",
    "AlreadyStartedError": "holdfast.supervision.errors",
    "ComponentManager": "holdfast.supervision.component_manager",
    "NotInitializedError": "holdfast.supervision.errors",
    "PhaseStartError": "holdfast.supervision.errors",
    "UnprotectedError": "holdfast.manager.errors",
    "chaos": "holdfast.chaos",
    "JsonFormatter": "holdfast.telemetry.json_lines",
    "log_events": "holdfast.telemetry.logs",
    "priority": "holdfast.priorities",
    "protect": "holdfast.manager.protect",
    "retry_after": "holdfast.categories.requested",
    "snapshot": "holdfast.manager.snapshot",
}

if not TYPE_CHECKING:  # or every name would be accepted

    def __getattr__(name):
        if (module := _LATER.get(name)) is not None:
            from importlib import import_module

            value = import_module(module)
            if module != f"holdfast.{name}":  # else the module itself is meant
                value = getattr(value, name)
            globals()[name] = value
            return value
        if name.startswith("_"):  # what frameworks look for
            raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
        from holdfast.hints import missing_name

        raise missing_name(name, __all__)

    def __dir__():  # what a shell completes: no module that users need not know
        special = {name for name in globals() if name.startswith("__")}
        modules = globals().keys() & {"categories", "telemetry", "testing"}
        return sorted({*__all__, *special, *modules})
