"""How long the state machines run: the same examples in every quick run, more and random in ``make stress``."""

import os

from hypothesis import HealthCheck, settings

scale = int(os.environ.get("STRESS_SCALE", "1"))

settings.register_profile(
    "machines",
    settings.get_profile("holdfast"),
    derandomize=scale == 1,
    max_examples=60 * scale,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
