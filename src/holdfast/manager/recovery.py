"""Calls whose outcome is data: what was tried, what came of it, and what stood in.

Elsewhere: what protects a call (``operation``), and the errors of many calls (``aggregate``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.manager.aggregate import category_of
from holdfast.manager.errors import UnprotectedError
from holdfast.policies.base import within_deadline_ns
from holdfast.policies.retry.notes import add_note
from holdfast.validation import answers_at_once, shown, takes_one

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast._native.gate import Outcome
    from holdfast.manager.operation import Operation
    from holdfast.policies.call_stats import CallStats

__all__ = ["RecoveryOutcome", "arecover", "recover"]


@dataclass(frozen=True, slots=True)
class RecoveryOutcome:
    """The outcome of a call with recovery. True if it succeeded.

    Attributes:
        success: Whether there is a value, of the function or of a fallback.
        data: The value; None without success.
        error: The error of the last attempt, or its rejection, also if a fallback gave the value.
            If the fallback raised, its error, with the first as the cause. None without an error.
        attempts: How often the function was called; 0 if the call was rejected.
        duration: Seconds from the beginning to the end, the fallback included.
        recovered: Whether a retry has saved it.
        fallback_used: Whether a fallback gave the value.
        operation: The name of the operation.

    Immutable, so safe to share between threads.

    >>> import holdfast as hf
    >>> recovery = hf.ErrorRecoveryManager("shop")
    >>> recovery.execute_with_recovery("prices", lambda: 7).data
    7
    """

    success: bool
    data: Any
    error: BaseException | None
    attempts: int
    duration: float
    recovered: bool
    fallback_used: bool
    operation: str

    @property
    def category(self) -> str | None:
        """The category of the error: "transient" …, or "unknown"; None without an error."""
        return None if self.error is None else category_of(self.error)

    def unwrap(self) -> Any:
        """Return the value.

        Raises:
            BaseException: There is none: the error.
        """
        if self.success:
            return self.data
        assert self.error is not None
        raise self.error

    def __bool__(self) -> bool:
        return self.success


def recover(
    operation: Operation, fn: Callable[[], Any], fallback: Any = None, *, may_fall_back: bool = True
) -> RecoveryOutcome:
    """Call ``fn`` as an operation, and the fallback if that fails.

    Raises:
        TypeError: ``fn`` or the fallback is a coroutine function.
        BaseException: A cancellation or an interrupt, which is no failure.
    """
    if callable(fallback) and not answers_at_once(fallback):
        raise TypeError(
            f"operation {operation.name!r}: the fallback {shown(fallback)} is a coroutine or "
            "generator function: use aexecute_with_recovery()"
        )
    call = _Call(operation)
    outcome, stats = call.gate.call_with_stats(fn)
    if outcome or not may_fall_back or not call.may_fall_back(fallback):
        return call.ended(outcome, stats)
    error = call.named(outcome, stats)
    try:
        value = _stand_in(fallback, error)
    except Exception as raised:  # noqa: BLE001 - the outcome
        return call.failed(_caused(raised, error), stats)
    return call.replaced(value, error, stats)


async def arecover(
    operation: Operation,
    fn: Callable[[], Awaitable[Any]],
    fallback: Any = None,
    *,
    may_fall_back: bool = True,
) -> RecoveryOutcome:
    """Await ``fn`` as ``recover`` calls it."""
    call = _Call(operation)
    outcome, stats = await call.gate.acall_with_stats(fn)
    if outcome or not may_fall_back or not call.may_fall_back(fallback):
        return call.ended(outcome, stats)
    error = call.named(outcome, stats)
    try:
        value = _stand_in(fallback, error)
        if hasattr(value, "__await__"):
            value = await value
    except Exception as raised:  # noqa: BLE001 - the outcome
        return call.failed(_caused(raised, error), stats)
    return call.replaced(value, error, stats)


class _Call:
    """One call of an operation.

    Attributes:
        gate: What it passes.
    """

    __slots__ = ("_began_ns", "_clock", "_operation", "gate")

    def __init__(self, operation: Operation) -> None:
        gate: Any = operation._gate
        if gate is None:  # unregistered since it was asked for
            raise UnprotectedError(f"operation {operation.name!r} has nothing registered any more")
        self.gate = gate
        self._operation = operation
        self._clock = gate._stopwatch()
        self._began_ns = self._clock.now_ns()

    def may_fall_back(self, fallback: Any) -> bool:
        """Return whether there is a fallback, and time for it: no enclosing deadline has passed."""
        if fallback is None:
            return False
        left_ns = within_deadline_ns(None)
        return left_ns is None or left_ns > 0

    def named(self, outcome: Outcome[Any], stats: CallStats) -> BaseException:
        """Return the error of a failed call, which says of which operation it is."""
        error = outcome.error if outcome.rejection is None else outcome.rejection
        assert error is not None
        signature = f", operation {self._operation.name!r} of {self._operation._scope!r}"
        note = f"{stats.attempts} attempt{'s' * (stats.attempts != 1)} in {stats.duration:.3g} s"
        add_note(error, note + signature, signature)
        return error

    def ended(self, outcome: Outcome[Any], stats: CallStats) -> RecoveryOutcome:
        if not outcome:
            return self.failed(self.named(outcome, stats), stats)
        return self._outcome(True, outcome.value, None, stats)

    def failed(self, error: BaseException, stats: CallStats) -> RecoveryOutcome:
        return self._outcome(False, None, error, stats)

    def replaced(self, value: Any, error: BaseException, stats: CallStats) -> RecoveryOutcome:
        return self._outcome(True, value, error, stats, fallback_used=True)

    def _outcome(
        self,
        success: bool,
        data: Any,
        error: BaseException | None,
        stats: CallStats,
        *,
        fallback_used: bool = False,
    ) -> RecoveryOutcome:
        return RecoveryOutcome(
            success=success,
            data=data,
            error=error,
            attempts=stats.attempts,
            duration=(self._clock.now_ns() - self._began_ns) / 1e9,
            recovered=stats.recovered,
            fallback_used=fallback_used or stats.fallback_used,
            operation=self._operation.name,
        )


def _stand_in(fallback: Any, error: BaseException) -> Any:
    if not callable(fallback):
        return fallback
    return fallback(error) if takes_one(fallback) else fallback()


def _caused(raised: Exception, error: BaseException) -> Exception:
    """Return what a fallback has raised, caused by what it was to stand in for."""
    if raised is not error and raised.__cause__ is None:
        raised.__cause__ = error
    return raised
