"""Health: checks of what a service depends on, and a monitor that runs them.

>>> from holdfast.health import PingCheck
>>> PingCheck("database", lambda: None).run().verdict
'passed'
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.health.application import EnvironmentCheck, application_checks
    from holdfast.health.check import Check
    from holdfast.health.composite import CompositeCheck
    from holdfast.health.cpu import CpuCheck
    from holdfast.health.database import DatabaseCheck
    from holdfast.health.disk import DiskCheck
    from holdfast.health.http import HttpCheck
    from holdfast.health.loop_lag import LoopLagCheck
    from holdfast.health.memory import MemoryCheck
    from holdfast.health.monitor import HealthMonitor
    from holdfast.health.outlook import Contribution, Forecast, Outlook, OutlookSnapshot
    from holdfast.health.ping import PingCheck
    from holdfast.health.process import ProcessCheck
    from holdfast.health.report import HealthReport, health_report
    from holdfast.health.result import CheckResult
    from holdfast.health.states import HealthLevel, HealthState
    from holdfast.health.status import CheckRecord, CheckStatus, MonitorSnapshot
    from holdfast.health.tcp import TcpCheck
    from holdfast.health.threshold import ThresholdCheck

__all__ = [
    "Check",
    "CheckRecord",
    "CheckResult",
    "CheckStatus",
    "CompositeCheck",
    "Contribution",
    "CpuCheck",
    "DatabaseCheck",
    "DiskCheck",
    "EnvironmentCheck",
    "Forecast",
    "HealthLevel",
    "HealthMonitor",
    "HealthReport",
    "HealthState",
    "HttpCheck",
    "LoopLagCheck",
    "MemoryCheck",
    "MonitorSnapshot",
    "Outlook",
    "OutlookSnapshot",
    "PingCheck",
    "ProcessCheck",
    "TcpCheck",
    "ThresholdCheck",
    "application_checks",
    "health_report",
]

# Where each name is: a check that nobody uses is not imported, nor what it needs.
_LATER: dict[str, str] = {
    "Check": "check",
    "CheckRecord": "status",
    "CheckResult": "result",
    "CheckStatus": "status",
    "CompositeCheck": "composite",
    "Contribution": "outlook",
    "CpuCheck": "cpu",
    "DatabaseCheck": "database",
    "DiskCheck": "disk",
    "EnvironmentCheck": "application",
    "Forecast": "outlook",
    "HealthLevel": "states",
    "HealthMonitor": "monitor",
    "HealthReport": "report",
    "HealthState": "states",
    "HttpCheck": "http",
    "LoopLagCheck": "loop_lag",
    "MemoryCheck": "memory",
    "MonitorSnapshot": "status",
    "Outlook": "outlook",
    "OutlookSnapshot": "outlook",
    "PingCheck": "ping",
    "ProcessCheck": "process",
    "TcpCheck": "tcp",
    "ThresholdCheck": "threshold",
    "application_checks": "application",
    "health_report": "report",
}

if not TYPE_CHECKING:  # or every name would be accepted
    from holdfast.later import import_later

    __getattr__, __dir__ = import_later(__name__, _LATER, __all__)
