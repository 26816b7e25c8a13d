"""How long the state machines run.

The same examples in every quick run; in ``make stress`` more, and different ones each time.
"""

import os

from hypothesis import HealthCheck, settings

scale = int(os.environ.get("STRESS_SCALE", "1"))

settings.register_profile(
    "machines",
    settings.get_profile("holdfast"),
    derandomize=scale == 1,
    max_examples=30 + 30 * scale,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
