"""The preset of a node in a network of peers: messages, synchronisation, consensus.

``send``, ``receive``, ``sync`` and ``consensus`` are what the node does. ``message`` is what its
client does, with the policies of the network.
"""

from __future__ import annotations

from holdfast.manager.presets.preset import Preset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DWCP"]


def _breaker(failures: int, timeout: float, reset_timeout: float) -> dict[str, Any]:
    return {
        "max_failures": failures,
        "timeout": timeout,
        "reset_timeout": reset_timeout,
        "half_open_max_requests": 3,
    }


def _retry(retries: int, first: float, longest: float) -> dict[str, Any]:
    return {
        "max_retries": retries,
        "initial_delay": first,
        "max_delay": longest,
        "multiplier": 2.0,
        "jitter": True,
    }


def _bulkhead(concurrent: int, waiting: int, seconds: float) -> dict[str, Any]:
    return {"max_concurrent": concurrent, "max_waiting": waiting, "max_wait": seconds}


def _latency(target: float) -> dict[str, Any]:
    return {"target": target, "percentile": 95, "samples": 1000}


_HOUR = 3600.0
_ADAPTIVE = {
    "rate": 1000,
    "min_rate": 100,
    "max_rate": 10_000,
    "target_latency": 0.1,
    "window": 100,
}


DWCP = Preset(
    "dwcp",
    "a node in a network of peers",
    circuit_breakers={
        "network": _breaker(5, 30.0, 60.0),
        "network-send": _breaker(5, 30.0, 60.0),
        "network-receive": _breaker(5, 30.0, 60.0),
        "peer-discovery": _breaker(2, 30.0, 60.0),
        "send": _breaker(5, 30.0, 60.0),
        "receive": _breaker(5, 30.0, 60.0),
        "sync": _breaker(3, 10.0, 30.0),
        "consensus": _breaker(3, 10.0, 30.0),
    },
    retry_policies={
        "network": _retry(3, 0.1, 10.0),
        "network-retry": _retry(3, 0.1, 10.0),
        "send": _retry(3, 0.1, 5.0),
        "receive": _retry(3, 0.1, 5.0),
        "sync": _retry(5, 0.2, 10.0),
        "consensus": _retry(5, 0.5, 30.0),
    },
    rate_limiters={
        "outbound": {"rate": 1000, "burst": 100},
        "outbound-messages": {"rate": 1000, "burst": 100},
    },
    adaptive_rate_limiters={"send": _ADAPTIVE, "receive": _ADAPTIVE},
    bulkheads={
        "connections": _bulkhead(100, 50, 5.0),
        "send": _bulkhead(100, 200, 5.0),
        "receive": _bulkhead(100, 200, 5.0),
        "sync": _bulkhead(50, 100, 10.0),
        "consensus": _bulkhead(20, 50, 15.0),
    },
    error_budgets={
        "send": {"slo": 0.999, "window": _HOUR},
        "receive": {"slo": 0.999, "window": _HOUR},
        "sync": {"slo": 0.995, "window": _HOUR},
        "consensus": {"slo": 0.995, "window": _HOUR},
        "system": {"slo": 0.999, "window": _HOUR},
        "slo-availability": {"slo": 0.999, "window": 24 * _HOUR},
        "slo-latency": {"slo": 0.99, "window": _HOUR},
    },
    latency_budgets={
        "send": _latency(0.1),
        "receive": _latency(0.1),
        "sync": _latency(0.5),
        "consensus": _latency(1.0),
        "p95-latency": _latency(0.1),
    },
    operations={
        # Besides, an operation has what bears its own name.
        "send": {"error_budget": ("send", "system")},
        "receive": {"error_budget": ("receive", "system")},
        "sync": {"error_budget": ("sync", "system")},
        "consensus": {"error_budget": ("consensus", "system")},
        "message": {
            "circuit_breaker": "network",
            "retry": "network",
            "rate_limiter": "outbound-messages",
            "bulkhead": "connections",
            "error_budget": ("slo-availability", "system"),
            "latency_budget": "p95-latency",
        },
    },
    checks={
        # Passes while the breakers let calls through; give it a function that asks the transport.
        "transport": {"check": "breakers", "of": ("send", "receive")},
        "send-error-rate": {"check": "error_rate", "of": "send", "max": 0.01},
        "system-error-rate": {"check": "error_rate", "of": "system", "max": 0.001},
    },
    faults={
        "network-latency": {"fault": "latency", "min": 0.05, "max": 0.2, "probability": 0.01},
        "random-error": {"fault": "error", "probability": 0.1},
        "timeout": {"fault": "timeout", "after": 5.0, "probability": 0.01},
    },
    callbacks={name: name for name in ("send", "receive", "sync", "consensus", "system")},
    monitoring=True,
)
