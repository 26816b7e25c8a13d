"""Calls of a user's functions and of the network, each with an end: the caller waits no longer.

They run in daemon threads, which end with them. A function that still runs is not called again.
Elsewhere: the functions (``watched``, ``publishing``).
"""

from __future__ import annotations

from holdfast.redaction import describe_error
from holdfast.waiting.daemons import DaemonThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["Asked", "ask"]

_MOST_THREADS = 8


class Asked:
    """One function that is called at each look.

    Args:
        call: The function.

    Attributes:
        value: Its newest result; None if it raised, or has not ended.
        error: Why there is no value; None: there is one, or will be in time.
        is_busy: Whether it runs.

    Used by who calls ``ask``; its thread sets a new result, as a whole.
    """

    __slots__ = ("_call", "_serial", "error", "is_busy", "value")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._serial = 0
        self.value: Any = None
        self.error: str | None = "it was not asked"
        self.is_busy = False

    def begin(self) -> Callable[[], None]:
        """Return what calls it; until that has ended it has neither a value nor an error."""
        self._serial = serial = self._serial + 1
        self.is_busy = True
        self.value = self.error = None

        def run() -> None:
            value, error = None, None
            try:
                value = self._call()
            except Exception as raised:  # noqa: BLE001 - a user's: told in the report
                error = ": ".join(filter(None, describe_error(raised)))
            except BaseException as raised:  # noqa: BLE001 - as above: SystemExit of a thread
                error = type(raised).__name__
            if self._serial == serial:
                self.value, self.error = value, error
                self.is_busy = False

        return run

    def fail(self, error: str) -> None:
        """Have no value: it could not be called."""
        self.value, self.error, self.is_busy = None, error, False

    def forget(self) -> None:
        """In a forked child: its thread is not there."""
        self._serial += 1
        self.is_busy = False


def ask(asked: Sequence[Asked], limit: float, name: str) -> None:
    """Call functions at the same time, and wait until all have ended or time is over.

    Args:
        asked: The functions. Those that still run from an earlier time are not called.
        limit: How many seconds to wait, on the system's clock.
        name: For the names of the threads.
    """
    free = [one for one in asked if not one.is_busy]
    if not free:
        return
    threads = DaemonThreads(name, min(_MOST_THREADS, len(free)))
    for one in free:
        run = one.begin()
        try:
            threads.submit(run)
        except RuntimeError as error:  # the system has no thread left
            one.fail(str(error))
    threads.shutdown(wait=False)
    threads.join(limit)
    for one in free:
        if one.is_busy:  # its value wins if it comes now
            one.error = f"no answer within {limit:g} s"
