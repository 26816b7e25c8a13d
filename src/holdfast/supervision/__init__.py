"""Supervision: components that are started in order, checked, and come back by themselves.

>>> from holdfast.supervision import ComponentState
>>> ComponentState.RUNNING.is_up
True
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.supervision.callables import CallableComponent
    from holdfast.supervision.component import Component, Exit
    from holdfast.supervision.component_manager import ComponentManager
    from holdfast.supervision.errors import (
        AlreadyStartedError,
        NotInitializedError,
        PhaseStartError,
    )
    from holdfast.supervision.managed import ComponentManagerSnapshot
    from holdfast.supervision.process import ProcessComponent
    from holdfast.supervision.restart import RestartComponent
    from holdfast.supervision.states import ComponentState
    from holdfast.supervision.status import ComponentStatus, SupervisorSnapshot
    from holdfast.supervision.supervisor import Supervisor
    from holdfast.supervision.task import TaskComponent
    from holdfast.supervision.thread import ThreadComponent

__all__ = [
    "AlreadyStartedError",
    "CallableComponent",
    "Component",
    "ComponentManager",
    "ComponentManagerSnapshot",
    "ComponentState",
    "ComponentStatus",
    "Exit",
    "NotInitializedError",
    "PhaseStartError",
    "ProcessComponent",
    "RestartComponent",
    "Supervisor",
    "SupervisorSnapshot",
    "TaskComponent",
    "ThreadComponent",
]

# Where each name is: a kind of component that nobody uses is not imported, nor what it needs.
_LATER: dict[str, str] = {
    "AlreadyStartedError": "errors",
    "CallableComponent": "callables",
    "Component": "component",
    "ComponentManager": "component_manager",
    "ComponentManagerSnapshot": "managed",
    "ComponentState": "states",
    "ComponentStatus": "status",
    "Exit": "component",
    "NotInitializedError": "errors",
    "PhaseStartError": "errors",
    "ProcessComponent": "process",
    "RestartComponent": "restart",
    "Supervisor": "supervisor",
    "SupervisorSnapshot": "status",
    "TaskComponent": "task",
    "ThreadComponent": "thread",
}

if not TYPE_CHECKING:  # or every name would be accepted
    from holdfast.later import import_later

    __getattr__, __dir__ = import_later(__name__, _LATER, __all__)
