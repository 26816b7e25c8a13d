"""What the attempts of a hedged call share, in tasks and in threads.

Elsewhere: tasks (``hedged_tasks``), threads (``hedged_threads``), when an attempt begins and what
is counted (the hedge).
"""

from __future__ import annotations

from holdfast.errors import Rejected
from holdfast.events import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from holdfast._native.hedge import Hedge as Kernel
    from holdfast.clock import Clock

    class Budget(Protocol):
        """What limits the extra load."""

        def try_withdraw(self) -> bool: ...
        def give_back(self) -> None: ...

    class Hedge(Protocol):
        """What a race knows of its policy."""

        _close: Callable[[Any], object] | None
        _kernel: Kernel
        _max: int

        @property
        def budget(self) -> Budget | None: ...
        @property
        def _clock(self) -> Clock: ...

        def _attempt_failed(self, error: BaseException | None, result: object, /) -> bool: ...
        def _began(self, number: int, error: BaseException | None, *, failed: bool) -> None: ...
        def _all_failed(self, errors: list[BaseException | None]) -> None: ...
        def _emit(self, kind: str, **details: Any) -> None: ...
        def _set_timer(
            self, loop: Any, ring: Callable[[], object], deadline_ns: int
        ) -> Callable[[], object]: ...
        def _setting(self, field: str) -> Any: ...


__all__ = ["Judged", "closing_of", "judge", "may_begin", "proves", "told_of"]


class Judged:
    """How one attempt has ended.

    Attributes:
        value: What it returned, or None.
        error: What it raised, or None.
        failed: Whether that is a failure; else it is the answer of the call.
    """

    __slots__ = ("error", "failed", "value")

    def __init__(self, value: Any, error: BaseException | None, *, failed: bool) -> None:
        self.value = value
        self.error = error
        self.failed = failed

    @property
    def returned(self) -> bool:
        """Whether there is a result, which is to be closed if it is not the answer."""
        return self.error is None

    @property
    def refused(self) -> bool:
        """Whether a policy has rejected it, which the hedge does not call a failure."""
        return not self.failed and isinstance(self.error, Rejected)


def judge(policy: Hedge, value: Any, error: BaseException | None) -> Judged:
    """Return how an attempt has ended. If a predicate raises, that is the answer of the call."""
    try:
        return Judged(value, error, failed=policy._attempt_failed(error, value))
    except BaseException as raised:  # noqa: BLE001 - the caller's to raise
        return Judged(None, raised, failed=False)


def may_begin(policy: Hedge) -> bool:
    """Return whether the budget grants a further attempt."""
    budget = policy.budget
    if budget is None or budget.try_withdraw():
        return True
    policy._kernel.count_refused()
    policy._emit("hedge_refused", reason="no_budget")
    return False


def closing_of(policy: Hedge, value: Any, answer: Any, *, in_loop: bool) -> Any:
    """Close the result of an attempt that lost; return what is still to be awaited, or None.

    Args:
        policy: The hedge, whose ``close`` is used if it has one.
        value: The result.
        answer: What the caller gets: two attempts may return the same object.
        in_loop: Whether somebody can await what closes it.
    """
    if value is answer or value is None:
        return None
    try:
        if policy._close is not None:
            closing = policy._close(value)
        else:
            closing = _own_close(value, in_loop=in_loop)
        if hasattr(type(closing), "__await__"):
            if in_loop:
                return closing
            if hasattr(closing, "close"):
                closing.close()
            raise TypeError("what closes it is asynchronous, and cannot be awaited in a thread")
    except Exception as error:  # noqa: BLE001 - the user's object; the call has its answer
        told_of(policy, error)
    return None


def proves(error: BaseException | None) -> bool:
    """Return whether the end of an attempt says how long attempts take."""
    return error is None or (isinstance(error, Exception) and not isinstance(error, Rejected))


def told_of(policy: Hedge, error: BaseException) -> None:
    """Log that the result of an attempt that lost could not be closed."""
    warn("%r: closing the result of an attempt that lost raised %r", policy, error)


def _own_close(value: Any, *, in_loop: bool) -> Any:
    if isinstance(value, type):
        return None
    for name in ("aclose", "close") if in_loop else ("close",):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    return None
