"""What the collector's policies have besides the numbers of the preset "collector".

The preset repeats every error, and each counts against the breaker. Here the errors are known: a
repetition heals only some of them, and only some say that the exchange or Redis is ill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from examples.market_collector.errors import BusyError, ClosedError, RefusedError

if TYPE_CHECKING:
    from holdfast.manager.presets import Preset

__all__ = ["ATTEMPT", "REDIS_ATTEMPT", "adapted"]

#: Seconds that one attempt to ask an exchange may take: an exchange that hangs is asked again.
ATTEMPT = 2.5
#: Seconds that one attempt to ask Redis may take.
REDIS_ATTEMPT = 0.25


def adapted(preset: Preset, *, attempt: float = ATTEMPT) -> Preset:
    """Return a preset with what the clients of exchanges and Redis need.

    Args:
        preset: That of the collector, with whatever numbers.
        attempt: Seconds that one attempt to ask an exchange may take, above 0.

    Raises:
        ConfigError: The preset has no breaker "exchange" or "redis", or no retry "api_call" or
            "redis_operation"; or ``attempt`` is out of range.
    """
    breakers: dict[str, Any] = {
        # An exchange that refuses one request or is busy works. What is used up here and what is
        # a defect of this program says nothing about it.
        "exchange": {
            "operation_timeout": attempt,
            "ignore": (BusyError, ClosedError, RefusedError, "resource", "logic"),
        },
        # A Redis that is full still answers what it has, and one with a wrong value works.
        "redis": {"on": "transient"},
    }
    # What is permanent fails again, a logic error is ours, and repetition frees no resource.
    only_what_passes = {"on": "transient"}
    return preset.but(
        circuit_breakers=breakers,
        retry_policies={"api_call": only_what_passes, "redis_operation": only_what_passes},
    )
