"""When to give up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from holdfast.compat.tenacity._utils import override, time_unit_type, to_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import TypeAlias

    from holdfast.compat.tenacity._state import RetryCallState

__all__ = [
    "StopBaseT",
    "stop_after_attempt",
    "stop_after_delay",
    "stop_all",
    "stop_any",
    "stop_base",
    "stop_before_delay",
    "stop_never",
    "stop_when_event_set",
]


class stop_base(ABC):
    """The base class of conditions to give up; ``|`` and ``&`` combine them.

    A condition has no state of a call: it is safe to share between threads, tasks and decorators.
    """

    @abstractmethod
    def __call__(self, retry_state: RetryCallState) -> bool:
        """Whether to give up."""

    def __and__(self, other: StopBaseT) -> stop_all:
        return stop_all(self, other)

    def __or__(self, other: StopBaseT) -> stop_any:
        return stop_any(self, other)


if TYPE_CHECKING:
    StopBaseT: TypeAlias = stop_base | Callable[[RetryCallState], bool]
else:
    StopBaseT = stop_base | Callable[["RetryCallState"], bool]


class stop_any(stop_base):
    """Gives up if one of several conditions does."""

    def __init__(self, *stops: StopBaseT) -> None:
        self.stops = stops

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return any(stop(retry_state) for stop in self.stops)


class stop_all(stop_base):
    """Gives up if each of several conditions does."""

    def __init__(self, *stops: StopBaseT) -> None:
        self.stops = stops

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return all(stop(retry_state) for stop in self.stops)


class _stop_never(stop_base):
    """Never gives up."""

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return False


stop_never = _stop_never()


class stop_when_event_set(stop_base):
    """Gives up once an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return self.event.is_set()


class stop_after_attempt(stop_base):
    """Gives up after a number of attempts.

    Args:
        max_attempt_number: How many, the first included.
    """

    def __init__(self, max_attempt_number: int) -> None:
        self.max_attempt_number = max_attempt_number

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.attempt_number >= self.max_attempt_number


class stop_after_delay(stop_base):
    """Gives up once so much time has passed since the first attempt began.

    The last pause may end later; see ``stop_before_delay``.

    Args:
        max_delay: Seconds, or a timedelta.
    """

    def __init__(self, max_delay: time_unit_type) -> None:
        self.max_delay = to_seconds(max_delay)

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return _seconds(retry_state) >= self.max_delay


class stop_before_delay(stop_base):
    """Gives up if the next attempt would begin so much later than the first, or later still.

    Args:
        max_delay: Seconds, or a timedelta.
    """

    def __init__(self, max_delay: time_unit_type) -> None:
        self.max_delay = to_seconds(max_delay)

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return _seconds(retry_state) + retry_state.upcoming_sleep >= self.max_delay


def _seconds(retry_state: RetryCallState) -> float:
    seconds = retry_state.seconds_since_start
    if seconds is None:
        raise RuntimeError("__call__() called but seconds_since_start is not set")
    return seconds
