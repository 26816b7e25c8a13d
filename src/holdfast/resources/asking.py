"""Calls of a user's functions and of the network, each with an end: the caller waits no longer.

They run in daemon threads, which end with them. A function that still runs is not called again.
Elsewhere: the functions (``workers_and_caches``, ``publishing``).
"""

from __future__ import annotations

from holdfast.locks import RLock
from holdfast.redaction import describe_error
from holdfast.waiting.daemons import DaemonThreads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Run = Callable[[], None]

__all__ = ["Asked", "ask"]

_MOST_THREADS = 8


class Asked:
    """One function that is called at each look.

    Args:
        call: The function.

    Attributes:
        value: Its newest result; None if it raised, was too late, or has not ended yet.
        error: Why there is no value; None: there is one, or will be in time.
        is_late: Whether nobody waits any longer for the call that goes on.

    Safe to share between threads: one at a time has it called.
    """

    __slots__ = ("_call", "_lock", "_run", "error", "is_late", "value")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.value: Any = None
        self.error: str | None = None
        self.is_late = False
        self._run: Run | None = None  # what runs
        self._lock = RLock()

    @property
    def is_busy(self) -> bool:
        """Whether it runs."""
        return self._run is not None

    def begin(self) -> Run | None:
        """Return what calls it; None: it runs. Until its end the result is that of before."""

        def run() -> None:
            value, error = None, None
            try:
                value = self._call()
            except Exception as raised:  # noqa: BLE001 - a user's: told in the report
                error = ": ".join(filter(None, describe_error(raised)))
            except BaseException as raised:  # noqa: BLE001 - as above: SystemExit of a thread
                error = type(raised).__name__
            self.end(run, value, error)

        with self._lock:
            if self._run is not None:
                return None
            self._run = run
        return run

    def end(self, run: Run, value: Any, error: str | None) -> None:
        """Have the result of a call."""
        with self._lock:
            if self._run is run:
                self.value, self.error, self.is_late = value, error, False
                self._run = None

    def give_up(self, run: Run, error: str) -> None:
        """Have no value until a call has ended, unless it has."""
        with self._lock:
            if self._run is run:
                self.value, self.error, self.is_late = None, error, True

    def forget(self) -> None:
        """In a forked child: its thread is not there."""
        self._lock = RLock()
        self._run = None
        self.is_late = False


def ask(asked: Sequence[Asked], limit: float, name: str) -> int:
    """Call functions at the same time, and wait until all have ended or time is over.

    Args:
        asked: The functions. Those that run, for another look or from an earlier time, are not
            called.
        limit: How many seconds to wait, on the system's clock.
        name: For the names of the threads.

    Returns:
        How many were called.
    """
    begun: list[tuple[Asked, Run]] = []
    threads = DaemonThreads(name, min(_MOST_THREADS, len(asked)))
    for one in asked:
        run = one.begin()
        if run is None:
            continue
        begun.append((one, run))
        try:
            threads.submit(run)
        except RuntimeError as error:  # the system has no thread left
            one.end(run, None, str(error))
        except BaseException:  # Ctrl-C
            one.end(run, None, "it was interrupted")
            raise
    threads.shutdown(wait=False)
    threads.join(limit)
    for one, run in begun:
        one.give_up(run, f"no answer within {limit:g} s")
    return len(begun)
