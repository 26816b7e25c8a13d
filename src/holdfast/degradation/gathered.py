"""What became of calls that were to be made together: data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from holdfast.redaction import describe_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal, Self, TypeAlias

    How: TypeAlias = Literal["concurrent", "sequential", "none"]
    Reason: TypeAlias = Literal[
        "failure_rate", "min_successes", "timeout", "cancelled", "resource", "mode"
    ]

__all__ = ["GatherError", "Gathered", "GatheredCall"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GatheredCall(Generic[T]):
    """What became of one call.

    Attributes:
        index: Its place among the calls, from 0.
        value: What it returned; None if it failed.
        error: What it raised, or None. A call that still runs in its thread has a TimeoutError.
        how: Where the value or the error is from: "concurrent", "sequential", or "none".
        runs: How many times it was started, 0 to 2.
        still_running: Whether a run of it could not be stopped and goes on. It was not repeated.

    Immutable, so safe to share between threads.
    """

    index: int
    value: T | None
    error: BaseException | None
    how: How
    runs: int
    still_running: bool = False

    @property
    def ok(self) -> bool:
        """Whether it returned a value."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class Gathered(Generic[T]):
    """The report of ``gather_or_sequential``: one entry for each call, in the order of the calls.

    Attributes:
        name: The name that was given.
        calls: What became of each call.
        switched: Why the calls went on one by one: "failure_rate", "min_successes", "timeout",
            "cancelled", "resource", or "mode" if they began so. None: all ran concurrently.

    Immutable, so safe to share between threads.
    """

    name: str
    calls: tuple[GatheredCall[T], ...]
    switched: Reason | None = None

    @property
    def values(self) -> list[T]:
        """The values of all calls, in order.

        Raises:
            GatherError: Some calls failed; it has all their errors.
        """
        if self.failed:
            raise GatherError.of(self)
        return [call.value for call in self.calls]  # type: ignore[misc]  # of one that is ok

    @property
    def successes(self) -> dict[int, T]:
        """The values of the calls that succeeded, by their places."""
        return {call.index: call.value for call in self.calls if call.ok}  # type: ignore[misc]

    @property
    def errors(self) -> dict[int, BaseException]:
        """The errors of the calls that failed, by their places."""
        return {call.index: call.error for call in self.calls if call.error is not None}

    @property
    def ok(self) -> bool:
        """Whether all calls succeeded."""
        return not self.failed

    @property
    def succeeded(self) -> int:
        """The number of calls that succeeded."""
        return len(self.calls) - self.failed

    @property
    def failed(self) -> int:
        """The number of calls that failed."""
        return sum(not call.ok for call in self.calls)

    @property
    def concurrent(self) -> tuple[int, ...]:
        """The places of the calls whose value or error is from a concurrent run."""
        return self._by("concurrent")

    @property
    def sequential(self) -> tuple[int, ...]:
        """The places of the calls whose value or error is from a run on its own."""
        return self._by("sequential")

    def _by(self, how: str) -> tuple[int, ...]:
        return tuple(call.index for call in self.calls if call.how == how)

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[GatheredCall[T]]:
        return iter(self.calls)

    def __getitem__(self, index: int) -> GatheredCall[T]:
        return self.calls[index]


class GatherError(ExceptionGroup[Exception]):
    """Too few calls succeeded: a group of the errors of all calls that failed.

    Attributes:
        report: What became of each call.
    """

    report: Gathered[Any]

    @classmethod
    def of(cls, report: Gathered[Any]) -> Self:
        """Make the error of a report in which calls failed."""
        text = f"{report.name}: {report.failed} of {len(report)} calls failed"
        if report.switched is not None:
            text += f", one by one after concurrent calls ({report.switched})"
        first = next((call for call in report if call.error is not None), None)
        if first is not None and first.error is not None:
            text += f"; call {first.index}: {': '.join(filter(None, describe_error(first.error)))}"
        made = cls(text, [_as_exception(call) for call in report if call.error is not None])
        made.report = report
        return made

    def derive(self, excs: Any, /) -> ExceptionGroup[Any]:
        """Return a plain group: a part of the errors is of no report."""
        return ExceptionGroup(self.message, excs)


def _as_exception(call: GatheredCall[Any]) -> Exception:
    if isinstance(call.error, Exception):
        return call.error
    error = RuntimeError(f"call {call.index} was cancelled")
    error.__cause__ = call.error
    return error
