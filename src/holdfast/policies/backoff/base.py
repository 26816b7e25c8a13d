"""What every back-off is, and back-offs that are put together from others: sums and chains.

Elsewhere: the formulas (``formulas.py``), when to retry and who waits (the retry policy and
``waiting``).
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

from holdfast._native.backoff import read
from holdfast._native.gate import _need_answer
from holdfast.validation import MAX_NS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

__all__ = ["Backoff", "Chain", "Composed"]


class Backoff(metaclass=ABCMeta):
    """The rule for the pause before each retry; the base class of all back-offs.

    A subclass implements ``delay``. Its result is checked when it is used: a value that is
    negative, NaN or not a number raises ``ValueError``, and the maximum is a hundred years. ``a +
    b`` adds the delays of both; ``chain`` uses one back-off after another.

    Safe to share between threads, event loops and policies: a back-off stores no data of a call.

    >>> class Hourly(Backoff):
    ...     def delay(self, attempt, previous=None): return 3600.0
    >>> (Hourly() + Hourly()).delay(0)
    7200.0
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for one in cls.__mro__:
            if "_delay_ns" in vars(one):
                return
            if "delay" in vars(one):  # what a retry asks is what was written
                cls._delay_ns = Backoff._delay_ns  # type: ignore[method-assign]
                return

    @abstractmethod
    def delay(self, attempt: int, previous: float | timedelta | None = None) -> float:
        """Return the pause before the next retry, in seconds.

        Args:
            attempt: The number of retries so far, 0 before the first retry.
            previous: The previous pause, in seconds or as a timedelta; None before the first
                retry. Only decorrelated back-offs use it.

        Raises:
            ValueError: ``attempt`` or ``previous`` is negative, or ``previous`` is not a number.
            TypeError: ``attempt`` is not an integer, or ``previous`` is not a duration.
        """

    def __add__(self, other: Backoff) -> Backoff:
        """Return a back-off that waits as long as both together."""
        if not isinstance(other, Backoff):
            return NotImplemented
        return _Sum(self, other)

    def _delay_ns(self, attempt: int, previous_ns: int) -> int:
        """Return the same in nanoseconds, checked; ``previous_ns`` is -1 before the first."""
        answer: object = self.delay(attempt, None if previous_ns < 0 else previous_ns / 1e9)
        _need_answer("delay", self, answer)
        if isinstance(answer, (int, float)) and not isinstance(answer, bool) and answer >= 0:
            return MAX_NS if answer * 10**9 >= MAX_NS else round(answer * 10**9)
        name = type(self).__qualname__
        raise ValueError(f"{name}.delay: got {shown(answer)}, allowed seconds from 0")

    def _least_ns(self, attempt: int) -> int:  # noqa: ARG002 - of one's own nothing is known
        """Return the shortest that chance can make of a delay, in nanoseconds."""
        return 0


class Composed(Backoff):
    """A back-off made of others: equal to another of the same class and parts."""

    __slots__ = ("_parts",)

    _parts: tuple[Backoff, ...]

    def delay(self, attempt: int, previous: float | timedelta | None = None) -> float:
        """Return the pause before the next retry, in seconds.

        Args:
            attempt: The number of retries so far, 0 before the first retry.
            previous: The previous pause, in seconds or as a timedelta; None before the first
                retry. Only decorrelated back-offs use it.

        Raises:
            ValueError: ``attempt`` or ``previous`` is negative, or ``previous`` is not a number.
            TypeError: ``attempt`` is not an integer, or ``previous`` is not a duration.
        """
        return self._delay_ns(*read(attempt, previous)) / 1e9

    def _compared(self) -> tuple[object, ...]:
        return self._parts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Composed) or type(self) is not type(other):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash((type(self), *self._compared()))


class _Sum(Composed):
    """As long as all parts together, at most a hundred years.

    The parts are told the whole delay before, of which they do not know their share: a decorrelated
    one grows sooner to its own ``max``, and never shrinks for having company.
    """

    __slots__ = ()

    def __init__(self, *parts: Backoff) -> None:
        flat: list[Backoff] = []
        for part in parts:
            flat += part._parts if isinstance(part, _Sum) else (part,)
        self._parts = tuple(flat)

    def _delay_ns(self, attempt: int, previous_ns: int) -> int:
        return min(sum(part._delay_ns(attempt, previous_ns) for part in self._parts), MAX_NS)

    def _least_ns(self, attempt: int) -> int:
        return min(sum(part._least_ns(attempt) for part in self._parts), MAX_NS)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._parts))


class Chain(Composed):
    """Each part once, the last for all that follows, counting from its own first."""

    __slots__ = ()

    def __init__(self, parts: tuple[Backoff, ...]) -> None:
        self._parts = parts

    def _delay_ns(self, attempt: int, previous_ns: int) -> int:
        last = len(self._parts) - 1
        if attempt <= last:
            return self._parts[attempt]._delay_ns(0, -1)
        return self._parts[last]._delay_ns(attempt - last, previous_ns)

    def _least_ns(self, attempt: int) -> int:
        last = len(self._parts) - 1
        return self._parts[min(attempt, last)]._least_ns(max(0, attempt - last))

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self._parts))})"
