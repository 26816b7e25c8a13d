"""Health: checks of what a service depends on, and a monitor that runs them.

>>> from holdfast.health import PingCheck
>>> PingCheck("database", lambda: None).run().verdict
'passed'
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.health.check import Check
    from holdfast.health.composite import CompositeCheck
    from holdfast.health.monitor import HealthMonitor
    from holdfast.health.ping import PingCheck
    from holdfast.health.result import CheckResult
    from holdfast.health.states import HealthLevel, HealthState
    from holdfast.health.status import CheckRecord, CheckStatus, MonitorSnapshot
    from holdfast.health.threshold import ThresholdCheck

__all__ = [
    "Check",
    "CheckRecord",
    "CheckResult",
    "CheckStatus",
    "CompositeCheck",
    "HealthLevel",
    "HealthMonitor",
    "HealthState",
    "MonitorSnapshot",
    "PingCheck",
    "ThresholdCheck",
]

# Where each name is: a check that nobody uses is not imported, nor what it needs.
_LATER: dict[str, str] = {
    "Check": "check",
    "CheckRecord": "status",
    "CheckResult": "result",
    "CheckStatus": "status",
    "CompositeCheck": "composite",
    "HealthLevel": "states",
    "HealthMonitor": "monitor",
    "HealthState": "states",
    "MonitorSnapshot": "status",
    "PingCheck": "ping",
    "ThresholdCheck": "threshold",
}

if not TYPE_CHECKING:  # or every name would be accepted

    def __getattr__(name):
        if (module := _LATER.get(name)) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
