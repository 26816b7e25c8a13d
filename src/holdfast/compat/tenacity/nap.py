"""What makes the pauses of threads."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

__all__ = ["sleep", "sleep_using_event"]


def sleep(seconds: float) -> None:
    """Wait for some seconds; the default, in whose place a ``ManualClock`` is moved.

    It calls ``time.sleep``, by the name that tests patch. The system would take 50 µs and more for
    no time at all: it is not asked for that.
    """
    if seconds == 0 and getattr(time.sleep, "__self__", None) is time:
        return
    time.sleep(seconds)


class sleep_using_event:
    """Waits for some seconds, or until an event is set.

    Args:
        event: The event.

    Safe to share between threads.
    """

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def __call__(self, timeout: float | None) -> None:
        self.event.wait(timeout=timeout)
