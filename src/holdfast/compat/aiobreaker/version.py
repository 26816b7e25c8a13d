"""The version of aiobreaker whose face this is."""

from __future__ import annotations

__version__ = "1.2.0"
short_version = ".".join(__version__.split(".")[:2])
