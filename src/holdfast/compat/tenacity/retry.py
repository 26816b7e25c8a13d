"""What is tried again."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from holdfast.compat.tenacity._state import RetryCallState, end_of
from holdfast.compat.tenacity._utils import override

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Types: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

__all__ = [
    "RetryBaseT",
    "retry_all",
    "retry_always",
    "retry_any",
    "retry_base",
    "retry_if_exception",
    "retry_if_exception_cause_type",
    "retry_if_exception_message",
    "retry_if_exception_type",
    "retry_if_not_exception_message",
    "retry_if_not_exception_type",
    "retry_if_not_result",
    "retry_if_result",
    "retry_never",
    "retry_unless_exception_type",
]


class retry_base(ABC):
    """The base class of conditions to try again; ``|`` and ``&`` combine them.

    A condition has no state of a call: it is safe to share between threads, tasks and decorators.
    """

    @abstractmethod
    def __call__(self, retry_state: RetryCallState) -> bool:
        """Whether to try again."""

    def __and__(self, other: RetryBaseT) -> retry_all:
        if isinstance(other, retry_base):
            return other.__rand__(self)
        return retry_all(*_parts(self, retry_all), other)

    def __rand__(self, other: RetryBaseT) -> retry_all:
        return retry_all(*_parts(other, retry_all), self)

    def __or__(self, other: RetryBaseT) -> retry_any:
        if isinstance(other, retry_base):
            return other.__ror__(self)
        return retry_any(*_parts(self, retry_any), other)

    def __ror__(self, other: RetryBaseT) -> retry_any:
        return retry_any(*_parts(other, retry_any), self)


if TYPE_CHECKING:
    RetryBaseT: TypeAlias = retry_base | Callable[[RetryCallState], bool]
else:
    RetryBaseT = retry_base | Callable[["RetryCallState"], bool]


def _parts(condition: Any, of: type[retry_any | retry_all]) -> tuple[RetryBaseT, ...]:
    """Return what a combination combines; of anything else, itself."""
    return condition.retries if isinstance(condition, of) else (condition,)


def _ended(retry_state: Any) -> tuple[Any, bool]:
    """Return what an attempt has returned or raised, and whether it has raised."""
    if isinstance(retry_state, RetryCallState):  # which makes a future only for who asks for one
        ended = retry_state._ended
    else:
        ended = None if retry_state.outcome is None else end_of(retry_state.outcome)
    if ended is None:
        raise RuntimeError("__call__() called before outcome was set")
    return ended


class _retry_never(retry_base):
    """Tries nothing again."""

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return False


retry_never = _retry_never()


class _retry_always(retry_base):
    """Tries everything again: results as well, until the ``stop`` condition ends it."""

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return True


retry_always = _retry_always()


class retry_if_exception(retry_base):
    """Tries again after an exception for which a predicate returns True."""

    def __init__(self, predicate: Callable[[BaseException], bool]) -> None:
        self.predicate = predicate

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        value, is_raised = _ended(retry_state)
        return self.predicate(value) if is_raised else False


class retry_if_exception_type(retry_if_exception):
    """Tries again after an exception of one of some classes."""

    def __init__(self, exception_types: Types = Exception) -> None:
        self.exception_types = exception_types
        super().__init__(self._check)

    def _check(self, e: BaseException) -> bool:
        return isinstance(e, self.exception_types)


class retry_if_not_exception_type(retry_if_exception):
    """Tries again after any exception but of some classes.

    Cancellations and what ends the process are never tried again, whatever the classes are.
    """

    def __init__(self, exception_types: Types = Exception) -> None:
        self.exception_types = exception_types
        super().__init__(self._check)

    def _check(self, e: BaseException) -> bool:
        return not isinstance(e, self.exception_types)


class retry_unless_exception_type(retry_if_exception):
    """Tries again, after results as well, until an exception of one of some classes comes.

    Cancellations and what ends the process are never tried again, whatever the classes are.
    """

    def __init__(self, exception_types: Types = Exception) -> None:
        self.exception_types = exception_types
        super().__init__(self._check)

    def _check(self, e: BaseException) -> bool:
        return not isinstance(e, self.exception_types)

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        value, is_raised = _ended(retry_state)
        return self.predicate(value) if is_raised else True


class retry_if_exception_cause_type(retry_base):
    """Tries again after an exception with a cause of some classes, however far up the chain."""

    def __init__(self, exception_types: Types = Exception) -> None:
        self.exception_cause_types = exception_types

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        value, is_raised = _ended(retry_state)
        error: BaseException | None = value if is_raised else None
        seen: set[int] = set()  # a chain may be a circle
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            error = error.__cause__
            if isinstance(error, self.exception_cause_types):
                return True
        return False


class retry_if_result(retry_base):
    """Tries again after a result for which a predicate returns True."""

    def __init__(self, predicate: Callable[[Any], bool]) -> None:
        self.predicate = predicate

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        value, is_raised = _ended(retry_state)
        return False if is_raised else self.predicate(value)


class retry_if_not_result(retry_base):
    """Tries again after a result for which a predicate returns False."""

    def __init__(self, predicate: Callable[[Any], bool]) -> None:
        self.predicate = predicate

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        value, is_raised = _ended(retry_state)
        return False if is_raised else not self.predicate(value)


class retry_if_exception_message(retry_if_exception):
    """Tries again after an exception whose text is the one given, or matches it.

    Args:
        message: The text.
        match: A regular expression that the text begins with.

    Raises:
        TypeError: Both are given, or neither is.
    """

    def __init__(
        self, message: str | None = None, match: str | re.Pattern[str] | None = None
    ) -> None:
        name = type(self).__name__
        if message is not None and match is not None:
            raise TypeError(f"{name}() takes either 'message' or 'match', not both")
        if message is None and match is None:
            raise TypeError(f"{name}() missing 1 required argument 'message' or 'match'")
        self.message = message
        self.match: re.Pattern[str] | None = None if match is None else re.compile(match)
        super().__init__(self._check)

    def _check(self, exception: BaseException) -> bool:
        if self.match is None:
            return self.message == str(exception)
        return self.match.match(str(exception)) is not None


class retry_if_not_exception_message(retry_if_exception_message):
    """Tries again, after results as well, until an exception with some text comes."""

    @override
    def _check(self, exception: BaseException) -> bool:
        return not super()._check(exception)

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        value, is_raised = _ended(retry_state)
        return self.predicate(value) if is_raised else True


class retry_any(retry_base):
    """Tries again if one of several conditions says so."""

    def __init__(self, *retries: RetryBaseT) -> None:
        self.retries = retries

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return any(condition(retry_state) for condition in self.retries)

    @override
    def __ror__(self, other: RetryBaseT) -> retry_any:
        return retry_any(*_parts(other, retry_any), *self.retries)


class retry_all(retry_base):
    """Tries again if each of several conditions says so."""

    def __init__(self, *retries: RetryBaseT) -> None:
        self.retries = retries

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return all(condition(retry_state) for condition in self.retries)

    @override
    def __rand__(self, other: RetryBaseT) -> retry_all:
        return retry_all(*_parts(other, retry_all), *self.retries)


# Conditions that say no to every result: a subclass may say something else.
_BLIND: set[type] = {
    _retry_never,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_exception_cause_type,
    retry_if_exception_message,
}
_COMBINED: set[type] = {retry_any, retry_all}


def sees_results(condition: Any) -> bool:
    """Whether a condition has to be asked about results: it may have one tried again."""
    if type(condition) in _COMBINED:
        return not condition.retries or any(map(sees_results, condition.retries))
    return type(condition) not in _BLIND
