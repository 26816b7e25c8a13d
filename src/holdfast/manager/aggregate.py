"""The errors of many operations as one: counted by category and operation, each with its name.

Elsewhere: what protects an operation (``operation``), and its outcome (``recovery``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.categories import classify
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.redaction import describe_error
from holdfast.validation import Problems
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

__all__ = ["AggregatedError", "ErrorAggregate", "category_of", "name_operation"]

UNKNOWN = "unknown"
_MOST_OPERATIONS = 1000
OTHERS = "(other)"
_SIGNATURE = "operation "


def category_of(error: BaseException) -> str:
    """Return the category of an error as a word; "unknown" if nothing is known of it."""
    try:
        category = classify(error)
    except Exception:  # noqa: BLE001 - a function of the user's, or no file can be opened
        return UNKNOWN
    return UNKNOWN if category is None else category.value


def name_operation(error: BaseException, operation: str) -> None:
    """Note on an error which operation it is of, once, unless it cannot be changed."""
    note = f"{_SIGNATURE}{operation!r}"
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # noqa: BLE001 - the caller's object
        pass


class AggregatedError(ExceptionGroup[Exception]):
    """Some of several operations failed: a group of their errors.

    Each error has a note with the name of its operation, and keeps its cause.

    Attributes:
        total: How many operations there were.
        failed: How many of them failed; more than the group has errors, if not all were kept.
        by_category: The number of errors by category: "transient", "permanent", "resource",
            "logic", or "unknown".
        by_operation: The number of errors by the name of the operation.

    Immutable, so safe to share between threads.
    """

    total: int
    failed: int
    by_category: dict[str, int]
    by_operation: dict[str, int]

    @classmethod
    def of(
        cls,
        name: str,
        errors: Sequence[tuple[str, BaseException]],
        *,
        total: int,
        failed: int | None = None,
        by_category: Mapping[str, int] | None = None,
        by_operation: Mapping[str, int] | None = None,
    ) -> Self:
        """Make the group of errors, each with the name of its operation.

        Args:
            name: What the operations were for.
            errors: At least one.
            total: How many operations there were.
            failed: How many failed, if not all errors are given; then the counts are too.
            by_category: Those counts; None: of the errors.
            by_operation: Those counts; None: of the errors.
        """
        if failed is None or by_category is None or by_operation is None:
            failed = len(errors)
            by_category = _counted(category_of(error) for _, error in errors)
            by_operation = _counted(operation for operation, _ in errors)
        for operation, error in errors:
            name_operation(error, operation)
        first, error = errors[0]
        text = (
            f"{name}: {failed} of {total} operations failed ({_listed(by_category)}; "
            f"{_listed(by_operation)}); first {first}: "
            f"{': '.join(filter(None, describe_error(error)))}"
        )
        if failed > len(errors):
            text += f"; {failed - len(errors)} further errors were not kept"
        made = cls(text, [_as_exception(*one) for one in errors])
        made.total, made.failed = total, failed
        made.by_category, made.by_operation = dict(by_category), dict(by_operation)
        return made

    def derive(self, excs: Any, /) -> ExceptionGroup[Any]:
        """Return a plain group: the counts are not those of a part of the errors."""
        return ExceptionGroup(self.message, excs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.message, list(self.exceptions), dict(vars(self)))


class ErrorAggregate(Whole):
    """Collects the errors of operations that run together, from any thread or task.

    Args:
        name: What the operations are for; it begins the message of the error.
        keep: How many errors are kept, 1 to 100,000; all are counted. The names of operations
            beyond 1000 are counted together, as "(other)".

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads and event loops.

    >>> errors = ErrorAggregate("backfill")
    >>> for symbol in ("BTC", "ETH"):
    ...     with errors.collecting("fetch"):
    ...         raise ConnectionResetError(symbol)
    >>> errors.total, errors.failed, errors.by_category
    (2, 2, {'transient': 2})
    """

    def __init__(self, name: str, *, keep: int = 1000) -> None:
        problems = Problems("ErrorAggregate", name)
        self._name = problems.name(name)
        self._keep = problems.integer("keep", keep, least=1, most=100_000)
        problems.done()
        self._begin()
        mind(self)

    def _begin(self) -> None:
        self._lock = RLock()
        self._errors: list[tuple[str, BaseException]] = []
        self._total = self._failed = 0
        self._by_category: dict[str, int] = {}
        self._by_operation: dict[str, int] = {}

    def _after_fork(self) -> None:
        self._begin()

    @property
    def total(self) -> int:
        """How many operations have ended."""
        return self._total

    @property
    def failed(self) -> int:
        """How many of them have failed."""
        return self._failed

    @property
    def by_category(self) -> dict[str, int]:
        """The number of errors by category; "unknown" for those without one."""
        settle()
        with self._lock:
            return dict(self._by_category)

    @property
    def by_operation(self) -> dict[str, int]:
        """The number of errors by operation."""
        settle()
        with self._lock:
            return dict(self._by_operation)

    @property
    def errors(self) -> tuple[tuple[str, BaseException], ...]:
        """The errors that were kept, each with the name of its operation, in order."""
        settle()
        with self._lock:
            return tuple(self._errors)

    def add(self, operation: str, error: BaseException | None = None) -> None:
        """Count an operation that has ended, with its error if it has failed.

        Raises:
            ConfigError: ``operation`` is not a name, or ``error`` not an exception.
        """
        problems = Problems("ErrorAggregate", self._name)
        operation = problems.name(operation, "operation")
        if error is not None:
            problems.instance("error", error, BaseException, "an exception, or None")
        problems.done()
        category = None if error is None else category_of(error)  # calls code of the user's
        settle()
        with self._lock:
            self._total += 1
            if error is None or category is None:
                return
            self._failed += 1
            if operation not in self._by_operation and len(self._by_operation) >= _MOST_OPERATIONS:
                operation = OTHERS
            for counts, key in ((self._by_category, category), (self._by_operation, operation)):
                counts[key] = counts.get(key, 0) + 1
            if len(self._errors) < self._keep:
                self._errors.append((operation, error))

    def add_outcome(self, outcome: Any) -> None:
        """Count what ``execute_with_recovery`` has returned: a fallback's value is no failure."""
        self.add(outcome.operation, None if outcome.success else outcome.error)

    def collecting(self, operation: str) -> _Collecting:
        """Return a context manager that counts one operation, and collects its ``Exception``.

        Cancellations and interrupts are counted as nothing, and go on.
        """
        return _Collecting(self, operation)

    def error(self) -> AggregatedError | None:
        """Return a group of the errors that were kept, with all counts; None without errors."""
        settle()
        with self._lock:
            errors, total, failed = list(self._errors), self._total, self._failed
            by_category, by_operation = dict(self._by_category), dict(self._by_operation)
        if not errors:
            return None
        return AggregatedError.of(
            self._name,
            errors,
            total=total,
            failed=failed,
            by_category=by_category,
            by_operation=by_operation,
        )

    def raise_if_failed(self, *, min_successes: int | None = None) -> None:
        """Raise the errors as one, if there are any.

        Args:
            min_successes: How many operations have to succeed; if so many have, errors are not
                raised. None: all.

        Raises:
            AggregatedError: Operations failed.
            ConfigError: ``min_successes`` is not a number.
        """
        problems = Problems("ErrorAggregate", self._name)
        least = problems.integer("min_successes", min_successes, least=0, most=10**9, none=True)
        problems.done()
        error = self.error()
        if error is None or (least is not None and error.total - error.failed >= least):
            return
        raise error

    def __repr__(self) -> str:
        return f"<ErrorAggregate {self._name!r}: {self._failed} of {self._total} failed>"


class _Collecting:
    """One operation of an aggregate."""

    __slots__ = ("_aggregate", "_operation")

    def __init__(self, aggregate: ErrorAggregate, operation: str) -> None:
        self._aggregate = aggregate
        self._operation = operation

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None and not isinstance(error, Exception):
            return False
        self._aggregate.add(self._operation, error)
        return True


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def _listed(counts: Mapping[str, int], most: int = 5) -> str:
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    more = f", {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(f"{n} {word}" for word, n in ordered[:most]) + more


def _as_exception(operation: str, error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    made = RuntimeError(f"operation {operation!r} was cancelled")
    made.__cause__ = error
    return made


def _restored(cls: Any, message: str, errors: list[Exception], counts: dict[str, Any]) -> Any:
    made = cls(message, errors)
    vars(made).update(counts)
    return made
