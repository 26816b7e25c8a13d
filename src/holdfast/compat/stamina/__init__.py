"""The face of stamina: change the import, keep the code.

Elsewhere: what is shared with the faces of tenacity and backoff (``holdfast.compat._retrying``).
"""

from __future__ import annotations

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    import holdfast.compat.stamina.instrumentation as instrumentation

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


def __getattr__(name: str) -> object:
    if name == "instrumentation":  # imported by the first retry, or who asks for it
        from importlib import import_module

        return import_module(f"{__name__}.instrumentation")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
