"""Chaos: faults that are injected into calls on purpose, to see what the policies make of them.

>>> import holdfast as hf
>>> from holdfast import chaos
>>> slow = chaos.Latency(0.05, 0.2, probability=0.1)
>>> pipe = hf.Pipeline("payments", hf.CircuitBreaker("payments"), slow)
>>> pipe.call(len, "ok")  # chaos is disabled, and costs nothing
2

Nothing is injected unless the environment variable ``HOLDFAST_CHAOS`` is 1 and the process calls
``chaos.enable()``.
"""

from holdfast.chaos.composite import Composite
from holdfast.chaos.correlated import Correlated
from holdfast.chaos.cpu import Cpu
from holdfast.chaos.custom import Custom
from holdfast.chaos.disk import Disk
from holdfast.chaos.engine import disable, enable, enabled
from holdfast.chaos.error import Error
from holdfast.chaos.errors import (
    ChaosRefusedError,
    InjectedError,
    InjectedPanicError,
    InjectedPartitionError,
    InjectedTimeoutError,
)
from holdfast.chaos.fault import Fault, Injection
from holdfast.chaos.latency import Latency
from holdfast.chaos.memory import Memory
from holdfast.chaos.partition import Partition
from holdfast.chaos.point import attach
from holdfast.chaos.scenario import Scenario, Step
from holdfast.chaos.snapshot import ChaosSnapshot, FaultSnapshot, snapshot
from holdfast.chaos.timeout import Timeout
from holdfast.chaos.unexpected import Raise

__all__ = [
    "ChaosRefusedError",
    "ChaosSnapshot",
    "Composite",
    "Correlated",
    "Cpu",
    "Custom",
    "Disk",
    "Error",
    "Fault",
    "FaultSnapshot",
    "InjectedError",
    "InjectedPanicError",
    "InjectedPartitionError",
    "InjectedTimeoutError",
    "Injection",
    "Latency",
    "Memory",
    "Partition",
    "Raise",
    "Scenario",
    "Step",
    "Timeout",
    "attach",
    "disable",
    "enable",
    "enabled",
    "snapshot",
]
