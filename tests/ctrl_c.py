"""Ctrl-C for the main thread of a process of its own (``apart``), once it waits and for certain."""

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from holdfast import ManualClock
from tests.waiting.parties import Party, until


class CtrlC:
    """Ends a wait of the main thread with a KeyboardInterrupt, one for each ``when``.

    A signal that comes just before a lock is waited for is not noticed while it is waited for. So
    they go on coming until one was.
    """

    def __init__(self) -> None:
        self._armed = False
        signal.signal(signal.SIGINT, self._interrupt)

    def when(self, waits: Callable[[], object]) -> Party:
        """Interrupt the main thread once ``waits()`` is true; return the thread that does it."""
        main = threading.main_thread().ident
        assert main is not None

        def signal_until_noticed() -> None:
            until(waits)
            while self._armed:
                signal.pthread_kill(main, signal.SIGINT)

        self._armed = True
        return Party(signal_until_noticed)

    def when_parked(self, clock: ManualClock) -> Party:
        """Interrupt the main thread once it waits for a manual clock, and no more sets a timer."""
        main = threading.main_thread().ident
        assert main is not None

        def is_parked() -> bool:
            frame = sys._current_frames()[main]
            return bool(clock._callbacks) and "park" in frame.f_code.co_name

        return self.when(is_parked)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt
