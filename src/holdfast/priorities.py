"""How important the calls of a context are: what is refused first where not all can be served.

Elsewhere: who refuses calls by their priority, and how many.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType

from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Literal, TypeAlias

    Word: TypeAlias = Literal["critical", "high", "normal", "sheddable"]

__all__ = ["PRIORITIES", "current", "priority"]

#: In the order of importance, as numbers 0 to 3.
PRIORITIES: tuple[Word, ...] = ("critical", "high", "normal", "sheddable")
NORMAL = 2

#: A number; 2 where nobody has set one. Native code reads it (``step_error_budget.c``).
current: ContextVar[int] = ContextVar("holdfast.priority", default=NORMAL)


class priority:  # noqa: N801 - used as a statement: with priority("critical"):
    """Sets the priority of the calls in a block, and of what they call.

    Policies that shed load refuse "sheddable" calls first, then "normal" calls, then "high" calls.
    They never refuse "critical" calls. Calls without a priority are "normal".

    Args:
        level: "critical", "high", "normal" or "sheddable".

    Raises:
        ConfigError: ``level`` is none of these.

    The priority belongs to the current context, as a context variable does: a task that is created
    in the block has the same priority. Safe to share between threads and event loops, and to use
    again within its own block.

    >>> with priority("sheddable"):
    ...     priority.current()
    'sheddable'
    """

    __slots__ = ("_number", "_tokens")

    def __init__(self, level: Word) -> None:
        problems = Problems("priority")
        self._number = PRIORITIES.index(problems.choice("level", level, PRIORITIES))
        problems.done()
        self._tokens: ContextVar[tuple[Token[int], ...]] = ContextVar("tokens", default=())

    @staticmethod
    def current() -> Word:
        """Return the priority of calls made here."""
        return PRIORITIES[current.get()]

    def __enter__(self) -> None:
        self._tokens.set((*self._tokens.get(), current.set(self._number)))

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(ValueError):  # a coroutine that nobody awaits is closed in another context
            *others, token = self._tokens.get()
            self._tokens.set(tuple(others))
            current.reset(token)

    def __repr__(self) -> str:
        return f"priority({PRIORITIES[self._number]!r})"
