"""What calls that are made together have come to, and when they go on one by one.

Owns the decisions that threads and tasks share. Elsewhere: who runs the calls and stops them
(``gather_threads``, ``gather_tasks``), and what users give (``gather``).
"""

from __future__ import annotations

import logging  # noqa: F401 - now: without a file descriptor, nothing can be imported
import sys
from math import ceil

from holdfast._native import gate
from holdfast._native.hedge import Hedge
from holdfast.categories import Category, classify
from holdfast.degradation.gathered import Gathered, GatheredCall, GatherError
from holdfast.errors import Rejected
from holdfast.policies.base import Policy
from holdfast.records import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.degradation.gathered import How, Reason

__all__ = ["Course", "Named", "is_cancellation"]

_IN_WORDS = {
    "failure_rate": "{failed} of {n} calls failed",
    "min_successes": "{failed} of {n} calls failed, and too few can succeed",
    "timeout": "{open} of {n} calls did not end in time",
    "cancelled": "a call was cancelled",
    "resource": "a resource is exhausted",
}

classify(OSError())  # loads the rules of the standard library, for the same reason


class Named(gate.Gate):
    """Which exceptions are failures: what ``on`` and ``ignore`` say, as policies read them."""

    __slots__ = ("_ignore",)

    def __init__(self, clock: Clock, **matcher: Any) -> None:
        # Of all policies, a hedge judges an error alone.
        self._bind("hedge", (Hedge(0),), clock, None, 0, Rejected, threads=True, **matcher)
        self._ignore = matcher["ignore"]

    _category_of_class = Policy._category_of_class  # the native gate asks it, once a class

    def names(self, error: BaseException) -> bool:
        """Return whether a call that raised this has failed, and may be repeated."""
        if isinstance(error, Rejected):
            ignore = self._ignore
            return not (isinstance(error, ignore) if isinstance(ignore, tuple) else ignore(error))
        return self._attempt_failed(error, None)


class _Entry:
    """One call: what it has come to so far."""

    __slots__ = ("error", "how", "is_final", "runs", "still_running", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.how: How = "none"
        self.runs = 0
        self.is_final = False  # whether it is not to be repeated
        self.still_running = False


class Course:
    """The calls, what has become of them, and whether they still run concurrently.

    Only for the thread or the task that waits for them.

    Attributes:
        switched: Why they go on one by one; None as long as they run concurrently.
        interruption: What ends the program, from one of them; nothing more is to run.
    """

    def __init__(
        self,
        calls: Sequence[Callable[[], Any]],
        *,
        name: str,
        max_concurrent: int,
        failure_rate: float | None,
        min_successes: int,
        named: Named,
        timeout_ns: int | None,
        grace_ns: int,
        policy: Policy | None,
        clock: Clock,
        falls_back: bool,
        degraded: bool,
    ) -> None:
        self.name = name
        self.calls = calls
        self.max_concurrent = max_concurrent
        self.timeout_ns = timeout_ns
        self.grace_ns = grace_ns
        self.policy = policy
        self.clock = clock
        self.switched: Reason | None = None
        self.interruption: BaseException | None = None
        self._min_successes = min_successes
        self._named = named
        self._falls_back = falls_back
        self._entries = [_Entry() for _ in calls]
        self._failed = 0  # concurrent runs that failed
        self._fixed = 0  # errors that are not to be repeated
        self._is_over = False
        # A share of 0.1 of 30 calls is 3 calls, whatever a float makes of the product.
        n = len(calls)
        self._most_failed = n + 1 if failure_rate is None else max(1, ceil(failure_rate * n - 1e-9))
        if degraded:
            self._switch("mode")

    # ---- concurrent runs ----

    @property
    def goes_on(self) -> bool:
        """Whether concurrent runs go on."""
        return self.switched is None and self.interruption is None and not self._is_over

    def began(self, index: int) -> None:
        """Count a run."""
        self._entries[index].runs += 1

    def never_began(self, index: int) -> None:
        """Take back what ``began`` has counted."""
        self._entries[index].runs -= 1

    def take(self, index: int, value: Any, error: BaseException | None) -> None:
        """Take how a concurrent run has ended, and decide whether the others go on."""
        entry = self._entries[index]
        entry.still_running = False
        entry.value, entry.error, entry.how = value, error, "concurrent"
        if error is None:
            entry.is_final = True
            return
        if is_cancellation(error):
            self._switch("cancelled")
        elif not isinstance(error, Exception):
            self._interrupt(entry, error)
        else:
            self._take_failure(entry, error)

    def _take_failure(self, entry: _Entry, error: Exception) -> None:
        try:
            failed = self._named.names(error)
        except Exception as raised:  # noqa: BLE001 - of the caller's predicate; it is the answer
            entry.error = raised
            failed = False
        if failed:
            self._failed += 1
        else:
            entry.is_final = True
            self._fixed += 1
        if _is_resource(error):
            self._switch("resource")
        elif failed and self._failed >= self._most_failed:
            self._switch("failure_rate")
        elif failed and len(self.calls) - self._failed - self._fixed < self._min_successes:
            self._switch("min_successes")

    def _interrupt(self, entry: _Entry, error: BaseException) -> None:
        entry.is_final = True
        if self.interruption is None:
            self.interruption = error

    def time_is_up(self) -> None:
        """Be told that the concurrent runs have had their time."""
        if self._falls_back:
            self._switch("timeout")
        else:
            self._give_up(TimeoutError("the call did not end in time, and the fallback is off"))

    def cannot_run(self, error: Exception) -> None:
        """Be told that no further run can begin beside the others: no thread, no memory."""
        if self._falls_back:
            self._switch("resource")
        else:
            self._give_up(error)

    def _switch(self, reason: Reason) -> None:
        if not self.goes_on or not (self._falls_back or reason == "mode"):
            return
        self.switched = reason
        if reason == "mode":
            text = "%s: degraded mode is on: calls run one by one"
            note("one_by_one", "degradation", self.name, text, self.name, clock=self.clock)
            return
        text = _IN_WORDS[reason].format(
            failed=self._failed,
            n=len(self.calls),
            open=sum(not entry.is_final for entry in self._entries),
        )
        note(
            "falling_back",
            "degradation",
            self.name,
            "%s: falling back to sequential: %s; calls that have not succeeded run one by one",
            self.name,
            text,
            clock=self.clock,
        )

    def _give_up(self, error: Exception) -> None:
        """Run nothing more: what has not ended has failed."""
        self._is_over = True
        for entry in self._entries:
            if entry.how == "none":
                entry.error = error

    def left_running(self, index: int) -> None:
        """Be told that a run could not be stopped: its call is not repeated beside it."""
        self._entries[index].still_running = True

    # ---- runs one by one ----

    def to_run(self) -> list[int]:
        """Return the calls that are to be made one by one, in order."""
        if self.switched is None or self.interruption is not None:
            return []
        return [
            index
            for index, entry in enumerate(self._entries)
            if not entry.is_final and not entry.still_running
        ]

    def take_alone(self, index: int, value: Any, error: BaseException | None) -> None:
        """Take how a run on its own has ended."""
        entry = self._entries[index]
        entry.is_final = True
        entry.value, entry.error, entry.how = value, error, "sequential"
        if error is not None and not isinstance(error, Exception) and not is_cancellation(error):
            self._interrupt(entry, error)

    # ---- the end ----

    def report(self) -> Gathered[Any]:
        """Return what has become of all calls.

        Raises:
            GatherError: Fewer succeeded than have to.
            BaseException: One of them was to end the program.
        """
        if self.interruption is not None:
            error, self.interruption = self.interruption, None
            try:
                raise error
            finally:
                del error  # whose traceback holds this frame
        calls = tuple(self._call_of(index, entry) for index, entry in enumerate(self._entries))
        report = Gathered(self.name, calls, self.switched)
        if report.succeeded < self._min_successes:
            raise GatherError.of(report)
        return report

    def _call_of(self, index: int, entry: _Entry) -> GatheredCall[Any]:
        error, how = entry.error, entry.how
        if entry.still_running:
            error = TimeoutError(
                f"call {index} could not be stopped and still runs; it is not repeated beside that"
            )
            how = "concurrent"
        return GatheredCall(index, entry.value, error, how, entry.runs, entry.still_running)


def is_cancellation(error: BaseException) -> bool:
    """Return whether that is a cancellation, of a task or of a future, with either's own class."""
    # Neither is worth importing: what it has not imported, nobody has raised.
    for module in ("asyncio.exceptions", "concurrent.futures._base"):
        cls = getattr(sys.modules.get(module), "CancelledError", None)
        if cls is not None and isinstance(error, cls):
            return True
    return False


def _is_resource(error: Exception) -> bool:
    try:
        return classify(error) is Category.RESOURCE
    except (OSError, MemoryError):  # the rules of a library could not be loaded: that says it too
        return True
