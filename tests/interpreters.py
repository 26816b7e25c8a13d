"""What some interpreters do otherwise, for tests that would take it for a defect of ours."""

import sys

import pytest

__all__ = [
    "GIL",
    "classes_can_die",
    "collects_at_any_time",
    "forks_beside_threads",
    "lists_survive_no_memory",
]

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

classes_can_die = pytest.mark.skipif(
    not GIL and sys.version_info < (3, 14),
    reason="3.13 without the GIL keeps every class for good once a thread was started",
)

collects_at_any_time = pytest.mark.skipif(
    not GIL,
    reason="without the GIL nothing is collected before a quarter of all there is was made anew",
)

forks_beside_threads = pytest.mark.skipif(
    not GIL and sys.version_info < (3, 14),
    reason="3.13 without the GIL forks with locks of its own held by threads, and the child hangs",
)

lists_survive_no_memory = pytest.mark.skipif(
    not GIL and sys.version_info < (3, 14),
    reason="3.13 without the GIL crashes where a list cannot be allocated, in plain Python too",
)
