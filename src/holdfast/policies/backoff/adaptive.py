"""Waiting longer the more attempts fail. What is failing is told by whoever makes the attempts."""

from __future__ import annotations

from holdfast._native.failure_rate import FailureRate
from holdfast.policies.backoff.base import Backoff, Composed
from holdfast.policies.backoff.formulas import LONGEST, read_backoff
from holdfast.validation import MAX_NS, Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self

__all__ = ["AdaptiveBackoff", "adaptive_in"]

MAX_K = 1000.0


class AdaptiveBackoff(Composed):
    """Lengthens another back-off while many attempts fail: delay × (1 + failure rate × ``k``).

    The failure rate is an exponentially weighted mean over about the last 32 attempts (Roberts,
    Technometrics 1959) of all calls that use this back-off. It starts at 0. A decorrelated
    back-off inside gets its own previous delay, without the adaptive factor.

    Args:
        backoff: The back-off to lengthen; seconds or a timedelta are a constant delay.
        k: The additional share of the delay when all attempts fail, 0 to 1000.
        max: The longest delay, in seconds or as a timedelta, 0 to a hundred years.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads, event loops and policies. All of them contribute to one failure
    rate.

    >>> from holdfast import Constant
    >>> backoff = AdaptiveBackoff(Constant(1.0), k=4.0)
    >>> backoff.record(failed=True)
    >>> backoff.failure_rate, backoff.delay(0)
    (0.03125, 1.125)
    """

    __slots__ = ("_k", "_max_ns", "_rate")

    @explains_names
    def __init__(
        self,
        backoff: Backoff | float | timedelta,
        k: float = 4.0,
        max: float | timedelta = LONGEST,  # noqa: A002 - as of other back-offs
    ) -> None:
        problems = Problems(type(self).__name__)
        inner = read_backoff(problems, "backoff", backoff)
        self._k = problems.number("k", k, most=MAX_K)
        self._max_ns = problems.duration("max", max)
        problems.done()
        assert inner is not None  # or done() had raised
        self._parts = (inner,)
        self._rate = FailureRate()

    @property
    def failure_rate(self) -> float:
        """The share of recent attempts that failed, 0 to 1."""
        return self._rate.get()

    def record(self, failed: bool) -> None:
        """Count an attempt. A retry policy with this back-off calls it after each attempt.

        Args:
            failed: Whether the attempt failed.
        """
        self._rate.record(failed)

    def _delay_ns(self, attempt: int, previous_ns: int) -> int:
        stretch = 1.0 + self._rate.get() * self._k
        before_ns = -1 if previous_ns < 0 else round(min(previous_ns, MAX_NS) / stretch)
        return min(self._max_ns, round(self._parts[0]._delay_ns(attempt, before_ns) * stretch))

    def _least_ns(self, attempt: int) -> int:
        return min(self._max_ns, self._parts[0]._least_ns(attempt))

    # The copy of an object that has this back-off shares its failure rate.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    def _compared(self) -> tuple[object, ...]:
        return *self._parts, self._k, self._max_ns

    def __repr__(self) -> str:
        k, longest = (repr(n).removesuffix(".0") for n in (self._k, self._max_ns / 1e9))
        return f"{type(self).__name__}({self._parts[0]!r}, k={k}, max={longest})"


def adaptive_in(backoff: Backoff | None) -> list[AdaptiveBackoff]:
    """Return all that a back-off is made of and that wants to be told of attempts."""
    found: dict[int, AdaptiveBackoff] = {}
    parts = [backoff]
    while parts:
        part = parts.pop()
        if isinstance(part, AdaptiveBackoff):
            found[id(part)] = part
        if isinstance(part, Composed):
            parts.extend(part._parts)
    return list(found.values())
