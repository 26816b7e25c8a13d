"""The preset of one operation that nothing is known of: what ``protect`` gives.

The values of ``Pipeline.standard``, and budgets that only count.
"""

from __future__ import annotations

from holdfast.manager.presets.preset import ANY, Preset
from holdfast.policies.breaker import TimeWindow

__all__ = ["STANDARD"]

STANDARD = Preset(
    "standard",
    "any one operation",
    circuit_breakers={
        ANY: {
            "failure_rate": 0.1,
            "window": TimeWindow(30.0),
            "min_calls": 100,
            "reset_timeout": 5.0,
            "timeout": 10.0,
            "on": "transient",
        }
    },
    retry_policies={
        ANY: {
            "max_retries": 3,
            "initial_delay": 0.2,
            "max_delay": 10.0,
            "multiplier": 2.0,
            "jitter_mode": "full",
            "on": "transient",
        }
    },
    bulkheads={ANY: {"max_concurrent": 1000}},
    timeouts={ANY: 30.0},
    error_budgets={ANY: {"slo": 0.999, "window": 3600.0}},
    latency_budgets={ANY: {"target": 0.1, "percentile": 95, "samples": 1000}},
)
