"""What listeners of a circuit breaker hear."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["CircuitBreakerListener"]


class CircuitBreakerListener:
    """The base class of listeners: override what you want to hear.

    A listener is called in the thread of the call, outside all locks. What it raises is logged by
    "aiobreaker" and changes no outcome.
    """

    def before_call(
        self, breaker: Any, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Hear of a call that is admitted, before it runs."""

    def failure(self, breaker: Any, exception: Exception) -> None:
        """Hear of a failure, once it is counted."""

    def success(self, breaker: Any) -> None:
        """Hear of a success, once it is counted."""

    def state_change(self, breaker: Any, old: Any, new: Any) -> None:
        """Hear of a change of state, once it has happened. ``old`` and ``new`` are the states."""
