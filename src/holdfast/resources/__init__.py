"""Resources: what a program has open, within limits and cleaned once, and how it performs.

>>> from holdfast.resources import ResourceManager
>>> resources = ResourceManager("shop")
>>> with resources.register("orders.csv", "file"):
...     resources.count("file")
1
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.resources.errors import ResourceLimitError
    from holdfast.resources.manager import ResourceManager
    from holdfast.resources.optimiser import ResourceOptimiser, ResourceOptimiserSnapshot
    from holdfast.resources.performance import PerformanceMonitor
    from holdfast.resources.proposal import Proposal
    from holdfast.resources.report import CacheFigures, PerformanceReport
    from holdfast.resources.resource import Resource
    from holdfast.resources.snapshot import KindSnapshot, ResourcesSnapshot, SystemSnapshot

__all__ = [
    "CacheFigures",
    "KindSnapshot",
    "PerformanceMonitor",
    "PerformanceReport",
    "Proposal",
    "Resource",
    "ResourceLimitError",
    "ResourceManager",
    "ResourceOptimiser",
    "ResourceOptimiserSnapshot",
    "ResourcesSnapshot",
    "SystemSnapshot",
]

# Where each name is: what nobody uses is not imported.
_LATER: dict[str, str] = {
    "CacheFigures": "report",
    "KindSnapshot": "snapshot",
    "PerformanceMonitor": "performance",
    "PerformanceReport": "report",
    "Proposal": "proposal",
    "Resource": "resource",
    "ResourceLimitError": "errors",
    "ResourceManager": "manager",
    "ResourceOptimiser": "optimiser",
    "ResourceOptimiserSnapshot": "optimiser",
    "ResourcesSnapshot": "snapshot",
    "SystemSnapshot": "snapshot",
}

if not TYPE_CHECKING:  # or every name would be accepted
    from holdfast.later import import_later

    __getattr__, __dir__ = import_later(__name__, _LATER, __all__)
