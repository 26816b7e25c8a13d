"""Types for annotations: ``Details`` is what handlers are called with."""

from holdfast.compat.backoff._typing import Details

__all__ = ["Details"]
