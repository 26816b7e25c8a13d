"""Real libraries: what has no wheel for an interpreter is left out there."""

import os
from importlib import import_module
from typing import Any

import pytest


def real_library(name: str) -> Any:
    """Import a library. Without it the test is skipped; with ``REQUIRE_REAL=1`` it fails."""
    if os.environ.get("REQUIRE_REAL") == "1":
        return import_module(name)
    return pytest.importorskip(name)
