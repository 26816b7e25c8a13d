"""The face of stamina: change the import, keep the code.

Elsewhere: what is shared with the faces of tenacity and backoff (``holdfast.compat._retrying``).
"""

from __future__ import annotations

import holdfast.compat.stamina.instrumentation as instrumentation
from holdfast.compat.stamina._config import is_active, is_testing, set_active, set_testing
from holdfast.compat.stamina._core import (
    AsyncRetryingCaller,
    Attempt,
    BoundAsyncRetryingCaller,
    BoundRetryingCaller,
    RetryingCaller,
    retry,
    retry_context,
)

__all__ = [
    "AsyncRetryingCaller",
    "Attempt",
    "BoundAsyncRetryingCaller",
    "BoundRetryingCaller",
    "RetryingCaller",
    "instrumentation",
    "is_active",
    "is_testing",
    "retry",
    "retry_context",
    "set_active",
    "set_testing",
]

__version__ = "26.1.0"  # whose face this is
